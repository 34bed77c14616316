/** What a crew of a fleet is made of. */
import type { BrigadeError } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Events } from '../../ports/events.ts';
import type { CoordinatorJournal, Damage, FoldTarget, Journal } from '../../ports/journal.ts';
import type { MessageQueue } from '../../ports/message-queue.ts';
import type { SpecReference } from '../messages.ts';
import type { TaskCodec } from '../task-message.ts';
import type { Board } from './board.ts';
import type { JournalledLedger } from './journalled-ledger.ts';

export interface FleetCrewOptions {
  readonly run: number;
  readonly ledger: FoldTarget;
  /** The same ledger, as changes are told to it. */
  readonly journalled: JournalledLedger;
  readonly journal: Journal;
  readonly pen: CoordinatorJournal;
  readonly queue: MessageQueue;
  readonly codec: () => TaskCodec;
  readonly spec: SpecReference;
  /** Folds the reports that are new; `all`: also those of tasks that are done. */
  readonly fold: (into: FoldTarget, all?: boolean) => Promise<{ readonly reports: number; readonly damages: readonly Damage[] }>;
  /** Tasks that are outstanding at most. */
  readonly window: number | 'auto' | 'all';
  /**
   * Where the destination has no conditional writes: how long after the last report a writer that lost its lease may still write (design truth 4). The run
   * is not idle before, so that its closing listing comes behind that.
   */
  readonly quietMs?: number;
  /** Where migrations that share the queue say how much of it is theirs. Absent: all of it is this one's. */
  readonly board?: Board;
  /** So long it is waited for workers none of which can work, for a problem of this code; then that is `trouble`. Default: for good. */
  readonly patienceMs?: (code: string) => number;
  /** A writer that is killed leaves files at the destination, which only a walk would find: whether one was is known before the run is idle. */
  readonly leavesFiles?: boolean;
  /** Hears of what ends it all, also when nobody waits for `trouble`. */
  readonly onFailure?: (error: BrigadeError) => void;
  /** Nobody waits any more for the fleet to hold still. */
  readonly signal?: AbortSignal;
  readonly events: Events;
  readonly clock: Clock;
}
