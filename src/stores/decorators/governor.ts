/**
 * How many requests an endpoint gets at the same time, and per second: found, not configured. One more at once after a full round of requests
 * without trouble (AIMD, as TCP does it: Chiu and Jain 1989, RFC 5681 §3.1). When the store asks for patience, a pace is set to what it gave
 * just then (pace.ts); where too few requests go by to tell one, there are × 0.7 fewer at once. When nothing answers at all, the
 * circuit opens: one request at a time asks whether the endpoint is back, the others wait (F085).
 */
import { Aborts, type Stoppable } from '../../core/aborts.ts';
import { BrigadeError, cancelled } from '../../core/errors.ts';
import type { AtOnce, HeldBy } from '../../core/tuning.ts';
import type { Clock } from '../../ports/clock.ts';
import { Circuit } from './circuit.ts';
import { Pace } from './pace.ts';

export interface GovernorOptions {
  readonly clock: Clock;
  /** Requests at once: to begin with, at least, at most. */
  readonly initial: number;
  readonly min: number;
  readonly max: number;
  /** With the circuit open for so long, those who wait get E_NETWORK (premise): the run decides what follows, not a queue. Default: for ever. */
  readonly patienceMs?: number;
  /** The circuit opened (true) or closed. */
  onCircuit?(open: boolean): void;
}

/** What became of the request that held the permit. */
export type Verdict = 'answered' | 'unreachable';

export interface Sample {
  /** Requests of one class take about as long as each other: operation and size. */
  readonly class: string;
  readonly ms: number;
}

export interface Permit {
  /** Gives the permit back; the second call does nothing. Without a verdict nothing is learnt from it. */
  release(verdict?: Verdict, sample?: Sample): void;
}

export interface Governor {
  /** First come, first served; rejects as cancelled when the signal fires. */
  acquire(signal?: AbortSignal): Promise<Permit>;
  /** At once, where nobody has to wait and the endpoint answers; else undefined. */
  tryAcquire(signal?: AbortSignal): Permit | undefined;
  /** The store asked for patience. Counts at most once per second: one storm is one message. */
  throttled(): void;
  readonly limit: number;
  /** Requests per second; Infinity while the store has refused none. */
  readonly perSecond: number;
  readonly inUse: number;
  readonly waiting: number;
  readonly open: boolean;
  /** What was found, and what held it there. */
  readonly atOnce: AtOnce;
}

interface Waiter extends Stoppable {
  go(permit: Permit): void;
  fail(error: Error): void;
}

const aborts = new Aborts();

const DECREASE = 0.7;
const PAUSE_MS = 1_000;
/** Latency over its usual value from which more requests would only queue. */
const INFLATED = 2.5;
const SMOOTHING = 0.05;
const FORGETTING_PER_MINUTE = 0.01;

export function createGovernor(options: GovernorOptions): Governor {
  return new AimdGovernor(options);
}

class AimdGovernor implements Governor {
  readonly #options: GovernorOptions;
  readonly #queue: Waiter[] = [];
  readonly #latency: Latency;
  readonly #circuit: Circuit;
  readonly #pace: Pace;
  #limit: number;
  #inUse = 0;
  /** Answers in this round; a round is as many as there are permits. */
  #answers = 0;
  /** All permits were in use at some moment of this round: only then is the limit what holds us back. */
  #saturated = false;
  #loweredAt = -Infinity;
  #raisedAt = -Infinity;
  #most = 0;
  #everSaturated = false;
  #refusals = 0;
  #refusedAt = -Infinity;
  #alarm: AbortController | undefined;

  constructor(options: GovernorOptions) {
    this.#options = options;
    this.#limit = options.initial;
    this.#latency = new Latency(options.clock);
    this.#pace = new Pace(options.clock);
    this.#circuit = new Circuit(options.clock, (open) => options.onCircuit?.(open));
  }

  get limit(): number {
    return Math.floor(this.#limit);
  }

  get perSecond(): number {
    return this.#pace.perSecond;
  }

  get inUse(): number {
    return this.#inUse;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  get open(): boolean {
    return this.#circuit.open;
  }

  get atOnce(): AtOnce {
    const refused = this.#refusals === 0 ? {} : { lastRefusalMs: this.#options.clock.monotonic() - this.#refusedAt };
    const pace = this.perSecond === Infinity ? {} : { perSecond: this.perSecond };
    return { allowed: this.limit, most: this.#most, heldBy: this.#heldBy(), inflation: Math.round(this.#latency.inflation * 100) / 100, refusals: this.#refusals, ...pace, ...refused };
  }

  #heldBy(): HeldBy {
    if (this.perSecond < Infinity || this.#loweredAt > -Infinity) return 'refusals';
    if (!this.#everSaturated) return 'demand';
    if (this.limit >= this.#options.max) return 'ceiling';
    return this.#latency.inflation >= INFLATED ? 'latency' : 'growing';
  }

  acquire(signal?: AbortSignal): Promise<Permit> {
    if (signal?.aborted === true) return Promise.reject(cancelled());
    const turn = this.#pace.take(signal);
    return turn === undefined ? this.#queueUp(signal) : turn.then(() => this.#queueUp(signal));
  }

  tryAcquire(signal?: AbortSignal): Permit | undefined {
    return signal?.aborted !== true && this.#pace.perSecond === Infinity && !this.open && this.#queue.length === 0 && this.#inUse < this.limit ? this.#permit() : undefined;
  }

  #queueUp(signal: AbortSignal | undefined): Promise<Permit> {
    if (this.#queue.length === 0 && this.#free()) return Promise.resolve(this.#permit());
    return new Promise((resolve, reject) => {
      const settled = (): void => { if (signal !== undefined) aborts.delete(signal, waiter); };
      const waiter: Waiter = {
        go(permit) {
          settled();
          resolve(permit);
        },
        fail(error) {
          settled();
          reject(error);
        },
        stop: () => {
          this.#queue.splice(this.#queue.indexOf(waiter), 1);
          if (this.#queue.length === 0) this.#alarm?.abort();
          reject(cancelled());
        },
      };
      if (signal !== undefined) aborts.add(signal, waiter);
      this.#queue.push(waiter);
      this.#wakeForProbe();
    });
  }

  throttled(): void {
    this.#refusals++;
    this.#refusedAt = this.#options.clock.monotonic();
    if (this.#pace.throttled()) return;
    const now = this.#options.clock.monotonic();
    if (now - this.#loweredAt < PAUSE_MS) return;
    this.#loweredAt = now;
    this.#limit = Math.max(this.#options.min, this.#limit * DECREASE);
    this.#newRound();
  }

  #free(): boolean {
    return this.open ? this.#circuit.probeInMs === 0 : this.#inUse < this.limit;
  }

  #permit(): Permit {
    const probe = this.open;
    if (probe) this.#circuit.startProbe();
    this.#inUse++;
    this.#most = Math.max(this.#most, this.#inUse);
    if (this.#inUse >= this.limit) this.#saturated = this.#everSaturated = true;
    let held = true;
    return {
      release: (verdict, sample) => {
        if (!held) return;
        held = false;
        this.#inUse--;
        this.#learn(verdict, sample, probe);
        this.#admit();
      },
    };
  }

  #admit(): void {
    while (this.#queue.length > 0 && this.#free()) this.#queue.shift()?.go(this.#permit());
    this.#wakeForProbe();
  }

  #learn(verdict: Verdict | undefined, sample: Sample | undefined, probe: boolean): void {
    if (verdict === 'answered') this.#answered(sample);
    else if (verdict === 'unreachable') this.#unreachable(probe);
    else if (probe) this.#circuit.abandonProbe();
  }

  #unreachable(probe: boolean): void {
    this.#circuit.failed(probe);
    if (!probe || this.#circuit.openForMs < (this.#options.patienceMs ?? Infinity)) return;
    const error = new BrigadeError({ code: 'E_NETWORK', kind: 'premise', message: `nothing has answered for ${Math.round(this.#circuit.openForMs / 1000)} s`, hint: 'look at the network and the endpoint' });
    for (const waiter of this.#queue.splice(0)) waiter.fail(error);
    this.#alarm?.abort();
  }

  #answered(sample: Sample | undefined): void {
    this.#circuit.answered();
    if (sample !== undefined) this.#pace.answered();
    if (sample !== undefined) this.#latency.add(sample);
    if (++this.#answers < this.limit) return;
    if (this.#saturated && this.#latency.inflation < INFLATED && this.#mayGrow()) this.#limit = Math.min(this.#options.max, this.#limit + 1);
    this.#newRound();
  }

  /** Where rounds are short, growing each round would outrun lowering once per second: an endpoint that ever throttled is approached slowly. */
  #mayGrow(): boolean {
    const now = this.#options.clock.monotonic();
    if (this.#loweredAt !== -Infinity && now - Math.max(this.#loweredAt, this.#raisedAt) < PAUSE_MS) return false;
    this.#raisedAt = now;
    return true;
  }

  #newRound(): void {
    this.#answers = 0;
    this.#saturated = this.#inUse >= this.limit;
  }

  /** Nobody's request will come back to admit the next one while the circuit is open: time has to. */
  #wakeForProbe(): void {
    const ms = this.#circuit.probeInMs;
    if (!this.open || ms === Infinity || this.#queue.length === 0 || this.#alarm !== undefined) return;
    const alarm = new AbortController();
    this.#alarm = alarm;
    const rung = () => {
      this.#alarm = undefined;
      this.#admit();
    };
    // The sleep ends early only when nobody waits any more; whoever came meanwhile sets a new alarm.
    void this.#options.clock.sleep(ms, alarm.signal).then(rung, rung);
  }
}

/**
 * How much longer requests take than when they were quickest: 1 = no longer. Means are compared with means, because the quickest single
 * request says nothing where latencies scatter; and what counts as quick is forgotten slowly, for a path may become longer for good.
 */
class Latency {
  readonly #classes = new Map<string, { mean: number; quickest: number; at: number }>();
  readonly #clock: Clock;
  inflation = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add({ class: name, ms }: Sample): void {
    const took = Math.max(ms, 0.1);
    const now = this.#clock.monotonic();
    const seen = this.#classes.get(name) ?? { mean: took, quickest: took, at: now };
    const mean = seen.mean + (took - seen.mean) * SMOOTHING;
    const quickest = Math.min(mean, seen.quickest * Math.exp(((now - seen.at) / 60_000) * FORGETTING_PER_MINUTE));
    this.#classes.set(name, { mean, quickest, at: now });
    this.inflation += (Math.min(mean / quickest, 100) - this.inflation) * SMOOTHING;
  }
}
