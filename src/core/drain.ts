/**
 * How long a fleet still has to do, and how many workers it would take to be done in a wanted time: what an autoscaler follows. All of it comes from
 * the ledger: a queue holds but a window of what is to be done, and its counts are approximate.
 */

/** Where a run stands at one moment. */
export interface Standing {
  /** By a monotonic clock. */
  readonly atMs: number;
  readonly done: { readonly objects: number; readonly bytes: number };
  readonly left: { readonly objects: number; readonly bytes: number };
}

/** So far back is looked for how quickly it goes: long enough for objects that take minutes, short enough to see that workers came or left. */
const MEMORY_MS = 10 * 60_000;
/** What is remembered of it: one standing in so long. */
const STEP_MS = 5000;
/** S0.32: without a wanted time, one worker for so many tasks. */
export const TASKS_PER_WORKER = 100;

/** Predicts by what was done lately. */
export class Drain {
  #standings: Standing[] = [];

  /** Standings in which nobody was to work say nothing of how quickly it goes: begin anew behind them. */
  forget(): void {
    this.#standings = [];
  }

  look(now: Standing): void {
    const all = this.#standings;
    const last = all.at(-1);
    // Objects that were planned again: what was done before is not.
    if (last !== undefined && (now.done.objects < last.done.objects || now.done.bytes < last.done.bytes)) this.forget();
    // The last but one decides: the last one is always as fresh as can be.
    const before = all.at(-2);
    if (before !== undefined && now.atMs - before.atMs < STEP_MS) this.#standings.pop();
    this.#standings.push(now);
    while (this.#standings.length > 2 && now.atMs - (this.#standings[1] as Standing).atMs >= MEMORY_MS) this.#standings.shift();
  }

  /**
   * Milliseconds until nothing is left, as quickly as it went lately; 0: nothing is. The slower of objects and bytes decides. Undefined: nothing was done
   * lately, so nothing can be said. A lower bound while the listing goes on.
   */
  predictedMs(): number | undefined {
    const [first, last] = [this.#standings[0], this.#standings.at(-1)];
    if (first === undefined || last === undefined) return undefined;
    if (last.left.objects === 0) return 0;
    const ms = last.atMs - first.atMs;
    const need = (what: 'objects' | 'bytes'): number => (last.left[what] === 0 ? 0 : last.left[what] * ms / (last.done[what] - first.done[what]));
    // Bytes of empty objects and the like: where none were sent lately, the objects tell.
    const [objects, bytes] = [need('objects'), last.done.bytes > first.done.bytes ? need('bytes') : 0];
    const longest = Math.max(objects, bytes);
    return Number.isFinite(longest) && ms > 0 ? longest : undefined;
  }
}

export interface Demand {
  /** Tasks that are not done. */
  readonly backlog: number;
  /** At work now. */
  readonly workers: number;
  readonly drainMs: number | undefined;
  /** To be done in so long. Absent: S0.32's rule. */
  readonly targetMs?: number;
}

/**
 * Workers that it would take: as many times those at work as the predicted time is longer than the wanted one. Before anything can be predicted, and
 * without a wanted time, one for 100 tasks. Never more than there are tasks; none where there are none; else at least one, so that a fleet of none begins.
 */
export function workersWanted({ backlog, workers, drainMs, targetMs }: Demand): number {
  if (backlog === 0) return 0;
  const predicted = targetMs === undefined || drainMs === undefined || workers === 0 ? backlog / TASKS_PER_WORKER : workers * drainMs / targetMs;
  return Math.max(1, Math.min(backlog, Math.ceil(predicted)));
}
