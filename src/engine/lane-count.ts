/**
 * How many lanes list at once: found, not configured. Twice as many as long as that makes it faster (each holds pages), down again when far fewer keys
 * come than just before. How many requests are in flight is the governor's matter, below the stores: at a store that throttles, lanes wait there.
 */
import type { Clock } from '../ports/clock.ts';

const BEGIN = 4;
const PERIOD_MS = 100;
/** Pages for each lane in a period that say enough. */
const PAGES = 1.5;
const FASTER = 1.1;
const MUCH_SLOWER = 0.5;
const FEWER = 0.75;

export class LaneCount {
  readonly #most: number;
  readonly #clock: Clock;
  #allowed: number;
  #since: number;
  #keys = 0;
  #pages = 0;
  #before = 0;

  constructor(most: number, clock: Clock) {
    this.#most = most;
    this.#clock = clock;
    this.#allowed = Math.min(BEGIN, most);
    this.#since = clock.monotonic();
  }

  get allowed(): number {
    return this.#allowed;
  }

  /** A page of so many keys has come, while so many lanes were at work. */
  add(keys: number, running: number): void {
    this.#keys += keys;
    this.#pages++;
    const now = this.#clock.monotonic();
    const ms = now - this.#since;
    if (ms < PERIOD_MS || this.#pages < PAGES * running) return;
    this.#judge(this.#keys / ms, running);
    this.#since = now;
    this.#keys = this.#pages = 0;
  }

  #judge(rate: number, running: number): void {
    if (rate < this.#before * MUCH_SLOWER) this.#allowed = Math.max(1, Math.floor(this.#allowed * FEWER));
    else if (rate > this.#before * FASTER && running >= this.#allowed) this.#allowed = Math.min(this.#most, this.#allowed * 2);
    this.#before = rate;
  }
}
