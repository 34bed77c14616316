/**
 * Calls that this worker answers: it takes spans of others' large objects while it has lanes to spare (ranges.ts). A call is held as long as there is
 * something to take; of those that it cannot use others hear, unless they have been through many hands: a call is no task, nothing is lost with it.
 */
import { asBrigadeError, isKind } from '../../core/errors.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { MessageDelivery, MessageLimits } from '../../ports/message-queue.ts';
import { type CallBody, callOf } from '../call-message.ts';
import type { Envelope } from '../messages.ts';
import { taskNamed } from '../task-message.ts';
import { Held } from './held.ts';
import type { FleetRanges } from './ranges.ts';

export interface HelpingOptions {
  readonly ranges: FleetRanges;
  readonly limits: MessageLimits;
  /** To ask for, now. */
  readonly leaseMs: () => number;
  readonly events: Events;
  readonly clock: Clock;
  readonly random: Random;
  /** Resolves when there are lanes; false: there will be none. */
  readonly opened: () => Promise<boolean>;
  /** Nobody should try it here for so long, milliseconds; 0: it may. */
  readonly restMs: () => number;
  /** Large objects that are this worker's own. */
  readonly own: () => number;
  readonly changed: () => void;
  readonly succeeded: () => void;
}

const MOST = 2;
/** From one that is at work on that object already others get it at once; should it come back again and again, there may be nobody else. */
const TWIN = { atOnce: 2, firstMs: 250, most: 8 };
const BUSY = { forMs: 30_000, most: 20 };
/** After a journal that did not answer. */
const AGAIN_MS = 5000;

interface Hand {
  readonly upload: string;
  readonly stop: AbortController;
  delayMs: number;
  readonly done: Promise<void>;
}

export class Helping {
  readonly #options: HelpingOptions;
  readonly #hands = new Set<Hand>();
  #leaving = false;

  constructor(options: HelpingOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#hands.size;
  }

  /** Whether it is answered here. */
  accept(delivery: MessageDelivery, { id, body }: Envelope<'call', CallBody>): boolean {
    if (delivery.leaseLeftMs() <= 0) return false;
    const refused = this.#refused(delivery, body);
    if (refused !== undefined) {
      // Where this fails, the lease runs out and it comes again.
      void (refused === 'drop' ? delivery.ack() : delivery.release(refused)).catch(() => undefined);
      return false;
    }
    const { limits, leaseMs, clock, events } = this.#options;
    // A call is no task.
    const uncounted: Events = { emit: (event) => { if (event.type !== 'task') events.emit(event); } };
    const stop = new AbortController();
    const hand: Hand = { upload: body.upload, stop, delayMs: 0, done: this.#help(new Held(delivery, limits, leaseMs, { clock, events: uncounted }), id, body, stop, () => hand.delayMs).finally(() => {
      this.#hands.delete(hand);
      this.#options.changed();
    }) };
    this.#hands.add(hand);
    return true;
  }

  /** Takes nothing more; spans in hand may be done to their end. */
  leave(): void {
    this.#leaving = true;
  }

  /** What is in hand goes back, for others to take after this delay. */
  async release(delayMs: number): Promise<void> {
    const hands = [...this.#hands];
    for (const hand of hands) {
      hand.delayMs = delayMs;
      hand.stop.abort();
    }
    await Promise.all(hands.map(({ done }) => done));
  }

  /** How long others should have it, or that it is over; undefined: it is answered. */
  #refused({ receives }: MessageDelivery, { upload, hand }: CallBody): number | 'drop' | undefined {
    const { ranges, restMs, own, random } = this.#options;
    const isTwin = ranges.isAtWorkOn(upload) || [...this.#hands].some((one) => one.upload === upload);
    if (isTwin && receives > 1) ranges.inherit(upload, hand);
    if (isTwin) return receives > TWIN.most ? 'drop' : receives <= TWIN.atOnce ? 0 : TWIN.firstMs * 2 ** (receives - TWIN.atOnce) * (0.5 + random.next());
    const isBusy = this.#hands.size >= MOST || (own() > 0 && ranges.idleLanes <= 0);
    const elsewhereMs = Math.max(restMs(), isBusy ? BUSY.forMs : 0);
    if (elsewhereMs === 0 && !this.#leaving) return undefined;
    return receives > BUSY.most ? 'drop' : elsewhereMs;
  }

  async #help(held: Held, id: string, body: CallBody, stop: AbortController, delayMs: () => number): Promise<void> {
    const { ranges, opened, succeeded } = this.#options;
    const lose = (): void => stop.abort();
    held.lost.addEventListener('abort', lose, { once: true });
    try {
      if (!await opened()) return await held.release(this.#options.restMs());
      const helped = await ranges.help(taskNamed(id), callOf(body), held.delivery.receives, () => this.#leaving, stop.signal);
      if (helped === 'back') return await held.release(this.#leaving ? 0 : BUSY.forMs);
      if (helped === 'done') succeeded();
      await held.ack();
    } catch (thrown) {
      // What is wrong with the journal its seat tells; what is wrong with the object its owner hears from the log of the span.
      await held.release(isKind(asBrigadeError(thrown), 'cancelled') ? delayMs() : AGAIN_MS);
    } finally {
      held.lost.removeEventListener('abort', lose);
    }
  }
}
