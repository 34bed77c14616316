/**
 * One coordinator per ledger, and none before the executors of the last one are gone (F106). Both locks are transactions held open in
 * small SQLite files beside the ledger: the kernel frees them when their process ends, however it ends, and never while it is merely frozen.
 *
 *   <ledger>-coordinator.lock   an exclusive transaction, for life; who holds it stands in <ledger>-coordinator.json
 *   <ledger>-executors.lock     each executor reads in it for life; a new coordinator must once be alone there
 *
 * Never open these files by other means in the same process: closing any descriptor of a file drops all POSIX locks on it.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { oneLine, usageError } from '../../core/errors.ts';
import { isBusy, ledgerFault } from './faults.ts';
import type { BrigadeError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';

export interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly sinceMs: number;
}

export interface Lock {
  release(): void;
}

const paths = (ledger: string) => ({ coordinator: `${ledger}-coordinator.lock`, facts: `${ledger}-coordinator.json`, executors: `${ledger}-executors.lock` });

const POLL_MS = 100;

/** A connection that nobody refers to is closed when it is collected, and its lock is gone: these are referred to until they are released. */
const kept = new Set<DatabaseSync>();

function keep(db: DatabaseSync): Lock {
  kept.add(db);
  return {
    release() {
      kept.delete(db);
      db.close();
    },
  };
}

/** Throws E_LOCKED_RUN, naming the one who has it. */
export function lockCoordinator(ledger: string, holder: Holder): Lock {
  const { coordinator, facts } = paths(ledger);
  const db = open(coordinator);
  if (!tryBegin(db, 'BEGIN EXCLUSIVE', coordinator)) {
    db.close();
    throw held(ledger, holderOf(ledger));
  }
  const draft = `${facts}.${holder.pid}`;
  writeFileSync(draft, JSON.stringify(holder));
  renameSync(draft, facts);
  return keep(db);
}

/** Who took the coordinator's lock last; it may be gone. */
export function holderOf(ledger: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(paths(ledger).facts, 'utf8')) as Holder;
  } catch {
    // Nobody wrote it yet: the lock itself decides, this file only helps to name its holder.
    return undefined;
  }
}

/** Whether a coordinator is at work on this ledger now. */
export function isCoordinated(ledger: string): boolean {
  const { coordinator } = paths(ledger);
  const db = open(coordinator);
  try {
    return !tryBegin(db, 'BEGIN EXCLUSIVE', coordinator);
  } finally {
    db.close();
  }
}

/** Held by every executor from before its first task until it ends. */
export function lockExecutor(ledger: string): Lock {
  const { executors } = paths(ledger);
  const db = open(executors, 5000);
  try {
    db.exec('BEGIN');
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
  } catch (error) {
    db.close();
    throw ledgerFault(error, 'lock', executors);
  }
  return keep(db);
}

/** Resolves once no executor of an earlier coordinator lives. Throws E_EXECUTORS_ALIVE after `timeoutMs`. */
export async function awaitExecutors(ledger: string, clock: Clock, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  const { executors } = paths(ledger);
  const end = clock.monotonic() + timeoutMs;
  const db = open(executors);
  try {
    while (!tryBegin(db, 'BEGIN EXCLUSIVE', executors)) {
      if (clock.monotonic() >= end) throw executorsAlive(ledger, timeoutMs);
      await clock.sleep(POLL_MS, signal);
    }
    // A first, empty page: readers of an empty file would hold no lock.
    db.exec('PRAGMA user_version = 1; COMMIT');
  } finally {
    db.close();
  }
}

function open(path: string, timeout = 0): DatabaseSync {
  try {
    return new DatabaseSync(path, { timeout });
  } catch (error) {
    throw ledgerFault(error, 'lock', path);
  }
}

function tryBegin(db: DatabaseSync, sql: string, path: string): boolean {
  try {
    db.exec(sql);
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw ledgerFault(error, 'lock', path);
  }
}

function held(ledger: string, holder: Holder | undefined): BrigadeError {
  const who = holder === undefined ? '' : ` (pid ${holder.pid}, host ${oneLine(holder.host, 100)})`;
  const since = holder === undefined ? '' : ` since ${new Date(holder.sinceMs).toISOString()}`;
  return usageError('E_LOCKED_RUN', `another coordinator${who} holds this ledger${since}`, 'wait for it or stop it', ledger);
}

function executorsAlive(ledger: string, waitedMs: number): BrigadeError {
  return usageError('E_EXECUTORS_ALIVE', `executors of an earlier run were still at work after ${Math.round(waitedMs / 1000)} s`, 'end those processes, then run again', ledger);
}
