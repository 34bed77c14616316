/** Gathers the outcomes of one task and makes them durable in small batches, in order; the last one closes the task. */
import type { Outcome } from '../core/item.ts';
import type { Clock } from '../ports/clock.ts';
import type { Recorder } from '../ports/queue.ts';

const MOST = 128;
/** An outcome is on its way to the disk at the latest after this (design §5: grouped, ≤ 250 ms). */
const LATEST_MS = 200;

export class OutcomeWriter {
  readonly #recorder: Recorder;
  readonly #task: number;
  readonly #clock: Clock;
  #waiting: Outcome[] = [];
  #writing: Promise<void> = Promise.resolve();
  #timer: AbortController | undefined;
  #error: { readonly error: unknown } | undefined;

  constructor(recorder: Recorder, task: number, clock: Clock) {
    this.#recorder = recorder;
    this.#task = task;
    this.#clock = clock;
  }

  add(outcome: Outcome): void {
    this.#waiting.push(outcome);
    if (this.#waiting.length >= MOST) this.#write(false);
    else this.#arm();
  }

  /** Everything so far is durable. */
  async flush(): Promise<void> {
    this.#write(false);
    await this.#settled();
  }

  async close(): Promise<void> {
    this.#write(true);
    await this.#settled();
  }

  #arm(): void {
    if (this.#timer !== undefined) return;
    const timer = new AbortController();
    this.#timer = timer;
    // A cancelled sleep means that a write came first: nothing is left to do.
    void this.#clock.sleep(LATEST_MS, timer.signal).then(() => this.#write(false), () => undefined);
  }

  #write(close: boolean): void {
    this.#timer?.abort();
    this.#timer = undefined;
    const batch = this.#waiting;
    this.#waiting = [];
    if (batch.length === 0 && !close) return;
    this.#writing = this.#writing.then(() => this.#recorder.record(this.#task, batch, close)).catch((error: unknown) => { this.#error ??= { error }; });
  }

  async #settled(): Promise<void> {
    await this.#writing;
    if (this.#error !== undefined) throw this.#error.error;
  }
}
