/**
 * One hand at an object that several workers send: claims a span that nobody has, deals its parts to the lanes of this process, claims the next one before
 * those run dry. The owner of the object and those who answer its calls do the same; only the owner takes over what others left, because it waits for all.
 */
import { asBrigadeError, type BrigadeError, errorFacts, isKind } from '../../core/errors.ts';
import type { PartSpan } from '../../core/parts.ts';
import type { Clock } from '../../ports/clock.ts';
import type { PartRange } from '../../ports/queue.ts';
import type { Part, Upload } from '../../ports/storage.ts';
import type { Deals } from './deals.ts';
import { HeldSpan } from './held-span.ts';
import type { SpanLogs } from './span-logs.ts';

export interface TakingOptions extends Pick<PartRange, 'upload' | 'pin' | 'algorithm'> {
  readonly logs: SpanLogs;
  readonly deals: Deals;
  readonly perHolder: number;
  readonly worker: string;
  readonly hand: number;
  /** Whoever was this hand before is gone. */
  readonly again: boolean;
  /** Spans of this upload that this worker has, by whichever hand. */
  readonly mine: Set<number>;
  /** Somebody who says nothing for so long, of a span with so many entries, is gone. Infinity: that is others' matter. */
  readonly silenceMs: (entries: number) => number;
  readonly clock: Clock;
  /** Where parts of a held span are recorded. Answers the number that stands for it, and what ends that. */
  readonly open: (span: HeldSpan) => { readonly task: number; readonly close: () => void };
  /** Parts of a span that are not stored, as far as the logs and the task tell. */
  readonly missing: (span: PartSpan) => readonly number[];
}

const AGAIN_MS = 5000;

/** It does not answer, or not now: that says nothing of the object. */
export function isOfTheJournal(thrown: unknown): boolean {
  return isKind(thrown, 'transient', 'throttled');
}

export class Taking {
  /** Sent here, in this try. */
  readonly sent = new Map<number, Part>();
  readonly #options: TakingOptions;
  readonly #held = new Map<number, Promise<void>>();
  readonly #stop = new AbortController();
  /** Claims of hands that are gone: of each span the number of the claim. */
  readonly #left = new Map<number, number>();
  #begun = false;
  #error: BrigadeError | undefined;

  constructor(options: TakingOptions) {
    this.#options = options;
  }

  get logs(): SpanLogs {
    return this.#options.logs;
  }

  get upload(): Upload {
    return this.#options.upload;
  }

  /** What is wrong with the object, or with this hand. */
  get error(): BrigadeError | undefined {
    return this.#error;
  }

  /** Spans in this hand. */
  get held(): number {
    return this.#held.size;
  }

  /** The lanes will soon have nothing more of it. */
  get low(): boolean {
    const { deals, upload, perHolder } = this.#options;
    return deals.ready(upload.id) < perHolder / 2;
  }

  missing(span: PartSpan): readonly number[] {
    return this.#options.missing(span).filter((number) => !this.sent.has(number));
  }

  /** Nobody works on it. The logs were read. */
  isFree({ first }: PartSpan): boolean {
    const { logs, upload, worker, mine, silenceMs } = this.#options;
    if (mine.has(first)) return false;
    const holder = logs.holder(upload.id, first);
    if (holder === undefined || holder.worker === worker || logs.silentMs(first) > silenceMs(logs.entries(first))) return true;
    return this.#left.get(first) === logs.claimed(upload.id, first);
  }

  /** After each look at the logs. What stood there of this hand at the first one was an earlier one's. */
  looked(): void {
    const { hand, again } = this.#options;
    if (again && !this.#begun) this.inherit(hand);
    this.#begun = true;
  }

  /** Whoever was this hand is gone: its message came again. What is known to be its may be taken; what somebody claims for it from now on may not. */
  inherit(hand: number): void {
    const { logs, upload } = this.#options;
    for (const first of logs.heldBy(upload.id, hand)) this.#left.set(first, logs.claimed(upload.id, first));
  }

  /** Claims the first of these that is free; false: none is, or somebody else was faster. */
  async take(spans: readonly PartSpan[]): Promise<boolean> {
    const { logs, upload, worker, hand, mine, clock } = this.#options;
    const span = spans.find((one) => this.isFree(one) && this.missing(one).length > 0);
    if (span === undefined) return false;
    const { first } = span;
    mine.add(first);
    const held = await HeldSpan.claim({ logs, upload: upload.id, span, numbers: this.missing(span), worker, hand, clock }).catch((thrown: unknown) => {
      mine.delete(first);
      if (!isOfTheJournal(thrown)) throw thrown;
      return undefined;
    });
    if (held === undefined) {
      mine.delete(first);
      return false;
    }
    this.#held.set(first, this.#work(held).catch((thrown: unknown) => this.#fail(thrown)).finally(() => {
      mine.delete(first);
      this.#held.delete(first);
      this.#options.deals.news();
    }));
    return true;
  }

  /** Nothing more is begun; resolves when nothing is on its way, and what was done is told. */
  async end(withdraw: boolean): Promise<void> {
    if (withdraw) this.#stop.abort();
    await Promise.all(this.#held.values());
  }

  async #work(held: HeldSpan): Promise<void> {
    const { deals, upload, pin, algorithm, perHolder, hand } = this.#options;
    const { task, close } = this.#options.open(held);
    try {
      await deals.deal({ task, upload, pin, algorithm, numbers: held.numbers, perHolder, own: hand === 0 }, this.#stop.signal);
      this.#keep(held);
      await this.#tell(() => held.close());
    } catch (thrown) {
      this.#keep(held);
      const error = asBrigadeError(thrown, 'span');
      const matters = !held.lost && !isKind(error, 'cancelled');
      if (matters) this.#fail(error);
      // What is wrong where somebody helps need not be wrong where the owner is; what became of the object is so for all.
      const told = matters && (hand === 0 || isKind(error, 'changed', 'gone', 'conflict'));
      await this.#tell(() => held.release(told ? errorFacts(error) : undefined));
    } finally {
      close();
    }
  }

  /** The journal is waited for: the parts stand, and are known here. Who has to leave leaves; others find out by its silence. */
  async #tell(say: () => Promise<void>): Promise<void> {
    const { clock } = this.#options;
    for (;;) {
      try {
        return await say();
      } catch (thrown) {
        if (!isOfTheJournal(thrown)) throw thrown;
      }
      if (this.#stop.signal.aborted) return;
      await clock.sleep(AGAIN_MS, this.#stop.signal).catch(() => undefined);
    }
  }

  #keep({ stored }: HeldSpan): void {
    for (const [number, part] of stored) this.sent.set(number, part);
  }

  #fail(thrown: unknown): void {
    this.#error ??= asBrigadeError(thrown, 'span');
  }
}
