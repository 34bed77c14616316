/** When nobody was to work: what is waited for in that time is not thereby late. */
import type { Clock } from '../ports/clock.ts';

export class Rest {
  readonly #clock: Clock;
  #isOn = false;
  #endedMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  set(isOn: boolean): void {
    if (this.#isOn && !isOn) this.#endedMs = this.#clock.monotonic();
    this.#isOn = isOn;
  }

  /** By the monotonic clock: now, while it lasts; negative infinity where there was none. */
  get untilMs(): number {
    return this.#isOn ? this.#clock.monotonic() : this.#endedMs;
  }
}
