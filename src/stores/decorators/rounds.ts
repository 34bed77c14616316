/** One timer for all that is open: one for each would cost more than a small body itself. */
import type { Clock } from '../../ports/clock.ts';

export class Rounds<T> {
  readonly #clock: Clock;
  readonly #look: (open: ReadonlySet<T>) => number;
  readonly #firstMs: number;
  readonly #open = new Set<T>();
  #stop: AbortController | undefined;

  /** `look` is called after `firstMs`, then after as many milliseconds as it answered, as long as something is open. */
  constructor(clock: Clock, firstMs: number, look: (open: ReadonlySet<T>) => number) {
    this.#clock = clock;
    this.#firstMs = firstMs;
    this.#look = look;
  }

  get open(): ReadonlySet<T> {
    return this.#open;
  }

  add(one: T): void {
    this.#open.add(one);
    this.#stop ??= this.#start();
  }

  delete(one: T): void {
    this.#open.delete(one);
    if (this.#open.size > 0) return;
    this.#stop?.abort();
    this.#stop = undefined;
  }

  #start(): AbortController {
    const stop = new AbortController();
    this.#walk(stop.signal).catch((thrown: unknown) => {
      if (!stop.signal.aborted) throw thrown;
    });
    return stop;
  }

  async #walk(stop: AbortSignal): Promise<void> {
    for (let ms = this.#firstMs; ; ms = this.#look(this.#open)) await this.#clock.sleep(ms, stop);
  }
}
