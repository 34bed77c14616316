/** One run of one migration on this machine: opens what it needs, resumes or begins, coordinates, closes. */
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { checkOverlap, type Environment, type Migration, specHash } from '../config/index.ts';
import { BrigadeError, errorLine, isKind } from '../core/errors.ts';
import { EXIT, type ExitCode, exitCodeOf } from '../core/exit-code.ts';
import type { Problem, Tally } from '../core/item.ts';
import { coordinate, type CoordinatorOptions, type OnPause, type RunEnd } from '../engine/coordinator.ts';
import { Rest } from '../engine/rest.ts';
import type { ListAllOptions } from '../engine/list-all.ts';
import { findClashes } from '../engine/name-clashes.ts';
import { createEntrySorter, inspectLedger, ledgerExists, openLedger, type SqliteLedger } from '../ledger/sqlite/index.ts';
import { problemOf } from '../engine/worker.ts';
import type { Clock, Random } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Ledger, ObjectFilter, Run } from '../ports/ledger.ts';
import { LocalQueue } from '../queues/local/local-queue.ts';
import { endForGood } from './cancel.ts';
import { concurrencyOf, executorsOf, probeStores } from './copying.ts';
import { ForkedCrew, InProcessCrew, type ManagedCrew, SILENCE_MS, Spares } from './crew.ts';
import { preflight } from './doctor.ts';
import { keepLimits } from './limits.ts';
import { refuseFleet } from './open-run.ts';
import { fanOut, TotalsKeeper } from './events.ts';
import { type Explanation, Tuned } from './explain.ts';
import { makeFolder } from './folder.ts';
import { listingLanes, planOptions } from './options.ts';
import { refuseToStart } from './refuse.ts';
import { reopen, type Reopened } from './retry.ts';
import { saveMigration } from './saved-migration.ts';
import { ledgerPath } from './state.ts';
import { narrowToObject } from './single.ts';
import { isBetweenFolders, openStores, type OpenStores, type StoreDeps } from './stores.ts';
import { threadsFor } from './threads.ts';
import { isUnfinished } from './unfinished.ts';

export interface RunFlags {
  readonly stateDir: string;
  /** Close an unfinished run and plan afresh. */
  readonly fresh: boolean;
  /** Accept a changed identity of a store, or a damaged ledger together with `fresh`. */
  readonly adopt: boolean;
  readonly onPause: OnPause;
  /** 0 objects is exit 1. */
  readonly requireObjects: boolean;
  readonly drainMs: number;
  /** Goes on with the latest run (or this one, if it is the latest) with failed objects that match, instead of beginning another. */
  readonly reopen?: { readonly filter: ObjectFilter; readonly number?: number; readonly told?: (reopened: Reopened) => void };
  /** Silence after which an executor is taken for frozen. Default 60 s. */
  readonly silenceMs?: number;
}

export interface Surroundings {
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Events;
  /** Aborts to drain and stop. */
  readonly signal: AbortSignal;
}

export interface RunResult {
  readonly exit: ExitCode;
  readonly run: Run;
  readonly tally: Tally;
  readonly ledger: string;
  readonly pause?: Problem;
  readonly findings?: number;
  readonly stopped?: boolean;
  /** Somebody ended the run for good. */
  readonly cancelled?: boolean;
  /** What self-tuning chose; absent where the run did not begin again. */
  readonly explanation?: Explanation;
}

/** Codes of stores that cannot be used now, as against a wrong file or command. */
const STOPS_A_RESUME: ReadonlySet<string> = new Set(['E_PREFLIGHT', 'E_CREDENTIALS', 'E_BUCKET_MISSING', 'E_ACCESS_DENIED', 'E_DISK_FULL', 'E_READ_ONLY', 'E_NETWORK', 'E_DNS', 'E_TLS', 'E_THROTTLED', 'E_SERVER', 'E_REGION', 'E_NO_ROOT', 'E_CONNECT', 'E_TIMEOUT', 'E_QUEUE_MISSING', 'E_QUEUE_CONFIG']);

/**
 * Who copies, and how the ledger comes to know of it. `ledger` is the one that changes are told to; what is told may take a moment until it is there.
 */
export interface Hands {
  readonly ledger: Ledger;
  /** Fires, with the BrigadeError that says why, when nothing that is done here counts any more. */
  readonly lost?: AbortSignal;
  /** What an earlier coordinator handed out and nobody finished: taken back, or known to be under way. */
  resume(run: number): void;
  crew(run: Run): ManagedCrew;
  /** Everything that was told is in the ledger. */
  settle(): Promise<void>;
  /** Nobody works any more. */
  close(): Promise<void>;
}

export interface HandsOptions {
  readonly migration: Migration;
  readonly flags: RunFlags;
  readonly around: Surroundings;
  readonly stores: OpenStores;
  readonly index: SqliteLedger;
}

/** How those who copy are gathered, other than as processes of this machine. */
export type GatherHands = (options: HandsOptions) => Promise<Hands>;

/** What a fleet has beside the two stores: opened for one run. */
export interface OpenFleet {
  readonly gather: GatherHands;
  close(): Promise<void>;
}

/** The same over a fleet. What of it is not there before anything moved is judged as a store that is not there. Errors: as `runMigration`. */
export async function runOverFleet(asked: Migration, flags: RunFlags, around: Surroundings, open: () => Promise<OpenFleet>): Promise<RunResult> {
  let fleet: OpenFleet;
  try {
    fleet = await open().catch(refuseToStart);
  } catch (error) {
    return pausedOrThrow(asked, flags, error);
  }
  try {
    return await runMigration(asked, flags, around, fleet.gather);
  } finally {
    await fleet.close();
  }
}

/** @throws BrigadeError `usage` before anything moved, `internal` for defects and damaged ledgers. */
export async function runMigration(asked: Migration, flags: RunFlags, around: Surroundings, gather?: GatherHands): Promise<RunResult> {
  threadsFor(asked);
  try {
    return await runChecked(asked, flags, around, gather);
  } catch (error) {
    return pausedOrThrow(asked, flags, error);
  }
}

async function runChecked(asked: Migration, flags: RunFlags, around: Surroundings, gather: GatherHands | undefined): Promise<RunResult> {
  checkOverlap(asked, flags.stateDir);
  const migration = await narrowToObject(asked, { ...around, share: 1 }).catch(refuseToStart);
  if (gather !== undefined) return runNarrowed(migration, { ...flags, gather }, around);
  using spares = new Spares(executorsOf(migration));
  return await runNarrowed(migration, { ...flags, gather: (options) => localHands(options, spares) }, around);
}

type Flags = RunFlags & { readonly gather: GatherHands };

async function runNarrowed(migration: Migration, flags: Flags, around: Surroundings): Promise<RunResult> {
  const checked = await preflight(migration, { ...around, stateDir: flags.stateDir });
  for (const { name, message } of checked.cached ? [] : checked.warnings) around.events.emit({ type: 'note', level: 'warn', text: `${name}: ${message}` });
  const deps = { ...around, ...(checked.destination === undefined ? {} : { measured: checked.destination }) };
  try {
    return await runOnce(migration, flags, deps, false);
  } catch (error) {
    if (!(error instanceof BrigadeError) || error.code !== 'E_LIST_ORDER') throw error;
    around.events.emit({ type: 'note', level: 'warn', text: `${errorLine(error)}: planned again with listings sorted here` });
    return runOnce(migration, { ...flags, fresh: true }, deps, true);
  }
}

/** What stops a run before it begins again is a pause where there is something to resume (exit 5), else a matter of usage (exit 2). */
function pausedOrThrow(migration: Migration, flags: RunFlags, thrown: unknown): RunResult {
  const path = ledgerPath(flags.stateDir, migration.name);
  if (!(thrown instanceof BrigadeError) || thrown.kind !== 'usage' || !STOPS_A_RESUME.has(thrown.code) || flags.fresh || !ledgerExists(path)) throw thrown;
  const view = inspectLedger(path);
  try {
    const run = view.run();
    if (run === undefined || !isUnfinished(run)) throw thrown;
    return { exit: EXIT.paused, run, tally: view.tally(run.number), ledger: path, pause: problemOf(thrown) };
  } finally {
    void view.close();
  }
}

async function runOnce(migration: Migration, flags: Flags, around: Surroundings & Pick<StoreDeps, 'measured'>, unordered: boolean): Promise<RunResult> {
  const totals: { keeper?: TotalsKeeper } = {};
  const tuned = new Tuned();
  const events = fanOut([around.events, tuned, { emit: (event) => totals.keeper?.emit(event) }]);
  const stores = await openStores(migration, { ...around, events, share: 1, unordered }).catch(refuseToStart);
  try {
    const ledger = await openBound(migration, flags, stores, around);
    try {
      return await carryOut(migration, flags, { ...around, events }, stores, ledger, { totals, tuned });
    } finally {
      await ledger.close();
    }
  } finally {
    await stores.close();
  }
}

async function carryOut(migration: Migration, flags: Flags, around: Surroundings, stores: OpenStores, index: SqliteLedger, { totals, tuned }: { readonly totals: { keeper?: TotalsKeeper }; readonly tuned: Tuned }): Promise<RunResult> {
  const hands = await flags.gather({ migration, flags, around, stores, index }).catch(refuseToStart);
  try {
    const reopened = flags.reopen === undefined ? undefined : reopen(hands.ledger, migration, flags.reopen.number, flags.reopen.filter);
    await hands.settle();
    if (reopened !== undefined) flags.reopen?.told?.(reopened);
    if (reopened?.objects === 0 && reopened.run.state === 'finished') return { ...resultOf(migration, flags, index, reopened.run.number, { state: 'finished', tally: index.tally(reopened.run.number) }), exit: reopened.exit };
    const run = startRun(hands, flags);
    await hands.settle();
    const keeper = new TotalsKeeper((sums) => addTotals(hands, run.number, sums, around));
    totals.keeper = keeper;
    try {
      const end = await work(migration, flags, around, stores, hands, index.run(run.number) ?? run);
      keeper.flush();
      const written = await hands.settle().then(() => true, stopped(around));
      return { ...resultOf(migration, flags, index, run.number, written ? end : undefined), explanation: tuned.explain(migration, stores, index, run.number) };
    } finally {
      // Also on the way out with an error: nothing of it may outlive the ledger.
      keeper.close();
    }
  } finally {
    await hands.close();
  }
}

async function localHands({ migration, flags, around, stores, index }: HandsOptions, spares: Spares): Promise<Hands> {
  refuseFleet(index);
  return {
    ledger: index,
    resume: (run) => void index.releaseTasks(run),
    crew: (run) => gatherCrew(migration, { ...flags, spares }, around, stores, index, new LocalQueue(index, run.number)),
    settle: () => index.flush(),
    close: async () => {},
  };
}

async function openBound(migration: Migration, flags: RunFlags, stores: OpenStores, around: Surroundings): Promise<SqliteLedger> {
  const path = ledgerPath(flags.stateDir, migration.name);
  makeFolder(dirname(path));
  const [source, destination] = await Promise.all([stores.source.identity(around.signal), stores.destination.identity(around.signal)]).catch(refuseToStart);
  const ledger = await openLedger({
    path, clock: around.clock, mode: 'create', adopt: flags.adopt, fresh: flags.fresh, holder: { pid: process.pid, host: hostname() }, signal: around.signal,
    binding: { migration: migration.name, specHash: specHash(migration), source, destination },
  });
  saveMigration(flags.stateDir, migration);
  return ledger;
}

/** An unfinished run is resumed, after a finished one a delta begins; `fresh` closes the unfinished one (design §5, Runs). */
function startRun({ ledger, resume }: Hands, flags: RunFlags): Run {
  const last = ledger.run();
  const unfinished = last !== undefined && isUnfinished(last) ? last : undefined;
  if (unfinished !== undefined && !flags.fresh) {
    resume(unfinished.number);
    ledger.updateRun(unfinished.number, { state: 'active', pause: null, resumed: true });
    return unfinished;
  }
  if (unfinished !== undefined) ledger.updateRun(unfinished.number, { state: 'abandoned', pause: null });
  const finishedBefore = ledger.runs().some(({ state }) => state === 'finished');
  return ledger.beginRun(finishedBefore ? 'delta' : 'initial');
}

/** Undefined: a signal stopped it. */
async function work(migration: Migration, flags: Flags, around: Surroundings, stores: OpenStores, hands: Hands, run: Run): Promise<RunEnd | 'cancelled' | undefined> {
  const { ledger, lost = new AbortController().signal } = hands;
  const crew = hands.crew(run);
  const rest = new Rest(around.clock);
  const cancel = new AbortController();
  const atWorkSinceMs = around.clock.now();
  const stopLimits = obeyOperator(migration, around, { run, ledger, stores, crew, rest, cancel });
  try {
    return await coordinate({
      ledger, run, crew, source: stores.source, destination: stores.destination, verify: migration.verify, onPause: flags.onPause,
      verifyConcurrency: concurrencyOf(migration, 1), events: around.events, clock: around.clock, random: around.random,
      plan: planOptions(migration, run.startedMs, stores.mtimeStepMs), lanes: listingLanes(migration),
      sorter: () => createEntrySorter({ dir: dirname(ledger.path) }),
      probe: (signal) => probeStores(stores.source, stores.destination, signal), pausedUntilMs: () => rest.untilMs,
      ...(isBetweenFolders(migration) ? { directories: migration.fidelity } : {}),
      ...(await clashFinder(stores, dirname(ledger.path), { lanes: listingLanes(migration), clock: around.clock })),
    }, AbortSignal.any([around.signal, lost, cancel.signal])).catch(async (error: unknown) => {
      if (lost.aborted || around.signal.aborted || !cancel.signal.aborted || !isKind(error, 'cancelled', 'premise', 'throttled', 'transient')) throw error;
      await crew.giveUp();
      await endForGood({ ledger, settle: () => hands.settle(), run, stores, atWorkSinceMs, diedMs: crew.diedMs?.(), events: around.events, clock: around.clock, signal: AbortSignal.any([around.signal, lost]) });
      return 'cancelled' as const;
    });
  } catch (error) {
    // Also in the middle of giving up.
    if (lost.aborted) throw lost.reason;
    if (isKind(error, 'cancelled') && around.signal.aborted) return undefined;
    throw error;
  } finally {
    stopLimits();
    await crew.close(around.signal.aborted ? flags.drainMs : 0);
    await hands.settle().catch(settled(around));
  }
}

/** What an operator says while the run works. Returns how to hear no more of it. */
function obeyOperator({ name, limits }: Migration, { clock, events }: Surroundings, { run, ledger, stores, crew, rest, cancel }: { readonly run: Run; readonly ledger: Ledger; readonly stores: OpenStores; readonly crew: ManagedCrew; readonly rest: Rest; readonly cancel: AbortController }): () => void {
  let isFirst = true;
  return keepLimits({
    limits, clock, told: { ledger: ledger.path, run: run.number },
    apply: (now) => {
      rest.set(now.paused === true);
      stores.setRates(now);
      crew.limit(now);
      events.emit({ type: 'limits', now, ...(limits.timezone === undefined ? {} : { zone: limits.timezone }) });
      if (now.paused === true && isFirst) events.emit({ type: 'note', level: 'warn', text: `run ${run.number} was paused before and stays so: brigade resume ${name} goes on` });
      isFirst = false;
    },
    cancel: () => cancel.abort(),
  });
}

/** After a signal not everything that was told may come into the ledger: the run is then not at its end, whatever was seen of it. */
function stopped({ signal }: Surroundings): (thrown: unknown) => false {
  return (thrown) => {
    if (!signal.aborted) throw thrown;
    return false;
  };
}

/** From a timer, too: that another coordinator has taken over, or a signal came, is told by whoever waits for the run. */
function addTotals({ ledger }: Hands, run: number, sums: Parameters<Ledger['addTotals']>[1], around: Surroundings): void {
  try {
    ledger.addTotals(run, sums);
  } catch (thrown) {
    settled(around)(thrown);
  }
}

/** A journal that another coordinator has taken over is not to hide why this one ended. */
function settled({ signal }: Surroundings): (thrown: unknown) => void {
  return (thrown) => {
    if (!signal.aborted && !(thrown instanceof BrigadeError && thrown.code === 'E_JOURNAL_FENCED')) throw thrown;
  };
}

/** Only where the destination folder was seen to take different names for the same is the source listed once more for it. */
async function clashFinder(stores: OpenStores, dir: string, listing: ListAllOptions): Promise<Pick<CoordinatorOptions, 'clashes'>> {
  const { names } = stores.probed;
  if (names === undefined || (!names.foldsCase && !names.normalises)) return {};
  const { collisionKey } = await import('../stores/filesystem/index.ts');
  return { clashes: (signal) => findClashes(stores.source, collisionKey(names), createEntrySorter({ dir }), listing, signal) };
}

function gatherCrew(migration: Migration, flags: RunFlags & { readonly spares: Spares }, around: Surroundings, stores: OpenStores, ledger: Ledger, queue: LocalQueue): ManagedCrew {
  const share = executorsOf(migration);
  if (share > 0) return new ForkedCrew(queue, { migration, share, ledger: ledger.path, facts: stores.probed, silenceMs: flags.silenceMs ?? SILENCE_MS }, around.events, around.clock, flags.spares);
  return new InProcessCrew(queue, { migration, share: 1, source: stores.source, destination: stores.destination, events: around.events, clock: around.clock, random: around.random });
}

function resultOf(migration: Migration, flags: RunFlags, ledger: Ledger, number: number, end: RunEnd | 'cancelled' | undefined): RunResult {
  const run = ledger.run(number) as Run;
  const tally = ledger.tally(number);
  const base = { run, tally, ledger: ledger.path };
  if (end === undefined) return { ...base, exit: EXIT.paused, stopped: true };
  if (end === 'cancelled') return { ...base, exit: EXIT.paused, cancelled: true };
  const findings = end.verified?.summary.findings;
  const exit = exitCodeOf({ tally, finished: end.state === 'finished', allowArchived: migration.allowArchived, requireObjects: flags.requireObjects, ...(findings === undefined ? {} : { findings }) });
  return { ...base, exit, ...(end.pause === undefined ? {} : { pause: end.pause }), ...(findings === undefined ? {} : { findings }) };
}
