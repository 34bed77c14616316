/** Files that nothing refers to any more, removed a while after: a reader that was told of them may not have opened them yet. */
import type { BodyFolder } from '../bodies/folder.ts';
import type { Clock } from '../context.ts';
import type { Database } from '../metadata/database.ts';
import { textOf } from '../metadata/encoding.ts';
import type { Piece } from '../metadata/encoding.ts';

const LOT = 500;

export interface TrashOptions {
  readonly clock: Clock;
  /** Milliseconds that a file stays. */
  readonly graceMs: number;
  readonly failed: (error: unknown) => void;
}

export class Trash {
  readonly #db: Database;
  readonly #folder: BodyFolder;
  readonly #options: TrashOptions;
  #timer: NodeJS.Timeout | undefined;
  #emptying: Promise<void> | undefined;
  #closed = false;

  constructor(db: Database, folder: BodyFolder, options: TrashOptions) {
    this.#db = db;
    this.#folder = folder;
    this.#options = options;
  }

  /** Inside a commit. */
  add(pieces: readonly Piece[]): void {
    if (pieces.length === 0) return;
    const now = this.#options.clock.now();
    for (const { id } of pieces) this.#db.sql('INSERT OR IGNORE INTO trash (id, since) VALUES (?, ?)').run(id, now);
    this.#schedule();
  }

  /** Removes what has lain long enough: the file first, then its record. `all`: at the start, when nobody reads. */
  empty(all = false): Promise<void> {
    this.#emptying ??= this.#empty(all).finally(() => {
      this.#emptying = undefined;
    });
    return this.#emptying;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#emptying;
  }

  async #empty(all: boolean): Promise<void> {
    const before = all ? Number.MAX_SAFE_INTEGER : this.#options.clock.now() - this.#options.graceMs;
    let after = '';
    for (;;) {
      const ids = this.#db.sql('SELECT id FROM trash WHERE since <= ? AND id > ? ORDER BY id LIMIT ?').all(before, after, LOT).map((row) => textOf(row, 'id'));
      if (ids.length === 0 || (this.#closed && !all)) return;
      after = ids.at(-1) as string;
      const free = ids.filter((id) => !this.#folder.isRead(id));
      for (const id of free) await this.#folder.remove(id);
      await this.#db.commit(() => {
        for (const id of free) this.#db.sql('DELETE FROM trash WHERE id = ?').run(id);
      });
    }
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.empty().then(() => {
        if (this.#db.sql('SELECT 1 FROM trash LIMIT 1').get() !== undefined) this.#schedule();
      }).catch(this.#options.failed);
    }, this.#options.graceMs);
    this.#timer.unref();
  }
}
