/**
 * Outcomes as columns: what they have in common with items stands as lines (lines.ts), what they have beside it in columns of its own. Most reports of a
 * fleet say of thousand objects that each was copied as planned: that is counted, and brought into a ledger, without an object for each.
 */
import { ByteReader, ByteWriter } from './bytes.ts';
import { BrigadeError } from './errors.ts';
import type { Item, Outcome, Problem } from './item.ts';
import { LineCursor } from './line-cursor.ts';
import { type Line, packLines, unpackLines } from './lines.ts';
import type { Mutable } from './mutable.ts';
import type { ChecksumAlgorithm } from './object.ts';

export interface OutcomeColumns {
  /** As of packLines(). */
  readonly lines: Buffer;
  /** A byte for each: what it has beside the columns of an item. */
  readonly flags: Buffer;
  /** Bytes sent, microseconds, and which problem (from 1) where it has one. */
  readonly numbers: Buffer;
}

const HAS = { size: 1, source: 2, problem: 4, unguarded: 8, guarded: 16, noLost: 32 } as const;
/** What was planned was done, and there is nothing to tell of it. */
const AS_PLANNED = HAS.unguarded | HAS.guarded | HAS.noLost;

/** `numberOf`: the number of a problem, from 1; 0 for none. */
export function packOutcomes(outcomes: readonly Outcome[], numberOf: (problem: Problem | undefined) => number): OutcomeColumns {
  const flags = new ByteWriter();
  const numbers = new ByteWriter();
  const lines = outcomes.map((outcome) => {
    const number = numberOf(outcome.problem);
    flags.byte(flagsOf(outcome));
    numbers.varint(outcome.bytesSent);
    // Whole microseconds: more than any clock of a worker tells.
    numbers.varint(Math.round(outcome.ms * 1000));
    if (number > 0) numbers.varint(number);
    return lineOf(outcome);
  });
  return { lines: packLines(lines), flags: flags.view(), numbers: numbers.view() };
}

/** @throws RangeError as unpackLines */
export function unpackOutcomes({ lines, flags, numbers }: OutcomeColumns, problems: readonly Problem[]): Outcome[] {
  const [flag, number] = [new ByteReader(flags), new ByteReader(numbers)];
  return unpackLines(lines).map((line) => outcomeOf(line, flag.byte(), number, problems));
}

/** Outcomes that ended as planned, of which none has a word of its own: what they come to, and as they are packed. */
export interface Landed {
  readonly columns: OutcomeColumns;
  /** As bytes; empty where there are no outcomes. */
  readonly firstKey: Buffer;
  readonly lastKey: Buffer;
  readonly objects: { readonly copied: number; readonly unchanged: number };
  /** Those that crossed the wire to the destination. */
  readonly bytesSent: number;
  readonly unguarded: number;
  /** How many were copied with which checksum. */
  readonly checksums: Readonly<Partial<Record<ChecksumAlgorithm, number>>>;
}

/**
 * Undefined where one of them did not end as planned, or has something to tell. Each byte of the others is looked at: they are brought into a ledger as they are.
 * @throws RangeError as unpackLines, and where something stands behind the last of them
 */
export function landedIn(columns: OutcomeColumns): Landed | undefined {
  const lines = new LineCursor(columns.lines);
  const [flag, number] = [new ByteReader(columns.flags), new ByteReader(columns.numbers)];
  const objects = { copied: 0, unchanged: 0 };
  const checksums: Partial<Record<ChecksumAlgorithm, number>> = {};
  let [bytesSent, unguarded] = [0, 0];
  while (lines.next()) {
    const { state, checksumAlgorithm: algorithm } = lines;
    const has = flag.byte();
    if ((state !== 'copied' && state !== 'unchanged') || (has & ~AS_PLANNED) !== 0 || !lines.isPlain || lines.evidence === undefined) return undefined;
    objects[state]++;
    if (state === 'copied' && algorithm !== undefined) checksums[algorithm] = (checksums[algorithm] ?? 0) + 1;
    bytesSent += number.varint();
    number.varint();
    if ((has & HAS.unguarded) !== 0) unguarded++;
  }
  if (!lines.isSpent || flag.left + number.left > 0) throw new RangeError('something stands behind the last outcome');
  return { columns, firstKey: lines.firstKey(), lastKey: Buffer.from(lines.keyBytes()), objects, bytesSent, unguarded, checksums };
}

/** Of outcomes that stay as they are packed, too; none without a report. */
export function outcomeCount(report: { readonly outcomes: readonly Outcome[]; readonly landed?: Landed } | undefined): number {
  return report?.landed?.columns.flags.length ?? report?.outcomes.length ?? 0;
}

function flagsOf({ size, source, problem, unguarded, lost }: Outcome): number {
  return (size === undefined ? 0 : HAS.size) | (source === undefined ? 0 : HAS.source) | (problem === undefined ? 0 : HAS.problem)
    | (unguarded === true ? HAS.unguarded : 0) | (unguarded === false ? HAS.guarded : 0) | (lost?.length === 0 ? HAS.noLost : 0);
}

function lineOf({ key, state, source, size, destination, checksum, evidence, attempts, lost }: Outcome): Line {
  const item: Mutable<Item> = { key, kind: 'object', size: size ?? 0, state, source: source ?? { token: '' }, evidence, attempts };
  if (destination !== undefined) item.destination = destination;
  if (checksum !== undefined) item.checksum = checksum;
  return lost === undefined || lost.length === 0 ? { item } : { item, lost };
}

function outcomeOf({ item, lost }: Line, flags: number, numbers: ByteReader, problems: readonly Problem[]): Outcome {
  if (item.state === 'extra') throw new BrigadeError({ code: 'E_INTERNAL', kind: 'internal', message: 'no outcome is `extra`', op: 'report' });
  const outcome: Mutable<Outcome> = { key: item.key, state: item.state, evidence: item.evidence, attempts: item.attempts, bytesSent: numbers.varint(), ms: numbers.varint() / 1000 };
  if ((flags & HAS.size) !== 0) outcome.size = item.size;
  if ((flags & HAS.source) !== 0) outcome.source = item.source;
  if (item.destination !== undefined) outcome.destination = item.destination;
  if (item.checksum !== undefined) outcome.checksum = item.checksum;
  if ((flags & HAS.problem) !== 0) outcome.problem = problems[numbers.varint() - 1] as Problem;
  if (lost !== undefined) outcome.lost = lost;
  else if ((flags & HAS.noLost) !== 0) outcome.lost = [];
  if ((flags & (HAS.unguarded | HAS.guarded)) !== 0) outcome.unguarded = (flags & HAS.unguarded) !== 0;
  return outcome;
}
