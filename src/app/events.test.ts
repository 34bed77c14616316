import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outcome } from '../core/item.ts';
import type { RunEvent } from '../ports/events.ts';
import { EventBatcher, fanOut, TotalsKeeper } from './events.ts';

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

const outcomeOf = (key: string, more: Partial<Outcome> = {}): Outcome => ({ key, state: 'copied', evidence: 'store checksum', attempts: 1, bytesSent: 5, ms: 1, ...more });

function batched(each: boolean, events: readonly RunEvent[][]): RunEvent[][] {
  const batches: RunEvent[][] = [];
  const batcher = new EventBatcher((batch) => { batches.push([...batch]); });
  batcher.each = each;
  for (const group of events) {
    for (const event of group) batcher.emit(event);
    batcher.flush();
  }
  return batches;
}

const started = (key: string): RunEvent => ({ type: 'started', key, size: 5 });
const bytes = (key: string): RunEvent => ({ type: 'bytes', key, bytes: 5 });
const ended = (key: string, more: Partial<Outcome> = {}): RunEvent => ({ type: 'ended', outcome: outcomeOf(key, more), size: 5 });

test('objects that begin and end well between two flushes are told as a number, all others one by one', () => {
  const checksum = { algorithm: 'crc32', hex: '00000000' } as const;
  const failed = { state: 'failed', problem: { code: 'E_X', message: 'x' } } as const;
  const [first, second] = batched(false, [
    [started('a'), bytes('a'), ended('a'), started('b'), bytes('b'), started('c'), ended('c', failed), started('d'), ended('d', { state: 'unchanged', checksum }), started('f'), ended('f', { checksum })],
    [bytes('b'), ended('b'), ended('e')],
  ]);
  assert.deepEqual(first, [started('b'), started('c'), bytes('b'), { type: 'landed', objects: 3, bytes: 5, checksums: { crc32: 1 } }, ended('c', failed)]);
  assert.deepEqual(second, [bytes('b'), ended('b'), ended('e')]);
});

test('who wants each object is told of each', () => {
  const all = [started('a'), bytes('a'), ended('a')];
  assert.deepEqual(batched(true, [all]), [all]);
  assert.equal(fanOut([{ emit: () => undefined }, { emit: () => undefined, each: true }]).each, true);
  assert.equal(fanOut([{ emit: () => undefined }]).each, false);
});
