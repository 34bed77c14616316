import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareKeys, isUtf8Key, type Key, keyFromBytes } from './key.ts';
import { Alphabet, estimateRest, type Seen, splitPoint } from './split.ts';

const anyKey = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }), fc.string({ unit: fc.constantFrom('a', 'b', '0', '9', '/', '\uffff', '\u{10ffff}', '\u0001'), maxLength: 8 }),
  fc.uint8Array({ maxLength: 8 }).map(keyFromBytes),
);
/** Two or three keys in order: what was listed, and where the range ends. */
const seen: fc.Arbitrary<Seen> = fc.record({ keys: fc.uniqueArray(anyKey, { minLength: 3, maxLength: 3 }), open: fc.boolean(), misses: fc.nat(3), count: fc.integer({ min: 1, max: 5000 }) }).map(({ keys, open, misses, count }) => {
  const [first, last, upTo] = [...keys].sort(compareKeys) as [Key, Key, Key];
  return { first, last, count, misses, ...(open ? {} : { upTo }) };
});

test('a cut lies between what was listed and the end, and can be sent: UTF-8, no control characters, no noncharacters but those of the keys', () => {
  let cuts = 0;
  fc.assert(fc.property(seen, (some) => {
    const alphabet = new Alphabet();
    alphabet.learn(some.first);
    const cut = splitPoint(some, alphabet);
    if (cut === undefined) return;
    cuts++;
    assert.ok(compareKeys(some.last, cut) < 0 && (some.upTo === undefined || compareKeys(cut, some.upTo) < 0));
    assert.ok(isUtf8Key(cut));
    const own = [...cut].at(-1) as string;
    assert.ok(some.last.startsWith(cut.slice(0, -own.length)), 'a head of what was listed, and one character');
    assert.ok(!/[\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff]/.test(own));
    assert.ok(estimateRest(some, alphabet) >= 0);
  }), { numRuns: 3000 });
  assert.ok(cuts > 1000, String(cuts));
});

/** Cuts a set of keys as lanes would that always take the upper half, until the cuts find nothing; how many found something, and how many not. */
function cutAll(keys: readonly Key[], page: number): { readonly found: number; readonly missed: number } {
  const sorted = [...keys].sort(compareKeys);
  const alphabet = new Alphabet();
  const counts = { found: 0, missed: 0 };
  let [from, misses, upTo]: [number, number, Key | undefined] = [0, 1, undefined];
  for (let turn = 0; turn < 60 && from + page < sorted.length; turn++) {
    const [first, last] = [sorted[from] as Key, sorted[from + page - 1] as Key];
    alphabet.learn(last);
    const cut = splitPoint({ first, last, count: page, misses, upTo }, alphabet);
    if (cut === undefined) break;
    const next = sorted.findIndex((key) => compareKeys(key, cut) > 0);
    if (next < 0) {
      counts.missed++;
      misses++;
      upTo = cut;
    } else {
      counts.found++;
      misses = 0;
      from = next;
    }
  }
  return counts;
}

test('a long common head is passed in few cuts, and what comes behind is reached', () => {
  const shapes: Record<string, (n: number) => Key> = {
    flat: (n) => `exports/2026/some/long/common/head/object-${String(n).padStart(8, '0')}.bin`,
    hex: (n) => `blobs/${((n * 2654435761) >>> 0).toString(16).padStart(8, '0')}`,
    deep: (n) => `a/${Math.floor(n / 1000)}/b/${Math.floor(n / 100) % 10}/c/${String(n % 100).padStart(2, '0')}`,
    unicode: (n) => `日本/${String.fromCodePoint(0x4e00 + (n % 97))}${String.fromCodePoint(0x1f600 + Math.floor(n / 97))}`,
  };
  for (const [shape, keyAt] of Object.entries(shapes)) {
    const { found, missed } = cutAll(Array.from({ length: 5000 }, (_, n) => keyAt(n)), 100);
    assert.ok(found >= 2, `${shape}: ${found} found`);
    assert.ok(missed <= 20, `${shape}: ${missed} missed`);
  }
});

test('the estimate is of the right size where keys are spread evenly', () => {
  const keyAt = (n: number): Key => `k${String(n).padStart(6, '0')}`;
  const rest = estimateRest({ first: keyAt(400_000), last: keyAt(409_999), count: 10_000, misses: 0, upTo: 'k5' }, new Alphabet());
  assert.ok(Math.abs(rest - 90_000) < 20_000, String(rest));
  assert.equal(estimateRest({ first: 'a', last: 'c', count: 9, misses: 0, upTo: 'b' }, new Alphabet()), 0);
});
