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
  const show = (value: number): string => value.toFixed(digits);
  return values.length === 1 ? show(values[0] as number) : `${show(median(values))} (${show(Math.min(...values))}–${show(Math.max(...values))})`;
}

/** Requests per object over both buckets, the dearest operations named: `2.01: GetObject 1.00, PutObject 1.00`. */
export function requestsPerObject(counts: Counts, objects: number): string {
  const sums = new Map<string, number>();
  for (const of of Object.values(counts.requests)) for (const [op, n] of Object.entries(of)) sums.set(op, (sums.get(op) ?? 0) + n);
  const all = [...sums.values()].reduce((sum, n) => sum + n, 0);
  const named = [...sums].filter(([, n]) => n / objects >= 0.05).sort((a, b) => b[1] - a[1]).map(([op, n]) => `${op} ${(n / objects).toFixed(2)}`);
  return `${(all / objects).toFixed(3)}: ${named.join(', ')}`;
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

/** Where somebody else took less than we did. */
export function losses(title: string, rows: readonly Row[]): string[] {
  const [ours, ...others] = rows;
  if (ours === undefined) return [];
  const middle = (row: Row, of: (sample: Sample) => number): number => median(row.samples.map(of));
  return others.flatMap((row) => ([['wall', (s: Sample) => s.wallSeconds], ['CPU', (s: Sample) => s.cpuSeconds], ['memory', (s: Sample) => s.rssBytes]] as const)
    .filter(([, of]) => middle(row, of) < middle(ours, of))
    .map(([what, of]) => `- ${title}: ${row.subject} takes ${(middle(row, of) / middle(ours, of)).toFixed(2)} × our ${what}.`));
}
