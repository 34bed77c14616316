/**
 * `brigade cancel`: a run ends for good before it is done. It is given up as by `--new`: what was copied stays and is in its account, the next run lists
 * again and copies what is missing. What it left at the destination is removed at once, as far as that can be reached; else the next run does it.
 */
import type { Migration } from '../config/index.ts';
import { asBrigadeError, errorLine, isKind } from '../core/errors.ts';
import type { Problem } from '../core/item.ts';
import { sweepLeftovers, sweepUploads } from '../engine/sweeper.ts';
import type { SqliteLedger } from '../ledger/sqlite/index.ts';
import type { Clock } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Ledger, Run } from '../ports/ledger.ts';
import { writeSaid } from './limits.ts';
import type { Surroundings } from './migrate.ts';
import { openForChange, refuseFleet, runOf, storedBinding } from './open-run.ts';
import { ledgerPath } from './state.ts';
import { openStores, type OpenStores } from './stores.ts';
import { isUnfinished } from './unfinished.ts';

export const CANCELLED: Problem = { code: 'E_RUN_CANCELLED', message: 'somebody cancelled this run: brigade cancel', hint: 'the next run lists again and copies what is missing' };

export interface EndOptions {
  /** The one that changes are told to; what was told is there once `settle` resolves. */
  readonly ledger: Ledger;
  readonly settle: () => Promise<void>;
  readonly run: Run;
  readonly stores: Pick<OpenStores, 'destination' | 'setRates'>;
  /** Wall clock: what was written before is by processes that are gone. */
  readonly atWorkSinceMs: number;
  /** When one of those that came later died. */
  readonly diedMs?: number | undefined;
  readonly events: Events;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Nobody works on it any more. First the ledger says that it is over: what this does not remove, the next run does. */
export async function endForGood({ ledger, settle, run, stores, atWorkSinceMs, diedMs, events, clock, signal }: EndOptions): Promise<void> {
  await closeRun(ledger, run, settle);
  stores.setRates({});
  const context = { ledger, run: run.number, destination: stores.destination, events, clock };
  try {
    await sweepUploads(context, signal);
    await sweepLeftovers(context, { atWorkSinceMs, diedMs }, signal);
    await settle();
  } catch (thrown) {
    if (isKind(thrown, 'internal', 'usage')) throw thrown;
    leftToTheNext(events, thrown);
  }
}

async function closeRun(ledger: Ledger, { number }: Run, settle: () => Promise<void>): Promise<void> {
  ledger.updateRun(number, { state: 'abandoned', pause: CANCELLED });
  await settle();
  writeSaid(ledger.path, number);
}

function leftToTheNext(events: Events, thrown: unknown): void {
  events.emit({ type: 'note', level: 'warn', text: `unfinished uploads and files of the run are left to the next one to remove: ${errorLine(asBrigadeError(thrown, 'sweep'))}` });
}

/** How a ledger is changed where nobody is at work on it. */
export interface Closing {
  readonly ledger: Ledger;
  settle(): Promise<void>;
  /** No worker begins anything of it any more; waits for what they have in hand, though not for long. */
  giveUp(run: Run): Promise<void>;
  close(): Promise<void>;
}

export interface CancelOptions extends Surroundings {
  readonly stateDir: string;
  /** As its run began; absent: nobody knows any more where it wrote. */
  readonly migration: Migration | undefined;
  /** Of a fleet. */
  readonly open?: (index: SqliteLedger, around: Surroundings) => Promise<Closing>;
}

/** The latest run of a migration on which nobody is at work here. @throws usage E_LOCKED_RUN: somebody is; E_LEDGER_FLEET */
export async function cancelAlone(name: string, options: CancelOptions): Promise<Run> {
  const index = await openForChange(await storedBinding(ledgerPath(options.stateDir, name)), options);
  try {
    const run = runOf(index);
    if (!isUnfinished(run)) return run;
    const closing = await (options.open ?? localClosing)(index, options);
    try {
      // What became of it on other machines is known only now.
      const now = index.run(run.number) ?? run;
      if (!isUnfinished(now)) return now;
      await closing.giveUp(now);
      await endThere(closing, now, options);
      return index.run(run.number) ?? run;
    } finally {
      await closing.close();
    }
  } finally {
    await index.close();
  }
}

async function endThere({ ledger, settle }: Closing, run: Run, options: CancelOptions): Promise<void> {
  const { migration, clock, events, signal } = options;
  let stores: OpenStores;
  try {
    if (migration === undefined) throw new Error('the state folder does not say which stores they are');
    stores = await openStores(migration, { ...options, share: 1 });
  } catch (thrown) {
    await closeRun(ledger, run, settle);
    return leftToTheNext(events, thrown);
  }
  try {
    await endForGood({ ledger, settle, run, stores, atWorkSinceMs: clock.now(), diedMs: clock.now(), events, clock, signal });
  } finally {
    await stores.close();
  }
}

async function localClosing(index: SqliteLedger): Promise<Closing> {
  refuseFleet(index);
  return { ledger: index, settle: () => index.flush(), giveUp: async () => {}, close: async () => {} };
}
