import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { combineCrc, digestOf, startDigest } from './checksums.ts';

// Check values ("123456789") of the CRC catalogue (reveng.sourceforge.io) and of FIPS 180-4 implementations.
test('each algorithm gives its catalogue check value', () => {
  const check = (algorithm: Parameters<typeof digestOf>[0]): string => digestOf(algorithm, Buffer.from('123456789')).toString('hex');
  assert.equal(check('CRC32'), 'cbf43926');
  assert.equal(check('CRC32C'), 'e3069283');
  assert.equal(check('CRC64NVME'), 'ae8b14860a799888');
  assert.equal(check('SHA1'), 'f7c3bc1d808e04732adf679965ccc34ca7ae3441');
});

test('a CRC does not depend on how the bytes are cut, and combines from parts', () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }), fc.constantFrom('CRC32', 'CRC32C', 'CRC64NVME'), (parts, algorithm) => {
    const whole = digestOf(algorithm, Buffer.concat(parts)).toString('hex');
    const running = startDigest(algorithm);
    for (const part of parts) running.update(Buffer.from(part));
    assert.equal(running.digest().toString('hex'), whole);
    const combined = combineCrc(algorithm, parts.map((part) => ({ crc: digestOf(algorithm, Buffer.from(part)), size: part.length })));
    assert.equal(combined.toString('hex'), whole);
  }));
});

test('SHA checksums cannot be combined', () => {
  assert.throws(() => combineCrc('SHA256', []), RangeError);
});
