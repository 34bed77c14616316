/** From single measurements to medians, spreads and tables. */
import type { Counts } from './null-server.ts';

export interface Sample {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  /** Largest of all its processes, bytes. */
  readonly rssBytes: number;
  readonly counts?: Counts;
}

export interface Row {
  readonly subject: string;
  readonly note?: string;
  readonly rival?: false;
  readonly objects: number;
  readonly bytes: number;
  readonly samples: readonly Sample[];
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** `median (lowest–highest)`. */
export function spread(values: readonly number[], digits: number): string {
  const show = (value: number): string => value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return values.length === 1 ? show(values[0] as number) : `${show(median(values))} (${show(Math.min(...values))}–${show(Math.max(...values))})`;
}

/** CPU of one subject in terms of another's, round by round, so that what a busy machine did to both does not count. Empty where either did not run. */
export function ratios(rows: readonly Row[], subject: string, against: string): number[] {
  const cpuOf = (name: string): readonly number[] => rows.find((row) => row.subject === name)?.samples.map((sample) => sample.cpuSeconds) ?? [];
  const theirs = cpuOf(against);
  return cpuOf(subject).slice(0, theirs.length).map((cpu, round) => cpu / (theirs[round] as number));
}

/** Objects per CPU-second, round by round. */
export function rates({ objects, samples }: Row): number[] {
  return samples.map((sample) => objects / sample.cpuSeconds);
}

/** Requests by operation, both buckets together. */
function byOperation(counts: Counts): [op: string, requests: number][] {
  const sums = new Map<string, number>();
  for (const of of Object.values(counts.requests)) for (const [op, n] of Object.entries(of)) sums.set(op, (sums.get(op) ?? 0) + n);
  return [...sums].sort((a, b) => b[1] - a[1]);
}

export interface ObjectRequests {
  readonly all: number;
  readonly heads: number;
  /** Of keys; those of unfinished uploads are requests about the bucket. */
  readonly lists: number;
  /** About objects, listings apart. */
  readonly others: number;
  /** What the others are. */
  readonly named: string;
}

/** Requests but for those below .brigade/: journal and canaries. */
export function requestsToObjects(counts: Counts): ObjectRequests {
  const all = byOperation(counts).filter(([op]) => !op.includes(' .brigade/'));
  const sum = (some: readonly (readonly [string, number])[]): number => some.reduce((total, [, n]) => total + n, 0);
  const of = (...names: string[]) => all.filter(([op]) => names.includes(op));
  const others = all.filter(([op]) => !op.includes('Bucket') && op !== 'ListObjects' && op !== 'ListMultipartUploads');
  return { all: sum(all), heads: sum(of('HeadObject')), lists: sum(of('ListObjects')), others: sum(others), named: others.map(([op, n]) => `${op} ${n.toLocaleString('en')}`).join(', ') };
}

/** Requests per object over both buckets, those named that are a fiftieth of them at least: `2.010: GetObject 1.00, PutObject 1.00`. */
export function requestsPerObject(counts: Counts, objects: number): string {
  const named = byOperation(counts).filter(([, n]) => n >= totalRequests(counts) / 50).map(([op, n]) => `${op} ${(n / objects).toFixed(2)}`);
  return `${(totalRequests(counts) / objects).toFixed(3)}: ${named.join(', ')}`;
}

export function totalRequests(counts: Counts): number {
  return Object.values(counts.requests).flatMap((of) => Object.values(of)).reduce((sum, n) => sum + n, 0);
}

const MiB = 2 ** 20;
const GiB = 2 ** 30;

/** One table of one case; ratios are to the first row, by median CPU-seconds. */
export function table(rows: readonly Row[], bulk: boolean): string {
  const ours = rows[0];
  const lines = [
    `| | wall s | CPU-s | ${bulk ? 'CPU-s per GiB' : 'objects per CPU-s'} | CPU against ours | peak RSS of a process, MiB | requests per object |`,
    '|---|---|---|---|---|---|---|',
  ];
  for (const { subject, note, objects, bytes, samples } of rows) {
    const cpu = samples.map((sample) => sample.cpuSeconds);
    const rate = bulk ? (median(cpu) / (bytes / GiB)).toFixed(2) : Math.round(objects / median(cpu)).toLocaleString('en');
    const against = ours === undefined ? '' : `${(median(cpu) / median(ours.samples.map((sample) => sample.cpuSeconds))).toFixed(2)} ×`;
    const counts = samples.at(-1)?.counts;
    lines.push(`| ${subject}${note === undefined ? '' : ` (${note})`} | ${spread(samples.map((sample) => sample.wallSeconds), 1)} | ${spread(cpu, 2)} | ${rate} | ${against} | ${Math.round(Math.max(...samples.map((sample) => sample.rssBytes)) / MiB)} | ${counts === undefined ? 'not counted' : requestsPerObject(counts, objects)} |`);
  }
  return lines.join('\n');
}

/** Where somebody else took less than we did, a line for each. */
export function losses(title: string, rows: readonly Row[]): string[] {
  const [ours, ...others] = rows;
  if (ours === undefined) return [];
  const middle = (row: Row, of: (sample: Sample) => number): number => median(row.samples.map(of));
  return others.filter(({ rival = true, samples }) => rival && samples.length > 0).flatMap((row) => {
    const less = ([['wall', (s: Sample) => s.wallSeconds], ['CPU', (s: Sample) => s.cpuSeconds], ['memory', (s: Sample) => s.rssBytes]] as const)
      .filter(([, of]) => middle(row, of) < middle(ours, of)).map(([what, of]) => `${(middle(row, of) / middle(ours, of)).toFixed(2)} × our ${what}`);
    return less.length === 0 ? [] : [`- ${title}: ${row.subject} takes ${less.join(', ')}.`];
  });
}

/** What a run of an empty bucket costs us, and the rest without it. */
export function withoutStart({ objects, bytes, samples }: Row, nothing: readonly Sample[], bulk: boolean): string {
  const cpu = (of: readonly Sample[]): number => median(of.map((sample) => sample.cpuSeconds));
  const rest = cpu(samples) - cpu(nothing);
  const rate = bulk ? `${(rest / (bytes / GiB)).toFixed(2)} CPU-s per GiB` : `${Math.round(objects / rest).toLocaleString('en')} objects per CPU-s`;
  return `A run of an empty bucket takes us ${spread(nothing.map((sample) => sample.cpuSeconds), 2)} CPU-s; without that: ${rate}.`;
}
