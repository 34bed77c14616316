/**
 * Turns silence into an error: a body that gives no byte for a while ends in E_STALLED (F002). Directly around the driver, so that it
 * hears the store and not the limits; and only the time spent waiting counts, not the time a consumer takes for what came.
 */
import { asBrigadeError, BrigadeError } from '../../core/errors.ts';
import { showKey } from '../../core/key.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ObjectRead, Store } from '../../ports/storage.ts';
import { layer } from './layer.ts';

export interface WatchedOptions {
  readonly clock: Clock;
  /** Longest silence inside a body. Default 30 s. */
  readonly idleMs?: number;
}

export function watched(store: Store, { clock, idleMs = 30_000 }: WatchedOptions): Store {
  const watchdog = new Watchdog(clock, idleMs);
  return layer(store, {
    call: (_, run) => run(),
    async read(request, open) {
      const read = await open(request);
      if (read.bytes !== undefined) return read;
      const stalled = () => new BrigadeError({
        code: 'E_STALLED', kind: 'transient', op: 'read', location: `${store.address}/${showKey(request.key)}`, message: `no byte for ${idleMs / 1000} s`,
      });
      return { info: read.info, chunks: watchedChunks(read, watchdog, stalled), discard: () => read.discard() };
    },
  });
}

async function* watchedChunks(read: ObjectRead, watchdog: Watchdog, stalled: () => Error): AsyncGenerator<Uint8Array> {
  const chunks = read.chunks[Symbol.asyncIterator]();
  const watch = watchdog.begin(stalled);
  let barked = false;
  try {
    for (;;) {
      const { done, value } = await watchdog.wait(watch, chunks.next());
      if (done === true) return;
      yield value;
    }
  } catch (thrown) {
    barked = asBrigadeError(thrown).code === 'E_STALLED';
    if (barked) read.discard();
    throw thrown;
  } finally {
    watchdog.end(watch);
    const left = chunks.return?.();
    // An iterator that hangs in next() answers return() only after it, which may be never.
    if (barked) left?.catch(() => undefined);
    else await left;
  }
}

/** One open body. */
interface Watch {
  readonly stalled: () => Error;
  since: number;
  /** Present while a chunk is awaited. */
  bark?: ((error: Error) => void) | undefined;
}

/** One timer for all open bodies of a store: one for each would cost more than a small body itself. */
class Watchdog {
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #open = new Set<Watch>();
  #round: AbortController | undefined;

  constructor(clock: Clock, idleMs: number) {
    this.#clock = clock;
    this.#idleMs = idleMs;
  }

  begin(stalled: () => Error): Watch {
    const watch: Watch = { stalled, since: 0 };
    this.#open.add(watch);
    this.#round ??= this.#start();
    return watch;
  }

  /** What `pending` brings, or a rejection with `stalled()` when it takes longer than the idle time. */
  wait<T>(watch: Watch, pending: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      watch.since = this.#clock.monotonic();
      watch.bark = reject;
      pending.finally(() => (watch.bark = undefined)).then(resolve, reject);
    });
  }

  end(watch: Watch): void {
    this.#open.delete(watch);
    if (this.#open.size > 0) return;
    this.#round?.abort();
    this.#round = undefined;
  }

  #start(): AbortController {
    const stop = new AbortController();
    this.#walk(stop.signal).catch((thrown: unknown) => {
      if (!stop.signal.aborted) throw thrown;
    });
    return stop;
  }

  async #walk(stop: AbortSignal): Promise<void> {
    for (let ms = this.#idleMs; ; ms = this.#look()) await this.#clock.sleep(ms, stop);
  }

  /** Barks at all that have been silent too long; milliseconds until the next one could be. */
  #look(): number {
    const now = this.#clock.monotonic();
    let longest = 0;
    for (const watch of this.#open) {
      if (watch.bark === undefined) continue;
      const idle = now - watch.since;
      if (idle < this.#idleMs) longest = Math.max(longest, idle);
      else watch.bark(watch.stalled());
    }
    // A rest that rounding leaves is no time that a clock could let pass.
    return Math.max(1, this.#idleMs - longest);
  }
}
