/**
 * A worker of the fleet: takes messages of whatever migrations there are, and gives each migration its own. It decides nothing by what the queue says
 * (design truth 8): what was done is known from the journal, and a message is acknowledged when the report of its task stands (truth 9).
 *
 * It asks for messages only where there is a slot for them. One queue carries both size classes and all migrations, so what it gets may be of a class
 * that is full: that message goes to somebody else, and the next one is asked for a little later, so that neither class waits behind the other (F086)
 * and nobody spins (S1.31).
 */
import { asBrigadeError, BrigadeError, errorLine, isKind } from '../../core/errors.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { Journal, TaskName } from '../../ports/journal.ts';
import type { MessageDelivery, MessageQueue } from '../../ports/message-queue.ts';
import type { AnyEnvelope, SpecReference } from '../messages.ts';
import { type Call, callBody } from '../call-message.ts';
import { looksPlain } from '../plain-message.ts';
import { asWork, messageId, type TaskCodec, taskId, type WorkBodies } from '../task-message.ts';
import { Breakers } from './breakers.ts';
import { FailureTeller } from './teller.ts';
import { FleetMigration, WAITING } from './migration.ts';
import type { OpenMigration } from './open-migration.ts';
import { PlainIntake, type PlainIntakeOptions, type PlainTask } from './plain-intake.ts';
import { Quarantine } from './quarantine.ts';
import { Seat } from './seat.ts';

export type { OpenMigration } from './open-migration.ts';

export interface FleetWorkerOptions {
  readonly queue: MessageQueue;
  readonly codec: TaskCodec;
  /** Reads the keys again, for a message that none of them opens; answers whether there are others now. */
  readonly refreshKeys?: () => Promise<boolean>;
  readonly journals: (spec: string) => Promise<Journal>;
  /** Messages without a seal are taken, for these. Absent: they are nobody's. */
  readonly offers?: PlainIntakeOptions['offers'];
  /** From the document that the migration's messages name. */
  readonly open: (document: Buffer, journal: Journal, spec: SpecReference) => Promise<OpenMigration>;
  /** Of this process, and of no other one ever: it signs reports and beats. */
  readonly worker: string;
  readonly host: string;
  readonly version: string;
  /** Copying processes of this machine, of which this is one. */
  readonly processes?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Events;
  /** Hears of one migration what nobody else wants to hear. */
  readonly counting?: (spec: string) => Events;
  /** What is in work when the signal fires may go on for so long: asked then. */
  readonly drainMs: number | (() => number);
  /** A migration without messages for so long is closed. Default 10 min. */
  readonly idleMs?: number;
}

const LONG_POLL_MS = 20_000;
const IDLE_MS = 10 * 60_000;
/** What a worker may be out for. `least`, `most`: milliseconds that it waits after messages that were not what it was out for, twice as long each time. */
interface Appetite {
  readonly ask: number;
  readonly least: number;
  readonly most: number;
}

/** Nothing is full. */
const ANY = { ask: 1, least: 250, most: 1000 };
/** Asked for before it is known what there is: as many as one migration lets wait. */
const FIRST: Appetite = { ...ANY, ask: WAITING };
/** Of small ones, where large ones are in the way: there are few of those, and to give them back costs little. */
const SMALL: Appetite = { ask: 10, least: 1000, most: 60_000 };
/** Of large ones, where nothing but small ones may be left: each that is given back is looked up by whoever has it next. They are also sent first. */
const LARGE: Appetite = { ask: 1, least: 5000, most: 300_000 };
/** Of other migrations, while all of these are paused. */
const OTHERS: Appetite = { ask: 1, least: 1000, most: 15_000 };
/** Of what lies behind the messages of a migration that is in trouble here. */
const PAST_TROUBLE: Appetite = { ask: 10, least: 250, most: 1000 };
const LONGEST_OUTAGE_MS = 60_000;
/** Different things that are told once each. */
const MOST_TOLD = 1000;
/** A newer worker may take it. */
const NEWER_MS = 60_000;

/** Runs until the signal fires, and then for at most as long as a drain takes. @throws what the queue refused from the beginning. */
export async function runFleetWorker(options: FleetWorkerOptions, signal: AbortSignal): Promise<void> {
  const worker = new FleetWorker(options, signal);
  try {
    await worker.receive();
  } finally {
    await worker.end();
  }
}

class FleetWorker {
  readonly #options: FleetWorkerOptions;
  readonly #signal: AbortSignal;
  readonly #migrations = new Map<string, FleetMigration>();
  readonly #seats = new Map<string, Promise<Seat>>();
  readonly #leaving = new Set<Promise<void>>();
  readonly #quarantine = new Quarantine();
  readonly #told = new Set<string>();
  readonly #breakers: Breakers;
  readonly #plain: PlainIntake | undefined;
  /** Plain messages of which it is not known yet whose they are. */
  #intakes = 0;
  #changed: () => void = () => undefined;
  #everReceived = false;
  /** Before it asks again for what it was out for and did not get. */
  #restMs = LARGE.least;

  constructor(options: FleetWorkerOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#breakers = new Breakers(options.clock);
    const { offers, queue } = options;
    this.#plain = offers === undefined ? undefined : new PlainIntake({ offers, queue: queue.describe, once: (what, text) => this.#once(what, text) });
  }

  async receive(): Promise<void> {
    for (let outages = 0; !this.#signal.aborted; ) {
      try {
        await this.#receiveSome();
        if (outages > 0) this.#told.clear();
        outages = 0;
      } catch (thrown) {
        const error = asBrigadeError(thrown, 'receive');
        if (isKind(error, 'cancelled')) continue;
        if (!this.#everReceived && isKind(error, 'premise', 'usage')) throw error;
        this.#once(error.code, `${this.#options.queue.describe}: ${errorLine(error)}: asked again until it answers`);
        await this.#sleep(Math.min(LONGEST_OUTAGE_MS, 1000 * 2 ** Math.min(outages++, 10)) * (0.5 + this.#options.random.next() / 2));
      }
    }
  }

  /** Everybody who is still at work gets the same time. */
  async end(): Promise<void> {
    const { drainMs: most } = this.#options;
    const drainMs = !this.#signal.aborted ? 0 : typeof most === 'number' ? most : most();
    await Promise.all([...this.#migrations.values()].map((migration) => migration.drain(drainMs)));
    this.#forgetEnded();
    await Promise.all(this.#leaving);
  }

  async #receiveSome(): Promise<void> {
    this.#forgetEnded();
    const { queue } = this.#options;
    const out = this.#appetite();
    if (out === undefined) return this.#change();
    if (await this.#rested(out)) return;
    const deliveries = await queue.receive(Math.min(out.ask, queue.limits.mostPerReceive), LONG_POLL_MS, this.#signal);
    this.#everReceived = true;
    const taken = deliveries.filter((delivery) => this.#take(delivery)).length;
    if (deliveries.length > 0 && taken === 0) this.#restMs = Math.min(out.most, Math.max(out.least, this.#restMs * 2));
    else if (isLooking(out) || this.#restMs < LARGE.least) this.#restMs = 0;
  }

  /** Whether there is another appetite before the rest is over: then it is over at once. */
  async #rested(out: Appetite): Promise<boolean> {
    const { clock } = this.#options;
    // What it rested for when it looked for something else is nothing to those who take whatever comes.
    const forMs = isLooking(out) || this.#restMs <= out.most ? Math.min(out.most, this.#restMs) : 0;
    const end = clock.monotonic() + forMs;
    for (let leftMs = forMs; leftMs > 0; leftMs = end - clock.monotonic()) {
      await this.#change(leftMs);
      const now = this.#appetite();
      if (now?.most !== out.most || this.#signal.aborted) return true;
    }
    return false;
  }

  /** What to ask for; undefined when there is nothing that could be done with any message. */
  #appetite(): Appetite | undefined {
    const all = [...this.#migrations.values()];
    if (this.#quarantine.closed) return undefined;
    if (all.length === 0) return FIRST;
    const [small, large] = [all.map((migration) => migration.room('small')), all.map((migration) => migration.room('large'))];
    const least = Math.min(...small, ...large);
    if (least > 0) return { ...ANY, ask: least };
    if (all.some(({ resting }) => resting)) return PAST_TROUBLE;
    if (small.some((room) => room > 0)) return SMALL;
    if (large.some((room) => room > 0)) return LARGE;
    return all.some(({ paused }) => paused) ? OTHERS : undefined;
  }

  #take(delivery: MessageDelivery): boolean {
    // Ours never says what these say.
    if (this.#plain !== undefined && looksPlain(delivery.body)) return this.#takePlain(delivery, this.#plain);
    const envelope = this.#opened(delivery, this.#options.refreshKeys);
    return envelope !== undefined && this.#hand(delivery, envelope);
  }

  /** Whose it is takes a while to know. If nobody has room for one it goes back, and those behind it are not all to come here and go back, too. */
  #takePlain(delivery: MessageDelivery, plain: PlainIntake): boolean {
    const all = [...this.#migrations.values()];
    const isWelcome = this.#intakes < WAITING && (all.length === 0 || all.some((migration) => migration.room('plain') > 0));
    this.#intakes++;
    void plain.take(delivery).then((task) => {
      this.#intakes--;
      if (task === undefined) return;
      // Nobody would end what begins now.
      if (this.#signal.aborted) void delivery.release(0).catch(() => undefined);
      else this.#hand(delivery, task);
    });
    return isWelcome;
  }

  #hand(delivery: MessageDelivery, envelope: AnyEnvelope<WorkBodies> | PlainTask): boolean {
    const { id, sha256 } = envelope.spec;
    const key = `${id} ${sha256}`;
    const migration = this.#migrations.get(key) ?? this.#begin(envelope.spec);
    this.#migrations.set(key, migration);
    return migration.accept(delivery, envelope);
  }

  /** What cannot be opened here is no task: put aside, or left to a newer worker (F108, F110). With `refresh` a wrong seal is looked at once more first. */
  #opened(delivery: MessageDelivery, refresh: FleetWorkerOptions['refreshKeys']): AnyEnvelope<WorkBodies> | undefined {
    try {
      return asWork(this.#options.codec.open(delivery.body));
    } catch (thrown) {
      const error = asBrigadeError(thrown, 'message');
      if (error.code === 'E_MESSAGE_SIGNATURE' && refresh !== undefined) void this.#openAgain(delivery, refresh);
      else this.#refuse(delivery, error);
      return undefined;
    }
  }

  /** Of keys that cannot be read their reader tells; the ones before stay. */
  async #openAgain(delivery: MessageDelivery, refresh: () => Promise<boolean>): Promise<void> {
    await refresh().catch(() => false);
    const envelope = this.#opened(delivery, undefined);
    if (envelope !== undefined) this.#hand(delivery, envelope);
  }

  /** Where an answer to the queue fails, the lease runs out and the message comes again. */
  #refuse(delivery: MessageDelivery, error: BrigadeError): void {
    const isNewer = error.code === 'E_MESSAGE_VERSION';
    const isPlain = looksPlain(delivery.body);
    if (isPlain) error = plainRefused(error);
    this.#once(isPlain ? 'plain' : error.code, `${this.#options.queue.describe}: a message is ${isNewer ? 'left to newer workers' : 'put aside'}: ${errorLine(error)}`);
    void (isNewer ? delivery.release(NEWER_MS) : delivery.park(errorLine(error))).catch(() => undefined);
  }

  #begin(spec: SpecReference): FleetMigration {
    const { open, queue, codec, worker, clock, random, idleMs = IDLE_MS } = this.#options;
    const events = this.#eventsOf(spec.id);
    return new FleetMigration({
      spec, limits: queue.limits, quarantine: this.#quarantine, worker, clock, random, events, idleMs, breakers: this.#breakers, changed: () => this.#changed(),
      teller: new FailureTeller({ queue, codec, spec, worker, clock, note: (text) => this.#once(text, `${spec.id}: ${text}`) }),
      call: (...given) => this.#call(spec, ...given),
      sit: () => this.#sit(spec.id),
      open: async ({ journal }) => open(await documentOf(journal, spec), journal, spec),
    });
  }

  /** Whoever calls goes on by itself; it calls again after a while. */
  async #call(spec: SpecReference, task: TaskName, call: Call, signal: AbortSignal): Promise<boolean> {
    const { queue, codec } = this.#options;
    try {
      const body = codec.seal({ kind: 'call', id: taskId(task), spec, body: callBody(call) });
      const [sent] = await queue.send([{ id: `${messageId(spec.id, task, call.hand)}-call`, body }], AbortSignal.any([signal, this.#signal]));
      if (sent?.error !== undefined) throw sent.error;
      return true;
    } catch (thrown) {
      const error = asBrigadeError(thrown, 'call');
      if (!isKind(error, 'cancelled')) this.#once(`call ${error.code}`, `${queue.describe}: others cannot be asked to help with large objects: ${errorLine(error)}: they are sent from here alone`);
      return false;
    }
  }

  #eventsOf(spec: string): Events {
    const { events, counting } = this.#options;
    if (counting === undefined) return events;
    const counted = counting(spec);
    return {
      emit: (event) => {
        const isOfTasks = event.type === 'task' || event.type === 'lease';
        if (isOfTasks || event.type === 'ended') counted.emit(event);
        if (!isOfTasks) events.emit(event);
      },
    };
  }

  /** One for all documents of a migration. */
  #sit(spec: string): Promise<Seat> {
    const known = this.#seats.get(spec);
    if (known !== undefined) return known;
    const { journals, worker, host, version, clock, events, processes = 1 } = this.#options;
    const opening = (async () => {
      const seat = new Seat(await journals(spec), { spec, worker, host, version, processes, clock, events });
      await seat.open();
      return seat;
    })();
    this.#seats.set(spec, opening);
    opening.catch(() => this.#seats.delete(spec));
    return opening;
  }

  #forgetEnded(): void {
    for (const [key, migration] of this.#migrations) {
      if (!migration.ended) continue;
      this.#migrations.delete(key);
      const leaving = this.#leave(migration).finally(() => this.#leaving.delete(leaving));
      this.#leaving.add(leaving);
    }
  }

  /** The last one of a migration closes its seat. */
  async #leave(migration: FleetMigration): Promise<void> {
    const { id } = migration.spec;
    await migration.drain(0);
    const seat = await this.#seats.get(id)?.catch(() => undefined); // one that could not be opened need not be closed
    if (seat === undefined || !seat.empty || [...this.#migrations.values()].some(({ spec }) => spec.id === id)) return;
    this.#seats.delete(id);
    await seat.close();
  }

  /** Until there may be room, or the time is over. */
  async #change(ms?: number): Promise<void> {
    const over = new AbortController();
    const stop = (): void => over.abort();
    this.#changed = stop;
    this.#signal.addEventListener('abort', stop, { once: true });
    if (this.#signal.aborted) stop();
    try {
      // Without a time it is looked again now and then, for good measure.
      await this.#options.clock.sleep(ms ?? LONGEST_OUTAGE_MS, over.signal).catch(() => undefined);
    } finally {
      this.#changed = () => undefined;
      this.#signal.removeEventListener('abort', stop);
    }
  }

  async #sleep(ms: number): Promise<void> {
    await this.#options.clock.sleep(ms, this.#signal).catch(() => undefined);
  }

  #once(what: string, text: string): void {
    // Producers of plain messages choose what there is to tell of.
    if (this.#told.has(what) || this.#told.size >= MOST_TOLD) return;
    this.#told.add(what);
    this.#options.events.emit({ type: 'note', level: 'warn', text });
  }
}

/** One word of it to whoever fills the queue with messages of their own. */
function plainRefused({ message }: BrigadeError): BrigadeError {
  return new BrigadeError({ code: 'E_MESSAGE_FOREIGN', kind: 'object', op: 'message', message, hint: 'it is a plain message: workers that are to take such ones have --accept-plain-messages' });
}

/** Something is full: it is out for something else. */
function isLooking({ most }: Appetite): boolean {
  return most > ANY.most;
}

async function documentOf(journal: Journal, { id, sha256 }: SpecReference): Promise<Buffer> {
  const document = await journal.document(sha256);
  if (document !== undefined) return document;
  throw new BrigadeError({ code: 'E_SPEC_MISSING', kind: 'premise', op: 'open migration', message: `the journal does not hold the migration ${id} that messages name`, hint: 'look whether coordinator and workers name the same --journal' });
}
