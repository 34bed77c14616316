/**
 * Circuit breakers of one worker, one for each place: a bucket as certain credentials reach it, or a directory. Its migrations share them, so that what one of
 * them finds wrong with a place none of the others asks again:
 *
 *   closed ──premise fails──▶ open (30 s, each time twice as long, to 5 min) ──▶ half-open: one of them asks once ──▶ closed
 *                               ▲                                                     └─ it fails ─┘
 *
 * Only a task that was done makes it forget: a question may be answered where work is refused.
 */
import { asBrigadeError, type BrigadeError, isKind } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';

export const FIRST_OPEN_MS = 30_000;
export const LONGEST_OPEN_MS = 5 * 60_000;

export interface Breaker {
  readonly error: BrigadeError;
  readonly forMs: number;
  readonly untilMs: number;
}

interface State {
  breaker: Breaker;
  open: boolean;
  /** Answers why who asked had to leave, where it had to. */
  probing?: Promise<BrigadeError | undefined>;
}

/** Twice as long as the last time. */
export function nextOpenMs(before: number | undefined): number {
  return before === undefined ? FIRST_OPEN_MS : Math.min(LONGEST_OPEN_MS, before * 2);
}

export class Breakers {
  readonly #clock: Clock;
  readonly #states = new Map<string, State>();
  readonly #hearers = new Set<(place: string, breaker: Breaker) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Hears of each that opens. Returns how to end that. */
  listen(hear: (place: string, breaker: Breaker) => void): () => void {
    this.#hearers.add(hear);
    return () => void this.#hearers.delete(hear);
  }

  /** A premise failed there. `isNews`: nobody was told of it since it was right last. */
  trip(place: string, error: BrigadeError): Breaker & { readonly isNews: boolean } {
    const before = this.#states.get(place);
    // What others had on its way when it opened fails, too: an echo.
    if (before?.open === true && before.probing === undefined) return { ...before.breaker, isNews: false };
    const forMs = nextOpenMs(before?.breaker.forMs);
    const breaker = { error, forMs, untilMs: this.#clock.monotonic() + forMs };
    this.#states.set(place, { breaker, open: true });
    for (const hear of [...this.#hearers]) hear(place, breaker);
    return { ...breaker, isNews: before?.breaker.error.code !== error.code };
  }

  /** Work succeeded there. */
  prove(place: string): void {
    if (this.#states.get(place)?.open === false) this.#states.delete(place);
  }

  /**
   * Lets through where it is closed; when its time has come, the first who comes asks, and the others wait for what that says. Answers what is open still.
   * @throws cancelled for the one who asked and had to leave: the next of the others asks then
   */
  async pass(place: string, ask: () => Promise<void>): Promise<Breaker | undefined> {
    for (;;) {
      const state = this.#states.get(place);
      if (state?.open !== true) return undefined;
      if (this.#clock.monotonic() < state.breaker.untilMs) return state.breaker;
      const isMine = state.probing === undefined;
      state.probing ??= this.#probe(place, state, ask);
      const left = await state.probing;
      // Asked once more it would leave once more, and nothing else would ever have its turn.
      if (isMine && left !== undefined) throw left;
    }
  }

  async #probe(place: string, state: State, ask: () => Promise<void>): Promise<BrigadeError | undefined> {
    try {
      await ask();
      state.open = false;
      return undefined;
    } catch (thrown) {
      const error = asBrigadeError(thrown, 'probe');
      // Who asked has to leave: somebody else asks.
      if (isKind(error, 'cancelled')) return error;
      this.trip(place, isKind(error, 'premise') ? error : state.breaker.error);
      return undefined;
    } finally {
      delete state.probing;
    }
  }
}
