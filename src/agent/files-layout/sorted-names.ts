/**
 * The names of one directory in byte order. Up to 100,000 are sorted in memory; more go to a temporary database beside the state, so
 * that a directory of ten million takes no more memory than one of a hundred thousand.
 */
import { randomUUID } from 'node:crypto';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Raw } from '../../stores/filesystem/names.ts';

export const MOST_IN_MEMORY = 100_000;

export interface SpillOptions {
  /** Folder for the temporary databases. */
  readonly folder: string;
  /** Default 100,000. */
  readonly most?: number;
}

export class SortedNames {
  readonly #options: SpillOptions;
  #names: Raw[] = [];
  #spilled: SpilledNames | undefined;
  /** The next to take. */
  #at = 0;

  constructor(options: SpillOptions) {
    this.#options = options;
  }

  get spilled(): boolean {
    return this.#spilled !== undefined;
  }

  push(name: Raw): void {
    this.#names.push(name);
    if (this.#names.length <= (this.#options.most ?? MOST_IN_MEMORY)) return;
    this.#spilled ??= new SpilledNames(this.#options.folder);
    this.#spilled.add(this.#names);
    this.#names = [];
  }

  /** Once, behind the last push. */
  sort(): void {
    if (this.#spilled === undefined) this.#names.sort((a, b) => (a < b ? -1 : 1));
    else {
      this.#spilled.add(this.#names);
      this.#names = [];
      this.#spilled.finish();
    }
  }

  /** The next names, at most so many. */
  take(most: number): Raw[] {
    if (this.#spilled !== undefined) return this.#spilled.take(most);
    const names = this.#names.slice(this.#at, this.#at + most);
    this.#at += names.length;
    return names;
  }

  /** The next to take is the first that is not below `name`; it may lie before those taken already. */
  seek(name: Raw): void {
    if (this.#spilled !== undefined) this.#spilled.seek(name);
    else this.#at = lowerBound(this.#names, name);
  }

  close(): void {
    this.#spilled?.close();
  }
}

function lowerBound(names: readonly Raw[], name: Raw): number {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((names[middle] as Raw) < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** One character per byte stored as text: the order of UTF-8 is that of the characters, which is that of the bytes. */
class SpilledNames {
  readonly #path: string;
  readonly #db: DatabaseSync;
  #next: Raw = '';

  constructor(folder: string) {
    this.#path = join(folder, `names-${randomUUID()}.db`);
    this.#db = new DatabaseSync(this.#path);
    // Nothing here outlives the process, so nothing needs to be safe on disk. (OFF is not to be had: SQLite's defensive mode, which Node sets, forbids it.)
    this.#db.exec('PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -8192; CREATE TABLE names (name TEXT PRIMARY KEY) WITHOUT ROWID');
  }

  add(names: readonly Raw[]): void {
    const insert = this.#db.prepare('INSERT OR IGNORE INTO names (name) VALUES (?)');
    this.#db.exec('BEGIN');
    // In order, so that the tree is walked once from left to right for each lot.
    for (const name of names.toSorted((a, b) => (a < b ? -1 : 1))) insert.run(name);
    this.#db.exec('COMMIT');
  }

  finish(): void {
    this.#next = '';
  }

  take(most: number): Raw[] {
    const names = this.#db.prepare('SELECT name FROM names WHERE name >= ? ORDER BY name LIMIT ?').all(this.#next, most).map((row) => row['name'] as Raw);
    const last = names.at(-1);
    if (last !== undefined) this.#next = `${last}\0`;
    return names;
  }

  seek(name: Raw): void {
    this.#next = name;
  }

  close(): void {
    this.#db.close();
    rmSync(this.#path, { force: true });
  }
}
