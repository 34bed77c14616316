/**
 * One side's listing as a cursor of entries in key order. Pages are fetched one ahead; order is checked once more here, because everything
 * after relies on it (F048–F050). A store that does not list in order goes through the sorter instead.
 */
import { BrigadeError } from '../core/errors.ts';
import { compareKeys, type Key, showKey } from '../core/key.ts';
import type { ObjectEntry } from '../core/object.ts';
import type { EntrySorter } from '../ports/sorter.ts';
import type { ListPage, Store } from '../ports/storage.ts';

export interface ListingOptions {
  readonly startAfter?: Key;
  readonly prefix?: Key;
  readonly signal: AbortSignal;
  readonly sorter: () => EntrySorter;
  readonly onPage: (objects: number, bytes: number) => void;
}

/** Entries in key order, keys strictly ascending. Ends only when the store proved that the listing is complete (truth 2). */
export async function* listInOrder(store: Store, options: ListingOptions): AsyncGenerator<ObjectEntry, void, undefined> {
  const pages = store.facts.ordered ? pagesAhead(store, options) : sortedPages(store, options);
  let last: Key | undefined;
  for await (const page of pages) {
    for (const entry of page) {
      if (last !== undefined && compareKeys(entry.key, last) <= 0) throw outOfOrder(store, last, entry.key);
      last = entry.key;
      yield entry;
    }
  }
}

async function* pagesAhead(store: Store, options: ListingOptions): AsyncGenerator<readonly ObjectEntry[], void, undefined> {
  const pages = store.list({ signal: options.signal, ...below(options.prefix), ...(options.startAfter === undefined ? {} : { startAfter: options.startAfter }) })[Symbol.asyncIterator]();
  try {
    let next = ahead(pages);
    for (let page = await next; !page.done; page = await next) {
      next = ahead(pages);
      count(page.value, options);
      yield page.value.entries;
    }
  } finally {
    await pages.return?.();
  }
}

function below(prefix: Key | undefined): { readonly prefix?: Key } {
  return prefix === undefined || prefix === '' ? {} : { prefix };
}

/** The error of a page that nobody waits for yet is not lost: it is thrown when the page is asked for. */
function ahead(pages: AsyncIterator<ListPage>): Promise<IteratorResult<ListPage>> {
  const next = pages.next();
  next.catch(() => undefined);
  return next;
}

async function* sortedPages(store: Store, options: ListingOptions): AsyncGenerator<readonly ObjectEntry[], void, undefined> {
  const sorter = options.sorter();
  try {
    for await (const page of store.list({ signal: options.signal, ...below(options.prefix) })) {
      count(page, options);
      sorter.add(page.entries);
    }
    for (const page of sorter.pages()) yield afterCheckpoint(page, options.startAfter);
  } finally {
    sorter.close();
  }
}

function afterCheckpoint(page: readonly ObjectEntry[], startAfter: Key | undefined): readonly ObjectEntry[] {
  return startAfter === undefined ? page : page.filter((entry) => compareKeys(entry.key, startAfter) > 0);
}

function count(page: ListPage, options: ListingOptions): void {
  let bytes = 0;
  for (const entry of page.entries) bytes += entry.size;
  options.onPage(page.entries.length, bytes);
}

function outOfOrder(store: Store, last: Key, key: Key): BrigadeError {
  return new BrigadeError({
    code: 'E_LIST_ORDER', kind: 'premise', op: 'list', location: store.address, message: `the listing gave ${showKey(key)} after ${showKey(last)}`,
    hint: 'set the connection’s provider to one that does not promise order, or generic',
  });
}
