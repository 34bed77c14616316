/** Folding a journal into a ledger (ports/journal.ts, FoldTarget): each call one step of a grouped transaction, with the mark that it was done. */
import { BrigadeError } from '../../core/errors.ts';
import { keyToBytes } from '../../core/key.ts';
import type { Connection } from './connection.ts';
import type { PlanRecord, Report, ReportPlace, SegmentPlace, TaskName, WorkName } from '../../ports/journal.ts';
import type { Upload } from '../../ports/storage.ts';
import type { Tasks } from './tasks.ts';

/** What a ledger does by itself already; without transactions of their own. */
export interface FoldSteps {
  readonly tasks: Tasks;
  readonly begin: (record: Extract<PlanRecord, { type: 'run' }>) => void;
  readonly change: (record: Extract<PlanRecord, { type: 'change' }>) => void;
  readonly plan: (record: Extract<PlanRecord, { type: 'plan' }>) => void;
  readonly addTotals: (record: Extract<PlanRecord, { type: 'totals' }>) => void;
  readonly verified: (record: Extract<PlanRecord, { type: 'verify' }>) => void;
}

export class Folding {
  readonly #connection: Connection;
  readonly #steps: FoldSteps;

  constructor(connection: Connection, steps: FoldSteps) {
    this.#connection = connection;
    this.#steps = steps;
  }

  foldedTo(): SegmentPlace | undefined {
    const row = this.#connection.sql('lastSegment').get();
    return row === undefined ? undefined : { epoch: Number(row['epoch']), seq: Number(row['seq']) };
  }

  ledgerTask({ epoch, seq, task }: TaskName): number | undefined {
    const row = this.#connection.sql('segment').get(epoch, seq);
    if (row === undefined || task >= Number(row['tasks'])) return undefined;
    const id = Number(row['first_task']) + task;
    return this.#connection.sql('task').get(id) === undefined ? undefined : id;
  }

  taskName(task: number): TaskName | undefined {
    const row = this.#connection.sql('segmentOfTask').get(task);
    if (row === undefined || task - Number(row['first_task']) >= Number(row['tasks'])) return undefined;
    return { epoch: Number(row['epoch']), seq: Number(row['seq']), task: task - Number(row['first_task']) };
  }

  reportsFolded(work: WorkName): number {
    const id = this.ledgerTask(work);
    return id === undefined ? 0 : this.#folded(id, work);
  }

  unfinishedFrom(): SegmentPlace | undefined {
    const row = this.#connection.sql('unfinishedSegment').get();
    return row === undefined ? undefined : { epoch: Number(row['epoch']), seq: Number(row['seq']) };
  }

  plan(place: SegmentPlace, records: readonly PlanRecord[]): void {
    const last = this.foldedTo();
    if (last !== undefined && (place.epoch - last.epoch || place.seq - last.seq) <= 0) return;
    const before = Number(this.#connection.sql('lastTask').get()?.['id'] ?? 0);
    // The tasks of a segment have numbers that follow one another; known at once, for records that name a task of the same segment.
    let tasks = 0;
    const note = (): void => { this.#connection.sql('setSegment').run(place.epoch, place.seq, tasks === 0 ? null : before + 1, tasks); };
    for (const record of records) {
      if (record.type === 'plan') tasks += record.page.tasks.length;
      this.#planOne(record);
      note();
    }
    if (records.length === 0) note();
  }

  #planOne(record: PlanRecord): void {
    switch (record.type) {
      case 'run': return this.#steps.begin(record);
      case 'change': return this.#steps.change(record);
      case 'plan': return this.#steps.plan(record);
      case 'totals': return this.#steps.addTotals(record);
      case 'verify': return this.#steps.verified(record);
      case 'amend': return this.#steps.tasks.amend(this.#mustKnow(record.task), record.changes);
      case 'upload': return this.#addUpload(this.#mustKnow(record.task), record.upload, record.sourceToken);
      case 'upload over': return this.#dropUpload(this.#mustKnow(record.task), record.uploadId);
    }
  }

  report({ work, nth }: ReportPlace, report: Report | undefined): void {
    const id = this.#mustKnow(work);
    const folded = this.#folded(id, work);
    if (nth < folded) return;
    if (nth > folded) throw new BrigadeError({ code: 'E_LEDGER_ORDER', kind: 'internal', op: 'fold', message: `report ${nth} of task ${id} comes before report ${folded}` });
    // What is stored of a span is read by those who work on it, in the journal; here it is only known that it was seen.
    if (work.firstPart === undefined) this.#fold(id, report);
    this.#connection.sql('setReports').run(id, work.firstPart ?? 0, nth + 1);
  }

  #fold(id: number, report: Report | undefined): void {
    if (report === undefined) this.#connection.sql('doubtTask').run(id);
    else this.#take(id, report);
  }

  #take(id: number, report: Report): void {
    const { parts, uploads = [], uploadsOver = [] } = report;
    for (const { upload, sourceToken } of uploads) this.#addUpload(id, upload, sourceToken);
    this.#record(id, report);
    for (const { uploadId, part } of parts) {
      // Of an upload that is over nothing is kept: its parts are gone or have become the object.
      if (this.#connection.sql('upload').get(id, uploadId) === undefined) continue;
      this.#connection.sql('addPart').run(id, uploadId, part.number, part.size, part.token, part.checksum?.algorithm ?? null, part.checksum?.hex ?? null);
    }
    for (const upload of uploadsOver) this.#dropUpload(id, upload);
  }

  #record(id: number, report: Report): void {
    const { close, landed } = report;
    if (close && landed !== undefined && this.#steps.tasks.settleAll(id, landed)) return;
    const { outcomes } = report;
    if (outcomes.length === 0 && !close) return;
    this.#steps.tasks.mustHold(id, outcomes.map((outcome) => outcome.key));
    this.#steps.tasks.record(id, outcomes, close);
  }

  #addUpload(id: number, upload: Upload, sourceToken: string): void {
    const { run } = this.#steps.tasks.open(id);
    this.#connection.sql('addUpload').run(id, upload.id, run, keyToBytes(upload.key), upload.size, upload.partSize, upload.checksumAlgorithm ?? null, sourceToken);
  }

  #dropUpload(id: number, uploadId: string): void {
    this.#connection.sql('dropParts').run(id, uploadId);
    this.#connection.sql('dropUpload').run(id, uploadId);
  }

  #folded(id: number, { firstPart = 0 }: WorkName): number {
    return Number(this.#connection.sql('reports').get(id, firstPart)?.['folded'] ?? 0);
  }

  #mustKnow(name: TaskName): number {
    const id = this.ledgerTask(name);
    if (id !== undefined) return id;
    throw new BrigadeError({ code: 'E_LEDGER_UNKNOWN', kind: 'internal', op: 'fold', message: `the ledger knows nothing of task ${name.task} of segment ${name.seq} of epoch ${name.epoch}` });
  }
}
