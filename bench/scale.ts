/**
 * Scale: a million objects made up → file system and S3 → S3, and one object of 64 GiB in parts of 110 MiB, with the limits that hold:
 * 256 MiB of resident memory per process, 2.1 requests per small object. `node bench/scale.ts [objects=1000000] [GiB=64] [fs,s3,large]`;
 * BENCH_MORE holds more of the migration file as JSON, for the million between stores, such as {"transform":{"tags":{"copy":false}}}.
 */
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requestsPerObject, totalRequests } from './figures.ts';
import { type Cost, cpuSeconds, measure } from './measure.ts';
import { type Counts, type NullServer, startNullServer } from './null-server.ts';
import { inScratch, nullJob } from './arenas.ts';
import { RELAY } from './compare.ts';
import type { Reached, Section } from './section.ts';
import { buildProduct, ourRun } from './subjects.ts';

const MiB = 2 ** 20;
const RSS_LIMIT = 256 * MiB;
const REQUEST_LIMIT = 2.1;

interface Outcome {
  readonly title: string;
  readonly cost: Cost;
  readonly objects: number;
  readonly ledgerBytes: number;
  readonly counts?: Counts;
  readonly broken: readonly string[];
}

function filesIn(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Bytes of the closed ledger. */
function ledgerBytes(dir: string): number {
  return filesIn(dir).filter((path) => path.endsWith('ledger.db')).reduce((sum, path) => sum + statSync(path).size, 0);
}

/** `coordinator` or `executor`, with its memory. */
function memoryOf(cost: Cost): { name: string; rssBytes: number; cpuSeconds: number }[] {
  return cost.processes.filter(({ command }) => command.includes('brigade.cjs') || command.includes('executor'))
    .map(({ command, rssBytes, cpuSeconds: cpu }) => ({ name: command.includes('executor') ? 'executor' : 'coordinator', rssBytes, cpuSeconds: cpu }));
}

function judge(cost: Cost, objects: number, counts: Counts | undefined): string[] {
  const broken = memoryOf(cost).filter(({ rssBytes }) => rssBytes > RSS_LIMIT).map(({ name, rssBytes }) => `${name}: ${Math.round(rssBytes / MiB)} MiB, limit ${RSS_LIMIT / MiB}`);
  if (counts !== undefined && objects > 1000 && totalRequests(counts) / objects > REQUEST_LIMIT) broken.push(`${(totalRequests(counts) / objects).toFixed(3)} requests per object, limit ${REQUEST_LIMIT}`);
  return broken;
}

async function toFiles(bin: string, objects: number): Promise<Outcome> {
  return inScratch(async (dir) => {
    const file = join(dir, 'scale.yml');
    writeFileSync(file, JSON.stringify({ name: 'scale', source: `synthetic://?count=${objects}&seed=1&size=100`, destination: { path: join(dir, 'destination') } }));
    const cost = await measure({ argv: [process.execPath, bin, '--state', join(dir, 'state'), 'run', file, '--progress', 'none'] });
    return { title: `${objects.toLocaleString('en')} × 100 B, made up → file system`, cost, objects, ledgerBytes: ledgerBytes(join(dir, 'state')), broken: judge(cost, objects, undefined) };
  });
}

async function betweenStores(bin: string, server: NullServer, title: string, objects: number, size: number, more: Readonly<Record<string, unknown>>): Promise<Outcome> {
  return inScratch(async (dir) => {
    await server.fill('source', objects, size);
    await server.empty('target');
    await server.reset();
    const cost = await measure(ourRun(bin, nullJob(server, dir), { file: { transfer: RELAY, ...more } }));
    const counts = await server.counts();
    return { title, cost, objects, ledgerBytes: ledgerBytes(join(dir, 'state')), counts, broken: judge(cost, objects, counts) };
  });
}


function describe({ title, cost, objects, ledgerBytes: bytes, counts, broken }: Outcome): string {
  const memory = memoryOf(cost).map(({ name, rssBytes, cpuSeconds: cpu }) => `${name} ${Math.round(rssBytes / MiB)} MiB, ${cpu.toFixed(1)} CPU-s`).join('; ');
  return [
    `- **${title}**: ${cost.wallSeconds.toFixed(0)} s, ${cpuSeconds(cost).toFixed(1)} CPU-s (${Math.round(objects / cpuSeconds(cost)).toLocaleString('en')} objects per CPU-s), peak RSS ${memory}`,
    ...(objects > 1 ? [`  - ledger ${(bytes / objects).toFixed(1)} bytes per object, compressed keys included`] : []),
    ...(counts === undefined ? [] : [`  - requests per object ${requestsPerObject(counts, objects)}`]),
    ...broken.map((what) => `  - **over the limit**: ${what}`),
  ].join('\n');
}

function reachedOf({ cost, objects }: Outcome): Reached {
  const values = [Math.max(...memoryOf(cost).map(({ rssBytes }) => rssBytes)) / MiB];
  if (objects === 1) return { aspect: 'rss-parts', values };
  return { aspect: 'rss-many', values, of: 'copied', ...(objects < 10_000_000 ? { only: `${objects.toLocaleString('en')} objects` } : {}) };
}

export async function scaleSection(bin: string, objects: number, gib: number, which: string): Promise<Section> {
  const outcomes: Outcome[] = [];
  const tell = (outcome: Outcome): void => { outcomes.push(outcome); process.stderr.write(`${describe(outcome)}\n`); };
  const server = await startNullServer();
  try {
    if (which.includes('s3')) tell(await betweenStores(bin, server, `${objects.toLocaleString('en')} × 100 B, S3 → S3, null server`, objects, 100, JSON.parse(process.env['BENCH_MORE'] ?? '{}') as Record<string, unknown>));
    if (which.includes('large')) tell(await betweenStores(bin, server, `one object of ${gib} GiB in parts of 110 MiB, null server`, 1, gib * 2 ** 30, { transfer: { ...RELAY, part_size: '110 MiB' } }));
    if (which.includes('fs')) tell(await toFiles(bin, objects));
  } finally {
    await server.stop();
  }
  return { title: 'Scale', text: outcomes.map(describe).join('\n'), losses: outcomes.flatMap(({ title, broken }) => broken.map((what) => `- ${title}: over our own limit, ${what}.`)), commands: [`node bench/scale.ts ${objects} ${gib} ${which}`], reached: outcomes.map(reachedOf) };
}

if (import.meta.main) {
  const [objects = '1000000', gib = '64', which = 'fs,s3,large'] = process.argv.slice(2);
  await inScratch(async (dir) => {
    const { losses } = await scaleSection(buildProduct(join(dir, 'product')), Number(objects), Number(gib), which);
    process.exitCode = losses.length === 0 ? 0 : 1;
  });
}
