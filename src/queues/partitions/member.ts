/**
 * A member's seat, from waiting for it to leaving it. It works apart from whoever receives: what keeps the seat is a timer of its own (F095).
 *
 *   waiting ──▶ sitting ──▶ drained ──▶ waiting (for the next map)
 *      ▲           │
 *      └── lost ◀──┘  no beat was written for a lease, or somebody else sits there now
 *
 * A beat says that the seat is taken; who watches counts it as empty after one and a half leases without a new one, when its holder has long stopped by its own clock.
 */
import { asBrigadeError, type BrigadeError, errorLine, isKind } from '../../core/errors.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Shelf } from '../../ports/shelf.ts';
import { type Hold, Inbox, type Inherited } from './inbox.ts';
import { type Maps, membersOf, type PartitionMap } from './maps.ts';
import { beatName, behindTerm, drainedName, leftName, seatFolder, type SeatPlace, seatWordOf } from './names.ts';
import { holderOf, outageMs, readSeat, type SeatSeen, SeatWatch, SILENT_LEASES, sitDown } from './seats.ts';

export interface MemberOptions {
  readonly shelf: Shelf;
  readonly maps: Maps;
  /** From 1. */
  readonly member: number;
  readonly members: number;
  /** For people: host and process. */
  readonly holder: string;
  readonly mostReceives: number;
  readonly clock: Clock;
  readonly random: Random;
  /** One line for who watches: why it waits, that it sits. */
  readonly tell: (line: string, level: 'info' | 'warn') => void;
  /** There may be something to receive, or an error. */
  readonly changed: () => void;
}

const BEATS = 3;
/** Where there is no map yet, whose lease would say more. */
const MAPLESS_MS = 2000;
const MOST_WAIT_MS = 5000;
const WAITS = 6;
/** While a map is drained, what is in hand may be finished for so long; then it is given back. */
const DRAIN_LEASES = 2;

export class Member {
  readonly #options: MemberOptions;
  readonly #watch: SeatWatch;
  readonly #stop = new AbortController();
  readonly #working: Promise<void>;
  #sitting: Sitting | undefined;
  /** The one before, of this process. */
  #last: Sitting | undefined;
  #failure: BrigadeError | undefined;
  #told = '';
  #holder: { readonly term: number; readonly name: string } | undefined;
  #nudge: () => void = () => undefined;

  constructor(options: MemberOptions) {
    this.#options = options;
    this.#watch = new SeatWatch(options.shelf, options.clock);
    this.#working = this.#work();
  }

  /** Undefined: there is nothing to be had now. */
  get inbox(): Inbox | undefined {
    return this.#sitting === undefined || this.#sitting.closed ? undefined : this.#sitting.inbox;
  }

  /** What keeps it from its seat, told once. */
  takeFailure(): BrigadeError | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  /** Gives the seat free; with something in hand, only by silence. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#nudge();
    await this.#working;
  }

  async #work(): Promise<void> {
    for (let outages = 0; !this.#stop.signal.aborted; ) {
      try {
        const sitting = await this.#sit();
        outages = 0;
        if (sitting !== undefined) await this.#hold(sitting);
        else await this.#pause(this.#waitMs());
      } catch (thrown) {
        const error = asBrigadeError(thrown, 'sit');
        if (isKind(error, 'cancelled')) continue;
        if (!isKind(error, 'transient', 'throttled')) this.#failure = error;
        else this.#say(`${this.#where}: its seat cannot be looked after: ${errorLine(error)}`);
        this.#options.changed();
        await this.#pause(outageMs(outages++));
      }
    }
  }

  get #where(): string {
    return `partition ${this.#options.member}/${this.#options.members}`;
  }

  #waitMs(): number {
    const { known } = this.#options.maps;
    return known === undefined ? MAPLESS_MS : Math.min(MOST_WAIT_MS, known.newest.leaseMs / WAITS);
  }

  async #pause(ms: number): Promise<void> {
    const over = new AbortController();
    this.#nudge = () => over.abort();
    if (this.#stop.signal.aborted) return;
    await this.#options.clock.sleep(ms, over.signal).catch(() => undefined);
    this.#nudge = () => undefined;
  }

  #say(line: string, level: 'info' | 'warn' = 'warn'): void {
    if (this.#told === line) return;
    this.#told = line;
    this.#options.tell(line, level);
  }

  /** Undefined: not now. */
  async #sit(): Promise<Sitting | undefined> {
    const { shelf, maps, member, members, clock, holder } = this.#options;
    const now = await maps.look(this.#stop.signal);
    const why = now === undefined ? 'no coordinator has made a map of partitions yet: waiting for one'
      : !now.active ? 'the members of the last map are being drained: waiting until the next one holds'
      : now.newest.members !== members ? `the map has ${membersOf(now.newest.members)}: waiting until a coordinator makes one of ${members}`
      : undefined;
    if (now === undefined || why !== undefined) return void this.#say(`${this.#where}: ${why}`);
    const seat = { map: now.newest.number, member };
    const seen = await readSeat(shelf, seat, this.#stop.signal);
    if (!await this.#isFree(seat, seen, now.newest)) return undefined;
    const sinceMs = clock.monotonic();
    if (!await sitDown(shelf, seat, seen.term + 1, holder, this.#options)) return undefined;
    const sitting = new Sitting(seat, seen.term + 1, now.newest.leaseMs, sinceMs, clock);
    sitting.inbox = new Inbox({ shelf, clock, hold: sitting, inherited: await this.#inherited(seat, seen), leaseMs: now.newest.leaseMs, mostReceives: this.#options.mostReceives, changed: () => this.#stirred() });
    return sitting;
  }

  async #isFree(seat: SeatPlace, seen: SeatSeen, map: PartitionMap): Promise<boolean> {
    if (seen.drained) {
      this.#say(`${this.#where}: it is drained: waiting for the next map`);
      return false;
    }
    if (seen.term === 0 || seen.left || this.#isMine(seat, seen)) return true;
    if (await this.#watch.silentMs(seat, seen.term, this.#stop.signal) > SILENT_LEASES * map.leaseMs) return true;
    if (this.#holder?.term !== seen.term) this.#holder = { term: seen.term, name: await holderOf(this.#options.shelf, seat, seen.term, this.#stop.signal) };
    this.#say(`${this.#where}: ${this.#holder.name} sits there: waiting until it has left, or was silent for ${Math.ceil(SILENT_LEASES * map.leaseMs / 1000)} s`);
    return false;
  }

  /** This process had the seat last, and knows what it did there. */
  #isMine(seat: SeatPlace, { term }: SeatSeen): boolean {
    return this.#last !== undefined && this.#last.seat.map === seat.map && this.#last.term === term;
  }

  /** Of one that left, what it touched is known; of one that fell silent, nothing. */
  async #inherited(seat: SeatPlace, seen: SeatSeen): Promise<Inherited> {
    if (this.#isMine(seat, seen)) return { all: false, receives: new Map(this.#last?.inbox?.touched()) };
    if (!seen.left) return { all: seen.term > 0, receives: new Map() };
    const said = await this.#options.shelf.read(leftName(seat, seen.term)) as { readonly receives?: Readonly<Record<string, number>> } | null | undefined;
    return { all: false, receives: new Map(Object.entries(said?.receives ?? {})) };
  }

  async #hold(sitting: Sitting): Promise<void> {
    this.#last = sitting;
    try {
      // A map may have been published between the look and the seat; what is handed out comes behind this.
      if (!await this.#lookAround(sitting)) return;
      this.#sitting = sitting;
      this.#say(`${this.#where}: at work, in term ${sitting.term} of map ${sitting.seat.map}`, 'info');
      this.#options.changed();
      await this.#forget(sitting);
      while (!this.#stop.signal.aborted && await this.#keep(sitting)) await this.#pause(sitting.tickMs);
      if (this.#stop.signal.aborted) await this.#leave(sitting);
    } finally {
      sitting.close();
      this.#sitting = undefined;
      this.#options.changed();
    }
  }

  /** False: it sits there no more. */
  async #keep(sitting: Sitting): Promise<boolean> {
    if (sitting.leftMs() <= 0) {
      this.#say(`${this.#where}: no beat could be written for ${sitting.leaseMs / 1000} s: what it had in hand is given up, and the seat is taken anew`);
      return false;
    }
    if (sitting.closed && sitting.inbox?.inHand === 0) {
      await this.#options.shelf.put(drainedName(sitting.seat), { by: this.#options.holder });
      this.#say(`${this.#where}: drained`, 'info');
      return false;
    }
    if (!sitting.beatDue()) return true;
    try {
      return await this.#beat(sitting);
    } catch (thrown) {
      if (isKind(asBrigadeError(thrown, 'beat'), 'internal', 'usage')) throw thrown;
      return true; // The next one follows soon; without any the lease ends.
    }
  }

  async #beat(sitting: Sitting): Promise<boolean> {
    const { shelf, clock } = this.#options;
    const sinceMs = clock.monotonic();
    await shelf.replace(beatName(sitting.seat, sitting.term), { beat: ++sitting.beats });
    if (!await this.#lookAround(sitting)) return false;
    sitting.prolong(sinceMs);
    return true;
  }

  /** Whether nobody sat down in this seat since; and whether there is a newer map. */
  async #lookAround(sitting: Sitting): Promise<boolean> {
    const { shelf, maps } = this.#options;
    for await (const name of shelf.names(seatFolder(sitting.seat), behindTerm(sitting.seat, sitting.term))) {
      const word = seatWordOf(name);
      if (word === undefined) continue;
      sitting.lose();
      this.#say(`${this.#where}: somebody else has its seat: what was in hand is given up`);
      return false;
    }
    const now = await maps.look();
    if (now !== undefined && now.newest.number > sitting.seat.map && !sitting.closed) {
      sitting.recall(DRAIN_LEASES);
      this.#say(`${this.#where}: a map of ${membersOf(now.newest.members)} comes next: what is in hand is finished or given back, nothing more is taken`, 'info');
    }
    return true;
  }

  /** Terms long past say nothing any more. */
  async #forget({ seat, term }: Sitting): Promise<void> {
    const old: string[] = [];
    for await (const name of this.#options.shelf.names(seatFolder(seat))) {
      const word = seatWordOf(name);
      if (word !== undefined && word.says !== 'drained' && Number(/\/(\d{8})[^/]*$/.exec(name)?.[1]) < term - 1) old.push(name);
    }
    for (const name of old) await this.#options.shelf.remove(name);
  }

  async #leave(sitting: Sitting): Promise<void> {
    sitting.close();
    const { inbox } = sitting;
    if (inbox === undefined || inbox.inHand > 0 || sitting.leftMs() <= 0) return;
    await this.#options.shelf.put(leftName(sitting.seat, sitting.term), { receives: Object.fromEntries(inbox.touched()) });
  }

  #stirred(): void {
    if (this.#sitting?.closed === true) this.#nudge();
    this.#options.changed();
  }
}

/** One term in a seat. */
class Sitting implements Hold {
  readonly seat: SeatPlace;
  readonly term: number;
  readonly leaseMs: number;
  readonly #clock: Clock;
  inbox: Inbox | undefined;
  beats = 0;
  #endsAt: number;
  #beatAt: number;
  #closed = false;
  #recallAt = Number.POSITIVE_INFINITY;

  /** `sinceMs`: a moment not later than that of sitting down. */
  constructor(seat: SeatPlace, term: number, leaseMs: number, sinceMs: number, clock: Clock) {
    this.seat = seat;
    this.term = term;
    this.leaseMs = leaseMs;
    this.#clock = clock;
    this.#endsAt = sinceMs + leaseMs;
    this.#beatAt = sinceMs;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get recalled(): boolean {
    return this.#clock.monotonic() >= this.#recallAt;
  }

  /** A beat that fails is tried again well before the next one would be due. */
  get tickMs(): number {
    return this.leaseMs / BEATS / BEATS;
  }

  leftMs(): number {
    return Math.max(0, this.#endsAt - this.#clock.monotonic());
  }

  beatDue(): boolean {
    return this.#clock.monotonic() >= this.#beatAt;
  }

  prolong(sinceMs: number): void {
    this.#endsAt = sinceMs + this.leaseMs;
    this.#beatAt = sinceMs + this.leaseMs / BEATS;
  }

  close(): void {
    this.#closed = true;
  }

  lose(): void {
    this.#closed = true;
    this.#endsAt = Number.NEGATIVE_INFINITY;
  }

  recall(afterLeases: number): void {
    this.#closed = true;
    this.#recallAt = this.#clock.monotonic() + afterLeases * this.leaseMs;
  }
}
