/**
 * The ledger port: the queryable record of every object of one migration. Locally it is the truth (design truth 8); in a fleet an index
 * that can be rebuilt. It lives in the coordinator's process, so calls are synchronous; what must survive a crash before the next step
 * may begin returns a promise that resolves once its transaction is on disk (grouped, ≤ 250 ms).
 *
 * Tasks are contiguous, non-overlapping key ranges of one run and hold ALL listed items of their range (also unchanged, skipped, extra):
 * the tasks of a finished run tile the key space of both stores.
 */
import type { Item, ItemState, Outcome, Problem, Tally } from '../core/item.ts';
import type { Checksum } from '../core/object.ts';
import type { Key } from '../core/key.ts';
import type { LineCursor } from '../core/line-cursor.ts';
import type { Shard } from '../core/shard.ts';
import type { SizeClass } from '../core/pack.ts';
import type { Part, Upload } from './storage.ts';

/** What a ledger is bound to. Differing from the stored one is refused (F032). */
export interface Binding {
  readonly migration: string;
  /** Hash of source, destination, select, transform, fidelity; never of limits, batch, verify, report, credentials. */
  readonly specHash: string;
  readonly source: string;
  readonly destination: string;
}

export type RunKind = 'initial' | 'delta';
export type RunState = 'active' | 'paused' | 'finished' | 'abandoned';
export type Stage = 'listing' | 'transferring' | 'closing' | 'verifying' | 'done';

export interface Run {
  readonly number: number;
  readonly kind: RunKind;
  readonly state: RunState;
  readonly stage: Stage;
  readonly startedMs: number;
  readonly endedMs?: number;
  /** Code and line of what paused it. */
  readonly pause?: Problem;
  readonly listing: Listing;
  /** Active time summed over resumes, and times resumed. */
  readonly activeMs: number;
  readonly resumes: number;
}

/** How far the listings of a run have come, summed over its shards. `sealed`: both sides listed to their end and proven (truth 2). */
export interface Listing {
  readonly sealed: boolean;
  readonly sourceObjects: number;
  readonly sourceBytes: number;
  readonly destinationObjects: number;
}

/** One page of planning: tasks and the checkpoints that make them final, in one transaction. */
export interface PlannedPage {
  readonly tasks: readonly PlannedTask[];
  /** Shards that are new or have changed: begun, come further, cut in two, sealed. */
  readonly shards: readonly Shard[];
  readonly listing: Listing;
}

export interface PlannedTask {
  /** In key order. At least one. */
  readonly items: readonly Item[];
  /** For items that start as skipped or failed: what there is to say. */
  readonly problems: ReadonlyMap<Key, Problem>;
}

export interface LeasedTask {
  readonly id: number;
  readonly run: number;
  /** Still pending items, in key order. */
  readonly items: readonly Item[];
  /** The same items as columns (core/lines.ts), zstd-compressed, where the ledger has them at hand so: `items` is made of them only when it is asked for. */
  readonly packed?: Uint8Array;
  /** Somebody may have worked on it before without recording the end: look at the destination first (truth 9). */
  readonly inDoubt: boolean;
  /** Of a task in doubt: these objects only, whoever had it before gave it back and said so. Absent: all of them. */
  readonly doubtful?: ReadonlySet<Key>;
  readonly deliveries: number;
}

export interface RecordedUpload {
  readonly upload: Upload;
  readonly sourceToken: string;
  readonly parts: readonly Part[];
}

export interface ObjectFilter {
  readonly states?: readonly ItemState[];
  readonly codes?: readonly string[];
  /** Error kinds, as `--class throttled` names them; also matches codes. */
  readonly classes?: readonly string[];
  readonly prefix?: Key;
  readonly limit?: number;
}

export interface ObjectRow extends Item { readonly problem?: Problem; readonly task: number; readonly lost?: readonly string[] }

/** One difference that verify found. */
export interface Finding {
  readonly key: Key;
  /** `missing`, `size`, `content`, `changed_source`, `unreadable`, `attributes`. */
  readonly kind: string;
  readonly message: string;
  readonly source?: Checksum;
  readonly destination?: Checksum;
}

export interface VerifySummary {
  readonly level: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly checked: number;
  readonly bytesRead: number;
  readonly evidence: Readonly<Record<string, number>>;
  readonly findings: number;
}

/** Sums over the outcomes of a run that no item row keeps. */
export interface RunTotals {
  readonly bytesSent: number;
  readonly unguarded: number;
  /** Objects per attribute that could not be carried (I12). */
  readonly lost: Readonly<Record<string, number>>;
  readonly requests: Readonly<Record<string, number>>;
  readonly retries: Readonly<Record<string, number>>;
  readonly stalls: number;
  /** Slow reads that were asked for a second time, and those of them that the second request brought. */
  readonly hedges: { readonly sent: number; readonly won: number };
}

export interface Retried {
  readonly pending: number;
  /** Matching items that only another plan can settle (`failedInPlan`). */
  readonly failedInPlan: number;
}

export interface Ledger {
  readonly path: string;
  readonly binding: Binding;

  runs(): readonly Run[];
  /** A run by number, or the latest. */
  run(number?: number): Run | undefined;
  beginRun(kind: RunKind): Run;
  updateRun(number: number, change: { readonly state?: RunState; readonly stage?: Stage; readonly pause?: Problem | null; readonly addActiveMs?: number; readonly resumed?: boolean }): void;

  /**
   * Adds tasks and moves the checkpoints of their shards, atomically. Tasks without pending items are closed at once. Tasks may come in any
   * order; one that overlaps another is refused (E_LEDGER_ORDER), and so is sealing while a shard's tasks are not what it says (E_LIST_GAP).
   */
  addPlan(run: number, page: PlannedPage): void;
  /** The shards of a run's listing so far, in the order of their keys; none before its first page. */
  shards(run: number): readonly Shard[];

  /** Leases up to `limit` tasks: of one size class, the large ones with most pending bytes first (what takes longest must begin first); else in the order in which they were planned. */
  claim(run: number, limit: number, holder: string, size?: SizeClass): readonly LeasedTask[];
  /** Gives leased tasks back, in doubt: this one, or all of a holder, or all of them (a new coordinator). Returns how many. */
  releaseTasks(run: number, holder?: string, task?: number): number;

  /** Outcomes of one task. `close`: no item of it will be reported again; its rows are folded into its block in the same transaction.
   *  An outcome `pending` keeps the item pending: the task is then left ready instead of closed. Repeating an outcome is harmless. */
  record(task: number, outcomes: readonly Outcome[], close: boolean): Promise<void>;
  /** Before the first part is sent (F072). */
  recordUpload(task: number, upload: Upload, sourceToken: string): Promise<void>;
  recordPart(task: number, uploadId: string, part: Part): Promise<void>;
  /** The upload is completed or aborted. */
  forgetUpload(task: number, uploadId: string): Promise<void>;
  /** Unfinished uploads of one task with the parts that are known to be stored, as they are recorded now. */
  uploadsOf(task: number): readonly RecordedUpload[];
  /** Uploads of any run that nobody finished, for the sweep (F072). */
  openUploads(): readonly (RecordedUpload & { readonly run: number; readonly task: number })[];

  tally(run: number): Tally;
  totals(run: number): RunTotals;
  addTotals(run: number, totals: Partial<RunTotals>): void;

  /** All items of a run in key order, block by block; bounded memory. */
  items(run: number, after?: Key): Iterable<Item>;
  /** The same a task at a time, each to be gone through before the next one is asked for. Those up to `after` in the first one's task are among them. */
  cursors(run: number, after?: Key): Iterable<LineCursor>;
  item(run: number, key: Key): ObjectRow | undefined;
  objects(run: number, filter: ObjectFilter): Iterable<ObjectRow>;

  /**
   * What the runs before this one left at the destination: for a key the newest of their items that was copied or found unchanged.
   * Quick and of bounded memory where keys are asked in their order; pruned runs say nothing. Each call gives a cursor of its own; of `cursors`
   * that are used at the same time each holds its share of the memory that one alone may hold.
   */
  leftBefore(run: number, cursors?: number): (key: Key) => Item | undefined;

  /** Rewrites items in place (closing listing, verify, retry): a changed item keeps its key. Those set to pending make their task ready again. */
  amend(run: number, changes: readonly { readonly item: Item; readonly problem?: Problem }[]): void;
  /**
   * Failed items that match become pending with attempts 0. Those that failed in the plan stay failed. Where something stands at the
   * destination that no earlier run left there, the copy decides by the rules of the plan before it writes (`on_conflict`).
   */
  retry(run: number, filter: ObjectFilter): Retried;

  saveVerify(run: number, summary: VerifySummary, findings: readonly Finding[]): void;
  verifySummary(run: number): VerifySummary | undefined;
  findings(run: number, limit?: number): readonly Finding[];

  /** Where changes take their time: waits while too many are on their way. */
  room?(): Promise<void>;
  /** Waits for grouped commits. */
  flush(): Promise<void>;
  close(): Promise<void>;
}
