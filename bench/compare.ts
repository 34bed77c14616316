/** Every subject does the same job in every round, one after the other, so that what a busy machine does to one it does to all. */
import { mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Arena, inScratch } from './arenas.ts';
import { losses, rates, ratios, requestsToObjects, type Row, type Sample, table, withoutStart } from './figures.ts';
import { floor } from './floor.ts';
import { cpuSeconds, measure, peakRss } from './measure.ts';
import type { Reached, Section } from './section.ts';
import { awsCli, brigade, type Job, rclone, s5cmd, type Subject } from './subjects.ts';

export const GiB = 2 ** 30;

interface Work { readonly objects: number; readonly size: number; readonly large: boolean }

/** A command as the page shows it: no paths of this machine. */
function shown(argv: readonly string[], dir: string): string {
  return argv.map((word) => (word.includes('/') && !word.includes('://') && !word.startsWith(dir) ? basename(word) : word)).join(' ').replaceAll(dir, 'DIR');
}

async function once(subject: Subject, arena: Arena, work: Work, serial: number, fromBucket = 'source'): Promise<{ sample: Sample; command: string }> {
  const toBucket = `target-${serial}`;
  await arena.fresh(toBucket);
  return inScratch(async (dir) => {
    mkdirSync(join(dir, 'scratch'));
    const { endpoint, ca, region, accessKeyId, secretAccessKey } = arena;
    const commands = subject.commands({ from: endpoint, to: endpoint, fromBucket, toBucket, region, accessKeyId, secretAccessKey, dir, server: arena.name, large: work.large, ...(ca === undefined ? {} : { ca }) });
    let sum: Sample = { wallSeconds: 0, cpuSeconds: 0, rssBytes: 0 };
    for (const command of commands) {
      const cost = await measure(command);
      sum = { wallSeconds: sum.wallSeconds + cost.wallSeconds, cpuSeconds: sum.cpuSeconds + cpuSeconds(cost), rssBytes: Math.max(sum.rssBytes, peakRss(cost)) };
    }
    const counts = await arena.counts();
    await arena.drop(toBucket);
    return { sample: { ...sum, ...(counts === undefined ? {} : { counts }) }, command: commands.map(({ argv }) => shown(argv, dir)).join(' && ') };
  });
}

interface Comparison {
  readonly title: string;
  readonly arena: Arena;
  readonly subjects: readonly Subject[];
  readonly work: Work;
  readonly rounds: number;
  /** Also how much of ours is start and end: the first subject with an empty bucket. */
  readonly start?: boolean;
  readonly reached?: (rows: readonly Row[]) => readonly Reached[];
}

async function compare({ title, arena, subjects, work, rounds, start = false, reached }: Comparison): Promise<Section> {
  await arena.fill(work.objects, work.size);
  const samples = subjects.map((): Sample[] => []);
  const commands = new Map<string, string>();
  const nothing: Sample[] = [];
  let serial = 0;
  if (start) await arena.fresh('nothing');
  for (let round = 1; round <= rounds; round++) {
    for (const [i, subject] of subjects.entries()) {
      if (round > (subject.rounds ?? rounds)) continue;
      const { sample, command } = await once(subject, arena, work, ++serial);
      samples[i]?.push(sample);
      commands.set(subject.name, command);
      process.stderr.write(`${title}, round ${round}, ${subject.name}: ${sample.wallSeconds.toFixed(1)} s, ${sample.cpuSeconds.toFixed(2)} CPU-s, ${Math.round(sample.rssBytes / 2 ** 20)} MiB\n`);
    }
    if (start) nothing.push((await once(subjects[0] as Subject, arena, work, ++serial, 'nothing')).sample);
  }
  const rows: Row[] = subjects.map(({ name, note, rival }, i) => ({ subject: name, ...(note === undefined ? {} : { note }), ...(rival === undefined ? {} : { rival }), objects: work.objects, bytes: work.objects * work.size, samples: samples[i] ?? [] }));
  const startText = start ? `\n\n${withoutStart(rows[0] as Row, nothing, work.large)}` : '';
  return { title, text: table(rows, work.large) + startText, losses: losses(title, rows), commands: [...commands].map(([name, command]) => `${name}: ${command}`), reached: reached?.(rows) ?? [] };
}

/** Both buckets stand at one server, which could copy by itself: what is asked is what a copy through the client costs. */
export const RELAY = { server_side_copy: 'never' } as const;
const RELAYED = { file: { transfer: RELAY } };
const OURS = 'brigade';
const UNSIGNED = 'brigade, payload unsigned';

/** @throws Error naming the install command where one is missing */
export function peers(): readonly Subject[] {
  return [rclone(), s5cmd(), awsCli()];
}

const fewer = (objects: number, asked: number): { only?: string } => (objects < asked ? { only: `${objects.toLocaleString('en')} objects` } : {});

function smallReached(rows: readonly Row[]): Reached[] {
  const ours = rows.find(({ subject }) => subject === OURS);
  if (ours === undefined) return [];
  const counted = ours.samples.flatMap(({ counts }) => (counts === undefined ? [] : [requestsToObjects(counts)]));
  const only = fewer(ours.objects, 10_000);
  return [
    { aspect: 'small-rate', values: rates(ours), ...only },
    { aspect: 'small-rclone', values: ratios(rows, 'rclone', OURS), ...only },
    { aspect: 'small-s5cmd', values: ratios(rows, 's5cmd', OURS), ...only },
    { aspect: 'requests', values: counted.map(({ all }) => all / ours.objects), ...only },
    { aspect: 'heads', values: counted.map(({ heads }) => heads / ours.objects), ...only },
  ];
}

const smallTitle = (objects: number, arena: Arena): string => `${objects.toLocaleString('en')} × 4 KiB, S3 → S3, ${arena.name} server`;

/** The goals are about the null server, which is not the limit. */
export function compareSmall(bin: string, arena: Arena, objects: number, rounds: number): Promise<Section> {
  const isNull = arena.name === 'null';
  return compare({
    title: smallTitle(objects, arena), arena, rounds, work: { objects, size: 4096, large: false }, start: isNull,
    subjects: [brigade(bin, OURS, RELAYED), rclone(), s5cmd()], ...(isNull ? { reached: smallReached } : {}),
  });
}

/** Apart, since it would take an hour for what the others do in a minute. */
export function compareAws(bin: string, arena: Arena, objects: number): Promise<Section> {
  return compare({ title: `${smallTitle(objects, arena)}, beside aws`, arena, rounds: 1, work: { objects, size: 4096, large: false }, subjects: [brigade(bin, OURS, RELAYED), awsCli()] });
}

function bulkReached(scheme: 'http' | 'tls', gib: number) {
  return (rows: readonly Row[]): Reached[] => {
    const subject = scheme === 'tls' ? OURS : UNSIGNED;
    const only = gib < 1 ? { only: `objects of ${gib} GiB` } : {};
    return [
      { aspect: `${scheme}-relay`, values: ratios(rows, subject, 'relay in C'), ...only },
      { aspect: `${scheme}-rclone`, values: ratios(rows, subject, 'rclone'), ...only },
    ];
  };
}

/** Over plain HTTP every body is signed, unless we are told not to: both are shown. */
export function compareBulk(bin: string, arena: Arena, gib: number, rounds: number): Promise<Section> {
  const secure = arena.ca !== undefined;
  const isNull = arena.name === 'null';
  const unsigned = isNull && !secure;
  const ours: Subject[] = unsigned
    ? [brigade(bin, UNSIGNED, { ...RELAYED, ends: { payload_signing: 'unsigned' } }), { ...brigade(bin, OURS, RELAYED), note: 'as it comes: bodies are signed', rival: false }]
    : [brigade(bin, OURS, RELAYED)];
  return compare({
    title: `4 × ${gib} GiB, S3 → S3, ${arena.name} server${secure ? ' over TLS' : ''}`, arena, rounds, work: { objects: 4, size: Math.round(gib * GiB), large: true }, start: isNull,
    subjects: [...ours, rclone(), s5cmd(), ...(unsigned ? [awsCli()] : []), ...(isNull ? [floor()] : [])], ...(isNull ? { reached: bulkReached(secure ? 'tls' : 'http', gib) } : {}),
  });
}

/** Listing alone: nothing is copied, the source is listed to its end. */
export function compareListing(bin: string, arena: Arena, keys: number, rounds: number): Promise<Section> {
  const [ours, copy, down] = [brigade(bin, 'brigade'), rclone(), s5cmd()];
  const plan = (job: Job) => ours.commands(job).map(({ argv, env }) => ({ argv: [...argv.slice(0, 4), 'plan', argv[5] as string], ...(env === undefined ? {} : { env }) }));
  const size = (job: Job) => copy.commands(job).map(({ argv, env }) => ({ argv: [argv[0] as string, '--config', '/dev/null', 'size', '--fast-list', `A:${job.fromBucket}`], ...(env === undefined ? {} : { env }) }));
  const du = (job: Job) => down.commands(job).slice(0, 1).map(({ argv, env }) => ({ argv: [...argv.slice(0, 5), 'du', `s3://${job.fromBucket}/*`], ...(env === undefined ? {} : { env }) }));
  return compare({
    title: `Listing ${keys.toLocaleString('en')} keys, null server`, arena, rounds, work: { objects: keys, size: 4096, large: false },
    subjects: [{ ...ours, name: 'brigade plan', commands: plan }, { ...copy, name: 'rclone size', commands: size }, { name: 's5cmd du', version: down.version, commands: du }],
  });
}
