/**
 * A key is a sequence of bytes. In memory it is a JavaScript string: valid UTF-8 decodes as usual, and a byte that is not part of
 * valid UTF-8 (a file name may hold any byte but `/` and NUL, F046) becomes one lone low surrogate U+DC80…U+DCFF. No other lone
 * surrogate ever occurs, so bytes → key → bytes is the identity and two keys are equal exactly when their bytes are.
 */
export type Key = string;

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The key of these bytes. */
export function keyFromBytes(bytes: Uint8Array): Key {
  try {
    return strict.decode(bytes);
  } catch {
    // Not UTF-8: carried byte by byte below. The decoder's error says nothing that we do not know.
    return escapeInvalid(bytes);
  }
}

/** The bytes of a key, as S3 and file systems see them. */
export function keyToBytes(key: Key): Buffer {
  if (!LONE_SURROGATE.test(key)) return Buffer.from(key, 'utf8');
  const pieces: Buffer[] = [];
  for (const character of key) {
    const code = character.codePointAt(0) ?? 0;
    pieces.push(code >= 0xdc80 && code <= 0xdcff ? Buffer.from([code & 0xff]) : Buffer.from(character, 'utf8'));
  }
  return Buffer.concat(pieces);
}

/** Whether the key's bytes are valid UTF-8, as every object store demands. */
export function isUtf8Key(key: Key): boolean {
  return !LONE_SURROGATE.test(key);
}

/** Bytes the key takes: what 1,024-byte limits count. */
export function keyLength(key: Key): number {
  return LONE_SURROGATE.test(key) ? keyToBytes(key).length : Buffer.byteLength(key, 'utf8');
}

/**
 * The one order of keys: by bytes, as S3 lists them. JavaScript's `<` compares UTF-16 units, which differs above U+FFFF (F048).
 * Surrogates only differ from that order against units ≥ U+E000 or against escaped bytes, so plain units decide all else.
 */
export function compareKeys(a: Key, b: Key): number {
  return compareFrom(a, b, 0);
}

/** Where both begin with the same `from` units. */
function compareFrom(a: Key, b: Key, from: number): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = from; i < shorter; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return x < 0xd800 && y < 0xd800 ? x - y : Math.sign(Buffer.compare(keyToBytes(a), keyToBytes(b)));
  }
  return a.length - b.length;
}

/**
 * Index of the first of these that does not come after the one before it (`after` before the first); -1 where all ascend. Keys of a page
 * have a long head in common, which a native comparison passes many times faster.
 */
export function firstOutOfOrder(entries: readonly { readonly key: Key }[], after: Key | undefined): number {
  const [first, last] = [entries[0]?.key ?? '', entries.at(-1)?.key ?? ''];
  let length = 0;
  while (length < first.length && first.charCodeAt(length) === last.charCodeAt(length)) length++;
  const head = first.slice(0, length);
  let previous = after;
  let shared = false;
  for (let i = 0; i < entries.length; i++) {
    const { key } = entries[i] as { readonly key: Key };
    const shares = length > 0 && key.startsWith(head);
    if (previous !== undefined && compareFrom(key, previous, shares && shared ? length : 0) <= 0) return i;
    previous = key;
    shared = shares;
  }
  return -1;
}

/** The same key with memory of its own: as read, it is a piece of the page that it stood on and keeps that alive. For the few keys of a page that outlive it. */
export function ownKey(key: Key): Key {
  return JSON.parse(JSON.stringify(key)) as Key; // exact for lone surrogates, too: they go through escaped
}

export function laterKey(a: Key, b: Key): Key {
  return compareKeys(a, b) >= 0 ? a : b;
}

/** A key for people and logs: JSON-escaped, so that no key can move the cursor or forge a line (F118). */
export function showKey(key: Key): string {
  const quoted = JSON.stringify(key);
   
  return quoted.replace(/[\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function escapeInvalid(bytes: Uint8Array): Key {
  let key = '';
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length === 0) key += String.fromCharCode(0xdc00 + (bytes[at] as number));
    else key += strict.decode(bytes.subarray(at, at + length));
    at += Math.max(1, length);
  }
  return key;
}

/** Lead bytes with their length and the bounds of the second byte (RFC 3629 §4). */
const LEADS: readonly (readonly [from: number, to: number, length: number, low: number, high: number])[] = [
  [0xc2, 0xdf, 2, 0x80, 0xbf], [0xe0, 0xe0, 3, 0xa0, 0xbf], [0xe1, 0xec, 3, 0x80, 0xbf], [0xed, 0xed, 3, 0x80, 0x9f],
  [0xee, 0xef, 3, 0x80, 0xbf], [0xf0, 0xf0, 4, 0x90, 0xbf], [0xf1, 0xf3, 4, 0x80, 0xbf], [0xf4, 0xf4, 4, 0x80, 0x8f],
];

/** Length of the valid UTF-8 sequence that starts here, or 0. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first < 0x80) return 1;
  const lead = LEADS.find(([from, to]) => first >= from && first <= to);
  if (lead === undefined) return 0;
  const [, , length, low, high] = lead;
  const rest = bytes.subarray(at + 1, at + length);
  if (rest.length < length - 1 || (rest[0] as number) < low || (rest[0] as number) > high) return 0;
  return rest.every((byte) => (byte & 0xc0) === 0x80) ? length : 0;
}
