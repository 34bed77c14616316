/** How long no worker can work, and whether that was long enough. */
import type { Rest } from '../../engine/rest.ts';
import type { Clock } from '../../ports/clock.ts';

/** In a pause nobody proves that what hindered him is over: a worker rests for up to five minutes, and tells of it for one and a half more. */
const STALE_MS = 7 * 60_000;

export class Patience {
  readonly #clock: Clock;
  readonly #rest: Rest;

  constructor(clock: Clock, rest: Rest) {
    this.#clock = clock;
    this.#rest = rest;
  }

  /** What has been so since then, by the monotonic clock, was waited for long enough. In a pause nothing was, and what comes out of one has its time again. */
  isOver(sinceMs: number, patienceMs: number): boolean {
    const { untilMs } = this.#rest;
    const now = this.#clock.monotonic();
    return sinceMs > untilMs ? now - sinceMs >= patienceMs : now - untilMs >= Math.max(patienceMs, STALE_MS);
  }
}
