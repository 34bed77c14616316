import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { BrigadeError } from '../../core/errors.ts';
import type { Item } from '../../core/item.ts';
import { encodeBlock } from './block.ts';
import { copied, failed, folder, keyNumber, listing, open, pendingItem, plannedTasks } from './fixture.test.ts';
import type { SqliteLedger } from './ledger.ts';

function seen(ledger: SqliteLedger, after?: string): Item[] {
  const items: Item[] = [];
  for (const cursor of ledger.cursors(1, after)) while (cursor.next()) items.push(cursor.item());
  return items;
}

test('cursors stand on what items are, with outcomes that are folded and with those that are not, from any key on', async (t) => {
  const ledger = await open(join(folder(t), 'ledger.db'));
  ledger.beginRun('initial');
  ledger.addPlan(1, { tasks: plannedTasks(0, 9, 3), shards: [], listing: listing(9) });
  const [first, second] = ledger.claim(1, 2, 'me');
  await ledger.record(first?.id ?? 0, [copied(keyNumber(0)), failed(keyNumber(1)), copied(keyNumber(2))], true);
  await ledger.record(second?.id ?? 0, [copied(keyNumber(4))], false);
  assert.deepEqual(seen(ledger), [...ledger.items(1)]);
  assert.deepEqual(seen(ledger).map(({ state }) => state), ['copied', 'failed', 'copied', 'pending', 'copied', 'pending', 'pending', 'pending', 'pending']);
  // Those of its task that come before it are for the caller to pass over.
  assert.deepEqual(seen(ledger, keyNumber(4)), [...ledger.items(1)].slice(3));
  assert.deepEqual(seen(ledger, keyNumber(8)), [...ledger.items(1)].slice(6));
  assert.deepEqual(seen(ledger, 'z'), []);
  await ledger.close();
});

test('a task that holds another one’s keys is told, to who goes through its items and to who goes through its cursor', async (t) => {
  const told = (thrown: unknown): boolean => thrown instanceof BrigadeError && thrown.code === 'E_LEDGER_CORRUPT' && thrown.message.includes('task 2 does not hold the keys it should');
  // All others than it should; one less at its end; one less at its beginning.
  for (const [at, instead] of [[0, 1, 2], [3, 4], [4, 5]].entries()) {
    const path = join(folder(t), `${at}.db`);
    const ledger = await open(path);
    ledger.beginRun('initial');
    ledger.addPlan(1, { tasks: plannedTasks(0, 6, 3), shards: [], listing: listing(6) });
    await ledger.close();
    const db = new DatabaseSync(path);
    db.prepare('UPDATE blocks SET data = ? WHERE task = 2').run(encodeBlock(instead.map((n) => ({ item: pendingItem(keyNumber(n)) }))));
    db.close();
    const damaged = await open(path);
    assert.throws(() => [...damaged.items(1)], told);
    assert.throws(() => seen(damaged), told);
    await damaged.close();
  }
});
