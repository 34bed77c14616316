import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareKeys, firstOutOfOrder, isUtf8Key, keyFromBytes, keyLength, keyToBytes, showKey } from './key.ts';

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

test('the first key out of order is found as comparing each with the one before it finds it', () => {
  const some = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '\ud83d\ude00', '\uffff', '\ue000', '/'), maxLength: 4 }).map((end) => `head/\u{1f600}${end}`), { maxLength: 12 });
  fc.assert(fc.property(some, fc.boolean(), fc.option(fc.constantFrom('', 'head', 'head/\u{1f600}a', 'z'), { nil: undefined }), (keys, sorted, after) => {
    const entries = (sorted ? [...new Set(keys)].sort(compareKeys) : keys).map((key) => ({ key }));
    const expected = entries.findIndex(({ key }, i) => {
      const previous = i === 0 ? after : entries[i - 1]?.key;
      return previous !== undefined && compareKeys(key, previous) <= 0;
    });
    assert.equal(firstOutOfOrder(entries, after), expected);
  }), { numRuns: 1000 });
});
