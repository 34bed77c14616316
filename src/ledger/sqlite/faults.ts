/** What SQLite's errors mean to the run (sqlite.org/rescode.html): a full disk or a read-only file is a premise, damage is exit 70. */
import { BrigadeError, usageError } from '../../core/errors.ts';

interface SqliteError extends Error { readonly code: string; readonly errcode: number; readonly errstr: string }

const HINT_DAMAGED = 'run --new --adopt: both ends are listed again and what matches is adopted';

const FAULTS: Readonly<Record<number, { code: string; message: string; hint: string }>> = {
  5: { code: 'E_LEDGER_BUSY', message: 'another program holds the ledger', hint: 'close what has it open' },
  6: { code: 'E_LEDGER_BUSY', message: 'another program holds the ledger', hint: 'close what has it open' },
  8: { code: 'E_LEDGER_READONLY', message: 'the ledger cannot be written', hint: 'make the state folder and the files in it writable, or name another with --state' },
  10: { code: 'E_LEDGER_IO', message: 'the disk of the ledger failed', hint: 'look at the disk; then run again, it goes on where it was' },
  13: { code: 'E_DISK_FULL', message: 'the disk of the ledger is full', hint: 'free some space; then run again, it goes on where it was' },
  14: { code: 'E_LEDGER_OPEN', message: 'the ledger cannot be opened', hint: 'make the state folder and the files in it readable and writable' },
};

export function isSqliteError(thrown: unknown): thrown is SqliteError {
  return thrown instanceof Error && 'errcode' in thrown;
}

export function isBusy(thrown: unknown): boolean {
  return isSqliteError(thrown) && ((thrown.errcode & 0xff) === 5 || (thrown.errcode & 0xff) === 6);
}

export function damaged(what: string, location: string, cause?: unknown): BrigadeError {
  return new BrigadeError({ code: 'E_LEDGER_CORRUPT', kind: 'internal', message: `the ledger is damaged: ${what}`, location, hint: HINT_DAMAGED, cause });
}

export function noLedger(path: string): BrigadeError {
  return usageError('E_NO_LEDGER', 'there is no ledger here', 'start with `brigade run`, or name its folder with --state', path);
}

/** Any error of the database as one of ours. */
export function ledgerFault(thrown: unknown, op: string, location: string): BrigadeError {
  if (thrown instanceof BrigadeError) return thrown;
  if (!isSqliteError(thrown)) return new BrigadeError({ code: 'E_INTERNAL', kind: 'internal', message: thrown instanceof Error ? thrown.message : String(thrown), op, location, cause: thrown });
  const primary = thrown.errcode & 0xff;
  if (primary === 11 || primary === 26) return damaged(thrown.message, location, thrown);
  const fault = FAULTS[primary];
  if (fault === undefined) return new BrigadeError({ code: 'E_LEDGER_SQL', kind: 'internal', message: `${thrown.message} (SQLite ${thrown.errcode})`, op, location, cause: thrown });
  return new BrigadeError({ ...fault, kind: 'premise', op, location, cause: thrown });
}
