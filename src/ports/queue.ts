/**
 * The queue port, as a worker sees it. A queue is a hint (design truth 8): deliveries may be duplicated, late or lost; what was done is
 * known from the ledger (locally) or the journal (fleet), never from the queue.
 */
import type { LeasedTask, RecordedUpload } from './ledger.ts';
import type { BrigadeError } from '../core/errors.ts';
import type { Outcome } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import type { ChecksumAlgorithm, Pin } from '../core/object.ts';
import type { SizeClass } from '../core/pack.ts';
import type { Part, Upload } from './storage.ts';

export type Task = LeasedTask;
export type { RecordedUpload };

export interface Delivery {
  readonly task: Task;
  /** Fires when this worker may not go on with the task: its lease is lost, or is given back. What is in flight ends, what is done is still told, the task is released. */
  readonly lost?: AbortSignal;
  /** Tells the queue that the work goes on; from a timer apart from the data path (F095). */
  extend(): Promise<void>;
  /** The outcomes are durable: the queue may forget the task. Never before (truth 9). */
  ack(): Promise<void>;
  /**
   * Not done here: this task, and no other one, comes back after `delayMs`. Called when nothing of it is being written by the caller any more.
   * `begun`: objects of it that were begun and have no outcome; absent: nobody knows.
   */
  release(delayMs: number, begun?: readonly Key[]): Promise<void>;
}

/** Parts of one upload, for one lane. Self-contained: whoever takes it needs nobody but the two stores and the recorder. */
export interface PartRange {
  readonly id: number;
  readonly task: number;
  readonly upload: Upload;
  /** Every read carries it: parts of two versions never meet (F027). */
  readonly pin: Pin;
  readonly algorithm: ChecksumAlgorithm;
  /** Ascending. */
  readonly numbers: readonly number[];
}

/** Missing parts of one object, handed out by whoever holds its task. */
export interface Spread extends Omit<PartRange, 'id'> {
  /** Ranges of it in flight: of one executor, and of all. */
  readonly perHolder: number;
  readonly most: number;
  /** Where several machines may take part: bytes that each takes at a time, at least. */
  readonly spanBytes?: number;
}

export interface RangeQueue {
  /** Resolves with all parts once each is stored and recorded; rejects with the first error when nobody is at work on them any more, or as `cancelled` on the signal. */
  spread(spread: Spread, signal: AbortSignal): Promise<readonly Part[]>;
  /** As `TaskQueue.receive`. */
  receive(most: number, signal: AbortSignal): Promise<readonly PartRange[]>;
  /** All of it is recorded; or, with an error, not: `cancelled` gives the rest back, any other one ends the whole spread. */
  end(range: PartRange, error?: BrigadeError): Promise<void>;
}

export interface TaskQueue {
  /** Where parts of one object may be copied by several. */
  readonly ranges?: RangeQueue;
  /** Waits for work, of one size class or of any; resolves empty after the driver's poll time. Rejects with kind `cancelled` on the signal. */
  receive(most: number, signal: AbortSignal, size?: SizeClass): Promise<readonly Delivery[]>;
  /** Nobody works here any more: whatever is still held goes back. */
  close(): Promise<void>;
}

/** Where a worker makes outcomes durable before it acknowledges. */
export interface Recorder {
  /** Unfinished uploads of this task with their stored parts, whoever recorded them: as they are now, not as they were when the task was leased. */
  uploads(task: number): Promise<readonly RecordedUpload[]>;
  /** Resolves when durable. `close`: the last word on this task. */
  record(task: number, outcomes: readonly Outcome[], close: boolean): Promise<void>;
  recordUpload(task: number, upload: Upload, sourceToken: string): Promise<void>;
  recordPart(task: number, uploadId: string, part: Part): Promise<void>;
  forgetUpload(task: number, uploadId: string): Promise<void>;
}
