import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OrderedMap } from './ordered.ts';

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const text = fc.string({ unit: 'binary', maxLength: 4 });

test('iterates in UTF-8 byte order from any point, after any sets and deletes', () => {
  fc.assert(fc.property(fc.array(fc.record({ key: text, remove: fc.boolean() }), { maxLength: 60 }), text, (steps, from) => {
    const map = new OrderedMap<string>();
    const model = new Set<string>();
    for (const { key, remove } of steps) {
      if (remove) map.delete(key);
      else map.set(key, key);
      if (remove) model.delete(key);
      else model.add(key);
    }
    const expected = [...model].sort(byBytes).filter((key) => byBytes(key, from) >= 0);
    assert.deepEqual([...map.from(Buffer.from(from))], expected);
    assert.equal(map.size, model.size);
  }));
});

test('blocks split and empty without losing order: 5,000 keys in, every second out', () => {
  const map = new OrderedMap<number>();
  const name = (n: number): string => `k${String((n * 7919) % 5000).padStart(5, '0')}`;
  for (let n = 0; n < 5000; n++) map.set(name(n), (n * 7919) % 5000);
  for (let n = 0; n < 5000; n += 2) map.delete(`k${String(n).padStart(5, '0')}`);
  assert.deepEqual([...map.from(Buffer.alloc(0))], Array.from({ length: 2500 }, (_, n) => 2 * n + 1));
});

test('changes made while iterating are seen without skipping or repeating a key', () => {
  const map = new OrderedMap<string>();
  for (let n = 0; n < 2000; n++) map.set(`k${String(n).padStart(5, '0')}`, `k${String(n).padStart(5, '0')}`);
  const seen: string[] = [];
  for (const key of map.from(Buffer.alloc(0))) {
    seen.push(key);
    map.delete(key);
    map.set(`a${seen.length}`, 'before the cursor');
  }
  assert.equal(new Set(seen).size, 2000);
});
