/**
 * `node bench/lanes.ts [--rounds 5] [--gib 1] [--schemes http,https] [--modes parts,streams] [--checksum crc32]`
 *
 * What one GiB costs us on its way from one bucket to another through the S3 driver (storage port, checksum in flight), over undici and
 * over lanes, one after the other in each round, against the null server in a process of its own. CPU-seconds of the client alone, user
 * and system. The last lines tell whether lanes stay on: only where they cost at most two thirds of undici's on TLS.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { ChecksumAlgorithm } from '../src/core/object.ts';
import { createHasher } from '../src/core/checksum.ts';
import { NO_ATTRIBUTES, type ObjectEntry } from '../src/core/object.ts';
import { Secret } from '../src/core/secret.ts';
import { bytesBody, collect } from '../src/engine/content.ts';
import { Budget } from '../src/engine/budget.ts';
import { streamedBody } from '../src/engine/copy-whole.ts';
import { runLanes } from '../src/engine/lanes.ts';
import { slabsOf } from '../src/engine/slabs.ts';
import type { Store } from '../src/ports/storage.ts';
import { createS3Store, profileOf } from '../src/stores/s3/index.ts';
import { systemClock } from '../src/telemetry/clock.ts';
import { selfSigned } from '../test/servers/harness/certificate.ts';
import { median, spread } from './figures.ts';
import { startNullServer } from './null-server.ts';

const GiB = 2 ** 30;
const MiB = 2 ** 20;
/** Why so large: as the engine does it. Up to here one buffer, above it one stream. */
const SIZES = { parts: 8 * MiB, streams: 64 * MiB } as const;
const SIDE_BY_SIDE = { parts: 8, streams: 4 } as const;

type Mode = keyof typeof SIZES;

interface Job {
  readonly endpoint: string;
  readonly ca?: string;
  readonly lanes: boolean;
  readonly mode: Mode;
  readonly checksum: ChecksumAlgorithm;
  readonly bytes: number;
}

interface Result {
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  readonly rssMiB: number;
}

async function relay(job: Job): Promise<Result> {
  const clock = systemClock();
  const open = (bucket: string): Store => createS3Store({
    bucket, endpoint: job.endpoint, pathStyle: true, region: 'us-east-1', profile: profileOf('aws'), clock, lanes: job.lanes ? 'auto' : 'never',
    // Over plain HTTP the signature over each body would hide what is measured.
    payloadSigning: 'unsigned',
    credentials: { describe: 'bench', resolve: () => Promise.resolve({ accessKeyId: 'null', secretAccessKey: new Secret('null-null-null') }), invalidate: () => undefined },
    ...(job.ca === undefined ? {} : { ca: readFileSync(job.ca, 'utf8') }),
  });
  const [source, destination] = [open(`from-${job.mode}`), open('to')];
  const listed: ObjectEntry[] = [];
  for await (const page of source.list({})) listed.push(...page.entries);
  const some = listed.slice(0, Math.max(SIDE_BY_SIDE[job.mode], Math.round(job.bytes / SIZES[job.mode])));
  const copy = job.mode === 'parts' ? copierOfParts(source, destination, job.checksum) : copierOfStreams(source, destination, job.checksum);
  const all = (entries: readonly ObjectEntry[]): Promise<void> => runLanes(entries, SIDE_BY_SIDE[job.mode], new AbortController().signal, copy);
  await all(some.slice(0, 2 * SIDE_BY_SIDE[job.mode]));
  const [cpu, began] = [process.cpuUsage(), clock.monotonic()];
  await all(some);
  const { user, system } = process.cpuUsage(cpu);
  const wallSeconds = (clock.monotonic() - began) / 1000;
  const gib = (some.length * SIZES[job.mode]) / GiB;
  await Promise.all([source.close(), destination.close()]);
  return { cpuSeconds: (user + system) / 1e6 / gib, wallSeconds: wallSeconds / gib, rssMiB: process.resourceUsage().maxRSS / 1024 };
}

type Copy = (entry: ObjectEntry) => Promise<void>;

function copierOfParts(source: Store, destination: Store, algorithm: ChecksumAlgorithm): Copy {
  const slabs = slabsOf(new Budget(128 * MiB));
  return async ({ key, size, token }) => {
    const into = slabs.lend(size);
    const read = await source.read({ key, expectedSize: size, pin: { token }, ...(into === undefined ? {} : { into }) });
    const hasher = createHasher(algorithm);
    const bytes = await collect(read, size, into, hasher);
    await destination.write({ key, body: bytesBody(bytes, hasher.checksum()), attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
    slabs.giveBack(bytes);
  };
}

function copierOfStreams(source: Store, destination: Store, algorithm: ChecksumAlgorithm): Copy {
  const { signal } = new AbortController();
  return async ({ key, size, token }) => {
    const first = await source.read({ key, expectedSize: size, pin: { token } });
    const body = streamedBody(source, { key, size, pin: { token } }, first, { algorithm, signal, sent: () => undefined });
    await destination.write({ key, body, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
  };
}

/** In a process of its own, so that one transport's garbage is not the other's. */
async function inChild(job: Job): Promise<Result> {
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), '--job', JSON.stringify(job)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (data: Buffer) => { text += data.toString(); });
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error(`the client ended with ${code}`);
  return JSON.parse(text) as Result;
}

async function compare(rounds: number, bytes: number, schemes: readonly string[], modes: readonly Mode[], checksum: ChecksumAlgorithm): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-lanes-'));
  const certificate = await selfSigned(dir);
  const { cert } = certificate;
  const server = await startNullServer({ tls: certificate });
  try {
    for (const mode of modes) await server.fill(`from-${mode}`, Math.ceil(bytes / SIZES[mode]), SIZES[mode]);
    await server.empty('to');
    const found = new Map<string, Result[]>();
    for (let round = 0; round < rounds; round++) {
      for (const scheme of schemes) for (const mode of modes) for (const lanes of [false, true]) {
        await server.empty('to');
        const job: Job = { endpoint: scheme === 'https' ? server.secureEndpoint as string : server.endpoint, ca: cert, lanes, mode, checksum, bytes };
        const name = `${scheme} ${mode} ${lanes ? 'lanes' : 'undici'}`;
        found.set(name, [...found.get(name) ?? [], await inChild(job)]);
      }
    }
    tell(found, rounds, schemes, modes, checksum);
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true });
  }
}

function tell(found: ReadonlyMap<string, readonly Result[]>, rounds: number, schemes: readonly string[], modes: readonly Mode[], checksum: string): void {
  const figure = (name: string, of: (result: Result) => number): number => median((found.get(name) ?? []).map(of));
  process.stdout.write(`# GET → PUT through the S3 driver, ${checksum} in flight, Node ${process.version}: medians of ${rounds} rounds (lowest–highest)\n\n| | CPU-s/GiB | wall s/GiB | RSS MiB |\n|---|---|---|---|\n`);
  for (const [name, results] of found) {
    const cpu = results.map(({ cpuSeconds }) => cpuSeconds);
    process.stdout.write(`| ${name} | ${spread(cpu, 2)} | ${figure(name, (one) => one.wallSeconds).toFixed(2)} | ${figure(name, (one) => one.rssMiB).toFixed(0)} |\n`);
  }
  for (const scheme of schemes) for (const mode of modes) {
    const ratio = figure(`${scheme} ${mode} undici`, (one) => one.cpuSeconds) / figure(`${scheme} ${mode} lanes`, (one) => one.cpuSeconds);
    const verdict = scheme === 'https' ? (ratio >= 1.5 ? ': at least 1.5, lanes stay on' : ': less than 1.5, lanes are not worth it') : '';
    process.stdout.write(`\n${scheme}, ${mode}: undici / lanes = ${ratio.toFixed(2)}${verdict}\n`);
  }
}

const { values } = parseArgs({ options: {
  rounds: { type: 'string', default: '5' }, gib: { type: 'string', default: '1' }, schemes: { type: 'string', default: 'http,https' },
  modes: { type: 'string', default: 'parts,streams' }, checksum: { type: 'string', default: 'crc32' }, job: { type: 'string' },
} });
if (values.job === undefined) await compare(Number(values.rounds), Number(values.gib) * GiB, values.schemes.split(','), values.modes.split(',') as Mode[], values.checksum as ChecksumAlgorithm);
else process.stdout.write(JSON.stringify(await relay(JSON.parse(values.job) as Job)));
