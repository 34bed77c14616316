import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TotalsKeeper } from './events.ts';

test('F050: a request of an abandoned attempt that ends after the keeper was closed reaches no ledger', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const saved: Readonly<Record<string, number>>[] = [];
  const keeper = new TotalsKeeper(({ requests }) => { saved.push(requests); });
  keeper.emit({ type: 'request', side: 'source', op: 'list', ms: 1 });
  keeper.close();
  keeper.emit({ type: 'request', side: 'source', op: 'list', ms: 1 });
  t.mock.timers.tick(60_000);
  assert.deepEqual(saved, [{ 'source list': 1 }]);
});
