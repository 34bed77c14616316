/** A ledger made from the journal alone, and what another one says differently. */
import { isDeepStrictEqual } from 'node:util';
import { BrigadeError, usageError } from '../core/errors.ts';
import { compareKeys, showKey, type Key } from '../core/key.ts';
import type { Item } from '../core/item.ts';
import type { FoldTarget, Journal } from '../ports/journal.ts';
import type { Ledger, RecordedUpload } from '../ports/ledger.ts';
import { fold, type Folded } from './fold.ts';

/** Folds the whole journal into a ledger that holds nothing yet. Errors: as `fold`, and E_LEDGER_NOT_EMPTY (usage). */
export async function rebuild(journal: Journal, empty: FoldTarget, signal?: AbortSignal): Promise<Folded> {
  if (empty.run() !== undefined || empty.foldedTo() !== undefined) throw usageError('E_LEDGER_NOT_EMPTY', 'a ledger is made again only where there is none', 'name another state folder, or move this one away', empty.path);
  return fold(journal, empty, { all: true, ...(signal === undefined ? {} : { signal }) });
}

export type Reading = Pick<Ledger, 'runs' | 'shards' | 'tally' | 'totals' | 'items' | 'item' | 'openUploads'>;

/** One thing two ledgers say differently, in one line. */
export interface Difference {
  readonly run: number;
  /** `run`, `account`, `totals`, `shards`, `object`, `uploads`. */
  readonly about: 'run' | 'account' | 'totals' | 'shards' | 'object' | 'uploads';
  readonly key?: Key;
  readonly message: string;
}

/** What a ledger holds other than the one made from the journal, run by run, objects in key order; bounded memory. */
export function* differences(ledger: Reading, fromJournal: Reading): Generator<Difference> {
  const numbers = new Set([...ledger.runs(), ...fromJournal.runs()].map((run) => run.number));
  for (const run of [...numbers].sort((a, b) => a - b)) {
    const [mine, other] = [ledger, fromJournal].map((one) => one.runs().find(({ number }) => number === run));
    if (mine === undefined || other === undefined) {
      yield { run, about: 'run', message: `run ${run} is only in the ${mine === undefined ? 'journal' : 'ledger'}` };
      continue;
    }
    yield* differ(run, 'run', mine, other);
    yield* differ(run, 'account', ledger.tally(run), fromJournal.tally(run));
    yield* differ(run, 'totals', ledger.totals(run), fromJournal.totals(run));
    yield* differ(run, 'uploads', uploadsOf(ledger, run), uploadsOf(fromJournal, run));
    if (isPruned(ledger, run)) continue;
    yield* differ(run, 'shards', ledger.shards(run), fromJournal.shards(run));
    yield* objects(run, ledger, fromJournal);
  }
}

function* differ(run: number, about: Difference['about'], mine: unknown, other: unknown): Generator<Difference> {
  if (!isDeepStrictEqual(mine, other)) yield { run, about, message: `${about} of run ${run}: the ledger says ${JSON.stringify(mine)}, the journal ${JSON.stringify(other)}` };
}

function uploadsOf(ledger: Reading, run: number): readonly RecordedUpload[] {
  return ledger.openUploads().filter((upload) => upload.run === run);
}

/** Its sums are all that it still says. */
function isPruned(ledger: Reading, run: number): boolean {
  try {
    ledger.items(run)[Symbol.iterator]().next();
    return false;
  } catch (thrown) {
    if (thrown instanceof BrigadeError && thrown.code === 'E_RUN_PRUNED') return true;
    throw thrown;
  }
}

function* objects(run: number, ledger: Reading, fromJournal: Reading): Generator<Difference> {
  const [mine, other] = [ledger.items(run)[Symbol.iterator](), fromJournal.items(run)[Symbol.iterator]()];
  let [a, b] = [next(mine), next(other)];
  while (a !== undefined || b !== undefined) {
    const order = a === undefined ? 1 : b === undefined ? -1 : compareKeys(a.key, b.key);
    if (order === 0) yield* oneObject(run, a as Item, b as Item, ledger, fromJournal);
    else {
      const { key } = (order < 0 ? a : b) as Item;
      yield { run, about: 'object', key, message: `${showKey(key)} is only in the ${order < 0 ? 'ledger' : 'journal'}` };
    }
    [a, b] = [order <= 0 ? next(mine) : a, order >= 0 ? next(other) : b];
  }
}

/** What is told besides (problems, what was lost) stands in a row of its own: looked up only for objects that have one. */
function* oneObject(run: number, a: Item, b: Item, ledger: Reading, fromJournal: Reading): Generator<Difference> {
  const plain = isDeepStrictEqual(a, b) && (a.state === 'copied' || a.state === 'unchanged' || a.state === 'extra');
  if (plain) return;
  const [mine, other] = [ledger, fromJournal].map((one) => told(one.item(run, a.key)));
  if (!isDeepStrictEqual(mine, other)) yield { run, about: 'object', key: a.key, message: `${showKey(a.key)}: the ledger says ${JSON.stringify(mine)}, the journal ${JSON.stringify(other)}` };
}

/** Without the task's number, which is this ledger's own: after a prune it may be given again. */
function told(row: ReturnType<Reading['item']>): object | undefined {
  if (row === undefined) return undefined;
  const { task: _, ...rest } = row;
  return rest;
}

function next(items: Iterator<Item>): Item | undefined {
  const step = items.next();
  return step.done === true ? undefined : step.value;
}
