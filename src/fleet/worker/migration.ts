/**
 * One migration at one worker. Its messages come here; its stores are opened when the first one does, and closed when there was none for long.
 *
 *   opening ──▶ working ◀──▶ paused (the coordinator says so: tasks go back, what waits is kept)
 *      ▲           │
 *      └─ trouble ◀┘  a premise fails: all of its tasks go back for a while, other migrations go on
 */
import { asBrigadeError, type BrigadeError, cancelled, errorLine, isKind } from '../../core/errors.ts';
import type { Item, Problem } from '../../core/item.ts';
import type { SizeClass } from '../../core/pack.ts';
import { problemOf } from '../../engine/worker.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { MessageDelivery, MessageLimits } from '../../ports/message-queue.ts';
import type { Begun, Journal, TaskName } from '../../ports/journal.ts';
import type { Call } from '../call-message.ts';
import type { AnyEnvelope, Envelope, SpecReference } from '../messages.ts';
import { Leases } from '../leases.ts';
import { type TaskBody, taskNamed, taskOf, type WorkBodies } from '../task-message.ts';
import { type Breaker, type Breakers, nextOpenMs } from './breakers.ts';
import { elsewhereMs, Held } from './held.ts';
import { Helping } from './helping.ts';
import { Known } from './known.ts';
import { lastWord } from './last-word.ts';
import type { Quarantine, QuarantineMember } from './quarantine.ts';
import { FleetRanges } from './ranges.ts';
import { FleetRecorder, sendingOf } from './recorder.ts';
import { looked } from './looking.ts';
import type { OpenMigration } from './open-migration.ts';
import type { PlainTask } from './plain-intake.ts';
import type { Member, Orders, Seat } from './seat.ts';
import { comesOften, leftOf, Suspects, type Work } from './suspects.ts';
import { FleetTasks } from './tasks.ts';
import type { FailureTeller } from './teller.ts';

export interface MigrationOptions {
  readonly spec: SpecReference;
  /** Opens the seat at its journal, or finds it open. */
  readonly sit: () => Promise<Seat>;
  readonly open: (seat: Seat) => Promise<OpenMigration>;
  /** Asks other workers to help with the object of this task; one that is lost is no harm. Answers whether the queue has it; never rejects. */
  readonly call: (task: TaskName, call: Call, signal: AbortSignal) => Promise<boolean>;
  readonly limits: MessageLimits;
  /** Of all migrations of this process. */
  readonly quarantine: Quarantine;
  readonly teller: FailureTeller;
  readonly worker: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Events;
  /** Of this worker. */
  readonly breakers: Breakers;
  /** There may be room for more, or no more at all. */
  readonly changed: () => void;
  readonly idleMs: number;
}

/** Of each class: so many messages wait for a slot. More would keep them from workers that have one. */
export const WAITING = 2;
/** Tired ones included. */
const MOST_KEPT = 32;
const PAUSED_MS = 10_000;
/** What is in the way of a task that is done alone: somebody else may take it, or this worker a little later. */
const CROWDED_MS = 5000;
/** What falls at once falls sooner: a network that is away is noticed within a minute. */
const PROVEN_MS = 90_000;
/** Before a message that could not be prepared is tried again. */
const AGAIN_MS = 5000;

export class FleetMigration implements Member, QuarantineMember {
  readonly spec: SpecReference;
  readonly #options: MigrationOptions;
  readonly #recorder: FleetRecorder;
  readonly #tasks: FleetTasks;
  readonly #leases: Leases;
  readonly #helping: Helping;
  readonly #ranges: FleetRanges;
  readonly #suspects: Suspects;
  readonly #names = new Set<string>();
  readonly #preparing: Record<SizeClass, number> = { small: 0, large: 0 };
  readonly #preparations = new Set<Promise<void>>();
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  #draining = false;
  #seat: Seat | undefined;
  #opened: Promise<OpenMigration> | undefined;
  #stopCopying = new AbortController();
  /** Somebody else found it wrong while this one worked. */
  #tripped: BrigadeError | undefined;
  #places: readonly string[] = [];
  #blame: (error: BrigadeError) => readonly string[] = () => [];
  #orders: Orders = { pause: false, workers: 1 };
  #goOn: () => void = () => undefined;
  #obeyed: (orders: Orders) => void = () => undefined;
  #trouble: { readonly error: BrigadeError; readonly problem: Problem; readonly forMs: number; readonly untilMs: number } | undefined;
  /** Since when nothing was found wrong with its places. */
  #openedMs: number | undefined;
  readonly #told = new Set<string>();
  #usedMs: number;

  constructor(options: MigrationOptions) {
    this.spec = options.spec;
    this.#options = options;
    this.#usedMs = options.clock.monotonic();
    const { worker, clock, random, events, limits, call, changed, quarantine } = options;
    const journal = (): Journal => (this.#seat as Seat).journal;
    this.#leases = new Leases(limits);
    this.#recorder = new FleetRecorder({ journal, worker, clock });
    const ranges = this.#ranges = new FleetRanges({ recorder: this.#recorder, journal, worker, leaseMs: limits.leaseMs, call, clock, random });
    this.#tasks = new FleetTasks({
      recorder: this.#recorder, ranges, changed, succeeded: (size, ms) => this.#succeeded(size, ms), admits: ({ begun }) => !quarantine.closed || begun?.alone === true,
      refused: ({ held, gone }, error) => this.#refuse(held, error).finally(gone), done: (task) => this.#acknowledge(task.held, task, task.known).finally(task.gone),
    });
    this.#helping = new Helping({
      ranges, limits, clock, random, events, changed, succeeded: () => this.#recovered(), leaseMs: () => this.#leases.wantedMs('large'), own: () => this.#tasks.large + this.#preparing.large,
      opened: async () => this.#opened?.then(() => true, () => false) ?? false,
      restMs: () => Math.max(this.#restMs(), this.paused || this.ended ? PAUSED_MS : 0, quarantine.closed ? CROWDED_MS : 0),
    });
    this.#suspects = this.#openSuspects();
    quarantine.join(this);
    this.#running = this.#run();
  }

  /** Those that are worked on; what waits is nobody's yet. */
  get tasks(): number {
    return this.#tasks.inWork + this.#helping.count;
  }

  get calls(): number {
    return this.#helping.count + this.#ranges.called;
  }

  get begun(): readonly string[] {
    return this.#tasks.begun;
  }

  /** Told for as long as it rests, and until it has been open for a while without another fall: a task that would prove it may take hours. */
  get trouble(): Problem | undefined {
    const isOver = !this.resting && this.#openedMs !== undefined && this.#options.clock.monotonic() - this.#openedMs > PROVEN_MS;
    return isOver ? undefined : this.#trouble?.problem;
  }

  get ended(): boolean {
    return this.#ending.signal.aborted || this.#draining;
  }

  get paused(): boolean {
    return this.#orders.pause;
  }

  /** In trouble now: nothing is taken until it is looked at again. */
  get resting(): boolean {
    return this.#restMs() > 0;
  }

  /** How many more messages of this class may come. Of a plain one nobody knows its class before it is looked at. */
  room(size: SizeClass | 'plain'): number {
    if (size === 'plain') return this.#tasks.large < MOST_KEPT ? this.room('small') : 0;
    return this.ended || this.resting || this.#options.quarantine.closed ? 0 : WAITING + this.#tasks.hungry(size) - this.#preparing[size];
  }

  /**
   * Takes a message, or gives it back: what there is no room for; a second one for a task that is in this hand, which is looked up once the first is done
   * (F094). One that went through many hands already is kept, so that the queue does not take it for poisoned.
   */
  accept(delivery: MessageDelivery, envelope: AnyEnvelope<WorkBodies> | PlainTask): boolean {
    this.#usedMs = this.#options.clock.monotonic();
    return envelope.kind === 'call' ? this.#helping.accept(delivery, envelope) : this.#acceptTask(delivery, envelope);
  }

  #acceptTask(delivery: MessageDelivery, envelope: Envelope<'task', TaskBody> | PlainTask): boolean {
    const { limits, clock, random, events } = this.#options;
    const size = envelope.body.size as SizeClass;
    // It came while this process was frozen: somebody else has it.
    if (delivery.leaseLeftMs() <= 0) return false;
    if (this.#isOver(envelope.body)) {
      // Whether or not its migration can be opened. Where this fails, it comes again.
      void delivery.ack().catch(() => undefined);
      return true;
    }
    const isTwin = this.#names.has(envelope.id);
    const tired = delivery.receives > limits.mostReceives / 2 && this.#names.size < MOST_KEPT && !this.ended && !this.resting && !this.#options.quarantine.closed;
    if (isTwin || (this.room(classOf(envelope)) <= 0 && !tired)) {
      // Objects of a plain message are looked up at each delivery anyway.
      const told = isTwin || size === 'large' || envelope.kind === 'plain' || this.#seat === undefined ? undefined : this.#recorder.untouched(new Known(taskNamed(envelope.id), 0, envelope.body.sending), lastWord(delivery, [], Infinity));
      const delayMs = isTwin ? limits.leaseMs : Math.max(this.#restMs(), elsewhereMs(delivery.receives) * (0.75 + random.next() / 2));
      // Where this fails, the lease runs out and it comes again.
      void Promise.resolve(told).then(() => delivery.release(delayMs)).catch(() => undefined);
      return false;
    }
    this.#names.add(envelope.id);
    this.#preparing[size]++;
    const work = this.#prepare(new Held(delivery, limits, () => this.#leases.wantedMs(size), { clock, events }), envelope).finally(() => {
      this.#preparing[size]--;
      this.#preparations.delete(work);
    });
    this.#preparations.add(work);
    return true;
  }

  obey(orders: Orders): void {
    const was = this.#orders;
    this.#orders = orders;
    // Nobody waits in quarantine for the end of a pause, or of a window in which nothing moves: it keeps all other migrations of this process from work.
    const isAlone = this.#options.quarantine.closed && standsStill(orders);
    if (isAlone || (orders.pause && !was.pause)) this.#stopCopying.abort();
    if (isAlone) void this.#tasks.release(PAUSED_MS, true);
    if (orders.run !== undefined) this.#tasks.over(orders.run);
    this.#obeyed(orders);
    this.#goOn();
    this.#options.changed();
  }

  async clear(): Promise<void> {
    const { clock } = this.#options;
    await this.#tasks.release(CROWDED_MS, true);
    await this.#helping.release(CROWDED_MS);
    if (this.#tasks.inWork > 0) this.#stopCopying.abort();
    while (this.#tasks.inWork > 0) await clock.sleep(100);
  }

  reopened(): void {
    this.#tasks.look();
    this.#options.changed();
  }

  /** Takes no more; what is in work may go on for so long. Then everything is told, and given back. */
  async drain(mostMs: number): Promise<void> {
    const { clock } = this.#options;
    this.#draining = true;
    this.#helping.leave();
    await this.#tasks.release(0, true);
    const end = clock.monotonic() + mostMs;
    while (this.tasks > 0 && clock.monotonic() < end && !this.#ending.signal.aborted) await clock.sleep(Math.min(100, mostMs));
    this.#end();
    await this.#running;
  }

  #end(): void {
    this.#ending.abort();
    this.#stopCopying.abort();
    this.#goOn();
    this.#options.changed();
  }

  /** What a message says, and what was done of it before. Only what came again costs the journal a request (beside what did not fit into the message). */
  async #prepare(held: Held, envelope: Envelope<'task', TaskBody> | PlainTask): Promise<void> {
    const gone = (): void => {
      this.#names.delete(envelope.id);
      this.#usedMs = this.#options.clock.monotonic();
    };
    if (await this.#opened?.then(() => false, () => true)) return held.release(this.ended ? 0 : this.#restMs()).finally(gone); // of what is wrong the migration tells
    try {
      if (this.#isOver(envelope.body)) return await held.ack().finally(gone);
      const { journal } = this.#seat as Seat;
      if (envelope.kind === 'plain') return await this.#offer({ held, gone, ...await this.#look(held, envelope, journal) });
      const task = await taskOf(envelope, (sha256, signal) => journal.document(sha256, signal));
      const known = new Known(task.name, task.after ?? 0, task.sending);
      const again = held.delivery.receives > 1 || task.sending > 0;
      if (again) await known.catchUp(journal);
      if (this.#isOver(task)) return await held.ack().finally(gone);
      await this.#offer({ held, task, known, again, gone });
    } catch (thrown) {
      await this.#refuse(held, asBrigadeError(thrown, 'message')).finally(gone);
    }
  }

  async #look(held: Held, plain: PlainTask, journal: Journal): Promise<Pick<Work, 'task' | 'known' | 'again'>> {
    const { worker, clock, random, events } = this.#options;
    const opened = await (this.#opened as Promise<OpenMigration>);
    return looked(plain, held.delivery.receives > 1, { opened, journal, worker, clock, random, events, signal: AbortSignal.any([held.lost, this.#ending.signal]), fell: (error) => this.#fall(error) });
  }

  /** Of a run that another one followed: nobody waits for it, and what the new one planned may have other things to say of the same objects. */
  #isOver({ run }: { readonly run: number }): boolean {
    return run < (this.#orders.run ?? 0);
  }

  async #offer(work: Work): Promise<void> {
    const left = leftOf(work);
    if (left.length === 0 || work.known.closed) await this.#finish(work);
    else if (this.ended || this.#options.quarantine.closed) await this.#sendBack(work);
    else if (comesOften(work)) await this.#suspects.examine(work);
    else this.#put(work, left);
  }

  #put({ held, task: { run, size, sending }, known, again, gone }: Work, items: readonly Item[], begun?: Begun, next?: () => Promise<void>): void {
    const doubtful = again && this.#options.limits.countsAll ? known.doubtful(held.delivery) : undefined;
    this.#tasks.put({ held, run, size, sending, items, known, again, gone, ...(doubtful === undefined ? {} : { doubtful }), ...(begun === undefined ? {} : { begun }), ...(next === undefined ? {} : { next }) });
  }

  async #finish({ held, task, known, gone }: Work): Promise<void> {
    const { journal } = this.#seat as Seat;
    if (!known.closed) await journal.report(known.name, { worker: this.#options.worker, outcomes: [], close: true, parts: [], ...sendingOf(known) }, undefined, known.reports);
    await this.#acknowledge(held, task, known).finally(gone);
  }

  /** Its last report stands. What failed is told before the queue may forget the message. */
  async #acknowledge(held: Held, { run, sending }: { readonly run: number; readonly sending: number }, known: Known): Promise<void> {
    try {
      await this.#options.teller.tell({ name: known.name, run, sending }, known, (this.#seat as Seat).journal);
    } catch (thrown) {
      return this.#refuse(held, asBrigadeError(thrown, 'tell'));
    }
    await held.ack();
  }

  /** While nothing is to be done it comes again seldomer and seldomer, so that the queue never takes it for poisoned. */
  async #sendBack({ held, task, known, gone }: Work): Promise<void> {
    await this.#recorder.untouched(known, lastWord(held.delivery, [], task.items.length));
    const delayMs = standsStill(this.#orders) ? elsewhereMs(held.delivery.receives) : CROWDED_MS;
    return held.release(this.ended ? 0 : Math.max(this.#restMs(), delayMs)).finally(gone);
  }

  #openSuspects(): Suspects {
    const { worker, clock, quarantine, events } = this.#options;
    return new Suspects({
      worker, clock, quarantine, journal: () => (this.#seat as Seat).journal, ending: this.#ending.signal, idle: ({ task }) => standsStill(this.#orders) || this.resting || this.ended || this.#isOver(task),
      note: (text) => this.#note(`${this.spec.id}: ${text}`), ended: (outcome, item) => events.emit({ type: 'ended', outcome, size: item.size }),
      hands: {
        put: (...given) => this.#put(...given),
        giveBack: (work) => this.#sendBack(work),
        leaveTo: ({ held, gone }) => held.release(elsewhereMs(held.delivery.receives)).finally(gone),
        finish: (work) => this.#finish(work),
        refuse: ({ held, gone }, error) => this.#refuse(held, error).finally(gone),
      },
    });
  }

  async #refuse(held: Held, error: BrigadeError): Promise<void> {
    if (isKind(error, 'object')) {
      this.#note(`${this.spec.id}: a message is put aside: ${errorLine(error)}`);
      return held.park(errorLine(error));
    }
    if (!isKind(error, 'cancelled') && this.#trouble?.error !== error && !this.#told.has(error.code)) this.#note(`${this.spec.id}: a message goes back: ${errorLine(error)}`);
    this.#told.add(error.code);
    return held.release(this.ended ? 0 : Math.max(this.#restMs(), AGAIN_MS));
  }

  async #run(): Promise<void> {
    const idle = this.#watchIdle();
    while (!this.#ending.signal.aborted) {
      try {
        await this.#work();
      } catch (thrown) {
        const error = asBrigadeError(thrown, 'migration');
        if (!isKind(error, 'cancelled')) await this.#rest(error);
      }
    }
    await Promise.all(this.#preparations);
    await this.#giveBack(0, true);
    this.#seat?.leave(this);
    this.#options.quarantine.leave(this);
    await idle;
  }

  async #work(): Promise<void> {
    this.#opened = this.#open();
    // Messages that wait for it hear of it, too.
    this.#opened.catch(() => undefined);
    const opened = await this.#opened;
    const deaf = this.#options.breakers.listen((place, breaker) => { if (opened.places?.includes(place) === true) this.#trip(breaker); });
    try {
      await this.#pass(opened);
      this.#openedMs = this.#options.clock.monotonic();
      this.#obeyed = ({ workers, rates }) => {
        opened.setShare(workers);
        if (rates !== undefined) opened.setRates(rates);
      };
      this.#obeyed(this.#orders);
      while (!this.#ending.signal.aborted) await this.#copy(opened);
    } finally {
      deaf();
      this.#obeyed = () => undefined;
      await opened.close();
    }
  }

  async #open(): Promise<OpenMigration> {
    try {
      if (this.#seat === undefined) {
        this.#seat = await this.#options.sit();
        this.#seat.join(this);
      }
      return await this.#options.open(this.#seat);
    } catch (thrown) {
      const error = asBrigadeError(thrown, 'open migration');
      this.#fall(error);
      throw error;
    }
  }

  /** From now on nothing is taken. */
  #fall(error: BrigadeError): void {
    if (this.#trouble?.error === error || isKind(error, 'cancelled')) return;
    const [place] = isKind(error, 'premise') ? this.#blame(error) : [];
    const forMs = nextOpenMs(this.#trouble?.forMs);
    const own = { error, forMs, untilMs: this.#options.clock.monotonic() + forMs, isNews: this.#trouble?.problem.code !== error.code };
    const { isNews, ...breaker } = place === undefined ? own : this.#options.breakers.trip(place, error);
    if (isNews) this.#note(`${this.spec.id}: ${errorLine(error)}: its tasks${place === undefined ? '' : ', and those of others there,'} go back, looked at again in ${breaker.forMs / 1000} s and then less and less often`);
    this.#adopt({ ...breaker, error });
  }

  #adopt({ error, forMs, untilMs }: Breaker): void {
    this.#openedMs = undefined;
    this.#trouble = { error, problem: problemOf(error), forMs, untilMs };
  }

  /** Found by somebody else: nothing more is asked there, and nothing is told a second time. */
  #trip(breaker: Breaker): void {
    if (this.#trouble !== undefined && this.resting) return;
    this.#adopt(breaker);
    this.#tripped = breaker.error;
    this.#stopCopying.abort();
    this.#options.changed();
  }

  /** Where a place was found wrong it is asked once, by one of all who want to go there, when its time has come. */
  async #pass({ places = [], blame, probe }: OpenMigration): Promise<void> {
    this.#places = places;
    this.#blame = (error) => blame?.(error) ?? [];
    this.#tripped = undefined;
    for (const place of places) {
      const shut = await this.#options.breakers.pass(place, () => probe?.(this.#ending.signal) ?? Promise.resolve());
      if (shut === undefined) continue;
      this.#adopt(shut);
      throw shut.error;
    }
  }

  async #copy(opened: OpenMigration): Promise<void> {
    while (this.#orders.pause && !this.#ending.signal.aborted) await new Promise<void>((resolve) => { this.#goOn = resolve; });
    if (this.#ending.signal.aborted) return;
    this.#stopCopying = new AbortController();
    if (this.#tripped === undefined) await opened.copy(this.#tasks, this.#recorder, this.#stopCopying.signal);
    if (this.#tripped !== undefined) throw this.#tripped;
    await this.#giveBack(this.#ending.signal.aborted ? 0 : PAUSED_MS, false);
    this.#seat?.beatSoon();
  }

  /** Its tasks go to whoever can do them; here it is looked at again after a while, each time a longer one until something succeeds. */
  async #rest(error: BrigadeError): Promise<void> {
    this.#fall(error);
    this.#opened = Promise.reject(cancelled('open'));
    this.#opened.catch(() => undefined);
    await this.#giveBack(this.ended ? 0 : this.#restMs(), true);
    this.#seat?.beatSoon();
    await this.#options.clock.sleep(this.#restMs(), this.#ending.signal).catch(() => undefined);
    this.#options.changed();
  }

  async #giveBack(delayMs: number, waiting: boolean): Promise<void> {
    await Promise.all([this.#tasks.release(delayMs, waiting), this.#helping.release(delayMs)]);
  }

  #restMs(): number {
    return Math.max(0, (this.#trouble?.untilMs ?? 0) - this.#options.clock.monotonic());
  }

  #succeeded(size: SizeClass, ms: number): void {
    this.#leases.took(size, ms);
    this.#recovered();
  }

  #recovered(): void {
    for (const place of this.#places) this.#options.breakers.prove(place);
    this.#trouble = undefined;
    this.#usedMs = this.#options.clock.monotonic();
  }

  async #watchIdle(): Promise<void> {
    const { clock, idleMs } = this.#options;
    while (!this.#ending.signal.aborted) {
      await clock.sleep(idleMs, this.#ending.signal).catch(() => undefined);
      if (this.#names.size + this.#helping.count === 0 && clock.monotonic() - this.#usedMs >= idleMs) this.#end();
    }
  }

  #note(text: string): void {
    this.#options.events.emit({ type: 'note', level: 'warn', text });
  }
}

function classOf({ kind, body: { size } }: Envelope<'task', TaskBody> | PlainTask): SizeClass | 'plain' {
  return kind === 'plain' ? kind : size as SizeClass;
}

function standsStill({ pause, rates }: Orders): boolean {
  return pause || rates?.bandwidth === 0 || rates?.requests === 0;
}
