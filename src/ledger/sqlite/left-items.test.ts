/** What earlier runs left, against the plain way to find it. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Item, ItemState } from '../../core/item.ts';
import { LeftItems } from './left-items.ts';
import { folder, keyNumber, listing, open, pendingItem } from './fixture.test.ts';

const KEYS = 12;
const state = fc.constantFrom<ItemState | 'not listed'>('copied', 'unchanged', 'skipped', 'failed', 'pending', 'extra', 'not listed');
const runs = fc.array(fc.record({ states: fc.array(state, { maxLength: KEYS }), perTask: fc.integer({ min: 1, max: 4 }) }), { maxLength: 5 });

const itemOf = (key: string, run: number, state: ItemState): Item => ({ ...pendingItem(key, run), state, destination: `of run ${run}` });

function expected(states: readonly (readonly (ItemState | 'not listed')[])[], key: number): string | undefined {
  const run = states.findLastIndex((one) => one[key] === 'copied' || one[key] === 'unchanged');
  return run < 0 ? undefined : `of run ${run + 1}`;
}

test('the newest earlier run that copied a key or found it unchanged answers for it, whatever the others hold and whichever keys are asked', async (t) => {
  const dir = folder(t);
  let n = 0;
  await fc.assert(fc.asyncProperty(runs, fc.subarray(Array.from({ length: KEYS }, (_, i) => i)), async (all, asked) => {
    const ledger = await open(join(dir, `${n++}`, 'ledger.db'));
    try {
      for (const { states, perTask } of all) {
        const { number } = ledger.beginRun('delta');
        const items = states.flatMap((one, key) => (one === 'not listed' ? [] : [itemOf(keyNumber(key), number, one)]));
        const tasks = Array.from({ length: Math.ceil(items.length / perTask) }, (_, i) => ({ items: items.slice(i * perTask, (i + 1) * perTask), problems: new Map() }));
        ledger.addPlan(number, { tasks, shards: [], listing: listing(KEYS) });
      }
      for (const run of [1, all.length, all.length + 1]) {
        const left = ledger.leftBefore(run);
        const states = all.slice(0, Math.max(0, run - 1)).map((one) => one.states);
        assert.deepEqual(asked.map((key) => left(keyNumber(key))?.destination), asked.map((key) => expected(states, key)), `before run ${run}`);
      }
    } finally {
      await ledger.close();
    }
  }), { numRuns: 15 });
});

test('an older run is read only where no newer one knows the key, and each block once', () => {
  const reads: string[] = [];
  const block = (keys: readonly string[], of: string) => ({ from: keys[0] ?? '', until: 'z', lines: new Map(keys.map((key) => [key, { item: { ...itemOf(key, 1, 'copied'), destination: of } }])) });
  const left = new LeftItems([2, 1], (run, key) => { reads.push(`${run} ${key}`); return run === 2 ? block(['a', 'b', 'd'], 'new') : { ...block(['c', 'd', 'e'], 'old') }; });
  assert.deepEqual(['a', 'b', 'c', 'd', 'e'].map((key) => left.find(key)?.destination), ['new', 'new', 'old', 'new', 'old']);
  assert.deepEqual(reads, ['2 a', '1 c']);
});

test('memory is bounded: beyond the limit the block that was read longest ago is read again', () => {
  const many = Array.from({ length: 60_000 }, (_, i) => `k${i}`);
  const lines = new Map(many.map((key) => [key, { item: itemOf(key, 1, 'failed') }]));
  let reads = 0;
  const left = new LeftItems([2, 1], () => { reads++; return { from: '', lines }; });
  assert.equal(left.find('k1'), undefined);
  assert.equal(left.find('k2'), undefined);
  assert.equal(reads, 4);
});
