/** What an executor is made of: two stores, a copier, a worker. The same in the coordinator's process and in a fork. */
import { availableParallelism } from 'node:os';
import type { Migration } from '../config/index.ts';
import { isKind } from '../core/errors.ts';
import { Budget } from '../engine/budget.ts';
import { type CopyContext, copyItem } from '../engine/copier.ts';
import { copyRange } from '../engine/copy-range.ts';
import { runWorker } from '../engine/worker.ts';
import type { Clock, Random } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Recorder, TaskQueue } from '../ports/queue.ts';
import type { Store } from '../ports/storage.ts';
import { copyOptions } from './options.ts';

export interface CopyingOptions {
  readonly migration: Migration;
  /** Processes that share limits and memory. */
  readonly share: number;
  /** Where several machines may take part in one object: bytes that each takes at a time. */
  readonly spanBytes?: number;
  readonly source: Store;
  readonly destination: Store;
  readonly queue: TaskQueue;
  readonly recorder: Recorder;
  readonly events: Events;
  readonly clock: Clock;
  readonly random: Random;
}

const SMALL_OBJECTS_AT_ONCE = 48;
/** Of each executor: the end of one overlaps the beginning of the next. */
const LARGE_OBJECTS_AT_ONCE = 2;
/** Parts wait among themselves for this much, so that a small object never waits behind more of them than fit. */
const PARTS_OF_MEMORY = 0.75;
const HEARTBEAT_MS = 10_000;

/** Copies until the signal fires, or rejects with the premise that failed. */
export function copyTasks(options: CopyingOptions, signal: AbortSignal): Promise<void> {
  const { migration, share, source, destination, queue, recorder, events, clock, random } = options;
  const memory = new Budget(migration.limits.memory);
  const context: CopyContext = { source, destination, options: copyOptions(migration), recorder, memory, partMemory: new Budget(memory.most * PARTS_OF_MEMORY, memory), events, clock, ...spreadingOf(options) };
  return runWorker({
    queue, recorder, events, clock, random, heartbeatMs: HEARTBEAT_MS, tasks: 2,
    concurrency: concurrencyOf(migration, share),
    large: largeAtOnceOf(migration, share),
    ...(context.spreading === undefined ? {} : { ranges: { lanes: largeAtOnceOf(migration, share) * context.options.partConcurrency, copy: (range, stored, stop) => copyRange(context, range, stored, stop) } }),
    copy: (task, item, stop) => copyItem(context, task, item, stop),
    probe: (stop) => probeStores(source, destination, stop),
  }, signal);
}

export function concurrencyOf(migration: Migration, share: number): number {
  const { concurrency } = migration.limits;
  return concurrency === 'auto' ? SMALL_OBJECTS_AT_ONCE : Math.max(1, Math.ceil(concurrency / share));
}

/** Where several are at work, parts of one object are copied by all of them. */
function spreadingOf({ queue: { ranges }, share, spanBytes }: CopyingOptions): Pick<CopyContext, 'spreading'> {
  if (ranges === undefined || (share < 2 && spanBytes === undefined)) return {};
  return { spreading: { ranges, share, ...(spanBytes === undefined ? {} : { spanBytes }) } };
}

/** At least one each: an executor that may copy no large object could never end a task that has one. */
export function largeAtOnceOf(migration: Migration, share: number): number {
  const { largeObjects = 'auto' } = migration.limits;
  return largeObjects === 'auto' ? LARGE_OBJECTS_AT_ONCE : Math.max(1, Math.floor(largeObjects / share));
}

/** About one executor per core; small and made-up stores need none. */
export function executorsOf(migration: Migration): number {
  if (migration.source.kind === 'memory' || migration.destination.kind === 'memory') return 0;
  return migration.executors === 'auto' ? Math.max(1, availableParallelism()) : migration.executors;
}

const PROBE_KEY = '.brigade/probe';

/** Both stores answer: a definitive "no such object" is an answer. */
export async function probeStores(source: Store, destination: Store, signal: AbortSignal): Promise<void> {
  await Promise.all([source, destination].map(async (store) => {
    try {
      await store.head(PROBE_KEY, { signal });
    } catch (error) {
      if (!isKind(error, 'gone', 'object')) throw error;
    }
  }));
}
