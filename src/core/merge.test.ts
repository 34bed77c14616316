import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareKeys } from './key.ts';
import { merge } from './merge.ts';

const keys = fc.uniqueArray(fc.string({ unit: 'binary', maxLength: 4 }).filter((k) => k.isWellFormed()), { maxLength: 20 }).map((all) => all.sort(compareKeys).map((key) => ({ key })));

test('F049: the walk meets every key once, in byte order, with every stream that has it', async () => {
  await fc.assert(fc.asyncProperty(keys, keys, keys, async (a, b, c) => {
    const met = [];
    for await (const row of merge(a[Symbol.iterator](), b[Symbol.iterator](), c[Symbol.iterator]())) met.push(row);
    const all = [...new Set([...a, ...b, ...c].map(({ key }) => key))].sort(compareKeys);
    assert.deepEqual(met.map(({ key }) => key), all);
    for (const row of met) {
      for (const [name, stream] of [['a', a], ['b', b], ['c', c]] as const) assert.equal(row[name] !== undefined, stream.some(({ key }) => key === row.key));
    }
  }));
});
