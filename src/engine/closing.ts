/**
 * The closing listing (design truth 4): after the last write every key must stand at the destination under the token that was recorded.
 * LISTs only. What differs is planned again, so that a write that came late or never came is found before the run may end.
 *
 * Rounds of it go on until one finds every key standing. Each object is planned again a few times at most, then it has failed: so there are
 * never more rounds than a few times the number of objects, whoever else writes to the destination.
 */
import type { Item, Problem } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import type { LineCursor } from '../core/line-cursor.ts';
import type { ObjectEntry } from '../core/object.ts';
import type { KeyRange } from '../core/shard.ts';
import type { Events } from '../ports/events.ts';
import type { Ledger } from '../ports/ledger.ts';
import type { EntrySorter } from '../ports/sorter.ts';
import type { Store } from '../ports/storage.ts';
import { knownRanges, linesIn } from './known-ranges.ts';
import { runLanes } from './lanes.ts';
import { EntryCursor } from './lister.ts';

export interface ClosingContext {
  readonly destination: Store;
  readonly ledger: Ledger;
  readonly run: number;
  /** What every selected key begins with. */
  readonly prefix: Key;
  readonly sorter: () => EntrySorter;
  readonly events: Events;
  /** Ranges that are listed at once, at most. */
  readonly lanes: number;
}

interface Change { readonly item: Item; readonly problem?: Problem }

export interface Closed {
  /** Items that differ and are pending again. */
  readonly again: number;
  /** Items that differed once more than may be, and have failed. */
  readonly failed: number;
}

/** What differs is written to the ledger in portions of this size while the walk goes on: all of it would not fit into memory. */
const CHANGES_AT_ONCE = 5_000;
/** Times an object is planned again; the next time it has failed. */
const MOST_AGAIN = 3;

/** One round: every key of the run against one whole listing of the destination. */
export async function closeListing(context: ClosingContext, signal: AbortSignal): Promise<Closed> {
  const round = new Round(context, signal);
  await runLanes(knownRanges(context.ledger.shards(context.run), [context.destination]), context.lanes, signal, (range) => round.close(range));
  round.save();
  return round.closed;
}

class Round {
  readonly closed = { again: 0, failed: 0 };
  readonly #context: ClosingContext;
  readonly #signal: AbortSignal;
  #changes: Change[] = [];

  constructor(context: ClosingContext, signal: AbortSignal) {
    this.#context = context;
    this.#signal = signal;
  }

  async close(range: KeyRange): Promise<void> {
    const { destination, ledger, run, sorter, events, prefix } = this.#context;
    const onPage = (objects: number, bytes: number): void => events.emit({ type: 'listed', side: 'destination', objects, bytes, done: false });
    const entries = new EntryCursor(destination, { signal: this.#signal, sorter, onPage, prefix, bound: range, startAfter: range.after });
    try {
      for (const lines of linesIn(ledger, run, range)) {
        let found = seek(entries, lines);
        for (; found === undefined; found = seek(entries, lines)) await entries.more();
        this.#hold(lines, found ? entries.peek() : undefined);
        if (this.#changes.length < CHANGES_AT_ONCE) continue;
        this.save();
        await ledger.room?.();
      }
    } finally {
      await entries.close();
    }
  }

  #hold(lines: LineCursor, entry: ObjectEntry | undefined): void {
    if (stands(lines, entry)) return;
    const item = lines.item();
    const last = (item.undone ?? 0) >= MOST_AGAIN;
    this.closed[last ? 'failed' : 'again']++;
    this.#changes.push(last ? givenUp(item) : plannedAgain(item, entry));
  }

  save(): void {
    this.#context.ledger.amend(this.#context.run, this.#changes);
    this.#changes = [];
  }
}

/** Takes what comes before this key; whether the next entry is the key's. Undefined: the listing must go on before that can be told. */
function seek(entries: EntryCursor, lines: LineCursor): boolean | undefined {
  for (let entry = entries.peek(); entry !== undefined; entry = entries.peek()) {
    const order = lines.compareKey(entry.key);
    if (order <= 0) return order === 0;
    entries.take();
  }
  return entries.isOver ? false : undefined;
}

function stands(lines: LineCursor, entry: ObjectEntry | undefined): boolean {
  const { state } = lines;
  if (state !== 'copied' && state !== 'unchanged') return true;
  if (entry === undefined) return false;
  return lines.isDirectory || lines.isThere(entry.token);
}

function plannedAgain(item: Item, entry: ObjectEntry | undefined): Change {
  const { destination: _, checksum: __, code: ___, ...rest } = item;
  const there = entry === undefined ? {} : { destination: entry.token, code: 'compare' };
  return { item: { ...rest, ...there, state: 'pending', evidence: 'none', attempts: 0, undone: (item.undone ?? 0) + 1 } };
}

function givenUp(item: Item): Change {
  const code = 'E_DESTINATION_CHANGED';
  return {
    item: { ...item, state: 'failed', code },
    problem: { code, kind: 'object', message: 'the destination object is not the one that was written, again and again', hint: 'find who else writes to or deletes from the destination, then: brigade retry' },
  };
}
