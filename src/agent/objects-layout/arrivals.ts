/**
 * Files that a commit took in go home one by one, and their records some hundreds at a time: a record may go only when the move is on
 * disk, and one sync of a folder serves all that went there.
 */
import type { BodyFolder } from '../bodies/folder.ts';
import type { Database } from '../metadata/database.ts';
import type { Piece } from '../metadata/encoding.ts';

const LOT = 512;

export class Arrivals {
  readonly #db: Database;
  readonly #folder: BodyFolder;
  #settled: string[] = [];
  #forgetting: Promise<void> | undefined;

  constructor(db: Database, folder: BodyFolder) {
    this.#db = db;
    this.#folder = folder;
  }

  /** Inside the commit that takes them in. */
  record(pieces: readonly Piece[]): void {
    for (const { id } of pieces) this.#db.sql('INSERT INTO arrivals (id) VALUES (?)').run(id);
  }

  /** Moves them home. What cannot be moved is read where it is, and tried again at the next start. */
  async settle(pieces: readonly Piece[]): Promise<void> {
    for (const { id } of pieces) {
      await this.#folder.settle(id).then(() => this.#settled.push(id), () => undefined);
    }
    if (this.#settled.length >= LOT) await this.forget();
  }

  /** What a start does with files that came in: taken ones go home, others are leftovers of a killed process. */
  async recover(): Promise<void> {
    const taken = this.#db.sql('SELECT 1 FROM arrivals WHERE id = ?');
    for (const id of await this.#folder.arrivals()) {
      if (taken.get(id) === undefined) await this.#folder.remove(id);
      else await this.#folder.settle(id);
    }
    const known = this.#db.sql('SELECT id FROM arrivals').all().map(({ id }) => id as string);
    await this.#forgetAll(known);
  }

  /** Drops the records of settled files. */
  forget(): Promise<void> {
    this.#forgetting ??= this.#forgetAll(this.#settled.splice(0)).finally(() => {
      this.#forgetting = undefined;
    });
    return this.#forgetting;
  }

  async close(): Promise<void> {
    await this.#forgetting;
    await this.forget();
  }

  async #forgetAll(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    await this.#folder.syncHomes(ids);
    await this.#db.commit(() => {
      for (const id of ids) this.#db.sql('DELETE FROM arrivals WHERE id = ?').run(id);
    });
  }
}
