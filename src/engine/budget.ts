/** A bounded number of bytes (or anything countable), handed out first come, first served. Everything that buffers takes from one (truth 12). */
import { Aborts, type Stoppable } from '../core/aborts.ts';
import { cancelled } from '../core/errors.ts';

interface Waiting extends Stoppable { readonly amount: number; readonly grant: () => void }

const aborts = new Aborts();

export class Budget {
  readonly #most: number;
  readonly #whole: Budget | undefined;
  #used = 0;
  readonly #waiting: Waiting[] = [];

  /** `whole`: what is taken here is taken from it too, so that some of it is left for others (F086). */
  constructor(most: number, whole?: Budget) {
    this.#most = Math.max(1, most);
    this.#whole = whole;
  }

  get most(): number {
    return this.#most;
  }

  get used(): number {
    return this.#used;
  }

  /** Resolves to the function that gives the amount back. More than the whole budget counts as the whole. */
  async take(amount: number, signal?: AbortSignal): Promise<() => void> {
    const share = Math.min(amount, this.#most);
    if (signal?.aborted) throw cancelled();
    if (!this.#fits(share)) await this.#wait(share, signal);
    else this.#used += share;
    const giveBack = this.#giverOf(share);
    return this.#whole === undefined ? giveBack : this.#alsoFrom(this.#whole, share, giveBack, signal);
  }

  /** At once, without a promise; undefined where somebody would have to wait, or has to stop. */
  tryTake(amount: number, signal?: AbortSignal): (() => void) | undefined {
    const share = Math.min(amount, this.#most);
    if (signal?.aborted === true || this.#whole !== undefined || !this.#fits(share)) return undefined;
    this.#used += share;
    return this.#giverOf(share);
  }

  #fits(share: number): boolean {
    return this.#waiting.length === 0 && this.#used + share <= this.#most;
  }

  #giverOf(share: number): () => void {
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.#used -= share;
      this.#serve();
    };
  }

  async #alsoFrom(whole: Budget, share: number, giveBack: () => void, signal: AbortSignal | undefined): Promise<() => void> {
    try {
      const wholeBack = await whole.take(share, signal);
      return () => { giveBack(); wholeBack(); };
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  #wait(amount: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const entry: Waiting = {
        amount,
        grant: () => {
          if (signal !== undefined) aborts.delete(signal, entry);
          resolve();
        },
        stop: () => {
          this.#waiting.splice(this.#waiting.indexOf(entry), 1);
          reject(cancelled());
          this.#serve();
        },
      };
      if (signal !== undefined) aborts.add(signal, entry);
      this.#waiting.push(entry);
    });
  }

  #serve(): void {
    for (let next = this.#waiting[0]; next !== undefined && this.#used + next.amount <= this.#most; next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#used += next.amount;
      next.grant();
    }
  }
}
