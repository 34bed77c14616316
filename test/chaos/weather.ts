// node test/chaos/weather.ts [--slow-down 60] [--outage 20]
//
// Bad weather over a real server in the middle of a run: so many seconds of 503 SlowDown on every request, or of no server at all. No object
// may fail and none may need a second try; the run ends by itself.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type FaultProxy, startFaultProxy } from '../../src/faults/proxy.ts';
import type { Facts } from '../../src/faults/rules.ts';
import { startVersitygw } from '../servers/harness/index.ts';
import { startGate } from './gate.ts';
import { bucketAt, makeBucket, type Place, reconcile, seedSource, violations } from './judge.ts';
import { claimOf, endsWithin, kill, logTail, startRun, writeMigration } from './product.ts';

export interface WeatherOptions {
  readonly kind: 'slow down' | 'outage';
  readonly seconds: number;
  readonly objects: number;
}

export interface WeatherResult {
  readonly objects: number;
  /** Requests that were answered 503. */
  readonly refused: number;
  readonly requests: number;
  /** From the end of the weather to the end of the run. */
  readonly secondsAfter: number;
  readonly attempts: Readonly<Record<string, number>>;
  readonly violations: readonly string[];
}

/** Objects that must have been written before the weather breaks. */
const BEGUN = 0.2;
const PATIENCE_MS = 180_000;

const isWrite = ({ operation, key }: Facts): boolean => operation === 'PutObject' && !key.startsWith('.brigade/');

export async function weather(options: WeatherOptions): Promise<WeatherResult> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-weather-'));
  const server = await startVersitygw();
  const gate = await startGate(server.endpoint);
  const proxy = await startFaultProxy({ target: gate.url, rules: [{ name: 'writes', match: { where: isWrite }, fault: { kind: 'latency', ms: 0 } }] });
  try {
    const source: Place = { kind: 'folder', path: join(dir, 'source') };
    mkdirSync(source.path);
    const destination = bucketAt(server, 'weather');
    await makeBucket(destination);
    await seedSource(source, { seed: 1, objects: options.objects, large: 0 });
    // The outage must be seen as one, not as the proxy's own 502: then the run speaks to the gate itself.
    const migration = writeMigration({ dir, name: 'weather', source, destination, destinationEndpoint: options.kind === 'outage' ? gate.url : proxy.url, options: { limits: { requests: '150/s' }, executors: 2 } });
    const run = startRun(migration);
    try {
      await begun(options, () => (options.kind === 'outage' ? countFiles(join(server.directory, 'data', 'weather')) : proxy.counter('writes').seen), migration.log);
      const calm = options.kind === 'outage' ? await unplug(gate) : storm(proxy);
      await sleep(options.seconds * 1000);
      if (run.state() !== undefined) throw new Error(`the run did not outlast the ${options.kind}\n${logTail(migration)}`);
      await calm();
      const over = performance.now();
      const { code } = await endsWithin(run, migration, PATIENCE_MS);
      const secondsAfter = (performance.now() - over) / 1000;
      const claim = await claimOf(migration);
      const found = violations(await reconcile(source, destination, claim.states, dir));
      if (code !== 0) found.push(`the run ended with ${code}\n${logTail(migration)}`);
      if (claim.tally.failed.objects > 0) found.push(`${claim.tally.failed.objects} objects failed`);
      if (Object.keys(claim.attempts).join() !== '1') found.push(`attempts were burned: ${JSON.stringify(claim.attempts)}`);
      return { objects: claim.tally.listed.objects, refused: proxy.counter('storm').fired, requests: proxy.requests(), secondsAfter, attempts: claim.attempts, violations: found };
    } finally {
      kill(run.pid, 'SIGKILL');
    }
  } finally {
    await proxy.close();
    await gate.close();
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

const countFiles = (root: string): number => readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;

function storm(proxy: FaultProxy): () => Promise<void> {
  const remove = proxy.add({ name: 'storm', fault: { kind: 'status', status: 503, code: 'SlowDown' } });
  return async () => remove();
}

async function unplug(gate: { shut(): Promise<void>; open(): Promise<void> }): Promise<() => Promise<void>> {
  await gate.shut();
  return () => gate.open();
}

async function begun({ objects }: WeatherOptions, written: () => number, log: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (written() < objects * BEGUN) {
    if (performance.now() > end) throw new Error(`the run did not get going; see ${log}`);
    await sleep(20);
  }
}

export const weatherSummary = ({ kind, seconds }: WeatherOptions, { objects, refused, requests, secondsAfter, attempts, violations: found }: WeatherResult): string =>
  `${kind} ${seconds} s: ${objects} objects, attempts ${JSON.stringify(attempts)}, ${refused} requests refused of ${requests} (${(refused / seconds).toFixed(1)}/s), done ${secondsAfter.toFixed(1)} s after, ${found.length} violations`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { 'slow-down': { type: 'string', default: '60' }, outage: { type: 'string', default: '20' }, objects: { type: 'string', default: '600' } } });
  for (const [kind, seconds] of [['slow down', values['slow-down']], ['outage', values.outage]] as const) {
    const options = { kind, seconds: Number(seconds), objects: Number(values.objects) };
    const result = await weather(options);
    console.log(weatherSummary(options, result));
    for (const line of result.violations) console.log(`  ${line}`);
    if (result.violations.length > 0) process.exitCode = 1;
  }
}

if (import.meta.main) await main();
