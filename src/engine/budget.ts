/** A bounded number of bytes (or anything countable), handed out first come, first served. Everything that buffers takes from one (truth 12). */
import { cancelled } from '../core/errors.ts';

interface Waiting { readonly amount: number; readonly grant: () => void }

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
    if (this.#waiting.length > 0 || this.#used + share > this.#most) await this.#wait(share, signal);
    else this.#used += share;
    let given = false;
    const giveBack = (): void => {
      if (given) return;
      given = true;
      this.#used -= share;
      this.#serve();
    };
    return this.#whole === undefined ? giveBack : this.#alsoFrom(this.#whole, share, giveBack, signal);
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
      const entry: Waiting = { amount, grant: () => { signal?.removeEventListener('abort', stop); resolve(); } };
      const stop = () => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        reject(cancelled());
        this.#serve();
      };
      signal?.addEventListener('abort', stop, { once: true });
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
