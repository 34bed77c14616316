/** The account as numbers: objects and bytes per state, objects per evidence, in the column order of the schema. */
import { EVIDENCE } from '../../core/item.ts';
import { EVIDENCES, STATES } from './block.ts';
import type { Count, Evidence, ItemState, Tally } from '../../core/item.ts';
import type { Line } from './block.ts';

export const COUNT_COLUMNS: readonly string[] = [...STATES.flatMap((state) => [state, `${state}_bytes`]), ...EVIDENCES.map((_, i) => `evidence${i}`)];

export type Counts = number[];

export const noCounts = (): Counts => COUNT_COLUMNS.map(() => 0);

function addShape(counts: Counts, state: ItemState, evidence: Evidence, size: number, sign: 1 | -1): void {
  const at = STATES.indexOf(state) * 2;
  counts[at] = (counts[at] ?? 0) + sign;
  counts[at + 1] = (counts[at + 1] ?? 0) + sign * size;
  if (state !== 'copied' && state !== 'unchanged') return;
  const proof = STATES.length * 2 + EVIDENCES.indexOf(evidence);
  counts[proof] = (counts[proof] ?? 0) + sign;
}

/** What a step changes in the sums of its task and run. Applied in the same transaction as the items it sums. */
export class Change {
  readonly counts: Counts = noCounts();
  /** By state and code. */
  readonly codes = new Map<string, { state: ItemState; code: string; objects: number; bytes: number }>();
  readonly totals = new Map<string, number>();

  add(line: Line): void {
    this.#count(line, 1);
  }

  /** Of an item that has no code. */
  addPlain(state: ItemState, evidence: Evidence, size: number): void {
    addShape(this.counts, state, evidence, size, 1);
  }

  /** A pending item that has no code becomes one that has none. */
  settlePlain(state: ItemState, evidence: Evidence, size: number): void {
    addShape(this.counts, 'pending', 'none', size, -1);
    addShape(this.counts, state, evidence, size, 1);
  }

  replace(before: Line, after: Line): void {
    this.#count(before, -1);
    this.#count(after, 1);
  }

  total(name: string, value: number): void {
    if (value !== 0) this.totals.set(name, (this.totals.get(name) ?? 0) + value);
  }

  #count({ item, lost }: Line, sign: 1 | -1): void {
    addShape(this.counts, item.state, item.evidence, item.size, sign);
    if (lost !== undefined) for (const name of new Set(lost)) this.total(`lost:${name}`, sign);
    if (item.state !== 'skipped' && item.state !== 'failed') return;
    const code = item.code ?? '';
    const sum = this.codes.get(`${item.state} ${code}`) ?? { state: item.state, code, objects: 0, bytes: 0 };
    sum.objects += sign;
    sum.bytes += sign * item.size;
    this.codes.set(`${item.state} ${code}`, sum);
  }
}

/** A ledger of an older schema, which is only looked at, has none of what a later column counts. */
export function countsOf(row: Readonly<Record<string, unknown>>): Counts {
  return COUNT_COLUMNS.map((name) => Number(row[name] ?? 0));
}

export function tallyOf(counts: Counts, byCode: Tally['byCode']): Tally {
  const count = (state: ItemState): Count => ({ objects: counts[STATES.indexOf(state) * 2] ?? 0, bytes: counts[STATES.indexOf(state) * 2 + 1] ?? 0 });
  const states = { copied: count('copied'), unchanged: count('unchanged'), skipped: count('skipped'), failed: count('failed'), pending: count('pending') };
  const listed = Object.values(states).reduce((sum, one) => ({ objects: sum.objects + one.objects, bytes: sum.bytes + one.bytes }));
  const evidence = Object.fromEntries(EVIDENCE.map((name) => [name, counts[STATES.length * 2 + EVIDENCES.indexOf(name)] ?? 0])) as Record<Evidence, number>;
  return { listed, ...states, extra: count('extra'), evidence, byCode };
}
