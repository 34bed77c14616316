/**
 * The queue of one migration, as its copier sees it: messages that were opened and looked up wait here, a few of each size class, until there is a slot
 * for them. What the copier gives back is kept until it has ended, because only then it is known why, and so how long nobody should try it.
 */
import { asBrigadeError, type BrigadeError, cancelled } from '../../core/errors.ts';
import type { Item } from '../../core/item.ts';
import type { Key } from '../../core/key.ts';
import type { SizeClass } from '../../core/pack.ts';
import type { Begun } from '../../ports/journal.ts';
import type { Delivery, RangeQueue, TaskQueue } from '../../ports/queue.ts';
import { taskId } from '../task-message.ts';
import type { Held } from './held.ts';
import type { Known } from './known.ts';
import { lastWord } from './last-word.ts';
import type { FleetRecorder } from './recorder.ts';

export interface ReadyTask {
  readonly held: Held;
  readonly run: number;
  readonly sending: number;
  readonly size: SizeClass;
  /** What is left of it. */
  readonly items: readonly Item[];
  readonly known: Known;
  /** Somebody may have worked on it before. */
  readonly again: boolean;
  /** On these only, as they said themselves. */
  readonly doubtful?: ReadonlySet<Key>;
  /** Told in the journal before its first object is touched. */
  readonly begun?: Begun;
  /** What is done once these items are: the task goes on. Never rejects. */
  readonly next?: () => Promise<void>;
  /** It has left this worker's hands. */
  readonly gone: () => void;
}

export interface FleetTasksOptions {
  readonly recorder: FleetRecorder;
  readonly ranges: RangeQueue;
  /** There may be room for more. */
  readonly changed: () => void;
  /** A task was done to its end, in so long: so the premises hold. */
  readonly succeeded: (size: SizeClass, ms: number) => void;
  /** All of it is done, and reported: to be acknowledged. */
  readonly done: (task: ReadyTask) => Promise<void>;
  /** Whether this one may be begun now. */
  readonly admits: (task: ReadyTask) => boolean;
  /** It could not be told as begun. */
  readonly refused: (task: ReadyTask, error: BrigadeError) => Promise<void>;
}

const SIZES: readonly SizeClass[] = ['small', 'large'];

export class FleetTasks implements TaskQueue {
  readonly #options: FleetTasksOptions;
  readonly #ready: Readonly<Record<SizeClass, ReadyTask[]>> = { small: [], large: [] };
  readonly #wanted: Record<SizeClass, number> = { small: 0, large: 0 };
  readonly #receivers = new Set<() => void>();
  readonly #inWork = new Map<number, ReadyTask>();
  #givenBack: ReadyTask[] = [];
  #number = 0;

  constructor(options: FleetTasksOptions) {
    this.#options = options;
  }

  get ranges(): RangeQueue {
    return this.#options.ranges;
  }

  get inWork(): number {
    return this.#inWork.size;
  }

  /** Large ones that are in work or wait for it. */
  get large(): number {
    return this.#ready.large.length + [...this.#inWork.values()].filter(({ size }) => size === 'large').length;
  }

  /** Names of those in work that were told as begun. */
  get begun(): readonly string[] {
    return [...this.#inWork.values()].filter(({ begun }) => begun !== undefined).map(({ known }) => taskId(known.name));
  }

  /** How many more tasks of this class the copier would begin at once. */
  hungry(size: SizeClass): number {
    return this.#wanted[size] - this.#ready[size].length;
  }

  put(task: ReadyTask): void {
    this.#ready[task.size].push(task);
    this.look();
  }

  /** Something may be begun that was not before. */
  look(): void {
    for (const look of [...this.#receivers]) look();
  }

  /** Waits for as long as there is nothing: who waits here costs nothing. */
  async receive(most: number, signal: AbortSignal, size?: SizeClass): Promise<readonly Delivery[]> {
    if (signal.aborted) throw cancelled('receive');
    const sizes = size === undefined ? SIZES : [size];
    for (const one of sizes) this.#wanted[one] += most;
    this.#options.changed();
    try {
      for (;;) {
        const taken: ReadyTask[] = [];
        for (const one of sizes) taken.push(...this.#take(one, most - taken.length));
        if (taken.length === 0) {
          // Nothing may come between the look and this: nobody would be told of it.
          await this.#news(signal);
          continue;
        }
        const begun = (await Promise.all(taken.map((task) => this.#begin(task)))).filter((one) => one !== undefined);
        if (begun.length > 0) return begun;
      }
    } finally {
      for (const one of sizes) this.#wanted[one] -= most;
      this.#options.changed();
    }
  }

  /** The copier has ended. What it neither ended nor gave back, because its last word did not reach the journal, goes back with the rest when the migration says so. */
  async close(): Promise<void> {
    await Promise.all([...this.#inWork].map(async ([id, task]) => {
      await this.#options.recorder.giveBack(id).catch(() => undefined); // of what the journal does not take now whoever has it next is in doubt
      this.#end(id);
      this.#givenBack.push(task);
    }));
  }

  /** What the copier gave back, and with `waiting` what it did not take yet, comes again after this delay. */
  async release(delayMs: number, waiting: boolean): Promise<void> {
    const back = this.#givenBack;
    this.#givenBack = [];
    const untouched = waiting ? SIZES.flatMap((size) => this.#ready[size].splice(0)) : [];
    await Promise.all([...back.map((task) => this.#letGo(task, delayMs)), ...untouched.map((task) => this.#letGo(task, delayMs, true))]);
  }

  /** Runs before this one are over: what waits is acknowledged; what is worked on ends, and its message, when it comes again, is found to be over. */
  over(run: number): void {
    for (const size of SIZES) {
      const ready = this.#ready[size];
      for (const task of ready.filter((one) => one.run < run)) {
        ready.splice(ready.indexOf(task), 1);
        void task.held.ack().finally(task.gone);
      }
    }
    for (const task of this.#inWork.values()) if (task.run < run) task.held.giveUp();
  }

  /** Those whose lease is lost are nobody's here any more. */
  #take(size: SizeClass, most: number): readonly ReadyTask[] {
    const ready = this.#ready[size];
    for (const task of ready.filter(({ held }) => held.lost.aborted)) {
      ready.splice(ready.indexOf(task), 1);
      void this.#letGo(task, 0);
    }
    const taken = ready.filter((task) => this.#options.admits(task)).slice(0, most);
    for (const task of taken) ready.splice(ready.indexOf(task), 1);
    return taken;
  }

  /** Undefined: the journal does not take that it is begun, so that it is not. */
  async #begin(ready: ReadyTask): Promise<Delivery | undefined> {
    const { known, again, begun, next } = ready;
    const id = ++this.#number;
    this.#options.recorder.open(id, known, { again, goesOn: next !== undefined, ...(begun === undefined ? {} : { begun }) });
    this.#inWork.set(id, ready);
    try {
      if (begun !== undefined) await this.#options.recorder.begin(id);
      return this.#delivery(id, ready);
    } catch (thrown) {
      this.#end(id);
      await this.#options.refused(ready, asBrigadeError(thrown, 'begin'));
      return undefined;
    }
  }

  #delivery(id: number, ready: ReadyTask): Delivery {
    const { held, run, items, again, doubtful } = ready;
    return {
      task: { id, run, items, inDoubt: again, deliveries: held.delivery.receives, ...(doubtful === undefined ? {} : { doubtful }) },
      lost: held.lost,
      extend: async () => {}, // held.ts keeps the lease, whatever the copier does
      ack: async () => {
        this.#end(id);
        if (ready.next !== undefined) return ready.next();
        this.#options.succeeded(ready.size, held.heldMs);
        await this.#options.done(ready);
      },
      release: async (_, begun) => {
        try {
          await this.#options.recorder.giveBack(id, begun === undefined ? undefined : lastWord(held.delivery, begun, items.length));
        } finally {
          this.#end(id);
          if (held.lost.aborted) await this.#letGo(ready, 0);
          else this.#givenBack.push(ready);
        }
      },
    };
  }

  #end(id: number): void {
    this.#inWork.delete(id);
    this.#options.recorder.forget(id);
  }

  async #letGo(task: ReadyTask, delayMs: number, untouched = false): Promise<void> {
    if (untouched && !task.held.lost.aborted) await this.#options.recorder.untouched(task.known, lastWord(task.held.delivery, [], task.items.length));
    await task.held.release(delayMs);
    task.gone();
  }

  #news(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.#receivers.delete(done);
        signal.removeEventListener('abort', done);
        if (signal.aborted) reject(cancelled('receive'));
        else resolve();
      };
      this.#receivers.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
