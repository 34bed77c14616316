/** What a crew tells its coordinator of a premise that fails. */
import type { BrigadeError } from '../core/errors.ts';

/** A deferred rejection that the coordinator races with its work. */
export class Trouble {
  #reject: (error: BrigadeError) => void = () => undefined;
  promise!: Promise<never>;

  constructor() {
    this.reset();
  }

  raise(error: BrigadeError): void {
    this.#reject(error);
  }

  reset(): void {
    this.promise = new Promise<never>((_, reject) => { this.#reject = reject; });
    this.promise.catch(() => undefined); // Raced by the coordinator while it works; at other times the next pass finds out again.
  }
}
