import assert from 'node:assert/strict';
import { readdirSync, watch } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { compareKeys, keyFromBytes } from '../../core/key.ts';
import { folder } from './fixture.test.ts';
import { createEntrySorter } from './sorter.ts';
import type { ObjectEntry } from '../../core/object.ts';

const key = fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => keyFromBytes(bytes)), fc.string({ unit: 'binary', minLength: 1, maxLength: 3 }));
const entry = fc.record({ key, size: fc.maxSafeNat(), token: fc.string(), modifiedMs: fc.double({ noNaN: true, noDefaultInfinity: true, min: 1 }), kind: fc.constantFrom('object' as const, 'special' as const) },
  { requiredKeys: ['key', 'size', 'token', 'kind'], noNullPrototype: true });

test('F050: any listing comes out in key order, each key once as first seen, in full pages, whatever the lots', (t) => {
  const dir = folder(t);
  fc.assert(fc.property(fc.array(entry, { maxLength: 60 }), fc.integer({ min: 1, max: 20 }), (entries, lotSize) => {
    const sorter = createEntrySorter({ dir, lotSize, pageSize: 7 });
    try {
      for (let i = 0; i < entries.length; i += 5) sorter.add(entries.slice(i, i + 5) as ObjectEntry[]);
      const pages = [...sorter.pages()];
      const first = new Map(entries.toReversed().map((one) => [one.key, one]));
      assert.deepEqual(pages.flat(), [...first.values()].toSorted((a, b) => compareKeys(a.key, b.key)));
      assert.equal(sorter.duplicates, entries.length - first.size);
      assert.ok(pages.slice(0, -1).every((page) => page.length === 7));
    } finally {
      sorter.close();
    }
  }), { numRuns: 60 });
  assert.deepEqual(readdirSync(dir), []);
});

test('F050: more lots than a page has entries are merged from disk', (t) => {
  const sorter = createEntrySorter({ dir: folder(t), lotSize: 300 });
  const count = 20_000;
  // 7919 is prime to the count, so each key comes exactly once, far from its neighbours.
  for (let i = 0; i < count; i++) sorter.add([{ key: `k${String((i * 7919) % count).padStart(6, '0')}`, size: i, token: 't', kind: 'object' }]);
  const keys = [...sorter.pages()].flat().map((one) => one.key);
  sorter.close();
  assert.deepEqual(keys, Array.from({ length: count }, (_, i) => `k${String(i).padStart(6, '0')}`));
  assert.equal(sorter.duplicates, 0);
});

test('sorting writes no journal beside its database', async (t) => {
  const dir = folder(t);
  const seen = new Set<string | null>();
  const sorter = createEntrySorter({ dir, lotSize: 50 });
  const watcher = watch(join(dir, readdirSync(dir)[0] as string), (_, name) => seen.add(name));
  for (let i = 0; i < 500; i++) sorter.add([{ key: `k${i}`, size: i, token: 't', kind: 'object' }]);
  while (!seen.has('lots.db')) await setTimeout(10);
  watcher.close();
  sorter.close();
  assert.deepEqual([...seen], ['lots.db']);
});
