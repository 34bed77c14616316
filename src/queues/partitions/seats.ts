/** What stands on the shelf about seats, and how long nobody has been heard of in one. */
import type { Clock, Random } from '../../ports/clock.ts';
import type { Json } from '../../ports/journal.ts';
import type { Shelf } from '../../ports/shelf.ts';
import { beatName, seatFolder, type SeatPlace, seatsOf, seatWordOf, termName } from './names.ts';

export interface SeatSeen {
  /** Of whoever sat down last; 0: nobody ever did. */
  readonly term: number;
  /** That one has gone by itself. */
  readonly left: boolean;
  readonly drained: boolean;
}

const NOBODY: SeatSeen = { term: 0, left: false, drained: false };

/** So many leases without a new beat: by then its holder has stopped, by its own clock, a good while ago. */
export const SILENT_LEASES = 1.5;
const LONGEST_OUTAGE_MS = 30_000;

/** After so many looks at the shelf, one after the other, that failed. */
export const outageMs = (failures: number): number => Math.min(LONGEST_OUTAGE_MS, 500 * 2 ** Math.min(failures, 10));

/** Every seat of a map that somebody sat in, by member. */
export async function readSeats(shelf: Shelf, map: number, signal?: AbortSignal): Promise<ReadonlyMap<number, SeatSeen>> {
  return gathered(shelf.names(seatsOf(map), undefined, signal));
}

export async function readSeat(shelf: Shelf, seat: SeatPlace, signal?: AbortSignal): Promise<SeatSeen> {
  return (await gathered(shelf.names(seatFolder(seat), undefined, signal))).get(seat.member) ?? NOBODY;
}

async function gathered(names: AsyncIterable<string>): Promise<Map<number, SeatSeen>> {
  const seats = new Map<number, SeatSeen>();
  for await (const name of names) {
    const word = seatWordOf(name);
    if (word === undefined || word.says === 'beat') continue;
    const before = seats.get(word.member) ?? NOBODY;
    if (word.says === 'drained') seats.set(word.member, { ...before, drained: true });
    else if (word.says === 'taken' && word.term > before.term) seats.set(word.member, { ...before, term: word.term, left: false });
    else if (word.says === 'left' && word.term === before.term) seats.set(word.member, { ...before, left: true });
  }
  return seats;
}

/** Takes a seat for its next term. False: somebody else has it. `holder`: for people. */
export function sitDown(shelf: Shelf, seat: SeatPlace, term: number, holder: string, { clock, random }: { readonly clock: Clock; readonly random: Random }): Promise<boolean> {
  // No two that sit down ever write the same.
  const nonce = Math.floor(random.next() * 2 ** 48).toString(16);
  return shelf.put(termName(seat, term), { holder, sinceMs: clock.now(), nonce });
}

export async function holderOf(shelf: Shelf, seat: SeatPlace, term: number, signal?: AbortSignal): Promise<string> {
  const said = await shelf.read(termName(seat, term), signal) as { readonly holder?: Json } | null | undefined;
  return typeof said?.holder === 'string' ? said.holder : 'somebody unknown';
}

/** Tells by beats that change, and its own clock, who still sits there (F084). */
export class SeatWatch {
  readonly #shelf: Shelf;
  readonly #clock: Clock;
  readonly #seen = new Map<string, { readonly said: string; readonly atMs: number }>();

  constructor(shelf: Shelf, clock: Clock) {
    this.#shelf = shelf;
    this.#clock = clock;
  }

  /** How long nothing new was heard of this term, as far as it was watched from here. */
  async silentMs(seat: SeatPlace, term: number, signal?: AbortSignal): Promise<number> {
    const said = `${term} ${JSON.stringify(await this.#shelf.read(beatName(seat, term), signal) ?? null)}`;
    const now = this.#clock.monotonic();
    const key = seatFolder(seat);
    const known = this.#seen.get(key);
    if (known?.said === said) return now - known.atMs;
    this.#seen.set(key, { said, atMs: now });
    return 0;
  }
}
