/**
 * Listings of made-up keys over a server with a latency: `node bench/listing.ts [keys=10000000] [shapes=flat,deep,skewed,unicode] [latency=50] [lanes=32]`.
 * Serial is measured on a tenth of the keys and scaled. The server (null-server) counts the requests; those beyond one for each 1,000 keys are
 * wasted. Serial and parallel run one after the other, so that what a busy machine does to one it does to the other. Then a whole run
 * is begun on the largest bucket, until its first object is copied.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from './measure.ts';
import { type NullServer, startNullServer } from './null-server.ts';
import { brigade, buildProduct } from './subjects.ts';

const CLIENT = fileURLToPath(new URL('./listing-client.ts', import.meta.url));
/** As the product sets them for a coordinator (src/app/heap.ts). */
const MEMORY_FLAGS = ['--max-semi-space-size=4', '--heap-growing-percent=40'];
const PAGE = 1000;
const SERIAL_SHARE = 10;
const LEAST_RATIO = 30;
const MOST_WASTED = 5;
const MOST_RSS = 256 * 2 ** 20;
const FIRST_COPY_MS = 2000;
const LEAST_KEYS_PER_CPU_SECOND = 500_000;

interface Measured { readonly keys: number; readonly wallMs: number; readonly cpuMs: number; readonly rss: number; readonly lists: number }

async function list(server: NullServer, bucket: string, lanes: number, flags: readonly string[] = MEMORY_FLAGS): Promise<Measured> {
  await server.reset();
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, CLIENT, server.endpoint, bucket, 'lister', String(lanes)]);
  const { requests } = await server.counts();
  const lists = Object.values(requests[bucket] ?? {}).reduce((sum, count) => sum + count, 0);
  return { ...(JSON.parse(stdout) as Omit<Measured, 'lists'>), lists };
}

const verdict = (holds: boolean): string => (holds ? '' : ' (!)');
const perSecond = ({ keys, cpuMs }: Measured): number => Math.round((keys / cpuMs) * 1000);

async function compare(server: NullServer, shape: string, keys: number, lanes: number): Promise<string> {
  await server.fill(shape, keys / SERIAL_SHARE, 4096, shape);
  const serial = await list(server, shape, 1);
  await server.fill(shape, keys, 4096, shape);
  const parallel = await list(server, shape, lanes);
  if (parallel.keys !== keys || serial.keys !== keys / SERIAL_SHARE) throw new Error(`${shape}: ${parallel.keys} of ${keys} keys`);
  const ratio = (serial.wallMs * SERIAL_SHARE) / parallel.wallMs;
  const wasted = (parallel.lists / Math.ceil(keys / PAGE) - 1) * 100;
  return [
    shape, `${((serial.wallMs * SERIAL_SHARE) / 1000).toFixed(0)} s`, `${(parallel.wallMs / 1000).toFixed(1)} s`, `${ratio.toFixed(1)}${verdict(ratio >= LEAST_RATIO)}`,
    `${wasted.toFixed(1)} %${verdict(wasted <= MOST_WASTED)}`, perSecond(serial), perSecond(parallel),
    `${Math.round(parallel.rss / 2 ** 20)} MiB${verdict(parallel.rss <= MOST_RSS)}`, `${((parallel.cpuMs / parallel.wallMs) * 100).toFixed(0)} %`,
  ].join(' | ');
}

/** The driver and its scanner alone: no latency, one stream, V8's memory as it comes. */
async function alone(keys: number): Promise<string> {
  const server = await startNullServer();
  try {
    await server.fill('alone', keys, 4096, 'flat');
    const rate = perSecond(await list(server, 'alone', 1, []));
    return `Driver and scanner alone (flat, no latency, one stream): ${rate} keys per CPU-second${verdict(rate >= LEAST_KEYS_PER_CPU_SECOND)}.`;
  } finally {
    await server.stop();
  }
}

/** What the run itself writes to look at the destination is less than this. */
const CANARIES = 30;

/** From the start of `brigade run` to the first objects at the destination. */
async function firstCopy(server: NullServer, bucket: string): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-first-'));
  try {
    await server.empty('target');
    await server.reset();
    const job = { from: server.endpoint, to: server.endpoint, fromBucket: bucket, toBucket: 'target', region: 'us-east-1', accessKeyId: 'null', secretAccessKey: 'null-null-null', dir, server: 'null', large: false } as const;
    const [{ argv, env }] = brigade(buildProduct(join(dir, 'product')), 'brigade', { transform: { tags: { copy: false } } }).commands(job) as [Command];
    const started = performance.now();
    const child = spawn(argv[0] as string, argv.slice(1), { env: { ...process.env, ...env }, stdio: 'ignore' });
    const ended = once(child, 'exit');
    let ms: number | undefined;
    while (ms === undefined && child.exitCode === null) {
      const { requests } = await server.counts();
      if ((requests['target']?.['PutObject'] ?? 0) > CANARIES) ms = performance.now() - started;
      else await new Promise((resolve) => { setTimeout(resolve, 20); });
    }
    child.kill('SIGINT');
    await ended;
    return ms === undefined ? 'No object was copied (!)' : `First object copied ${(ms / 1000).toFixed(2)} s after the start of the run${verdict(ms <= FIRST_COPY_MS)}.`;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const [keys = '10000000', shapes = 'flat,deep,skewed,unicode', latency = '50', lanes = '32'] = process.argv.slice(2);
console.log(await alone(1_000_000));
const server = await startNullServer({ latencyMs: Number(latency) });
try {
  await server.empty('empty');
  console.log(`\n${keys} keys, ${latency} ms latency, at most ${lanes} lanes\n`);
  console.log('shape | serial (scaled) | parallel | ratio | wasted LISTs | keys/CPU-s serial | parallel | peak RSS | of one core\n--- | --- | --- | --- | --- | --- | --- | --- | ---');
  for (const shape of shapes.split(',')) console.log(await compare(server, shape, Number(keys), Number(lanes)));
  console.log(`\n${await firstCopy(server, shapes.split(',')[0] as string)}`);
} finally {
  await server.stop();
}
