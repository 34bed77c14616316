import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareKeys } from '../../core/key.ts';
import { describeStore } from '../conformance/index.ts';
import { createMemoryStore, type MemoryOptions } from './index.ts';
import { OrderedMap } from './order.ts';

function subject(name: string, options: MemoryOptions): void {
  describeStore({ name, create: async () => ({ store: createMemoryStore(options), cleanup: async () => {} }) });
}

subject('memory', { serverCopy: true });
subject('memory that lacks what can be lacked', {
  multipart: false,
  facts: {
    guards: { absent: false, matches: false, onComplete: false }, checksums: [], maxSingleWrite: Infinity, maxObjectSize: Infinity, fullObjectChecksum: false,
    attributes: { contentHeaders: false, userMetadata: false, tags: false, storageClass: false, mtime: false, mode: false },
  },
});
subject('memory with the limits of a large provider', { facts: { minPartSize: 5 * 1024 * 1024, checksums: ['sha256'] } });

test('F048: an ordered map agrees with sorting after every change', () => {
  const keys = fc.string({ unit: 'binary', maxLength: 4 });
  fc.assert(fc.property(fc.array(fc.tuple(keys, fc.boolean())), keys, keys, (changes, prefix, after) => {
    const [map, model] = [new OrderedMap<number>(), new Map<string, number>()];
    for (const [i, [key, add]] of changes.entries()) {
      if (add) map.set(key, i);
      else map.delete(key);
      if (add) model.set(key, i);
      else model.delete(key);
      if (i % 3 === 0) map.slice('', undefined, 1);
    }
    const wanted = [...model].filter(([key]) => key.startsWith(prefix) && compareKeys(key, after) > 0).sort(([a], [b]) => compareKeys(a, b));
    assert.deepEqual(map.slice(prefix, after, Infinity), wanted);
  }));
});
