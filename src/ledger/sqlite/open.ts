/** Opening a ledger: the checks that stand between a state folder and trust. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { BrigadeError, usageError } from '../../core/errors.ts';
import { Connection } from './connection.ts';
import { countsOf } from './counts.ts';
import { damaged, noLedger } from './faults.ts';
import { SqliteLedger } from './ledger.ts';
import { awaitExecutors, lockCoordinator } from './lock.ts';
import { migrate, refuseForeign } from './migrations/index.ts';
import { refuseNetworkFs } from './network.ts';
import { LedgerReader } from './reader.ts';
import { checkWal, markClosed, markOpen } from './wal.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Binding } from '../../ports/ledger.ts';
import type { Lock } from './lock.ts';
import type { StatFs } from './network.ts';
import type { LedgerView } from './reader.ts';

export interface OpenOptions {
  /** The database file; its folder is made where missing. */
  readonly path: string;
  readonly binding: Binding;
  readonly clock: Clock;
  /** `create`: open it, or make it where there is none. `resume`: it must exist. */
  readonly mode: 'create' | 'resume';
  readonly holder: { readonly pid: number; readonly host: string };
  /** Accept that source, destination or options differ from the ledger's, and bind it to these (`--adopt`). */
  readonly adopt?: boolean;
  /** Start over (`--new`): a ledger of other stores, or with `adopt` a damaged one, is set aside under another name. */
  readonly fresh?: boolean;
  /** How long executors of an earlier coordinator may take to end. Default 30 s. */
  readonly executorWaitMs?: number;
  readonly signal?: AbortSignal;
  /** Milliseconds an outcome waits for company before its transaction. Default 50. */
  readonly groupMs?: number;
  readonly statfs?: StatFs;
  readonly maxPages?: number;
}

/** Databases up to this size are read whole at start; of larger ones only what is not protected by block checksums. */
const SMALL_BYTES = 64 << 20;
const PLAIN_TABLES = ['meta', 'runs', 'tasks', 'outcomes', 'problems', 'objects', 'tallies', 'codes', 'totals', 'uploads', 'parts', 'verify', 'findings', 'shards', 'journal_segments', 'journal_reports'];

/** What SQLite writes before any table is there. */
const FIRST_PAGE_BYTES = 4096;

/**
 * Whether there is a ledger that was ever used. Its making ends with a checkpoint (wal.ts, markOpen): a coordinator killed before that left
 * a file of one page, with or without a journal, in which nothing was recorded yet; the next one finishes it.
 */
export function ledgerExists(path: string): boolean {
  return existsSync(path) && statSync(path).size > FIRST_PAGE_BYTES;
}

/**
 * Opens a ledger for the one coordinator. Errors: E_NO_LEDGER, E_LOCKED_RUN, E_EXECUTORS_ALIVE, E_DB_ON_NETWORK_FS, E_LEDGER_OTHER,
 * E_LEDGER_WAL, E_LEDGER_NEWER, E_NOT_A_LEDGER (usage); E_LEDGER_CORRUPT (exit 70); E_DISK_FULL, E_LEDGER_READONLY, E_LEDGER_OPEN, E_LEDGER_IO (premise).
 */
export async function openLedger(options: OpenOptions): Promise<SqliteLedger> {
  const { path, clock } = options;
  if (options.mode === 'resume' && !ledgerExists(path)) throw noLedger(path);
  makeFolder(path);
  refuseNetworkFs(dirname(path), options.statfs);
  const lock = lockCoordinator(path, { ...options.holder, sinceMs: clock.now() });
  try {
    await awaitExecutors(path, clock, options.executorWaitMs ?? 30_000, options.signal);
    return openLocked(options, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** A ledger to look at, from any process, while its coordinator works or not. Takes no lock. */
export function inspectLedger(path: string): LedgerView {
  if (!ledgerExists(path)) throw noLedger(path);
  const connection = new Connection(path, { readOnly: true });
  try {
    connection.read('open', () => refuseForeign(connection.db, path));
    const binding = storedBinding(connection);
    if (binding === undefined) throw noLedger(path);
    const reader = new LedgerReader(connection);
    return Object.assign(reader, { path, binding, close: async () => { connection.close(); await Promise.resolve(); } });
  } catch (error) {
    connection.close();
    throw error;
  }
}

function openLocked(options: OpenOptions, lock: Lock): SqliteLedger {
  try {
    return openBound(options, lock);
  } catch (error) {
    if (!(error instanceof BrigadeError) || options.fresh !== true || !maySetAside(error, options)) throw error;
    setAside(options.path, options.clock.now());
    return openBound(options, lock);
  }
}

function maySetAside(error: BrigadeError, options: OpenOptions): boolean {
  return error.code === 'E_LEDGER_OTHER' || ((error.code === 'E_LEDGER_CORRUPT' || error.code === 'E_LEDGER_WAL') && options.adopt === true);
}

/** Kept, never deleted: it may be all that is known of an earlier run. Answers where it is now. */
export function setAside(path: string, now: number): string {
  const aside = `${path}.set-aside-${new Date(now).toISOString().replaceAll(/[:.]/g, '-')}`;
  for (const suffix of ['', '-wal', '-shm']) if (existsSync(path + suffix)) renameSync(path + suffix, aside + suffix);
  return aside;
}

function openBound(options: OpenOptions, lock: Lock): SqliteLedger {
  const { path, clock } = options;
  const commitsMissing = checkWal(path);
  const connection = new Connection(path, options.maxPages === undefined ? {} : { maxPages: options.maxPages });
  try {
    checkHealth(connection);
    connection.transaction('migrate', () => migrate(connection.db, path));
    checkSums(connection);
    bind(connection, options.binding, options.adopt === true);
    if (commitsMissing) connection.transaction('doubt', () => connection.sql('doubtOpen').run());
    markOpen(connection, randomUUID());
    const onClose = (): void => {
      try {
        markClosed(connection);
      } finally {
        connection.close();
        lock.release();
      }
    };
    return new SqliteLedger({ connection, binding: options.binding, clock, groupMs: options.groupMs ?? 50, onClose });
  } catch (error) {
    connection.close();
    throw error;
  }
}

export function makeFolder(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
  } catch (error) {
    throw new BrigadeError({ code: 'E_LEDGER_OPEN', kind: 'premise', message: `the state folder cannot be made (${(error as NodeJS.ErrnoException).code})`, location: dirname(path), hint: 'name another with --state', cause: error });
  }
}

/** Structure of the whole file, or of everything but the blocks, which carry checksums of their own and are checked when read. */
function checkHealth(connection: Connection): void {
  const small = statSync(connection.path).size <= SMALL_BYTES;
  connection.read('quick_check', () => {
    for (const scope of small ? [''] : PLAIN_TABLES.map((table) => `('${table}')`)) {
      const answer = Object.values(connection.db.prepare(`PRAGMA quick_check${scope}`).get() ?? {})[0];
      if (answer !== 'ok') throw damaged(String(answer), connection.path);
    }
  });
}

/** The sums of each run must be those of its tasks: numbers that a flipped byte changed are found here. */
function checkSums(connection: Connection): void {
  connection.read('check sums', () => {
    for (const row of connection.sql('sumTasks').all()) {
      const tally = connection.sql('tally').get(Number(row['run'])) ?? {};
      const run = connection.sql('run').get(Number(row['run']));
      if (run?.['pruned'] === 0 && countsOf(tally).join() !== countsOf(row).join()) {
        throw damaged(`the sums of run ${Number(row['run'])} do not match its tasks`, connection.path);
      }
      const { failed, skipped } = connection.sql('countLoud').get(Number(row['run'])) ?? {};
      if (run?.['pruned'] === 0 && (failed !== tally['failed'] || skipped !== tally['skipped'])) {
        throw damaged(`objects of run ${Number(row['run'])} are missing that failed or were skipped`, connection.path);
      }
    }
  });
}

function storedBinding(connection: Connection): Binding | undefined {
  const row = connection.read('binding', () => connection.sql('getMeta').get('binding'));
  return row === undefined ? undefined : JSON.parse(String(row['value'])) as Binding;
}

/** A ledger says what stands where for one pair of stores under one set of options; for another it would be wrong (F032). */
function bind(connection: Connection, binding: Binding, adopt: boolean): void {
  const stored = storedBinding(connection);
  const parts = [['migration', 'name of the migration'], ['source', 'source'], ['destination', 'destination'], ['specHash', 'options']] as const;
  const differing = stored === undefined ? [] : parts.filter(([part]) => stored[part] !== binding[part]);
  if (differing.length > 0 && !adopt) {
    const belongs = differing.some(([part]) => part === 'source') ? 'another source' : differing.some(([part]) => part === 'destination') ? 'another destination' : 'another migration';
    throw usageError('E_LEDGER_OTHER', `ledger belongs to ${belongs} (different: ${differing.map(([, name]) => name).join(', ')})`, 'use --new or --adopt', connection.path);
  }
  if (stored === undefined || differing.length > 0) connection.transaction('bind', () => connection.sql('setMeta').run('binding', JSON.stringify(binding)));
}

