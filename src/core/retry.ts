/** How failed items become pending again: the same in a ledger of one machine and in one that is told through a journal. */
import { failedInPlan, type Item } from './item.ts';
import type { Key } from './key.ts';

export interface RetryOptions {
  /** In key order. */
  readonly failed: Iterable<Item>;
  /** What earlier runs left under a key; asked in the order of keys. */
  readonly left: (key: Key) => Item | undefined;
  /** Items to one call of `amend`. */
  readonly atOnce: number;
  readonly amend: (changes: readonly { readonly item: Item }[]) => void;
}

/** Those that failed in the plan stay failed. */
export function retryFailed({ failed, left, atOnce, amend }: RetryOptions): { readonly pending: number; readonly failedInPlan: number } {
  let pending = 0;
  let inPlan = 0;
  let some: { item: Item }[] = [];
  const put = (): void => {
    amend(some);
    pending += some.length;
    some = [];
  };
  for (const item of failed) {
    if (failedInPlan(item)) inPlan++;
    else if (some.push({ item: again(item, left(item.key)) }) >= atOnce) put();
  }
  put();
  return { pending, failedInPlan: inPlan };
}

/** A failed item as it was before its first try; the guard it was planned with stands. What stands there and is not ours is looked at first. */
function again(row: Item, left: Item | undefined): Item {
  const foreign = row.destination !== undefined && row.destination !== left?.destination;
  return {
    ...(foreign ? { code: 'compare' } : {}),
    key: row.key, kind: row.kind, size: row.size, state: 'pending', source: row.source, evidence: 'none', attempts: 0,
    ...(row.destination === undefined ? {} : { destination: row.destination }), ...(row.storageClass === undefined ? {} : { storageClass: row.storageClass }),
  };
}
