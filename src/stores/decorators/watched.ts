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
  return layer(store, {
    call: (_, run) => run(),
    async read(request, open) {
      const read = await open(request);
      const stalled = () => new BrigadeError({
        code: 'E_STALLED', kind: 'transient', op: 'read', location: `${store.address}/${showKey(request.key)}`, message: `no byte for ${idleMs / 1000} s`,
      });
      return { info: read.info, chunks: watchedChunks(read, createWatchdog(clock, idleMs, stalled)), discard: () => read.discard() };
    },
  });
}

async function* watchedChunks(read: ObjectRead, watchdog: Watchdog): AsyncGenerator<Uint8Array> {
  const chunks = read.chunks[Symbol.asyncIterator]();
  let barked = false;
  try {
    for (;;) {
      const { done, value } = await watchdog.watch(() => chunks.next());
      if (done === true) return;
      yield value;
    }
  } catch (thrown) {
    barked = asBrigadeError(thrown).code === 'E_STALLED';
    if (barked) read.discard();
    throw thrown;
  } finally {
    watchdog.stop();
    const left = chunks.return?.();
    // An iterator that hangs in next() answers return() only after it, which may be never.
    if (barked) left?.catch(() => undefined);
    else await left;
  }
}

interface Watchdog {
  /** `pending()`, or a rejection with `stalled()` when it takes longer than the idle time. */
  watch<T>(pending: () => Promise<T>): Promise<T>;
  stop(): void;
}

/** One timer for the whole body, not one per chunk: at a gigabyte per second there are many chunks. */
function createWatchdog(clock: Clock, idleMs: number, stalled: () => Error): Watchdog {
  let timer: AbortController | undefined;
  let since = 0;
  let bark: ((error: Error) => void) | undefined;

  const guard = async (stop: AbortSignal): Promise<void> => {
    for (let wait = idleMs; ; ) {
      await clock.sleep(wait, stop);
      const idle = bark === undefined ? 0 : clock.monotonic() - since;
      if (idle >= idleMs) return bark?.(stalled());
      wait = idleMs - idle;
    }
  };
  const start = (): AbortController => {
    const stop = new AbortController();
    guard(stop.signal).catch((thrown: unknown) => {
      if (!stop.signal.aborted) throw thrown;
    });
    return stop;
  };

  return {
    watch(pending) {
      timer ??= start();
      return new Promise((resolve, reject) => {
        since = clock.monotonic();
        bark = reject;
        pending().finally(() => (bark = undefined)).then(resolve, reject);
      });
    },
    stop: () => timer?.abort(),
  };
}
