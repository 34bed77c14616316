/** `brigade retry`: failed objects of the latest run become pending again; `runMigration` then resumes it. What failed in the plan waits for the next run. */
import type { Migration } from '../config/index.ts';
import { usageError } from '../core/errors.ts';
import { type ExitCode, exitCodeOf } from '../core/exit-code.ts';
import type { Ledger, ObjectFilter, Run } from '../ports/ledger.ts';
import { forgetCancel } from './limits.ts';
import { openForChange, type OpenRunOptions, refuseFleet, runOf, storedBinding } from './open-run.ts';
import { ledgerPath } from './state.ts';

export interface Reopened {
  readonly run: Run;
  /** Objects set back to pending. */
  readonly objects: number;
  /** Failed objects that match and that only the next run's listing can settle. */
  readonly failedInPlan: number;
  /** Of the run as it stands, when nothing is tried again. */
  readonly exit: ExitCode;
}

/** Touches neither store. `number` must be the latest run: an older one was followed by another plan. */
export async function reopenFailed(migration: Migration, number: number | undefined, filter: ObjectFilter, options: OpenRunOptions): Promise<Reopened> {
  const ledger = await openForChange(await storedBinding(ledgerPath(options.stateDir, migration.name)), options);
  try {
    refuseFleet(ledger);
    const reopened = reopen(ledger, migration, number, filter);
    await ledger.flush();
    return reopened;
  } finally {
    await ledger.close();
  }
}

/** The same on a ledger that is open already; in a fleet, what changes is there a moment later. */
export function reopen(ledger: Ledger, migration: Migration, number: number | undefined, filter: ObjectFilter): Reopened {
  const run = runOf(ledger);
  if (number !== undefined && runOf(ledger, number).number !== run.number) throw usageError('E_OLD_RUN', `run ${number} was followed by run ${run.number}`, `retry the latest one: brigade retry ${migration.name}`, ledger.path);
  if (run.state === 'abandoned') throw usageError('E_OLD_RUN', `run ${run.number} was given up`, 'start a new one: brigade run', ledger.path);
  const { pending: objects, failedInPlan } = ledger.retry(run.number, filter);
  if (run.state === 'finished') forgetCancel(ledger.path, run.number);
  if (objects > 0) ledger.updateRun(run.number, { state: 'active', stage: run.listing.sealed ? 'transferring' : run.stage });
  const findings = ledger.verifySummary(run.number)?.findings ?? 0;
  const exit = exitCodeOf({ tally: ledger.tally(run.number), finished: run.state === 'finished', allowArchived: migration.allowArchived, requireObjects: false, findings });
  return { run, objects, failedInPlan, exit };
}
