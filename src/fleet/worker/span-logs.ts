/**
 * Whose the spans of one object are, as the reports of its spans say. Of each span there is a log, in which each entry is one conditional write: who
 * claims it names the claim before, so that of two who claim at once one has it, and both see who. Nobody can keep anybody from sending parts; a span is
 * claimed so that no two do for nothing. What stands in the end is what the store lists, and what is written is guarded as ever.
 */
import type { BrigadeError, ErrorFacts } from '../../core/errors.ts';
import { BrigadeError as Failure } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Journal, Report, TaskName } from '../../ports/journal.ts';
import type { Part } from '../../ports/storage.ts';

export interface Holder {
  readonly worker: string;
  /** 0: the owner of the object; else the number of the call that it answers. */
  readonly hand: number;
}

/** Up to where each log was read. */
export type Mark = ReadonlyMap<number, number>;

interface Log {
  /** Entries that were read. */
  next: number;
  /** When the last of them was, by this process's clock. */
  heardMs: number;
  readonly uploads: Map<string, OfUpload>;
}

interface OfUpload {
  /** The number of the last claim that held; -1: none. */
  claimed: number;
  holder: Holder | undefined;
  readonly parts: Map<number, { readonly part: Part; readonly nth: number }>;
}

interface Told { readonly upload: string; readonly error: ErrorFacts }

export interface SpanLogsOptions {
  readonly journal: () => Journal;
  readonly task: TaskName;
  readonly clock: Clock;
}

export class SpanLogs {
  readonly #options: SpanLogsOptions;
  readonly #logs = new Map<number, Log>();
  readonly #problems: Told[] = [];
  readonly #hands = new Set<number>();

  constructor(options: SpanLogsOptions) {
    this.#options = options;
  }

  /** Nothing is known of any span. */
  get empty(): boolean {
    return this.#logs.size === 0;
  }

  /** Calls that somebody has answered. */
  get hands(): ReadonlySet<number> {
    return this.#hands;
  }

  /** Reads what is new, in all of them. */
  async catchUp(signal?: AbortSignal): Promise<void> {
    const { journal, task } = this.#options;
    for await (const { work, nth, report } of journal().spanReports(task, (place) => this.#knows(place.work.firstPart ?? 0, place.nth), signal)) {
      const first = work.firstPart ?? 0;
      await this.#readTo(first, nth, signal);
      this.#take(first, nth, report);
    }
  }

  /** Who has this span. */
  holder(upload: string, first: number): Holder | undefined {
    return this.#logs.get(first)?.uploads.get(upload)?.holder;
  }

  /** Spans that this hand has. */
  heldBy(upload: string, hand: number): readonly number[] {
    return [...this.#logs].filter(([, { uploads }]) => uploads.get(upload)?.holder?.hand === hand).map(([first]) => first);
  }

  /** The number of the last claim that held; -1: none. */
  claimed(upload: string, first: number): number {
    return this.#logs.get(first)?.uploads.get(upload)?.claimed ?? -1;
  }

  /** So many entries of this span were read: the first ones. */
  entries(first: number): number {
    return this.#logs.get(first)?.next ?? 0;
  }

  /** So long nothing was heard of this span. */
  silentMs(first: number): number {
    const log = this.#logs.get(first);
    return log === undefined ? 0 : this.#options.clock.monotonic() - log.heardMs;
  }

  parts(upload: string): ReadonlyMap<number, Part> {
    const all = new Map<number, Part>();
    for (const { uploads } of this.#logs.values()) for (const [number, { part }] of uploads.get(upload)?.parts ?? []) all.set(number, part);
    return all;
  }

  mark(): Mark {
    return new Map([...this.#logs].map(([first, { next }]) => [first, next]));
  }

  /** A part of this span, where it was told of behind the mark. */
  partSince(mark: Mark, upload: string, first: number, number: number): Part | undefined {
    const found = this.#logs.get(first)?.uploads.get(upload)?.parts.get(number);
    return found === undefined || found.nth < (mark.get(first) ?? 0) ? undefined : found.part;
  }

  /** How many tries were given up so far, for `problemSince`. */
  get problems(): number {
    return this.#problems.length;
  }

  problemSince(count: number, upload: string): BrigadeError | undefined {
    const found = this.#problems.slice(count).find((told) => told.upload === upload);
    return found === undefined ? undefined : new Failure(found.error);
  }

  /** Adds an entry, behind all that stand. Answers its number; what came between is known then, too. */
  async write(first: number, report: Report): Promise<number> {
    const { journal, task } = this.#options;
    const { nth } = await journal().report({ ...task, firstPart: first }, report, undefined, this.#log(first).next);
    await this.#readTo(first, nth);
    this.#take(first, nth, report);
    return nth;
  }

  #log(first: number): Log {
    const known = this.#logs.get(first);
    if (known !== undefined) return known;
    const log: Log = { next: 0, heardMs: this.#options.clock.monotonic(), uploads: new Map() };
    this.#logs.set(first, log);
    return log;
  }

  #knows(first: number, nth: number): boolean {
    return nth < (this.#logs.get(first)?.next ?? 0);
  }

  /** Those that a listing did not show, or that others wrote meanwhile. */
  async #readTo(first: number, nth: number, signal?: AbortSignal): Promise<void> {
    const { journal, task } = this.#options;
    for (let at = this.#log(first).next; at < nth; at = this.#log(first).next) {
      const read = await journal().readReport({ work: { ...task, firstPart: first }, nth: at }, signal);
      this.#take(first, at, read?.report);
    }
  }

  /** Each once, in order, whoever reads beside. One that is damaged says nothing. */
  #take(first: number, nth: number, report: Report | undefined): void {
    const log = this.#log(first);
    if (nth !== log.next) return;
    log.next++;
    log.heardMs = this.#options.clock.monotonic();
    if (report?.span !== undefined) this.#hear(log, nth, report, report.span);
  }

  #hear({ uploads }: Log, nth: number, { worker, close, parts }: Report, { upload, claim, released, problem }: NonNullable<Report['span']>): void {
    const state = uploads.get(upload) ?? { claimed: -1, holder: undefined, parts: new Map() };
    uploads.set(upload, state);
    if (claim !== undefined) {
      this.#hands.add(claim.hand);
      if (claim.over === state.claimed) Object.assign(state, { claimed: nth, holder: { worker, hand: claim.hand } });
    }
    for (const { uploadId, part } of parts) if (uploadId === upload) state.parts.set(part.number, { part, nth });
    if ((close || released === true) && state.holder?.worker === worker) state.holder = undefined;
    if (problem !== undefined) this.#problems.push({ upload, error: problem });
  }
}
