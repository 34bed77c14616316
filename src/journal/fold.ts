/**
 * Folds a journal into a ledger: first the plan log, in its order, then the reports. Reports of different work have nothing to do with each other,
 * those of the same work are folded in the order of their numbers; so the ledger becomes the same in whatever order, and however often, they
 * are seen. What was folded is marked in the transaction that folded it: after a crash the next fold goes on from there.
 */
import { itemsOfAll } from '../core/columns.ts';
import { BrigadeError } from '../core/errors.ts';
import { outcomeCount } from '../core/outcome-columns.ts';
import type { Damage, FoldTarget, Journal, PlanRecord, ReadPlan, ReadReport, ReportPlace, SegmentPlace, TaskName, WorkName } from '../ports/journal.ts';
import { comparePlaces, reportKey } from './names.ts';
import { damage } from './frame.ts';
import { unbelievable } from './shelf.ts';

export interface FoldOptions {
  /** Look at the reports of all tasks, also of those that are done: before a run is closed, and for rebuild. Default: from the oldest task that is not. */
  readonly all?: boolean;
  /** Only reports: for who holds the pen, and folds each segment as it writes it. What there is of the plan log costs half a dozen requests to find out. */
  readonly reportsOnly?: boolean;
  readonly signal?: AbortSignal;
}

export interface Folded {
  /** Segments and reports that were new. */
  readonly plans: number;
  readonly reports: number;
  /** Reports of tasks that no segment planned which counts; the first hundred by name. */
  readonly strangers: number;
  readonly strange: readonly ReportPlace[];
  /** Reports that could not be believed: their tasks are in doubt. */
  readonly damages: readonly Damage[];
}

/** Objects that wait for their transaction. */
const MOST_WAITING = 20_000;
const MOST_TOLD = 100;

/**
 * @throws BrigadeError premise E_JOURNAL_DAMAGED: a segment of the plan log cannot be believed; what came before it is folded.
 * @throws BrigadeError usage E_LEDGER_BEYOND: this ledger folded what no longer counts.
 */
export async function fold(journal: Journal, ledger: FoldTarget, options: FoldOptions = {}): Promise<Folded> {
  const folder = new Folder(journal, ledger, options);
  try {
    if (options.reportsOnly !== true) await folder.plans();
    await folder.reports();
  } finally {
    await folder.settle();
  }
  return folder.result();
}

class Folder {
  readonly #journal: Journal;
  readonly #ledger: FoldTarget;
  readonly #options: FoldOptions;
  /** Reports of a piece of work that are folded, or on their way to the disk. */
  readonly #next = new Map<string, number>();
  readonly #strange: ReportPlace[] = [];
  readonly #damages: Damage[] = [];
  #counts = { plans: 0, reports: 0, strangers: 0 };
  #waiting: Promise<void>[] = [];
  #weight = 0;

  constructor(journal: Journal, ledger: FoldTarget, options: FoldOptions) {
    this.#journal = journal;
    this.#ledger = ledger;
    this.#options = options;
  }

  async plans(): Promise<void> {
    const from = this.#ledger.foldedTo();
    if (from !== undefined) await this.#refuseBeyond(from);
    for await (const { epoch, seq, records, damage: wrong } of from === undefined ? this.#journal.plans(undefined, this.#options.signal) : this.#plansBehind(from)) {
      if (wrong !== undefined || records === undefined) throw unbelievable(wrong as Damage);
      for (const record of records) if (record.type === 'amend' || record.type === 'upload over') await this.#reportsBefore(record.task, record.after ?? 0);
      this.#counts.plans++;
      await this.#wait(this.#ledger.foldPlan({ epoch, seq }, records), weightOf(records));
    }
    await this.settle();
  }

  /** The one that was folded last must stand in this journal: another one has the same numbers, and knows nothing of the run. */
  async *#plansBehind(from: SegmentPlace): AsyncGenerator<ReadPlan> {
    let isKnown = false;
    for await (const read of this.#journal.plans({ epoch: from.epoch, seq: from.seq - 1 }, this.#options.signal)) {
      if (isKnown) yield read;
      else if (comparePlaces(read, from) !== 0 || read.damage?.kind === 'gone') break;
      isKnown = true;
    }
    if (!isKnown) throw this.#beyond(from);
  }

  async reports(): Promise<void> {
    const { all, signal } = this.#options;
    const from = all === true ? undefined : this.#ledger.unfinishedFrom();
    if (from === undefined && all !== true) return;
    for await (const read of this.#journal.reports(from, (place) => this.#isFolded(place), signal)) {
      await this.#reportsBefore(read.work, read.nth);
      await this.#fold(read);
    }
  }

  /** Everything given to the ledger so far is on disk. */
  async settle(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#weight = 0;
    if (waiting.length === 0) return;
    // A commit that fails rejects every step in it, so the error comes from there.
    await this.#ledger.flush().catch(() => undefined);
    await Promise.all(waiting);
    this.#next.clear();
  }

  result(): Folded {
    return { ...this.#counts, strange: this.#strange, damages: this.#damages };
  }

  /** The reports of this work up to this one, not with it: those that a listing did not show yet are asked for by name. */
  async #reportsBefore(work: WorkName, nth: number): Promise<void> {
    if (nth === 0) return;
    // An amendment of tasks planned by segments that still wait: they must be known before it can be said what was folded of them.
    if (this.#ledger.ledgerTask(work) === undefined) await this.settle();
    if (this.#ledger.ledgerTask(work) === undefined) return;
    for (let at = this.#folded(work); at < nth; at++) {
      const place = { work, nth: at };
      const read = await this.#journal.readReport(place, this.#options.signal);
      await this.#fold(read ?? { ...place, damage: damage(reportKey(place), 'gone', 'there are later ones, but not this one', 'nothing: its task is in doubt and is done again') });
    }
  }

  async #fold({ work, nth, report, damage: wrong }: ReadReport): Promise<void> {
    if (this.#ledger.ledgerTask(work) === undefined) {
      this.#counts.strangers++;
      if (this.#strange.length < MOST_TOLD) this.#strange.push({ work, nth });
      return;
    }
    if (nth < this.#folded(work)) return;
    if (wrong !== undefined) this.#damages.push(wrong);
    this.#counts.reports++;
    this.#next.set(nameOf(work), nth + 1);
    await this.#wait(this.#ledger.foldReport({ work, nth }, report), 1 + outcomeCount(report));
  }

  #isFolded({ work, nth }: ReportPlace): boolean {
    return nth < this.#ledger.reportsFolded(work);
  }

  #folded(work: WorkName): number {
    return this.#next.get(nameOf(work)) ?? this.#ledger.reportsFolded(work);
  }

  async #wait(step: Promise<void>, weight: number): Promise<void> {
    // Its error is told when all that wait are settled.
    step.catch(() => undefined);
    this.#waiting.push(step);
    this.#weight += weight;
    if (this.#weight >= MOST_WAITING) await this.settle();
  }

  async #refuseBeyond(from: SegmentPlace): Promise<void> {
    const last = (await this.#journal.fences(this.#options.signal)).get(from.epoch) ?? Infinity;
    const current = await this.#journal.current(this.#options.signal);
    if (comparePlaces(from, { epoch: from.epoch, seq: last }) <= 0 && from.epoch <= (current?.epoch ?? 0)) return;
    throw this.#beyond(from);
  }

  #beyond({ epoch, seq }: SegmentPlace): BrigadeError {
    return new BrigadeError({
      code: 'E_LEDGER_BEYOND', kind: 'usage', op: 'fold', location: this.#ledger.path,
      message: `the ledger has folded segment ${seq} of epoch ${epoch}, which does not count in this journal`, hint: 'look whether --journal names the place that the run has, or make the ledger again from it: brigade ledger rebuild',
    });
  }
}

function nameOf({ epoch, seq, task, firstPart = 0 }: WorkName & TaskName): string {
  return `${epoch}/${seq}/${task}/${firstPart}`;
}

function weightOf(records: readonly PlanRecord[]): number {
  return records.reduce((sum, record) => sum + (record.type === 'plan' ? itemsOfAll(record.page.tasks) : 1), 1);
}
