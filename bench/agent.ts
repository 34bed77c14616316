/**
 * `node bench/agent.ts [--case small,large,tls,list] [--seconds 5] [--keys 1000000] [--rounds 3] [--write]`
 *
 * What a server's CPU-second buys: the agent in both layouts, versitygw beside it, in turn within each round. The load comes from
 * bench/player, whose own cost is not counted; requests are signed beforehand. Figures are medians, lowest and highest in brackets; a first
 * round is not counted.
 * `--write` makes docs/benchmarks-agent.md of it.
 */
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openObjectsLayout } from '../src/agent/objects-layout/index.ts';
import { seedBucket, seedObject } from '../src/agent/seeding.ts';
import { startAgent, type AgentLayout } from '../test/servers/harness/agent.ts';
import { startVersitygw, type Server } from '../test/servers/harness/index.ts';
import { credentials } from '../test/servers/harness/process.ts';
import { play, type Play, type Wanted } from './player.ts';
import { buildProduct } from './subjects.ts';

const KiB = 1024;
const MiB = 2 ** 20;
const GiB = 2 ** 30;
const key = { id: credentials.accessKeyId, secret: credentials.secretAccessKey, region: credentials.region };

interface Reading { readonly cpuSeconds: number; readonly peakRss: number }

/** All processes of a server: it leads a process group. */
function readingOf(server: Server): Reading {
  let [ticks, peakRss] = [0, 0];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ');
      if (Number(fields[2]) !== server.pid) continue;
      ticks += Number(fields[11]) + Number(fields[12]);
      peakRss = Math.max(peakRss, Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * KiB);
    } catch {
      // It has just ended.
    }
  }
  return { cpuSeconds: ticks / 100, peakRss };
}

interface Measured { readonly amount: number; readonly cpuSeconds: number; readonly wallSeconds: number; readonly peakRss: number }

interface Scene {
  readonly name: string;
  readonly server: Server;
  readonly folder: string;
  readonly stop: () => Promise<void>;
}

async function measured(scene: Scene, work: Omit<Play, 'endpoint' | 'key' | 'folder'>, amount: (played: { requests: number; bytes: number }) => number): Promise<Measured> {
  const before = readingOf(scene.server);
  const played = await play({ ...work, endpoint: scene.server.endpoint, key, folder: scene.folder });
  const after = readingOf(scene.server);
  return { amount: amount(played), cpuSeconds: after.cpuSeconds - before.cpuSeconds, wallSeconds: played.seconds, peakRss: after.peakRss };
}

const putAll = (scene: Scene, wanted: readonly Wanted[]): Promise<unknown> => play({ endpoint: scene.server.endpoint, key, wanted, connections: 4, folder: scene.folder });

const SMALL = 1000;
const LARGE = 4;

async function fill(scene: Scene, what: 'small' | 'large'): Promise<void> {
  await putAll(scene, [{ method: 'PUT', target: `/${what}`, body: Buffer.alloc(0) }]);
  const [count, size] = what === 'small' ? [SMALL, 4 * KiB] : [LARGE, 64 * MiB];
  await putAll(scene, Array.from({ length: count }, (_, i) => ({ method: 'PUT', target: `/${what}/object-${i}`, body: Buffer.alloc(size, i) })));
}

const gets = (what: string, count: number): Wanted[] => Array.from({ length: count }, (_, i) => ({ method: 'GET', target: `/${what}/object-${i}` }));

const listedKey = (i: number): string => `folder-${String(Math.floor(i / 1000)).padStart(4, '0')}/object-${String(i % 1000).padStart(3, '0')}`;

/** Pages of a thousand, as a client asks for them one after the other. */
const pages = (keys: number): Wanted[] => Array.from({ length: Math.ceil(keys / 1000) }, (_, page) => ({
  method: 'GET',
  target: `/list?list-type=2&max-keys=1000${page === 0 ? '' : `&start-after=${encodeURIComponent(listedKey(page * 1000 - 1))}`}`,
}));

async function seedList(root: string, layout: AgentLayout | 'versitygw', keys: number): Promise<void> {
  if (layout !== 'objects') {
    for (let i = 0; i < keys; i += 1000) {
      const folder = join(root, 'list', `folder-${String(i / 1000).padStart(4, '0')}`);
      mkdirSync(folder, { recursive: true });
      for (let j = 0; j < 1000 && i + j < keys; j++) closeSync(openSync(join(root, 'list', listedKey(i + j)), 'w'));
    }
    return;
  }
  const storage = await openObjectsLayout({ root, state: join(root, '..', 'state') });
  await seedBucket(storage, 'list');
  for (let i = 0; i < keys; i += 2000) await Promise.all(Array.from({ length: Math.min(2000, keys - i) }, (_, j) => seedObject(storage, 'list', { key: listedKey(i + j) })));
  await storage.close();
}

interface Case {
  readonly title: string;
  readonly unit: string;
  readonly target: string;
  readonly show: (perCpuSecond: number) => string;
  /** Whether it is about this server. */
  readonly on: (name: string) => boolean;
  readonly tls: boolean;
  readonly prepare: (scene: Scene) => Promise<void>;
  readonly run: (scene: Scene) => Promise<Measured>;
}

interface Chosen {
  /** What is measured: the product as it is installed, not its source. */
  readonly program: string;
  readonly cases: readonly string[];
  readonly seconds: number;
  readonly keys: number;
  readonly rounds: number;
  readonly write: boolean;
}

const count = (n: number): string => Math.round(n).toLocaleString('en');
const gibibytes = (n: number): string => `${(n / GiB).toFixed(2)} GiB`;

function casesOf({ seconds, keys }: Chosen): Record<string, Case> {
  const everywhere = (): boolean => true;
  const large = (scene: Scene): Promise<Measured> => measured(scene, { wanted: gets('large', LARGE), connections: 4, seconds }, ({ bytes }) => bytes);
  return {
    small: { title: 'GET of 4 KiB over plain HTTP, 16 connections', unit: 'requests', target: '≥ 5,000', show: count, on: everywhere, tls: false, prepare: (scene) => fill(scene, 'small'), run: (scene) => measured(scene, { wanted: gets('small', SMALL), connections: 16, seconds }, ({ requests }) => requests) },
    large: { title: 'GET of 64 MiB over plain HTTP, 4 connections', unit: 'bytes', target: '≥ 1 GiB', show: gibibytes, on: everywhere, tls: false, prepare: (scene) => fill(scene, 'large'), run: large },
    tls: { title: 'GET of 64 MiB over TLS, 4 connections', unit: 'bytes', target: '–', show: gibibytes, on: everywhere, tls: true, prepare: (scene) => fill(scene, 'large'), run: large },
    list: { title: `Listing ${count(keys)} keys in pages of 1,000`, unit: 'keys', target: '≥ 30,000 (files), ≥ 100,000 (objects)', show: count, on: everywhere, tls: false, prepare: () => Promise.resolve(), run: (scene) => measured(scene, { wanted: pages(keys), connections: 1 }, () => keys) },
  };
}

async function setScene(name: AgentLayout | 'versitygw', one: string, tls: boolean, { keys, program }: Pick<Chosen, 'keys' | 'program'>): Promise<Scene> {
  const folder = mkdtempSync(join(tmpdir(), 'brigade-bench-agent-'));
  const root = join(folder, 'root');
  mkdirSync(root);
  if (one === 'list' && name !== 'versitygw') await seedList(root, name, keys);
  const state = join(folder, 'state');
  const server = name === 'versitygw' ? await startVersitygw({ tls }) : await startAgent({ layout: name, tls, root, program, ...(one === 'list' && name === 'objects' ? { state } : {}) });
  if (one === 'list' && name === 'versitygw') await seedList(join(server.directory, 'data'), name, keys);
  return { name, server, folder, stop: async () => { await server.stop(); rmSync(folder, { recursive: true, force: true }); } };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

function row(name: string, samples: readonly Measured[], { show, tls }: Case): string {
  const rates = samples.map(({ amount, cpuSeconds }) => amount / cpuSeconds);
  const wall = median(samples.map(({ amount, wallSeconds }) => amount / wallSeconds));
  const cells = [name, `${show(median(rates))} (${show(Math.min(...rates))}–${show(Math.max(...rates))})`, `${show(wall)}/s`, `${Math.round(Math.max(...samples.map(({ peakRss }) => peakRss)) / MiB)} MiB`];
  if (tls) cells.push((GiB / median(rates)).toFixed(2), (1.25e9 / median(rates)).toFixed(1));
  return `| ${cells.join(' | ')} |`;
}

function table(one: Case, samples: ReadonlyMap<string, readonly Measured[]>): string {
  const heads = ['server', `per CPU-second (asked: ${one.target})`, 'as it went', 'peak RSS', ...(one.tls ? ['CPU-seconds per GiB', 'cores for 10 Gbit/s'] : [])];
  return [`## ${one.title}`, '', `| ${heads.join(' | ')} |`, `|${heads.map(() => '---|').join('')}`, ...[...samples].map(([name, list]) => row(name, list, one)), ''].join('\n');
}

async function compare(name: string, one: Case, chosen: Chosen): Promise<string> {
  const scenes: Scene[] = [];
  try {
    for (const server of ['files', 'objects', 'versitygw'] as const) {
      const scene = await setScene(server, name, one.tls, chosen);
      scenes.push(scene);
      await one.prepare(scene);
    }
    const samples = new Map(scenes.map((scene) => [scene.name === 'versitygw' ? 'versitygw' : `agent, ${scene.name}`, [] as Measured[]]));
    for (let round = 0; round <= chosen.rounds; round++) {
      for (const scene of scenes) {
        const sample = await one.run(scene);
        if (round === 0) continue; // a server that has just begun still compiles, and fills its caches
        samples.get(scene.name === 'versitygw' ? 'versitygw' : `agent, ${scene.name}`)?.push(sample);
        process.stderr.write(`${name}, round ${round}, ${scene.name}: ${one.show(sample.amount / sample.cpuSeconds)} per CPU-s, ${sample.cpuSeconds.toFixed(2)} CPU-s in ${sample.wallSeconds.toFixed(2)} s, ${Math.round(sample.peakRss / MiB)} MiB\n`);
      }
    }
    return table(one, samples);
  } finally {
    for (const scene of scenes) await scene.stop();
  }
}

function options(program: string): Chosen {
  const { values } = parseArgs({ options: { case: { type: 'string', default: 'small,large,tls,list' }, seconds: { type: 'string', default: '5' }, keys: { type: 'string', default: '1000000' }, rounds: { type: 'string', default: '3' }, write: { type: 'boolean', default: false } } });
  return { program, cases: values.case.split(','), seconds: Number(values.seconds), keys: Number(values.keys), rounds: Number(values.rounds), write: values.write };
}

const product = mkdtempSync(join(tmpdir(), 'brigade-bench-product-'));
process.on('exit', () => rmSync(product, { recursive: true, force: true }));
const program = buildProduct(product);
const chosen = options(program);
const cases = casesOf(chosen);
const parts: string[] = [];
for (const name of chosen.cases) {
  const one = cases[name];
  if (one === undefined) throw new Error(`no case ${name}; there are ${Object.keys(cases).join(', ')}`);
  parts.push(await compare(name, one, chosen));
}
const text = [
  '# What a CPU-second of the agent buys', '',
  `Made by \`node bench/agent.ts ${process.argv.slice(2).join(' ')}\` on ${new Date().toISOString().slice(0, 10)}. Do not edit. ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Node ${process.versions.node}, load ${loadavg().map((load) => load.toFixed(1)).join(' ')} at the end.`, '',
  'CPU-seconds are user and system of the server alone, all its threads; the client (bench/player) runs on the same machine and is not counted. Medians of the rounds, lowest and highest in brackets; a first round is not counted.', '',
  ...parts,
].join('\n');
process.stdout.write(text);
if (chosen.write) writeFileSync(new URL('../docs/benchmarks-agent.md', import.meta.url), text);
