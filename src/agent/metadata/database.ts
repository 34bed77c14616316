/**
 * A layout's own SQLite file. One process at a time has it; every commit is on disk before it is told. Writers that come while a commit
 * is on its way share the next one, so that a thousand small writes a second do not ask for a thousand syncs.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { StatementSync } from 'node:sqlite';
import { BrigadeError } from '../../core/errors.ts';

interface Waiting {
  readonly work: () => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (reason: unknown) => void;
}

type Outcome = { readonly value: unknown } | { readonly error: unknown };

export class Database {
  readonly path: string;
  readonly #db: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();
  #waiting: Waiting[] = [];
  #scheduled = false;

  /** Opens or makes the file; `schema` must be harmless when it is there already.
   * @throws BrigadeError E_STATE_LOCKED (another agent has it), E_STATE_UNUSABLE */
  constructor(path: string, schema: string) {
    this.path = path;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      this.#db = new DatabaseSync(path, { timeout: 2000 });
    } catch (error) {
      throw unusable(error, path);
    }
    try {
      configure(this.#db, path);
      this.#db.exec(schema);
    } catch (error) {
      this.#db.close();
      throw unusable(error, path);
    }
  }

  /** The prepared statement of this text. */
  sql(text: string): StatementSync {
    let statement = this.#prepared.get(text);
    if (statement === undefined) {
      statement = this.#db.prepare(text);
      this.#prepared.set(text, statement);
    }
    return statement;
  }

  exec(text: string): void {
    this.#db.exec(text);
  }

  /** Runs `work` in the next commit; resolves when that is on disk. What it throws undoes its own changes alone. */
  commit<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ work, resolve, reject });
      if (this.#scheduled) return;
      this.#scheduled = true;
      setImmediate(() => this.#flush());
    });
  }

  /** Runs and commits now; for opening and repair, before anybody else writes. */
  commitNow<T>(work: () => T): T {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const value = work();
      this.#db.exec('COMMIT');
      return value;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    if (!this.#db.isOpen) return;
    this.#flush();
    this.#db.close();
  }

  #flush(): void {
    const batch = this.#waiting;
    this.#waiting = [];
    this.#scheduled = false;
    if (batch.length === 0) return;
    try {
      const outcomes = this.commitNow(() => batch.map(({ work }) => this.#apart(work)));
      for (const [index, outcome] of outcomes.entries()) {
        if ('error' in outcome) batch[index]?.reject(outcome.error);
        else batch[index]?.resolve(outcome.value as never);
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }

  #apart(work: () => unknown): Outcome {
    this.sql('SAVEPOINT work').run();
    try {
      return { value: work() };
    } catch (error) {
      this.sql('ROLLBACK TO work').run();
      return { error };
    } finally {
      this.sql('RELEASE work').run();
    }
  }
}

/** Settings that safety rests on are read back. The exclusive lock is taken before WAL: no shared memory file, so the kernel alone holds it. */
function configure(db: DatabaseSync, path: string): void {
  db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -16384; PRAGMA trusted_schema = 0; PRAGMA cell_size_check = 1');
  const wanted: Readonly<Record<string, string | number>> = {
    journal_mode: 'wal', synchronous: 2, journal_size_limit: 64 << 20,
    ...(process.platform === 'darwin' ? { fullfsync: 1, checkpoint_fullfsync: 1 } : {}),
  };
  for (const [name, value] of Object.entries(wanted)) {
    db.exec(`PRAGMA ${name} = ${value}`);
    const found = Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
    if (found !== value) {
      throw new BrigadeError({ code: 'E_STATE_UNSAFE', kind: 'premise', message: `SQLite did not take ${name}=${value} (it says ${String(found)})`, op: 'open', location: path, hint: 'put the state folder on a local disk' });
    }
  }
  db.exec('BEGIN EXCLUSIVE; COMMIT');
}

function unusable(error: unknown, path: string): BrigadeError {
  if (error instanceof BrigadeError) return error;
  const { errcode, message } = error as { errcode?: number; message?: string };
  if (((errcode ?? 0) & 0xff) === 5) {
    return new BrigadeError({ code: 'E_STATE_LOCKED', kind: 'premise', message: 'another agent is using this state', op: 'open', location: path, hint: 'stop it first, or give this one another --state', cause: error });
  }
  return new BrigadeError({ code: 'E_STATE_UNUSABLE', kind: 'premise', message: `the state cannot be opened: ${message ?? String(error)}`, op: 'open', location: path, cause: error });
}
