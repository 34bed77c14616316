/**
 * One side's listing of a range, in key order. Pages are fetched one ahead; order is checked once more here, because everything after relies
 * on it (F048–F050). A store that does not list in order goes through the sorter instead, and is never cut into ranges.
 */
import { BrigadeError } from '../core/errors.ts';
import { compareKeys, firstOutOfOrder, type Key, showKey } from '../core/key.ts';
import type { ObjectEntry } from '../core/object.ts';
import type { EntrySorter } from '../ports/sorter.ts';
import type { ListPage, Store } from '../ports/storage.ts';

export interface ListingOptions {
  readonly startAfter?: Key | undefined;
  /** The last key that belongs to this listing, which may come nearer while it goes on; absent: all. */
  readonly bound?: { readonly upTo?: Key | undefined } | undefined;
  readonly prefix?: Key | undefined;
  readonly signal: AbortSignal;
  readonly sorter: () => EntrySorter;
  readonly onPage: (objects: number, bytes: number) => void;
  /** Keys of a page within the bound, as soon as it is there. */
  readonly onKeys?: (first: Key, last: Key, count: number) => void;
  /** Nothing more will come. `wasted`: the store was asked and had nothing within the bound. */
  readonly onEnd?: (wasted: boolean) => void;
  /** What another listing has read of this one already: it goes on from there. */
  readonly seed?: Seed | undefined;
}

/** Entries that were listed for a range which no longer reaches so far. `complete`: there are no others up to the end of that range. */
export interface Seed { readonly entries: readonly ObjectEntry[]; readonly complete: boolean }

/** Entries in key order, keys strictly ascending. Ends only when the store proved that the listing is complete (truth 2). */
export async function* listInOrder(store: Store, options: ListingOptions): AsyncGenerator<ObjectEntry, void, undefined> {
  const entries = new EntryCursor(store, options);
  try {
    while (await entries.more()) {
      for (let entry = entries.peek(); entry !== undefined; entry = entries.peek()) {
        entries.take();
        yield entry;
      }
    }
  } finally {
    await entries.close();
  }
}

interface Page {
  readonly entries: readonly ObjectEntry[];
  /** Nothing comes behind it up to the bound. */
  readonly isLast: boolean;
}

/** As it came: read, or still to be read. */
type Arrived = Page | UnreadPage;
type UnreadPage = ListPage & { readonly reach: Key };

const NO_PAGE: Page = { entries: [], isLast: true };
const NO_ENTRIES: readonly ObjectEntry[] = [];
const OVER = { done: true, value: undefined } as const;

/** The same without a step of the event loop per entry: `peek` and `take` until nothing is left, then `more`. */
export class EntryCursor {
  readonly #store: Store;
  readonly #options: ListingOptions;
  readonly #ordered: boolean;
  #pages: AsyncIterator<ListPage, unknown> | undefined;
  #seeded = false;
  #ahead: Promise<Arrived>;
  /** The page that is being turned to, and the one ahead, once it is there. */
  #inHand: UnreadPage | undefined;
  #arrived: Arrived | undefined;
  #page: Page = { entries: NO_ENTRIES, isLast: false };
  #at = 0;
  #end = 0;
  /** The bound by which the page was cut. */
  #upTo: Key | undefined;
  #last: Key | undefined;
  #found = false;
  #asked = false;

  constructor(store: Store, options: ListingOptions) {
    this.#store = store;
    this.#options = options;
    this.#ordered = store.facts.ordered;
    this.#ahead = this.#fetch();
  }

  /** The next entry, if it is there already. */
  peek(): ObjectEntry | undefined {
    if (this.#options.bound?.upTo !== this.#upTo) this.#cut();
    return this.#at < this.#end ? this.#page.entries[this.#at] : undefined;
  }

  take(): void {
    if (++this.#at === this.#end) this.#forget();
  }

  /** All that is there. */
  takeAll(): readonly ObjectEntry[] {
    if (this.peek() === undefined) return NO_ENTRIES;
    const { entries } = this.#page;
    const taken = this.#at === 0 && this.#end === entries.length ? entries : entries.slice(this.#at, this.#end);
    this.#at = this.#end;
    this.#forget();
    return taken;
  }

  /** Nothing is left, and nothing more will come. */
  get isOver(): boolean {
    return this.peek() === undefined && this.#isOver();
  }

  /** Settles once more() has nothing to wait for: the next page is there, unread. @throws as the listing does */
  get arrival(): Promise<unknown> | undefined {
    return this.peek() !== undefined || this.#isOver() ? undefined : this.#ahead;
  }

  /** Waits until there is an entry to look at; false at the end. */
  async more(): Promise<boolean> {
    while (this.peek() === undefined) {
      if (this.#isOver()) return false;
      const arrived = await this.#ahead;
      if (isUnread(arrived)) await this.#turnTo(arrived);
      else this.#open(arrived);
    }
    return true;
  }

  /** What was read beyond this key, when the rest of the range goes to another listing. */
  handOver(beyond: Key): Seed {
    const pages = [this.#page, ...[this.#inHand, this.#arrived].flatMap((arrived) => (arrived === undefined ? [] : readable(arrived)))];
    const entries = pages.flatMap((page) => page.entries.slice(endWithin(page.entries, beyond)));
    return { entries, complete: pages.some((page) => page.isLast) };
  }

  async close(): Promise<void> {
    await this.#pages?.return?.();
  }

  /**
   * The next page is asked for first, if more will be wanted; then, one turn of the event loop later, when that request has gone unless a
   * limit holds it, this one is read. If it is bad, the step behind it tells: with the error, or with the page again where that is tried.
   */
  async #turnTo(unread: UnreadPage): Promise<void> {
    const { upTo } = this.#options.bound ?? {};
    this.#inHand = unread;
    this.#arrived = undefined;
    const asked = upTo === undefined || compareKeys(unread.reach, upTo) < 0;
    if (asked) {
      this.#ahead = this.#fetch();
      await oneTurn();
    }
    if (this.#inHand === unread) this.#take(unread, asked);
  }

  /** Apart, so that no frame that has waited holds what was read. */
  #take(unread: UnreadPage, asked: boolean): void {
    this.#inHand = undefined;
    const [page] = readable(unread);
    unread.release?.();
    if (page !== undefined) this.#open(this.#proven(page, true), asked);
    else if (!asked) this.#ahead = this.#fetch();
  }

  #open(page: Page, asked = false): void {
    if (!asked) this.#arrived = undefined;
    this.#page = page;
    this.#at = 0;
    this.#cut();
    if (!asked && !this.#isOver()) this.#ahead = this.#fetch();
  }

  /**
   * What was taken is somebody else's. A page that waits here for the next one to come, with as many others as there are lanes, would
   * outlive the young generation and be copied for nothing.
   */
  #forget(): void {
    if (this.#end < this.#page.entries.length) return;
    this.#page = { entries: NO_ENTRIES, isLast: this.#page.isLast };
    this.#at = this.#end = 0;
  }

  #isOver(): boolean {
    return this.#page.isLast || this.#end < this.#page.entries.length;
  }

  #cut(): void {
    this.#upTo = this.#options.bound?.upTo;
    this.#end = endWithin(this.#page.entries, this.#upTo);
  }

  /** The error of a page that nobody waits for yet is not lost: it is thrown when the page is asked for. */
  #fetch(): Promise<Arrived> {
    const next = this.#step().then((step) => (this.#arrived = this.#looked(step)));
    next.catch(() => undefined);
    return next;
  }

  #step(): Promise<IteratorResult<ListPage, unknown>> {
    const { seed } = this.#options;
    const first = !this.#seeded;
    this.#seeded = true;
    if (first && seed !== undefined && seed.entries.length > 0) return Promise.resolve({ done: false, value: { entries: seed.entries, last: seed.complete } });
    if (seed?.complete === true) return Promise.resolve(OVER);
    this.#asked = true;
    this.#pages ??= this.#list(seed?.entries.at(-1)?.key ?? this.#options.startAfter);
    return this.#pages.next();
  }

  #list(startAfter: Key | undefined): AsyncIterator<ListPage, unknown> {
    if (!this.#ordered) return sortedPages(this.#store, this.#options, startAfter);
    const { signal, prefix } = this.#options;
    return this.#store.list({ signal, ahead: true, ...below(prefix), ...(startAfter === undefined ? {} : { startAfter }) })[Symbol.asyncIterator]();
  }

  #looked(step: IteratorResult<ListPage, unknown>): Arrived {
    // A store may answer within that turn: pages are read in their order all the same.
    if (this.#inHand !== undefined) this.#take(this.#inHand, true);
    if (step.done === true) return this.#ended();
    const { value } = step;
    return isUnread(value) ? value : this.#proven({ entries: value.entries, isLast: value.last ?? false }, this.#asked && this.#ordered);
  }

  #ended(): Page {
    this.#options.onEnd?.(this.#asked && !this.#found);
    return NO_PAGE;
  }

  #proveOrder(entries: readonly ObjectEntry[]): void {
    const wrong = firstOutOfOrder(entries, this.#last);
    if (wrong >= 0) throw outOfOrder(this.#store, entries[wrong - 1]?.key ?? this.#last ?? '', entries[wrong]?.key ?? '');
    this.#last = entries.at(-1)?.key ?? this.#last;
  }

  /** `fresh`: it is from the store, and nobody has told of it yet. */
  #proven({ entries, isLast }: Page, fresh: boolean): Page {
    if (fresh) count(entries, this.#options);
    this.#proveOrder(entries);
    const end = endWithin(entries, this.#options.bound?.upTo);
    const [first, last] = [entries[0], entries[end - 1]];
    this.#found ||= end > 0;
    const isOver = isLast || end < entries.length;
    if (isOver) this.#options.onEnd?.(this.#asked && !this.#found);
    if (first !== undefined && last !== undefined) this.#options.onKeys?.(first.key, last.key, end);
    return { entries, isLast: isOver };
  }
}

function isUnread(page: Arrived | ListPage): page is UnreadPage {
  return 'reach' in page && page.reach !== undefined;
}

/** As a page; none where it is bad, which the step of the listing behind it tells. */
function readable(arrived: Arrived): readonly Page[] {
  if (!isUnread(arrived)) return [arrived];
  try {
    return [{ entries: arrived.entries, isLast: arrived.last ?? false }];
  } catch {
    return []; // told by the next step, which may also bring it again
  }
}

function oneTurn(): Promise<void> {
  return new Promise((resolve) => { setImmediate(resolve); });
}

/** How many of these entries come up to the bound. */
function endWithin(entries: readonly ObjectEntry[], upTo: Key | undefined): number {
  const last = entries.at(-1);
  if (last === undefined || upTo === undefined || compareKeys(last.key, upTo) <= 0) return entries.length;
  let [low, high] = [0, entries.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys((entries[middle] as ObjectEntry).key, upTo) > 0) high = middle;
    else low = middle + 1;
  }
  return low;
}

function below(prefix: Key | undefined): { readonly prefix?: Key } {
  return prefix === undefined || prefix === '' ? {} : { prefix };
}

async function* sortedPages(store: Store, options: ListingOptions, startAfter: Key | undefined): AsyncGenerator<ListPage, void, undefined> {
  const sorter = options.sorter();
  try {
    for await (const page of store.list({ signal: options.signal, ...below(options.prefix) })) {
      count(page.entries, options);
      sorter.add(page.entries);
    }
    for (const page of sorter.pages()) yield { entries: afterCheckpoint(page, startAfter) };
  } finally {
    sorter.close();
  }
}

function afterCheckpoint(page: readonly ObjectEntry[], startAfter: Key | undefined): readonly ObjectEntry[] {
  return startAfter === undefined ? page : page.filter((entry) => compareKeys(entry.key, startAfter) > 0);
}

function count(entries: readonly ObjectEntry[], options: ListingOptions): void {
  let bytes = 0;
  for (const entry of entries) bytes += entry.size;
  options.onPage(entries.length, bytes);
}

function outOfOrder(store: Store, last: Key, key: Key): BrigadeError {
  return new BrigadeError({
    code: 'E_LIST_ORDER', kind: 'premise', op: 'list', location: store.address, message: `the listing gave ${showKey(key)} after ${showKey(last)}`,
    hint: 'set the connection’s provider to one that does not promise order, or generic',
  });
}
