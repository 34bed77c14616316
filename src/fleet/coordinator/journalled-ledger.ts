/**
 * A ledger whose every change is in the journal before it is here: the journal is the truth, the ledger an index (design truth 8). Changes are gathered
 * while the one before them is on its way, and go as one segment: a segment costs the same whatever it holds. What was told to this ledger is seen in it a
 * moment later; `flush` waits for that, and `room` keeps who lists from running ahead of a slow journal.
 *
 * Reports of workers are folded between segments, never beside one: an amendment says how many reports came before it (ports/journal.ts).
 */
import { itemsOfAll, packTask } from '../../core/columns.ts';
import { asBrigadeError, BrigadeError, isKind } from '../../core/errors.ts';
import type { Item, Problem } from '../../core/item.ts';
import type { Key } from '../../core/key.ts';
import type { LineCursor } from '../../core/line-cursor.ts';
import { retryFailed } from '../../core/retry.ts';
import type { Clock } from '../../ports/clock.ts';
import type { CoordinatorJournal, FoldTarget, ItemChange, PlanRecord, TaskName } from '../../ports/journal.ts';
import type { Ledger, ObjectFilter, PlannedPage, Retried, Run, RunKind, RunTotals, VerifySummary, Finding } from '../../ports/ledger.ts';
import type { Events } from '../../ports/events.ts';

export interface JournalledOptions {
  readonly ledger: FoldTarget;
  readonly pen: CoordinatorJournal;
  readonly clock: Clock;
  readonly events: Events;
  /** Hears of what ends it all: another coordinator took over. */
  readonly onFailure: (error: BrigadeError) => void;
  readonly signal: AbortSignal;
}

/** A change that waits. Amendments become records only when it is their turn. */
type Waiting = { readonly records: () => readonly PlanRecord[]; readonly weight: number };

/** Items in one segment, about. */
const SEGMENT_ITEMS = 10_000;
/** Items that wait before who lists must wait, too. */
const MOST_WAITING = 40_000;
const RETRY_MS = 1000;
const RETRY_CAP_MS = 30_000;
/** Working time is told with the next change, or by itself when so much has gathered: it is worth no segment of its own. */
const ACTIVE_TOLD_MS = 10 * 60_000;
/** Sums go with the next change; by themselves seldomer and seldomer. A kill takes away what was counted since. */
const SUMS_MS = 2000;
const SUMS_CAP_MS = 5 * 60_000;
const AMEND_AT_ONCE = 5_000;

export class JournalledLedger implements Ledger {
  readonly #options: JournalledOptions;
  readonly #ledger: FoldTarget;
  #waiting: Waiting[] = [];
  #weight = 0;
  #pumping: Promise<void> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #failure: BrigadeError | undefined;
  #activeMs = 0;
  /** Told, and in no segment yet. */
  readonly #sums = new Map<number, Partial<RunTotals>>();
  #sumsDueMs = Number.NEGATIVE_INFINITY;
  #sumsEveryMs = SUMS_MS;
  readonly #forRoom: (() => void)[] = [];

  constructor(options: JournalledOptions) {
    this.#options = options;
    this.#ledger = options.ledger;
  }

  get path(): string { return this.#ledger.path; }
  get binding(): Ledger['binding'] { return this.#ledger.binding; }
  runs(): readonly Run[] { return this.#ledger.runs(); }
  run(number?: number): Run | undefined { return this.#ledger.run(number); }
  tally(run: number): ReturnType<Ledger['tally']> { return this.#ledger.tally(run); }
  totals(run: number): RunTotals { return this.#ledger.totals(run); }
  items(run: number, after?: Key): Iterable<Item> { return this.#ledger.items(run, after); }
  cursors(run: number, after?: Key): Iterable<LineCursor> { return this.#ledger.cursors(run, after); }
  shards(run: number): ReturnType<Ledger['shards']> { return this.#ledger.shards(run); }
  leftBefore(run: number, cursors?: number): (key: Key) => Item | undefined { return this.#ledger.leftBefore(run, cursors); }
  item(run: number, key: Key): ReturnType<Ledger['item']> { return this.#ledger.item(run, key); }
  objects(run: number, filter: ObjectFilter): ReturnType<Ledger['objects']> { return this.#ledger.objects(run, filter); }
  openUploads(): ReturnType<Ledger['openUploads']> { return this.#ledger.openUploads(); }
  uploadsOf(task: number): ReturnType<Ledger['uploadsOf']> { return this.#ledger.uploadsOf(task); }
  claim(...given: Parameters<Ledger['claim']>): ReturnType<Ledger['claim']> { return this.#ledger.claim(...given); }
  releaseTasks(...given: Parameters<Ledger['releaseTasks']>): number { return this.#ledger.releaseTasks(...given); }
  verifySummary(run: number): VerifySummary | undefined { return this.#ledger.verifySummary(run); }
  findings(run: number, limit?: number): readonly Finding[] { return this.#ledger.findings(run, limit); }

  /** True when everything that was told is in the journal and here. */
  get settled(): boolean {
    return this.#waiting.length === 0 && this.#pumping === undefined;
  }

  beginRun(kind: RunKind): Run {
    const number = (this.run()?.number ?? 0) + 1;
    const startedMs = this.#options.clock.now();
    this.#add([{ type: 'run', number, kind, startedMs }]);
    const listing = { sealed: false, sourceObjects: 0, sourceBytes: 0, destinationObjects: 0 };
    return { number, kind, state: 'active', stage: 'listing', startedMs, listing, activeMs: 0, resumes: 0 };
  }

  updateRun(run: number, { addActiveMs = 0, ...change }: Parameters<Ledger['updateRun']>[1]): void {
    this.#activeMs += addActiveMs;
    if (Object.keys(change).length === 0 && this.#activeMs < ACTIVE_TOLD_MS) return;
    this.#add([{ type: 'change', run, atMs: this.#options.clock.now(), change: { ...change, ...(this.#activeMs === 0 ? {} : { addActiveMs: this.#activeMs }) } }]);
    this.#activeMs = 0;
  }

  addPlan(run: number, page: PlannedPage): void {
    const tasks = page.tasks.map(packTask);
    this.#add([{ type: 'plan', run, page: { ...page, tasks } }], 1 + itemsOfAll(tasks));
  }

  addTotals(run: number, totals: Partial<RunTotals>): void {
    this.#refuseAfterFailure();
    const known = this.#sums.get(run);
    this.#sums.set(run, known === undefined ? totals : summed(known, totals));
    const now = this.#options.clock.monotonic();
    if (now < this.#sumsDueMs) return;
    this.#sumsDueMs = now + this.#sumsEveryMs;
    this.#sumsEveryMs = Math.min(SUMS_CAP_MS, this.#sumsEveryMs * 2);
    this.#tellSums();
  }

  saveVerify(run: number, summary: VerifySummary, findings: readonly Finding[]): void {
    for (let from = 0; from === 0 || from < findings.length; from += AMEND_AT_ONCE) {
      const some = findings.slice(from, from + AMEND_AT_ONCE);
      this.#add([{ type: 'verify', run, summary, findings: some, more: from > 0 }], 1 + some.length);
    }
  }

  amend(run: number, changes: readonly ItemChange[]): void {
    for (let from = 0; from < changes.length; from += AMEND_AT_ONCE) {
      const some = changes.slice(from, from + AMEND_AT_ONCE);
      this.#put({ records: () => this.#amendments(run, some), weight: some.length });
    }
  }

  retry(run: number, filter: ObjectFilter): Retried {
    return retryFailed({
      failed: this.objects(run, { ...filter, states: ['failed'] }), left: this.leftBefore(run), atOnce: AMEND_AT_ONCE,
      amend: (changes) => this.amend(run, changes),
    });
  }

  record(): Promise<void> { return Promise.reject(notHere('record')); }
  recordUpload(): Promise<void> { return Promise.reject(notHere('recordUpload')); }
  recordPart(): Promise<void> { return Promise.reject(notHere('recordPart')); }

  async forgetUpload(task: number, uploadId: string): Promise<void> {
    const name = this.#nameOf(task);
    this.#put({ records: () => [{ type: 'upload over', task: name, uploadId, after: this.#ledger.reportsFolded(name) }], weight: 1 });
    await this.flush();
  }

  /** Waits until the journal has caught up so far that more may be told. */
  async room(): Promise<void> {
    this.#refuseAfterFailure();
    if (this.#weight <= MOST_WAITING) return;
    await new Promise<void>((resolve) => { this.#forRoom.push(resolve); });
    this.#refuseAfterFailure();
  }

  /** While this works no segment is on its way: for folding reports. */
  async exclusively<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  async flush(): Promise<void> {
    this.#tellSums();
    while (this.#pumping !== undefined) await this.#pumping;
    this.#refuseAfterFailure();
    await this.#ledger.flush();
  }

  /** What is left of the working time is told; then nothing more can be. The ledger below stays open. */
  async close(): Promise<void> {
    const run = this.run();
    if (this.#activeMs > 0 && run !== undefined && this.#failure === undefined) {
      this.#add([{ type: 'change', run: run.number, atMs: this.#options.clock.now(), change: { addActiveMs: this.#activeMs } }]);
      this.#activeMs = 0;
    }
    if (this.#failure === undefined) this.#tellSums();
    while (this.#pumping !== undefined) await this.#pumping;
  }

  #add(records: readonly PlanRecord[], weight = 1): void {
    this.#put({ records: () => records, weight });
  }

  #tellSums(): void {
    if (this.#sums.size > 0) this.#add([]);
  }

  #takeSums(): readonly PlanRecord[] {
    const records = [...this.#sums].map(([run, totals]): PlanRecord => ({ type: 'totals', run, totals }));
    this.#sums.clear();
    return records;
  }

  #put(waiting: Waiting): void {
    this.#refuseAfterFailure();
    this.#waiting.push(waiting);
    this.#weight += waiting.weight;
    this.#pumping ??= this.#pump();
  }

  async #pump(): Promise<void> {
    try {
      while (this.#waiting.length > 0) await this.exclusively(() => this.#segment());
    } catch (thrown) {
      this.#fail(asBrigadeError(thrown, 'journal'));
    }
    // In one breath with the look at what waits: what is told between the two would wait for good.
    this.#pumping = undefined;
    this.#letIn();
  }

  async #segment(): Promise<void> {
    const taken: Waiting[] = [];
    let weight = 0;
    while (this.#waiting.length > 0 && (taken.length === 0 || weight + (this.#waiting[0] as Waiting).weight <= SEGMENT_ITEMS)) {
      const next = this.#waiting.shift() as Waiting;
      weight += next.weight;
      taken.push(next);
    }
    const records = [...taken.flatMap((one) => one.records()), ...this.#takeSums()];
    const place = await this.#append(records);
    const folded = this.#ledger.foldPlan(place, records);
    await Promise.all([folded, this.#ledger.flush()]);
    this.#weight -= weight;
    this.#letIn();
  }

  /** Tried until it stands: the same records again are found to be there when only the answer was lost. */
  async #append(records: readonly PlanRecord[]): Promise<Awaited<ReturnType<CoordinatorJournal['append']>>> {
    const { pen, clock, events, signal } = this.#options;
    for (let waitMs = RETRY_MS, sinceMs = clock.monotonic(), waited = false; ; waitMs = Math.min(RETRY_CAP_MS, waitMs * 2)) {
      try {
        const place = await pen.append(records, signal);
        if (waited) events.emit({ type: 'resumed' });
        return place;
      } catch (thrown) {
        const error = asBrigadeError(thrown, 'journal');
        if (signal.aborted || !isKind(error, 'transient', 'throttled', 'premise')) throw error;
        events.emit({ type: 'waiting', problem: { code: error.code, message: error.message }, sinceMs: clock.monotonic() - sinceMs });
        waited = true;
        await clock.sleep(waitMs, signal);
      }
    }
  }

  #amendments(run: number, changes: readonly ItemChange[]): readonly PlanRecord[] {
    const byTask = new Map<number, { item: Item; problem?: Problem }[]>();
    for (const change of changes) {
      const task = this.#ledger.taskOf(run, change.item.key);
      const known = byTask.get(task);
      if (known === undefined) byTask.set(task, [change]);
      else known.push(change);
    }
    return [...byTask].map(([id, some]) => {
      const task = this.#nameOf(id);
      return { type: 'amend', task, after: this.#ledger.reportsFolded(task), changes: some };
    });
  }

  #nameOf(task: number): TaskName {
    const name = this.#ledger.taskName(task);
    if (name !== undefined) return name;
    throw new BrigadeError({ code: 'E_LEDGER_UNKNOWN', kind: 'internal', op: 'journal', message: `no segment of the journal planned task ${task} of the ledger` });
  }

  #fail(error: BrigadeError): void {
    this.#failure ??= error;
    this.#waiting = [];
    this.#weight = 0;
    if (!isKind(error, 'cancelled')) this.#options.onFailure(error);
  }

  #refuseAfterFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #letIn(): void {
    if (this.#weight > MOST_WAITING) return;
    for (const enter of this.#forRoom.splice(0)) enter();
  }
}

function summed(a: Partial<RunTotals>, b: Partial<RunTotals>): Partial<RunTotals> {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof RunTotals>;
  return Object.fromEntries([...names].map((name) => [name, plus(a[name], b[name])])) as Partial<RunTotals>;
}

type Amount = number | Readonly<Record<string, number>> | undefined;

function plus(a: Amount, b: Amount): Amount {
  if (typeof a === 'number' || typeof b === 'number') return Number(a ?? 0) + Number(b ?? 0);
  const sums = { ...a };
  for (const [name, by] of Object.entries(b ?? {})) sums[name] = (sums[name] ?? 0) + by;
  return sums;
}

/** In a fleet, workers say what became of objects, in the journal. */
function notHere(op: string): BrigadeError {
  return new BrigadeError({ code: 'E_INTERNAL', kind: 'internal', op, message: 'outcomes come into the ledger of a fleet from the journal alone' });
}
