/**
 * Planned tasks whose items are packed as columns. Ten thousands of items wait at a time for their segment of a journal: as objects, each would be
 * moved twice by the garbage collector, and packed twice, for the journal and for the ledger.
 */
import type { Item, Problem } from './item.ts';
import type { Key } from './key.ts';
import { lineCount, packLines, unpackLines } from './lines.ts';

/** As PlannedTask (ports/ledger.ts). `items` may be taken apart when it is read, so nobody reads it who can do without. */
interface Task {
  readonly items: readonly Item[];
  readonly problems: ReadonlyMap<Key, Problem>;
  readonly columns?: Buffer;
}

type PackedTask = Task & Required<Pick<Task, 'columns'>>;

/** The same task with its items packed, and no longer held as objects. */
export function packTask(task: Task): PackedTask {
  return columnTask(columnsOf(task), task.problems);
}

/** A task out of columns, which nobody may write to afterwards. */
export function columnTask(columns: Buffer, problems: ReadonlyMap<Key, Problem>): PackedTask {
  let items: readonly Item[] | undefined;
  return { columns, problems, get items() { return items ??= unpackLines(columns).map(({ item }) => item); } };
}

export function columnsOf(task: Task): Buffer {
  return task.columns ?? packLines(task.items.map((item) => ({ item })));
}

export function itemCount(task: Task): number {
  return task.columns === undefined ? task.items.length : lineCount(task.columns);
}

export function itemsOfAll(tasks: readonly Task[]): number {
  return tasks.reduce((sum, task) => sum + itemCount(task), 0);
}
