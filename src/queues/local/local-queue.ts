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
  readonly #holding = new Map<string, number>();
  /** Everybody who takes work, with the large tasks that each holds. */
  readonly #large = new Map<string, number>();
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
    return [...this.#holding.values()].reduce((sum, tasks) => sum + tasks, 0);
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
    this.#large.set(holder, 0);
  }

  /** Gone for good; what it held goes back, in doubt. */
  leave(holder: string): void {
    this.forfeit(holder);
    this.#large.delete(holder);
  }

  /** What an executor held goes back, in doubt. */
  forfeit(holder: string): void {
    this.#ledger.releaseTasks(this.#run, holder);
    this.#spreads.forfeit(holder);
    if (this.#large.has(holder)) this.#large.set(holder, 0);
    this.#count(holder, 0);
    this.wake();
  }

  done(holder: string, size?: SizeClass): void {
    if (size === 'large') this.#large.set(holder, Math.max(0, (this.#large.get(holder) ?? 0) - 1));
    this.#count(holder, (this.#holding.get(holder) ?? 0) - 1);
    this.wake();
  }

  recorder(): Recorder {
    const ledger = this.#ledger;
    return {
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
      receive: async (most, signal, size) => (await this.lease(most, holder, signal, size)).map((task) => this.#delivery(task, holder, size)),
      close: async () => this.leave(holder),
    };
  }

  #delivery(task: Task, holder: string, size: SizeClass | undefined): Delivery {
    return {
      task,
      extend: async () => {},
      ack: async () => this.done(holder, size),
      release: async () => this.forfeit(holder),
    };
  }

  #claim(most: number, holder: string, size: SizeClass | undefined): readonly Task[] {
    if (this.#held) return [];
    if (size === 'large') return this.#claimLarge(holder);
    return this.#counted(this.#ledger.claim(this.#run, most, holder, size), holder);
  }

  /** One by one, and never a second one for somebody while another has none (S1.15). */
  #claimLarge(holder: string): readonly Task[] {
    const held = this.#large.get(holder) ?? 0;
    if (held > Math.min(...this.#large.values())) return [];
    const tasks = this.#counted(this.#ledger.claim(this.#run, 1, holder, 'large'), holder);
    this.#large.set(holder, held + tasks.length);
    // Whoever was told to wait for others may be next now.
    if (tasks.length > 0) this.wake();
    return tasks;
  }

  #counted(tasks: readonly Task[], holder: string): readonly Task[] {
    if (tasks.length > 0) this.#count(holder, (this.#holding.get(holder) ?? 0) + tasks.length);
    return tasks;
  }

  #count(holder: string, tasks: number): void {
    if (tasks > 0) this.#holding.set(holder, tasks);
    else this.#holding.delete(holder);
    this.#told(undefined);
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
