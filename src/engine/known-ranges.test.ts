import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Item } from '../core/item.ts';
import { compareKeys, type Key } from '../core/key.ts';
import { LineCursor } from '../core/line-cursor.ts';
import { packLines } from '../core/lines.ts';
import { inRange, newShard, type Shard } from '../core/shard.ts';
import type { Store } from '../ports/storage.ts';
import { itemsIn, knownRanges, linesIn } from './known-ranges.ts';

const store = (facts: object): Store => ({ facts: { ordered: true, names: 'opaque', ...facts } }) as unknown as Store;
const itemOf = (key: Key): Item => ({ key, kind: 'object', size: 1, state: 'copied', source: { token: 's' }, destination: 'd', evidence: 'none', attempts: 0 });
const keys = fc.uniqueArray(fc.string({ unit: 'grapheme', maxLength: 3 }), { maxLength: 30 }).map((all) => all.sort(compareKeys));

test('ranges of a known listing hold every item once, in order', () => {
  fc.assert(fc.property(keys, keys, fc.array(fc.nat(6000), { minLength: 31, maxLength: 31 }), (cuts, all, sizes) => {
    const shards: Shard[] = [undefined, ...cuts].map((after, number) => ({ ...newShard(number, { after, upTo: cuts[number] }), items: sizes[number] ?? 0 }));
    const ledger = { items: (_run: number, after?: Key) => all.filter((key) => after === undefined || compareKeys(key, after) > 0).map((key) => ({ key }) as Item) };
    const ranges = knownRanges(shards, [store({})]);
    assert.deepEqual(ranges.flatMap((range) => [...itemsIn(ledger, 1, range)].map(({ key }) => key)), all);
    for (const range of ranges) for (const { key } of itemsIn(ledger, 1, range)) assert.ok(inRange(range, key));
  }));
});

test('cursors through ranges of a known listing stand on every item once, in order, however the items lie in tasks', () => {
  fc.assert(fc.property(keys, keys, fc.integer({ min: 1, max: 4 }), (cuts, all, perTask) => {
    const shards: Shard[] = [undefined, ...cuts].map((after, number) => ({ ...newShard(number, { after, upTo: cuts[number] }), items: 6000 }));
    const tasks = Array.from({ length: Math.ceil(all.length / perTask) }, (_, i) => all.slice(i * perTask, (i + 1) * perTask));
    const ledger = { cursors: (_run: number, after?: Key) => tasks.filter((task) => after === undefined || compareKeys(task.at(-1) as Key, after) > 0).map((task) => new LineCursor(packLines(task.map((key) => ({ item: itemOf(key) }))))) };
    const seen = knownRanges(shards, [store({})]).flatMap((range) => {
      const found: Key[] = [];
      for (const lines of linesIn(ledger, 1, range)) found.push(lines.item().key);
      for (const key of found) assert.ok(inRange(range, key));
      return found;
    });
    assert.deepEqual(seen, all);
  }));
});

test('a store that cannot be asked for a part of its keys, and a run without shards, are one range', () => {
  const shards = [{ ...newShard(0, { upTo: 'm' }), items: 9000 }, { ...newShard(1, { after: 'm' }), items: 9000 }];
  assert.equal(knownRanges(shards, [store({})]).length, 2);
  for (const facts of [{ ordered: false }, { names: 'posix' }]) assert.deepEqual(knownRanges(shards, [store({}), store(facts)]), [{}]);
  assert.deepEqual(knownRanges([], [store({})]), [{}]);
});
