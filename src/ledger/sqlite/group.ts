/**
 * Grouped commits: steps that arrive within a short while share one transaction, so that a disk that syncs a hundred times a second
 * still takes thousands of outcomes. A step's promise settles only when its transaction is on disk or has failed.
 */
import type { Clock } from '../../ports/clock.ts';
import type { Connection } from './connection.ts';

export interface GroupOptions {
  readonly clock: Clock;
  /** How long the first step of a group waits for others, milliseconds. */
  readonly waitMs: number;
  /** A group this heavy is committed at once. */
  readonly weight: number;
  /** Called when a transaction failed: everything remembered from it is void. */
  readonly onRollback: () => void;
}

interface Step {
  readonly apply: () => void;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export class CommitGroup {
  readonly #connection: Connection;
  readonly #options: GroupOptions;
  #steps: Step[] = [];
  #weight = 0;
  #timer: AbortController | undefined;

  constructor(connection: Connection, options: GroupOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  add(weight: number, apply: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#steps.push({ apply, resolve, reject });
      this.#weight += weight;
      if (this.#weight >= this.#options.weight) this.#commitWaiting();
      else if (this.#timer === undefined) this.#startTimer();
    });
  }

  /** Runs `work` after everything that waits, in the same transaction; errors reject the waiting steps too. */
  commit<T>(op: string, work: () => T): T {
    const steps = this.#take();
    let result: T;
    try {
      result = this.#connection.transaction(op, () => {
        for (const step of steps) step.apply();
        return work();
      });
    } catch (error) {
      this.#options.onRollback();
      for (const step of steps) step.reject(error);
      throw error;
    }
    for (const step of steps) step.resolve();
    return result;
  }

  async flush(): Promise<void> {
    if (this.#steps.length > 0) this.commit('flush', () => undefined);
    await Promise.resolve();
  }

  #commitWaiting(): void {
    if (this.#steps.length === 0) return;
    try {
      this.commit('record', () => undefined);
    } catch {
      // Each waiting step was rejected with the error; nobody else waits for it here.
    }
  }

  #startTimer(): void {
    const timer = new AbortController();
    this.#timer = timer;
    const fire = (): void => { if (this.#timer === timer) this.#commitWaiting(); };
    // Rejection means that the group was committed before the time was up.
    this.#options.clock.sleep(this.#options.waitMs, timer.signal).then(fire, () => undefined);
  }

  #take(): Step[] {
    const steps = this.#steps;
    this.#steps = [];
    this.#weight = 0;
    this.#timer?.abort();
    this.#timer = undefined;
    return steps;
  }
}
