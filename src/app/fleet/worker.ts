/** A worker of a fleet in this process: the queue, the journals and the stores that its messages name. */
import { hostname } from 'node:os';
import { runFleetWorker } from '../../fleet/worker/worker.ts';
import { type WorkerSurroundings, migrationOpener } from './open-migration.ts';
import { openJournals } from './journal.ts';
import { offersAt } from './offers.ts';
import { messageKeys } from './message-key.ts';
import { refuseToStart } from '../refuse.ts';
import type { Partition } from './partitions.ts';
import { openQueue } from './queue.ts';
import { fanOut } from '../events.ts';
import type { Meter } from '../../telemetry/meter.ts';

/** References, never secrets: it crosses processes. */
export interface WorkerPlaces {
  readonly queue: string;
  /** Where the queue is partitions: which member this process is. */
  readonly partition?: Partition;
  readonly journal: string;
  readonly messageKeys: readonly string[];
  /** Where relative paths start. */
  readonly cwd: string;
  readonly version: string;
  readonly drainMs: number;
  /** Copying processes of this machine. */
  readonly processes: number;
  /** Messages without a seal are taken, where they name two buckets that are offered. */
  readonly acceptPlain?: boolean;
  /** Somebody wants to know how much and how quickly. */
  readonly metrics?: boolean;
}

export interface WorkMore {
  /** Everything that it is told to use is there. */
  readonly ready?: () => void;
  readonly meter?: Meter;
  /** Asked when the signal fires: who is given less time than `places` say, or more. */
  readonly drainMs?: () => number;
}

/**
 * Works until the signal fires, and then for as long as a drain takes. `ready`: everything that it is told to use is there.
 * @throws what is wrong with the places: usage before it was ready
 */
export async function workHere(places: WorkerPlaces, around: WorkerSurroundings, signal: AbortSignal, { ready, meter, drainMs = () => places.drainMs }: WorkMore = {}): Promise<void> {
  const { cwd, version, partition: seat } = places;
  const { env, clock, random, events } = around;
  const open = async () => {
    const keys = await messageKeys(places.messageKeys, { env, cwd, clock });
    const journals = openJournals(places.journal, { env, cwd, clock, random, ...(meter === undefined ? { events } : { events: fanOut([events, meter.events({}, 'journal')]) }) });
    return { keys, journals, queue: await openQueue(places.queue, { env, cwd, clock, random, journals, events, ...(seat === undefined ? {} : { seat }) }) };
  };
  const { keys, journals, queue } = await open().catch(refuseToStart);
  const stopped = new AbortController();
  const fresh = keys.keepFresh(stopped.signal, events);
  try {
    ready?.();
    await runFleetWorker({
      queue, codec: keys.codec, refreshKeys: () => keys.refresh(), journals: (name) => journals.open(name), open: migrationOpener(around, meter),
      ...(places.acceptPlain === true ? { offers: offersAt(journals, { codec: keys.codec, clock, events }) } : {}),
      ...(meter === undefined ? {} : { counting: (migration: string) => meter.events({ migration }) }),
      worker: workerName(random), host: hostname(), version, processes: places.processes, clock, random, events, drainMs,
    }, signal);
  } finally {
    stopped.abort();
    await Promise.all([fresh, queue.close()]);
    // Behind the queue: it may lie in the journal's place.
    await journals.close();
  }
}

/** Process ids come again, and names of hosts stand on many machines; who signs reports and beats is one process and no other one. */
function workerName(random: WorkerSurroundings['random']): string {
  const chance = Math.floor(random.next() * 2 ** 32).toString(36);
  return `${hostname()}-${process.pid}-${chance}`;
}
