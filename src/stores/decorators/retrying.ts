/**
 * Request-level retries: seconds, not minutes (design truth 11). Trouble of the network or the server gets a few more tries; a store that
 * asks for patience gets it, without a try being counted; everything else is the engine's to decide and passes at once.
 */
import { asBrigadeError, BrigadeError, errorFacts, isKind } from '../../core/errors.ts';
import { laterKey, type Key } from '../../core/key.ts';
import type { ObjectEntry } from '../../core/object.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { ListPage, ListRequest, Store, OpenUpload } from '../../ports/storage.ts';
import { createBucket, type Bucket } from './bucket.ts';
import { layer, type Call, type Op } from './layer.ts';

export interface RetryOptions {
  readonly side: 'source' | 'destination';
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Events;
  readonly budget: RetryBudget;
  /** Tries of one request, the first included, while the trouble is transient. Default 5. */
  readonly tries?: number;
  /** First backoff, doubled for each further one up to the cap. Defaults 200 ms and 20 s. */
  readonly baseMs?: number;
  readonly capMs?: number;
  /** How long a request waits for a store that asks for patience. Default 1 h. */
  readonly throttlePatienceMs?: number;
  /** Told of every request for patience: the governor lowers its limit. */
  onThrottle?(error: BrigadeError): void;
}

/**
 * Bounds the retries of a whole process, so that a struggling store is not buried under them (I14, F081): a retry takes one token,
 * each first try brings a tenth of one. Who finds none waits for it: the budget delays, it never fails a request.
 */
export type RetryBudget = Bucket;

/** Retries per request, and retries per second that are allowed however few requests there are. */
const BUDGET_SHARE = 0.1;
const BUDGET_FLOOR_PER_SECOND = 10;
const BUDGET_BURST = 100;

/** A store that asks for patience is not asked again as quickly as one that stumbled. */
const THROTTLE_FACTOR = 5;

/** Requests that cannot be told apart from their own repetition once they have succeeded. */
const COMMITS: readonly Op[] = ['write', 'complete', 'copy'];

export function createRetryBudget(clock: Clock): RetryBudget {
  return createBucket(clock, { perSecond: BUDGET_FLOOR_PER_SECOND, burst: BUDGET_BURST });
}

export function retrying(store: Store, options: RetryOptions): Store {
  return layer(store, {
    async call({ op, signal }, run) {
      firstTry(options);
      return patiently(run, new Patience(options, op, signal));
    },
    list: (request, open) => ({ [Symbol.asyncIterator]: () => {
      firstTry(options);
      return new RetriedListing(store, request, open, options);
    } }),
    uploads: (signal, open) => uploadsRetrying(signal, open, options),
  });
}

async function patiently<T>(run: () => Promise<T>, patience: Patience): Promise<T> {
  for (;;) {
    try {
      return await run();
    } catch (thrown) {
      await patience.orThrow(thrown);
    }
  }
}

/** A request whose first try ended in `thrown`, and was counted by `firstTry`. */
export async function triedAgain<T>(thrown: unknown, options: RetryOptions, { op, signal }: Pick<Call, 'op' | 'signal'>, run: () => Promise<T>): Promise<T> {
  const patience = new Patience(options, op, signal);
  await patience.orThrow(thrown);
  return patiently(run, patience);
}

/** Brings what it may cost if it fails. */
export function firstTry({ budget }: RetryOptions): void {
  budget.deposit(BUDGET_SHARE);
}

/** What one request has been through, and what it may still hope for. */
class Patience {
  readonly #options: RetryOptions;
  readonly #op: Op;
  readonly #signal: AbortSignal | undefined;
  #failures = 0;
  #throttles = 0;
  #throttledSince: number | undefined;
  /** A try whose answer was lost: the store may have done what it was asked. */
  #doubt: BrigadeError | undefined;

  constructor(options: RetryOptions, op: Op, signal: AbortSignal | undefined) {
    this.#options = options;
    this.#op = op;
    this.#signal = signal;
  }

  /** The request got further than before. */
  progress(): void {
    this.#failures = this.#throttles = 0;
    this.#throttledSince = undefined;
  }

  /** Waits until the request may be tried again, or throws what is to be told. */
  async orThrow(thrown: unknown): Promise<void> {
    const error = asBrigadeError(thrown, this.#op);
    const waitMs = this.#answer(error);
    if (waitMs === undefined) throw this.#inDoubt(error);
    await this.#options.clock.sleep(waitMs, this.#signal);
    await this.#options.budget.take(1, this.#signal);
  }

  /** Milliseconds to wait before the next try; undefined when there is none. */
  #answer(error: BrigadeError): number | undefined {
    if (error.kind === 'throttled') return this.#throttled(error);
    if (error.kind === 'transient') return this.#failed(error);
    return undefined;
  }

  #failed(error: BrigadeError): number | undefined {
    const { tries = 5, events, side, throttlePatienceMs = 3_600_000 } = this.#options;
    this.#doubt = error;
    if (++this.#failures >= tries || (error.retryAfterMs ?? 0) > throttlePatienceMs) return undefined;
    const waitMs = Math.max(this.#jitter(1, this.#failures), error.retryAfterMs ?? 0);
    const { code, kind, message } = error;
    events.emit({ type: 'retry', side, op: error.op ?? this.#op, problem: { code, kind, message }, waitMs });
    return waitMs;
  }

  #throttled(error: BrigadeError): number | undefined {
    const { clock, events, side, onThrottle, throttlePatienceMs = 3_600_000 } = this.#options;
    events.emit({ type: 'throttled', side });
    onThrottle?.(error);
    this.#throttledSince ??= clock.monotonic();
    const waitMs = Math.max(this.#jitter(THROTTLE_FACTOR, ++this.#throttles), error.retryAfterMs ?? 0);
    return clock.monotonic() + waitMs - this.#throttledSince > throttlePatienceMs ? undefined : waitMs;
  }

  /** Full jitter: anything between nothing and the doubled base, so that those who failed together do not come back together. */
  #jitter(factor: number, failures: number): number {
    const { random, baseMs = 200, capMs = 20_000 } = this.#options;
    return random.next() * Math.min(capMs, baseMs * factor * 2 ** (failures - 1));
  }

  /**
   * A guard that refuses, or an upload that is gone, after a try whose answer was lost: that try may have been the one that did it. The
   * refusal is told as it is, with the lost answer as its cause, and the engine looks what stands there.
   */
  #inDoubt(error: BrigadeError): BrigadeError {
    if (this.#doubt === undefined || !COMMITS.includes(this.#op) || !isKind(error, 'conflict', 'gone')) return error;
    const hint = `an earlier try ended without an answer (${this.#doubt.code}) and may have succeeded`;
    return new BrigadeError({ ...errorFacts(error), hint, cause: this.#doubt });
  }
}

/** A listing that stumbles goes on after the last key it handed out: nothing twice, nothing left out. */
class RetriedListing implements AsyncIterator<ListPage, undefined> {
  readonly #request: ListRequest;
  readonly #open: (request: ListRequest) => AsyncIterable<ListPage>;
  readonly #isOrdered: () => boolean;
  readonly #patience: Patience;
  #steps: AsyncIterator<ListPage> | undefined;
  #after: Key | undefined;
  /** Handed out, and not read yet. */
  #unread: ListPage | undefined;
  #begun = false;
  #over = false;

  constructor(store: Store, request: ListRequest, open: (request: ListRequest) => AsyncIterable<ListPage>, options: RetryOptions) {
    this.#request = request;
    this.#open = open;
    this.#isOrdered = () => store.facts.ordered;
    this.#patience = new Patience(options, 'list', request.signal);
    this.#after = request.startAfter;
  }

  async next(): Promise<IteratorResult<ListPage, undefined>> {
    while (!this.#over) {
      try {
        this.#steps ??= this.#open(this.#after === undefined ? this.#request : { ...this.#request, startAfter: this.#after })[Symbol.asyncIterator]();
        const step = await this.#steps.next();
        if (step.done !== true) return { done: false, value: this.#handOut(step.value) };
        this.#over = true;
      } catch (thrown) {
        await this.#recover(thrown);
      }
    }
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<ListPage, undefined>> {
    this.#over = true;
    await this.#steps?.return?.();
    return { done: true, value: undefined };
  }

  async #recover(thrown: unknown): Promise<void> {
    this.#steps = undefined;
    try {
      this.#readUnread();
      // Where keys come in no order, "after the last one" means nothing: what has begun can only be begun again, by who keeps the set.
      if (this.#begun && !this.#isOrdered()) throw thrown;
      await this.#patience.orThrow(thrown);
    } catch (last) {
      this.#over = true;
      throw last;
    }
  }

  #handOut(page: ListPage): ListPage {
    this.#begun = true;
    if (page.reach === undefined) {
      this.#isGood(page.entries);
      return page;
    }
    const { reach } = page;
    const read = (): readonly ObjectEntry[] => {
      const { entries } = page;
      if (this.#unread === shown) this.#isGood(entries);
      return entries;
    };
    const shown: ListPage = { get entries() { return read(); }, reach, release: () => page.release?.() };
    this.#unread = shown;
    return shown;
  }

  #isGood(entries: readonly ObjectEntry[]): void {
    this.#unread = undefined;
    this.#after = lastKey(entries, this.#after);
    this.#patience.progress();
  }

  /** A good page is whose it was handed to: the listing goes on behind it, whatever else went wrong. One that is not good is asked for again. */
  #readUnread(): void {
    try {
      void this.#unread?.entries;
    } catch {
      this.#unread = undefined; // what is wrong with it is being recovered from
    }
  }
}

function lastKey(entries: readonly ObjectEntry[], before: Key | undefined): Key | undefined {
  const last = entries.at(-1)?.key;
  return last === undefined || before === undefined ? (last ?? before) : laterKey(last, before);
}

/** Unfinished uploads have no place to go on from: listed again from the start, without those already told. There are few. */
async function* uploadsRetrying(signal: AbortSignal | undefined, open: (signal?: AbortSignal) => AsyncIterable<OpenUpload>, options: RetryOptions): AsyncIterable<OpenUpload> {
  firstTry(options);
  const patience = new Patience(options, 'listUploads', signal);
  const told = new Set<string>();
  for (;;) {
    try {
      for await (const upload of open(signal)) {
        const name = `${upload.id} ${upload.key}`;
        if (told.has(name)) continue;
        told.add(name);
        patience.progress();
        yield upload;
      }
      return;
    } catch (thrown) {
      await patience.orThrow(thrown);
    }
  }
}
