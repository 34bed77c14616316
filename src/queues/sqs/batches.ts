/** Small requests that come within a few milliseconds of each other go out together: SQS counts and bills requests, ten entries each at most. */
import type { BrigadeError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';

export const BATCH = 10;
/** Nobody notices it beside a request's own time. */
const GATHER_MS = 5;

/** Does up to ten at once; answers in their order: undefined, or what was wrong with that one. Rejects when none was done. */
export type BatchWork<T> = (items: readonly T[]) => Promise<readonly (BrigadeError | undefined)[]>;

interface Waiting<T> {
  readonly item: T;
  resolve(): void;
  reject(error: unknown): void;
}

export class Batches<T> {
  readonly #clock: Clock;
  readonly #work: BatchWork<T>;
  #waiting: Waiting<T>[] = [];

  constructor(clock: Clock, work: BatchWork<T>) {
    this.#clock = clock;
    this.#work = work;
  }

  add(item: T): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      if (this.#waiting.length === BATCH) void this.#flush();
      else if (this.#waiting.length === 1) void this.#clock.sleep(GATHER_MS).then(() => this.#flush());
    });
  }

  /** Never rejects: each one that waits is told. */
  async #flush(): Promise<void> {
    const batch = this.#waiting.splice(0, BATCH);
    if (batch.length === 0) return;
    try {
      const errors = await this.#work(batch.map(({ item }) => item));
      for (const [i, { resolve, reject }] of batch.entries()) {
        if (errors[i] === undefined) resolve();
        else reject(errors[i]);
      }
    } catch (thrown) {
      for (const { reject } of batch) reject(thrown);
    }
  }
}

/** Groups of at most ten items and `mostBytes` together, in order. An item above `mostBytes` goes alone. */
export function groups<T>(items: readonly T[], mostBytes: number, bytesOf: (item: T) => number): readonly (readonly T[])[] {
  const all: T[][] = [];
  let bytes = 0;
  for (const item of items) {
    const size = bytesOf(item);
    const last = all.at(-1);
    if (last === undefined || last.length === BATCH || bytes + size > mostBytes) {
      all.push([item]);
      bytes = size;
    } else {
      last.push(item);
      bytes += size;
    }
  }
  return all;
}
