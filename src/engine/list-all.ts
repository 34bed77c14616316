/** Everything a store lists, in no order, over several ranges at once where the store can be asked so. */
import type { Key } from '../core/key.ts';
import type { ObjectEntry } from '../core/object.ts';
import type { Clock } from '../ports/clock.ts';
import type { Store } from '../ports/storage.ts';
import { EntryCursor, type Seed } from './lister.ts';
import { inRanges, isDivisible, type Range, type Ranges } from './ranges.ts';

export interface ListAllOptions {
  readonly lanes: number;
  readonly clock: Clock;
  readonly prefix?: Key;
}

/** `each` takes entries in runs that are in order within themselves. */
export async function listAll(store: Store, { lanes, clock, prefix = '' }: ListAllOptions, each: (entries: readonly ObjectEntry[]) => void, signal: AbortSignal): Promise<void> {
  if (!isDivisible(store.facts)) {
    for await (const { entries } of store.list({ signal, ...(prefix === '' ? {} : { prefix }) })) each(entries);
    return;
  }
  const cursors = new Map<Range, EntryCursor>();
  const seeds = new Map<Range, Seed | undefined>();
  const work = async (range: Range, pool: Ranges, stop: AbortSignal): Promise<void> => {
    const cursor = new EntryCursor(store, {
      bound: range, startAfter: range.from, prefix, seed: seeds.get(range), signal: stop, sorter: () => { throw new TypeError('an ordered listing is not sorted'); }, onPage: () => undefined,
      onKeys: (first, last, count) => pool.saw(range, 'only', first, last, count), onEnd: (wasted) => pool.ended(range, 'only', wasted),
    });
    cursors.set(range, cursor);
    try {
      while (await cursor.more()) drain(cursor, each);
    } finally {
      cursors.delete(range);
      seeds.delete(range);
      await cursor.close();
    }
  };
  const onSplit = (lower: Range, upper: Range): void => { seeds.set(upper, cursors.get(lower)?.handOver(upper.after as Key)); };
  await inRanges([{}], { sides: 1, lanes, divisible: lanes > 1, prefix, clock, onSplit }, work, signal);
}

/** Apart, so that no frame that waits for the next page holds the last one. */
function drain(cursor: EntryCursor, each: (entries: readonly ObjectEntry[]) => void): void {
  each(cursor.takeAll());
}
