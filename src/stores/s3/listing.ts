/**
 * A listing, page by page, each proven before it is handed out (truth 2): its form (scanner.ts), that keys lie under the prefix and
 * behind the start, that they ascend where order is promised (F050), and that the next page is another one (F007, F008).
 */
import { BrigadeError, isKind } from '../../core/errors.ts';
import { compareKeys, firstOutOfOrder, isUtf8Key, showKey } from '../../core/key.ts';
import type { Key } from '../../core/key.ts';
import type { EntryReason, ObjectEntry } from '../../core/object.ts';
import { MiB } from '../../core/units.ts';
import type { ListPage, ListRequest } from '../../ports/storage.ts';
import type { S3Call, S3Client } from './client.ts';
import { encodeQuery } from './encode.ts';
import { headObject } from './objects.ts';
import { timeToken } from './time-token.ts';
import { glanceAt } from './glance.ts';
import type { Glance } from './glance.ts';
import { scanListing } from './scanner.ts';
import type { ScannedEntry, ScannedPage } from './scanner.ts';
import { header, joined } from './transport.ts';

const PAGE_BODY = 64 * MiB;
/** What Amazon gives at most; asked for, so that no store sends pages that fill the memory. */
const PAGE_KEYS = 1000;
/** Pages without a key in a row. Stores that skip delete markers or filter late send some; for ever is a loop. */
const MOST_EMPTY_PAGES = 1000;

export interface ListingState {
  /** Keys ascend. Set to false for good once a page proved otherwise (F050). */
  ordered: boolean;
}

/** Where a listing stands between two pages. */
interface Cursor {
  /** Absolute key: the next page must begin behind it. */
  after: Key;
  token: string | undefined;
  first: Key | undefined;
  emptyPages: number;
}

/** How the next page is asked for. */
type Place = Pick<Cursor, 'after' | 'token'>;

/** Promises that waited long for it keep it in memory until all of that is collected: `pieces` are taken out to be read. */
interface Answer {
  pieces: readonly Uint8Array[];
  readonly contentType: string | undefined;
}

/** A page that was handed out unread. */
interface Unread {
  /** What the next one is asked by. */
  readonly next: Place;
  /** Until it is read: what was read is not kept from here. */
  page: LazyPage | undefined;
  error: Error | undefined;
}

/** Pages are put together in the same place, one after the other: a buffer for each of them would be half of all memory that a listing asks for. */
const PLACE = Buffer.allocUnsafeSlow(1 * MiB);

/** Valid until the next call. */
function laidOut(pieces: readonly Uint8Array[]): Buffer {
  let size = 0;
  for (const piece of pieces) size += piece.length;
  if (size > PLACE.length) return joined(pieces);
  let at = 0;
  for (const piece of pieces) {
    PLACE.set(piece, at);
    at += piece.length;
  }
  return PLACE.subarray(0, size);
}

const OVER = { done: true, value: undefined } as const;

/** @throws {BrigadeError} E_LIST_INVALID (transient), E_LIST_ORDER (unsupported, once), E_LIST_LOOP, E_LIST_TRUNCATED (premise). A key that cannot be read from the listing is a failed entry, E_LIST_LOSSY (F038). */
export function listPages(client: S3Client, request: ListRequest, state: ListingState): AsyncIterable<ListPage> {
  return { [Symbol.asyncIterator]: () => new Listing(client, request, state) };
}

/** No generator, whose frame would keep each page until the next one has come: pages are to die young. One step at a time. */
class Listing implements AsyncIterator<ListPage, undefined> {
  readonly #client: S3Client;
  readonly #request: ListRequest;
  readonly #state: ListingState;
  readonly #prefix: string;
  /** Keys up to here are left out of what is handed out. */
  readonly #from: Key;
  readonly #cursor: Cursor;
  #unread: Unread | undefined;
  #busy: Promise<unknown> = Promise.resolve();
  #over = false;

  constructor(client: S3Client, request: ListRequest, state: ListingState) {
    this.#client = client;
    this.#request = request;
    this.#state = state;
    this.#prefix = client.prefix + (request.prefix ?? '');
    const start = request.startAfter === undefined ? '' : client.prefix + request.startAfter;
    // A store whose order is its own means by "after" what it likes (SeaweedFS then forgets the prefix, too): from the beginning, and left out here.
    this.#from = state.ordered ? '' : start;
    this.#cursor = { after: state.ordered ? start : '', token: undefined, first: undefined, emptyPages: 0 };
  }

  next(): Promise<IteratorResult<ListPage, undefined>> {
    const step = this.#step();
    this.#busy = step;
    return step;
  }

  /** Waits for a page that is on its way: its connection is not left to somebody else to find. */
  async return(): Promise<IteratorResult<ListPage, undefined>> {
    this.#over = true;
    await this.#busy.catch(() => undefined); // told to who took the step
    return OVER;
  }

  async #step(): Promise<IteratorResult<ListPage, undefined>> {
    try {
      while (!this.#over) {
        const answer = await this.#ask();
        const page = answer === undefined ? undefined : await this.#handedOut(answer);
        if (page !== undefined) return { done: false, value: page };
      }
      return OVER;
    } catch (thrown) {
      this.#over = true;
      throw thrown;
    }
  }

  /** The next answer. It is nothing if the page before it, when it is read, proves bad or goes on in another way than it seemed to. */
  async #ask(): Promise<Answer | undefined> {
    const unread = this.#unread;
    if (unread === undefined) return this.#fetch(this.#cursor);
    if (unread.error !== undefined) throw unread.error;
    const { answer, error } = await this.#fetch(unread.next).then((came) => ({ answer: came, error: undefined }), (thrown: unknown) => ({ answer: undefined, error: thrown as Error }));
    this.#unread = undefined;
    prove(unread);
    if (this.#over) return undefined;
    const { token, after } = this.#cursor;
    if (token !== unread.next.token || (token === undefined && after !== unread.next.after)) return this.#fetch(this.#cursor);
    if (error !== undefined) throw error;
    return answer;
  }

  async #fetch(place: Place): Promise<Answer> {
    const client = this.#client;
    const query = client.profile.listing.version === 'v2' ? queryV2(this.#prefix, place) : queryV1(this.#prefix, place);
    const headers = client.options.defaults.requesterPays === true ? ['x-amz-request-payer', 'requester'] : [];
    const call: S3Call = { op: 'ListObjects', method: 'GET', query, headers, scope: 'bucket', signal: this.#request.signal };
    const response = await client.send(call);
    return { pieces: await client.pieces(call, response, PAGE_BODY), contentType: header(response.headers, 'content-type') };
  }

  async #handedOut(answer: Answer): Promise<ListPage | undefined> {
    const early = this.#glance(answer);
    if (early !== undefined) return this.#asUnread(answer, early);
    const page = this.#proven(answer);
    if (page.entries.length === 0 && !this.#over) return undefined;
    return { entries: await entriesOf(this.#client, page, this.#from, this.#request.signal), last: this.#over };
  }

  /** Where the next page can be asked for before this one is read. A token that is the last one's again is for the proof to find first. */
  #glance({ pieces }: Answer): Glance | undefined {
    const { listing } = this.#client.profile;
    if (this.#request.ahead !== true || !this.#state.ordered || listing.version !== 'v2') return undefined;
    const found = glanceAt(laidOut(pieces), listing.plusIsSpace);
    const goesOn = found !== undefined && found.reach.startsWith(this.#client.prefix) && (found.token ?? '') !== this.#cursor.token;
    return goesOn ? found : undefined;
  }

  #asUnread(answer: Answer, { token, reach }: Glance): ListPage {
    const unread: Unread = { next: { token, after: reach }, page: undefined, error: undefined };
    this.#unread = unread;
    return unread.page = new LazyPage(reach.slice(this.#client.prefix.length), () => {
      unread.page = undefined;
      try {
        return this.#proven(answer).entries.map((entry) => toEntry(this.#client, entry));
      } catch (thrown) {
        throw unread.error = thrown as Error;
      }
    });
  }

  #proven(answer: Answer): ScannedPage {
    const client = this.#client;
    const { pieces, contentType } = answer;
    answer.pieces = [];
    const page = scanListing(laidOut(pieces), { plusIsSpace: client.profile.listing.plusIsSpace, location: client.address, contentType });
    checkPage(client, page, this.#prefix, this.#cursor, this.#state);
    this.#over ||= !advance(client, page, this.#cursor, this.#state);
    return page;
  }
}

/** @throws what is wrong with the page. */
function prove(unread: Unread): void {
  void unread.page?.entries;
  if (unread.error !== undefined) throw unread.error;
}

/** Read when it is first looked at, once. */
class LazyPage implements ListPage {
  readonly reach: Key;
  readonly #read: () => readonly ObjectEntry[];
  #state: 'unread' | 'read' | 'bad' | 'released' = 'unread';
  #entries: readonly ObjectEntry[] = [];
  #error: Error | undefined;

  constructor(reach: Key, read: () => readonly ObjectEntry[]) {
    this.reach = reach;
    this.#read = read;
  }

  get entries(): readonly ObjectEntry[] {
    if (this.#state === 'unread') this.#readOnce();
    if (this.#error !== undefined) throw this.#error;
    if (this.#state === 'released') throw new TypeError('a page is not looked at after its release');
    return this.#entries;
  }

  release(): void {
    this.#state = 'released';
    this.#entries = [];
  }

  #readOnce(): void {
    try {
      this.#entries = this.#read();
      this.#state = 'read';
    } catch (thrown) {
      this.#error = thrown as Error;
      this.#state = 'bad';
    }
  }
}

function queryV2(prefix: string, cursor: Place): string {
  return encodeQuery({
    'list-type': '2', 'encoding-type': 'url', prefix,
    'max-keys': String(PAGE_KEYS), 'continuation-token': cursor.token,
    'start-after': cursor.token === undefined && cursor.after !== '' ? wireMarker(cursor.after) : undefined,
  });
}

function queryV1(prefix: string, cursor: Place): string {
  const marker = cursor.token ?? wireMarker(cursor.after);
  return encodeQuery({ 'encoding-type': 'url', prefix, 'max-keys': String(PAGE_KEYS), marker: marker === '' ? undefined : marker });
}

/** A key of another store that is not UTF-8 cannot be a marker; listing again from its valid head is safe, as keys before are dropped. */
function wireMarker(key: Key): string {
  if (isUtf8Key(key)) return key;
  let length = 0;
  for (const character of key) {
    if (!isUtf8Key(character)) break;
    length += character.length;
  }
  return key.slice(0, length);
}

function checkPage(client: S3Client, page: ScannedPage, prefix: string, cursor: Cursor, state: ListingState): void {
  if (prefix !== '') for (const { key } of page.entries) {
    if (!key.startsWith(prefix)) throw listError(client, 'E_LIST_INVALID', 'transient', `the listing of prefix ${showKey(prefix)} shows ${showKey(key)}: the store ignores the prefix`);
  }
  if (state.ordered) checkOrder(client, page, cursor, state);
}

function checkOrder(client: S3Client, page: ScannedPage, cursor: Cursor, state: ListingState): void {
  const { entries } = page;
  const wrong = firstOutOfOrder(entries, cursor.after === '' ? undefined : cursor.after);
  if (wrong < 0) return;
  const [key, previous] = [entries[wrong]?.key ?? '', entries[wrong - 1]?.key ?? cursor.after];
  if (wrong === 0) throw repeats(client, key, previous);
  state.ordered = false;
  throw listError(client, 'E_LIST_ORDER', 'unsupported', `the listing shows ${showKey(key)} after ${showKey(previous)}: this store does not list in key order`, 'set the provider, or list again: differences are then found by set');
}

function repeats(client: S3Client, key: Key, after: Key): BrigadeError {
  return listError(client, 'E_LIST_LOOP', 'premise', `the listing does not go forward: asked for keys after ${showKey(after)}, it begins with ${showKey(key)}`);
}

/** Moves the cursor behind this page. False at the end of the listing. */
function advance(client: S3Client, page: ScannedPage, cursor: Cursor, state: ListingState): boolean {
  if (!page.truncated) return false;
  const last = page.entries.at(-1)?.key;
  const first = page.entries[0]?.key;
  checkProgress(client, page, cursor);
  const marker = page.nextToken ?? (client.profile.listing.version === 'v1' ? last : undefined);
  if (marker === undefined && (last === undefined || !state.ordered)) {
    throw listError(client, 'E_LIST_TRUNCATED', 'premise', 'the listing says that there is more and does not say how to go on');
  }
  cursor.token = marker;
  cursor.first = first ?? cursor.first;
  if (last !== undefined) cursor.after = last;
  return true;
}

/** F008: another first key, another token, and a key now and then. */
function checkProgress(client: S3Client, page: ScannedPage, cursor: Cursor): void {
  const first = page.entries[0]?.key;
  if (first !== undefined && first === cursor.first) throw repeats(client, first, cursor.after);
  if (page.nextToken !== undefined && page.nextToken === cursor.token) throw listError(client, 'E_LIST_LOOP', 'premise', 'the listing gives the same continuation token again');
  cursor.emptyPages = first === undefined ? cursor.emptyPages + 1 : 0;
  if (cursor.emptyPages > MOST_EMPTY_PAGES) throw listError(client, 'E_LIST_LOOP', 'premise', `${MOST_EMPTY_PAGES} pages in a row without a key`);
}

function entriesOf(client: S3Client, page: ScannedPage, from: Key, signal: AbortSignal | undefined): ObjectEntry[] | Promise<ObjectEntry[]> {
  const entries = from === '' ? page.entries : page.entries.filter(({ key }) => compareKeys(key, from) > 0);
  const suspect = !page.encoded && entries.some(({ key }) => key.includes(REPLACEMENT));
  if (!suspect) return entries.map((entry) => toEntry(client, entry));
  return Promise.all(entries.map(async (entry) => (entry.key.includes(REPLACEMENT) && (await isLossy(client, entry, signal)) ? lossyEntry(client, entry) : toEntry(client, entry))));
}

const REPLACEMENT = '\ufffd';

/** U+FFFD in a listing that is not encoded: a key that really holds it, or bytes that the store could not write as XML (F038)? The object itself tells. */
async function isLossy(client: S3Client, entry: ScannedEntry, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    const info = await headObject(client, entry.key.slice(client.prefix.length), signal === undefined ? {} : { signal });
    return entry.token !== '' && info.token !== entry.token;
  } catch (thrown) {
    if (isKind(thrown, 'gone')) return true;
    throw thrown;
  }
}

function lossyEntry(client: S3Client, entry: ScannedEntry): ObjectEntry {
  const reason: EntryReason = { state: 'failed', code: 'E_LIST_LOSSY', message: 'the listing shows U+FFFD in place of bytes of this key, so the object cannot be named', hint: 'rename it at the source, or exclude it (select.exclude)' };
  return { ...toEntry(client, entry), kind: 'special', reason };
}

const EMPTY_KEY: EntryReason = {
  state: 'failed', code: 'E_KEY_EMPTY', message: 'an object whose key is the prefix itself has no name below it',
  hint: 'migrate from a shorter prefix (with select.include), or rename it at the source',
};
/** Consoles make a folder by writing a zero-byte object under its name: the marker of the place the migration reads from, none of its contents (F044). */
const PREFIX_MARKER: EntryReason = { state: 'skipped', code: 'prefix_marker', message: 'the zero-byte marker of the prefix itself' };

function toEntry(client: S3Client, entry: ScannedEntry): ObjectEntry {
  const { size, modifiedMs, storageClass } = entry;
  // Nearly all, and with nothing to change: a second object for each key of a listing is worth avoiding.
  if (client.prefix === '' && entry.key !== '' && entry.token !== '' && isWhole(entry)) return entry;
  const key = entry.key.slice(client.prefix.length);
  const token = entry.token === '' ? timeToken(modifiedMs) : entry.token;
  if (key === '') return { key, size, token, kind: 'special', reason: size === 0 && client.prefix.endsWith('/') ? PREFIX_MARKER : EMPTY_KEY };
  return {
    key, size, token, kind: 'object',
    ...(modifiedMs === undefined ? {} : { modifiedMs }),
    ...(storageClass === undefined ? {} : { storageClass }),
  };
}

function isWhole(entry: ScannedEntry): entry is ScannedEntry & { readonly modifiedMs: number; readonly storageClass: string } {
  return entry.modifiedMs !== undefined && entry.storageClass !== undefined;
}

function listError(client: S3Client, code: string, kind: BrigadeError['kind'], message: string, hint?: string): BrigadeError {
  return new BrigadeError({ code, kind, op: 'ListObjects', location: client.address, message, ...(hint === undefined ? {} : { hint }) });
}
