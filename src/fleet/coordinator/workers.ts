/** Who works for this migration, by their beats: one that changed lately, by our own clock (F084), is a living worker. */
import { BrigadeError } from '../../core/errors.ts';
import type { Problem } from '../../core/item.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Beat } from '../../ports/journal.ts';

interface Seen {
  readonly beat: Beat;
  readonly changedMs: number;
  /** It changed while somebody looked. */
  readonly spoke: boolean;
  /** The least of its last two words. */
  readonly calls: number;
}

/** A worker beats every 10 s. */
const SILENT_MS = 35_000;
/** After this nobody expects it back. */
const GONE_MS = 60 * 60_000;

/** Who has not laid down by then what is over does so once he hears of it. */
export const OVER_MS = 15_000;

export class Workers {
  readonly #clock: Clock;
  #seen = new Map<string, Seen>();
  /** Whose silence was told. */
  readonly #dead = new WeakSet<Seen>();
  #lookedMs: number;
  /** Wall clock, when the last one of them fell silent with work in hand. */
  diedMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lookedMs = clock.monotonic();
  }

  /** What all of them say now. Answers who has been silent for so long that it is to be forgotten. */
  look(beats: readonly Beat[]): readonly string[] {
    const now = this.#clock.monotonic();
    this.#lookedMs = now;
    const before = this.#seen;
    this.#seen = new Map(beats.map((beat) => {
      const known = before.get(beat.worker);
      // Of one that was never seen before nobody knows how old its beat is: it lives until it has been silent here.
      return [beat.worker, known?.beat.beat === beat.beat ? known : { beat, changedMs: now, spoke: known !== undefined, calls: Math.min(beat.calls ?? 0, known?.beat.calls ?? 0) }];
    }));
    for (const seen of this.#seen.values()) {
      // Also one that held nothing when it spoke last: it may have taken something since.
      if (now - seen.changedMs <= SILENT_MS || this.#dead.has(seen)) continue;
      this.#dead.add(seen);
      this.diedMs = this.#clock.now();
    }
    return [...this.#seen].filter(([, { changedMs }]) => now - changedMs > GONE_MS).map(([worker]) => worker);
  }

  /** Whether of some worker it is not known that it lived then: it has not spoken since, nor been silent for so long that it counts as dead. */
  anyUnheard(sinceMs: number): boolean {
    return this.#lookedMs < sinceMs || [...this.#seen.values()].some((seen) => seen.changedMs < sinceMs && !this.#dead.has(seen));
  }

  /** Each of those that live was heard to speak: none of them is but a beat that somebody left who was killed. */
  get areHeard(): boolean {
    return [...this.#seen.values()].every(({ changedMs, spoke }) => spoke || this.#lookedMs - changedMs > SILENT_MS);
  }

  /** As of the last look: that nobody looked, because it takes long or the journal is away, silences nobody. */
  living(): readonly Beat[] {
    return this.#alive().map(({ beat }) => beat);
  }

  #alive(): readonly Seen[] {
    return [...this.#seen.values()].filter(({ changedMs }) => this.#lookedMs - changedMs <= SILENT_MS);
  }

  /** Looked at since then, each of those that live says that it has heard of this run, by which earlier ones are over, and has nothing in hand. */
  areThrough(run: number, sinceMs: number): boolean {
    return this.#lookedMs >= sinceMs && this.living().every((beat) => (beat.run ?? 0) >= run && beat.tasks === 0);
  }

  /** Tasks in their hands, as they said last. */
  busy(): number {
    return this.living().reduce((sum, { tasks }) => sum + tasks, 0);
  }

  /** Messages in the queue that are no tasks: as many as there are at least, since what is taken for a call and is none is a task that is sent in vain. */
  calls(): number {
    return this.#alive().reduce((sum, { calls }) => sum + calls, 0);
  }

  /** What there is to tell of those that live, each under the name of what is told once. */
  news(): readonly { readonly what: string; readonly text: string }[] {
    return this.living().flatMap(({ worker, trouble, unread }) => {
      if (unread !== undefined) return [{ what: `${worker} unread`, text: `what worker ${worker} says cannot be read; it counts as one that lives for as long as it goes on: ${unread}` }];
      return trouble === undefined ? [] : [{ what: `${worker} ${trouble.code}`, text: `worker ${worker} cannot work: ${trouble.message}${trouble.hint === undefined ? '' : ` (${trouble.hint})`}` }];
    });
  }

  /** What keeps all of them from working, where none can. */
  trouble(): Problem | undefined {
    const living = this.living();
    return living.length > 0 && living.every(({ trouble }) => trouble !== undefined) ? living[0]?.trouble : undefined;
  }
}

/** A code of its own: that the coordinator reaches the stores from where it is says nothing of the workers. */
export function nobodyWorks({ code, message, hint }: Problem): BrigadeError {
  return new BrigadeError({ code: 'E_FLEET_TROUBLE', kind: 'premise', op: 'fleet', message: `no worker can work: ${message} [${code}]`, ...(hint === undefined ? {} : { hint }) });
}
