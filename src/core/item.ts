/**
 * One listed object inside the ledger: what was seen, what was decided, what became of it. The life of an item:
 *
 *   pending ──copied──▶ copied ──(closing listing shows another token)──▶ pending
 *      ├──▶ skipped (source_gone …)      ├──▶ failed ──retry──▶ pending
 *      └──▶ unchanged (the in-doubt check or a checksum proved it equal)
 *
 * What failed in the plan is retried by the next run's plan (`failedInPlan`).
 *
 * `extra` items exist only at the destination; they are reported, never touched, and are not part of `listed`.
 */
import type { Checksum, Pin, Token } from './object.ts';
import type { ErrorKind } from './errors.ts';
import type { Key } from './key.ts';

export type ItemState = 'pending' | 'copied' | 'unchanged' | 'skipped' | 'failed' | 'extra';

/**
 * What the equality of source and destination rests on, weakest first (design truth 7). `store checksum`: the destination vouches for a
 * checksum that is the source's. `destination re-read`: its bytes were read again and have the checksum of the copy, or the one the source
 * vouches for. Only `both ends re-read` says that the source was read once more, too.
 */
export const EVIDENCE = ['none', 'in flight', 'store checksum', 'destination re-read', 'both ends re-read'] as const;
export type Evidence = (typeof EVIDENCE)[number];

export interface Item {
  readonly key: Key;
  readonly kind: 'object' | 'directory';
  readonly size: number;
  readonly state: ItemState;
  /** The source's version that was listed; for `extra` the empty string. */
  readonly source: Pin;
  /** Pending: what the destination's listing showed (absent: nothing there), which is the write's guard. Afterwards: what stands there. */
  readonly destination?: Token;
  readonly checksum?: Checksum;
  readonly evidence: Evidence;
  /** Reason of a skip, code of a failure, `E_…` or lower case word. */
  readonly code?: string;
  /** Tries that ended in an error of this object (throttling and redelivery do not count). */
  readonly attempts: number;
  /** Times the closing listing found at the destination what was not written; absent: never. */
  readonly undone?: number;
  readonly storageClass?: string;
}

/** What became of one item, as an executor reports it. */
export interface Outcome {
  readonly key: Key;
  readonly state: Exclude<ItemState, 'extra'>;
  /** Source version that was really copied, where it is not the listed one (the object changed and was replanned). */
  readonly source?: Pin;
  readonly size?: number;
  readonly destination?: Token;
  readonly checksum?: Checksum;
  readonly evidence: Evidence;
  readonly attempts: number;
  /** Bytes that crossed the wire to the destination, retries included. */
  readonly bytesSent: number;
  readonly ms: number;
  /** For `skipped` and `failed`, and for pending items that go back with their last error. */
  readonly problem?: Problem;
  /** What could not be carried, by attribute (I12): `tags`, `storage_class`, `mtime` … */
  readonly lost?: readonly string[];
  /** The guard was checked before the write and not by the store (no conditional writes there). */
  readonly unguarded?: boolean;
}

/** Failed items that a copy decides again, though none was tried: what stands at the destination is asked anew. */
const DECIDED_BY_THE_COPY: ReadonlySet<string> = new Set(['E_CONFLICT', 'E_DESTINATION_CHANGED']);

/**
 * Failed before any try: a finding of the listing or of the plan, such as a directory that could not be read, a name that the destination
 * refuses, two names that fall together. No copy of this item can mend it, only another plan.
 */
export function failedInPlan(item: Pick<Item, 'state' | 'attempts' | 'code'>): boolean {
  return item.state === 'failed' && item.attempts === 0 && !DECIDED_BY_THE_COPY.has(item.code ?? '');
}

export interface Problem {
  readonly code: string;
  readonly kind?: ErrorKind;
  readonly message: string;
  readonly hint?: string;
}

export interface Count { readonly objects: number; readonly bytes: number }

/** The account of a run: `listed = copied + unchanged + skipped + failed + pending` always (truth 14). */
export interface Tally {
  readonly listed: Count;
  readonly copied: Count;
  readonly unchanged: Count;
  readonly skipped: Count;
  readonly failed: Count;
  readonly pending: Count;
  readonly extra: Count;
  /** Objects of `copied` and `unchanged` by what proves them. */
  readonly evidence: Readonly<Record<Evidence, number>>;
  /** Skips and failures by code. */
  readonly byCode: readonly { readonly state: 'skipped' | 'failed'; readonly code: string; readonly objects: number; readonly bytes: number }[];
}
