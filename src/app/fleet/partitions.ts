/**
 * Fleets without a broker: how their queue and their members are written, and how the queue is opened in the journal's place.
 *
 *   --queue partitions:N[?lease=30s]   of a coordinator: the map is to have N members
 *   --queue partitions                 of whoever looks: whatever the map has
 *   --partition K/N, K-L/N             of a worker: the Kth member of N, or a process for each from the Kth to the Lth
 */
import { hostname } from 'node:os';
import { configError, quoteValue } from '../../config/problem.ts';
import { usageError } from '../../core/errors.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { MessageQueue } from '../../ports/message-queue.ts';
import type { Shelf } from '../../ports/shelf.ts';
import { MOST_MEMBERS, openPartitions, type PartitionsOptions } from '../../queues/partitions/index.ts';
import type { Written } from './reference.ts';

export interface PartitionsReference {
  readonly engine: 'partitions';
  /** Absent: as many as there are. */
  readonly members?: number;
  readonly leaseMs?: number;
}

/** One member of a map. It crosses processes. */
export interface Partition {
  /** From 1. */
  readonly member: number;
  readonly members: number;
}

export interface PartitionsAround {
  /** Where it lies. Without it partitions cannot be opened. */
  readonly journals?: { shelf(): Promise<Shelf> };
  /** Who opens it; absent: somebody who looks. */
  readonly seat?: Partition | 'coordinator';
  /** Hears why a member waits, and what becomes of the map. */
  readonly events?: Events;
  readonly clock: Clock;
  readonly random: Random;
}

export function parsePartitions(written: Written, leaseMs: number | undefined): PartitionsReference {
  const { place } = written;
  const lease = leaseMs === undefined ? {} : { leaseMs };
  if (place === '') return { engine: 'partitions', ...lease };
  const members = countOf(place);
  if (members === undefined) throw written.wrong(`${quoteValue(place)} is no number of members from 1 to ${MOST_MEMBERS}`, 'write partitions:4');
  return { engine: 'partitions', members, ...lease };
}

/** `3/7` or `1-4/8`: the seats of a worker's processes. @throws usage E_CONFIG */
export function parsePartition(text: string): readonly Partition[] {
  const found = /^(\d{1,3})(?:-(\d{1,3}))?\/(\d{1,3})$/.exec(text);
  const members = countOf(found?.[3] ?? '');
  const [first, last] = [countOf(found?.[1] ?? ''), countOf(found?.[2] ?? found?.[1] ?? '')];
  if (members === undefined || first === undefined || last === undefined || first > last || last > members) {
    throw configError('--partition', `${quoteValue(text)} is not the Kth of N members, from 1/1 to ${MOST_MEMBERS}/${MOST_MEMBERS}`, 'write 3/7, or 1-4/8 for a process each');
  }
  return Array.from({ length: last - first + 1 }, (_, i) => ({ member: first + i, members }));
}

function countOf(text: string): number | undefined {
  const count = /^[1-9]\d{0,2}$/.test(text) ? Number(text) : 0;
  return count >= 1 && count <= MOST_MEMBERS ? count : undefined;
}

export async function openPartitioned({ members, leaseMs }: PartitionsReference, { journals, seat, events, clock, random }: PartitionsAround): Promise<MessageQueue> {
  if (journals === undefined) throw usageError('E_USAGE', 'partitions lie in the journal, and none is named', 'add --journal s3://bucket/prefix/ or --journal /shared/directory', '--queue');
  const shelf = await journals.shelf();
  const wanted = members === undefined ? {} : { wanted: { members, ...(leaseMs === undefined ? {} : { leaseMs }) } };
  const as: PartitionsOptions['as'] = seat === undefined ? { role: 'visitor', ...wanted } : seat === 'coordinator' ? { role: 'coordinator', ...wanted } : { role: 'member', ...seat };
  return openPartitions({ shelf, clock, random, holder: `${hostname()} (process ${process.pid})`, as, tell: (text, level) => events?.emit({ type: 'note', level, text }) });
}
