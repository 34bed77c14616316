import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Item } from './item.ts';
import { LARGE_BYTES, Packer, sizeClass } from './pack.ts';
import { tasksOf } from './pack.test-kit.ts';

const item = (key: number, size: number, state: Item['state']): Item => ({ key: String(key).padStart(6, '0'), kind: 'object', size, state, source: { token: 't' }, evidence: 'none', attempts: 0 });

test('tasks keep order, lose nothing and stay within count and bytes', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(200), fc.boolean()), { maxLength: 300 }), fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 1000 }), (drafts, objects, bytes) => {
    const packer = new Packer({ objects, bytes, seconds: 60 });
    const items = drafts.map(([size, pending], i) => item(i, size, pending ? 'pending' : 'unchanged'));
    const tasks = tasksOf(packer, items);
    assert.deepEqual(tasks.flat(), items);
    for (const task of tasks) {
      const pending = task.filter(({ state }) => state === 'pending');
      assert.ok(pending.length <= objects);
      assert.ok(pending.length <= 1 || pending.reduce((sum, { size }) => sum + size, 0) <= bytes);
    }
  }));
});

test('F086: no task holds both large and small objects that are to be copied', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom(0, 1, LARGE_BYTES, LARGE_BYTES + 1, 3 * LARGE_BYTES), fc.boolean()), { maxLength: 100 }), (drafts) => {
    const packer = new Packer({ objects: 20, bytes: 2 ** 40, seconds: 1e9 });
    const items = drafts.map(([size, pending], i) => item(i, size, pending ? 'pending' : 'unchanged'));
    const tasks = tasksOf(packer, items);
    assert.deepEqual(tasks.flat(), items);
    for (const task of tasks) assert.ok(new Set(task.filter(({ state }) => state === 'pending').map(({ size }) => sizeClass(size))).size <= 1);
  }));
});

test('S0.12: batch.objects 20 makes tasks of twenty', () => {
  const packer = new Packer({ objects: 20, bytes: 2 ** 40, seconds: 1e9 });
  const sizes = tasksOf(packer, Array.from({ length: 100 }, (_, i) => item(i, 1, 'pending'))).map(({ length }) => length);
  assert.deepEqual(sizes, [20, 20, 20, 20, 20]);
});

test('a large object does not wait for others, predicted seconds bound a task', () => {
  const packer = new Packer({ objects: 1000, bytes: 2 ** 50, seconds: 60 });
  assert.deepEqual(tasksOf(packer, [item(0, 1, 'pending'), item(1, 10 * 2 ** 30, 'pending')]).map(({ length }) => length), [1, 1]);
});
