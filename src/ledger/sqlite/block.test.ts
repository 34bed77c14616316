import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EVIDENCE } from '../../core/item.ts';
import { compareKeys, keyFromBytes } from '../../core/key.ts';
import { decodeBlock, encodeBlock, STATES } from './block.ts';
import type { Line } from './block.ts';

const hex = (least: number, most: number) => fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: least, maxLength: most });
const key = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 24 }).map((bytes) => keyFromBytes(bytes)),
  fc.string({ unit: 'binary', minLength: 1 }),
  fc.nat(99_999).map((n) => `logs/2026/11/21/part-${n}.parquet`),
);
const token = fc.oneof(
  hex(32, 32), hex(32, 32).map((digest) => `"${digest}"`), hex(31, 33),
  fc.tuple(hex(32, 32), fc.nat(12_000)).map(([digest, n]) => `"${digest}-${n}"`),
  fc.tuple(hex(32, 32), fc.nat()).map(([digest, n]) => `${digest}-0${n}`),
  fc.string({ unit: 'binary' }), fc.string().map((text) => `${text}\udc80\ud800`),
);
const checksum = fc.record({ algorithm: fc.constantFrom('crc32' as const, 'crc32c' as const, 'crc64nvme' as const, 'sha1' as const, 'sha256' as const, 'md5' as const), hex: fc.oneof(hex(0, 64), fc.string()) }, { noNullPrototype: true });
const pin = fc.record({ token, versionId: fc.string() }, { requiredKeys: ['token'], noNullPrototype: true });
const item = fc.record({
  key, kind: fc.constantFrom('object' as const, 'directory' as const), size: fc.maxSafeNat(), state: fc.constantFrom(...STATES), source: pin,
  destination: token, checksum, evidence: fc.constantFrom(...EVIDENCE), code: fc.string(), attempts: fc.nat(), undone: fc.nat(), storageClass: fc.constantFrom('STANDARD', 'GLACIER', ''),
}, { requiredKeys: ['key', 'kind', 'size', 'state', 'source', 'evidence', 'attempts'], noNullPrototype: true });
const line = fc.record({ item, lost: fc.array(fc.string(), { maxLength: 3 }) }, { requiredKeys: ['item'], noNullPrototype: true });
const lines = fc.uniqueArray(line as fc.Arbitrary<Line>, { selector: (l) => l.item.key, maxLength: 40 })
  .map((all) => all.toSorted((a, b) => compareKeys(a.item.key, b.item.key)));

test('a block gives back exactly the lines it was made of, whatever bytes they hold', () => {
  fc.assert(fc.property(lines, (all) => assert.deepEqual(decodeBlock(encodeBlock(all)), all)), { numRuns: 300 });
});

test('a destination equal to the source token comes back as such and costs no second token', () => {
  const same = (destination: string): Line => ({ item: { key: 'k', kind: 'object', size: 1, state: 'copied', source: { token: 'd41d8cd98f00b204e9800998ecf8427e' }, destination, evidence: 'in flight', attempts: 0 } });
  const equal = encodeBlock([same('d41d8cd98f00b204e9800998ecf8427e')]);
  const other = encodeBlock([same('9e107d9d372bb6826bd81d3542a419d6')]);
  assert.ok(other.length - equal.length >= 16, `${equal.length} and ${other.length} bytes`);
  assert.equal(decodeBlock(equal)[0]?.item.destination, 'd41d8cd98f00b204e9800998ecf8427e');
});

test('F104: one flipped bit anywhere in a block is found', () => {
  fc.assert(fc.property(lines, fc.nat(), fc.nat(7), (all, at, bit) => {
    const block = encodeBlock(all);
    const index = at % block.length;
    block[index] = (block[index] as number) ^ (1 << bit);
    assert.throws(() => decodeBlock(block), { code: index === 1 ? 'E_LEDGER_NEWER' : 'E_LEDGER_CORRUPT' });
  }), { numRuns: 300 });
});

test('a block cut short is found', () => {
  const block = encodeBlock([{ item: { key: 'k', kind: 'object', size: 1, state: 'pending', source: { token: 't' }, evidence: 'none', attempts: 0 } }]);
  for (let length = 0; length < block.length; length++) assert.throws(() => decodeBlock(block.subarray(0, length)), { code: 'E_LEDGER_CORRUPT' });
});
