/** The writing half of the ledger: one coordinator, one connection. See ports/ledger.ts for what each call promises. */
import { itemCount, itemsOfAll } from '../../core/columns.ts';
import { BrigadeError } from '../../core/errors.ts';
import { keyFromBytes, keyToBytes, showKey } from '../../core/key.ts';
import { outcomeCount } from '../../core/outcome-columns.ts';
import { retryFailed } from '../../core/retry.ts';
import { unpack } from './block.ts';
import { Folding, type FoldSteps } from './folding.ts';
import { CommitGroup } from './group.ts';
import { disorder, planned, type Planned } from './planned.ts';
import { LedgerReader } from './reader.ts';
import { shardRow, totalRows } from './rows.ts';
import { Tasks } from './tasks.ts';
import { prunable, pruneRun, shrink } from './upkeep.ts';
import type { Item, Outcome, Problem, Tally } from '../../core/item.ts';
import type { Key } from '../../core/key.ts';
import type { LineCursor } from '../../core/line-cursor.ts';
import type { Shard } from '../../core/shard.ts';
import type { SizeClass } from '../../core/pack.ts';
import type { Clock } from '../../ports/clock.ts';
import type { FoldTarget, PlanRecord, Report, ReportPlace, SegmentPlace, TaskName, WorkName } from '../../ports/journal.ts';
import type { Binding, Finding, LeasedTask, Ledger, Listing, ObjectFilter, ObjectRow, PlannedPage, RecordedUpload, Retried, Run, RunKind, RunTotals, VerifySummary } from '../../ports/ledger.ts';
import type { Part, Upload } from '../../ports/storage.ts';
import type { Connection } from './connection.ts';

export interface SqliteLedgerParts {
  readonly connection: Connection;
  readonly binding: Binding;
  readonly clock: Clock;
  /** Milliseconds an outcome waits for others before its transaction; at most 250 (design §5). */
  readonly groupMs: number;
  /** What remains to be done once the connection may close: the clean mark, locks. */
  readonly onClose: () => void;
}

const GROUP_WEIGHT = 4000;
/** Keys changed per transaction, so that amending a whole run does not make one transaction of it. */
const AMEND_AT_ONCE = 20_000;
/** Behind every key. */
const LAST = Buffer.alloc(8192, 0xff);

export class SqliteLedger implements FoldTarget {
  readonly path: string;
  readonly binding: Binding;
  readonly #parts: SqliteLedgerParts;
  readonly #connection: Connection;
  readonly #reader: LedgerReader;
  readonly #tasks: Tasks;
  readonly #group: CommitGroup;
  readonly #folding: Folding;
  /** Of a fleet's journal. */
  #isIndex: boolean;
  #closed = false;

  constructor(parts: SqliteLedgerParts) {
    this.#parts = parts;
    this.#connection = parts.connection;
    this.path = parts.connection.path;
    this.binding = parts.binding;
    this.#reader = new LedgerReader(parts.connection);
    this.#tasks = new Tasks(parts.connection);
    this.#group = new CommitGroup(parts.connection, { clock: parts.clock, waitMs: Math.min(250, parts.groupMs), weight: GROUP_WEIGHT, onRollback: () => this.#tasks.forget() });
    this.#folding = new Folding(parts.connection, this.#foldSteps());
    this.#isIndex = this.#folding.foldedTo() !== undefined;
  }

  runs(): readonly Run[] { return this.#reader.runs(); }
  run(number?: number): Run | undefined { return this.#reader.run(number); }
  tally(run: number): Tally { return this.#reader.tally(run); }
  totals(run: number): RunTotals { return this.#reader.totals(run); }
  items(run: number, after?: Key): Iterable<Item> { return this.#reader.items(run, after); }
  cursors(run: number, after?: Key): Iterable<LineCursor> { return this.#reader.cursors(run, after); }
  shards(run: number): readonly Shard[] { return this.#reader.shards(run); }
  leftBefore(run: number, cursors?: number): (key: Key) => Item | undefined { return this.#reader.leftBefore(run, cursors); }
  item(run: number, key: Key): ObjectRow | undefined { return this.#reader.item(run, key); }
  objects(run: number, filter: ObjectFilter): Iterable<ObjectRow> { return this.#reader.objects(run, filter); }
  openUploads(): readonly (RecordedUpload & { readonly run: number; readonly task: number })[] { return this.#reader.openUploads(); }
  uploadsOf(task: number): readonly RecordedUpload[] { return this.#reader.uploadsOfTask(task); }
  verifySummary(run: number): VerifySummary | undefined { return this.#reader.verifySummary(run); }
  findings(run: number, limit?: number): readonly Finding[] { return this.#reader.findings(run, limit); }

  beginRun(kind: RunKind): Run {
    const number = (this.run()?.number ?? 0) + 1;
    this.#group.commit('beginRun', () => this.#addRun(number, kind, this.#parts.clock.now()));
    return this.#mustRun(number);
  }

  updateRun(number: number, change: Parameters<Ledger['updateRun']>[1]): void {
    this.#group.commit('updateRun', () => this.#changeRun(number, change, this.#parts.clock.now()));
  }

  addPlan(run: number, page: PlannedPage): void {
    this.#mustRun(run);
    this.#group.commit('addPlan', () => this.#addPage(run, page));
  }

  claim(run: number, limit: number, holder: string, size?: SizeClass): readonly LeasedTask[] {
    const ready = size === undefined ? 'readyTasks' : size === 'small' ? 'readySmall' : 'readyLarge';
    return this.#group.commit('claim', () => {
      const ids = this.#connection.sql(ready).all(run, limit).map((row) => Number(row['id']));
      return ids.map((id) => this.#lease(id, holder));
    });
  }

  releaseTasks(run: number, holder?: string, task?: number): number {
    return this.#group.commit('releaseTasks', () => {
      if (holder === undefined) return Number(this.#connection.sql('releaseAll').run(run).changes);
      return Number((task === undefined ? this.#connection.sql('releaseOf').run(run, holder) : this.#connection.sql('releaseOne').run(run, holder, task)).changes);
    });
  }

  async record(task: number, outcomes: readonly Outcome[], close: boolean): Promise<void> {
    this.#connection.read('record', () => this.#tasks.mustHold(task, outcomes.map((outcome) => outcome.key)));
    await this.#group.add(outcomes.length + 1, () => this.#tasks.record(task, outcomes, close));
  }

  async recordUpload(task: number, upload: Upload, sourceToken: string): Promise<void> {
    const { run } = this.#connection.read('recordUpload', () => this.#tasks.open(task));
    await this.#group.add(1, () => {
      this.#connection.sql('addUpload').run(task, upload.id, run, keyToBytes(upload.key), upload.size, upload.partSize, upload.checksumAlgorithm ?? null, sourceToken);
    });
  }

  async recordPart(task: number, uploadId: string, part: Part): Promise<void> {
    await this.#group.add(1, () => {
      this.#connection.sql('addPart').run(task, uploadId, part.number, part.size, part.token, part.checksum?.algorithm ?? null, part.checksum?.hex ?? null);
    });
  }

  async forgetUpload(task: number, uploadId: string): Promise<void> {
    await this.#group.add(1, () => {
      this.#connection.sql('dropParts').run(task, uploadId);
      this.#connection.sql('dropUpload').run(task, uploadId);
    });
  }

  addTotals(run: number, totals: Partial<RunTotals>): void {
    this.#group.commit('addTotals', () => {
      this.#sumTotals(run, totals);
    });
  }

  foldedTo(): SegmentPlace | undefined { return this.#folding.foldedTo(); }
  ledgerTask(name: TaskName): number | undefined { return this.#folding.ledgerTask(name); }
  taskName(task: number): TaskName | undefined { return this.#folding.taskName(task); }
  held(run: number, holder: string): readonly number[] { return this.#connection.sql('heldTasks').all(run, holder).map((row) => Number(row['id'])); }
  openTasks(run: number): number { return Number(this.#connection.sql('openTasks').get(run)?.['tasks'] ?? 0); }
  leasedTask(task: number): LeasedTask { return this.#connection.read('leasedTask', () => this.#leased(task)); }
  taskOf(run: number, key: Key): number {
    const task = this.#reader.taskOfKey(run, key);
    if (task === undefined) throw new BrigadeError({ code: 'E_LEDGER_UNKNOWN', kind: 'internal', message: `run ${run} never listed ${showKey(key)}` });
    return task;
  }

  reportsFolded(work: WorkName): number { return this.#folding.reportsFolded(work); }
  unfinishedFrom(): SegmentPlace | undefined { return this.#folding.unfinishedFrom(); }

  async foldPlan(place: SegmentPlace, records: readonly PlanRecord[]): Promise<void> {
    this.#isIndex = true;
    await this.#group.add(1 + weightOf(records), () => this.#folding.plan(place, records));
  }

  async foldReport(place: ReportPlace, report: Report | undefined): Promise<void> {
    await this.#group.add(1 + outcomeCount(report), () => this.#folding.report(place, report));
  }

  amend(run: number, changes: readonly { readonly item: Item; readonly problem?: Problem }[]): void {
    for (let from = 0; from < changes.length; from += AMEND_AT_ONCE) {
      this.#group.commit('amend', () => this.#amendSome(run, changes.slice(from, from + AMEND_AT_ONCE)));
    }
  }

  retry(run: number, filter: ObjectFilter): Retried {
    this.#group.commit('retry', () => undefined);
    return retryFailed({
      failed: this.objects(run, { ...filter, states: ['failed'] }), left: this.leftBefore(run), atOnce: AMEND_AT_ONCE,
      amend: (changes) => this.amend(run, changes),
    });
  }

  saveVerify(run: number, summary: VerifySummary, findings: readonly Finding[]): void {
    this.#group.commit('saveVerify', () => this.#putVerify(run, summary, findings, false));
  }

  /** Drops the objects of all but the newest `keep` runs; never those that the next delta plan or an unfinished run needs. Returns the runs pruned. */
  prune(keep: number): readonly number[] {
    this.#group.commit('prune', () => undefined);
    const runs = prunable(this.runs(), keep).map((run) => run.number).filter((run) => pruneRun(this.#connection, run));
    this.#tasks.forget();
    shrink(this.#connection);
    return runs;
  }

  async flush(): Promise<void> {
    await this.#group.flush();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.#group.flush();
    } finally {
      this.#parts.onClose();
    }
  }

  #amendSome(run: number, changes: readonly { readonly item: Item; readonly problem?: Problem }[]): void {
    const byTask = new Map<number, { readonly item: Item; readonly problem?: Problem }[]>();
    for (const change of changes) {
      const task = this.taskOf(run, change.item.key);
      const known = byTask.get(task);
      if (known === undefined) byTask.set(task, [change]);
      else known.push(change);
    }
    for (const [task, some] of byTask) this.#tasks.amend(task, some);
  }

  #lease(id: number, holder: string): LeasedTask {
    this.#connection.sql('leaseTask').run(holder, id);
    this.#tasks.lease(id);
    return this.#leased(id);
  }

  #leased(id: number): LeasedTask {
    const row = this.#connection.sql('task').get(id);
    // In a fleet it goes on as it is, and comes back much later.
    const packed = this.#isIndex ? this.#tasks.allPending(id) : undefined;
    if (packed !== undefined) return packedTask(packed, { id, run: Number(row?.['run']), inDoubt: row?.['in_doubt'] === 1, deliveries: Number(row?.['deliveries']) });
    const task = this.#tasks.open(id);
    const items = [...task.lines.values()].map((line) => line.item).filter((item) => item.state === 'pending');
    // With hundreds of others between: to keep them all would only fill the memory.
    if (this.#isIndex) this.#tasks.letGo(id);
    return { id, run: task.run, items, inDoubt: row?.['in_doubt'] === 1, deliveries: Number(row?.['deliveries']) };
  }

  /** Tasks must not overlap, or a key could be found twice. They come in any order: the neighbours in the order of keys tell. */
  #refuseOverlap(run: number, { firstKey, lastKey }: Planned): void {
    const before = this.#connection.sql('taskAt').get(run, firstKey);
    const behind = this.#connection.sql('nextTask').get(run, firstKey);
    const overlaps = (before !== undefined && Buffer.compare(before['last_key'] as Uint8Array, firstKey) >= 0)
      || (behind !== undefined && Buffer.compare(behind['first_key'] as Uint8Array, lastKey) <= 0);
    if (overlaps) throw disorder(`${showKey(keyFromBytes(firstKey))} to ${showKey(keyFromBytes(lastKey))} was planned already, or a part of it`);
  }

  /** What the shards say they listed is what the tasks hold. */
  #proveHeld(run: number): void {
    for (const shard of this.#reader.shards(run)) {
      const low = shard.after === undefined ? Buffer.alloc(0) : Buffer.concat([keyToBytes(shard.after), Buffer.alloc(1)]);
      const held = this.#connection.sql('heldIn').get(run, low, shard.upTo === undefined ? LAST : keyToBytes(shard.upTo));
      const same = (key: Key | undefined, bytes: unknown): boolean => (key === undefined ? bytes === null : bytes instanceof Uint8Array && keyToBytes(key).equals(bytes));
      if (held?.['items'] === shard.items && same(shard.firstKey, held['first_key']) && same(shard.lastKey, held['last_key'])) continue;
      throw new BrigadeError({ code: 'E_LIST_GAP', kind: 'internal', op: 'addPlan', message: `shard ${shard.number} listed ${shard.items} objects and its tasks hold ${Number(held?.['items'])}`, hint: 'run --new lists again' });
    }
  }

  #foldSteps(): FoldSteps {
    return {
      tasks: this.#tasks,
      begin: ({ number, kind, startedMs }) => this.#addRun(number, kind, startedMs),
      change: ({ run, change, atMs }) => this.#changeRun(run, change, atMs),
      plan: ({ run, page }) => this.#addPage(run, page),
      addTotals: ({ run, totals }) => this.#sumTotals(run, totals),
      verified: ({ run, summary, findings, more }) => this.#putVerify(run, summary, findings, more),
    };
  }

  #putVerify(run: number, summary: VerifySummary, findings: readonly Finding[], more: boolean): void {
    const side = (checksum: Finding['source']) => (checksum === undefined ? null : JSON.stringify(checksum));
    this.#connection.sql('setVerify').run(run, JSON.stringify(summary));
    if (!more) this.#connection.sql('clearFindings').run(run);
    for (const found of findings) {
      this.#connection.sql('addFinding').run(run, keyToBytes(found.key), found.kind, found.message, side(found.source), side(found.destination));
    }
  }

  #addRun(number: number, kind: RunKind, startedMs: number): void {
    this.#connection.sql('addRun').run(number, kind, startedMs);
    this.#connection.sql('addTally').run(number);
  }

  #changeRun(number: number, change: Parameters<Ledger['updateRun']>[1], atMs: number): void {
    const run = this.#mustRun(number);
    const state = change.state ?? run.state;
    const pause = change.pause === undefined ? run.pause : change.pause;
    const ended = state === 'finished' || state === 'abandoned' ? run.endedMs ?? atMs : null;
    this.#connection.sql('changeRun').run(
      state, change.stage ?? run.stage, pause === undefined || pause === null ? null : JSON.stringify(pause), ended,
      change.addActiveMs ?? 0, change.resumed === true ? 1 : 0, number,
    );
  }

  #addPage(run: number, page: PlannedPage): void {
    for (const task of page.tasks) {
      if (itemCount(task) === 0) throw new BrigadeError({ code: 'E_INTERNAL', kind: 'internal', message: 'a task without items', op: 'addPlan' });
      const facts = planned(task);
      this.#refuseOverlap(run, facts);
      this.#tasks.add(run, facts, task.problems);
    }
    for (const shard of page.shards) this.#connection.sql('setShard').run(run, ...shardRow(shard));
    if (page.listing.sealed) this.#proveHeld(run);
    this.#setListing(run, page.listing);
  }

  #sumTotals(run: number, totals: Partial<RunTotals>): void {
    for (const [name, value] of totalRows(totals)) if (value !== 0) this.#connection.sql('addTotal').run(run, name, value);
  }

  #setListing(run: number, listing: Listing): void {
    this.#connection.sql('setListing').run(listing.sealed ? 1 : 0, listing.sourceObjects, listing.sourceBytes, listing.destinationObjects, run);
  }

  #mustRun(number: number): Run {
    const run = this.run(number);
    if (run === undefined) throw new BrigadeError({ code: 'E_LEDGER_UNKNOWN', kind: 'internal', message: `the ledger has no run ${number}` });
    return run;
  }
}

/** Its items are taken apart only for who asks for them. */
function packedTask(packed: Uint8Array, task: Omit<LeasedTask, 'items' | 'packed'>): LeasedTask {
  let items: readonly Item[] | undefined;
  return { ...task, packed, get items() { return items ??= unpack(packed).map((line) => line.item); } };
}

/** Items a segment brings: what its transaction costs. */
function weightOf(records: readonly PlanRecord[]): number {
  return records.reduce((sum, record) => sum + (record.type === 'plan' ? itemsOfAll(record.page.tasks) : record.type === 'verify' ? record.findings.length : 0), 0);
}
