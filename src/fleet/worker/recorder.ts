/**
 * Makes outcomes durable in the journal: those of a task as one report at its end, sooner only when they have waited for long, are many, or the task
 * is given back. Uploads are told before their first part is sent (F072). Parts go in few reports however many they are: the more reports a task has,
 * the longer its next one gathers, so that an object of 10,000 parts needs some two hundred of them.
 */
import { BrigadeError } from '../../core/errors.ts';
import type { Outcome } from '../../core/item.ts';
import { compareKeys } from '../../core/key.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Begun, GaveBack, Journal, Report } from '../../ports/journal.ts';
import type { RecordedUpload, Recorder } from '../../ports/queue.ts';
import type { Part, Upload } from '../../ports/storage.ts';
import type { HeldSpan } from './held-span.ts';
import type { Known } from './known.ts';
import { SpanLogs } from './span-logs.ts';

const OUTCOMES_MS = 30_000;
const MOST_OUTCOMES = 5000;
const PARTS_MS = 5000;
const MOST_PARTS = 16;
const MANY_REPORTS = 50;
/** Whoever waits for the journal keeps the message from others. */
const LAST_WORD_MS = 5000;

export interface RecorderOptions {
  readonly journal: () => Journal;
  readonly worker: string;
  readonly clock: Clock;
}

export interface BookOptions {
  /** Others may have told, and may still tell, of uploads for it. */
  readonly again: boolean;
  /** Told before anything is done. */
  readonly begun?: Begun;
  /** Others of its objects follow: its end is not that of the task. */
  readonly goesOn?: boolean;
}

/** Of one delivery that goes back. */
export interface LastWord {
  readonly gaveBack: GaveBack;
  /** It is worth a report of its own. */
  readonly pays: boolean;
}

/** Why a report is written: there is something to tell; the task is given back; what was to be done is done. */
type Occasion = 'more' | 'back' | 'end';

export class FleetRecorder implements Recorder {
  readonly #options: RecorderOptions;
  readonly #books = new Map<number, Book>();
  readonly #spans = new Map<number, HeldSpan>();

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** A task, by its number here. */
  open(task: number, known: Known, how: BookOptions): void {
    this.#books.set(task, new Book(this.#options, known, how));
  }

  /** What those who send parts of its object share. */
  shared(task: number): Shared {
    return this.#book(task).shared;
  }

  /** Parts that are recorded under this number are of this span. */
  openSpan(number: number, span: HeldSpan): void {
    this.#spans.set(number, span);
  }

  closeSpan(number: number): void {
    this.#spans.delete(number);
  }

  /** What was gathered is in the journal. */
  async flush(task: number): Promise<void> {
    await this.#books.get(task)?.write('more');
  }

  /** That it is begun is in the journal, where that is to be told. */
  async begin(task: number): Promise<void> {
    await this.#book(task).begin();
  }

  /** The task is given back: what was gathered is in the journal, and with it the last word of this delivery, where there is one. */
  async giveBack(task: number, word?: LastWord): Promise<void> {
    await this.#books.get(task)?.write('back', word);
  }

  /** Nothing of it was begun here. Where that cannot be told now, whoever has it next is in doubt. */
  async untouched(known: Known, word: LastWord): Promise<void> {
    const { journal, worker, clock } = this.#options;
    if (!word.pays || known.sending > 0) return;
    const over = new AbortController();
    void clock.sleep(LAST_WORD_MS, over.signal).then(() => over.abort(), () => undefined);
    try {
      await journal().report(known.name, { worker, outcomes: [], close: false, parts: [], ...sendingOf(known), gaveBack: word.gaveBack }, over.signal, known.reports);
    } catch {
      // The message goes back all the same.
    } finally {
      over.abort();
    }
  }

  /** Nothing more is told of it here. */
  forget(task: number): void {
    this.#books.get(task)?.rest();
    this.#books.delete(task);
  }

  async uploads(task: number): Promise<readonly RecordedUpload[]> {
    return this.#book(task).uploads();
  }

  async record(task: number, outcomes: readonly Outcome[], close: boolean): Promise<void> {
    await this.#book(task).outcomes(outcomes, close);
  }

  async recordUpload(task: number, upload: Upload, sourceToken: string): Promise<void> {
    await this.#book(task).upload(upload, sourceToken);
  }

  async recordPart(task: number, uploadId: string, part: Part): Promise<void> {
    const span = this.#spans.get(task);
    if (span === undefined) this.#book(task).part(uploadId, part);
    else span.part(part);
  }

  async forgetUpload(task: number, uploadId: string): Promise<void> {
    this.#book(task).uploadOver(uploadId);
  }

  #book(task: number): Book {
    const book = this.#books.get(task);
    if (book === undefined) throw new BrigadeError({ code: 'E_INTERNAL', kind: 'internal', op: 'record', message: `task ${task} is not held here` });
    return book;
  }
}

/** What it answers, as a report says it. */
export function sendingOf({ sending, message }: Pick<Known, 'sending' | 'message'>): Pick<Report, 'sending' | 'message'> {
  return { ...(sending === 0 ? {} : { sending }), ...(message === undefined ? {} : { message }) };
}

export interface Shared {
  readonly known: Known;
  readonly logs: SpanLogs;
  /** Others may have told, and may still tell, of its upload. */
  readonly again: boolean;
  /** It may kill whoever touches it: nobody else is called. */
  readonly alone: boolean;
}

interface Gathered {
  outcomes: Outcome[];
  parts: Report['parts'][number][];
  uploads: NonNullable<Report['uploads']>[number][];
  over: string[];
}

const nothing = (): Gathered => ({ outcomes: [], parts: [], uploads: [], over: [] });

function isEmpty({ outcomes, parts, uploads, over }: Gathered): boolean {
  return outcomes.length + parts.length + uploads.length + over.length === 0;
}

function joined(a: Gathered, b: Gathered): Gathered {
  return { outcomes: [...a.outcomes, ...b.outcomes], parts: [...a.parts, ...b.parts], uploads: [...a.uploads, ...b.uploads], over: [...a.over, ...b.over] };
}

/** In the order of keys, not that in which they ended: so the coordinator lays all of a task beside what it planned, without a look at each (core/settled-lines.ts). */
function told({ outcomes, parts, uploads, over }: Gathered): Pick<Report, 'outcomes' | 'parts' | 'uploads' | 'uploadsOver'> {
  return { outcomes: outcomes.toSorted((a, b) => compareKeys(a.key, b.key)), parts, ...(uploads.length > 0 ? { uploads } : {}), ...(over.length > 0 ? { uploadsOver: over } : {}) };
}

/** What there is to tell of one task. */
class Book {
  readonly #options: RecorderOptions;
  readonly #known: Known;
  readonly #how: BookOptions;
  readonly #logs: SpanLogs;
  /** It stands in the journal, and that it is over does not. */
  #begun = false;
  #gathered = nothing();
  #writing: Promise<void> = Promise.resolve();
  #reports = 0;
  /** The first report of the task that is not known to be there. Each try costs a write and a look at what stands: a task of many reports would pay for all of them with each. */
  #next = 0;
  #failed: { readonly error: unknown } | undefined;
  #timer: { readonly atMs: number; readonly stop: AbortController } | undefined;

  constructor(options: RecorderOptions, known: Known, how: BookOptions) {
    this.#options = options;
    this.#known = known;
    this.#how = how;
    this.#logs = new SpanLogs({ journal: options.journal, task: known.name, clock: options.clock });
  }

  get shared(): Shared {
    const { again, begun } = this.#how;
    return { known: this.#known, logs: this.#logs, again, alone: begun?.alone === true };
  }

  async begin(): Promise<void> {
    const { begun } = this.#how;
    if (begun === undefined) return;
    // Before the write: of one whose answer is lost nobody knows that it does not stand.
    this.#begun = true;
    await this.#report({ outcomes: [], close: false, parts: [], begun });
  }

  async uploads(): Promise<readonly RecordedUpload[]> {
    const known = this.#known;
    const { again } = this.#how;
    if (again) await known.catchUp(this.#options.journal());
    const open = known.uploads();
    if (open.length > 0 && (again || !this.#logs.empty)) await this.#logs.catchUp();
    return open.map((one) => ({ ...one, parts: [...new Map([...known.partsOf(one.upload.id), ...this.#logs.parts(one.upload.id)]).values()].sort((a, b) => a.number - b.number) }));
  }

  async outcomes(outcomes: readonly Outcome[], close: boolean): Promise<void> {
    this.#gathered.outcomes.push(...outcomes);
    this.#known.note(outcomes);
    if (close) return this.write('end');
    this.#throwFailed();
    if (this.#gathered.outcomes.length >= MOST_OUTCOMES) this.#writeSoon();
    else if (outcomes.length > 0) this.#writeIn(OUTCOMES_MS);
  }

  async upload(upload: Upload, sourceToken: string): Promise<void> {
    this.#known.addUpload(upload, sourceToken);
    this.#gathered.uploads.push({ upload, sourceToken });
    await this.write('more');
  }

  part(uploadId: string, part: Part): void {
    this.#known.addPart(uploadId, part);
    this.#gathered.parts.push({ uploadId, part });
    this.#throwFailed();
    const patience = 1 + (this.#reports / MANY_REPORTS) ** 2;
    if (this.#gathered.parts.length >= MOST_PARTS * patience) this.#writeSoon();
    else this.#writeIn(PARTS_MS * patience);
  }

  uploadOver(uploadId: string): void {
    this.#known.dropUpload(uploadId);
    const gathered = this.#gathered;
    gathered.over.push(uploadId);
    gathered.parts = gathered.parts.filter((one) => one.uploadId !== uploadId);
    this.#writeIn(OUTCOMES_MS);
  }

  /** One after the other; resolves when all that was gathered before stands. What could not be written is gathered still. */
  write(occasion: Occasion, word?: LastWord): Promise<void> {
    const written = this.#writing.then(() => this.#put(occasion, word));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  rest(): void {
    this.#timer?.stop.abort();
    this.#timer = undefined;
  }

  async #put(occasion: Occasion, word?: LastWord): Promise<void> {
    this.rest();
    const gathered = this.#gathered;
    const close = occasion === 'end' && this.#how.goesOn !== true;
    const isOver = occasion !== 'more' && this.#begun && !close;
    if (!close && !isOver && word?.pays !== true && isEmpty(gathered)) return;
    this.#gathered = nothing();
    const optional = { ...(isOver ? { over: isOver } : {}), ...(word === undefined ? {} : { gaveBack: word.gaveBack }) };
    try {
      await this.#report({ ...told(gathered), close, ...optional });
    } catch (error) {
      this.#gathered = joined(gathered, this.#gathered);
      throw error;
    }
    if (close || isOver) this.#begun = false;
    this.#reports++;
    this.#failed = undefined;
  }

  async #report(report: Omit<Report, 'worker'>): Promise<void> {
    const from = Math.max(this.#next, this.#known.reports);
    const { nth } = await this.#options.journal().report(this.#known.name, { worker: this.#options.worker, ...sendingOf(this.#known), ...report }, undefined, from);
    this.#next = nth + 1;
  }

  /** Its failure is told by the next call, or by the end of the task. */
  #writeSoon(): void {
    this.write('more').catch((error: unknown) => { this.#failed = { error }; });
  }

  #writeIn(ms: number): void {
    const { clock } = this.#options;
    const atMs = clock.monotonic() + ms;
    if (this.#timer !== undefined && this.#timer.atMs <= atMs) return;
    this.rest();
    const stop = new AbortController();
    this.#timer = { atMs, stop };
    // A sleep that is cut short means that a report was written sooner.
    void clock.sleep(ms, stop.signal).then(() => this.#writeSoon(), () => undefined);
  }

  #throwFailed(): void {
    if (this.#failed !== undefined) throw this.#failed.error;
  }
}
