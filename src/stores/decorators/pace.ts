/**
 * Requests per second that a throttling store lets through: found from what it answers, not configured (S1.5). While nothing is refused
 * there is no pace. A refusal tells that the store was asked more than it gives, and what it gave just then is what it gives: the pace is
 * set a little below, and grows again, slowly at first and faster the longer nothing is refused, so that a limit that was raised is found too.
 */
import type { Clock } from '../../ports/clock.ts';
import { createBucket, type Bucket } from './bucket.ts';

/** Answers are counted in slots of this many milliseconds. */
const SLOT_MS = 100;
/** What the store gives is what it gave in so many slots. */
const SLOTS = 5;
/** Fewer answers than this say nothing of a rate: such a store is asked by fewer requests at once instead. */
const TELLING = 10;
/** Refusals within this time after the pace was set are echoes of requests that went out before. */
const ECHO_MS = 250;
/** The pace is set to this much of what was given. */
const BELOW = 0.94;
/** The pace grows by this much per second at first … */
const FIRST_STEP = 0.01;
/** … and each second without a refusal by so many times more … */
const FASTER = 1.4;
/** … up to so much. */
const LAST_STEP = 0.3;

export class Pace {
  readonly #clock: Clock;
  readonly #slots = new Float64Array(SLOTS);
  #slot = 0;
  #bucket: Bucket | undefined;
  #perSecond = Infinity;
  #step = FIRST_STEP;
  #setAt = -Infinity;
  #grownAt = 0;
  /** Somebody had to wait since the pace last grew: only then is it what holds us back. */
  #waited = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Requests per second; Infinity while the store has refused none. */
  get perSecond(): number {
    return this.#perSecond;
  }

  /** Resolves when a request may go; at once, and without a promise, while there is no pace. */
  take(signal?: AbortSignal): Promise<void> | undefined {
    if (this.#bucket === undefined) return undefined;
    this.#grow();
    const before = this.#clock.monotonic();
    return this.#bucket.take(1, signal).then(() => {
      if (this.#clock.monotonic() > before) this.#waited = true;
    });
  }

  /** The store did what it was asked. */
  answered(): void {
    this.#forget();
    const at = this.#slot % SLOTS;
    this.#slots[at] = (this.#slots[at] ?? 0) + 1;
  }

  /** The store asked for patience. False where too little is known to tell a pace from it. */
  throttled(): boolean {
    const now = this.#clock.monotonic();
    if (now - this.#setAt < ECHO_MS) return true;
    this.#forget();
    const given = this.#slots.reduce((sum, count) => sum + count, 0);
    if (given < TELLING) return false;
    this.#setAt = this.#grownAt = now;
    this.#step = FIRST_STEP;
    this.#waited = false;
    this.#set(Math.min(this.#perSecond, (given * 1000) / (SLOTS * SLOT_MS)) * BELOW);
    return true;
  }

  #grow(): void {
    const now = this.#clock.monotonic();
    const seconds = (now - this.#grownAt) / 1000;
    if (seconds < 0.1) return;
    this.#grownAt = now;
    if (!this.#waited) return;
    this.#waited = false;
    const grown = Math.min(1, seconds);
    this.#set(this.#perSecond * (1 + this.#step * grown));
    this.#step = Math.min(LAST_STEP, this.#step * FASTER ** grown);
  }

  #set(perSecond: number): void {
    this.#perSecond = Math.max(1, perSecond);
    // Little may be saved up: a burst is what stores refuse first.
    const rate = { perSecond: this.#perSecond, burst: Math.max(1, this.#perSecond * 0.02) };
    if (this.#bucket === undefined) this.#bucket = createBucket(this.#clock, rate);
    else this.#bucket.setRate(rate);
  }

  /** Slots that time has passed over are empty. */
  #forget(): void {
    const slot = Math.floor(this.#clock.monotonic() / SLOT_MS);
    for (let passed = Math.min(SLOTS, slot - this.#slot); passed > 0; passed--) this.#slots[(slot - passed + 1) % SLOTS] = 0;
    this.#slot = slot;
  }
}
