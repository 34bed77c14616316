/** `brigade verify`: the verifier over a finished run, as a step of its own (S2.19, I9). It is clean only where the run is: `verify && delete the source` must be safe. */
import { dirname } from 'node:path';
import type { Migration, Verify } from '../config/index.ts';
import { usageError } from '../core/errors.ts';
import { type ExitCode, exitCodeOf } from '../core/exit-code.ts';
import { type Verified, verifyRun } from '../engine/verifier.ts';
import { createEntrySorter, type SqliteLedger } from '../ledger/sqlite/index.ts';
import type { Ledger, Run } from '../ports/ledger.ts';
import { concurrencyOf } from './copying.ts';
import type { Surroundings } from './migrate.ts';
import { keepLimits } from './limits.ts';
import { bindingOf, openForChange, runOf } from './open-run.ts';
import { listingLanes } from './options.ts';
import { openStores } from './stores.ts';
import { threadsFor } from './threads.ts';

export interface VerifyFlags {
  readonly stateDir: string;
  /** Of the latest run when absent. */
  readonly run?: number;
  /** Absent: the migration's own level, or `checksum` where that is weaker. */
  readonly level?: Verify;
}

export interface VerifyResult extends Verified {
  /** Objects that the run failed at: nothing was compared of them, and the exit code says so. */
  readonly failed: number;
  readonly exit: ExitCode;
  readonly run: Run;
  readonly ledger: string;
}

/** The result is kept in the ledger. Throws E_NOT_FINISHED where the run has pending objects. */
export async function verifyMigration(migration: Migration, flags: VerifyFlags, around: Surroundings, onProgress: (checked: number, bytesRead: number) => void): Promise<VerifyResult> {
  threadsFor(migration);
  const { clock, events, signal } = around;
  const stores = await openStores(migration, { ...around, share: 1 });
  let stopLimits = (): void => undefined;
  try {
    const ledger = await openForChange(await bindingOf(migration, stores.source, stores.destination, signal), { stateDir: flags.stateDir, clock, signal });
    try {
      const run = runOf(ledger, flags.run);
      if (run.state !== 'finished') throw usageError('E_NOT_FINISHED', `run ${run.number} is ${run.state}, there is nothing final to verify`, `finish it first: brigade run`, ledger.path);
      stopLimits = keepLimits({ limits: migration.limits, clock, apply: (now) => stores.setRates(now) });
      const verified = await verifyRun({
        source: stores.source, destination: stores.destination, ledger: asIndex(ledger), run: run.number, level: levelOf(migration, flags), lanes: listingLanes(migration), concurrency: concurrencyOf(migration, 1),
        sorter: () => createEntrySorter({ dir: dirname(ledger.path) }), events, clock, onProgress,
      }, signal);
      const tally = ledger.tally(run.number);
      const exit = exitCodeOf({ tally, finished: true, findings: verified.summary.findings, allowArchived: migration.allowArchived, requireObjects: false });
      return { ...verified, run, ledger: ledger.path, failed: tally.failed.objects, exit };
    } finally {
      stopLimits();
      await ledger.close();
    }
  } finally {
    await stores.close();
  }
}

/** What a journal says of objects is not said otherwise by its index: of a fleet's run the summary and what was found are kept, here alone, and no better evidence. */
function asIndex(ledger: SqliteLedger): Ledger {
  if (ledger.foldedTo() === undefined) return ledger;
  return new Proxy(ledger, {
    get: (target, name) => {
      if (name === 'amend') return () => undefined;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) as unknown : member;
    },
  });
}

function levelOf(migration: Migration, flags: VerifyFlags): Verify {
  if (flags.level !== undefined) return flags.level;
  return migration.verify === 'full' ? 'full' : 'checksum';
}
