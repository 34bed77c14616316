/**
 * One object over many workers. The worker that holds its task owns the upload: it began it and completes it. It cuts the parts into spans, and calls:
 * whoever has lanes to spare claims spans, too, as often as there are any (span-logs.ts), and tells which parts are stored. The owner works as they do,
 * waits until all parts stand, and takes over what somebody left. So nobody is waited for who does not work: with no answer to its call, with a queue that
 * loses all of them, it sends the object alone.
 */
import { type BrigadeError, cancelled } from '../../core/errors.ts';
import { type PartSpan, partSpans } from '../../core/parts.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { Journal, TaskName } from '../../ports/journal.ts';
import type { PartRange, RangeQueue, Spread } from '../../ports/queue.ts';
import type { Part, Upload } from '../../ports/storage.ts';
import type { Call } from '../call-message.ts';
import { Calling } from './calling.ts';
import { Deals } from './deals.ts';
import { type HeldSpan, longestSilenceMs } from './held-span.ts';
import { Known } from './known.ts';
import type { FleetRecorder } from './recorder.ts';
import { SpanLogs } from './span-logs.ts';
import { isOfTheJournal, Taking, type TakingOptions } from './taking.ts';

export interface FleetRangesOptions {
  readonly recorder: FleetRecorder;
  readonly journal: () => Journal;
  readonly worker: string;
  readonly leaseMs: number;
  /** Sends a call, as well as it can: it is only a call. Answers whether the queue has it; never rejects. */
  readonly call: (task: TaskName, call: Call, signal: AbortSignal) => Promise<boolean>;
  readonly clock: Clock;
  readonly random: Random;
}

/** How often the owner looks what others have done. */
const LOOK_MS = 2000;
/** The same while it only waits for them. */
const WAIT_MS = 500;
/** Who is silent for longer is gone, or as good as. */
const SILENCES = 3;
const LEASES = 3;
/** Deliveries of one call, after which it is over where somebody died of it. */
const MOST_ANSWERS = 3;
/** Who answered a call and finds no lane free for so long leaves it to others. */
const BUSY_MS = 5000;

/** What the hands of this worker that are at one upload have in common. */
interface AtWork {
  hands: number;
  readonly mine: Set<number>;
  readonly takings: Set<Taking>;
}

/** `vain`: nothing more is to be done, and what was tried here failed. */
type Helped = 'done' | 'back' | 'vain';

export class FleetRanges implements RangeQueue {
  readonly #options: FleetRangesOptions;
  readonly #deals: Deals;
  /** Uploads that are worked on here, by whichever hands. */
  readonly #uploads = new Map<string, AtWork>();
  readonly #calling = new Set<Calling>();
  #helping = 0;
  #spans = 0;

  constructor(options: FleetRangesOptions) {
    this.#options = options;
    this.#deals = new Deals(options.clock);
  }

  /** Calls that are answered here now. */
  get helping(): number {
    return this.#helping;
  }

  /** Calls of this worker that nobody answered yet. */
  get called(): number {
    return [...this.#calling].reduce((sum, { waiting }) => sum + waiting, 0);
  }

  get idleLanes(): number {
    return this.#deals.idleLanes;
  }

  isAtWorkOn(upload: string): boolean {
    return this.#uploads.has(upload);
  }

  /** Whoever answered this call is gone, and it has come to one who is at work on that upload already. */
  inherit(upload: string, hand: number): void {
    for (const taking of this.#uploads.get(upload)?.takings ?? []) taking.inherit(hand);
    this.#deals.news();
  }

  receive(most: number, signal: AbortSignal): Promise<readonly PartRange[]> {
    return this.#deals.receive(most, signal);
  }

  async end(range: PartRange, error?: BrigadeError): Promise<void> {
    this.#deals.end(range, error);
  }

  async spread(spread: Spread, signal: AbortSignal): Promise<readonly Part[]> {
    const { upload, spanBytes } = spread;
    const spans = spanBytes === undefined || this.#options.recorder.shared(spread.task).alone ? [] : partSpans(upload.size, upload.partSize, spanBytes);
    return this.#on(upload, (here) => (spans.length < 2 ? this.#alone(spread, signal) : this.#together(spread, spans, here, signal)));
  }

  /** All of it here; parts are told in the reports of the task. */
  async #alone({ task, upload, pin, algorithm, numbers, perHolder }: Spread, signal: AbortSignal): Promise<readonly Part[]> {
    await this.#deals.deal({ task, upload, pin, algorithm, numbers, perHolder, own: true }, signal);
    const parts = this.#options.recorder.shared(task).known.partsOf(upload.id);
    return numbers.flatMap((number) => parts.get(number) ?? []);
  }

  async #together({ task, upload, pin, algorithm, numbers, perHolder, spanBytes = 0 }: Spread, spans: readonly PartSpan[], here: AtWork, signal: AbortSignal): Promise<readonly Part[]> {
    const { known, logs, again } = this.#options.recorder.shared(task);
    const wanted = new Set(numbers);
    // What was known before of the parts that are asked for was found wanting.
    const mark = logs.mark();
    const problems = logs.problems;
    const { leaseMs } = this.#options;
    const taking = this.#taking(here, {
      logs, upload, pin, algorithm, perHolder, hand: 0, again, silenceMs: (entries) => Math.max(LEASES * leaseMs, SILENCES * longestSilenceMs(entries)),
      missing: (span) => numbersOf(span).filter((number) => wanted.has(number) && logs.partSince(mark, upload.id, span.first, number) === undefined),
    });
    const calling = new Calling({ logs, random: this.#options.random, clock: this.#options.clock, call: (hand, ended) => this.#options.call(known.name, { upload: upload.id, hand, pin, algorithm, spanBytes, perHolder, after: known.after }, ended) });
    this.#calling.add(calling);
    const own = spans.filter((span) => numbersOf(span).some((number) => wanted.has(number)));
    const left = (): readonly PartSpan[] => own.filter((span) => taking.missing(span).length > 0);
    await this.#work(taking, here, signal, async () => {
      const error = taking.error ?? logs.problemSince(problems, upload.id);
      if (error !== undefined) throw error;
      const now = left();
      if (now.length === 0) return true;
      const took = taking.low && await taking.take(now);
      calling.callFor(now.filter((span) => taking.isFree(span)).length);
      if (!took) await this.#pause(taking, taking.held > 0 ? LOOK_MS : WAIT_MS, signal);
      return false;
    }).finally(() => {
      calling.end();
      this.#calling.delete(calling);
    });
    return own.flatMap((span) => numbersOf(span).flatMap((number) => taking.sent.get(number) ?? logs.partSince(mark, upload.id, span.first, number) ?? []).filter(({ number }) => wanted.has(number)));
  }

  /**
   * Answers a call, until there is nothing left to take or the signal fires. `receives`: how often it was delivered; whoever answered it before is gone.
   * `leave`: no more is taken. An object that may kill whoever touches it is left to its owner.
   * @throws what the journal throws, and what stops this worker
   */
  async help(task: TaskName, call: Call, receives: number, leave: () => boolean, signal: AbortSignal): Promise<Helped> {
    const { journal, clock } = this.#options;
    const known = new Known(task, call.after);
    await known.catchUp(journal(), signal);
    const found = known.uploads().find(({ upload }) => upload.id === call.upload);
    if (known.closed || found === undefined || found.sourceToken !== call.pin.token || known.begun.some(({ alone }) => alone)) return 'done';
    const { upload } = found;
    const logs = new SpanLogs({ journal, task, clock });
    const stored = new Set(found.parts.map(({ number }) => number));
    if (receives > MOST_ANSWERS) {
      await logs.catchUp(signal);
      // Whoever had it last ended with a span in hand, and so may those before: nobody else is to, for the sake of a call.
      if (logs.heldBy(upload.id, call.hand).length > 0) return 'done';
    }
    this.#helping++;
    return this.#on(upload, (here) => {
      const taking = this.#taking(here, {
        ...call, upload, logs, again: receives > 1, silenceMs: () => Infinity,
        missing: (span) => numbersOf(span).filter((number) => !stored.has(number) && logs.partSince(NOTHING, upload.id, span.first, number) === undefined),
      });
      return this.#help(taking, here, call, leave, signal);
    }).finally(() => { this.#helping--; });
  }

  async #help(taking: Taking, here: AtWork, { upload, spanBytes, hand }: Call, leave: () => boolean, signal: AbortSignal): Promise<Helped> {
    const { clock } = this.#options;
    const { logs } = taking;
    const spans = turned(partSpans(taking.upload.size, taking.upload.partSize, spanBytes), hand);
    const busyMs = clock.monotonic() + BUSY_MS;
    let problems: number | undefined;
    let helped: Helped = 'done';
    await this.#work(taking, here, signal, async () => {
      problems ??= logs.problems;
      if (taking.error !== undefined || logs.problemSince(problems, upload) !== undefined) return true;
      const isIdle = taking.held === 0;
      if (isIdle && !spans.some((span) => taking.isFree(span) && taking.missing(span).length > 0)) return true;
      const isBusy = isIdle && this.#deals.idleLanes <= 0;
      if (isIdle && (leave() || (isBusy && clock.monotonic() > busyMs))) {
        helped = 'back';
        return true;
      }
      if (leave() || isBusy || !taking.low || !await taking.take(spans)) await this.#pause(taking, LOOK_MS, signal);
      return false;
    });
    return taking.error === undefined ? helped : 'vain';
  }

  /** Turn after turn, each after a look at the logs, until one says that it is over; what is on its way then ends, and is told. */
  async #work(taking: Taking, { takings }: AtWork, signal: AbortSignal, turn: () => Promise<boolean>): Promise<void> {
    let over = false;
    takings.add(taking);
    try {
      while (!over) {
        if (signal.aborted) throw cancelled('spread');
        if (await this.#look(taking, signal)) over = await turn();
      }
    } finally {
      takings.delete(taking);
      await taking.end(!over);
    }
  }

  /** False: the journal does not answer now. What is on its way goes on meanwhile. */
  async #look(taking: Taking, signal: AbortSignal): Promise<boolean> {
    try {
      await taking.logs.catchUp(signal);
      taking.looked();
      return true;
    } catch (thrown) {
      if (!isOfTheJournal(thrown)) throw thrown;
      await this.#options.clock.sleep(LOOK_MS, signal);
      return false;
    }
  }

  /** Until its lanes run dry, one of its spans has ended, or there may be something new of others. */
  async #pause(taking: Taking, ms: number, signal: AbortSignal): Promise<void> {
    const { held, low } = taking;
    await this.#deals.until(() => taking.held !== held || (taking.low && !low) || taking.error !== undefined, ms, signal);
  }

  #taking({ mine }: AtWork, options: Omit<TakingOptions, 'deals' | 'worker' | 'clock' | 'open' | 'mine'>): Taking {
    const { worker, clock } = this.#options;
    return new Taking({ ...options, mine, deals: this.#deals, worker, clock, open: (span) => this.#open(span) });
  }

  #open(span: HeldSpan): { readonly task: number; readonly close: () => void } {
    const { recorder } = this.#options;
    // Below zero: tasks are counted from one.
    const task = --this.#spans;
    recorder.openSpan(task, span);
    return { task, close: () => recorder.closeSpan(task) };
  }

  async #on<T>({ id }: Upload, work: (here: AtWork) => Promise<T>): Promise<T> {
    const here = this.#uploads.get(id) ?? { hands: 0, mine: new Set(), takings: new Set() };
    this.#uploads.set(id, here);
    here.hands++;
    try {
      return await work(here);
    } finally {
      if (--here.hands === 0) this.#uploads.delete(id);
    }
  }
}

const NOTHING: ReadonlyMap<number, number> = new Map();

function numbersOf({ first, count }: PartSpan): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

/** The same ones, begun elsewhere: so that those who come at once do not all want the same. */
function turned<T>(all: readonly T[], by: number): readonly T[] {
  const at = by % all.length;
  return [...all.slice(at), ...all.slice(0, at)];
}
