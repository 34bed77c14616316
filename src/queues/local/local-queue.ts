/**
 * The local queue: the ledger's task table is the queue (design §5). This side lives with the ledger in the coordinator; executors in
 * other processes reach it through channel.ts, an executor in this process directly.
 */
import { type BrigadeError, cancelled } from '../../core/errors.ts';
import type { SizeClass } from '../../core/pack.ts';
import type { Ledger } from '../../ports/ledger.ts';
import type { Delivery, PartRange, RangeQueue, Recorder, Task, TaskQueue } from '../../ports/queue.ts';
import type { Part } from '../../ports/storage.ts';
import { Spreads } from './spreads.ts';

/** Without news from the ledger a waiting receive looks again after this. */
const POLL_MS = 1000;

export class LocalQueue {
  readonly #ledger: Ledger;
  readonly #run: number;
  readonly #waiting = new Set<() => void>();
  /** The tasks that each holds. */
  readonly #holding = new Map<string, Map<number, SizeClass | undefined>>();
  /** Everybody who takes work. */
  readonly #joined = new Set<string>();
  readonly #spreads = new Spreads();
  #held = false;
  #lastBusy = 0;
  /** Hears how many executors hold work, whenever that changes: limits are shared among those. */
  onBusy: (executors: number) => void = () => undefined;

  constructor(ledger: Ledger, run: number) {
    this.#ledger = ledger;
    this.#run = run;
  }

  /** Tasks handed out and neither closed nor given back. */
  get open(): number {
    return [...this.#holding.values()].reduce((sum, tasks) => sum + tasks.size, 0);
  }

  /** Executors that hold at least one task, or parts of another's object: those that share the limits. */
  get busy(): number {
    return new Set([...this.#holding.keys(), ...this.#spreads.holders()]).size;
  }

  /** New tasks, or tasks that came back: waiting receivers look again. */
  wake(): void {
    for (const resume of [...this.#waiting]) resume();
  }

  /** While held, nobody receives (a paused run). */
  hold(held: boolean): void {
    this.#held = held;
    if (!held) this.wake();
  }

  /** Tasks for one executor; empty after the poll time. */
  async lease(most: number, holder: string, signal: AbortSignal, size?: SizeClass): Promise<readonly Task[]> {
    if (signal.aborted) throw cancelled('receive');
    return this.#soon(signal, () => this.#claim(most, holder, size));
  }

  /** Parts of large objects for one executor; empty after the poll time. Also while held: their objects are in flight, and a drain lets them end. */
  async leaseRanges(most: number, holder: string, signal: AbortSignal): Promise<readonly PartRange[]> {
    if (signal.aborted) throw cancelled('receive');
    return this.#soon(signal, () => this.#told(this.#spreads.claim(most, holder)));
  }

  /** As the port says, but for the signal. */
  spread(holder: string, spread: Parameters<RangeQueue['spread']>[0]): Promise<readonly Part[]> {
    const stored = this.#spreads.spread(holder, spread);
    this.wake();
    return stored;
  }

  endRange(holder: string, { upload, id }: Pick<PartRange, 'upload' | 'id'>, error?: BrigadeError): void {
    this.#told(this.#spreads.end(holder, upload.id, id, error));
    if (this.#spreads.ready) this.wake();
  }

  /** Somebody who will take work: large tasks are dealt out evenly among all who joined. */
  join(holder: string): void {
    this.#joined.add(holder);
  }

  /** Gone for good; what it held goes back, in doubt. */
  leave(holder: string): void {
    this.forfeit(holder);
    this.#joined.delete(holder);
  }

  /** All that an executor held goes back, in doubt: nobody works there any more. */
  forfeit(holder: string): void {
    this.#ledger.releaseTasks(this.#run, holder);
    this.#spreads.forfeit(holder);
    this.#holding.delete(holder);
    this.#told(undefined);
    this.wake();
  }

  /**
   * One task goes back, in doubt. Parts that this executor's lanes still put, of this object or another, stay leased until those lanes say so:
   * two at work on one part would leave it to chance which of their tokens the store keeps.
   */
  giveBack(holder: string, task: number): void {
    this.#ledger.releaseTasks(this.#run, holder, task);
    this.#spreads.disown(holder, task);
    this.done(holder, task);
  }

  done(holder: string, task: number): void {
    const held = this.#holding.get(holder);
    held?.delete(task);
    if (held?.size === 0) this.#holding.delete(holder);
    this.#told(undefined);
    this.wake();
  }

  recorder(): Recorder {
    const ledger = this.#ledger;
    return {
      uploads: async (task) => ledger.uploadsOf(task),
      record: (task, outcomes, close) => ledger.record(task, outcomes, close),
      recordUpload: (task, upload, token) => ledger.recordUpload(task, upload, token),
      recordPart: async (task, id, part) => {
        this.#spreads.refuseFailed(id);
        await ledger.recordPart(task, id, part);
        this.#spreads.stored(id, part);
      },
      forgetUpload: (task, id) => {
        this.#spreads.forget(id);
        return ledger.forgetUpload(task, id);
      },
    };
  }

  /** The queue for an executor in this process. */
  queue(holder: string): TaskQueue {
    this.join(holder);
    return {
      ranges: {
        spread: (spread, signal) => unlessCancelled(this.spread(holder, spread), signal),
        receive: (most, signal) => this.leaseRanges(most, holder, signal),
        end: async (range, error) => this.endRange(holder, range, error),
      },
      receive: async (most, signal, size) => (await this.lease(most, holder, signal, size)).map((task) => this.#delivery(task, holder)),
      close: async () => this.leave(holder),
    };
  }

  #delivery(task: Task, holder: string): Delivery {
    return {
      task,
      extend: async () => {},
      ack: async () => this.done(holder, task.id),
      release: async () => this.giveBack(holder, task.id),
    };
  }

  #claim(most: number, holder: string, size: SizeClass | undefined): readonly Task[] {
    if (this.#held) return [];
    if (size === 'large') return this.#claimLarge(holder);
    return this.#hand(holder, most, size);
  }

  /** One by one, and never a second one for somebody while another has none (S1.15). */
  #claimLarge(holder: string): readonly Task[] {
    if (this.#largeOf(holder) > Math.min(...[...this.#joined].map((one) => this.#largeOf(one)))) return [];
    const tasks = this.#hand(holder, 1, 'large');
    // Whoever was told to wait for others may be next now.
    if (tasks.length > 0) this.wake();
    return tasks;
  }

  #largeOf(holder: string): number {
    return [...(this.#holding.get(holder)?.values() ?? [])].filter((size) => size === 'large').length;
  }

  #hand(holder: string, most: number, size: SizeClass | undefined): readonly Task[] {
    const tasks = this.#ledger.claim(this.#run, most, holder, size);
    if (tasks.length === 0) return tasks;
    const held = this.#holding.get(holder) ?? new Map<number, SizeClass | undefined>();
    for (const { id } of tasks) held.set(id, size);
    this.#holding.set(holder, held);
    return this.#told(tasks);
  }

  /** Whoever shares the limits hears when there are more or fewer of them. */
  #told<T>(result: T): T {
    const { busy } = this;
    if (busy !== this.#lastBusy) this.onBusy(Math.max(1, busy));
    this.#lastBusy = busy;
    return result;
  }

  /** What there is now, or after the next news, or after the poll time. */
  async #soon<T>(signal: AbortSignal, look: () => readonly T[]): Promise<readonly T[]> {
    const first = look();
    if (first.length > 0) return first;
    await this.#news(signal);
    if (signal.aborted) throw cancelled('receive');
    return look();
  }

  #news(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, POLL_MS);
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}

/** Who was stopped waits no longer; what it handed out is taken back with its tasks. */
export function unlessCancelled<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(cancelled('spread'));
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(cancelled('spread'));
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
