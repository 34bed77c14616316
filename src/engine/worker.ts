/**
 * The worker loop: takes tasks, copies their items side by side, makes outcomes durable, acknowledges. It knows no queue and no store.
 * Small and large objects have slots of their own, and their tasks are taken apart: neither ever waits behind the other (F086).
 *
 * What an error leads to (design truths 10, 11):
 *   cancelled            the item stays pending, the task goes back (all of them, or the one whose lease is lost)
 *   premise, throttled   the worker stops with that error: the run pauses, no attempt is burned
 *   network              the store is asked once whether it is there: if not, a premise; if so, an attempt
 *   object, unsupported  failed, the others go on
 *   anything else        one attempt; tried again after a while, failed after ATTEMPTS
 */
import type { BrigadeError} from '../core/errors.ts';
import { asBrigadeError, cancelled, isKind } from '../core/errors.ts';
import type { Item, Outcome, Problem } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import { type SizeClass, sizeClass } from '../core/pack.ts';
import type { Clock, Random } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Delivery, PartRange, Recorder, Task, TaskQueue } from '../ports/queue.ts';
import { Budget } from './budget.ts';
import { ATTEMPTS } from './options.ts';
import { OutcomeWriter } from './outcome-writer.ts';

export interface WorkerOptions {
  readonly queue: TaskQueue;
  readonly recorder: Recorder;
  readonly copy: (task: Task, item: Item, signal: AbortSignal) => Promise<Outcome>;
  /** Asks a store whether it is reachable; rejects with what is wrong. */
  readonly probe: (signal: AbortSignal) => Promise<void>;
  readonly events: Events;
  readonly clock: Clock;
  readonly random: Random;
  /** Small objects in flight. */
  readonly concurrency: number;
  /** Large objects in flight: each is many parts, and many of them at once only contend for the store (S1.32). */
  readonly large: number;
  /** Parts of large objects, of whoever holds them; without it no others are helped. */
  readonly ranges?: {
    readonly copy: (range: PartRange, stored: Set<number>, signal: AbortSignal) => Promise<void>;
    /** Ranges in flight. */
    readonly lanes: number;
  };
  /** Tasks of each size class open at once: two, so that the tail of one overlaps the head of the next. */
  readonly tasks: number;
  /** How often the queue is told that work goes on, in milliseconds. */
  readonly heartbeatMs: number;
}

const RETRY_BASE_MS = 1000;
const RETRY_CAP_MS = 30_000;
/** Of these another try would say the same. A copy answers the last three itself; a range leaves them to its owner. */
export const FINAL = ['object', 'unsupported', 'internal', 'usage', 'changed', 'gone', 'conflict'] as const;
const PAUSES: ReadonlySet<string> = new Set(['cancelled', 'premise', 'throttled']);
/** Of these it is asked whether the store is there at all. */
export const NETWORK: ReadonlySet<string> = new Set(['E_NETWORK', 'E_DNS', 'E_CONNECT', 'E_TIMEOUT']);

/** Runs until the signal fires (resolves) or a premise fails (rejects with it). Tasks not finished are given back. */
export async function runWorker(options: WorkerOptions, signal: AbortSignal): Promise<void> {
  const worker = new Worker(options, signal);
  await worker.run();
}

/** What is told of one task. */
interface Telling {
  readonly writer: OutcomeWriter;
  /** Objects that were begun and have no outcome. */
  readonly begun: Set<Key>;
}

class Worker {
  readonly #options: WorkerOptions;
  readonly #stop = new AbortController();
  readonly #slots: Readonly<Record<SizeClass, Budget>>;
  readonly #open: Readonly<Record<SizeClass, Set<Promise<void>>>> = { small: new Set(), large: new Set() };
  #premise: BrigadeError | undefined;

  constructor(options: WorkerOptions, signal: AbortSignal) {
    this.#options = options;
    this.#slots = { small: new Budget(options.concurrency), large: new Budget(options.large) };
    if (signal.aborted) this.#stop.abort();
    signal.addEventListener('abort', () => this.#stop.abort(), { once: true });
  }

  async run(): Promise<void> {
    await Promise.all([this.#takeAll('small'), this.#takeAll('large'), this.#takeRanges()]);
    await this.#options.queue.close().catch((error: unknown) => this.#fail(asBrigadeError(error, 'close')));
    if (this.#premise !== undefined) throw this.#premise;
  }

  async #takeAll(size: SizeClass): Promise<void> {
    while (!this.#stop.signal.aborted) await this.#takeTasks(size);
    await Promise.all(this.#open[size]);
  }

  async #takeTasks(size: SizeClass): Promise<void> {
    const open = this.#open[size];
    try {
      if (open.size >= this.#options.tasks) await Promise.race(open);
      else for (const delivery of await this.#options.queue.receive(this.#options.tasks - open.size, this.#stop.signal, size)) this.#begin(delivery, open);
    } catch (error) {
      if (!isKind(error, 'cancelled')) this.#fail(asBrigadeError(error, 'receive'));
    }
  }

  /** Ranges of parts, as many as there are lanes. */
  async #takeRanges(): Promise<void> {
    const { ranges: own, queue } = this.#options;
    const { ranges } = queue;
    if (own === undefined || ranges === undefined) return;
    const open = new Set<Promise<void>>();
    while (!this.#stop.signal.aborted) {
      try {
        if (open.size >= own.lanes) await Promise.race(open);
        else {
          for (const range of await ranges.receive(own.lanes - open.size, this.#stop.signal)) {
            const work = this.#copyRange(range, own.copy).catch((error: unknown) => this.#fail(asBrigadeError(error, 'range'))).finally(() => open.delete(work));
            open.add(work);
          }
        }
      } catch (error) {
        if (!isKind(error, 'cancelled')) this.#fail(asBrigadeError(error, 'receive'));
      }
    }
    await Promise.all(open);
  }

  /** A premise that fails, or a stop, gives the rest of the range back; what is wrong with the object is its owner's matter. */
  async #copyRange(range: PartRange, copy: NonNullable<WorkerOptions['ranges']>['copy']): Promise<void> {
    const end = (error?: BrigadeError): Promise<void> => this.#options.queue.ranges?.end(range, error) ?? Promise.resolve();
    const stored = new Set<number>();
    try {
      const failed = await this.#attempts(0, this.#stop.signal, () => copy(range, stored, this.#stop.signal).then(() => undefined), (_, error) => error);
      await end(failed);
    } catch (error) {
      await end(cancelled('range'));
      throw error;
    }
  }

  #begin(delivery: Delivery, open: Set<Promise<void>>): void {
    const work = this.#work(delivery).catch((error: unknown) => this.#fail(asBrigadeError(error, 'task'))).finally(() => open.delete(work));
    open.add(work);
  }

  /** The first premise that fails stops everything; what comes after it is its echo. */
  #fail(error: BrigadeError): void {
    if (!isKind(error, 'cancelled')) this.#premise ??= error;
    this.#stop.abort();
  }

  async #work(delivery: Delivery): Promise<void> {
    const { task, lost } = delivery;
    const writer = new OutcomeWriter(this.#options.recorder, task.id, this.#options.clock);
    const begun = new Set<Key>();
    const ended = new AbortController();
    const beat = this.#heartbeat(delivery, ended.signal);
    const { signal, untie } = eitherOf(this.#stop.signal, lost);
    try {
      await Promise.all((await Promise.all([this.#startItems(task, 'small', { writer, begun }, signal), this.#startItems(task, 'large', { writer, begun }, signal)])).flat());
      if (signal.aborted) await writer.flush();
      else await writer.close();
    } finally {
      untie();
      ended.abort();
      await beat;
    }
    if (signal.aborted) await delivery.release(0, [...begun]);
    else await delivery.ack();
  }

  async #startItems(task: Task, size: SizeClass, telling: Telling, signal: AbortSignal): Promise<Promise<void>[]> {
    const running: Promise<void>[] = [];
    for (const item of task.items.filter((one) => sizeClass(one.size) === size)) {
      const slots = this.#slots[size];
      const giveBack = slots.tryTake(1, signal) ?? await slots.take(1, signal).catch(() => undefined);
      if (giveBack === undefined) break;
      running.push(this.#copyOne(task, item, telling, giveBack, signal));
    }
    return running;
  }

  async #copyOne(task: Task, item: Item, { writer, begun }: Telling, giveBack: () => void, signal: AbortSignal): Promise<void> {
    begun.add(item.key);
    try {
      this.#end(await this.#settle(task, item, signal), item, writer);
      begun.delete(item.key);
    } catch (thrown) {
      const error = asBrigadeError(thrown, 'item');
      // Of a task that is lost, and of no other: its items stay pending, whoever has it now.
      if (!signal.aborted || this.#stop.signal.aborted || !isKind(error, 'cancelled')) this.#fail(error);
    } finally {
      giveBack();
    }
  }

  #end(outcome: Outcome, item: Item, writer: OutcomeWriter): void {
    this.#options.events.emit({ type: 'ended', outcome, size: outcome.size ?? item.size });
    writer.add(outcome);
  }

  /** Tries until there is an outcome. Rejects only with what stops the worker, or this task. */
  async #settle(task: Task, item: Item, signal: AbortSignal): Promise<Outcome> {
    this.#options.events.emit({ type: 'started', key: item.key, size: item.size });
    return this.#attempts(item.attempts, signal, async (attempts) => {
      const outcome = await this.#options.copy(task, { ...item, attempts }, signal);
      return { ...outcome, attempts: attempts + 1 };
    }, (attempts, error) => failure(item, attempts, error));
  }

  async #attempts<T>(before: number, signal: AbortSignal, once: (attempts: number) => Promise<T>, given: (attempts: number, error: BrigadeError) => T): Promise<T> {
    const { events, clock, random } = this.#options;
    for (let attempts = before; ; ) {
      try {
        return await once(attempts);
      } catch (thrown) {
        const error = asBrigadeError(thrown, 'copy');
        await this.#rethrowIfPremise(error, signal);
        attempts++;
        if (attempts >= ATTEMPTS || isKind(error, ...FINAL)) return given(attempts, error);
        const waitMs = pauseMs(attempts, random);
        events.emit({ type: 'retry', side: 'destination', op: 'copy', problem: problemOf(error), waitMs });
        await clock.sleep(waitMs, signal);
      }
    }
  }

  async #rethrowIfPremise(error: BrigadeError, signal: AbortSignal): Promise<void> {
    if (signal.aborted) throw cancelled('copy');
    if (PAUSES.has(error.kind)) throw error;
    if (NETWORK.has(error.code)) await this.#options.probe(signal);
  }

  async #heartbeat(delivery: Delivery, ended: AbortSignal): Promise<void> {
    while (!ended.aborted) {
      await this.#options.clock.sleep(this.#options.heartbeatMs, ended).catch(() => undefined);
      if (!ended.aborted) await delivery.extend().catch((error: unknown) => this.#fail(asBrigadeError(error, 'extend')));
    }
  }
}

/** Before the try that follows so many. */
export function pauseMs(attempts: number, random: Random): number {
  return Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** (attempts - 1)) * (0.5 + random.next() / 2);
}

/** Fires with either of them. `untie`: nothing of it stays on the one that lives longer. */
function eitherOf(stop: AbortSignal, lost: AbortSignal | undefined): { readonly signal: AbortSignal; readonly untie: () => void } {
  if (lost === undefined) return { signal: stop, untie: () => undefined };
  const either = new AbortController();
  const fire = (): void => either.abort();
  for (const one of [stop, lost]) {
    if (one.aborted) fire();
    one.addEventListener('abort', fire, { once: true });
  }
  return { signal: either.signal, untie: () => { for (const one of [stop, lost]) one.removeEventListener('abort', fire); } };
}

function failure(item: Item, attempts: number, error: BrigadeError): Outcome {
  return { key: item.key, state: 'failed', evidence: 'none', attempts, bytesSent: 0, ms: 0, problem: problemOf(error) };
}

export function problemOf(error: BrigadeError): Problem {
  return { code: error.code, kind: error.kind, message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
}
