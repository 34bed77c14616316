/**
 * The maps of a partitioned queue, each behind the one before it: published by a conditional write, and active once every seat of the one before is drained.
 * There is never more than one that is not active yet, so that who has what has one history for everybody.
 */
import { BrigadeError } from '../../core/errors.ts';
import type { Json } from '../../ports/journal.ts';
import type { Shelf } from '../../ports/shelf.ts';
import { activeName, mapName, mapOf, MAPS } from './names.ts';
import { MOST_MEMBERS, PARTITIONS, startsFor } from './share.ts';

export interface PartitionMap {
  /** From 1. */
  readonly number: number;
  readonly members: number;
  /** Of messages and of seats, milliseconds. */
  readonly leaseMs: number;
  /** First partition of each member. */
  readonly starts: readonly number[];
}

export interface Wanted {
  readonly members: number;
  /** Absent: as it is, or 30 s. */
  readonly leaseMs?: number;
}

export interface MapsNow {
  readonly newest: PartitionMap;
  /** Else the one before it is being drained. */
  readonly active: boolean;
}

export const LEASE_MS = 30_000;

export class Maps {
  readonly #shelf: Shelf;
  #now: MapsNow | undefined;

  constructor(shelf: Shelf) {
    this.#shelf = shelf;
  }

  /** As of the last look; it may have changed since. */
  get known(): MapsNow | undefined {
    return this.#now;
  }

  /** One request where nothing changed. */
  async look(signal?: AbortSignal): Promise<MapsNow | undefined> {
    const known = this.#now;
    const { number, active } = await this.#last(known, signal);
    if (number === 0) return undefined;
    const newest = number === known?.newest.number ? known.newest : await this.read(number, signal);
    // Another look that was quicker may have seen more.
    const seen = this.#now?.newest.number ?? 0;
    if (seen < number || (seen === number && active)) this.#now = { newest, active };
    return this.#now;
  }

  async #last(known: MapsNow | undefined, signal: AbortSignal | undefined): Promise<{ readonly number: number; readonly active: boolean }> {
    let last = { number: known?.newest.number ?? 0, active: known?.active ?? false };
    for await (const name of this.#shelf.names(MAPS, known === undefined ? undefined : mapName(known.newest.number), signal)) {
      const said = mapOf(name);
      if (said !== undefined && (said.map > last.number || said.active)) last = { number: said.map, active: said.active };
    }
    return last;
  }

  /** A map behind the newest one, which must be active. False: somebody was quicker. */
  async publish(wanted: Wanted, by: Json): Promise<boolean> {
    const before = this.#now?.newest;
    const { members, leaseMs = before?.leaseMs ?? LEASE_MS } = wanted;
    return this.#shelf.put(mapName((before?.number ?? 0) + 1), { members, leaseMs, starts: [...startsFor(members)], by });
  }

  /** Every seat of the one before is drained. */
  async activate(map: number): Promise<void> {
    await this.#shelf.put(activeName(map), { map });
  }

  /** One that was published. */
  async read(number: number, signal?: AbortSignal): Promise<PartitionMap> {
    const map = mapFrom(number, await this.#shelf.read(mapName(number), signal));
    if (map === undefined) throw new BrigadeError({ code: 'E_PARTITION_MAP', kind: 'premise', op: 'partitions', location: `${this.#shelf.describe}${mapName(number)}`, message: 'the map of partitions cannot be read', hint: 'run coordinators and workers of the same release' });
    return map;
  }
}

function mapFrom(number: number, said: Json | undefined): PartitionMap | undefined {
  if (typeof said !== 'object' || said === null || !('starts' in said)) return undefined;
  const { members, leaseMs, starts } = said as { readonly [name: string]: Json };
  if (typeof members !== 'number' || typeof leaseMs !== 'number' || !(leaseMs > 0) || !isStarts(starts) || starts.length !== members || members > MOST_MEMBERS) return undefined;
  return { number, members, leaseMs, starts };
}

function isStarts(value: Json | undefined): value is readonly number[] {
  return Array.isArray(value) && value[0] === 0 && value.every((start, i) => Number.isInteger(start) && start < PARTITIONS && (i === 0 || start > value[i - 1]));
}

/** Whether what an operator asks for is another map than this one. */
export function differs({ members, leaseMs }: PartitionMap, wanted: Wanted): boolean {
  return members !== wanted.members || (wanted.leaseMs !== undefined && leaseMs !== wanted.leaseMs);
}

export const membersOf = (count: number): string => (count === 1 ? 'one member' : `${count} members`);
