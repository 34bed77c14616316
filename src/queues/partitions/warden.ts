/**
 * What a coordinator does for the queue: sees to it that there is the map that its operator wants, that the one before is drained first, and that what lies
 * in inboxes of maps that are over comes into those of the newest one. Several coordinators may do so at the same time: each step is one conditional write.
 *
 * A map is drained when every member has said so. For one that is not there somebody else says it: of a seat that nobody sits in, at once; of one that
 * fell silent, after its lease, by taking the seat from it.
 */
import { asBrigadeError, errorLine, isKind } from '../../core/errors.ts';
import { together } from '../../core/together.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Shelf } from '../../ports/shelf.ts';
import { readLetter } from './inbox.ts';
import { differs, type Maps, type MapsNow, membersOf, type PartitionMap, type Wanted } from './maps.ts';
import { drainedName, INBOXES, inboxFolder, messageOf } from './names.ts';
import { outageMs, readSeats, type SeatSeen, SeatWatch, SILENT_LEASES, sitDown } from './seats.ts';
import { memberOf, partitionOf } from './share.ts';

export interface WardenOptions {
  readonly shelf: Shelf;
  readonly maps: Maps;
  /** What this operator asks for; once it was so, another one may ask for something else. Absent: whatever there is. */
  readonly wanted?: Wanted;
  readonly holder: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly tell: (line: string, level: 'info' | 'warn') => void;
}

const TEND_MS = 5000;
const DRAINING_MS = 1000;
/** Waits of leases, for short ones. */
const TENDS = 6;
const VACANT_MS = 30_000;
const MOVES = 16;

export class Warden {
  readonly #options: WardenOptions;
  readonly #watch: SeatWatch;
  readonly #stop = new AbortController();
  #wanted: Wanted | undefined;
  /** Something may lie in an inbox of a map that is over. */
  #stragglers = true;
  /** Its workers have a while to come. */
  #vacantDueMs = 0;
  #vacantOf: number | undefined;
  readonly #told = new Set<string>();
  #working: Promise<void> = Promise.resolve();

  constructor(options: WardenOptions) {
    this.#options = options;
    this.#wanted = options.wanted;
    this.#watch = new SeatWatch(options.shelf, options.clock);
  }

  /** The first look is waited for, so that there is a map behind it; then it goes on by itself. Errors: those of the shelf. */
  async begin(): Promise<void> {
    await this.#tend();
    this.#working = this.#work();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#working;
  }

  /** Somebody saw one. */
  stragglers(): void {
    this.#stragglers = true;
  }

  async #work(): Promise<void> {
    const { clock } = this.#options;
    for (let outages = 0; !this.#stop.signal.aborted; ) {
      const ms = outages > 0 ? outageMs(outages) : this.#restMs();
      await clock.sleep(ms, this.#stop.signal).catch(() => undefined);
      if (this.#stop.signal.aborted) return;
      try {
        await this.#tend();
        if (outages > 0) this.#told.clear();
        outages = 0;
      } catch (thrown) {
        const error = asBrigadeError(thrown, 'tend');
        if (isKind(error, 'cancelled')) continue;
        this.#once(error.code, `the map of partitions cannot be looked after: ${errorLine(error)}: tried again until it can`);
        outages++;
      }
    }
  }

  #restMs(): number {
    const now = this.#options.maps.known;
    if (now === undefined) return DRAINING_MS;
    return Math.min(now.active && this.#wanted === undefined ? TEND_MS : DRAINING_MS, now.newest.leaseMs / TENDS);
  }

  async #tend(): Promise<void> {
    const { maps, clock } = this.#options;
    let now = await maps.look(this.#stop.signal);
    if (now === undefined) {
      if (this.#wanted === undefined) return;
      await this.#publish(this.#wanted);
      now = await maps.look(this.#stop.signal);
    }
    if (now === undefined) return;
    // Once it was so it may be otherwise: whoever asks last has it.
    if (this.#wanted !== undefined && !differs(now.newest, this.#wanted)) this.#wanted = undefined;
    if (!now.active) return this.#drain(now);
    if (this.#wanted !== undefined) return this.#publish(this.#wanted);
    if (this.#stragglers) await this.#move(now.newest);
    if (this.#vacantOf !== now.newest.number) this.#vacantDueMs = clock.monotonic() + VACANT_MS;
    this.#vacantOf = now.newest.number;
    if (clock.monotonic() >= this.#vacantDueMs) await this.#lookForVacant(now);
  }

  async #publish(wanted: Wanted): Promise<void> {
    const { maps, holder, clock } = this.#options;
    const before = maps.known?.newest;
    const done = await maps.publish(wanted, { holder, sinceMs: clock.now() });
    if (done && before !== undefined) this.#options.tell(`the map of partitions is to have ${membersOf(wanted.members)} instead of ${before.members}: those are drained first`, 'info');
  }

  async #drain({ newest }: MapsNow): Promise<void> {
    const { maps, tell } = this.#options;
    if (newest.number > 1 && !await this.#isDrained(newest.number - 1)) return;
    await maps.activate(newest.number);
    await maps.look(this.#stop.signal);
    this.#stragglers = newest.number > 1;
    tell(`map ${newest.number} of partitions holds: ${membersOf(newest.members)}`, 'info');
    await this.#move(newest);
  }

  async #isDrained(map: number): Promise<boolean> {
    const before = await this.#options.maps.read(map, this.#stop.signal);
    const seats = await readSeats(this.#options.shelf, map, this.#stop.signal);
    const each = Array.from({ length: before.members }, (_, i) => this.#drainSeat(before, i + 1, seats.get(i + 1)));
    return (await together(...each)).every(Boolean);
  }

  async #drainSeat(map: PartitionMap, member: number, seen: SeatSeen = { term: 0, left: false, drained: false }): Promise<boolean> {
    if (seen.drained) return true;
    const { shelf, holder } = this.#options;
    const seat = { map: map.number, member };
    const isVacant = seen.term === 0 || seen.left;
    if (!isVacant && await this.#watch.silentMs(seat, seen.term, this.#stop.signal) <= SILENT_LEASES * map.leaseMs) return false;
    if (!await sitDown(shelf, seat, seen.term + 1, `${holder}, to drain it`, this.#options)) return false;
    await shelf.put(drainedName(seat), { by: holder });
    return true;
  }

  /** What is left in inboxes of maps before this one: its former member may have begun on it, so it counts as delivered. Done twice, it comes to lie there once. */
  async #move(to: PartitionMap): Promise<void> {
    const { shelf } = this.#options;
    let moving: Promise<void>[] = [];
    for await (const name of shelf.names(INBOXES, undefined, this.#stop.signal)) {
      const place = messageOf(name);
      if (place === undefined) continue;
      if (place.map >= to.number) break;
      moving.push(this.#moveOne(name, place.message, to));
      if (moving.length < MOVES) continue;
      await together(...moving);
      moving = [];
    }
    await together(...moving);
    this.#stragglers = false;
  }

  async #moveOne(name: string, message: string, to: PartitionMap): Promise<void> {
    const { shelf } = this.#options;
    const letter = await readLetter(shelf, name, this.#stop.signal);
    if (letter !== undefined) {
      const member = memberOf(to.starts, partitionOf(letter.of));
      await shelf.put(inboxFolder({ map: to.number, member }) + message, { ...letter, receives: letter.receives + 1 });
    }
    await shelf.remove(name, this.#stop.signal);
  }

  /** What falls to a member that is not there waits: its operator is to know. */
  async #lookForVacant({ newest: map }: MapsNow): Promise<void> {
    const { shelf, clock, tell } = this.#options;
    this.#vacantDueMs = clock.monotonic() + VACANT_MS;
    const seats = await readSeats(shelf, map.number, this.#stop.signal);
    const vacant: number[] = [];
    for (let member = 1; member <= map.members; member++) {
      const seen = seats.get(member);
      const isEmpty = seen === undefined || seen.left || await this.#watch.silentMs({ map: map.number, member }, seen.term, this.#stop.signal) > SILENT_LEASES * map.leaseMs;
      if (isEmpty) vacant.push(member);
    }
    const which = `vacant ${map.number} ${vacant.join(' ')}`;
    if (vacant.length === 0 || this.#told.has(which)) return;
    this.#told.add(which);
    tell(`no worker sits at partition ${vacant.map((member) => `${member}/${map.members}`).join(', ')}: their tasks wait; start brigade worker --partition ${vacant[0]}/${map.members}, or ask for fewer members`, 'warn');
  }

  #once(what: string, line: string): void {
    if (this.#told.has(what)) return;
    this.#told.add(what);
    this.#options.tell(line, 'warn');
  }
}
