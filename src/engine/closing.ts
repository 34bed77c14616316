/**
 * The closing listing (design truth 4): after the last write every key must stand at the destination under the token that was recorded.
 * LISTs only. What differs is planned again, so that a write that came late or never came is found before the run may end.
 */
import type { Item, Problem } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import { merge } from '../core/merge.ts';
import type { ObjectEntry } from '../core/object.ts';
import type { Events } from '../ports/events.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { EntrySorter } from '../ports/sorter.ts';
import type { Store } from '../ports/storage.ts';
import { listInOrder } from './lister.ts';

export interface ClosingContext {
  readonly destination: Store;
  readonly ledger: Ledger;
  readonly run: number;
  /** What every selected key begins with. */
  readonly prefix: Key;
  readonly sorter: () => EntrySorter;
  readonly events: Events;
}

interface Change { readonly item: Item; readonly problem?: Problem }

/** Items are mended in portions of this size; more come in the next round. */
const MOST_CHANGES = 20_000;

/** Returns how many items differ and were set back to pending, or to failed when `last`. */
export async function closeListing(context: ClosingContext, last: boolean, signal: AbortSignal): Promise<number> {
  const { destination, ledger, run, sorter, events } = context;
  const onPage = (objects: number, bytes: number): void => events.emit({ type: 'listed', side: 'destination', objects, bytes, done: false });
  const nothing: Iterator<Item> = [][Symbol.iterator]();
  const changes: Change[] = [];
  for await (const { a: item, b: entry } of merge(ledger.items(run)[Symbol.iterator](), listInOrder(destination, { signal, sorter, onPage, prefix: context.prefix }), nothing)) {
    if (item === undefined || stands(item, entry)) continue;
    changes.push(last ? givenUp(item) : plannedAgain(item, entry));
    if (changes.length >= MOST_CHANGES) break;
  }
  if (changes.length > 0) ledger.amend(run, changes);
  return changes.length;
}

function stands(item: Item, entry: ObjectEntry | undefined): boolean {
  if (item.state !== 'copied' && item.state !== 'unchanged') return true;
  if (entry === undefined) return false;
  return item.kind === 'directory' || entry.token === item.destination;
}

function plannedAgain(item: Item, entry: ObjectEntry | undefined): Change {
  const { destination: _, checksum: __, code: ___, ...rest } = item;
  const there = entry === undefined ? {} : { destination: entry.token, code: 'compare' };
  return { item: { ...rest, ...there, state: 'pending', evidence: 'none' } };
}

function givenUp(item: Item): Change {
  const code = 'E_DESTINATION_CHANGED';
  return {
    item: { ...item, state: 'failed', code },
    problem: { code, kind: 'object', message: 'the destination object is not the one that was written, again and again', hint: 'find who else writes to or deletes from the destination, then: brigade retry' },
  };
}
