/** What a screen shows of a run at one moment: events tell what moves, the ledger what is done (never counted twice, F090). */
import { showKey } from '../../core/key.ts';
import type { Count, Problem, Tally } from '../../core/item.ts';
import { showLimits } from '../../app/limits.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Events, RunEvent } from '../../ports/events.ts';
import type { Stage } from '../../ports/ledger.ts';

export interface InFlight {
  /** JSON-escaped. */
  readonly key: string;
  readonly size: number;
  readonly bytes: number;
  readonly ms: number;
}

export interface Snapshot {
  readonly migration: string;
  readonly stage: Stage | 'starting';
  /** Both listings are complete: totals are final. */
  readonly listed: boolean;
  readonly elapsedMs: number;
  /** While verifying: checked, of those that will be. */
  readonly objects: { readonly done: number; readonly total: number };
  /** While verifying: read so far; how many it will be is not known, and `total` is 0. */
  readonly bytes: { readonly done: number; readonly total: number };
  readonly failed: number;
  readonly skipped: number;
  readonly bytesPerSecond: number;
  readonly objectsPerSecond: number;
  /** Absent while nothing can be said. A lower bound while `listed` is false. */
  readonly etaMs?: number;
  readonly retries: number;
  readonly throttled: number;
  /** The three that are on their way for longest. */
  readonly slowest: readonly InFlight[];
  /** What holds the run back by the operator's wish, in words. */
  readonly limits?: string;
  readonly waiting?: { readonly code: string; readonly message: string; readonly hint?: string; readonly ms: number };
}

/** What the ledger says now; undefined before the run has one. */
export type ReadTally = () => { readonly tally: Tally; readonly sealed: boolean } | undefined;

const SLOWEST = 3;
const NOTHING: Count = { objects: 0, bytes: 0 };
/** Rates follow what happened over about this long. */
const MEMORY_MS = 10_000;

/** A rate as an exponentially weighted mean, right from its first second. */
export class Rate {
  #mean = 0;
  #weight = 0;

  sample(amount: number, ms: number): void {
    if (ms <= 0) return;
    const share = 1 - Math.exp(-ms / MEMORY_MS);
    this.#mean += share * ((amount / ms) * 1000 - this.#mean);
    this.#weight += share * (1 - this.#weight);
  }

  get perSecond(): number {
    return this.#weight === 0 ? 0 : this.#mean / this.#weight;
  }
}

interface Flight { size: number; bytes: number; sinceMs: number }

export class ProgressState implements Events {
  readonly #migration: string;
  readonly #clock: Clock;
  readonly #startedMs: number;
  readonly #flights = new Map<string, Flight>();
  #rates = { bytes: new Rate(), objects: new Rate() };
  #stage: Stage | 'starting' = 'starting';
  #verified = { objects: 0, of: 0, bytes: 0 };
  #retries = 0;
  #throttled = 0;
  #waiting: { problem: Problem; startedMs: number } | undefined;
  #limits: string | undefined;
  #moved = 0;
  #sampledMs: number;
  #ended = 0;

  constructor(migration: string, clock: Clock) {
    this.#migration = migration;
    this.#clock = clock;
    this.#startedMs = clock.monotonic();
    this.#sampledMs = this.#startedMs;
  }

  get stage(): Stage | 'starting' {
    return this.#stage;
  }

  get waiting(): boolean {
    return this.#waiting !== undefined;
  }

  emit(event: RunEvent): void {
    if (isUnseen(event)) return;
    switch (event.type) {
      case 'stage': this.#enter(event.stage); return;
      case 'verified': this.#verify(event); return;
      case 'started': this.#flight(event.key).size = event.size; return;
      case 'bytes': this.#flight(event.key).bytes += event.bytes; this.#moved += event.bytes; return;
      case 'ended': this.#land(event); return;
      case 'landed': this.#moved += event.bytes; this.#ended += event.objects; return;
      case 'reported': this.#moved += event.bytes; this.#ended += event.objects.copied + event.objects.unchanged; return;
      case 'retry': this.#retries++; return;
      case 'throttled': this.#throttled++; return;
      case 'waiting': this.#waiting = { problem: event.problem, startedMs: this.#clock.monotonic() - event.sinceMs }; this.#flights.clear(); return;
      case 'resumed': this.#waiting = undefined; return;
      case 'limits': this.#limits = showLimits(event.now, event.zone); return;
    }
  }

  snapshot(read: ReadTally): Snapshot {
    const now = this.#clock.monotonic();
    const account = read();
    const { tally } = account ?? {};
    const verifying = this.#stage === 'verifying';
    const { total, left } = verifying ? this.#checks() : this.#amounts(tally);
    this.#sample(now);
    const eta = this.#eta(left);
    return {
      migration: this.#migration, stage: this.#stage, listed: verifying || (account?.sealed ?? false), elapsedMs: now - this.#startedMs,
      objects: { done: total.objects - left.objects, total: total.objects }, bytes: verifying ? { done: this.#verified.bytes, total: 0 } : { done: total.bytes - left.bytes, total: total.bytes },
      failed: tally?.failed.objects ?? 0, skipped: tally?.skipped.objects ?? 0, retries: this.#retries, throttled: this.#throttled,
      bytesPerSecond: this.#rates.bytes.perSecond, objectsPerSecond: this.#rates.objects.perSecond, slowest: this.#slowest(now),
      ...(eta === undefined ? {} : { etaMs: eta }), ...(this.#limits === undefined ? {} : { limits: this.#limits }), ...(this.#waiting === undefined ? {} : { waiting: waitingOf(this.#waiting.problem, now - this.#waiting.startedMs) }),
    };
  }

  #enter(stage: Stage): void {
    this.#stage = stage;
    this.#waiting = undefined;
    // How quickly was copied says nothing of how quickly is read.
    if (stage === 'verifying') this.#rates = { bytes: new Rate(), objects: new Rate() };
  }

  #land({ outcome }: RunEvent & { type: 'ended' }): void {
    this.#flights.delete(outcome.key);
    if (outcome.state !== 'pending') this.#ended++;
  }

  #verify(now: RunEvent & { type: 'verified' }): void {
    this.#moved += now.bytes - this.#verified.bytes;
    this.#ended += now.objects - this.#verified.objects;
    this.#verified = now;
  }

  #checks(): { total: Count; left: Count } {
    const { objects, of } = this.#verified;
    return { total: { objects: of, bytes: 0 }, left: { objects: of - objects, bytes: 0 } };
  }

  /** What is on its way counts as done by the bytes that were sent. */
  #amounts(tally: Tally | undefined): { total: Count; left: Count } {
    if (tally === undefined) return { total: NOTHING, left: NOTHING };
    const onTheWay = [...this.#flights.values()].reduce((sum, { size, bytes }) => sum + Math.min(size, bytes), 0);
    return { total: tally.listed, left: { objects: tally.pending.objects, bytes: Math.max(0, tally.pending.bytes - onTheWay) } };
  }

  #flight(key: string): Flight {
    const known = this.#flights.get(key);
    if (known !== undefined) return known;
    const flight = { size: 0, bytes: 0, sinceMs: this.#clock.monotonic() };
    this.#flights.set(key, flight);
    return flight;
  }

  #sample(now: number): void {
    const ms = now - this.#sampledMs;
    if (ms < 100) return;
    this.#rates.bytes.sample(this.#moved, ms);
    this.#rates.objects.sample(this.#ended, ms);
    this.#moved = 0;
    this.#ended = 0;
    this.#sampledMs = now;
  }

  /** The slower of bytes and objects decides; while large objects are on their way none ends, and bytes alone tell. */
  #eta(left: { objects: number; bytes: number }): number | undefined {
    if (left.objects === 0) return undefined;
    const { bytes, objects } = this.#rates;
    const byBytes = left.bytes === 0 ? 0 : left.bytes / bytes.perSecond;
    const byObjects = objects.perSecond === 0 && left.bytes > 0 ? 0 : left.objects / objects.perSecond;
    const seconds = Math.max(byBytes, byObjects);
    return Number.isFinite(seconds) ? seconds * 1000 : undefined;
  }

  #slowest(now: number): InFlight[] {
    // Late news of others who sent parts of it may come after an object's end.
    const all = [...this.#flights].filter(([, { size }]) => size > 0).sort(([, a], [, b]) => a.sinceMs - b.sinceMs).slice(0, SLOWEST);
    return all.map(([key, { size, bytes, sinceMs }]) => ({ key: showKey(key), size, bytes: Math.min(size, bytes), ms: now - sinceMs }));
  }
}

type Unseen = 'listed' | 'request' | 'requests' | 'stalled' | 'hedged' | 'tuned' | 'sharded' | 'task' | 'lease' | 'note';
const UNSEEN: ReadonlySet<string> = new Set<Unseen>(['listed', 'request', 'requests', 'stalled', 'hedged', 'tuned', 'sharded', 'task', 'lease', 'note']);

/** What a picture of one moment does not show. */
function isUnseen(event: RunEvent): event is Extract<RunEvent, { type: Unseen }> {
  return UNSEEN.has(event.type);
}

function waitingOf({ code, message, hint }: Problem, ms: number): NonNullable<Snapshot['waiting']> {
  return { code, message, ms, ...(hint === undefined ? {} : { hint }) };
}
