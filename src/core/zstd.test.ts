import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { compress, decompress } from './zstd.ts';

test('what is compressed comes out again, whatever its size and however little of it can be compressed', () => {
  for (const size of [0, 1, 63, 64, 65, 1000, 4096, 65_535, 131_073, 3_000_000]) {
    for (const bytes of [Buffer.alloc(size, 'brigade '), randomBytes(size)]) assert.ok(decompress(compress(bytes)).equals(bytes), String(size));
  }
});

test('bytes that were cut off or changed are refused', () => {
  const packed = compress(Buffer.alloc(5000, 'brigade '));
  assert.throws(() => decompress(packed.subarray(0, packed.length - 1)));
  assert.throws(() => decompress(Buffer.from('no frame at all')));
});
