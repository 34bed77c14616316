/** Notices that an endpoint does not answer at all, and lets one request at a time ask whether it is back (F085). */
import type { Clock } from '../../ports/clock.ts';

/** Failures in a row, with no answer between them, that open the circuit. */
const OPENS_AFTER = 10;
/** Until the first probe; each one that fails doubles the time to the next. */
const PROBE_MS = 1_000;
const LONGEST_PROBE_MS = 30_000;

export class Circuit {
  readonly #clock: Clock;
  readonly #changed: (open: boolean) => void;
  #failures = 0;
  #waitMs = 0;
  #probeAt = 0;
  #probing = false;
  #openedAt = 0;

  constructor(clock: Clock, changed: (open: boolean) => void) {
    this.#clock = clock;
    this.#changed = changed;
  }

  get open(): boolean {
    return this.#waitMs > 0;
  }

  /** Since when nothing answers, in milliseconds; 0 while the circuit is closed. */
  get openForMs(): number {
    return this.open ? this.#clock.monotonic() - this.#openedAt : 0;
  }

  /** Milliseconds until a probe may start; Infinity while one is under way, whose end decides. */
  get probeInMs(): number {
    return this.#probing ? Infinity : Math.max(0, this.#probeAt - this.#clock.monotonic());
  }

  startProbe(): void {
    this.#probing = true;
  }

  answered(): void {
    this.#failures = 0;
    if (!this.open) return;
    this.#waitMs = 0;
    this.#probing = false;
    this.#changed(false);
  }

  /** Requests that were under way when the circuit opened fail too; only a probe's failure says something new then. */
  failed(probe: boolean): void {
    this.#failures++;
    if (probe) this.#probing = false;
    if (this.open ? probe : this.#failures >= OPENS_AFTER) this.#postpone();
  }

  /** The probe ended without a word on the endpoint (it was stopped): another one may start. */
  abandonProbe(): void {
    this.#probing = false;
  }

  #postpone(): void {
    const wasOpen = this.open;
    this.#waitMs = wasOpen ? Math.min(LONGEST_PROBE_MS, this.#waitMs * 2) : PROBE_MS;
    this.#probeAt = this.#clock.monotonic() + this.#waitMs;
    if (wasOpen) return;
    this.#openedAt = this.#clock.monotonic();
    this.#changed(true);
  }
}
