/**
 * Reads a page of a listing without an XML parser: 1,000 keys are one pass over the bytes. A page is guilty until proven (truth 2):
 * whatever is missing, malformed or cut makes E_LIST_INVALID, never an empty page.
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 */
import { BrigadeError, oneLine } from '../../core/errors.ts';
import { keyFromBytes } from '../../core/key.ts';
import type { Key } from '../../core/key.ts';
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
const NOT_ASCII = /[^\u0000-\u007f]/;
/** An object while it is read. No key holds U+0000 in XML. */
type Draft = { -readonly [F in keyof ScannedEntry]: ScannedEntry[F] };
const NO_KEY = '\u0000';
const LESS = 60;
const SLASH = 47;

/** @throws {BrigadeError} E_LIST_INVALID (transient). */
export function scanListing(body: Buffer, options: ScanOptions): ScannedPage {
  return new Scan(body, options).page();
}

class Scan {
  readonly #text: string;
  readonly #options: ScanOptions;
  /** The store said that keys are percent-encoded; asked for always, honoured by most. */
  readonly #encoded: boolean;
  readonly #entries: ScannedEntry[] = [];
  readonly #fields = new Map<string, string>();
  #prefixes = 0;

  constructor(body: Buffer, options: ScanOptions) {
    this.#options = options;
    const latin1 = body.toString('latin1');
    this.#encoded = latin1.includes('<EncodingType>url</EncodingType>');
    this.#text = !this.#encoded && NOT_ASCII.test(latin1) ? body.toString('utf8') : latin1;
  }

  page(): ScannedPage {
    this.#walk(this.#openRoot());
    const truncated = this.#fields.get('IsTruncated');
    if (truncated !== 'true' && truncated !== 'false') throw this.#invalid('it does not say whether it is the last page (IsTruncated)');
    const count = this.#fields.get('KeyCount');
    if (count !== undefined && Number(count) !== this.#entries.length + this.#prefixes) throw this.#invalid(`it says ${oneLine(count, 20)} keys and holds ${this.#entries.length + this.#prefixes}`);
    return { entries: this.#entries, encoded: this.#encoded, truncated: truncated === 'true', nextToken: this.#next() };
  }

  #next(): string | undefined {
    const token = this.#fields.get('NextContinuationToken');
    const marker = this.#fields.get('NextMarker');
    // Keys of an encoded page are all ASCII, so its text was read as bytes; a token is the store's own and may not be.
    if (token !== undefined && token !== '') return this.#encoded && NOT_ASCII.test(token) ? Buffer.from(token, 'latin1').toString('utf8') : token;
    return marker === undefined || marker === '' ? undefined : this.#decodeKey(marker);
  }

  /** Position after the root's opening tag. The closing tag must be the last thing of the page: a cut page has none. */
  #openRoot(): number {
    const text = this.#text;
    const at = text.indexOf(`<${ROOT}`);
    const start = at < 0 ? -1 : text.indexOf('>', at);
    if (start < 0 || !/^\s*(?:<\?xml[^>]*\?>\s*)?$/.test(text.slice(0, at).replace(/^(?:\ufeff|\u00ef\u00bb\u00bf)/, ''))) throw this.#invalid(this.#otherThing());
    if (!text.endsWith(`</${ROOT}>`) && !text.trimEnd().endsWith(`</${ROOT}>`)) throw this.#invalid('it is cut off before its end');
    return start + 1;
  }

  #otherThing(): string {
    const { contentType } = this.#options;
    if (this.#text.trim() === '') return 'it is empty';
    const html = contentType?.includes('html') === true || /^\s*<(?:!doctype\s+html|html)/i.test(this.#text);
    if (html) return `it is ${contentType?.split(';')[0] ?? 'text/html'}: a proxy or a wrong endpoint?`;
    return `its root is not ${ROOT}: ${oneLine(this.#text, 80)}`;
  }

  #walk(from: number): void {
    const text = this.#text;
    let at = from;
    for (;;) {
      const open = text.indexOf('<', at);
      if (open < 0) throw this.#invalid('it ends inside an element');
      if (text.charCodeAt(open + 1) === SLASH) return;
      if (text.startsWith('<Contents>', open)) at = this.#contents(open + 10);
      else at = this.#field(open);
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

  /** One object: from after `<Contents>` to after `</Contents>`. The hot loop: one indexOf per tag. */
  #contents(from: number): number {
    const text = this.#text;
    const entry: Draft = { key: NO_KEY, size: -1, token: '', kind: 'object', modifiedMs: undefined, storageClass: undefined };
    let at = from;
    for (;;) {
      const open = text.charCodeAt(at) === LESS ? at : this.#find('<', at);
      if (text.charCodeAt(open + 1) === SLASH) {
        at = this.#find('>', open) + 1;
        break;
      }
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
    if (entry.key === NO_KEY || entry.size < 0) throw this.#invalid('an object without a key or size');
    entry.key = this.#decodeKey(entry.key);
    this.#entries.push(entry);
    return at;
  }

  /** Known by the length of its name first, which costs no string for it. `name`, `close` and `end`: where its name begins, that ends, and its value ends. */
  #fact(entry: Draft, name: number, close: number, end: number): void {
    const text = this.#text;
    switch (close - name) {
      case 3: if (text.startsWith('Key', name)) entry.key = text.slice(close + 1, end); break;
      case 4:
        if (text.startsWith('Size', name)) entry.size = this.#size(close + 1, end);
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

  #size(from: number, to: number): number {
    let value = 0;
    for (let i = from; i < to; i++) {
      const digit = this.#text.charCodeAt(i) - 48;
      if (digit < 0 || digit > 9) return -1;
      value = value * 10 + digit;
    }
    return to > from && Number.isSafeInteger(value) ? value : -1;
  }

  #decodeKey(raw: string): Key {
    const key = raw.includes('&') ? decodeText(raw) : raw;
    if (this.#encoded) return decodeEncoded(key, this.#options.plusIsSpace);
    return key;
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
