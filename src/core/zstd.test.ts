import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { compress, decompress } from './zstd.ts';

test('what is compressed comes out again, whatever its size and however little of it can be compressed', () => {
  for (const size of [0, 1, 63, 64, 65, 1000, 4096, 65_535, 131_073, 3_000_000]) {
    for (const bytes of [Buffer.alloc(size, 'brigade '), randomBytes(size)]) assert.ok(decompress(compress(bytes)).equals(bytes), String(size));
  }
});

test('a frame tells the size of what it holds, and a small one keeps no large buffer', () => {
  const packed = compress(Buffer.alloc(3_000_000, 'brigade '));
  // RFC 8878 §3.1.1.1: a single segment, or a content size of two bytes and more.
  assert.notEqual((packed[4] as number) & 0b1110_0000, 0);
  assert.ok(packed.buffer.byteLength < 100_000, String(packed.buffer.byteLength));
});

test('bytes that were cut off or changed are refused', () => {
  const packed = compress(Buffer.alloc(5000, 'brigade '));
  assert.throws(() => decompress(packed.subarray(0, packed.length - 1)));
  assert.throws(() => decompress(Buffer.from('no frame at all')));
});
