/**
 * A run that was listed is looked at again, to close or to verify it, in the ranges in which it was listed: several at once, each in order.
 * They are known to be of a size that is worth a listing, so none is cut; small neighbours go together.
 */
import type { Item } from '../core/item.ts';
import { compareKeys, type Key } from '../core/key.ts';
import type { LineCursor } from '../core/line-cursor.ts';
import { type KeyRange, rangeOf, type Shard } from '../core/shard.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { Store } from '../ports/storage.ts';
import { isDivisible } from './ranges.ts';

/** Fewer items than this are not worth a listing of their own. */
const WORTH = 5_000;

/** Ranges that hold every key once. One, where a store cannot be asked for a part of its keys, or where this was not so listed. `most`: about so many. */
export function knownRanges(shards: readonly Shard[], stores: readonly Store[], most = Infinity): readonly KeyRange[] {
  if (shards.length === 0 || !stores.every(({ facts }) => isDivisible(facts))) return [{}];
  const worth = Math.max(WORTH, shards.reduce((sum, shard) => sum + shard.items, 0) / most);
  const ranges: KeyRange[] = [];
  let items = 0;
  for (const shard of shards) {
    const last = ranges.at(-1);
    if (last !== undefined && items + shard.items <= worth) {
      ranges[ranges.length - 1] = rangeOf({ after: last.after, upTo: shard.upTo });
      items += shard.items;
    } else {
      ranges.push(rangeOf(shard));
      items = shard.items;
    }
  }
  return ranges;
}

/** Items of a run in one range, in key order. */
export function* itemsIn(ledger: Pick<Ledger, 'items'>, run: number, { after, upTo }: KeyRange): Generator<Item, void, undefined> {
  for (const item of ledger.items(run, after)) {
    if (upTo !== undefined && compareKeys(item.key, upTo) > 0) return;
    yield item;
  }
}

/** The same, as one cursor after the other that stands on it: an object for each of millions is what such a pass would cost most. */
export function* linesIn(ledger: Pick<Ledger, 'cursors'>, run: number, { after, upTo }: KeyRange): Generator<LineCursor, void, undefined> {
  let isBehind = after === undefined;
  for (const lines of ledger.cursors(run, after)) {
    while (lines.next()) {
      isBehind ||= lines.compareKey(after as Key) > 0;
      if (!isBehind) continue;
      if (upTo !== undefined && lines.compareKey(upTo) > 0) return;
      yield lines;
    }
  }
}
