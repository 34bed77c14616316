/**
 * Puts a listing in key order that its store gives in any other (F050). Entries are sorted in memory some at a time, each lot is kept
 * as compressed pieces in a temporary database, and the lots are merged on reading: memory holds one lot, then one piece of each.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { compareKeys } from '../../core/key.ts';
import { compress, decompress } from '../../core/zstd.ts';
import { ledgerFault } from './faults.ts';
import type { ObjectEntry } from '../../core/object.ts';
import type { StatementSync } from 'node:sqlite';

export interface SorterOptions {
  /** An existing folder for the temporary database; removed at close. */
  readonly dir: string;
  /** Entries sorted in memory at a time. Default 50,000. */
  readonly lotSize?: number;
  /** Entries per page of the sorted listing. Default 1,000. */
  readonly pageSize?: number;
}

export interface EntrySorter {
  add(entries: readonly ObjectEntry[]): void;
  /** All entries in key order; of entries with the same key the first that was added. Call once, after the last add. */
  pages(): Generator<readonly ObjectEntry[]>;
  /** Entries left out because their key was there already; final when pages() has ended. */
  readonly duplicates: number;
  close(): void;
}

/** Entries decompressed together. Small, because the merge holds one piece of every lot. */
const PIECE = 100;

interface Cursor { readonly lot: number; entries: readonly ObjectEntry[]; at: number; piece: number }

export function createEntrySorter(options: SorterOptions): EntrySorter {
  return new Sorter(options);
}

class Sorter implements EntrySorter {
  readonly #folder: string;
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #select: StatementSync;
  readonly #lotSize: number;
  readonly #pageSize: number;
  #lot: ObjectEntry[] = [];
  #lots = 0;
  #duplicates = 0;

  constructor({ dir, lotSize = 50_000, pageSize = 1000 }: SorterOptions) {
    this.#folder = mkdtempSync(join(dir, 'sort-'));
    this.#lotSize = lotSize;
    this.#pageSize = pageSize;
    this.#db = new DatabaseSync(join(this.#folder, 'lots.db'));
    // Nothing here outlives the process, so nothing needs to be safe on disk. Node opens databases in defensive mode, which refuses OFF without a word.
    this.#db.exec('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; CREATE TABLE pieces (lot INTEGER, piece INTEGER, data BLOB, PRIMARY KEY (lot, piece)) WITHOUT ROWID');
    this.#insert = this.#db.prepare('INSERT INTO pieces (lot, piece, data) VALUES (?, ?, ?)');
    this.#select = this.#db.prepare('SELECT data FROM pieces WHERE lot = ? AND piece = ?');
  }

  get duplicates(): number {
    return this.#duplicates;
  }

  add(entries: readonly ObjectEntry[]): void {
    for (const entry of entries) {
      this.#lot.push(entry);
      if (this.#lot.length >= this.#lotSize) this.#store();
    }
  }

  *pages(): Generator<readonly ObjectEntry[]> {
    this.#store();
    let page: ObjectEntry[] = [];
    let last: ObjectEntry | undefined;
    for (const entry of this.#merged()) {
      if (last !== undefined && last.key === entry.key) {
        this.#duplicates++;
        continue;
      }
      last = entry;
      page.push(entry);
      if (page.length < this.#pageSize) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  }

  close(): void {
    if (this.#db.isOpen) this.#db.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** Sorting is stable, so that of equal keys the first added stays first. */
  #store(): void {
    if (this.#lot.length === 0) return;
    const lot = this.#lot.sort((a, b) => compareKeys(a.key, b.key));
    this.#lot = [];
    try {
      for (let piece = 0; piece * PIECE < lot.length; piece++) {
        const text = JSON.stringify(lot.slice(piece * PIECE, (piece + 1) * PIECE));
        this.#insert.run(this.#lots, piece, compress(Buffer.from(text, 'utf8')));
      }
    } catch (error) {
      throw ledgerFault(error, 'sort a listing', this.#folder);
    }
    this.#lots++;
  }

  *#merged(): Generator<ObjectEntry> {
    const heap: Cursor[] = [];
    for (let lot = 0; lot < this.#lots; lot++) push(heap, { lot, entries: this.#piece(lot, 0), at: 0, piece: 0 });
    while (heap.length > 0) {
      const cursor = pop(heap);
      yield current(cursor);
      if (this.#advance(cursor)) push(heap, cursor);
    }
  }

  #advance(cursor: Cursor): boolean {
    if (++cursor.at < cursor.entries.length) return true;
    cursor.at = 0;
    cursor.entries = this.#piece(cursor.lot, ++cursor.piece);
    return cursor.entries.length > 0;
  }

  #piece(lot: number, piece: number): readonly ObjectEntry[] {
    const row = this.#select.get(lot, piece);
    return row === undefined ? [] : JSON.parse(decompress(row['data'] as Uint8Array).toString()) as ObjectEntry[];
  }
}

const current = (cursor: Cursor): ObjectEntry => cursor.entries[cursor.at] as ObjectEntry;

function before(a: Cursor, b: Cursor): boolean {
  const order = compareKeys(current(a).key, current(b).key);
  return order === 0 ? a.lot < b.lot : order < 0;
}

/** A binary heap with the smallest key on top. */
function push(heap: Cursor[], cursor: Cursor): void {
  let at = heap.push(cursor) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(cursor, heap[parent] as Cursor)) break;
    heap[at] = heap[parent] as Cursor;
    at = parent;
  }
  heap[at] = cursor;
}

function pop(heap: Cursor[]): Cursor {
  const top = heap[0] as Cursor;
  const last = heap.pop() as Cursor;
  if (heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1] as Cursor, heap[child] as Cursor)) child++;
    if (!before(heap[child] as Cursor, last)) break;
    heap[at] = heap[child] as Cursor;
    at = child;
  }
  heap[at] = last;
  return top;
}
