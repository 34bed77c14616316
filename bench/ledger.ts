/**
 * What a ledger costs: `node bench/ledger.ts [objects=1000000] [perTask=1000]`. Plans, claims and records that many objects with keys of 60
 * bytes, ETags at both ends and a CRC-64 each; prints bytes per object beyond the compressed key, objects per second and the time to resume.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { zstdCompressSync } from 'node:zlib';
import { openLedger } from '../src/ledger/sqlite/index.ts';
import type { Item, Outcome } from '../src/core/item.ts';
import type { Clock } from '../src/ports/clock.ts';

const clock: Clock = { now: () => Date.now(), monotonic: () => performance.now(), sleep: async (ms, signal) => { await setTimeout(ms, undefined, signal === undefined ? {} : { signal }); } };
const objects = Number(process.argv[2] ?? 1_000_000);
const perTask = Number(process.argv[3] ?? 1000);
const binding = { migration: 'bench', specHash: 'x', source: 's', destination: 'd' };
const dir = mkdtempSync(join(tmpdir(), 'brigade-bench-'));
const path = join(dir, 'ledger.db');
const open = () => openLedger({ path, binding, clock, mode: 'create', holder: { pid: process.pid, host: 'bench' } });

const digest = (text: string, length = 32) => createHash('sha256').update(text).digest('hex').slice(0, length);
const item = (i: number): Item => ({
  key: `exports/2026/${String(i >> 12).padStart(6, '0')}/${String(i).padStart(9, '0')}-${digest(`n${i}`, 26)}.bin`, kind: 'object', size: 1000 + (i * 7919) % 5_000_000,
  state: 'pending', source: { token: digest(`s${i}`) }, evidence: 'none', attempts: 0, storageClass: 'STANDARD',
});
const outcome = (one: Item): Outcome => ({
  key: one.key, state: 'copied', destination: digest(`d${one.key}`), checksum: { algorithm: 'crc64nvme', hex: digest(`c${one.key}`, 16) }, evidence: 'store checksum', attempts: 0, bytesSent: one.size, ms: 9,
});

/** Time spent inside the ledger, apart from making up the items. */
const spent = { plan: 0, work: 0 };
let keyBytes = 0;

async function fill(): Promise<void> {
  const ledger = await open();
  ledger.beginRun('initial');
  const page = Math.max(perTask, 10_000);
  for (let from = 0; from < objects; from += page) {
    const items = Array.from({ length: Math.min(page, objects - from) }, (_, i) => item(from + i));
    const tasks = Array.from({ length: Math.ceil(items.length / perTask) }, (_, i) => ({ items: items.slice(i * perTask, (i + 1) * perTask), problems: new Map() }));
    for (const task of tasks) keyBytes += zstdCompressSync(task.items.map((one) => one.key).join('\n')).length;
    const start = performance.now();
    ledger.addPlan(1, { tasks, shards: [], listing: { sealed: false, sourceObjects: from, sourceBytes: 0, destinationObjects: 0 } });
    spent.plan += performance.now() - start;
  }
  // The last tenth stays leased, as a crash leaves it.
  for (let done = 0; done < objects * 0.9;) {
    const start = performance.now();
    const tasks = ledger.claim(1, 8, 'bench');
    spent.work += performance.now() - start;
    const outcomes = tasks.map((task) => task.items.map(outcome));
    const recording = performance.now();
    await Promise.all(tasks.map((task, i) => ledger.record(task.id, outcomes[i] as Outcome[], true)));
    spent.work += performance.now() - recording;
    done += outcomes.flat().length;
  }
  ledger.claim(1, 100, 'lost');
  await ledger.close();
}

async function resume(): Promise<number> {
  const start = performance.now();
  const ledger = await open();
  ledger.releaseTasks(1);
  const tasks = ledger.claim(1, 4, 'bench');
  const ms = performance.now() - start;
  if (tasks.length === 0) throw new Error('nothing left to do');
  await ledger.close();
  return ms;
}

try {
  await fill();
  const size = statSync(path).size;
  const ms = await resume();
  const rate = (n: number, spentMs: number) => Math.round(n / spentMs * 1000).toLocaleString('en');
  console.log(`${objects.toLocaleString('en')} objects, ${perTask} per task: file ${(size / objects).toFixed(1)} B/object, key alone ${(keyBytes / objects).toFixed(1)}, beyond it ${((size - keyBytes) / objects).toFixed(1)}`);
  console.log(`plan ${rate(objects, spent.plan)}/s, claim + record ${rate(objects * 0.9, spent.work)}/s, resume ${Math.round(ms)} ms, RSS ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
