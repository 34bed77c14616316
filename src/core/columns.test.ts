import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { columnTask, itemCount, packTask } from './columns.ts';
import type { Item } from './item.ts';
import { compareKeys, keyFromBytes, keyToBytes } from './key.ts';
import { LineWriter, packLines, surveyLines } from './lines.ts';

// Few different bytes and many alike: keys that share heads, are heads of each other, and are no UTF-8.
const key = fc.array(fc.constantFrom(0, 47, 97, 98, 0xc3, 0xa9, 0xff), { minLength: 1, maxLength: 6 }).map((bytes) => keyFromBytes(Buffer.from(bytes)));
const item: fc.Arbitrary<Item> = fc.record({
  key, kind: fc.constant('object' as const), size: fc.maxSafeNat(), state: fc.constantFrom('pending' as const, 'unchanged' as const, 'extra' as const),
  source: fc.record({ token: fc.string() }), evidence: fc.constantFrom('none' as const, 'store checksum' as const), attempts: fc.nat(9), storageClass: fc.constantFrom('GLACIER', 'IA'),
}, { requiredKeys: ['key', 'kind', 'size', 'state', 'source', 'evidence', 'attempts'] });

const ascends = (items: readonly Item[]): boolean => items.every(({ key: one }, i) => i === 0 || compareKeys((items[i - 1] as Item).key, one) < 0);

test('of packed items the same can be told as of the items: how many, from where to where, in what order, in which states', () => {
  fc.assert(fc.property(fc.array(item, { minLength: 1, maxLength: 12 }), fc.boolean(), (drawn, sorted) => {
    const items = sorted ? drawn.toSorted((a, b) => compareKeys(a.key, b.key)) : drawn;
    const task = packTask({ items, problems: new Map() });
    const seen: unknown[] = [];
    const { firstKey, lastKey, ascending } = surveyLines(task.columns, (...shape) => seen.push(shape));
    assert.equal(itemCount(task), items.length);
    assert.deepEqual([firstKey, lastKey], [items[0], items.at(-1)].map((one) => keyToBytes((one as Item).key)));
    assert.equal(ascending, ascends(items));
    assert.deepEqual(seen, items.map(({ state, evidence, size }) => [state, evidence, size]));
    assert.deepEqual(columnTask(task.columns, new Map()).items, structuredClone(items));
  }), { numRuns: 500 });
});

test('a writer keeps nothing of the lines that were taken from it', () => {
  const batches = fc.array(fc.array(item, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 4 });
  fc.assert(fc.property(batches, (all) => {
    const writer = new LineWriter();
    const taken = all.map((items) => {
      for (const one of items) writer.add({ item: one });
      assert.equal(writer.count, items.length);
      return writer.take();
    });
    assert.equal(writer.count, 0);
    assert.deepEqual(taken, all.map((items) => packLines(items.map((one) => ({ item: one })))));
  }));
});

test('a key longer than any of S3 is surveyed, too', () => {
  const long = (end: string): Item => ({ key: `${'p/'.repeat(3000)}${end}`, kind: 'object', size: 1, state: 'pending', source: { token: 't' }, evidence: 'none', attempts: 0 });
  const { lastKey, ascending } = surveyLines(packTask({ items: [long('a'), long('b'), long('bb')], problems: new Map() }).columns, () => undefined);
  assert.deepEqual([lastKey.toString(), ascending], [long('bb').key, true]);
});
