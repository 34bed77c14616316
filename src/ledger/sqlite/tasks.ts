/** Tasks and their items: loading, changing, folding. Every change keeps the sums beside it true; the caller holds the transaction. */
import { BrigadeError } from '../../core/errors.ts';
import { keyToBytes, showKey } from '../../core/key.ts';
import { decodeBlock, encodeBlock, linesOf, plainBlock, seal, unseal } from './block.ts';
import { Change } from './counts.ts';
import { settle } from './outcome.ts';
import { damaged, ledgerFault } from './faults.ts';
import type { Item, Outcome, Problem } from '../../core/item.ts';
import type { Key } from '../../core/key.ts';
import type { Landed } from '../../core/outcome-columns.ts';
import { LineCursor } from '../../core/line-cursor.ts';
import { packLines } from '../../core/lines.ts';
import { settledLines } from '../../core/settled-lines.ts';
import type { Line } from './block.ts';
import type { Connection } from './connection.ts';
import type { Planned } from './planned.ts';

export interface OpenTask {
  readonly id: number;
  readonly run: number;
  /** In key order. */
  readonly lines: Map<Key, Line>;
  /** Items that were reported on since the task was last leased. */
  readonly reported: Set<Key>;
  /** Outcome rows on disk that are not folded into the block yet. */
  layers: number;
  /** Whether any of its items may have a row of its own. */
  told: boolean;
}

/** Decoded items kept for tasks that are being worked on. */
const MOST_CACHED_ITEMS = 100_000;
/** A task whose outcomes trickle in is folded now and then, so that loading it stays quick. */
const MOST_LAYERS = 64;

export function loadLines(connection: Connection, task: number): { lines: Map<Key, Line>; layers: number } {
  const rows = connection.sql('layers').all(task);
  const lines = new Map<Key, Line>();
  for (const row of rows) for (const line of decodeBlock(row['data'] as Uint8Array)) lines.set(line.item.key, line);
  refuseOtherRange(connection, task, lines);
  return { lines, layers: Math.max(0, rows.length - 1) };
}

/** The same for who goes through them once, in key order: with nothing to fold they need not all be held. */
export function* eachLineOf(connection: Connection, task: number): Generator<Line, void, undefined> {
  const rows = connection.sql('layers').all(task);
  if (rows.length !== 1) return yield* loadLines(connection, task).lines.values();
  const range = rangeOf(connection, task);
  let [first, last]: (Key | undefined)[] = [];
  for (const line of linesOf(rows[0]?.['data'] as Uint8Array)) {
    if (first === undefined) refuseUnless(isKey(first = line.item.key, range['first_key']), task, connection);
    yield line;
    last = line.item.key;
  }
  refuseUnless(isKey(last, range['last_key']), task, connection);
}

/** One cursor, which begins with the task's first key. Whoever goes through all of it before asking for more hears then whether it ended with the last. */
export function* cursorOf(connection: Connection, task: number): Generator<LineCursor, void, undefined> {
  const rows = connection.sql('layers').all(task);
  const range = rangeOf(connection, task);
  const plain = rows.length === 1 ? plainBlock(rows[0]?.['data'] as Uint8Array) : packLines([...loadLines(connection, task).lines.values()]);
  const cursor = new LineCursor(plain, (thrown) => ledgerFault(thrown, 'read a block', connection.path));
  refuseUnless(cursor.firstKey().equals(range['first_key'] as Uint8Array), task, connection);
  yield cursor;
  if (cursor.isOver) refuseUnless(cursor.keyBytes().equals(range['last_key'] as Uint8Array), task, connection);
}

/** The range by which a task is found must be that of its items, or a key would be looked for in the wrong place. */
function refuseOtherRange(connection: Connection, task: number, lines: ReadonlyMap<Key, Line>): void {
  const range = rangeOf(connection, task);
  let [first, last]: (Key | undefined)[] = [];
  for (const key of lines.keys()) {
    first ??= key;
    last = key;
  }
  refuseUnless(isKey(first, range['first_key']) && isKey(last, range['last_key']), task, connection);
}

function rangeOf(connection: Connection, task: number): Readonly<Record<string, unknown>> {
  const row = connection.sql('range').get(task);
  if (row === undefined) throw unknown(`task ${task}`); // pruned meanwhile
  return row;
}

const isKey = (key: Key | undefined, bytes: unknown): boolean => key !== undefined && keyToBytes(key).equals(bytes as Uint8Array);

function refuseUnless(holds: boolean, task: number, { path }: Connection): void {
  if (!holds) throw damaged(`task ${task} does not hold the keys it should`, path);
}

export class Tasks {
  readonly #connection: Connection;
  readonly #cache = new Map<number, OpenTask>();
  #cachedItems = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** After a rollback nothing remembered can be believed. */
  forget(): void {
    this.#cache.clear();
    this.#cachedItems = 0;
  }

  open(id: number): OpenTask {
    const cached = this.#cache.get(id);
    if (cached !== undefined) return cached;
    const row = this.#connection.sql('task').get(id);
    if (row === undefined) throw unknown(`task ${id}`);
    const told = this.#connection.sql('anyObject').get(id) !== undefined;
    const task: OpenTask = { id, run: Number(row['run']), reported: new Set(), told, ...loadLines(this.#connection, id) };
    this.#remember(task);
    return task;
  }

  /** Reports from now on are those of whoever leases it now. */
  lease(id: number): void {
    this.#cache.get(id)?.reported.clear();
  }

  /** The items as they stand on disk, where all of them are pending: most tasks are sent so, and need not be taken apart for it. */
  allPending(id: number): Buffer | undefined {
    const row = this.#connection.sql('allPending').get(id);
    return row === undefined ? undefined : unseal(row['data'] as Uint8Array);
  }

  /** Nobody is expected to ask for it soon: it is loaded again when somebody does. What was reported since it was leased is known here alone. */
  letGo(id: number): void {
    if (this.#cache.get(id)?.reported.size === 0) this.#drop(id);
  }

  /** Refuses keys that the task does not hold, before they join others in a transaction. */
  mustHold(id: number, keys: readonly Key[]): void {
    const task = this.open(id);
    for (const key of keys) if (!task.lines.has(key)) throw unknown(`${showKey(key)} in task ${id}`);
  }

  /** A new task at the end of its run. */
  add(run: number, { firstKey, lastKey, change, block, loud }: Planned, problems: ReadonlyMap<Key, Problem>): void {
    const state = change.counts[0] === 0 ? 'done' : 'ready';
    const { lastInsertRowid } = this.#connection.sql('addTask').run(run, state, firstKey, lastKey, ...change.counts);
    const id = Number(lastInsertRowid);
    this.#connection.sql('addBlock').run(id, block);
    for (const item of loud) this.#say({ run, id, told: false }, item, problems.get(item.key));
    this.#sumUp(run, change);
  }

  /** Outcomes of one task, as `Ledger.record` says. */
  record(id: number, outcomes: readonly Outcome[], close: boolean): void {
    const task = this.open(id);
    const change = new Change();
    const changed = outcomes.map((outcome) => this.#settleOne(task, outcome, change)).filter((line) => line !== undefined);
    this.#countTask(id, change);
    this.#sumUp(task.run, change);
    const wasDone = this.#connection.sql('task').get(id)?.['state'] === 'done';
    if (close || wasDone) this.#close(task, close, changed.length > 0);
    else if (changed.length > 0) this.#layer(task, changed);
  }

  /**
   * The end of most tasks: nobody said anything of it before, and now of each of its items that it was done as planned. False, when nothing was changed,
   * where it is not so: `record` is for that. @throws BrigadeError E_LEDGER_CORRUPT as `open`
   */
  settleAll(id: number, landed: Landed): boolean {
    const row = this.#connection.sql('allPending').get(id);
    if (row === undefined || this.#connection.sql('anyObject').get(id) !== undefined) return false;
    const change = new Change();
    const settled = settledLines(plainBlock(row['data'] as Uint8Array), landed, (...now) => change.settlePlain(...now));
    if (settled === undefined) return false;
    // The keys of the report are those of the block.
    refuseUnless(landed.firstKey.equals(row['first_key'] as Uint8Array) && landed.lastKey.equals(row['last_key'] as Uint8Array), id, this.#connection);
    change.total('bytesSent', landed.bytesSent);
    change.total('unguarded', landed.unguarded);
    this.#countTask(id, change);
    this.#sumUp(Number(row['run']), change);
    this.#connection.sql('setBlock').run(seal(settled), id);
    this.#connection.sql('settleTask').run('done', 0, id);
    this.#drop(id);
    return true;
  }

  /** Puts these items in place of the ones with their keys; see `Ledger.amend`. */
  amend(id: number, changes: readonly { readonly item: Item; readonly problem?: Problem }[]): void {
    const task = this.open(id);
    const change = new Change();
    for (const { item, problem } of changes) {
      const before = task.lines.get(item.key);
      if (before === undefined) throw unknown(`${showKey(item.key)} in task ${id}`);
      const after: Line = before.lost === undefined || item.state === 'pending' ? { item } : { item, lost: before.lost };
      change.replace(before, after);
      task.lines.set(item.key, after);
      this.#say(task, item, problem);
    }
    this.#countTask(id, change);
    this.#sumUp(task.run, change);
    this.#fold(task);
    const row = this.#connection.sql('task').get(id);
    if (row?.['state'] !== 'leased') this.#connection.sql('settleTask').run(Number(row?.['pending']) > 0 ? 'ready' : 'done', Number(row?.['in_doubt']), id);
  }

  #settleOne(task: OpenTask, outcome: Outcome, change: Change): Line | undefined {
    const before = task.lines.get(outcome.key);
    if (before === undefined) throw unknown(`${showKey(outcome.key)} in task ${task.id}`);
    task.reported.add(outcome.key);
    const after = settle(before, outcome);
    if (after === undefined) return undefined;
    change.replace(before, after);
    if (after.item.state !== 'pending' || after.item.attempts > before.item.attempts) {
      change.total('bytesSent', outcome.bytesSent);
      change.total('unguarded', outcome.unguarded === true ? 1 : 0);
    }
    task.lines.set(outcome.key, after);
    this.#say(task, after.item, outcome.problem);
    return after;
  }

  #layer(task: OpenTask, changed: readonly Line[]): void {
    if (task.layers >= MOST_LAYERS) {
      this.#fold(task);
      return;
    }
    this.#connection.sql('addOutcomes').run(task.id, encodeBlock(changed));
    task.layers++;
  }

  /** Only somebody who worked on an item and did not say how it ended leaves doubt. */
  #close(task: OpenTask, givenBack: boolean, changed: boolean): void {
    if (changed || task.layers > 0) this.#fold(task);
    const pending = [...task.lines.values()].filter((line) => line.item.state === 'pending');
    const doubt = pending.some((line) => !task.reported.has(line.item.key));
    if (givenBack) this.#connection.sql('settleTask').run(pending.length > 0 ? 'ready' : 'done', doubt ? 1 : 0, task.id);
    this.#drop(task.id);
  }

  #fold(task: OpenTask): void {
    this.#connection.sql('setBlock').run(encodeBlock([...task.lines.values()]), task.id);
    if (task.layers > 0) this.#connection.sql('clearOutcomes').run(task.id);
    task.layers = 0;
  }

  /** A row of its own for an item with something to say, and none for any other. */
  #say(task: Pick<OpenTask, 'id' | 'run' | 'told'>, item: Item, problem: Problem | undefined): void {
    const { run, id } = task;
    const loud = item.state === 'skipped' || item.state === 'failed';
    if (problem === undefined && !loud) {
      // Of most tasks nothing was ever told: a statement for each of their items would be for nothing.
      if (task.told) this.#connection.sql('dropObject').run(run, keyToBytes(item.key));
      return;
    }
    task.told = true;
    const row = this.#connection.sql('addProblem').get(problem?.code ?? item.code ?? '', problem?.kind ?? '', problem?.message ?? '', problem?.hint ?? '');
    this.#connection.sql('setObject').run(run, keyToBytes(item.key), id, item.state, Number(row?.['id']));
  }

  #countTask(id: number, change: Change): void {
    this.#connection.sql('countTask').run(...change.counts, id);
  }

  #sumUp(run: number, change: Change): void {
    this.#connection.sql('countRun').run(...change.counts, run);
    for (const { state, code, objects, bytes } of change.codes.values()) this.#connection.sql('addCode').run(run, state, code, objects, bytes);
    for (const [name, value] of change.totals) this.#connection.sql('addTotal').run(run, name, value);
  }

  #remember(task: OpenTask): void {
    this.#cache.set(task.id, task);
    this.#cachedItems += task.lines.size;
    for (const id of this.#cache.keys()) {
      if (this.#cachedItems <= MOST_CACHED_ITEMS || id === task.id) break;
      this.#drop(id);
    }
  }

  #drop(id: number): void {
    this.#cachedItems -= this.#cache.get(id)?.lines.size ?? 0;
    this.#cache.delete(id);
  }
}

function unknown(what: string): BrigadeError {
  return new BrigadeError({ code: 'E_LEDGER_UNKNOWN', kind: 'internal', message: `the ledger knows nothing of ${what}` });
}
