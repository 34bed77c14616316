/**
 * A queue without an engine, for fleets that have no broker: the journal's own store carries the messages. Each falls to one member of a map (share.ts),
 * into whose inbox it is put; the member finds it there, and takes it away when it is done. Nobody competes for a message, so nobody has to decide who
 * gets it. A map is replaced by another only when its members are drained (maps.ts, warden.ts).
 *
 * What is different from an engine: what falls to a member that is not there waits until somebody sits in its seat, or another map holds; an empty inbox is
 * asked again at intervals that grow to 5 s; that a message is in somebody's hand is known there alone.
 */
import { asBrigadeError, type BrigadeError, cancelled, isKind, usageError } from '../../core/errors.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { MessageCounts, MessageDelivery, MessageLimits, MessageQueue, OutgoingMessage } from '../../ports/message-queue.ts';
import type { Shelf } from '../../ports/shelf.ts';
import { heardOut } from '../heard-out.ts';
import { mustFit, sendFit } from '../outgoing.ts';
import { unlessAborted } from '../unless-aborted.ts';
import { bury, deadLetters, type Letter } from './letters.ts';
import { differs, LEASE_MS, Maps, type PartitionMap, type Wanted } from './maps.ts';
import { Member } from './member.ts';
import { DEAD, INBOXES, inboxFolder, messageName, messageOf } from './names.ts';
import { readSeats } from './seats.ts';
import { memberOf, partitionOf } from './share.ts';
import { Warden } from './warden.ts';

export { MOST_MEMBERS } from './share.ts';

export interface PartitionsOptions {
  readonly shelf: Shelf;
  readonly clock: Clock;
  readonly random: Random;
  /** Who this is, for people: host and process. */
  readonly holder: string;
  /**
   * `member`: receives, from its own inbox. `coordinator`: sends, and sees to the map from the first time on that it sends or counts (one that stands by
   * changes nothing). `visitor`: looks, and may send into the map that there is.
   * `wanted` of a visitor: what it expects to find.
   */
  readonly as:
    | { readonly role: 'member'; readonly member: number; readonly members: number }
    | { readonly role: 'coordinator' | 'visitor'; readonly wanted?: Wanted };
  /** One line for who watches. */
  readonly tell?: (line: string, level: 'info' | 'warn') => void;
  /** Default 100 (design §4.10). */
  readonly mostReceives?: number;
}

const LARGEST = 256 * 1024;
const LONGEST_DELAY_MS = 12 * 3_600_000;
const MOST_PER_RECEIVE = 32;
const SENDERS = 16;
const MOST_TRIES = 1000;

/** @throws BrigadeError: premise E_PARTITION_MAP, and what the journal's store says; transient */
export async function openPartitions(options: PartitionsOptions): Promise<MessageQueue> {
  const queue = new PartitionQueue(options);
  await queue.open();
  return heardOut(queue, options.clock);
}

class PartitionQueue implements MessageQueue {
  readonly describe = 'partitions';
  readonly notes: string[] = [];
  readonly #options: PartitionsOptions;
  readonly #maps: Maps;
  readonly #warden: Warden | undefined;
  #member: Member | undefined;
  #tending: Promise<void> | undefined;
  #sent = 0;
  readonly #waiting = new Set<() => void>();

  constructor(options: PartitionsOptions) {
    const { shelf, clock, random, holder, as, tell = () => undefined } = options;
    this.#options = options;
    this.#maps = new Maps(shelf);
    if (as.role === 'coordinator') this.#warden = new Warden({ shelf, maps: this.#maps, ...(as.wanted === undefined ? {} : { wanted: as.wanted }), holder, clock, random, tell });
  }

  async open(): Promise<void> {
    const { shelf, clock, random, holder, as, tell = () => undefined, mostReceives = 100 } = this.#options;
    await this.#maps.look();
    if (as.role === 'visitor') await this.#inspect(as.wanted);
    if (as.role === 'member') this.#member = new Member({ shelf, maps: this.#maps, member: as.member, members: as.members, holder, mostReceives, clock, random, tell, changed: () => this.#changed() });
  }

  get limits(): MessageLimits {
    return {
      largestMessageBytes: LARGEST, longestDelayMs: LONGEST_DELAY_MS, longestLeaseMs: Number.POSITIVE_INFINITY,
      leaseMs: this.#leaseMs(), leasesVary: false, mostReceives: this.#options.mostReceives ?? 100, countsAll: false, mostPerReceive: MOST_PER_RECEIVE,
    };
  }

  /** Where it is to become another: the longer one. */
  #leaseMs(): number {
    const { as } = this.#options;
    const wanted = 'wanted' in as ? as.wanted?.leaseMs : undefined;
    return Math.max(this.#maps.known?.newest.leaseMs ?? wanted ?? LEASE_MS, wanted ?? 0);
  }

  /** Of a coordinator, once; where that fails it is tried again next time. */
  #tend(): Promise<void> | undefined {
    if (this.#warden === undefined) return undefined;
    this.#tending ??= this.#warden.begin().catch((thrown: unknown) => {
      this.#tending = undefined;
      throw thrown;
    });
    return this.#tending;
  }

  async send(messages: readonly OutgoingMessage[], signal?: AbortSignal): ReturnType<MessageQueue['send']> {
    if (signal?.aborted === true) throw cancelled('send');
    return sendFit(messages, LARGEST, this.describe, async (fit) => {
      const failure = await this.#tend()?.then(() => undefined, failureOf);
      if (failure !== undefined) return fit.map(() => failure);
      const errors: (BrigadeError | undefined)[] = [];
      for (let from = 0; from < fit.length; from += SENDERS) {
        errors.push(...await Promise.all(fit.slice(from, from + SENDERS).map(({ id, body, affinity = id }) => this.#put({ id, of: affinity, body, receives: 0 }, signal).then(() => undefined, failureOf))));
        if (signal?.aborted === true) throw cancelled('send');
      }
      return errors;
    });
  }

  async receive(most: number, waitMs: number, signal: AbortSignal): Promise<readonly MessageDelivery[]> {
    const { clock } = this.#options;
    const member = this.#member;
    if (member === undefined) throw usageError('E_PARTITION', 'only a member of the map receives', 'write brigade worker --partition K/N', this.describe);
    for (const until = clock.monotonic() + waitMs; ;) {
      if (signal.aborted) throw cancelled('receive');
      const failure = member.takeFailure();
      if (failure !== undefined) throw failure;
      const taken = await this.#take(member, Math.min(most, MOST_PER_RECEIVE), signal);
      const leftMs = until - clock.monotonic();
      if (taken.length > 0 || leftMs <= 0) return taken;
      await this.#news(Math.min(leftMs, Math.max(1, member.inbox?.nextMs() ?? leftMs)), signal);
    }
  }

  async counts(signal?: AbortSignal): Promise<MessageCounts> {
    await this.#tend();
    let standing = 0;
    for await (const name of this.#options.shelf.names(INBOXES, undefined, signal)) {
      standing++;
      if ((messageOf(name)?.map ?? Number.POSITIVE_INFINITY) < (this.#maps.known?.newest.number ?? 0)) this.#warden?.stragglers();
    }
    let dead = 0;
    for await (const _ of this.#options.shelf.names(DEAD, undefined, signal)) dead++;
    const { inFlight, delayed } = this.#member?.inbox?.counts() ?? { inFlight: 0, delayed: 0 };
    return { waiting: Math.max(0, standing - inFlight - delayed), inFlight: Math.min(inFlight, standing), delayed: Math.min(delayed, Math.max(0, standing - inFlight)), dead };
  }

  async bury(letter: OutgoingMessage, reason: string): Promise<void> {
    mustFit(letter, LARGEST, this.describe);
    const { id, body, affinity = id } = letter;
    await bury(this.#options.shelf, id, { id, of: affinity, body, receives: 0 }, 0, reason);
  }

  deadLetters(most: number, signal?: AbortSignal): ReturnType<MessageQueue['deadLetters']> {
    return deadLetters(this.#options.shelf, most, (letter) => this.#put(letter, undefined), signal);
  }

  async close(): Promise<void> {
    await Promise.all([this.#member?.close(), this.#warden?.close()]);
  }

  /** An inbox that does not answer is waited for, as the engines' drivers do. */
  async #take(member: Member, most: number, signal: AbortSignal): Promise<readonly MessageDelivery[]> {
    const { inbox } = member;
    if (inbox === undefined) return [];
    const taking = inbox.take(most);
    let left = false;
    // Nobody waits for it any more: it may be had again at once.
    void taking.then((deliveries) => { if (left) inbox.putBack(deliveries); }, () => undefined);
    try {
      return await unlessAborted(taking, 'receive', signal);
    } catch (thrown) {
      left = true;
      if (!isKind(thrown, 'transient', 'throttled') || signal.aborted) throw thrown;
      inbox.rest();
      return [];
    }
  }

  /** Until something may be had, but no longer than this. @throws cancelled */
  async #news(ms: number, signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    const end = (): void => over.abort();
    this.#waiting.add(end);
    signal.addEventListener('abort', end, { once: true });
    try {
      if (!signal.aborted) await this.#options.clock.sleep(ms, over.signal).catch(() => undefined);
    } finally {
      this.#waiting.delete(end);
      signal.removeEventListener('abort', end);
    }
    if (signal.aborted) throw cancelled('receive');
  }

  #changed(): void {
    for (const end of [...this.#waiting]) end();
  }

  /** Into the newest map, also while the one before it is drained: it is read once that holds. */
  async #put(letter: Letter, signal: AbortSignal | undefined): Promise<void> {
    const { shelf, clock } = this.#options;
    const now = this.#maps.known ?? await this.#maps.look(signal);
    if (now === undefined) throw usageError('E_NO_PARTITIONS', 'there is no map of partitions here', 'start brigade coordinator with --queue partitions:N', shelf.describe);
    const folder = inboxFolder({ map: now.newest.number, member: memberOf(now.newest.starts, partitionOf(letter.of)) });
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      if (await shelf.put(folder + messageName(clock.now(), this.#sent++, letter.id), letter, signal)) return;
    }
  }

  async #inspect(wanted: Wanted | undefined): Promise<void> {
    const map = this.#maps.known?.newest;
    if (map === undefined) this.notes.push('there is no map of partitions yet: the first coordinator makes it');
    else {
      if (wanted !== undefined && differs(map, wanted)) this.notes.push(`the map has ${map.members} members and a lease of ${map.leaseMs / 1000} s: a coordinator that is started with what is written here drains them and makes another`);
      await this.#noteVacant(map);
    }
  }

  async #noteVacant({ number, members }: PartitionMap): Promise<void> {
    const seats = await readSeats(this.#options.shelf, number);
    const vacant = Array.from({ length: members }, (_, i) => i + 1).filter((member) => seats.get(member)?.left !== false);
    if (vacant.length > 0) this.notes.push(`nobody sits at partition ${vacant.map((member) => `${member}/${members}`).join(', ')}: what falls to them waits`);
  }
}

const failureOf = (thrown: unknown): BrigadeError => asBrigadeError(thrown, 'send');
