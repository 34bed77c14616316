/**
 * Turns silence into an error: a body that gives no byte for a while ends in E_STALLED (F002). Directly around the driver, so that it
 * hears the store and not the limits; and only the time spent waiting counts, not the time a consumer takes for what came.
 */
import { asBrigadeError, BrigadeError } from '../../core/errors.ts';
import { showKey, type Key } from '../../core/key.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ObjectRead, Store } from '../../ports/storage.ts';
import { layer } from './layer.ts';
import { Rounds } from './rounds.ts';

export interface WatchedOptions {
  readonly clock: Clock;
  /** Longest silence inside a body. Default 30 s. */
  readonly idleMs?: number;
  /** A body that brings fewer bytes per second over that time is given up like a silent one; 0: none is. Default 0. */
  readonly leastBytesPerSecond?: number;
}

export function watched(store: Store, options: WatchedOptions): Store {
  return watchedBy(store, createWatch(store.address, options));
}

export function watchedBy(store: Store, watch: BodyWatch): Store {
  return layer(store, { call: (_, run) => run(), read: async (request, open) => watch(await open(request), request.key) });
}

/** The body of this key, under watch. */
export type BodyWatch = (read: ObjectRead, key: Key) => ObjectRead;

/** For all bodies of a store: whether one trickles is judged by the others. */
export function createWatch(address: string, { clock, idleMs = 30_000, leastBytesPerSecond = 0 }: WatchedOptions): BodyWatch {
  const watchdog = new Watchdog(clock, idleMs, leastBytesPerSecond);
  return (read, key) => {
    if (read.bytes !== undefined) return read;
    const stalled = (what = 'no byte') => new BrigadeError({
      code: 'E_STALLED', kind: 'transient', op: 'read', location: `${address}/${showKey(key)}`, message: `${what} for ${idleMs / 1000} s`,
    });
    return { info: read.info, chunks: watchedChunks(read, watchdog, stalled), discard: () => read.discard() };
  };
}

async function* watchedChunks(read: ObjectRead, watchdog: Watchdog, stalled: (what?: string) => Error): AsyncGenerator<Uint8Array> {
  const chunks = read.chunks[Symbol.asyncIterator]();
  const watch = watchdog.begin(stalled);
  let barked = false;
  try {
    for (;;) {
      const { done, value } = await watchdog.wait(watch, chunks.next());
      if (done === true) return;
      watchdog.brought(watch, value.length);
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
  readonly stalled: (what?: string) => Error;
  since: number;
  /** Since it was last judged by its pace: time waited, and what came. */
  waitedMs: number;
  bytes: number;
  /** Bytes per second when it was last judged. */
  pace?: number;
  /** Present while a chunk is awaited. */
  bark?: ((error: Error) => void) | undefined;
}

/** Less waiting than this says nothing of a pace. */
const MEASURED_MS = 1_000;
const FAR_BEHIND = 0.25;

function paceOf({ bytes, waitedMs, pace }: Watch): number | undefined {
  return waitedMs < MEASURED_MS ? pace : (bytes / waitedMs) * 1000;
}

/** Watches all open bodies of a store. */
class Watchdog {
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #least: number;
  readonly #rounds: Rounds<Watch>;

  constructor(clock: Clock, idleMs: number, leastBytesPerSecond: number) {
    this.#clock = clock;
    this.#idleMs = idleMs;
    this.#least = leastBytesPerSecond;
    this.#rounds = new Rounds(clock, idleMs, (open) => this.#look(open));
  }

  begin(stalled: Watch['stalled']): Watch {
    const watch: Watch = { stalled, since: 0, waitedMs: 0, bytes: 0 };
    this.#rounds.add(watch);
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

  /**
   * Throws where the body trickles: slower than the least, over as much waiting as a silence may last. Where many share a thin link all of them
   * are slow, and giving one up helps nobody: it must also be far behind the others.
   */
  brought(watch: Watch, bytes: number): void {
    watch.waitedMs += this.#clock.monotonic() - watch.since;
    watch.bytes += bytes;
    if (this.#least === 0 || watch.waitedMs < this.#idleMs) return;
    const pace = (watch.bytes / watch.waitedMs) * 1000;
    watch.pace = pace;
    watch.waitedMs = watch.bytes = 0;
    if (pace < this.#least && this.#isBehind(watch, pace)) throw watch.stalled(`less than ${this.#least / 1024} KiB/s`);
  }

  #isBehind(watch: Watch, pace: number): boolean {
    const others = [...this.#rounds.open].filter((one) => one !== watch).map(paceOf).filter((one) => one !== undefined);
    const mean = others.reduce((sum, one) => sum + one, 0) / others.length;
    return others.length === 0 || pace < mean * FAR_BEHIND;
  }

  end(watch: Watch): void {
    this.#rounds.delete(watch);
  }

  /** Barks at all that have been silent too long; milliseconds until the next one could be. */
  #look(open: ReadonlySet<Watch>): number {
    const now = this.#clock.monotonic();
    let longest = 0;
    for (const watch of open) {
      if (watch.bark === undefined) continue;
      const idle = now - watch.since;
      if (idle < this.#idleMs) longest = Math.max(longest, idle);
      else watch.bark(watch.stalled());
    }
    // A rest that rounding leaves is no time that a clock could let pass.
    return Math.max(1, this.#idleMs - longest);
  }
}
