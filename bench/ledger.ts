/**
 * What a ledger costs: `node bench/ledger.ts [objects=1000000] [perTask=1000]`. Plans, claims and records that many objects with keys of 60
 * bytes, ETags at both ends and a CRC-64 each; tells bytes per object beyond the compressed key, objects per second and the time to open it again.
 */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { openLedger } from '../src/ledger/sqlite/index.ts';
import type { Item, Outcome } from '../src/core/item.ts';
import { systemClock } from '../src/telemetry/clock.ts';
import { inScratch } from './arenas.ts';
import type { Section } from './section.ts';

const clock = systemClock();
const binding = { migration: 'bench', specHash: 'x', source: 's', destination: 'd' };
const open = (path: string) => openLedger({ path, binding, clock, mode: 'create', holder: { pid: process.pid, host: 'bench' } });

const digest = (text: string, length = 32) => createHash('sha256').update(text).digest('hex').slice(0, length);
const item = (i: number): Item => ({
  key: `exports/2026/${String(i >> 12).padStart(6, '0')}/${String(i).padStart(9, '0')}-${digest(`n${i}`, 26)}.bin`, kind: 'object', size: 1000 + (i * 7919) % 5_000_000,
  state: 'pending', source: { token: digest(`s${i}`) }, evidence: 'none', attempts: 0, storageClass: 'STANDARD',
});
const outcome = (one: Item): Outcome => ({
  key: one.key, state: 'copied', destination: digest(`d${one.key}`), checksum: { algorithm: 'crc64nvme', hex: digest(`c${one.key}`, 16) }, evidence: 'store checksum', attempts: 0, bytesSent: one.size, ms: 9,
});

interface Filled {
  /** Time spent inside the ledger, apart from making up the items. */
  readonly planMs: number;
  readonly workMs: number;
  /** Of all keys, a task's together, as zstd packs them. */
  readonly keyBytes: number;
}

interface Size { readonly path: string; readonly objects: number; readonly perTask: number }

type Ledger = Awaited<ReturnType<typeof open>>;

function planAll(ledger: Ledger, { objects, perTask }: Size): { readonly planMs: number; readonly keyBytes: number } {
  let [planMs, keyBytes] = [0, 0];
  const page = Math.max(perTask, 10_000);
  for (let from = 0; from < objects; from += page) {
    const items = Array.from({ length: Math.min(page, objects - from) }, (_, i) => item(from + i));
    const tasks = Array.from({ length: Math.ceil(items.length / perTask) }, (_, i) => ({ items: items.slice(i * perTask, (i + 1) * perTask), problems: new Map() }));
    for (const task of tasks) keyBytes += zstdCompressSync(task.items.map((one) => one.key).join('\n')).length;
    const start = performance.now();
    ledger.addPlan(1, { tasks, shards: [], listing: { sealed: false, sourceObjects: from, sourceBytes: 0, destinationObjects: 0 } });
    planMs += performance.now() - start;
  }
  return { planMs, keyBytes };
}

/** The last tenth stays leased, as a crash leaves it. */
async function fill(size: Size): Promise<Filled> {
  const ledger = await open(size.path);
  ledger.beginRun('initial');
  const planned = planAll(ledger, size);
  let workMs = 0;
  for (let done = 0; done < size.objects * 0.9;) {
    const start = performance.now();
    const tasks = ledger.claim(1, 8, 'bench');
    workMs += performance.now() - start;
    const outcomes = tasks.map((task) => task.items.map(outcome));
    const recording = performance.now();
    await Promise.all(tasks.map((task, i) => ledger.record(task.id, outcomes[i] as Outcome[], true)));
    workMs += performance.now() - recording;
    done += outcomes.flat().length;
  }
  ledger.claim(1, 100, 'lost');
  await ledger.close();
  return { ...planned, workMs };
}

async function reopen(path: string): Promise<number> {
  const start = performance.now();
  const ledger = await open(path);
  ledger.releaseTasks(1);
  const tasks = ledger.claim(1, 4, 'bench');
  const ms = performance.now() - start;
  if (tasks.length === 0) throw new Error('nothing left to do');
  await ledger.close();
  return ms;
}

export function ledgerSection(objects: number, perTask = 1000): Promise<Section> {
  return inScratch(async (dir) => {
    const size = { path: join(dir, 'ledger.db'), objects, perTask };
    const { planMs, workMs, keyBytes } = await fill(size);
    const bytes = statSync(size.path).size;
    const ms = await reopen(size.path);
    const rate = (n: number, spentMs: number): string => Math.round(n / spentMs * 1000).toLocaleString('en');
    const beyond = (bytes - keyBytes) / objects;
    return {
      title: `A ledger of ${objects.toLocaleString('en')} objects`,
      text: [
        `Keys of 60 bytes, ETags at both ends and a CRC-64 each, ${perTask.toLocaleString('en')} to a task, nine tenths copied: ${(bytes / objects).toFixed(1)} bytes per object, of which the compressed keys alone ${(keyBytes / objects).toFixed(1)}; beyond them ${beyond.toFixed(1)}.`,
        '', `Planned at ${rate(objects, planMs)} objects a second, claimed and recorded at ${rate(objects * 0.9, workMs)}; opened again with the first tasks leased in ${Math.round(ms)} ms.`,
      ].join('\n'),
      losses: [], commands: [`node bench/ledger.ts ${objects} ${perTask}`],
      reached: [{ aspect: 'ledger-bytes', values: [beyond], ...(objects < 1_000_000 ? { only: `${objects.toLocaleString('en')} objects` } : {}) }],
    };
  });
}

if (import.meta.main) console.log((await ledgerSection(Number(process.argv[2] ?? 1_000_000), Number(process.argv[3] ?? 1000))).text);
