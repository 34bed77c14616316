import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksumOf, createHasher } from './checksum.ts';
import { hole, holes, isHole, isZero, runs } from './holes.ts';
import { KiB, MiB } from './units.ts';

const LINEAR = ['crc32', 'crc32c', 'crc64nvme'] as const;
/** Pieces of a body: holes of any length, and data. */
const pieces = fc.array(fc.oneof(fc.integer({ min: 1, max: 3 * MiB }).map((length) => hole(length)), fc.uint8Array({ minLength: 1, maxLength: 300 })), { maxLength: 6 });

test('a hole is zeros to who does not know it', () => {
  assert.equal(hole(7).equals(Buffer.alloc(7)), true);
  assert.equal(isHole(hole(7)), true);
  assert.equal(isHole(Buffer.alloc(7)), false);
  assert.equal(isHole(hole(9).subarray(3)), true);
  assert.deepEqual([...holes(33 * MiB)].map(({ length }) => length), [16 * MiB, 16 * MiB, MiB]);
  assert.throws(() => hole(17 * MiB), RangeError);
});

test('holes count in checksums as the zeros they are', () => {
  fc.assert(fc.property(pieces, fc.constantFrom(...LINEAR), (body, algorithm) => {
    const hasher = createHasher(algorithm);
    for (const piece of body) hasher.update(piece);
    assert.deepEqual(hasher.checksum(), checksumOf(algorithm, Buffer.from(Buffer.concat(body))));
  }), { numRuns: 60 });
  assert.deepEqual(checksumOf('sha256', hole(5)), checksumOf('sha256', Buffer.alloc(5)));
});

test('runs of zeros are found, whatever lies around them, and nothing is lost', () => {
  const layout = fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 70 * KiB })), { minLength: 1, maxLength: 6 });
  fc.assert(fc.property(layout, (parts) => {
    const body = Buffer.concat(parts.map(([zero, length]) => Buffer.alloc(length, zero ? 0 : 7)));
    const found = [...runs(body)];
    assert.equal(Buffer.concat(found).equals(body), true);
    for (const piece of found) if (isHole(piece)) assert.ok(piece.length >= 16 * KiB, 'a hole worth telling');
    const longest = found.filter((piece) => !isHole(piece)).map((piece) => [...runs(piece)].some(isHole));
    assert.equal(longest.includes(true), false, 'no block of zeros is left in the data');
  }), { numRuns: 100 });
});

test('one byte in a megabyte is not zero', () => {
  const bytes = Buffer.alloc(MiB);
  assert.equal(isZero(bytes), true);
  bytes[500_000] = 1;
  assert.equal(isZero(bytes), false);
  assert.equal([...runs(bytes)].filter((piece) => !isHole(piece)).reduce((sum, piece) => sum + piece.length, 0), 16 * KiB);
});
