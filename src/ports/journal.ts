/**
 * The journal port: in a fleet the truth from which a ledger can be made again. It is append-only and lies in a bucket or a shared directory:
 *
 * - the *plan log*, which one coordinator at a time writes: runs, planned tasks, uploads, what closing rounds changed;
 * - the *control log*, by the same coordinator: what the fleet is to do now (pause, limits, shares), whole in each segment;
 * - *reports*, which workers write: what became of the objects of a task, or which parts of a large object are stored;
 * - *documents*, named by their SHA-256: the migration as workers are to carry it out, and what does not fit into a message;
 * - *beats*, one a worker, the only names that are written again and again: who is there, and what hinders them.
 *
 * A coordinator writes under an epoch, `<epoch>/<seq>`, each segment by a conditional write. Whoever makes the segment that claims the next
 * epoch has it; it then seals the logs of the epochs before it by taking the next free name in them. What was written before the seal counts,
 * and nothing can be written behind it: a coordinator that was frozen and wakes is refused by its next write. One that is awake asks beside each
 * write whether a newer epoch is claimed, and stops then, so that the seal catches up with it.
 */
import type { ErrorFacts } from '../core/errors.ts';
import type { Item, Outcome, Problem } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import type { Landed } from '../core/outcome-columns.ts';
import type { Binding, Finding, Ledger, LeasedTask, PlannedPage, RunKind, RunTotals, VerifySummary } from './ledger.ts';
import type { Part, Upload } from './storage.ts';

/** One segment of a log. Epochs begin at 1, segments at 0. Epoch first, then seq, is the order in which segments count. */
export interface SegmentPlace {
  readonly epoch: number;
  readonly seq: number;
}

/** A task of the fleet: the nth planned by a segment. Never used twice, since no segment is. */
export interface TaskName extends SegmentPlace {
  readonly task: number;
}

/**
 * Epochs begin at 1. Under this one stand plain messages, which no coordinator planned: their reports lie apart (`plainReports`), no ledger folds them, and
 * `seq` and `task` are what the queue calls the message, hashed.
 */
export const PLAIN_EPOCH = 0;

/** What a report is of: a task, or with `firstPart` a span of parts of the one object of a task. */
export interface WorkName extends TaskName {
  /** From 1. */
  readonly firstPart?: number;
}

export type RunChange = Parameters<Ledger['updateRun']>[1];

/** What one entry of the plan log says. All of a segment holds, or nothing of it. */
export type PlanRecord =
  | { readonly type: 'run'; readonly number: number; readonly kind: RunKind; readonly startedMs: number }
  | { readonly type: 'change'; readonly run: number; readonly atMs: number; readonly change: RunChange }
  | { readonly type: 'plan'; readonly run: number; readonly page: PlannedPage }
  /**
   * Items rewritten as `Ledger.amend` does. `after`: reports of the task that were folded before; the others come behind it, whoever folds. That
   * is what makes a rebuilt ledger the same as the one that was amended while reports still came in.
   */
  | { readonly type: 'amend'; readonly task: TaskName; readonly after: number; readonly changes: readonly ItemChange[] }
  /** Before the first part is sent (F072). */
  | { readonly type: 'upload'; readonly task: TaskName; readonly upload: Upload; readonly sourceToken: string }
  /** Completed or aborted. `after`: as of an amendment, so that no report of the upload comes behind its end, whoever folds. Absent: none need come before. */
  | { readonly type: 'upload over'; readonly task: TaskName; readonly uploadId: string; readonly after?: number }
  | { readonly type: 'totals'; readonly run: number; readonly totals: Partial<RunTotals> }
  /** What verify found, in place of what it found before. `more`: findings beside those that stand already. */
  | { readonly type: 'verify'; readonly run: number; readonly summary: VerifySummary; readonly findings: readonly Finding[]; readonly more: boolean };

export interface ItemChange {
  readonly item: Item;
  readonly problem?: Problem;
}

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };
/** The run control as a whole: a later one replaces it. */
export type Control = Readonly<Record<string, Json>>;

/**
 * What a worker is about to begin of a task that came again and again, told before it touches the first object (F098). It stands for the worker's death
 * by one of them, until the worker tells more of the task or is seen to live without it.
 */
export interface Begun {
  /** The range of keys that it begins. */
  readonly first: Key;
  readonly last: Key;
  readonly objects: number;
  /** Nothing else is in work in its process. */
  readonly alone: boolean;
  /** Workers that were found dead with the task in hand, so that nobody need look again. */
  readonly dead?: readonly string[];
}

/**
 * The last word of one delivery of a message: all that its holder did is over, and told. It says nothing of any other delivery, nor of another message of the
 * same task. Whoever gets the message next, and finds such a word of each delivery before, knows which objects are in doubt: those that the words name.
 */
export interface GaveBack {
  /** The queue's own name for it. */
  readonly message: string;
  /** Which delivery of it, from 1, as the queue counts. */
  readonly delivery: number;
  /** Begun, and of no known outcome. */
  readonly begun: readonly Key[];
}

/** What a worker has to say of its work. */
export interface Report {
  readonly worker: string;
  /** In a report that was read, and has `landed`, taken apart when they are asked for: whoever can do with that does not ask. */
  readonly outcomes: readonly Outcome[];
  /** In a report that was read: all of them ended as planned, and none has a word of its own. */
  readonly landed?: Landed;
  /** No item of the task will be reported again by this worker. */
  readonly close: boolean;
  /** Parts that are stored at the destination. */
  readonly parts: readonly { readonly uploadId: string; readonly part: Part }[];
  /** Uploads that the worker began for objects of this task, told before their first part is sent (F072). */
  readonly uploads?: readonly { readonly upload: Upload; readonly sourceToken: string }[];
  /** Those that it completed or aborted. */
  readonly uploadsOver?: readonly string[];
  /** Of a plain message: what the queue calls it. */
  readonly message?: string;
  /** Which sending of the task it answers; absent: the first. So it is known whether a later one was needed. */
  readonly sending?: number;
  readonly begun?: Begun;
  /** What it had begun is in its hands no more, and it lives: done so far, or given back. */
  readonly over?: true;
  readonly gaveBack?: GaveBack;
  /** Its objects that failed, as the reports before this one say, lie among the dead letters. */
  readonly told?: true;
  /** In a report of a span: `close` says then that all of it is stored, and the report says nothing of the task. */
  readonly span?: SpanWord;
}

/** Whose a span of parts is. Its reports, in their order, decide: each is one conditional write, so that nobody claims what another one has without seeing it. */
export interface SpanWord {
  readonly upload: string;
  /** Claims the span for the writer of the report. Holds where the claim before it, of the same upload, is the one that it names by its number (`over`; -1: none). */
  readonly claim?: { readonly over: number; readonly hand: number };
  /** Its holder goes on no more. */
  readonly released?: true;
  /** Why: it ends this try of the whole object. */
  readonly problem?: ErrorFacts;
}

/** What a worker last said of itself. Whoever reads it tells by a changed `beat`, and its own clock, that it lives (F084). */
export interface Beat {
  readonly worker: string;
  /** Counts up. */
  readonly beat: number;
  readonly host: string;
  readonly version: string;
  /** Absent: a worker. */
  readonly role?: 'coordinator';
  /** Tasks it holds, of this journal's migration. */
  readonly tasks: number;
  /** `<epoch>/<seq>/<task>` of those that it told as begun and has in work: the first ones, where they are many. */
  readonly begun?: readonly string[];
  /** The run that the control named last: what it does for earlier ones is over. Absent: it heard of none. */
  readonly run?: number;
  /** A premise that fails there, so that it cannot work on this migration: the coordinator tells of it, and asks the stores itself. */
  readonly trouble?: Problem;
  /** Messages of the queue that are no tasks, as far as it knows: calls for help that it answers, or that it sent and that nobody answered yet. */
  readonly calls?: number;
  /** Why nothing of it can be believed but its name, and by another `beat` that somebody writes it: torn, or of a newer release. */
  readonly unread?: string;
}

/** Who holds an epoch. */
export interface Claim {
  readonly epoch: number;
  readonly holder: string;
  /** By the clock of its holder, milliseconds since 1970: for people. */
  readonly sinceMs: number;
}

/** A segment that cannot be believed: what, where, and what is done about it. */
export interface Damage {
  readonly key: string;
  /** `torn`, `changed`, `misplaced`, `gone`, `newer`. */
  readonly kind: 'torn' | 'changed' | 'misplaced' | 'gone' | 'newer';
  /** One line. */
  readonly message: string;
  readonly fix: string;
}

/** The pen of the one coordinator. Calls are carried out one after the other, each on disk when it resolves. */
export interface CoordinatorJournal {
  readonly claim: Claim;
  /**
   * Adds a segment to the plan log. After a failure that is no E_JOURNAL_FENCED nobody knows whether it stands; the next call finds out before
   * it writes anything, so that the order of segments is the order of calls.
   * @throws BrigadeError usage E_JOURNAL_FENCED: another coordinator took over; nothing of this and later calls will ever count.
   */
  append(records: readonly PlanRecord[], signal?: AbortSignal): Promise<SegmentPlace>;
  /** Replaces the run control. Same errors. */
  control(control: Control, signal?: AbortSignal): Promise<void>;
  /** Whether no newer epoch is claimed: for a coordinator that has nothing to write. One request. */
  isCurrent(signal?: AbortSignal): Promise<boolean>;
}

export interface ReportPlace {
  readonly work: WorkName;
  /** From 0: reports of one piece of work in the order in which they count. */
  readonly nth: number;
}

/** `report` absent: it is damaged. */
export interface ReadReport extends ReportPlace {
  readonly report?: Report;
  readonly damage?: Damage;
}

/** `records` absent: it is damaged. */
export interface ReadPlan extends SegmentPlace {
  readonly records?: readonly PlanRecord[];
  readonly damage?: Damage;
}

export interface Journal {
  /** The newest claim. */
  current(signal?: AbortSignal): Promise<Claim | undefined>;
  /**
   * Takes the epoch after `over` (absent: the first one) and seals what was before.
   * `cutAt`: the segment of the plan log from which on nothing counts any more, because it is damaged; what it and later ones planned is planned
   * again. Default: everything counts.
   * @throws BrigadeError usage E_LOCKED_RUN: somebody else has it, and who (F106).
   */
  claim(request: { readonly holder: string; readonly over: Claim | undefined; readonly cutAt?: SegmentPlace; readonly signal?: AbortSignal }): Promise<CoordinatorJournal>;
  /** Writes a report beside those that are there; the same one again is found to be there. Answers which it is. `from`: those before it are known to be there, and other ones: they are not looked at. */
  report(work: WorkName, report: Report, signal?: AbortSignal, from?: number): Promise<ReportPlace & { readonly written: boolean }>;
  /** Whether this report stands: a task that was delivered again is done then. One request. */
  hasReport(place: ReportPlace, signal?: AbortSignal): Promise<boolean>;
  /** The newest run control that counts. */
  readControl(signal?: AbortSignal): Promise<Control | undefined>;
  /** Segments of the plan log that count, in order, after this one; each proven by its checksum. Bounded look-ahead. */
  plans(after?: SegmentPlace, signal?: AbortSignal): AsyncIterable<ReadPlan>;
  /** The last segment of each sealed epoch that counts (seq -1: none). */
  fences(signal?: AbortSignal): Promise<ReadonlyMap<number, number>>;
  /** Reports of tasks from this segment on, but for those that `known` says need not be read. Nearly in order: of the same work, a later one may come without the one before it. */
  reports(from?: SegmentPlace, known?: (place: ReportPlace) => boolean, signal?: AbortSignal): AsyncIterable<ReadReport>;
  /** Reports of plain messages, but for those that `known` says need not be read; those of one message in their order as far as a listing shows them. */
  plainReports(known?: (place: ReportPlace) => boolean, signal?: AbortSignal): AsyncIterable<ReadReport>;
  /** Reports of spans of this task, but for those that `known` says need not be read; in their order as far as a listing shows them. */
  spanReports(task: TaskName, known: (place: ReportPlace) => boolean, signal?: AbortSignal): AsyncIterable<ReadReport>;
  /** One report; undefined: there is none. */
  readReport(place: ReportPlace, signal?: AbortSignal): Promise<ReadReport | undefined>;
  /**
   * Whose journal this is: told by the first who asks, found by all later ones.
   * @throws BrigadeError usage E_JOURNAL_OTHER (F032).
   */
  bind(binding: Binding, signal?: AbortSignal): Promise<void>;
  /** Makes it this one's, whosever it was: for whoever holds the newest epoch, on the operator's word. */
  rebind(binding: Binding, signal?: AbortSignal): Promise<void>;
  /** Whose it is; undefined: nobody's yet. @throws BrigadeError premise E_JOURNAL_DAMAGED: it says so no more. */
  binding(signal?: AbortSignal): Promise<Binding | undefined>;
  /** Keeps a document; the same one again is found to be there. Answers its name: SHA-256, 64 hex digits. */
  keep(document: Uint8Array, signal?: AbortSignal): Promise<string>;
  /** A document that was kept, proven by its name; undefined: there is none, or it cannot be believed. */
  document(sha256: string, signal?: AbortSignal): Promise<Buffer | undefined>;
  beat(beat: Beat, signal?: AbortSignal): Promise<void>;
  /** Of all who were there and have not left. */
  beats(signal?: AbortSignal): Promise<readonly Beat[]>;
  /** Of this worker; undefined: it never was, or has left. One request. */
  beatOf(worker: string, signal?: AbortSignal): Promise<Beat | undefined>;
  /** This worker is gone for good: by itself, or by a coordinator that heard nothing of it for long. */
  leave(worker: string, signal?: AbortSignal): Promise<void>;
}

/** What a ledger must be able to do so that a journal can be folded into it. Each fold is one transaction with the mark that it was done. */
export interface FoldTarget extends Ledger {
  /** The last segment of the plan log that is folded. */
  foldedTo(): SegmentPlace | undefined;
  /** Folds a segment; one that is not behind `foldedTo` was folded already: nothing happens. */
  foldPlan(place: SegmentPlace, records: readonly PlanRecord[]): Promise<void>;
  /** The task's number in this ledger; undefined: no segment that is folded planned it, or it was pruned. */
  ledgerTask(name: TaskName): LeasedTask['id'] | undefined;
  /** The name of a task of this ledger; undefined: no segment planned it. */
  taskName(task: LeasedTask['id']): TaskName | undefined;
  /** Tasks that this holder has, in the order in which they were planned. */
  held(run: number, holder: string): readonly LeasedTask['id'][];
  /** Tasks of a run that are not done, whether anybody has them or not. */
  openTasks(run: number): number;
  /** A task as it is now: with the items that are still pending. */
  leasedTask(task: LeasedTask['id']): LeasedTask;
  /** The task that has this key. @throws BrigadeError internal E_LEDGER_UNKNOWN */
  taskOf(run: number, key: Item['key']): LeasedTask['id'];
  /** Reports of this work that are folded. */
  reportsFolded(work: WorkName): number;
  /**
   * Folds the next report; an earlier one was folded already: nothing happens. Without a report (damaged): the task is in doubt.
   * @throws BrigadeError internal E_LEDGER_ORDER when the one before it is missing.
   */
  foldReport(place: ReportPlace, report: Report | undefined): Promise<void>;
  /** The first segment that planned a task which is not done, and whose run was not given up; of earlier ones every task was closed by a report that is folded. */
  unfinishedFrom(): SegmentPlace | undefined;
}
