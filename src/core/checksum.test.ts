import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { checksumOf, combineChecksums, createHasher } from './checksum.ts';
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
