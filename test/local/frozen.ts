/** A process that can be stopped in the middle and woken again: what it awaits stalls meanwhile. */
import type { Clock } from '../../src/ports/clock.ts';
import type { Shelf } from '../../src/ports/shelf.ts';

export class Frozen {
  readonly clock: Clock;
  #stalled: (() => void)[] | undefined;

  constructor(clock: Clock) {
    this.clock = { now: () => clock.now(), monotonic: () => clock.monotonic(), sleep: (ms, signal) => this.#awake(clock.sleep(ms, signal)) };
  }

  freeze(): void {
    this.#stalled ??= [];
  }

  thaw(): void {
    const stalled = this.#stalled ?? [];
    this.#stalled = undefined;
    for (const goOn of stalled) goOn();
  }

  shelf(shelf: Shelf): Shelf {
    const awake = this.#awake.bind(this);
    return {
      describe: shelf.describe,
      put: (...args) => awake(shelf.put(...args)),
      replace: (...args) => awake(shelf.replace(...args)),
      read: (...args) => awake(shelf.read(...args)),
      remove: (...args) => awake(shelf.remove(...args)),
      names: async function* (...args) {
        for await (const name of shelf.names(...args)) yield await awake(Promise.resolve(name));
      },
    };
  }

  async #awake<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } finally {
      if (this.#stalled !== undefined) await new Promise<void>((resolve) => { this.#stalled?.push(resolve); });
    }
  }
}
