/** What a fleet says of itself to those who start and end its workers, and to those who watch it (S0.32): from the ledger and from beats, never from the queue's counts. */
import { Drain } from '../../core/drain.ts';
import type { Problem, Tally } from '../../core/item.ts';
import type { Clock } from '../../ports/clock.ts';

export interface Signals {
  readonly epoch: number;
  /** Tasks of the run that are not done. */
  readonly backlog: number;
  /** Of these: sent to the queue, and not reported. */
  readonly outstanding: number;
  /** Processes that beat. */
  readonly workers: number;
  /** Tasks in their hands, as they said last. */
  readonly busy: number;
  /** Until nothing is left, at the pace of the last ten minutes; absent: nothing can be said. */
  readonly drainMs?: number;
  readonly paused: boolean;
  /** Messages. */
  readonly sent: number;
  /** Of these: of tasks that had been sent before. */
  readonly resent: number;
  /** Of these: not needed, because an earlier one ended the task. */
  readonly spurious: number;
  /** What keeps everybody from working, or that nobody is there. */
  readonly trouble?: Problem;
}

/** So long work may wait before it is told that nobody is there for it. */
export const ALONE_MS = 30_000;

export class Weights {
  readonly #clock: Clock;
  readonly #drain = new Drain();
  #backlog = 0;
  /** Since when there is work, somebody may do it, and nobody is there. */
  #aloneMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get backlog(): number {
    return this.#backlog;
  }

  get drainMs(): number | undefined {
    return this.#drain.predictedMs();
  }

  weigh(backlog: number, { copied, failed, pending }: Tally, resting: boolean): void {
    this.#backlog = backlog;
    if (resting) return this.#drain.forget();
    // What was found unchanged was nobody's work: it says nothing of how quickly the rest goes.
    const done = { objects: copied.objects + failed.objects, bytes: copied.bytes + failed.bytes };
    this.#drain.look({ atMs: this.#clock.monotonic(), done, left: pending });
  }

  /** `waiting`: tasks that anybody might take now. Answers what to say when nobody has been there for them for too long. */
  alone(waiting: number, workers: number): Problem | undefined {
    if (waiting === 0 || workers > 0) this.#aloneMs = undefined;
    else this.#aloneMs ??= this.#clock.monotonic();
    if (this.#aloneMs === undefined || this.#clock.monotonic() - this.#aloneMs < ALONE_MS) return undefined;
    return { code: 'E_NO_WORKERS', message: `no worker is at work on this run; ${waiting} of its tasks wait in the queue`, hint: 'start brigade worker with the same --queue and --journal, or look whether all of them are at work on other migrations' };
  }
}
