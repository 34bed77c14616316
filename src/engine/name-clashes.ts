/**
 * Destinations that take different names for the same (case-insensitive, normalising: F040, F041): a first pass over the source's names
 * finds those that would fall together, through the sorter, so that memory holds only the clashes. None of them is written.
 */
import { BrigadeError } from '../core/errors.ts';
import type { Key } from '../core/key.ts';
import type { EntrySorter } from '../ports/sorter.ts';
import type { Store } from '../ports/storage.ts';
import { listAll, type ListAllOptions } from './list-all.ts';

const MOST = 1_000_000;
/** Sorts before every character of a key, and is in none. */
const BETWEEN = '\u0000';

/** `fold` gives equal text for keys that the destination takes for the same. */
export async function findClashes(source: Store, fold: (key: Key) => Key, sorter: EntrySorter, options: ListAllOptions, signal: AbortSignal): Promise<ReadonlySet<Key>> {
  try {
    await listAll(source, options, (entries) => sorter.add(entries.map(({ key }) => ({ key: `${fold(key)}${BETWEEN}${key}`, kind: 'object', size: 0, token: '' }))), signal);
    return collect(sorter);
  } finally {
    sorter.close();
  }
}

function collect(sorter: EntrySorter): ReadonlySet<Key> {
  const clashes = new Set<Key>();
  let last: { readonly fold: string; readonly key: Key } | undefined;
  for (const page of sorter.pages()) {
    for (const { key: both } of page) {
      const cut = both.indexOf(BETWEEN);
      const current = { fold: both.slice(0, cut), key: both.slice(cut + 1) };
      if (last?.fold === current.fold) clashes.add(last.key).add(current.key);
      last = current;
    }
    if (clashes.size > MOST) throw new BrigadeError({ code: 'E_NAME_COLLISION', kind: 'usage', message: `more than ${MOST} names of the source fall together at the destination`, hint: 'choose a destination that tells them apart' });
  }
  return clashes;
}
