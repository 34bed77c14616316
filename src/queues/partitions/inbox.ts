/**
 * What one member has before it for as long as it sits: messages that it found in its inbox, who has them in hand, and when the others may be had again.
 * Leases of messages are this process's own affair, since nobody else reads this inbox; none outlasts the seat's.
 */
import type { Clock } from '../../ports/clock.ts';
import type { AckResult, MessageDelivery } from '../../ports/message-queue.ts';
import type { Shelf } from '../../ports/shelf.ts';
import { Lease, leaseLost } from '../lease.ts';
import { overReceived } from '../outgoing.ts';
import { believed, bury, type Letter, letterFrom } from './letters.ts';
import { inboxFolder, messageOf, type SeatPlace } from './names.ts';

/** The seat as its inbox sees it. */
export interface Hold {
  readonly seat: SeatPlace;
  /** Of the seat, milliseconds; 0: it may be somebody else's. */
  leftMs(): number;
  /** Nothing more is handed out. */
  readonly closed: boolean;
  /** What is in hand is to be given back. */
  readonly recalled: boolean;
}

/** What is known of what lay here before this term. `all`: whoever sat here before may have begun on anything. */
export interface Inherited {
  readonly all: boolean;
  /** Deliveries that are known of, beside those that the messages tell themselves. */
  readonly receives: ReadonlyMap<string, number>;
}

export interface InboxOptions {
  readonly shelf: Shelf;
  readonly clock: Clock;
  readonly hold: Hold;
  readonly inherited: Inherited;
  readonly leaseMs: number;
  readonly mostReceives: number;
  /** Less is in hand, or something may be had again. */
  readonly changed: () => void;
}

interface Entry {
  readonly name: string;
  readonly message: string;
  /** Deliveries of which the message itself says nothing. */
  receives: number;
  /** Whether somebody had it before this term is not known. */
  doubtful: boolean;
  visibleAt: number;
  /** Of the delivery that has it; 0: none. */
  holder: number;
}

const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5000;
/** Found in one look; more are found when these are done. */
const MOST_FOUND = 1000;
const LONGEST_DELAY_MS = 12 * 3_600_000;
const AGAIN_MS = 1000;

export class Inbox {
  readonly #options: InboxOptions;
  readonly #where: string;
  readonly #entries = new Map<string, Entry>();
  /** Given out and not answered yet: when their leases end. */
  readonly #unanswered = new Map<number, Lease>();
  #inherits = true;
  #looking: Promise<void> | undefined;
  /** Answered while somebody looks: an old listing may still show them. */
  #removed = new Set<string>();
  #pauseMs = FIRST_PAUSE_MS;
  #lookAtMs = Number.NEGATIVE_INFINITY;
  #deliveries = 0;

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#where = `partition ${options.hold.seat.member}`;
  }

  /** Deliveries that nobody answered. One whose lease ended long ago counts no more: its worker was told, and had the time to stop. */
  get inHand(): number {
    const { clock, leaseMs } = this.#options;
    const now = clock.monotonic();
    for (const [holder, lease] of this.#unanswered) if (lease.endsAt + leaseMs < now) this.#unanswered.delete(holder);
    return this.#unanswered.size;
  }

  /** Of what is known here: in hand, and not to be had yet. */
  counts(): { readonly inFlight: number; readonly delayed: number } {
    const now = this.#options.clock.monotonic();
    const hidden = [...this.#entries.values()].filter(({ visibleAt }) => visibleAt > now);
    const inFlight = hidden.filter(({ holder }) => holder > 0).length;
    return { inFlight, delayed: hidden.length - inFlight };
  }

  /** How often each message was delivered that is not done, beside what it says itself: for who sits here next. */
  touched(): ReadonlyMap<string, number> {
    return new Map([...this.#entries.values()].filter(({ receives }) => receives > 0).map(({ message, receives }) => [message, receives]));
  }

  /** Milliseconds until it is worth asking again. */
  nextMs(): number {
    const { clock, hold } = this.#options;
    if (hold.leftMs() <= 0) return FIRST_PAUSE_MS;
    const now = clock.monotonic();
    let next = this.#looking === undefined ? this.#lookAtMs : Number.POSITIVE_INFINITY;
    for (const { visibleAt } of this.#entries.values()) next = Math.min(next, visibleAt);
    return Math.max(0, next - now);
  }

  /** What can be had now; looks for more when there is nothing, and not oftener than its patience says. */
  async take(most: number): Promise<readonly MessageDelivery[]> {
    const known = await this.#open(this.#choose(most));
    if (known.length > 0 || this.#options.clock.monotonic() < this.#lookAtMs) return known;
    await (this.#looking ??= this.#look().finally(() => { this.#looking = undefined; }));
    return this.#open(this.#choose(most));
  }

  /** The shelf does not answer: it is not asked again at once. */
  rest(): void {
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
    this.#lookAtMs = this.#options.clock.monotonic() + this.#pauseMs;
  }

  /** Nobody waits any more for what was taken. */
  putBack(deliveries: readonly MessageDelivery[]): void {
    for (const delivery of deliveries) void delivery.release(0);
  }

  #choose(most: number): readonly Entry[] {
    const { clock, leaseMs, hold } = this.#options;
    const now = clock.monotonic();
    const chosen: Entry[] = [];
    if (hold.closed || hold.leftMs() <= 0) return chosen;
    for (const entry of this.#entries.values()) {
      if (chosen.length >= most) break;
      if (entry.visibleAt > now) continue;
      entry.holder = ++this.#deliveries;
      entry.visibleAt = now + leaseMs;
      this.#unanswered.set(entry.holder, new Lease(clock, now, leaseMs));
      chosen.push(entry);
    }
    return chosen;
  }

  async #open(chosen: readonly Entry[]): Promise<readonly MessageDelivery[]> {
    const opened = await Promise.allSettled(chosen.map((entry) => this.#delivery(entry, entry.holder)));
    for (const [i, one] of opened.entries()) if (one.status === 'rejected') this.#letGo((chosen[i] as Entry), AGAIN_MS);
    const failed = opened.find((one) => one.status === 'rejected');
    const deliveries = opened.flatMap((one) => (one.status === 'fulfilled' && one.value !== undefined ? [one.value] : []));
    if (failed !== undefined && deliveries.length === 0) throw failed.reason;
    return deliveries;
  }

  #letGo(entry: Entry, afterMs: number): void {
    this.#unanswered.delete(entry.holder);
    entry.holder = 0;
    entry.visibleAt = this.#options.clock.monotonic() + afterMs;
    this.#options.changed();
  }

  #forget(entry: Entry): void {
    this.#unanswered.delete(entry.holder);
    this.#entries.delete(entry.name);
    if (this.#looking !== undefined) this.#removed.add(entry.name);
    this.#options.changed();
  }

  async #look(): Promise<void> {
    const { shelf, clock, hold, inherited } = this.#options;
    const seen = new Set<string>();
    let found = 0;
    this.#removed = new Set();
    for await (const name of shelf.names(inboxFolder(hold.seat))) {
      seen.add(name);
      const message = messageOf(name)?.message;
      if (message === undefined || this.#entries.has(name) || this.#removed.has(name)) continue;
      this.#entries.set(name, { name, message, receives: this.#inherits ? inherited.receives.get(message) ?? 0 : 0, doubtful: this.#inherits && inherited.all, visibleAt: 0, holder: 0 });
      if (++found >= MOST_FOUND) break;
    }
    if (found < MOST_FOUND) {
      this.#inherits = false;
      for (const entry of this.#entries.values()) if (!seen.has(entry.name) && entry.holder === 0) this.#entries.delete(entry.name);
    }
    this.#pauseMs = found > 0 ? FIRST_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
    this.#lookAtMs = clock.monotonic() + this.#pauseMs;
  }

  /** Undefined: it is gone, or it was put aside. */
  async #delivery(entry: Entry, holder: number): Promise<MessageDelivery | undefined> {
    const { shelf, mostReceives } = this.#options;
    const letter = await this.#letter(entry);
    if (letter === undefined) return undefined;
    if (letter.receives + entry.receives >= mostReceives) {
      await bury(shelf, entry.message, letter, letter.receives + entry.receives, overReceived(mostReceives));
      await shelf.remove(entry.name);
      this.#forget(entry);
      return undefined;
    }
    entry.receives++;
    return this.#handed(entry, holder, letter, letter.receives + entry.receives);
  }

  /** What was perhaps delivered in an earlier term says so from now on: what kills every worker is to be counted, too (F098). */
  async #letter(entry: Entry): Promise<Letter | undefined> {
    const { shelf } = this.#options;
    const letter = await readLetter(shelf, entry.name);
    if (letter === undefined) {
      this.#forget(entry);
      return undefined;
    }
    if (!entry.doubtful) return letter;
    const told = { ...letter, receives: letter.receives + 1 };
    await shelf.replace(entry.name, told);
    entry.doubtful = false;
    return told;
  }

  #handed(entry: Entry, holder: number, letter: Letter, receives: number): MessageDelivery {
    const { clock, hold, shelf } = this.#options;
    const lease = this.#unanswered.get(holder) ?? new Lease(clock, Number.NEGATIVE_INFINITY, 0);
    const leftMs = (): number => Math.min(lease.leftMs(), hold.leftMs());
    const ack = async (): Promise<AckResult> => {
      const standing = leftMs() > 0 ? 'acknowledged' : 'late';
      await shelf.remove(entry.name);
      lease.end();
      this.#unanswered.delete(holder);
      this.#forget(entry);
      return standing;
    };
    return {
      id: entry.message, body: letter.body, receives, ack, leaseLeftMs: leftMs,
      extend: async (wantedMs) => {
        if (leftMs() <= 0 || hold.recalled || entry.holder !== holder) throw leaseLost(this.#where);
        lease.prolong(clock.monotonic(), wantedMs);
        entry.visibleAt = clock.monotonic() + wantedMs;
        return leftMs();
      },
      release: async (delayMs) => {
        const late = leftMs() <= 0;
        lease.end();
        this.#unanswered.delete(holder);
        if (entry.holder === holder && (!late || entry.visibleAt > clock.monotonic())) this.#letGo(entry, Math.min(delayMs, LONGEST_DELAY_MS));
        this.#options.changed();
      },
      park: async (reason) => {
        await bury(shelf, entry.message, letter, receives, reason);
        await ack();
      },
    };
  }
}

/** One that cannot be believed is none, and is taken away: its task is sent again. */
export async function readLetter(shelf: Shelf, name: string, signal?: AbortSignal): Promise<Letter | undefined> {
  const letter = letterFrom(await believed(shelf, name, signal));
  if (letter === undefined) await shelf.remove(name);
  return letter;
}
