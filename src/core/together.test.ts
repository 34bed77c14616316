import assert from 'node:assert/strict';
import { test } from 'node:test';
import { together } from './together.ts';

test('an error is told when all have ended, and it is that of the first in the list', async () => {
  let ended = false;
  const slow = new Promise<number>((_, reject) => setTimeout(() => { ended = true; reject(new Error('slow')); }, 20));
  await assert.rejects(together(slow, Promise.reject(new Error('quick'))), /slow/);
  assert.equal(ended, true);
});

test('values come in the order of the list', async () => {
  const [a, b] = await together(new Promise<string>((resolve) => setTimeout(resolve, 5, 'a')), Promise.resolve(2));
  assert.deepEqual([a, b], ['a', 2]);
});
