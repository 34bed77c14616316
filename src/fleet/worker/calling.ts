/** Calls for help with one object. Nobody knows how many workers there are, or have lanes to spare: a few calls go out, and more when these were answered. */
import type { Clock, Random } from '../../ports/clock.ts';
import type { SpanLogs } from './span-logs.ts';

export interface CallingOptions {
  readonly logs: Pick<SpanLogs, 'hands'>;
  readonly call: (hand: number) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
}

const FIRST_CALLS = 4;
const MOST_CALLS = 64;
/** Before it is called again where not all were answered: they may wait behind others in the queue, or be lost. Twice as long each time. */
const AGAIN_MS = 5 * 60_000;
const HANDS = 2 ** 31;

export class Calling {
  readonly #options: CallingOptions;
  #open = new Set<number>();
  #answered = 0;
  #againMs = AGAIN_MS;
  #calledMs = Number.NEGATIVE_INFINITY;

  constructor(options: CallingOptions) {
    this.#options = options;
  }

  /** `free`: spans that nobody has. Of those the caller takes some itself. */
  async callFor(free: number): Promise<void> {
    const { logs, clock, random, call } = this.#options;
    for (const hand of this.#open) {
      if (!logs.hands.has(hand)) continue;
      this.#open.delete(hand);
      this.#answered++;
    }
    const now = clock.monotonic();
    const late = now - this.#calledMs > this.#againMs;
    if (this.#open.size > 0 && !late) return;
    const calls = Math.min(MOST_CALLS, Math.max(FIRST_CALLS, this.#answered), Math.floor(free / 2));
    if (calls < 1) return;
    if (this.#open.size > 0) this.#againMs *= 2;
    this.#calledMs = now;
    this.#open = new Set(Array.from({ length: calls }, () => 1 + Math.floor(random.next() * HANDS)));
    await Promise.all([...this.#open].map(call));
  }
}
