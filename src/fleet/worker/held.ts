/**
 * One message in this worker's hand. Its lease is kept by a timer of its own, apart from the data path (F095): a beat every third of the lease. One beat
 * that fails or gets no answer is put up with; after two, or when the queue says that the lease is over, the message counts as somebody else's.
 */
import { BrigadeError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { MessageDelivery, MessageLimits } from '../../ports/message-queue.ts';

const BEATS = 3;
const MOST_MISSED = 2;
/** Where a queue ends every lease some time (SQS: 12 h), what was done is told and the message given back before (F096): after ten hours of twelve. */
const SHARE_OF_CEILING = 5 / 6;

export class Held {
  readonly delivery: MessageDelivery;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #takenMs: number;
  /** The lease to ask for now. */
  readonly #wantedMs: () => number;
  readonly #endMs: number;
  /** A beat was answered, be it an earlier one, since the last was sent. */
  #answered = false;
  readonly #lost = new AbortController();
  readonly #ended = new AbortController();

  /** `wantedMs`: the lease to ask for; that of a fresh delivery is the queue's own. */
  constructor(delivery: MessageDelivery, { leaseMs, longestLeaseMs }: Pick<MessageLimits, 'leaseMs' | 'longestLeaseMs'>, wantedMs: () => number, { clock, events }: { readonly clock: Clock; readonly events: Events }) {
    this.delivery = delivery;
    this.#clock = clock;
    this.#events = events;
    this.#takenMs = clock.monotonic();
    this.#tell('taken');
    this.#wantedMs = wantedMs;
    this.#endMs = clock.monotonic() + longestLeaseMs * SHARE_OF_CEILING;
    // It may be shorter than the queue's were when it was opened.
    void this.#keep(Math.min(leaseMs, delivery.leaseLeftMs()) / BEATS);
  }

  /** The lease is over, or about to be: nothing more is begun for this message. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Nobody waits for it any more: what is begun ends as with a lost lease. */
  giveUp(): void {
    this.#lost.abort();
  }

  /** Since it was taken. */
  get heldMs(): number {
    return this.#clock.monotonic() - this.#takenMs;
  }

  /** Its report stands. What the queue answers decides nothing (F099): should it come again, the report is found. */
  async ack(): Promise<void> {
    this.#end('done');
    await this.delivery.ack().catch(() => undefined);
  }

  /** Should this fail, the lease runs out by itself. What went through many hands comes back later than that, unless it is to come at once. */
  async release(delayMs: number): Promise<void> {
    this.#end('given back');
    const { receives } = this.delivery;
    await this.delivery.release(delayMs > 0 && receives > MANY_HANDS ? Math.max(delayMs, ELSEWHERE.leastMs) : delayMs).catch(() => undefined);
  }

  /** Should this fail, it comes again and is parked then. */
  async park(reason: string): Promise<void> {
    this.#end('put aside');
    await this.delivery.park(reason).catch(() => undefined);
  }

  #end(what: 'done' | 'given back' | 'put aside'): void {
    this.#ended.abort();
    this.#tell(what);
  }

  #tell(what: 'taken' | 'done' | 'given back' | 'put aside'): void {
    this.#events.emit({ type: 'task', what, ms: this.heldMs });
  }

  #lose(): void {
    this.#events.emit({ type: 'lease', what: 'lost' });
    this.#lost.abort();
  }

  /** The beats keep their time: a slow answer does not put off the next one. */
  async #keep(everyMs: number): Promise<void> {
    for (let missed = 0, lastMs = this.#clock.monotonic(); !this.#ended.signal.aborted;) {
      await this.#clock.sleep(Math.max(0, lastMs + everyMs - this.#clock.monotonic()), this.#ended.signal).catch(() => undefined);
      if (this.#ended.signal.aborted) return;
      // Who was frozen need not ask: somebody else has it.
      if (this.delivery.leaseLeftMs() <= 0) return this.#lose();
      this.#answered = false;
      lastMs = this.#clock.monotonic();
      const granted = await this.#beat(everyMs);
      missed = this.#answered ? 0 : missed + 1;
      if (missed >= MOST_MISSED || this.delivery.leaseLeftMs() <= 0 || granted === 'over' || this.#clock.monotonic() >= this.#endMs) return this.#lose();
      if (typeof granted === 'number') everyMs = granted / BEATS;
    }
  }

  /** What was granted; undefined: not now, or no answer before the next beat is due. One that comes later than that still counts as one. */
  async #beat(mostMs: number): Promise<number | 'over' | undefined> {
    const enough = new AbortController();
    const beat = this.delivery.extend(this.#wantedMs()).then((granted) => this.#grant(granted), (thrown: unknown) => (isOver(thrown) ? 'over' as const : undefined));
    const late = this.#clock.sleep(mostMs, enough.signal).then(() => undefined, () => undefined);
    try {
      return await Promise.race([beat, late]);
    } finally {
      enough.abort();
    }
  }

  #grant(ms: number): number {
    this.#answered = true;
    this.#events.emit({ type: 'lease', what: 'extended' });
    return ms;
  }
}

function isOver(thrown: unknown): boolean {
  return thrown instanceof BrigadeError && (thrown.code === 'E_LEASE_LOST' || thrown.code === 'E_LEASE_CEILING');
}

/** Deliveries. */
const MANY_HANDS = 12;
/** So long somebody else may take what cannot be begun here; longer the oftener it was given back, so that the queue never takes it for poisoned. */
const ELSEWHERE = { leastMs: 30_000, mostMs: 5 * 60_000, doublesAfter: 4 };

export function elsewhereMs(receives: number): number {
  return Math.min(ELSEWHERE.mostMs, ELSEWHERE.leastMs * 2 ** ((receives - 1) / ELSEWHERE.doublesAfter));
}
