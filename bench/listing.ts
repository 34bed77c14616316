/**
 * Listings of made-up keys over a server with a latency (P4): `node bench/listing.ts [keys=10000000] [shapes=flat,deep,skewed,unicode] [latency=50] [lanes=32]`.
 * Serial is measured on a tenth of the keys and scaled. The server (null-server) counts the requests; those beyond one for each 1,000 keys are
 * wasted. Serial and parallel run one after the other, so that what a busy machine does to one it does to the other. Then a whole run
 * is begun on the largest bucket, until its first object is copied (P5).
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { OLD_GENERATION_FLAG, YOUNG_GENERATION_FLAG } from '../src/app/heap.ts';
import { inScratch, nullJob } from './arenas.ts';
import { type NullServer, startNullServer } from './null-server.ts';
import type { Reached, Section } from './section.ts';
import { buildProduct, ourRun } from './subjects.ts';

const CLIENT = fileURLToPath(new URL('./listing-client.ts', import.meta.url));
/** As the product sets them for a coordinator. */
const MEMORY_FLAGS = [YOUNG_GENERATION_FLAG, OLD_GENERATION_FLAG];
const PAGE = 1000;
const SERIAL_SHARE = 10;
const MiB = 2 ** 20;

/** One listing in a process of its own. */
interface Listed { readonly keys: number; readonly wallMs: number; readonly cpuMs: number; readonly rss: number }

interface Measured extends Listed { readonly lists: number }

/** `sdk`: the AWS SDK, page after page, as a peer. */
export async function listBy(how: 'lister' | 'sdk', endpoint: string, bucket: string, { lanes = 1, flags = [] }: { readonly lanes?: number; readonly flags?: readonly string[] } = {}): Promise<Listed> {
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, CLIENT, endpoint, bucket, how, String(lanes)]);
  return JSON.parse(stdout) as Listed;
}

async function list(server: NullServer, bucket: string, lanes: number, flags: readonly string[] = MEMORY_FLAGS): Promise<Measured> {
  await server.reset();
  const listed = await listBy('lister', server.endpoint, bucket, { lanes, flags });
  const { requests } = await server.counts();
  const lists = Object.values(requests[bucket] ?? {}).reduce((sum, count) => sum + count, 0);
  return { ...listed, lists };
}

const perSecond = ({ keys, cpuMs }: Measured): number => (keys / cpuMs) * 1000;
const show = (value: number): string => Math.round(value).toLocaleString('en');

interface Line { readonly text: string; readonly reached: readonly Reached[] }

async function compare(server: NullServer, shape: string, keys: number, lanes: number): Promise<Line> {
  await server.fill(shape, keys / SERIAL_SHARE, 4096, shape);
  const serial = await list(server, shape, 1);
  await server.fill(shape, keys, 4096, shape);
  const parallel = await list(server, shape, lanes);
  if (parallel.keys !== keys || serial.keys !== keys / SERIAL_SHARE) throw new Error(`${shape}: ${parallel.keys} of ${keys} keys`);
  const ratio = (serial.wallMs * SERIAL_SHARE) / parallel.wallMs;
  const wasted = (parallel.lists / Math.ceil(keys / PAGE) - 1) * 100;
  const text = [
    '', shape, ((serial.wallMs * SERIAL_SHARE) / 1000).toFixed(0), (parallel.wallMs / 1000).toFixed(1), `${ratio.toFixed(1)} ×`, `${wasted.toFixed(1)} %`, show(perSecond(serial)), show(perSecond(parallel)),
    show(parallel.rss / MiB), `${((parallel.cpuMs / parallel.wallMs) * 100).toFixed(0)} %`, '',
  ].join(' | ').trim();
  process.stderr.write(`${text}\n`);
  const only = keys < 10_000_000 ? { only: `${keys.toLocaleString('en')} keys` } : {};
  return {
    text,
    reached: [
      { aspect: 'listing-rate', values: [perSecond(parallel)], of: shape, ...only }, { aspect: 'listing-wasted', values: [wasted], of: shape, ...only },
      ...(shape === 'skewed' ? [{ aspect: 'listing-serial' as const, values: [ratio], ...only }] : []),
    ],
  };
}

/** Seconds from the start of `brigade run` to the first object at the destination. */
async function firstCopy(bin: string, server: NullServer, bucket: string): Promise<number> {
  return inScratch(async (dir) => {
    await server.empty('target');
    await server.reset();
    const { argv, env } = ourRun(bin, { ...nullJob(server, dir), fromBucket: bucket }, { file: { transform: { tags: { copy: false } } } });
    const started = performance.now();
    const child = spawn(argv[0] as string, argv.slice(1), { env: { ...process.env, ...env }, stdio: 'ignore' });
    const ended = once(child, 'exit');
    let seconds: number | undefined;
    while (seconds === undefined && child.exitCode === null) {
      const { requests: { target = {} } } = await server.counts();
      if ((target['PutObject'] ?? 0) + (target['CopyObject'] ?? 0) > 0) seconds = (performance.now() - started) / 1000;
      else await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
    child.kill('SIGINT');
    await ended;
    if (seconds === undefined) throw new Error('no object was copied');
    return seconds;
  });
}

/** Without latency: the driver and its scanner alone, one stream, V8's memory as it comes; and the first copy. */
async function alone(bin: string, keys: number): Promise<{ readonly rate: number; readonly seconds: number }> {
  const server = await startNullServer();
  try {
    await server.fill('alone', keys, 4096, 'flat');
    return { rate: perSecond(await list(server, 'alone', 1, [])), seconds: await firstCopy(bin, server, 'alone') };
  } finally {
    await server.stop();
  }
}

export interface Listings { readonly keys: number; readonly shapes: readonly string[]; readonly latencyMs: number; readonly lanes: number }

export const USUAL: Listings = { keys: 10_000_000, shapes: ['flat', 'deep', 'skewed', 'unicode'], latencyMs: 50, lanes: 32 };

export async function listingSection(bin: string, { keys, shapes, latencyMs, lanes }: Listings): Promise<Section> {
  const near = await alone(bin, Math.min(keys, 1_000_000));
  const server = await startNullServer({ latencyMs });
  try {
    await server.empty('empty');
    const lines: Line[] = [];
    for (const shape of shapes) lines.push(await compare(server, shape, keys, lanes));
    const seconds = await firstCopy(bin, server, shapes[0] as string);
    return {
      title: `Bisection: ${keys.toLocaleString('en')} keys at ${latencyMs} ms`,
      text: [
        `At most ${lanes} listings at once; serial measured on ${(keys / SERIAL_SHARE).toLocaleString('en')} keys and scaled. Wasted are LISTs beyond one for each ${PAGE.toLocaleString('en')} keys.`, '',
        '| shape | serial s, scaled | bisection s | as fast as serial | wasted LISTs | keys per CPU-s, serial | bisection | peak RSS, MiB | of one core |', '|---|---|---|---|---|---|---|---|---|',
        ...lines.map(({ text }) => text), '', `Driver and scanner alone (flat, no latency, one stream): ${show(near.rate)} keys per CPU-second.`, '',
        `A run on the ${shapes[0]} bucket: first object copied ${seconds.toFixed(2)} s after the start; without latency, on ${Math.min(keys, 1_000_000).toLocaleString('en')} keys, ${near.seconds.toFixed(2)} s.`,
      ].join('\n'),
      losses: [], commands: [`node bench/listing.ts ${keys} ${shapes.join(',')} ${latencyMs} ${lanes}`],
      reached: [
        { aspect: 'listing-driver', values: [near.rate] }, ...lines.flatMap(({ reached }) => reached),
        { aspect: 'first-copy', values: [seconds], of: `${keys.toLocaleString('en')} keys at ${latencyMs} ms` },
        { aspect: 'first-copy', values: [near.seconds], of: 'without latency' },
      ],
    };
  } finally {
    await server.stop();
  }
}

if (import.meta.main) {
  const [keys = USUAL.keys, shapes = USUAL.shapes.join(','), latency = USUAL.latencyMs, lanes = USUAL.lanes] = process.argv.slice(2);
  await inScratch(async (dir) => {
    console.log((await listingSection(buildProduct(join(dir, 'product')), { keys: Number(keys), shapes: String(shapes).split(','), latencyMs: Number(latency), lanes: Number(lanes) })).text);
  });
}
