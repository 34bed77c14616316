/**
 * Reads a page of a listing without an XML parser: 1,000 keys are one pass over the bytes. A page is guilty until proven (truth 2):
 * whatever is missing, malformed or cut makes E_LIST_INVALID, never an empty page.
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 */
import { isAscii } from 'node:buffer';
import { BrigadeError, oneLine } from '../../core/errors.ts';
import { keyFromBytes, ownKey } from '../../core/key.ts';
import type { Key } from '../../core/key.ts';
import type { Mutable } from '../../core/mutable.ts';
import { KiB } from '../../core/units.ts';
import { decodeText } from './xml.ts';

export interface ScannedEntry {
  readonly key: Key;
  readonly size: number;
  /** The ETag without its quotes; '' where the store gave none. */
  readonly token: string;
  readonly kind: 'object';
  readonly modifiedMs: number | undefined;
  readonly storageClass: string | undefined;
}

export interface ScannedPage {
  readonly entries: readonly ScannedEntry[];
  /** Keys came percent-encoded, so that every byte of them is exact; otherwise U+FFFD may stand for bytes that XML cannot hold (F038). */
  readonly encoded: boolean;
  readonly truncated: boolean;
  /** NextContinuationToken (V2) or NextMarker (V1, decoded). */
  readonly nextToken: string | undefined;
}

export interface ScanOptions {
  /** In an encoded listing `+` is a space (AWS and most); a store that escapes as in a path means a plus. */
  readonly plusIsSpace: boolean;
  /** For messages: the store's address. */
  readonly location: string;
  readonly contentType?: string | undefined;
}

const ROOT = 'ListBucketResult';
const CONTENTS = '<Contents>';
const CONTENTS_END = '</Contents>';
const ENCODED = '<EncodingType>url</EncodingType>';
const NOT_ASCII = /[^\u0000-\u007f]/;
/** An object while it is read. */
type Draft = Mutable<ScannedEntry>;
/** No key holds U+0000 in XML. */
const NO_KEY = '\u0000';
const LESS = 60;
const SLASH = 47;
/** Objects become text so many bytes at a time: strings beyond 128 KiB are pages of V8's memory of their own, made and unmade for each listing page. */
const PIECE = 48 * KiB;

/** @throws {BrigadeError} E_LIST_INVALID (transient). */
export function scanListing(body: Buffer, options: ScanOptions): ScannedPage {
  return scanPieces(body, options) ?? new Scan(wholeText(body), body.includes(ENCODED), options).page();
}

function wholeText(body: Buffer): string {
  return body.includes(ENCODED) || isAscii(body) ? body.toString('latin1') : body.toString('utf8');
}

/**
 * The usual page: what stands around its objects, then these, some at a time. Undefined where anything about it is not usual: the page is
 * then read as one text, which alone says what is wrong with it.
 */
function scanPieces(body: Buffer, options: ScanOptions): ScannedPage | undefined {
  const from = body.indexOf(CONTENTS);
  const to = body.lastIndexOf(CONTENTS_END) + CONTENTS_END.length;
  const head = body.toString('latin1', 0, Math.max(0, from));
  const tail = body.toString('latin1', Math.max(0, to));
  const encoded = head.includes(ENCODED) || tail.includes(ENCODED);
  if (from < 0 || to < from || !(encoded || isAscii(body))) return undefined;
  try {
    const scan = new Scan(head, encoded, options);
    scan.head();
    for (let at = from; at < to;) {
      const end = to - at <= PIECE ? to : body.lastIndexOf(CONTENTS_END, at + PIECE) + CONTENTS_END.length;
      if (end <= at) return undefined;
      scan.objects(body.toString('latin1', at, end));
      at = end;
    }
    return scan.tail(tail);
  } catch (thrown) {
    if (thrown instanceof BrigadeError) return undefined; // told anew, and better, of the whole
    throw thrown;
  }
}

class Scan {
  #text: string;
  readonly #options: ScanOptions;
  /** The store said that keys are percent-encoded; asked for always, honoured by most. */
  readonly #encoded: boolean;
  /** Whether keys of this text can hold such a character at all. */
  #percent = true;
  #plus = true;
  readonly #entries: Draft[] = [];
  readonly #fields = new Map<string, string>();
  #prefixes = 0;

  constructor(text: string, encoded: boolean, options: ScanOptions) {
    this.#text = text;
    this.#encoded = encoded;
    this.#options = options;
  }

  page(): ScannedPage {
    const start = this.#openRoot();
    this.#proveEnd();
    this.#walk(start);
    return this.#made();
  }

  /** What comes before the first object, which must be whole elements. */
  head(): void {
    if (this.#walk(this.#openRoot(), true) !== this.#text.length) throw this.#invalid('it ends inside an element');
  }

  /** Objects, one behind the other and nothing else. */
  objects(text: string): void {
    this.#text = text;
    this.#percent = text.includes('%');
    this.#plus = text.includes('+');
    for (let at = 0; at < text.length;) {
      if (!text.startsWith(CONTENTS, at)) throw this.#invalid('something stands between its objects');
      at = this.#contents(at + CONTENTS.length);
    }
  }

  /** What comes behind the last object. */
  tail(text: string): ScannedPage {
    this.#text = text;
    this.#percent = this.#plus = true;
    this.#proveEnd();
    this.#walk(0);
    return this.#made();
  }

  #made(): ScannedPage {
    const truncated = this.#fields.get('IsTruncated');
    if (truncated !== 'true' && truncated !== 'false') throw this.#invalid('it does not say whether it is the last page (IsTruncated)');
    const count = this.#fields.get('KeyCount');
    if (count !== undefined && Number(count) !== this.#entries.length + this.#prefixes) throw this.#invalid(`it says ${oneLine(count, 20)} keys and holds ${this.#entries.length + this.#prefixes}`);
    // Where a page begins and ends is remembered for long, by cursors, ranges and checkpoints.
    for (const entry of [this.#entries[0], this.#entries.at(-1)]) if (entry !== undefined) entry.key = ownKey(entry.key);
    return { entries: this.#entries, encoded: this.#encoded, truncated: truncated === 'true', nextToken: this.#next() };
  }

  #next(): string | undefined {
    const token = this.#fields.get('NextContinuationToken');
    const marker = this.#fields.get('NextMarker');
    // Keys of an encoded page are all ASCII, so its text was read as bytes; a token is the store's own and may not be.
    if (token !== undefined && token !== '') return this.#encoded && NOT_ASCII.test(token) ? Buffer.from(token, 'latin1').toString('utf8') : token;
    return marker === undefined || marker === '' ? undefined : this.#decodeKey(marker);
  }

  /** Position after the root's opening tag. */
  #openRoot(): number {
    const text = this.#text;
    const at = text.indexOf(`<${ROOT}`);
    const start = at < 0 ? -1 : text.indexOf('>', at);
    if (start < 0 || !/^\s*(?:<\?xml[^>]*\?>\s*)?$/.test(text.slice(0, at).replace(/^(?:\ufeff|\u00ef\u00bb\u00bf)/, ''))) throw this.#invalid(this.#otherThing());
    return start + 1;
  }

  /** The root's closing tag must be the last thing of the page: a cut page has none. */
  #proveEnd(): void {
    const text = this.#text;
    if (!text.endsWith(`</${ROOT}>`) && !text.trimEnd().endsWith(`</${ROOT}>`)) throw this.#invalid('it is cut off before its end');
  }

  #otherThing(): string {
    const { contentType } = this.#options;
    if (this.#text.trim() === '') return 'it is empty';
    const html = contentType?.includes('html') === true || /^\s*<(?:!doctype\s+html|html)/i.test(this.#text);
    if (html) return `it is ${contentType?.split(';')[0] ?? 'text/html'}: a proxy or a wrong endpoint?`;
    return `its root is not ${ROOT}: ${oneLine(this.#text, 80)}`;
  }

  /** Up to the closing tag of the root; `open`: or up to the end of the text. */
  #walk(from: number, open = false): number {
    const text = this.#text;
    let at = from;
    for (;;) {
      const next = text.indexOf('<', at);
      if (next < 0 && open) return text.length;
      if (next < 0) throw this.#invalid('it ends inside an element');
      if (text.charCodeAt(next + 1) === SLASH) return next;
      if (text.startsWith(CONTENTS, next)) at = this.#contents(next + CONTENTS.length);
      else at = this.#field(next);
    }
  }

  /** A child of the root other than Contents. */
  #field(open: number): number {
    const close = this.#find('>', open);
    const selfClosing = this.#text.charCodeAt(close - 1) === SLASH;
    const name = this.#text.slice(open + 1, selfClosing ? close - 1 : close).split(/\s/, 1)[0] as string;
    if (name === 'CommonPrefixes') this.#prefixes++;
    if (selfClosing) {
      this.#fields.set(name, '');
      return close + 1;
    }
    const end = this.#find(`</${name}>`, close);
    if (name !== 'CommonPrefixes') this.#fields.set(name, decodeText(this.#text.slice(close + 1, end)));
    return end + name.length + 3;
  }

  /** One object: from after `<Contents>` to after `</Contents>`. */
  #contents(from: number): number {
    const entry: Draft = { key: NO_KEY, size: -1, token: '', kind: 'object', modifiedMs: undefined, storageClass: undefined };
    const usual = usualObject(this.#text, from, entry);
    const at = usual === 0 ? this.#elements(from, entry) : usual;
    if (entry.key === NO_KEY || entry.size < 0) throw this.#invalid('an object without a key or size');
    entry.key = this.#decodeKey(entry.key);
    this.#entries.push(entry);
    return at;
  }

  /** Its elements, whatever they are: one indexOf per tag. */
  #elements(from: number, entry: Draft): number {
    const text = this.#text;
    let at = from;
    for (;;) {
      const open = text.charCodeAt(at) === LESS ? at : this.#find('<', at);
      if (text.charCodeAt(open + 1) === SLASH) return this.#find('>', open) + 1;
      const close = this.#find('>', open);
      if (text.charCodeAt(close - 1) === SLASH) {
        if (text.startsWith('<Key', open)) entry.key = '';
        at = close + 1;
        continue;
      }
      const end = this.#find('<', close);
      if (text.charCodeAt(end + 1) !== SLASH) {
        at = this.#nested(open, close);
        if (text.startsWith('<Key>', open)) entry.key = decodeText(text.slice(close + 1, at - 6));
        continue;
      }
      this.#fact(entry, open + 1, close, end);
      at = end + (close - open) + 2;
    }
  }

  /** Known by the length of its name first, which costs no string for it. `name`, `close` and `end`: where its name begins, that ends, and its value ends. */
  #fact(entry: Draft, name: number, close: number, end: number): void {
    const text = this.#text;
    switch (close - name) {
      case 3: if (text.startsWith('Key', name)) entry.key = text.slice(close + 1, end); break;
      case 4:
        if (text.startsWith('Size', name)) entry.size = sizeAt(text, close + 1, end);
        else if (text.startsWith('ETag', name)) entry.token = etagAt(text, close + 1, end);
        break;
      case 12:
        if (text.startsWith('LastModified', name)) entry.modifiedMs = timeAt(text, close + 1, end);
        else if (text.startsWith('StorageClass', name)) entry.storageClass = storageClassAt(text, close + 1, end);
        break;
    }
  }

  /** Position after an element that has children (Owner, RestoreStatus) or CDATA. */
  #nested(open: number, close: number): number {
    const name = this.#text.slice(open + 1, close).split(/\s/, 1)[0] as string;
    return this.#find(`</${name}>`, close) + name.length + 3;
  }

  #decodeKey(raw: string): Key {
    const key = raw.includes('&') ? decodeText(raw) : raw;
    return this.#encoded && (this.#percent || this.#plus) ? decodeEncoded(key, this.#options.plusIsSpace) : key;
  }

  #find(what: string, from: number): number {
    const at = this.#text.indexOf(what, from);
    if (at < 0) throw this.#invalid('it ends inside an element');
    return at;
  }

  #invalid(why: string): BrigadeError {
    const { location } = this.#options;
    const html = why.includes('html') ? { hint: 'check the endpoint and any proxy between' } : {};
    return new BrigadeError({ code: 'E_LIST_INVALID', kind: 'transient', op: 'ListObjects', location, message: `the answer is not a page of a listing: ${why}`, ...html });
  }
}

/** Percent-encoding of listings (F037): `+` first, then %XX; bytes that are not UTF-8 are kept as such. */
export function decodeEncoded(text: string, plusIsSpace: boolean): Key {
  const spaced = plusIsSpace && text.includes('+') ? text.replaceAll('+', ' ') : text;
  if (!spaced.includes('%')) return spaced;
  try {
    return decodeURIComponent(spaced);
  } catch {
    // Not UTF-8 or a stray percent sign: byte by byte, so that no key is lost.
    const bytes = spaced.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
    return keyFromBytes(Buffer.from(bytes, 'latin1'));
  }
}

const QUOT = '&quot;';
const [KEY, KEY_TIME, TIME_ETAG, ETAG_END, SIZE, SIZE_CLASS, CLASS_END] = ['<Key>', '</Key><LastModified>', '</LastModified><ETag>&quot;', '&quot;</ETag>', '<Size>', '</Size><StorageClass>', '</StorageClass></Contents>'] as const;
/** `2026-11-21T09:00:00.000Z` */
const TIME = 24;

/** An object as nearly all stores write it, from after `<Contents>`: position after it. 0: written in another way, and nothing is filled in that would not be again. */
function usualObject(text: string, from: number, entry: Draft): number {
  const keyEnd = text.indexOf('<', from + KEY.length);
  if (!text.startsWith(KEY, from) || !text.startsWith(KEY_TIME, keyEnd)) return 0;
  const time = keyEnd + KEY_TIME.length;
  const etag = time + TIME + TIME_ETAG.length;
  if (!text.startsWith(TIME_ETAG, time + TIME)) return 0;
  const etagEnd = text.indexOf('&', etag);
  if (!text.startsWith(ETAG_END, etagEnd)) return 0;
  const size = etagEnd + ETAG_END.length + SIZE.length;
  const sizeEnd = text.indexOf('<', size);
  if (!text.startsWith(SIZE, size - SIZE.length) || !text.startsWith(SIZE_CLASS, sizeEnd)) return 0;
  const start = sizeEnd + SIZE_CLASS.length;
  const end = text.indexOf('<', start);
  if (!text.startsWith(CLASS_END, end)) return 0;
  entry.key = text.slice(from + KEY.length, keyEnd);
  entry.modifiedMs = timeAt(text, time, time + TIME);
  entry.token = text.slice(etag, etagEnd);
  entry.size = sizeAt(text, size, sizeEnd);
  entry.storageClass = storageClassAt(text, start, end);
  return end + CLASS_END.length;
}

function sizeAt(text: string, from: number, to: number): number {
  let value = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return to > from && Number.isSafeInteger(value) ? value : -1;
}

/** An ETag as a token: without the quotes; weak ones keep their `W/"…"`. */
export function bareEtag(raw: string): string {
  // Most stores write the quotes as references: that alone needs no decoder.
  if (raw.startsWith(QUOT) && raw.endsWith(QUOT) && raw.length >= 2 * QUOT.length && !raw.slice(QUOT.length, -QUOT.length).includes('&')) return raw.slice(QUOT.length, -QUOT.length);
  const text = raw.includes('&') ? decodeText(raw) : raw;
  return text.length > 1 && text.charCodeAt(0) === 34 && text.charCodeAt(text.length - 1) === 34 ? text.slice(1, -1) : text;
}

/** The usual form, references for quotes and none within, needs neither a decoder nor a second string. */
function etagAt(text: string, from: number, to: number): string {
  const [start, end] = [from + QUOT.length, to - QUOT.length];
  const usual = end >= start && text.startsWith(QUOT, from) && text.startsWith(QUOT, end) && text.indexOf('&', start) === end;
  return usual ? text.slice(start, end) : bareEtag(text.slice(from, to));
}

let lastClass = 'STANDARD';

/** Nearly always the same as before. */
function storageClassAt(text: string, from: number, to: number): string {
  if (to - from === lastClass.length && text.startsWith(lastClass, from)) return lastClass;
  return (lastClass = storageClassOf(text.slice(from, to)));
}

/** The same few words for millions of objects: one string each, not a slice that keeps its page alive. */
function storageClassOf(text: string): string {
  let known = STORAGE_CLASSES.get(text);
  if (known === undefined) {
    known = Buffer.from(text).toString();
    if (STORAGE_CLASSES.size < 64) STORAGE_CLASSES.set(known, known);
  }
  return known;
}

const STORAGE_CLASSES = new Map<string, string>();

let cachedDay = 'none yet';
let cachedDayMs = 0;

/** `2026-11-21T09:00:00.000Z`, by hand with the day cached: Date.parse is the dearest part of a page otherwise. */
export function parseTime(text: string): number | undefined {
  return timeAt(text, 0, text.length);
}

function timeAt(text: string, from: number, to: number): number | undefined {
  if (to - from < 20 || text.charCodeAt(to - 1) !== 90 || text.charCodeAt(from + 10) !== 84) return slowTime(text.slice(from, to));
  if (!text.startsWith(cachedDay, from)) {
    const day = text.slice(from, from + 10);
    const parsed = Date.parse(`${day}T00:00:00Z`);
    if (Number.isNaN(parsed)) return undefined;
    cachedDay = Buffer.from(day).toString(); // not a slice that keeps its page alive
    cachedDayMs = parsed;
  }
  const seconds = digits(text, from + 11) * 3600 + digits(text, from + 14) * 60 + digits(text, from + 17);
  const fraction = to - from > 20 && !text.startsWith('.000Z', from + 19) ? Math.floor(Number(text.slice(from + 19, to - 1)) * 1000 + 1e-6) : 0;
  return Number.isNaN(seconds + fraction) ? undefined : cachedDayMs + seconds * 1000 + fraction;
}

function digits(text: string, at: number): number {
  const value = (text.charCodeAt(at) - 48) * 10 + text.charCodeAt(at + 1) - 48;
  return value >= 0 && value < 61 ? value : NaN;
}

function slowTime(text: string): number | undefined {
  const parsed = Date.parse(text);
  return Number.isNaN(parsed) ? undefined : parsed;
}
