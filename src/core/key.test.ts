import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareKeys, isUtf8Key, keyFromBytes, keyLength, keyToBytes, showKey } from './key.ts';

const bytes = fc.uint8Array({ maxLength: 40 });
// Pieces that make interesting sequences likely: truncated, overlong, surrogate and beyond-range encodings beside plain text.
const nasty = fc.array(fc.constantFrom('61', '2f', 'c3a9', 'c3', 'e282ac', 'e282', 'f09f9880', 'f09f98', 'eda080', 'c080', 'f4908080', 'ffff', 'efbfbd', 'efbbbf'), { maxLength: 12 })
  .map((pieces) => Buffer.from(pieces.join(''), 'hex'));

test('F046: any bytes become a key and come back unchanged', () => {
  fc.assert(fc.property(fc.oneof(bytes, nasty), (original) => {
    const key = keyFromBytes(original);
    assert.deepEqual(keyToBytes(key), Buffer.from(original));
    assert.equal(keyLength(key), original.length);
    assert.equal(isUtf8Key(key), Buffer.from(Buffer.from(original).toString('utf8'), 'utf8').equals(Buffer.from(original)));
  }), { numRuns: 2000 });
});

test('F048: the order of keys is the order of their bytes', () => {
  fc.assert(fc.property(fc.oneof(bytes, nasty), fc.oneof(bytes, nasty), (a, b) => {
    const byKey = Math.sign(compareKeys(keyFromBytes(a), keyFromBytes(b)));
    assert.equal(byKey, Math.sign(Buffer.compare(a, b)));
  }), { numRuns: 5000 });
  assert.ok(compareKeys('\u{1F600}', '\uFFFD') > 0, 'an emoji comes after U+FFFD, unlike in UTF-16');
  assert.ok(compareKeys('\u{1F600}', '\uD83D\uDE01') < 0);
});

test('F118: a shown key cannot move the cursor or forge a line', () => {
  const shown = showKey('a\u001b[2J\n\u009b31m\u202e\u2028"');
   
  assert.doesNotMatch(shown, /[\u0000-\u001f\u007f-\u009f\u2028\u202e]/);
  assert.equal(JSON.parse(shown), 'a\u001b[2J\n\u009b31m\u202e\u2028"');
});
