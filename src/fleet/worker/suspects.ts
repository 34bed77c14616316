/**
 * Tasks whose workers died (F098, design truth 10). Deliveries say nothing of that: a message comes again because it was given back, because its lease was
 * lost, because the queue doubled it. So a worker that gets a task for the third time tells in the journal that it begins it, and tells how it ended; what was
 * begun and never ended, by a worker whose beat stands still, was its death. Two of them make a task suspicious: from then on it is worked on in ever smaller
 * ranges (narrowing.ts) and with nothing else in the process (quarantine.ts).
 */
import { asBrigadeError, type BrigadeError, isKind } from '../../core/errors.ts';
import type { Item, Outcome } from '../../core/item.ts';
import { showKey } from '../../core/key.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Beat, Begun, Journal } from '../../ports/journal.ts';
import { type FleetTask, taskId } from '../task-message.ts';
import type { Held } from './held.ts';
import type { Known } from './known.ts';
import { nextStep, SUSPICIOUS } from './narrowing.ts';
import type { Quarantine } from './quarantine.ts';
import { sendingOf } from './recorder.ts';
import { BEAT_MS } from './seat.ts';

/** A message in hand, and what is known of its task. */
export interface Work {
  readonly held: Held;
  readonly task: FleetTask;
  readonly known: Known;
  /** Somebody may have worked on it before. */
  readonly again: boolean;
  /** It has left this worker's hands. */
  readonly gone: () => void;
}

/** What is to be done with a message; each resolves when that is settled. */
export interface Hands {
  /** To the copier: these of its items. `next`: what follows once they are done; absent: the task is done with them. */
  put(work: Work, items: readonly Item[], begun: Begun | undefined, next?: () => Promise<void>): void;
  /** Not here, or not now. */
  giveBack(work: Work): Promise<void>;
  /** Somebody is at work on it. */
  leaveTo(work: Work): Promise<void>;
  /** Nothing of it is left to do. */
  finish(work: Work): Promise<void>;
  refuse(work: Work, error: BrigadeError): Promise<void>;
}

export interface SuspectsOptions {
  readonly worker: string;
  readonly clock: Clock;
  readonly journal: () => Journal;
  readonly quarantine: Quarantine;
  readonly hands: Hands;
  /** Nothing can be begun now: a pause, a premise that fails, the end of its run. */
  readonly idle: (work: Work) => boolean;
  readonly ending: AbortSignal;
  readonly note: (text: string) => void;
  readonly ended: (outcome: Outcome, item: Item) => void;
}

/** Of a worker whose beat did not change for so long nobody knows that it lives. */
const SILENT_MS = 3 * BEAT_MS;

/** Half of what a journal takes of one task. */
const MANY_REPORTS = 500;

/** Items that are not done, in key order. */
export const leftOf = ({ task, known }: Pick<Work, 'task' | 'known'>): readonly Item[] => task.items.filter(({ key }) => !known.isDone(key));

/** Whether it came so often that it is to be told as begun. One that came twice costs the journal nothing: most who die, die once. */
export function comesOften({ held, task, known, again }: Work): boolean {
  return again && (held.delivery.receives > 2 || task.sending > 1 || known.begun.length > 0);
}

export class Suspects {
  readonly #options: SuspectsOptions;

  constructor(options: SuspectsOptions) {
    this.#options = options;
  }

  /** Gives a task that came often to the copier, in whatever way it may have it. Never rejects. */
  async examine(work: Work): Promise<void> {
    await this.#safely(work, async () => {
      const { hands, idle } = this.#options;
      if (work.known.begun.length < SUSPICIOUS) return this.#whole(work);
      const atWork = await this.#look(work);
      // It took a while: a pause may have begun, or another run.
      if (this.#isOver(work) || idle(work)) return hands.giveBack(work);
      if (atWork) return hands.leaveTo(work);
      if (leftOf(work).length === 0 || work.known.closed) return hands.finish(work);
      if (deathsOf(work.known).length < SUSPICIOUS) return this.#whole(work);
      await this.#alone(work);
    });
  }

  #whole(work: Work): void {
    const left = leftOf(work);
    // What may be told of a task has an end: one that was given back so often is nobody's death.
    this.#options.hands.put(work, left, work.known.reports > MANY_REPORTS ? undefined : this.#begun(work, left, false));
  }

  /** Finds out who of those that began it is dead. Answers whether somebody is at work on it. */
  async #look(work: Work): Promise<boolean> {
    const { clock, journal, worker, ending } = this.#options;
    const { known } = work;
    const unknown = known.begun.filter((begun) => begun.worker !== worker && !known.isDead(begun.worker)).map((begun) => begun.worker);
    const before = await this.#beats(unknown);
    // Whoever left told before that it was over, or could not: then it is as good as dead.
    if ([...before.values()].some((beat) => beat !== undefined)) await clock.sleep(SILENT_MS, AbortSignal.any([work.held.lost, ending])).catch(() => undefined);
    if (this.#isOver(work)) return false;
    const after = await this.#beats(unknown);
    await known.catchUp(journal());
    const living = unknown.filter((one) => after.get(one) !== undefined && after.get(one)?.beat !== before.get(one)?.beat);
    for (const one of [worker, ...living]) known.lives(one);
    for (const one of unknown) if (!living.includes(one)) known.foundDead(one);
    // Of one that lives and whose word cannot be read nobody knows what it does.
    return living.some((one) => after.get(one)?.unread !== undefined || after.get(one)?.begun?.includes(taskId(known.name)) === true);
  }

  async #beats(workers: readonly string[]): Promise<ReadonlyMap<string, Beat | undefined>> {
    return new Map(await Promise.all(workers.map(async (worker) => [worker, await this.#options.journal().beatOf(worker)] as const)));
  }

  #isOver({ held }: Work): boolean {
    return held.lost.aborted || this.#options.ending.aborted;
  }

  async #alone(work: Work): Promise<void> {
    const { quarantine, ending, note } = this.#options;
    const { known } = work;
    note(`${deathsOf(known).length} workers died with task ${taskId(known.name)} in hand: it is done piece by piece, and nothing else beside it`);
    const leave = await quarantine.enter(AbortSignal.any([work.held.lost, ending]));
    await this.#step({ ...work, gone: () => { leave(); work.gone(); } });
  }

  async #step(work: Work): Promise<void> {
    await this.#safely(work, async () => {
      const { hands, idle, journal } = this.#options;
      for (;;) {
        const left = leftOf(work);
        if (left.length === 0 || work.known.closed) return hands.finish(work);
        if (idle(work) || this.#isOver(work)) return hands.giveBack(work);
        const step = nextStep(left, deathsOf(work.known));
        if ('items' in step) return hands.put(work, step.items, this.#begun(work, step.items, true), () => this.#next(work));
        await this.#park(work, step.poison, step.deaths);
        await work.known.catchUp(journal());
      }
    });
  }

  async #next(work: Work): Promise<void> {
    await this.#safely(work, async () => {
      await work.known.catchUp(this.#options.journal());
      await this.#step(work);
    });
  }

  async #park({ known }: Work, item: Item, deaths: number): Promise<void> {
    const { journal, worker, note, ended } = this.#options;
    const outcome = poisoned(item, deaths);
    note(`${showKey(item.key)} is given up: ${outcome.problem?.message ?? ''} [E_OBJECT_POISON]`);
    await journal().report(known.name, { worker, outcomes: [outcome], close: false, parts: [], ...sendingOf(known) }, undefined, known.reports);
    ended(outcome, item);
  }

  #begun({ known }: Work, items: readonly Item[], alone: boolean): Begun {
    const dead = deathsOf(known).map(({ worker }) => worker);
    return { first: (items[0] as Item).key, last: (items.at(-1) as Item).key, objects: items.length, alone, ...(dead.length === 0 ? {} : { dead }) };
  }

  async #safely(work: Work, what: () => Promise<void>): Promise<void> {
    try {
      await what();
    } catch (thrown) {
      const error = asBrigadeError(thrown, 'suspect');
      await (isKind(error, 'cancelled') ? this.#options.hands.giveBack(work) : this.#options.hands.refuse(work, error));
    }
  }
}

function deathsOf(known: Known): readonly (Begun & { readonly worker: string })[] {
  return known.begun.filter(({ worker }) => known.isDead(worker));
}

function poisoned({ key, attempts }: Item, deaths: number): Outcome {
  return {
    key, state: 'failed', evidence: 'none', attempts: attempts + deaths, bytesSent: 0, ms: 0,
    problem: {
      code: 'E_OBJECT_POISON', kind: 'object', message: `${deaths} workers died at work on it, the last ones with nothing else in hand`,
      hint: 'look in the workers’ logs, and the system’s (out of memory?), how they ended; then brigade retry --class E_OBJECT_POISON',
    },
  };
}
