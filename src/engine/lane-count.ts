/**
 * How many lanes list at once: found, not configured. Twice as many while that brings clearly more keys per second; a few less when it brings
 * clearly fewer, as when a store begins to throttle (how many requests are in flight is the governor's matter, below the stores).
 */
import type { Clock } from '../ports/clock.ts';

const BEGIN = 4;
const PERIOD_MS = 120;
/** Pages of a period that say enough. */
const ANSWERS = 2;
const BETTER = 1.15;
const WORSE = 0.5;
const FEWER = 0.75;
/** The best rate is forgotten, as stores change. */
const FORGET = 0.98;

export class LaneCount {
  readonly #most: number;
  readonly #clock: Clock;
  #allowed: number;
  #since: number;
  #keys = 0;
  #pages = 0;
  #best = 0;

  constructor(most: number, clock: Clock) {
    this.#most = most;
    this.#clock = clock;
    this.#allowed = Math.min(BEGIN, most);
    this.#since = clock.monotonic();
  }

  get allowed(): number {
    return this.#allowed;
  }

  /** A page of so many keys has come. */
  add(keys: number): void {
    this.#keys += keys;
    this.#pages++;
    const now = this.#clock.monotonic();
    const ms = now - this.#since;
    if (ms < PERIOD_MS || this.#pages < ANSWERS * this.#allowed) return;
    this.#judge(this.#keys / ms);
    this.#since = now;
    this.#keys = this.#pages = 0;
  }

  #judge(rate: number): void {
    if (rate > this.#best * BETTER) this.#allowed = Math.min(this.#most, this.#allowed * 2);
    else if (rate < this.#best * WORSE) this.#allowed = Math.max(1, Math.floor(this.#allowed * FEWER));
    this.#best = Math.max(rate, this.#best * FORGET);
  }
}
