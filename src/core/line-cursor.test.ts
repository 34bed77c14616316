import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Item } from './item.ts';
import { compareKeys, type Key, keyFromBytes, keyToBytes } from './key.ts';
import { LineCursor } from './line-cursor.ts';
import { type Line, packLines } from './lines.ts';

const DIGEST = '0123456789abcdef0123456789abcdef';
const TOKENS = [`"${DIGEST}"`, `"${DIGEST.replace('0', 'f')}"`, `"${DIGEST.replace('ef', 'fe')}"`, DIGEST, DIGEST.replace('0', 'f'), DIGEST.replace('ef', 'fe'), DIGEST.toUpperCase(), `${DIGEST}0`, `${DIGEST}""`, `"${DIGEST}-12"`, `"${DIGEST.toUpperCase()}"`, 'etag', '', 'ä\ud83d\ude00'];
const token = fc.constantFrom(...TOKENS);
const key = fc.array(fc.constantFrom(0, 47, 97, 98, 0xc3, 0xa9, 0xee, 0x80, 0xf0, 0xff), { minLength: 1, maxLength: 6 }).map((bytes) => keyFromBytes(Buffer.from(bytes)));
const checksum = fc.record({ algorithm: fc.constantFrom('crc32' as const, 'sha256' as const), hex: fc.constantFrom('00ff00ff', 'abc', '') });
const item = fc.record({
  key, kind: fc.constantFrom('object' as const, 'directory' as const), size: fc.maxSafeNat(), state: fc.constantFrom('pending' as const, 'copied' as const, 'unchanged' as const, 'failed' as const, 'extra' as const),
  source: fc.record({ token, versionId: fc.string() }, { requiredKeys: ['token'] }), destination: token, checksum, evidence: fc.constantFrom('none' as const, 'in flight' as const),
  code: fc.constantFrom('E_A', 'compare'), attempts: fc.nat(300), undone: fc.nat(3), storageClass: fc.constantFrom('GLACIER', 'IA'),
}, { requiredKeys: ['key', 'kind', 'size', 'state', 'source', 'evidence', 'attempts'] });
const lines: fc.Arbitrary<Line[]> = fc.array(fc.record({ item, lost: fc.constantFrom(['tags'], ['mtime', 'tags']) }, { requiredKeys: ['item'] }), { maxLength: 12 }).map((all) => structuredClone(all));

test('a cursor says of each line what the line says, in whatever order it is asked', () => {
  fc.assert(fc.property(lines, fc.array(key), fc.array(fc.boolean(), { minLength: 3, maxLength: 5 }), (all, others, asked) => {
    const cursor = new LineCursor(packLines(all));
    let [at, turn] = [0, 0];
    const isAsked = (): boolean => asked[turn++ % asked.length] === true;
    for (; cursor.next(); at++) {
      const { item: expected } = all[at] as { item: Item };
      if (isAsked()) assert.deepEqual(cursor.item(), expected);
      assert.deepEqual([cursor.state, cursor.isDirectory], [expected.state, expected.kind === 'directory']);
      if (isAsked()) assert.deepEqual(TOKENS.filter((one) => cursor.isThere(one)), expected.destination === undefined ? [] : [expected.destination]);
      for (const other of [...others, expected.key]) assert.equal(Math.sign(cursor.compareKey(other)), Math.sign(compareKeys(expected.key, other)));
      assert.deepEqual([cursor.firstKey(), Buffer.from(cursor.keyBytes())], [keyToBytes(all[0]?.item.key as Key), keyToBytes(expected.key)]);
      assert.deepEqual([cursor.evidence, cursor.checksumAlgorithm], [expected.evidence, expected.checksum?.algorithm]);
      assert.equal(cursor.isPlain, expected.kind === 'object' && expected.source.versionId === undefined && [expected.code, expected.undone, expected.storageClass, all[at]?.lost].every((one) => one === undefined));
      if (isAsked()) assert.deepEqual(cursor.item(), expected);
      assert.deepEqual([cursor.isOver, cursor.isSpent], [at === all.length - 1, at === all.length - 1]);
    }
    assert.equal(at, all.length);
    assert.equal(cursor.next(), false);
  }), { numRuns: 1000 });
});

test('lines that end too early are an error, not the end, in the words of who has them', () => {
  const whole = packLines([{ item: { key: 'a', kind: 'object', size: 1, state: 'copied', source: { token: 's' }, destination: 'd', evidence: 'none', attempts: 0 } }]);
  for (let length = 0; length < whole.length; length++) assert.throws(() => new LineCursor(whole.subarray(0, length)).next(), RangeError, String(length));
  const columns = whole.subarray(0, whole.length - 1);
  columns[columns.length - 1] = 0; // no attempts
  const cursor = new LineCursor(columns, (thrown) => new Error('mine', { cause: thrown }));
  assert.throws(() => cursor.next(), (thrown: Error) => thrown.message === 'mine' && thrown.cause instanceof RangeError);
  assert.equal(new LineCursor(packLines([])).isOver, true);
});
