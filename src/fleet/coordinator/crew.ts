/**
 * The crew of a run whose executors are the fleet. One loop, one thing after the other:
 *
 *   feed     ready tasks of the ledger become messages, within a window, so that the queue never holds more than the fleet does soon
 *   fold     what workers reported comes into the ledger; their tasks are done, or ready again
 *   reap     what was sent long ago and is nowhere is sent again
 *   look     who is there, what hinders them; what they are to obey
 *
 * The queue decides nothing (design truth 8): a task is done when a report that closes it is folded.
 */
import { asBrigadeError, type BrigadeError, isKind } from '../../core/errors.ts';
import type { Problem } from '../../core/item.ts';
import { type SizeClass, sizeClass } from '../../core/pack.ts';
import type { Crew } from '../../engine/coordinator.ts';
import { Rest } from '../../engine/rest.ts';
import { Trouble } from '../../engine/trouble.ts';
import { problemOf } from '../../engine/worker.ts';
import type { Control, Report, ReportPlace } from '../../ports/journal.ts';
import type { LeasedTask } from '../../ports/ledger.ts';
import type { OutgoingMessage } from '../../ports/message-queue.ts';
import { mostLeaseMs } from '../leases.ts';
import { messageId, sealTask, taskId } from '../task-message.ts';
import type { FleetCrewOptions } from './crew-options.ts';
import { formerCoordinators, isCoordinators } from './epoch.ts';
import { Mandate } from './mandate.ts';
import { observing, tellOutcomes } from './observing.ts';
import { Outstanding } from './outstanding.ts';
import { Patience } from './patience.ts';
import { type Signals, Weights } from './signals.ts';
import { controlOf, type Limits, type Standing, Telling } from './telling.ts';
import { nobodyWorks, OVER_MS, Workers } from './workers.ts';

interface Unsent {
  readonly task: LeasedTask;
  readonly size: SizeClass;
  readonly sending: number;
  /** As in Sent. */
  readonly again?: number;
}

type Chore = 'weigh' | 'fold' | 'reap' | 'look' | 'calm';

/** Leases of the ledger that mean "sent". */
export const HOLDER = 'fleet';
const TURN_MS = 500;
const FOLD_MS = 1000;
const REAP_MS = 5000;
const CALM_MS = 1000;
const WEIGH_MS = 5000;
/** While it is waited for nothing but a word of each worker. */
const LAST_LOOK_MS = 3000;
/** Leases that are waited for while the queue says that it holds something: it may be others', of whom no word is exact enough to close a run by it. */
const CALM_LEASES = 2;
/** However large the window: between two portions it is looked who is there, what was reported, and whether all is to hold still. */
const FEED_MS = 5000;
const LOOK_MS = 10_000;
/** Folding takes at most this share of the time: with many tasks outstanding, looking for reports takes a while. */
const FOLD_SHARE = 4;
const MOST_WINDOW = 100_000;
const LEAST_WINDOW = 256;
const WINDOW_MS = 30 * 60_000;
const CLAIM = 64;
const HOLD_MS = 60_000;
const MANY_SENDINGS = 20;

export class FleetCrew implements Crew {
  readonly #options: FleetCrewOptions;
  readonly #outstanding = new Outstanding();
  readonly #workers: Workers;
  readonly #weights: Weights;
  readonly #stop = new AbortController();
  readonly #mandate: Mandate;
  /** Leased and not sent: the queue took none, or a crash came between. */
  #unsent: Unsent[] = [];
  readonly #told = new Set<string>();
  readonly #trouble = new Trouble();
  readonly #telling: Telling;
  readonly #rest: Rest;
  readonly #patience: Patience;
  /** The run waits for a premise. */
  #held = false;
  #limits: Limits = {};
  #standing: Standing = 'open';
  #nudge: () => void = () => undefined;
  readonly #dueMs: Record<Chore, number> = { weigh: 0, fold: 0, reap: 0, look: 0, calm: 0 };
  #done: { readonly atMs: number; readonly tasks: number }[] = [];
  #waitingSinceMs: number | undefined;
  /** When a report was folded last. */
  #reportedMs: number | undefined;
  /** Nothing is outstanding, nor in the queue: nobody works on what is done. Where nothing was ever sent that is so from the beginning. */
  #calm: boolean;
  /** What an earlier coordinator sent is known. */
  #isTakenOver = false;
  /** Since when nothing is outstanding. */
  #emptyMs: number | undefined;
  readonly #working: Promise<void>;

  constructor(options: FleetCrewOptions) {
    this.#options = options;
    this.#workers = new Workers(options.clock);
    this.#mandate = new Mandate(options.pen, options.clock);
    this.#weights = new Weights(options.clock);
    this.#telling = new Telling({ pen: options.pen, control: () => this.#control(), signal: this.#stop.signal });
    this.#rest = new Rest(options.clock);
    this.#patience = new Patience(options.clock, this.#rest);
    // What a coordinator before this one heard last may be as young as can be.
    if ((options.ledger.run(options.run)?.resumes ?? 0) > 0) this.#reportedMs = options.clock.monotonic();
    this.#calm = options.pen.claim.epoch === 1;
    this.#working = this.#work();
  }

  get trouble(): Promise<never> {
    return this.#trouble.promise;
  }

  get living(): number {
    return this.#workers.living().length;
  }

  get outstanding(): number {
    return this.#outstanding.size + this.#unsent.length;
  }

  /** Sent a second time or oftener. */
  get resent(): number {
    return this.#outstanding.resent;
  }

  /** As of a moment ago. */
  signals(): Signals {
    const { drainMs, backlog } = this.#weights;
    const { sent, resent, spurious } = this.#outstanding;
    const trouble = this.#hindrance();
    return {
      epoch: this.#options.pen.claim.epoch, backlog, outstanding: this.#outstanding.size, workers: this.living, busy: this.#workers.busy(), paused: this.#resting, sent, resent, spurious,
      ...(drainMs === undefined ? {} : { drainMs }), ...(trouble === undefined ? {} : { trouble }),
    };
  }

  /** Nobody is to work. */
  get #resting(): boolean {
    return this.#isPaused || this.#limits.bandwidth === 0 || this.#limits.requests === 0;
  }

  get #isPaused(): boolean {
    return this.#held || this.#limits.paused === true;
  }

  get #standsStill(): boolean {
    return this.#isPaused || this.#standing !== 'open';
  }

  /** What keeps all workers from working, or that there is none. */
  #hindrance(): Problem | undefined {
    return this.#workers.trouble() ?? this.#weights.alone(this.#resting ? 0 : this.#outstanding.size, this.living);
  }

  wake(): void {
    this.#nudge();
  }

  idle(): boolean {
    return this.#isTakenOver && this.outstanding === 0 && this.#calm && this.#options.journalled.settled && this.isQuiet;
  }

  /** Whoever may still write late has had the time to. */
  get isQuiet(): boolean {
    const { quietMs = 0, clock } = this.#options;
    return this.#reportedMs === undefined || clock.monotonic() - this.#reportedMs >= quietMs;
  }

  diedMs(): number | undefined {
    return this.#workers.diedMs;
  }

  /** Ends it all: another coordinator took over, or a defect. Nothing more is sent, folded or told. */
  fail(error: BrigadeError): void {
    this.#trouble.raise(error);
    this.#stop.abort();
  }

  limit(limits: Limits): void {
    this.#limits = limits;
    this.#changed();
  }

  /** They hear of it within seconds, however long the turn is that is under way. */
  #changed(): void {
    this.#rest.set(this.#resting);
    this.#telling.tellSoon();
    this.#nudge();
  }

  async hold(): Promise<void> {
    const { clock, signal } = this.#options;
    this.#held = true;
    this.#changed();
    const end = clock.monotonic() + HOLD_MS;
    while (clock.monotonic() < end && (this.#telling.told['pause'] !== true || this.#workers.busy() > 0)) {
      await clock.sleep(TURN_MS, signal);
      this.#dueMs.look = 0;
    }
  }

  /** Plain messages of the migration are no part of the run: where an operator had paused it, nobody would let them go on. */
  async release(): Promise<void> {
    const { clock, signal } = this.#options;
    this.#standing = 'done';
    this.#changed();
    while (this.#telling.told['pause'] !== false && !this.#stop.signal.aborted) await clock.sleep(TURN_MS, signal);
  }

  /** What was done by now is folded; what is in the queue is over for whoever gets it, and so is what he does who could not be waited for. */
  async giveUp(): Promise<void> {
    const { clock, signal, run } = this.#options;
    this.#standing = 'given up';
    this.#held = true;
    this.#changed();
    while (this.#telling.told['run'] !== run + 1) await clock.sleep(TURN_MS, signal);
    for (const toldMs = clock.monotonic(); clock.monotonic() - toldMs < OVER_MS && !this.#workers.areThrough(run + 1, toldMs); this.#dueMs.look = 0) await clock.sleep(TURN_MS, signal);
    // Nobody lets the fleet go on later, and plain messages of the migration are no part of the run.
    this.#standing = 'laid down';
    // What a journal that is away now does not tell is folded by the next coordinator.
    await this.#telling.tell().then(() => this.#foldNow(true)).catch((thrown: unknown) => this.#failed(asBrigadeError(thrown, 'fold')));
  }

  go(): void {
    this.#trouble.reset();
    this.#held = false;
    this.#changed();
  }

  /** What was sent stays in the queue: the next coordinator goes on with it. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#nudge();
    await this.#working;
    await this.#options.board?.leave();
  }

  /** What an earlier coordinator sent is outstanding, as far as this ledger knows it; age counts from now on. */
  async #takeOver(): Promise<void> {
    const { ledger, run, clock } = this.#options;
    for (const [at, id] of ledger.held(run, HOLDER).entries()) {
      // Each is a block to decode, and there may be as many as the window allows: whoever else works in this process has its turn.
      if (at % CLAIM === 0) await clock.sleep(0, this.#stop.signal);
      const name = ledger.taskName(id);
      const task = ledger.leasedTask(id);
      if (name !== undefined) this.#outstanding.add({ task: id, name, size: classOf(task), atMs: clock.monotonic(), sending: task.deliveries - 1 });
    }
    Object.assign(this.#outstanding, { sent: 0, resent: 0 });
    if (this.#outstanding.size > 0) this.#calm = false;
    this.#isTakenOver = true;
  }

  async #work(): Promise<void> {
    const { clock } = this.#options;
    await this.#takeOver().catch((thrown: unknown) => {
      const error = asBrigadeError(thrown, 'fleet');
      if (!isKind(error, 'cancelled')) this.#end(error);
    });
    while (!this.#stop.signal.aborted && this.#isTakenOver) {
      await this.#turn().then(() => this.#recovered(), (thrown: unknown) => this.#failed(asBrigadeError(thrown, 'fleet')));
      if (this.#stop.signal.aborted) return;
      const sleep = new AbortController();
      this.#nudge = () => sleep.abort();
      await clock.sleep(TURN_MS, sleep.signal).catch(() => undefined);
      this.#nudge = () => undefined;
    }
  }

  async #turn(): Promise<void> {
    await this.#mandate.check(this.#stop.signal);
    await this.#every('weigh', WEIGH_MS, async () => this.#weigh());
    await this.#every('look', LOOK_MS, () => this.#look());
    await this.#telling.tell();
    await this.#feed();
    await this.#every('fold', FOLD_MS, () => this.#fold());
    await this.#every('reap', REAP_MS, () => this.#reap());
    await this.#every('calm', CALM_MS, () => this.#calmDown());
  }

  /** Queue and journal are waited for as long as it takes; what is wrong with them is told once. */
  #failed(error: BrigadeError): void {
    if (isKind(error, 'cancelled')) return;
    if (!isKind(error, 'transient', 'throttled', 'premise')) {
      return this.#end(error);
    }
    const now = this.#options.clock.monotonic();
    this.#waitingSinceMs ??= now;
    this.#options.events.emit({ type: 'waiting', problem: problemOf(error), sinceMs: now - this.#waitingSinceMs });
  }

  #end(error: BrigadeError): void {
    this.fail(error);
    this.#options.onFailure?.(error);
  }

  /** Not while every worker is in trouble: who watches would see it for half a second in ten. */
  #recovered(): void {
    if (this.#waitingSinceMs === undefined || this.#hindrance() !== undefined) return;
    this.#waitingSinceMs = undefined;
    this.#options.events.emit({ type: 'resumed' });
  }

  async #every(what: Chore, ms: number, work: () => Promise<void>): Promise<void> {
    const { clock } = this.#options;
    const began = clock.monotonic();
    if (began < this.#dueMs[what]) return;
    await work();
    const ended = clock.monotonic();
    this.#dueMs[what] = ended + Math.max(ms, (ended - began) * FOLD_SHARE);
  }

  /** Large ones first: what takes longest must begin first. */
  async #feed(): Promise<void> {
    if (this.#standsStill) return;
    const { ledger, run, clock } = this.#options;
    const end = clock.monotonic() + FEED_MS;
    await this.#send(this.#asTheyAre(this.#unsent.splice(0)));
    for (const size of ['large', 'small'] as const) {
      while (this.outstanding < this.#window() && clock.monotonic() < end && !this.#standsStill && !this.#stop.signal.aborted) {
        const tasks = ledger.claim(run, Math.min(CLAIM, this.#window() - this.outstanding), HOLDER, size);
        if (tasks.length === 0) break;
        await this.#send(tasks.map((task) => ({ task, size, sending: this.#sendingOf(task) })));
        if (this.#unsent.length > 0) return;
      }
    }
  }

  /** While they waited, somebody may have reported on an earlier sending of theirs. */
  #asTheyAre(tasks: readonly Unsent[]): readonly Unsent[] {
    const now = tasks.map((one) => ({ ...one, task: this.#options.ledger.leasedTask(one.task.id) }));
    for (const { task } of now) if (task.items.length === 0) this.#outstanding.done(task.id, this.#options.clock.monotonic());
    return now.filter(({ task }) => task.items.length > 0);
  }

  /** What an earlier epoch planned may have been sent by it: its worker looks first. */
  #sendingOf(task: LeasedTask): number {
    const earlier = (this.#options.ledger.taskName(task.id)?.epoch ?? 0) < this.#options.pen.claim.epoch;
    return task.deliveries - 1 + (earlier || task.inDoubt ? 1 : 0);
  }

  #window(): number {
    const { window, clock } = this.#options;
    if (window === 'all') return Number.POSITIVE_INFINITY;
    if (window !== 'auto') return window;
    const now = clock.monotonic();
    this.#done = this.#done.filter(({ atMs }) => now - atMs < WINDOW_MS);
    const since = this.#done[0]?.atMs ?? now;
    const tasks = this.#done.reduce((sum, one) => sum + one.tasks, 0);
    const perMs = tasks / Math.max(60_000, now - since);
    return Math.round(Math.min(MOST_WINDOW, Math.max(LEAST_WINDOW, perMs * WINDOW_MS)));
  }

  /** What cannot be sent now waits here, leased, and is tried again before anything else. */
  async #send(tasks: readonly Unsent[]): Promise<void> {
    if (tasks.length === 0) return;
    const { queue, clock } = this.#options;
    this.#unsent.push(...tasks);
    this.#calm = false;
    const messages = await Promise.all(tasks.map((one) => this.#message(one)));
    await this.#mandate.check(this.#stop.signal);
    const results = await queue.send(messages, this.#stop.signal);
    const failed = new Set(results.filter(({ error }) => error !== undefined).map(({ id }) => id));
    const atMs = clock.monotonic();
    for (const [i, { task, size, sending, again = 0 }] of tasks.entries()) {
      const name = this.#options.ledger.taskName(task.id);
      if (name !== undefined && !failed.has((messages[i] as OutgoingMessage).id)) this.#outstanding.add({ task: task.id, name, size, atMs, sending, again });
    }
    this.#unsent = this.#unsent.filter(({ task }) => !this.#outstanding.has(task.id));
    const first = results.find(({ error }) => error !== undefined)?.error;
    if (first !== undefined) throw first;
  }

  async #message({ task, size, sending }: Unsent): Promise<OutgoingMessage> {
    const { ledger, journal, queue, codec, spec } = this.#options;
    const name = ledger.taskName(task.id);
    if (name === undefined) throw asBrigadeError(new Error(`task ${task.id} has no name`), 'feed');
    const body = await sealTask(codec(), { name, spec, run: task.run, size, sending, after: ledger.reportsFolded(name) }, task, queue.limits.largestMessageBytes, (document) => journal.keep(document, this.#stop.signal), this.#stop.signal);
    return { id: messageId(spec.id, name, sending), body, affinity: `${spec.id} ${taskId(name)}` };
  }

  /**
   * A message that came twice may be in somebody's hands when its task is done: what that one writes is to be seen by the closing listing, what it
   * reports is to be in the account, and uploads that it began are to be swept. So the queue is waited for, though not for good. Calls for help are not
   * taken from its count here: how many there are is known to ten seconds, and who has one may be at work on the upload of a task that came twice.
   */
  async #calmDown(): Promise<void> {
    const { queue, clock } = this.#options;
    if (this.outstanding > 0) this.#emptyMs = undefined;
    if (this.#calm || this.outstanding > 0) return;
    const now = clock.monotonic();
    this.#emptyMs ??= now;
    if (await this.#inQueue() > 0 && now - this.#emptyMs < CALM_LEASES * mostLeaseMs(queue.limits)) return;
    if (this.#options.leavesFiles === true && this.#workers.anyUnheard(this.#emptyMs)) {
      this.#dueMs.look = Math.min(this.#dueMs.look, now + LAST_LOOK_MS);
      return;
    }
    await this.#foldNow(true);
    this.#calm = this.outstanding === 0;
  }

  async #fold(): Promise<void> {
    if (this.#outstanding.size > 0) await this.#foldNow(false);
  }

  async #foldNow(all: boolean): Promise<void> {
    const { journalled, ledger, fold, clock } = this.#options;
    const before = this.#outstanding.size;
    const observed = observing(ledger, (place, report) => this.#folded(place, report));
    try {
      const { damages } = await journalled.exclusively(() => fold(observed, all));
      for (const { message } of damages) this.#once(message, 'a report of a worker cannot be believed, its task is done again');
    } finally {
      if (this.#outstanding.size < before) this.#done.push({ atMs: clock.monotonic(), tasks: before - this.#outstanding.size });
    }
  }

  /** As each is folded, not at the end: of what came before an error nobody tells a second time. */
  #folded({ work }: ReportPlace, report: Report | undefined): void {
    const { ledger, events, clock } = this.#options;
    const now = clock.monotonic();
    this.#reportedMs = now;
    if (report !== undefined) tellOutcomes(events, report);
    const id = ledger.ledgerTask(work);
    if (id === undefined) return;
    if (report?.close === true && work.firstPart === undefined) this.#outstanding.done(id, now, report.sending ?? 0);
    else if (report !== undefined) this.#outstanding.heard(id, now);
  }

  async #reap(): Promise<void> {
    const { clock, board } = this.#options;
    await board?.say(this.#outstanding.size, this.#stop.signal);
    if (this.#resting) this.#outstanding.rested(clock.monotonic());
    else if (this.#outstanding.size > 0) await this.#resend();
  }

  async #resend(): Promise<void> {
    const { queue, clock, ledger, board } = this.#options;
    const counted = await this.#inQueue();
    // After the count: what was acknowledged before it was reported before that, and is not missing.
    await this.#fold();
    const lease = mostLeaseMs(queue.limits);
    const isAnyLate = this.#outstanding.due(clock.monotonic(), lease, 0).length > 0;
    const others = isAnyLate ? await board?.others(this.#stop.signal) ?? 0 : 0;
    const due = this.#outstanding.due(clock.monotonic(), lease, Math.max(0, counted - others - this.#workers.calls()));
    if (due.length === 0) return;
    this.#note(`${due.length} of ${this.#outstanding.size} tasks that were sent are not in the queue and nobody reported on them: sent again`);
    for (let from = 0; from < due.length; from += CLAIM) {
      await this.#send(this.#asTheyAre(due.slice(from, from + CLAIM).map(({ task, size, sending, again = 0 }) => ({ task: ledger.leasedTask(task), size, sending: sending + 1, again: again + 1 }))));
    }
    for (const { name, sending } of due) if (sending + 1 === MANY_SENDINGS) this.#note(`task ${name.epoch}/${name.seq}/${name.task} was sent ${MANY_SENDINGS} times: look at the workers' logs`);
  }

  /** Messages, whosever they are. */
  async #inQueue(): Promise<number> {
    const { waiting, inFlight, delayed } = await this.#options.queue.counts(this.#stop.signal);
    return waiting + inFlight + delayed;
  }

  async #look(): Promise<void> {
    const { journal, pen, clock, events } = this.#options;
    const beats = await journal.beats(this.#stop.signal);
    const gone = this.#workers.look(beats.filter((beat) => !isCoordinators(beat)));
    for (const worker of [...gone, ...formerCoordinators(beats, pen.claim.epoch)]) await journal.leave(worker, this.#stop.signal);
    for (const { what, text } of this.#workers.news()) this.#once(what, text);
    const trouble = this.#hindrance();
    if (this.living > 0) this.#told.delete('E_NO_WORKERS');
    if (trouble === undefined) return;
    const sinceMs = clock.monotonic() - (this.#waitingSinceMs ??= clock.monotonic());
    events.emit({ type: 'waiting', problem: trouble, sinceMs });
    // Workers may be on their way: whoever starts them looks at the same figures.
    if (trouble.code === 'E_NO_WORKERS') this.#once(trouble.code, `${trouble.message} (${trouble.hint ?? ''}) [${trouble.code}]`);
    else if (this.#workers.areHeard && this.#patience.isOver(this.#waitingSinceMs, this.#options.patienceMs?.(trouble.code) ?? Infinity)) this.#trouble.raise(nobodyWorks(trouble));
  }

  #weigh(): void {
    const { ledger, run } = this.#options;
    this.#weights.weigh(ledger.openTasks(run), ledger.tally(run), this.#resting);
  }

  #control(): Control {
    return controlOf({ run: this.#options.run, standing: this.#standing, isHeld: this.#held, limits: this.#limits, workers: this.living });
  }

  #once(what: string, text: string): void {
    if (this.#told.has(what)) return;
    this.#told.add(what);
    this.#note(text);
  }

  #note(text: string): void {
    this.#options.events.emit({ type: 'note', level: 'warn', text });
  }
}

function classOf({ items }: LeasedTask): SizeClass {
  return sizeClass(items.reduce((sum, { size }) => sum + size, 0) / Math.max(1, items.length));
}
