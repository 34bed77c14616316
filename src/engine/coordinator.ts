/**
 * One run of one migration, from listing to end. The coordinator owns the ledger; a crew of executors does the copying.
 *
 *   listing ─▶ transferring ─▶ closing ─┬─▶ (verifying) ─▶ done
 *      copying starts with the first page └─ what differs goes back to transferring
 *
 * A premise that fails (credentials, bucket, disk, network) holds the crew: the run waits and probes, or ends `paused`, as the operator
 * chose. Nothing here knows how executors are made or which stores there are.
 */
import type { BrigadeError} from '../core/errors.ts';
import { asBrigadeError, isKind } from '../core/errors.ts';
import type { Problem, Tally } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import type { KeyRange } from '../core/shard.ts';
import { literalPrefix } from '../core/select.ts';
import type { Clock, Random } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Ledger, Run, Stage } from '../ports/ledger.ts';
import type { EntrySorter } from '../ports/sorter.ts';
import type { Store } from '../ports/storage.ts';
import { closeListing } from './closing.ts';
import { type DirectoryFidelity, finishDirectories } from './directories.ts';
import { knownRanges } from './known-ranges.ts';
import type { PlanOptions, VerifyLevel } from './options.ts';
import { plan } from './planner.ts';
import { sweepLeftovers, sweepUploads } from './sweeper.ts';
import { type Verified, verifyRun } from './verifier.ts';
import { problemOf } from './worker.ts';

/** The executors of one run, wherever they are. */
export interface Crew {
  /** Work may be waiting: called after tasks were added. */
  wake(): void;
  /** Stops copying; what was in flight is given back. Resolves when nothing is being written any more. */
  hold(): Promise<void>;
  go(): void;
  /** True when no executor holds a task. */
  idle(): boolean;
  /** The run needs them no more. What they do besides is not to wait for somebody who lets it go on. */
  release?(): Promise<void>;
  /** When an executor last died in the middle of its work, wall clock; absent or undefined: none did. */
  diedMs?(): number | undefined;
  /** Rejects with the first premise that fails, of any executor. A new one each time the crew goes. */
  readonly trouble: Promise<never>;
}

export type OnPause = 'exit' | 'wait' | 'auto';

export interface CoordinatorOptions {
  readonly ledger: Ledger;
  readonly run: Run;
  readonly source: Store;
  readonly destination: Store;
  readonly plan: PlanOptions;
  /** Ranges of keys that are listed at once, at most. */
  readonly lanes: number;
  readonly verify: VerifyLevel;
  readonly verifyConcurrency: number;
  readonly onPause: OnPause;
  readonly crew: Crew;
  readonly sorter: () => EntrySorter;
  readonly probe: (signal: AbortSignal) => Promise<void>;
  /** Until when somebody had paused the run, by the monotonic clock; now, while it is. What fails then counts from there on. */
  readonly pausedUntilMs?: () => number;
  /** Keys that would be one name at the destination; asked once, before the listing begins. */
  readonly clashes?: (signal: AbortSignal) => Promise<ReadonlySet<Key>>;
  /** Between folders: what of their directories must survive. */
  readonly directories?: DirectoryFidelity;
  readonly events: Events;
  readonly clock: Clock;
  readonly random: Random;
}

export interface RunEnd {
  readonly state: 'finished' | 'paused';
  readonly tally: Tally;
  readonly pause?: Problem;
  readonly verified?: Verified;
}

const DRAIN_POLL_MS = 100;
/** So that lanes whose range was short find another one. */
const RANGES_PER_LANE = 4;
const WORKING_TIME_MS = 10_000;
/** How long `auto` waits for a network or a throttling store (design truth 11). */
const PATIENCE_MS = 60 * 60 * 1000;
const PROBE_CAP_MS = 30_000;
const WAITS_FOR: ReadonlySet<string> = new Set(['E_NETWORK', 'E_DNS', 'E_CONNECT', 'E_TIMEOUT', 'E_THROTTLED']);

/** How long a run waits for a premise that failed. */
export function patienceMs(onPause: OnPause, code: string): number {
  if (onPause === 'wait') return Infinity;
  return onPause === 'exit' || !WAITS_FOR.has(code) ? 0 : PATIENCE_MS;
}

/** @throws BrigadeError `cancelled` when stopped by the signal; the run is then left active, to be resumed. */
export async function coordinate(options: CoordinatorOptions, signal: AbortSignal): Promise<RunEnd> {
  const time = new WorkingTime(options);
  try {
    return await new Coordinator(options, signal, time).run();
  } finally {
    time.record();
  }
}

/** The time a run was worked on, told to the ledger now and then: what a kill takes away is seconds, and `status` shows a run that is under way. */
class WorkingTime {
  readonly #options: Pick<CoordinatorOptions, 'clock' | 'ledger' | 'run'>;
  #sinceMs: number;

  constructor(options: Pick<CoordinatorOptions, 'clock' | 'ledger' | 'run'>) {
    this.#options = options;
    this.#sinceMs = options.clock.monotonic();
  }

  recordSometimes(): void {
    if (this.#options.clock.monotonic() - this.#sinceMs >= WORKING_TIME_MS) this.record();
  }

  record(): void {
    const now = this.#options.clock.monotonic();
    this.#options.ledger.updateRun(this.#options.run.number, { addActiveMs: Math.round(now - this.#sinceMs) });
    this.#sinceMs = now;
  }
}

class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #signal: AbortSignal;
  readonly #run: number;
  readonly #startedMs: number;
  readonly #prefix: Key;
  readonly #time: WorkingTime;

  constructor(options: CoordinatorOptions, signal: AbortSignal, time: WorkingTime) {
    this.#options = options;
    this.#time = time;
    this.#signal = signal;
    this.#run = options.run.number;
    this.#startedMs = options.clock.now();
    this.#prefix = literalPrefix(options.plan.selection.include);
  }

  async run(): Promise<RunEnd> {
    for (;;) {
      try {
        return await this.#pass();
      } catch (thrown) {
        const error = asBrigadeError(thrown, 'run');
        if (this.#signal.aborted || !isKind(error, 'premise', 'throttled', 'transient')) throw error;
        await this.#options.crew.hold();
        if (!(await this.#outlast(error))) return this.#paused(error);
        this.#options.crew.go();
      }
    }
  }

  async #pass(): Promise<RunEnd> {
    const { ledger } = this.#options;
    await this.#sweep();
    await this.#unlessTrouble((stop) => this.#planAndDrain(stop));
    await this.#close();
    await this.#finishDirectories();
    const verified = await this.#verify();
    // Before it is over: nobody does it afterwards.
    await this.#options.crew.release?.();
    ledger.updateRun(this.#run, { state: 'finished', stage: 'done', pause: null });
    this.#options.events.emit({ type: 'stage', stage: 'done' });
    return { state: 'finished', tally: ledger.tally(this.#run), ...(verified === undefined ? {} : { verified }) };
  }

  /**
   * Until one whole round finds everything standing (closing.ts says why that comes). What killed writers left goes first: taking a second name
   * from a file changes its token, and the listing must see the last one.
   */
  async #close(): Promise<void> {
    for (let round = 1; ; round++) {
      await this.#sweep();
      await this.#sweepLeftovers();
      if (round === 1 && this.#options.ledger.tally(this.#run).copied.objects === 0) return;
      this.#stage('closing');
      const { again, failed } = await closeListing({ ...this.#options, run: this.#run, prefix: this.#prefix }, this.#signal);
      if (failed > 0) this.#note(`closing listing: ${failed} objects at the destination are not what was written, again and again; given up`);
      if (again === 0) return;
      this.#note(`closing listing: ${again} objects at the destination are not what was written; planned again`);
      this.#stage('transferring');
      this.#options.crew.wake();
      await this.#unlessTrouble((stop) => this.#drain(stop));
    }
  }

  /** Works until done or until an executor reports a failed premise; either way nothing of it goes on afterwards. */
  async #unlessTrouble(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const stop = new AbortController();
    const working = work(AbortSignal.any([this.#signal, stop.signal]));
    try {
      await Promise.race([working, this.#options.crew.trouble]);
    } finally {
      stop.abort();
      await working.catch(() => undefined);
    }
  }

  async #planAndDrain(signal: AbortSignal): Promise<void> {
    const { ledger, crew, source, destination } = this.#options;
    const run = ledger.run(this.#run);
    if (run !== undefined && !run.listing.sealed) {
      this.#stage('listing');
      const clashes = await this.#options.clashes?.(signal);
      await plan({
        ...(clashes === undefined ? {} : { clashes }),
        source, destination, ranges: this.#rangesBefore(), options: this.#options.plan, sorter: this.#options.sorter, events: this.#options.events, clock: this.#options.clock,
        left: () => ledger.leftBefore(this.#run, this.#options.lanes), lanes: this.#options.lanes,
        save: (page) => { ledger.addPlan(this.#run, page); crew.wake(); this.#time.recordSometimes(); },
        ...(ledger.room === undefined ? {} : { room: () => ledger.room?.() ?? Promise.resolve() }),
      }, ledger.shards(this.#run), signal);
      this.#options.events.emit({ type: 'listed', side: 'source', objects: 0, bytes: 0, done: true });
    }
    this.#stage('transferring');
    await this.#drain(signal);
  }

  /** A delta run finds the keys where the run before it found them. */
  #rangesBefore(): readonly KeyRange[] {
    const { ledger, source, destination, lanes } = this.#options;
    const before = ledger.runs().findLast(({ number, listing }) => number < this.#run && listing.sealed);
    return knownRanges(before === undefined ? [] : ledger.shards(before.number), [source, destination], lanes * RANGES_PER_LANE);
  }

  async #drain(signal: AbortSignal): Promise<void> {
    const { ledger, crew, clock } = this.#options;
    while (!crew.idle() || ledger.tally(this.#run).pending.objects > 0) {
      await clock.sleep(DRAIN_POLL_MS, signal);
      this.#time.recordSometimes();
    }
    await ledger.flush();
  }

  async #verify(): Promise<Verified | undefined> {
    const { verify, events } = this.#options;
    if (verify !== 'checksum' && verify !== 'full') return undefined;
    this.#stage('verifying');
    let last = 0;
    return verifyRun({
      ...this.#options, run: this.#run, prefix: this.#prefix, level: verify, concurrency: this.#options.verifyConcurrency,
      onProgress: (checked) => { if (checked - last >= 1000) { last = checked; events.emit({ type: 'note', level: 'info', text: `verified ${checked} objects` }); } },
    }, this.#signal);
  }

  #sweep(): Promise<void> {
    return sweepUploads({ ...this.#options, run: this.#run }, this.#signal);
  }

  #sweepLeftovers(): Promise<void> {
    return sweepLeftovers({ ...this.#options, run: this.#run }, { atWorkSinceMs: this.#startedMs, diedMs: this.#options.crew.diedMs?.() }, this.#signal);
  }

  async #finishDirectories(): Promise<void> {
    const { directories: fidelity } = this.#options;
    if (fidelity !== undefined) await finishDirectories({ ...this.#options, run: this.#run, fidelity }, this.#signal);
  }

  /** Waits until the premise holds again; false when it does not within the operator's patience. */
  async #outlast(error: BrigadeError): Promise<boolean> {
    const { onPause, clock, events, random, probe } = this.#options;
    const patience = patienceMs(onPause, error.code);
    const since = clock.monotonic();
    const patienceSince = (): number => Math.max(since, this.#options.pausedUntilMs?.() ?? since);
    for (let turn = 0; clock.monotonic() - patienceSince() < patience; turn++) {
      events.emit({ type: 'waiting', problem: problemOf(error), sinceMs: clock.monotonic() - since });
      await clock.sleep(Math.min(PROBE_CAP_MS, 1000 * 2 ** turn) * (0.5 + random.next() / 2), this.#signal);
      try {
        await probe(this.#signal);
        events.emit({ type: 'resumed' });
        return true;
      } catch (thrown) {
        if (!isKind(thrown, 'premise', 'throttled', 'transient')) throw thrown;
      }
    }
    return false;
  }

  #paused(error: BrigadeError): RunEnd {
    const pause = problemOf(error);
    this.#options.ledger.updateRun(this.#run, { state: 'paused', pause });
    return { state: 'paused', pause, tally: this.#options.ledger.tally(this.#run) };
  }

  #stage(stage: Stage): void {
    this.#time.recordSometimes();
    this.#options.ledger.updateRun(this.#run, { stage, state: 'active' });
    this.#options.events.emit({ type: 'stage', stage });
  }

  #note(text: string): void {
    this.#options.events.emit({ type: 'note', level: 'warn', text });
  }
}
