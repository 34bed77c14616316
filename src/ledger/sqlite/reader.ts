/** The questions a ledger answers. Works on a live ledger from any process: no lock is held between two steps of an iteration. */
import { usageError } from '../../core/errors.ts';
import { compareKeys, keyFromBytes, keyToBytes } from '../../core/key.ts';
import { countsOf, noCounts, tallyOf } from './counts.ts';
import { damaged } from './faults.ts';
import { findingOf, partOf, prefixEnd, problemOf, runOf, shardOf, totalsOf, uploadOf } from './rows.ts';
import { cursorOf, eachLineOf, loadLines } from './tasks.ts';
import type { Item, ItemState, Problem, Tally } from '../../core/item.ts';
import type { Key } from '../../core/key.ts';
import type { LineCursor } from '../../core/line-cursor.ts';
import type { Shard } from '../../core/shard.ts';
import type { Finding, Ledger, ObjectFilter, ObjectRow, RecordedUpload, Run, RunTotals, VerifySummary } from '../../ports/ledger.ts';
import { LeftItems, type Span } from './left-items.ts';
import type { Line } from './block.ts';
import type { Connection } from './connection.ts';
import type { Row } from './rows.ts';

/** The part of the port that only reads. */
export type LedgerView = Pick<Ledger, 'path' | 'binding' | 'runs' | 'run' | 'shards' | 'leftBefore' | 'openUploads' | 'tally' | 'totals' | 'items' | 'cursors' | 'item' | 'objects' | 'verifySummary' | 'findings' | 'close'>;

const LOUD: ReadonlySet<ItemState> = new Set(['skipped', 'failed']);
const FIRST = Buffer.alloc(0);

export class LedgerReader {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  runs(): readonly Run[] {
    return this.#all('runs').map(runOf);
  }

  run(number?: number): Run | undefined {
    const row = number === undefined ? this.#get('latestRun') : this.#get('run', number);
    return row === undefined ? undefined : runOf(row);
  }

  shards(run: number): readonly Shard[] {
    return this.#all('shards', run).map(shardOf);
  }

  tally(run: number): Tally {
    return this.#connection.read('tally', () => {
      const row = this.#get('tally', run);
      const byCode = this.#all('codes', run).map((code) => ({
        state: code['state'] as 'skipped' | 'failed', code: String(code['code']), objects: Number(code['objects']), bytes: Number(code['bytes']),
      }));
      return tallyOf(row === undefined ? noCounts() : countsOf(row), byCode);
    });
  }

  totals(run: number): RunTotals {
    return totalsOf(this.#all('totals', run));
  }

  *items(run: number, after?: Key): Generator<Item> {
    for (const { id } of this.#tasks(run, after)) {
      const lines = eachLineOf(this.#connection, id);
      // Of a generator only the steps can fail.
      for (let step = this.#next(lines); step.done !== true; step = this.#next(lines)) {
        const { item } = step.value;
        if (after === undefined || compareKeys(item.key, after) > 0) yield item;
      }
    }
  }

  *cursors(run: number, after?: Key): Generator<LineCursor> {
    for (const { id } of this.#tasks(run, after)) {
      const walk = cursorOf(this.#connection, id);
      for (let step = this.#next(walk); step.done !== true; step = this.#next(walk)) yield step.value;
    }
  }

  item(run: number, key: Key): ObjectRow | undefined {
    this.#refusePruned(run);
    const task = this.#taskOf(run, key);
    const line = task === undefined ? undefined : this.#lines(task).get(key);
    if (task === undefined || line === undefined) return undefined;
    const row = this.#get('object', run, keyToBytes(key));
    return objectRow(line, task, row === undefined ? undefined : problemOf(row));
  }

  *objects(run: number, filter: ObjectFilter): Generator<ObjectRow> {
    const { limit = Infinity } = filter;
    if (limit <= 0) return;
    const candidates = onlyLoud(filter) ? this.#loudObjects(run, filter.prefix ?? '') : this.#allObjects(run, filter.prefix ?? '');
    let count = 0;
    for (const row of candidates) {
      if (!matches(row, filter)) continue;
      yield row;
      if (++count >= limit) return;
    }
  }

  leftBefore(run: number, cursors = 1): (key: Key) => Item | undefined {
    const earlier = this.runs().map(({ number }) => number).filter((number) => number < run);
    const left = new LeftItems(earlier.reverse(), (number, key) => this.#spanAt(number, key), cursors);
    return (key) => left.find(key);
  }

  /** The task whose range holds this key. */
  taskOfKey(run: number, key: Key): number | undefined {
    return this.#taskOf(run, key);
  }

  openUploads(): readonly (RecordedUpload & { readonly run: number; readonly task: number })[] {
    return this.#all('uploads').map((row) => ({ ...this.#upload(row), run: Number(row['run']), task: Number(row['task']) }));
  }

  uploadsOfTask(task: number): readonly RecordedUpload[] {
    return this.#all('uploadsOfTask', task).map((row) => this.#upload(row));
  }

  verifySummary(run: number): VerifySummary | undefined {
    const row = this.#get('verify', run);
    return row === undefined ? undefined : JSON.parse(String(row['summary'])) as VerifySummary;
  }

  findings(run: number, limit = -1): readonly Finding[] {
    return this.#all('findings', run, limit).map(findingOf);
  }

  #upload(row: Row): RecordedUpload {
    const parts = this.#all('parts', Number(row['task']), String(row['upload'])).map(partOf);
    return { upload: uploadOf(row), sourceToken: String(row['source_token']), parts };
  }

  /** Tasks in key order from the one that holds `after`. */
  *#tasks(run: number, after?: Key): Generator<{ id: number; first: Uint8Array; last: Uint8Array }> {
    this.#refusePruned(run);
    // The empty key is a key too: an object named as its prefix.
    let row = this.#get('taskAt', run, after === undefined ? FIRST : keyToBytes(after)) ?? this.#get('nextTask', run, FIRST);
    while (row !== undefined) {
      const id = Number(row['id']);
      const first = row['first_key'] as Uint8Array;
      if (after !== undefined && compareKeys(keyFromBytes(row['last_key'] as Uint8Array), after) < 0) {
        row = this.#get('nextTask', run, first);
        continue;
      }
      yield { id, first, last: row['last_key'] as Uint8Array };
      row = this.#get('nextTask', run, first);
    }
  }

  *#allObjects(run: number, prefix: Key): Generator<ObjectRow> {
    const end = prefixEnd(prefix);
    for (const { id, first, last } of this.#tasks(run, prefix === '' ? undefined : prefix)) {
      if (end !== undefined && Buffer.compare(first, end) >= 0) return;
      const problems = new Map(this.#all('objectsOfTask', run, first, last).map((row) => [keyFromBytes(row['key'] as Uint8Array), problemOf(row)]));
      for (const [key, line] of this.#lines(id)) yield objectRow(line, id, problems.get(key));
    }
  }

  /** Only objects with a row of their own; their tasks' blocks come one after the other because the rows are in key order. */
  *#loudObjects(run: number, prefix: Key): Generator<ObjectRow> {
    this.#refusePruned(run);
    const end = prefixEnd(prefix);
    let loaded: { task: number; lines: Map<Key, Line> } | undefined;
    let rows = this.#all('firstObjects', run, keyToBytes(prefix));
    while (rows.length > 0) {
      for (const row of rows) {
        const bytes = row['key'] as Uint8Array;
        if (end !== undefined && Buffer.compare(bytes, end) >= 0) return;
        const task = Number(row['task']);
        if (loaded?.task !== task) loaded = { task, lines: this.#lines(task) };
        const line = loaded.lines.get(keyFromBytes(bytes));
        if (line === undefined) throw damaged(`task ${task} lacks an object that has something to say`, this.#connection.path);
        yield objectRow(line, task, problemOf(row));
      }
      rows = this.#all('nextObjects', run, rows.at(-1)?.['key'] as Uint8Array);
    }
  }

  #taskOf(run: number, key: Key): number | undefined {
    const bytes = keyToBytes(key);
    const row = this.#get('taskAt', run, bytes);
    return row === undefined || Buffer.compare(row['last_key'] as Uint8Array, bytes) < 0 ? undefined : Number(row['id']);
  }

  /** What the run holds from this key up to the next task's first; a pruned run holds nothing. */
  #spanAt(run: number, key: Key): Span {
    const task = this.#taskOf(run, key);
    const next = this.#get('nextTask', run, keyToBytes(key));
    const until = next === undefined ? {} : { until: keyFromBytes(next['first_key'] as Uint8Array) };
    return { from: key, ...until, lines: task === undefined ? new Map() : this.#lines(task) };
  }

  #refusePruned(run: number): void {
    if (this.#get('run', run)?.['pruned'] === 1) {
      throw usageError('E_RUN_PRUNED', `the objects of run ${run} were pruned; its sums remain`, undefined, this.#connection.path);
    }
  }

  #next<T>(steps: Iterator<T, void>): IteratorResult<T, void> {
    return this.#connection.read('read a block', () => steps.next());
  }

  #lines(task: number): Map<Key, Line> {
    return this.#connection.read('read a block', () => loadLines(this.#connection, task).lines);
  }

  #get(name: Parameters<Connection['sql']>[0], ...parameters: (string | number | Uint8Array)[]): Row | undefined {
    return this.#connection.read(name, () => this.#connection.sql(name).get(...parameters));
  }

  #all(name: Parameters<Connection['sql']>[0], ...parameters: (string | number | Uint8Array)[]): Row[] {
    return this.#connection.read(name, () => this.#connection.sql(name).all(...parameters));
  }
}

function objectRow({ item, lost }: Line, task: number, problem: Problem | undefined): ObjectRow {
  return { ...item, task, ...(problem === undefined ? {} : { problem }), ...(lost === undefined ? {} : { lost }) };
}

/** Whether every item that the filter lets pass has a row of its own. */
function onlyLoud(filter: ObjectFilter): boolean {
  return filter.codes !== undefined || filter.classes !== undefined || (filter.states !== undefined && filter.states.every((state) => LOUD.has(state)));
}

function matches(row: ObjectRow, filter: ObjectFilter): boolean {
  const code = row.problem?.code ?? row.code ?? '';
  const kind = row.problem?.kind ?? '';
  return (filter.prefix === undefined || row.key.startsWith(filter.prefix))
    && (filter.states === undefined || filter.states.includes(row.state))
    && (filter.codes === undefined || filter.codes.includes(code))
    && (filter.classes === undefined || filter.classes.includes(code) || filter.classes.includes(kind));
}
