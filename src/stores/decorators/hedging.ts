/**
 * When a read is so slow that the same bytes are asked for a second time, over another connection (Dean and Barroso, "The Tail at Scale",
 * CACM 56(2), 2013: hedged requests). It must be alone in it: three times slower than nearly all of its size, and overtaken by others that
 * began later. Where all are slow, because the store is or a limit or the link, nobody overtakes anybody, and nothing is asked twice.
 */
import type { Clock } from '../../ports/clock.ts';
import { Rounds } from './rounds.ts';

/** Reads of fewer bytes are over before a second one would help, and are too many to be watched. */
export const HEDGED_FROM = 1024 * 1024;

/** A read is slow when it has waited so many times longer than … */
const SLOWER = 3;
/** … this share of the last ones … */
const SHARE = 0.95;
const REMEMBERED = 64;
/** … if there were so many of them, … */
const TELLING = 20;
/** … and for at least this long: less may as well be our own event loop, … */
const LEAST_MS = 500;
/** … while so many that began later have ended. */
const OVERTAKEN = 3;
/** Second requests for each request, and how many may be saved up. */
const BUDGET = 0.02;
const SAVED = 4;
/** A store that asked for patience is not asked for anything twice for so long. */
const PATIENCE_MS = 10_000;
const LOOK_MS = 100;

export interface HedgeCounts {
  /** Second requests that were sent. */
  readonly sent: number;
  /** Of these, those that brought the bytes. */
  readonly won: number;
}

/** One read as it goes on. */
export interface Watch {
  /** From now on the store is waited for; until `came`. */
  waits(): void;
  came(): void;
  /** It is over. Only one that brought all its bytes tells how long reads take. */
  ended(whole: boolean): void;
}

/** The reads of one endpoint and side. */
export interface Hedging {
  /** `hedge` is called at most once, when a second request shall go out. */
  begin(bytes: number, hedge: () => void): Watch;
  /** A request went out; a fiftieth of them may be sent twice. */
  request(): void;
  /** The store asked for patience. */
  throttled(): void;
  /** The second request brought the bytes. */
  won(): void;
  readonly counts: HedgeCounts;
}

interface Open {
  readonly times: Times;
  readonly serial: number;
  hedge: (() => void) | undefined;
  waitedMs: number;
  since: number | undefined;
  overtaken: number;
}

export function createHedging(clock: Clock): Hedging {
  return new Judge(clock);
}

class Judge implements Hedging {
  readonly #clock: Clock;
  readonly #times = new Map<number, Times>();
  readonly #rounds: Rounds<Open>;
  readonly #counts = { sent: 0, won: 0 };
  #serial = 0;
  #saved = 0;
  #throttledAt = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#rounds = new Rounds(clock, LOOK_MS, (open) => this.#look(open));
  }

  get counts(): HedgeCounts {
    return { ...this.#counts };
  }

  begin(bytes: number, hedge: () => void): Watch {
    const open: Open = { times: this.#timesOf(bytes), serial: ++this.#serial, hedge, waitedMs: 0, since: undefined, overtaken: 0 };
    this.#rounds.add(open);
    return {
      waits: () => { open.since = this.#clock.monotonic(); },
      came: () => {
        open.waitedMs = this.#waitedMs(open);
        open.since = undefined;
      },
      ended: (whole) => this.#end(open, whole),
    };
  }

  request(): void {
    this.#saved = Math.min(SAVED, this.#saved + BUDGET);
  }

  throttled(): void {
    this.#throttledAt = this.#clock.monotonic();
  }

  won(): void {
    this.#counts.won++;
  }

  #timesOf(bytes: number): Times {
    const size = Math.ceil(Math.log2(bytes));
    const times = this.#times.get(size) ?? new Times();
    this.#times.set(size, times);
    return times;
  }

  #waitedMs({ waitedMs, since }: Open): number {
    return since === undefined ? waitedMs : waitedMs + this.#clock.monotonic() - since;
  }

  #end(ended: Open, whole: boolean): void {
    if (!this.#rounds.open.has(ended)) return;
    this.#rounds.delete(ended);
    if (!whole) return;
    ended.times.add(ended.waitedMs);
    for (const open of this.#rounds.open) if (open.times === ended.times && open.serial < ended.serial) open.overtaken++;
  }

  #look(all: ReadonlySet<Open>): number {
    if (this.#clock.monotonic() - this.#throttledAt >= PATIENCE_MS) {
      for (const open of all) if (this.#saved >= 1 && this.#isSlow(open)) this.#send(open);
    }
    return LOOK_MS;
  }

  /** One that waits for nothing now is not held up by the store. */
  #isSlow(open: Open): boolean {
    return open.hedge !== undefined && open.since !== undefined && open.overtaken >= OVERTAKEN && this.#waitedMs(open) >= open.times.bound;
  }

  #send(open: Open): void {
    const { hedge } = open;
    open.hedge = undefined;
    this.#saved -= 1;
    this.#counts.sent++;
    hedge?.();
  }
}

/** How long the last reads of one size took, in milliseconds. */
class Times {
  readonly #last: number[] = [];
  #next = 0;
  /** Longer than this is slow; Infinity while too little is known. */
  bound = Infinity;

  add(ms: number): void {
    this.#last[this.#next] = ms;
    this.#next = (this.#next + 1) % REMEMBERED;
    if (this.#last.length < TELLING) return;
    const sorted = Float64Array.from(this.#last).sort();
    this.bound = Math.max(LEAST_MS, SLOWER * (sorted[Math.ceil(sorted.length * SHARE) - 1] ?? Infinity));
  }
}
