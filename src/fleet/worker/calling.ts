/** Calls for help with one object. Nobody knows how many workers there are, or have lanes to spare: a few calls go out, and more when these were answered. */
import type { Clock, Random } from '../../ports/clock.ts';
import type { SpanLogs } from './span-logs.ts';

export interface CallingOptions {
  readonly logs: Pick<SpanLogs, 'hands'>;
  /** Answers whether the queue has it. Never rejects. */
  readonly call: (hand: number, signal: AbortSignal) => Promise<boolean>;
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
  readonly #stop = new AbortController();
  /** Calls that the queue has not taken yet; none more go out meanwhile. */
  #sending = false;
  readonly #inQueue = new Set<number>();

  constructor(options: CallingOptions) {
    this.#options = options;
  }

  /** Messages in the queue, as far as it is known: nobody answered them, and they are not so old that they may be lost. */
  get waiting(): number {
    return this.#isLate ? 0 : this.#inQueue.size;
  }

  get #isLate(): boolean {
    return this.#options.clock.monotonic() - this.#calledMs > this.#againMs;
  }

  /** `free`: spans that nobody has. Of those the caller takes some itself. It waits for no queue: calls go out beside its own work. */
  callFor(free: number): void {
    const { logs, clock, random } = this.#options;
    for (const hand of this.#open) {
      if (!logs.hands.has(hand)) continue;
      this.#open.delete(hand);
      this.#inQueue.delete(hand);
      this.#answered++;
    }
    if (this.#sending) return;
    if (this.#open.size > 0 && !this.#isLate) return;
    const calls = Math.min(MOST_CALLS, Math.max(FIRST_CALLS, this.#answered), Math.floor(free / 2));
    if (calls < 1) return;
    if (this.#open.size > 0) this.#againMs *= 2;
    this.#calledMs = clock.monotonic();
    this.#inQueue.clear();
    this.#open = new Set(Array.from({ length: calls }, () => 1 + Math.floor(random.next() * HANDS)));
    void this.#send([...this.#open]);
  }

  /** Nobody is needed any more. */
  end(): void {
    this.#stop.abort();
    this.#inQueue.clear();
  }

  async #send(hands: readonly number[]): Promise<void> {
    const { call } = this.#options;
    const { signal } = this.#stop;
    this.#sending = true;
    await Promise.all(hands.map(async (hand) => {
      if (await call(hand, signal) && this.#open.has(hand) && !signal.aborted) this.#inQueue.add(hand);
    }));
    this.#sending = false;
  }
}
