/** A ledger that is made anew, from a journal, in the place of one that is gone or not to be believed. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { usageError } from '../../core/errors.ts';
import type { SqliteLedger } from './ledger.ts';
import { awaitExecutors, lockCoordinator } from './lock.ts';
import { ledgerExists, makeFolder, openLedger, setAside, type OpenOptions } from './open.ts';

export interface ReplaceOptions extends Pick<OpenOptions, 'path' | 'binding' | 'clock' | 'holder' | 'executorWaitMs' | 'signal'> {
  /** What stands there is set aside under another name; else it is E_LEDGER_EXISTS. */
  readonly force: boolean;
}

export interface Replaced<T> {
  readonly value: T;
  /** Where the ledger is that stood there. */
  readonly aside?: string;
}

/** It stands beside its place until it is whole: what goes wrong meanwhile leaves everything as it was. Errors: as `openLedger`, and E_LEDGER_EXISTS (usage). */
export async function replaceLedger<T>({ force, ...options }: ReplaceOptions, fill: (ledger: SqliteLedger) => Promise<T>): Promise<Replaced<T>> {
  const { path, clock, holder } = options;
  refuseExisting(path, force);
  makeFolder(path);
  const lock = lockCoordinator(path, { ...holder, sinceMs: clock.now() });
  const draft = `${path}.rebuilding`;
  try {
    await awaitExecutors(path, clock, options.executorWaitMs ?? 30_000, options.signal);
    refuseExisting(path, force);
    clear(draft);
    const value = await filled({ ...options, path: draft }, fill);
    // Also a file of no use, which `ledgerExists` does not count.
    const aside = existsSync(path) ? setAside(path, clock.now()) : undefined;
    renameSync(draft, path);
    return { value, ...(aside === undefined ? {} : { aside }) };
  } finally {
    clear(draft);
    lock.release();
  }
}

async function filled<T>(options: Omit<ReplaceOptions, 'force'>, fill: (ledger: SqliteLedger) => Promise<T>): Promise<T> {
  const ledger = await openLedger({ ...options, mode: 'create' });
  try {
    return await fill(ledger);
  } finally {
    await ledger.close();
  }
}

function refuseExisting(path: string, force: boolean): void {
  if (force || !ledgerExists(path)) return;
  throw usageError('E_LEDGER_EXISTS', 'there is a ledger already', 'compare it with brigade ledger check; --force sets it aside and makes it anew', dirname(path));
}

function clear(draft: string): void {
  for (const suffix of ['', '-wal', '-shm', '-coordinator.lock', '-coordinator.json', '-executors.lock']) rmSync(draft + suffix, { force: true });
}
