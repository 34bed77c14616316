/**
 * `npm run bench -- [--case small|bulk|throttle|workers|listing|scale|all] [--rounds 3] [--objects 10000] [--gib 1] [--servers null,versitygw] [--write]`
 *
 * Every subject does every job in each round, one after the other, so that what a busy machine does to one it does to all; figures are
 * medians with lowest and highest. CPU-seconds are of the whole process tree of the client, requests by the server's count. `--write` makes
 * docs/benchmarks.md of it, with where we lose.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { startVersitygw } from '../test/servers/harness/index.ts';
import { selfSigned } from '../test/servers/harness/certificate.ts';
import { credentials } from '../test/servers/harness/process.ts';
import { losses, type Row, type Sample, table } from './figures.ts';
import { floor } from './floor.ts';
import { cpuSeconds, measure, peakRss } from './measure.ts';
import { type Counts, startNullServer } from './null-server.ts';
import { writePage } from './page.ts';
import { scaleSection } from './scale.ts';
import { brigade, buildProduct, type Job, rclone, s5cmd, type Subject } from './subjects.ts';
import { throttled, throttleSection } from './throttle.ts';
import { workersSection } from './workers.ts';

const GiB = 2 ** 30;
/** Requests per second that the store takes, one after the other, and how long each. */
const THROTTLE = { limits: [400, 150, 700], seconds: 40 };

interface Arena {
  readonly name: 'null' | 'versitygw';
  readonly endpoint: string;
  readonly ca?: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Makes the source bucket `source` of so many objects. */
  fill(count: number, size: number): Promise<void>;
  /** An empty bucket of this name, counts at zero. */
  fresh(bucket: string): Promise<void>;
  drop(bucket: string): Promise<void>;
  counts(): Promise<Counts | undefined>;
  stop(): Promise<void>;
}

export interface Section {
  readonly title: string;
  readonly text: string;
  readonly losses: readonly string[];
  readonly commands: readonly string[];
}

/** `tls`: a folder for the certificate. */
async function nullArena(tls?: string): Promise<Arena> {
  const certificate = tls === undefined ? undefined : await selfSigned(tls);
  const server = await startNullServer(certificate === undefined ? {} : { tls: certificate });
  return {
    name: 'null', endpoint: server.secureEndpoint ?? server.endpoint, ...(certificate === undefined ? {} : { ca: certificate.cert }), region: 'us-east-1', accessKeyId: 'null', secretAccessKey: 'null-null-null',
    fill: (count, size) => server.fill('source', count, size),
    fresh: async (bucket) => { await server.empty(bucket); await server.reset(); },
    drop: (bucket) => server.empty(bucket),
    counts: () => server.counts(), stop: () => server.stop(),
  };
}

/** A real server over a real disk. Its objects come from the null server, through our own program. */
async function versitygwArena(bin: string): Promise<Arena> {
  const server = await startVersitygw();
  const { accessKeyId, secretAccessKey, region } = credentials;
  const arena = { name: 'versitygw' as const, endpoint: server.endpoint, region, accessKeyId, secretAccessKey };
  const bucket = (what: string, name: string) => measure(bucketCommand(what, name, arena));
  return {
    ...arena,
    fill: async (count, size) => {
      const made = await nullArena();
      await made.fill(count, size);
      await bucket('mkdir', 'source');
      await inScratch(async (dir) => {
        const job: Job = { ...arena, from: made.endpoint, to: arena.endpoint, fromBucket: 'source', toBucket: 'source', dir, server: 'versitygw', large: false };
        for (const command of brigade(bin, 'fill', {}).commands(job)) await measure(command);
      });
      await made.stop();
    },
    fresh: async (name) => { await bucket('mkdir', name); },
    drop: async (name) => { await bucket('purge', name); },
    counts: async () => undefined,
    stop: () => server.stop(),
  };
}

function bucketCommand(what: string, bucket: string, arena: Pick<Arena, 'endpoint' | 'region' | 'accessKeyId' | 'secretAccessKey'>) {
  const [command] = rclone().commands({ ...arena, from: arena.endpoint, to: arena.endpoint, fromBucket: bucket, toBucket: bucket, dir: '', server: 'versitygw', large: false });
  const argv = command?.argv ?? [];
  return { argv: [argv[0] as string, '--config', '/dev/null', what, `A:${bucket}`], env: command?.env ?? {} };
}

async function inScratch<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-bench-'));
  try {
    return await work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Work { readonly objects: number; readonly size: number; readonly large: boolean }

async function once(subject: Subject, arena: Arena, work: Work, serial: number): Promise<{ sample: Sample; command: string }> {
  const toBucket = `target-${serial}`;
  await arena.fresh(toBucket);
  return inScratch(async (dir) => {
    mkdirSync(join(dir, 'scratch'));
    const { endpoint, ca, region, accessKeyId, secretAccessKey } = arena;
    const commands = subject.commands({ from: endpoint, to: endpoint, fromBucket: 'source', toBucket, region, accessKeyId, secretAccessKey, dir, server: arena.name, large: work.large, ...(ca === undefined ? {} : { ca }) });
    let sum: Sample = { wallSeconds: 0, cpuSeconds: 0, rssBytes: 0 };
    for (const command of commands) {
      const cost = await measure(command);
      sum = { wallSeconds: sum.wallSeconds + cost.wallSeconds, cpuSeconds: sum.cpuSeconds + cpuSeconds(cost), rssBytes: Math.max(sum.rssBytes, peakRss(cost)) };
    }
    const counts = await arena.counts();
    await arena.drop(toBucket);
    return { sample: { ...sum, ...(counts === undefined ? {} : { counts }) }, command: commands.map(({ argv }) => argv.map((word) => (word.includes('/') && !word.includes('://') && !word.startsWith(dir) ? basename(word) : word)).join(' ').replaceAll(dir, 'DIR')).join(' && ') };
  });
}

async function compare(title: string, arena: Arena, subjects: readonly Subject[], work: Work, rounds: number): Promise<Section> {
  await arena.fill(work.objects, work.size);
  const samples = subjects.map((): Sample[] => []);
  const commands = new Map<string, string>();
  let serial = 0;
  for (let round = 1; round <= rounds; round++) {
    for (const [i, subject] of subjects.entries()) {
      const { sample, command } = await once(subject, arena, work, ++serial);
      samples[i]?.push(sample);
      commands.set(subject.name, command);
      process.stderr.write(`${title}, round ${round}, ${subject.name}: ${sample.wallSeconds.toFixed(1)} s, ${sample.cpuSeconds.toFixed(2)} CPU-s, ${Math.round(sample.rssBytes / 2 ** 20)} MiB\n`);
    }
  }
  const rows: Row[] = subjects.map(({ name, note }, i) => ({ subject: name, ...(note === undefined ? {} : { note }), objects: work.objects, bytes: work.objects * work.size, samples: samples[i] ?? [] }));
  return { title, text: table(rows, work.large), losses: losses(title, rows), commands: [...commands].map(([name, command]) => `${name}: ${command}`) };
}

/** The null server takes no signature for what it is, so that none over the bodies need be made: the same for all subjects. */
const RELAY = { transfer: { server_side_copy: 'never' } };

function smallSubjects(bin: string): Subject[] {
  return [brigade(bin, 'brigade', RELAY), rclone(), s5cmd()];
}

function bulkSubjects(bin: string, server: string): Subject[] {
  return [brigade(bin, 'brigade', RELAY), rclone(), s5cmd(), ...(server === 'null' ? [floor()] : [])];
}

/** Listing alone: nothing is copied, the source is listed to its end. */
function listingSubjects(bin: string): Subject[] {
  const [ours, theirs] = [brigade(bin, 'brigade', {}), rclone()];
  const plan = (job: Job) => ours.commands(job).map(({ argv, env }) => ({ argv: [...argv.slice(0, 4), 'plan', argv[5] as string], ...(env === undefined ? {} : { env }) }));
  const size = (job: Job) => theirs.commands(job).map(({ argv, env }) => ({ argv: [argv[0] as string, '--config', '/dev/null', 'size', '--fast-list', `A:${job.fromBucket}`], ...(env === undefined ? {} : { env }) }));
  const du = (job: Job) => s5cmd().commands(job).slice(0, 1).map(({ argv, env }) => ({ argv: [...argv.slice(0, 5), 'du', `s3://${job.fromBucket}/*`], ...(env === undefined ? {} : { env }) }));
  return [{ ...ours, name: 'brigade plan', commands: plan }, { ...theirs, name: 'rclone size', commands: size }, { ...s5cmd(), name: 's5cmd du', commands: du }];
}

interface Options { readonly which: string; readonly rounds: number; readonly objects: number; readonly gib: number; readonly keys: number; readonly servers: readonly string[]; readonly write: boolean }

function options(): Options {
  const { values } = parseArgs({ options: { case: { type: 'string', default: 'all' }, rounds: { type: 'string', default: '3' }, objects: { type: 'string', default: '10000' }, gib: { type: 'string', default: '1' }, keys: { type: 'string', default: '1000000' }, servers: { type: 'string', default: 'null,versitygw' }, write: { type: 'boolean', default: false } } });
  return { which: values.case, rounds: Number(values.rounds), objects: Number(values.objects), gib: Number(values.gib), keys: Number(values.keys), servers: values.servers.split(','), write: values.write };
}

async function sections(bin: string, chosen: Options): Promise<Section[]> {
  const wants = (name: string): boolean => chosen.which === name || chosen.which === 'all';
  const done: Section[] = [];
  const on = async (name: string, work: (arena: Arena) => Promise<Section>): Promise<void> => {
    if (!chosen.servers.includes(name)) return;
    const arena = name === 'null' ? await nullArena() : await versitygwArena(bin);
    try {
      done.push(await work(arena));
    } finally {
      await arena.stop();
    }
  };
  const { rounds, objects, gib } = chosen;
  for (const server of ['null', 'versitygw']) {
    if (wants('small')) await on(server, (arena) => compare(`${objects.toLocaleString('en')} × 4 KiB, S3 → S3, ${server} server`, arena, smallSubjects(bin), { objects, size: 4096, large: false }, rounds));
    if (wants('bulk')) await on(server, (arena) => compare(`4 × ${gib} GiB, S3 → S3, ${server} server`, arena, bulkSubjects(bin, server), { objects: 4, size: Math.round(gib * GiB), large: true }, rounds));
  }
  if (wants('bulk') && chosen.servers.includes('null')) {
    await inScratch(async (dir) => {
      const arena = await nullArena(dir);
      done.push(await compare(`4 × ${gib} GiB, S3 → S3, null server over TLS`, arena, bulkSubjects(bin, 'null'), { objects: 4, size: Math.round(gib * GiB), large: true }, rounds).finally(() => arena.stop()));
    });
  }
  if (wants('throttle')) done.push(throttleSection(THROTTLE.limits, await throttled(bin, THROTTLE.limits, THROTTLE.seconds), THROTTLE.seconds));
  if (wants('workers')) done.push(await workersSection(bin, 3000, 4));
  if (wants('listing')) await on('null', (arena) => compare(`Listing ${chosen.keys.toLocaleString('en')} keys, null server`, arena, listingSubjects(bin), { objects: chosen.keys, size: 4096, large: false }, rounds));
  if (wants('scale')) done.push(await scaleSection(bin, chosen.keys));
  return done;
}

await inScratch(async (dir) => {
  const bin = buildProduct(join(dir, 'product'));
  const chosen = options();
  const done = await sections(bin, chosen);
  const versions = smallSubjects(bin).map((subject) => subject.version());
  const text = writePage(done, versions, process.argv.slice(2).join(' '), chosen.write);
  process.stdout.write(`${text}\n`);
});
