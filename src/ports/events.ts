/** What the engine tells whoever listens: progress, log and metrics subscribe. Losing an event loses a line on a screen, nothing else. */
import type { Key } from '../core/key.ts';
import type { ChecksumAlgorithm } from '../core/object.ts';
import type { Outcome, Problem } from '../core/item.ts';
import type { InForce } from '../core/timetable.ts';
import type { Tuning } from '../core/tuning.ts';
import type { Stage } from './ledger.ts';

export type RunEvent =
  | { readonly type: 'stage'; readonly stage: Stage }
  | { readonly type: 'listed'; readonly side: 'source' | 'destination'; readonly objects: number; readonly bytes: number; readonly done: boolean }
  | { readonly type: 'started'; readonly key: Key; readonly size: number }
  | { readonly type: 'bytes'; readonly key: Key; readonly bytes: number }
  | { readonly type: 'ended'; readonly outcome: Outcome; readonly size: number }
  /** Many objects, from another process, that began and ended as they should since it last spoke; bytes that went to the destination, and how many were copied with which checksum. */
  | { readonly type: 'landed'; readonly objects: number; readonly bytes: number; readonly checksums: Readonly<Partial<Record<ChecksumAlgorithm, number>>> }
  /**
   * A report of a worker of a fleet: how many objects ended, by state, and how many were copied with which checksum. No objects, where each of them was told as `ended`
   * instead: one of them has a word of its own, or each is asked for. `bytes`: what was sent for all of them, and told as sent where the worker is.
   */
  | { readonly type: 'reported'; readonly objects: Readonly<Record<'copied' | 'unchanged', number>>; readonly bytes: number; readonly checksums: Readonly<Partial<Record<ChecksumAlgorithm, number>>> }
  /** How far a verification has come: objects checked of those it will check, bytes it read. */
  | { readonly type: 'verified'; readonly objects: number; readonly of: number; readonly bytes: number }
  | { readonly type: 'request'; readonly side: 'source' | 'destination'; readonly op: string; readonly ms: number; readonly error?: string }
  /** Many requests at once, from another process. */
  | { readonly type: 'requests'; readonly side: 'source' | 'destination'; readonly counts: Readonly<Record<string, number>> }
  | { readonly type: 'retry'; readonly side: 'source' | 'destination'; readonly op: string; readonly problem: Problem; readonly waitMs: number }
  | { readonly type: 'throttled'; readonly side: 'source' | 'destination' }
  | { readonly type: 'stalled'; readonly key: Key }
  /** Slow bytes were asked for a second time; `won`: that request brought them. */
  | { readonly type: 'hedged'; readonly side: 'source' | 'destination'; readonly key: Key; readonly won: boolean }
  | { readonly type: 'waiting'; readonly problem: Problem; readonly sinceMs: number }
  | { readonly type: 'resumed' }
  /** Other limits hold from now on; `zone` is that of the timetable, absent: the machine's. */
  | { readonly type: 'limits'; readonly now: InForce; readonly zone?: string }
  /** What self-tuning has found so far in one process. */
  | { readonly type: 'tuned'; readonly process: string; readonly tuning: Tuning }
  /** The listing is sealed: how many ranges of keys were listed at the same time at most, and how many there are. */
  | { readonly type: 'sharded'; readonly atOnce: number; readonly shards: number; readonly divisible: boolean }
  /** What became of a task in the hands of a worker; `ms` since it was taken. */
  | { readonly type: 'task'; readonly what: 'taken' | 'done' | 'given back' | 'put aside'; readonly ms: number }
  /** A heartbeat prolonged a lease, or one ended too early. */
  | { readonly type: 'lease'; readonly what: 'extended' | 'lost' }
  | { readonly type: 'note'; readonly level: 'info' | 'warn' | 'error'; readonly text: string };

export interface Events {
  emit(event: RunEvent): void;
  /** Wants to be told of each object, also of those of other processes. */
  readonly each?: boolean;
}
