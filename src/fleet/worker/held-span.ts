/**
 * A span of parts in this worker's hand. What is stored of it is told to its log now and then, and that it is still at work when nothing is: whoever
 * waits for it takes it over when it is silent for long. An entry of somebody else's among ours says that this has happened.
 */
import { BrigadeError, type ErrorFacts } from '../../core/errors.ts';
import type { PartSpan } from '../../core/parts.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Report } from '../../ports/journal.ts';
import type { Part } from '../../ports/storage.ts';
import type { SpanLogs } from './span-logs.ts';

const TELL_MS = 5000;
/** An entry that holds no part costs a write: so many silent turns come first. */
const SILENT_TURNS = 3;
const MOST_PARTS = 64;
const MANY_ENTRIES = 50;

/** The more is said of a span the seldomer it is spoken of: its log has room for a thousand entries, and a window in which nothing moves lasts for hours. */
const patience = (entries: number): number => 1 + (entries / MANY_ENTRIES) ** 2;

/** So long between two entries, at most, where there are so many. */
export function longestSilenceMs(entries: number): number {
  return TELL_MS * (SILENT_TURNS + 1) * patience(entries);
}

export interface HeldSpanOptions {
  readonly logs: SpanLogs;
  readonly upload: string;
  readonly span: PartSpan;
  /** Those that are not stored yet. */
  readonly numbers: readonly number[];
  readonly worker: string;
  readonly hand: number;
  readonly clock: Clock;
}

export class HeldSpan {
  readonly span: PartSpan;
  readonly numbers: readonly number[];
  /** Sent by this worker. */
  readonly stored = new Map<number, Part>();
  readonly #options: HeldSpanOptions;
  readonly #claimed: number;
  readonly #ended = new AbortController();
  #gathered: Part[] = [];
  #writing: Promise<void> = Promise.resolve();
  #lost = false;

  constructor(options: HeldSpanOptions, claimed: number) {
    this.#options = options;
    this.#claimed = claimed;
    this.span = options.span;
    this.numbers = options.numbers;
    void this.#keep();
  }

  /** Undefined: somebody else has it. */
  static async claim(options: HeldSpanOptions): Promise<HeldSpan | undefined> {
    const { logs, upload, span: { first }, worker, hand } = options;
    const nth = await logs.write(first, { ...silent(worker), span: { upload, claim: { over: logs.claimed(upload, first), hand } } });
    return logs.claimed(upload, first) === nth ? new HeldSpan(options, nth) : undefined;
  }

  /** Somebody else took it over: nothing more of it is begun. */
  get lost(): boolean {
    return this.#lost;
  }

  /** @throws gone E_SPAN_TAKEN: this part is told of still, the others are somebody else's. */
  part(part: Part): void {
    this.stored.set(part.number, part);
    this.#gathered.push(part);
    if (this.#lost) throw new BrigadeError({ code: 'E_SPAN_TAKEN', kind: 'gone', op: 'putPart', message: 'somebody else took over this part of the object' });
    if (this.#gathered.length >= MOST_PARTS * this.#patience) this.#write({}).catch(() => undefined); // gathered still: the next entry has them, and the last one fails
  }

  /** All of it is stored. */
  close(): Promise<void> {
    return this.#end({ close: true });
  }

  /** `problem`: what ends this try of the whole object. */
  release(problem?: ErrorFacts): Promise<void> {
    return this.#end({ released: true, ...(problem === undefined ? {} : { problem }) });
  }

  async #end({ close = false, ...word }: Omit<NonNullable<Report['span']>, 'upload'> & { readonly close?: boolean }): Promise<void> {
    this.#ended.abort();
    await this.#write(word, close);
  }

  get #patience(): number {
    const { logs, span } = this.#options;
    return patience(logs.entries(span.first));
  }

  async #keep(): Promise<void> {
    const { clock } = this.#options;
    for (let silence = 0; ; ) {
      await clock.sleep(TELL_MS * this.#patience, this.#ended.signal).catch(() => undefined);
      if (this.#ended.signal.aborted || this.#lost) return;
      if (this.#gathered.length === 0 && silence++ < SILENT_TURNS) continue;
      silence = 0;
      // A journal that does not answer now is asked again in the next turn; if it never does, others take over.
      await this.#write({}).catch(() => undefined);
    }
  }

  /** One after the other. What could not be written is gathered still. */
  #write(word: Omit<NonNullable<Report['span']>, 'upload'>, close = false): Promise<void> {
    const written = this.#writing.then(() => this.#put(word, close));
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #put(word: Omit<NonNullable<Report['span']>, 'upload'>, close: boolean): Promise<void> {
    const { logs, upload, span: { first }, worker } = this.#options;
    const parts = this.#gathered;
    this.#gathered = [];
    try {
      await logs.write(first, { ...silent(worker), close, parts: parts.map((part) => ({ uploadId: upload, part })), span: { upload, ...word } });
    } catch (error) {
      this.#gathered = [...parts, ...this.#gathered];
      throw error;
    }
    this.#lost ||= logs.claimed(upload, first) !== this.#claimed;
  }
}

function silent(worker: string): Report {
  return { worker, outcomes: [], close: false, parts: [] };
}
