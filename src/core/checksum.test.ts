import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { checksumOf, combineChecksums, createHasher, kernelHasher, type Hasher } from './checksum.ts';
import type { ChecksumAlgorithm } from './object.ts';

// Check values over "123456789" from the CRC catalogue (https://reveng.sourceforge.io/crc-catalogue/) and RFC 1321 / FIPS 180.
const CHECK: Record<ChecksumAlgorithm, string> = {
  crc32: 'cbf43926',
  crc32c: 'e3069283',
  crc64nvme: 'ae8b14860a799888',
  md5: '25f9e794323b453885f5181f1b624d0b',
  sha1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
  sha256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
};

for (const [algorithm, hex] of Object.entries(CHECK)) {
  test(`${algorithm} of the catalogue's check string`, () => {
    assert.equal(checksumOf(algorithm as ChecksumAlgorithm, Buffer.from('123456789')).hex, hex);
  });
}

test('pieces give the checksum of the whole, whatever the cut', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), fc.constantFrom('crc32', 'crc32c', 'crc64nvme'), (bytes, cut, name) => {
    const algorithm = name as ChecksumAlgorithm;
    const [a, b] = [bytes.subarray(0, cut), bytes.subarray(cut)];
    const hasher = createHasher(algorithm);
    hasher.update(a);
    hasher.update(b);
    const whole = checksumOf(algorithm, bytes);
    assert.deepEqual(hasher.checksum(), whole);
    assert.deepEqual(combineChecksums(checksumOf(algorithm, a), checksumOf(algorithm, b), b.length), whole);
  }));
});

test('checksums that are not linear do not combine', () => {
  const sum = checksumOf('sha256', Buffer.from('a'));
  assert.equal(combineChecksums(sum, sum, 1), undefined);
});

/** RFC 3720 B.4, and the test cases of the NVM Command Set Specification for 4 KiB blocks. */
const VECTORS: readonly (readonly ['crc32c' | 'crc64nvme', Buffer, string])[] = [
  ['crc32c', Buffer.alloc(32), '8a9136aa'], ['crc32c', Buffer.alloc(32, 0xff), '62a8ab43'],
  ['crc32c', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), '46dd794e'], ['crc32c', Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), '113fdb5c'],
  ['crc64nvme', Buffer.alloc(4096), '6482d367eb22b64e'], ['crc64nvme', Buffer.alloc(4096, 0xff), 'c0ddba7302eca3ac'],
  ['crc64nvme', Buffer.from(Array.from({ length: 4096 }, (_, i) => i & 0xff)), '3e729f5f6750449c'], ['crc64nvme', Buffer.from(Array.from({ length: 4096 }, (_, i) => 255 - (i & 0xff))), '9a2df64b8e9e517e'],
];

function digest(hasher: Hasher, bytes: Uint8Array): string {
  hasher.update(bytes);
  return hasher.checksum().hex;
}

test('vectors of the standards, by whatever computes them here and by WebAssembly', () => {
  for (const [algorithm, bytes, hex] of VECTORS) {
    assert.equal(digest(createHasher(algorithm), bytes), hex);
    assert.equal(digest(kernelHasher(algorithm), bytes), hex);
  }
});

test('WebAssembly agrees with zlib and with the other ways at every length around its steps, from any state', () => {
  const noise = Buffer.alloc(200_000);
  for (let i = 0, state = 7; i < noise.length; i++) noise[i] = (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 24;
  const lengths = [0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 4095, 4096, 8191, 8192, 8193, 12_289, 65_535, 65_536, 65_537, 73_729, 131_072, 196_609];
  for (const length of lengths) for (const from of [0, 3]) {
    const bytes = noise.subarray(from, from + length);
    assert.equal(digest(kernelHasher('crc32'), bytes), crc32(bytes).toString(16).padStart(8, '0'), `crc32 of ${length}`);
    assert.equal(digest(createHasher('crc32'), bytes), crc32(bytes).toString(16).padStart(8, '0'), `crc32 of ${length}`);
    assert.equal(digest(kernelHasher('crc32c'), bytes), checksumOf('crc32c', bytes).hex, `crc32c of ${length}`);
    const cut = length >> 1;
    const halves = kernelHasher('crc64nvme');
    halves.update(bytes.subarray(0, cut));
    const combined = combineChecksums(checksumOf('crc64nvme', bytes.subarray(0, cut)), checksumOf('crc64nvme', bytes.subarray(cut)), length - cut);
    assert.deepEqual([digest(halves, bytes.subarray(cut)), combined?.hex], Array(2).fill(checksumOf('crc64nvme', bytes).hex), `crc64nvme of ${length}`);
  }
});
