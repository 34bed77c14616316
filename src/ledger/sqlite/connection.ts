/** One connection to a ledger: every setting that durability rests on is set and read back (F102). */
import { DatabaseSync } from 'node:sqlite';
import { BrigadeError } from '../../core/errors.ts';
import { ledgerFault } from './faults.ts';
import { SQL } from './statements.ts';
import type { StatementSync } from 'node:sqlite';
import type { StatementName } from './statements.ts';

export interface ConnectOptions {
  readonly readOnly?: boolean;
  /** Milliseconds a statement waits for another process's lock. */
  readonly busyMs?: number;
  /** The file may not grow beyond this many pages of 4 KiB: a full disk, for tests. */
  readonly maxPages?: number;
}

export class Connection {
  readonly path: string;
  readonly db: DatabaseSync;
  readonly #prepared = new Map<StatementName, StatementSync>();

  constructor(path: string, options: ConnectOptions = {}) {
    this.path = path;
    try {
      this.db = new DatabaseSync(path, { readOnly: options.readOnly === true, timeout: options.busyMs ?? 5000 });
    } catch (error) {
      throw ledgerFault(error, 'open', path);
    }
    try {
      if (options.readOnly !== true) configure(this.db, path);
      if (options.maxPages !== undefined) this.db.exec(`PRAGMA max_page_count = ${options.maxPages}`);
    } catch (error) {
      this.db.close();
      throw ledgerFault(error, 'open', path);
    }
  }

  /** The statement of this name, prepared once. */
  sql(name: StatementName): StatementSync {
    let statement = this.#prepared.get(name);
    if (statement === undefined) {
      statement = this.db.prepare(SQL[name]);
      this.#prepared.set(name, statement);
    }
    return statement;
  }

  /** All of `work` or nothing of it, on disk when this returns. */
  transaction<T>(op: string, work: () => T): T {
    try {
      this.db.exec('BEGIN IMMEDIATE');
      const result = work();
      this.db.exec('COMMIT');
      return result;
    } catch (error) {
      if (this.db.isOpen && this.db.isTransaction) this.db.exec('ROLLBACK');
      throw ledgerFault(error, op, this.path);
    }
  }

  /** A read, with its errors made ours. */
  read<T>(op: string, work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw ledgerFault(error, op, this.path);
    }
  }

  close(): void {
    if (this.db.isOpen) this.db.close();
  }
}

function configure(db: DatabaseSync, path: string): void {
  db.exec('PRAGMA auto_vacuum = INCREMENTAL'); // only an empty file takes it
  const wanted: Readonly<Record<string, string | number>> = {
    journal_mode: 'wal', synchronous: 2, cell_size_check: 1, trusted_schema: 0, journal_size_limit: 64 << 20,
    ...(process.platform === 'darwin' ? { fullfsync: 1, checkpoint_fullfsync: 1 } : {}),
  };
  for (const [name, value] of Object.entries(wanted)) {
    db.exec(`PRAGMA ${name} = ${value}`);
    const found = Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
    if (found !== value) {
      throw new BrigadeError({ code: 'E_LEDGER_UNSAFE', kind: 'premise', message: `SQLite did not take ${name}=${value} (it says ${String(found)})`, location: path, hint: 'put the state folder on a local disk' });
    }
  }
}
