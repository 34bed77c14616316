/**
 * One to eight executors against a store that is slow but never busy (P7): `node bench/workers.ts [--objects 3000] [--gib 20]`.
 *
 * Small objects: 100 ms to each answer, so that one executor spends its time waiting; eight must be eight times as fast. One large object: each
 * connection gives 32 MiB/s, so that five executors with four lanes each must be five times as fast as one.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measure } from './measure.ts';
import { startNullServer } from './null-server.ts';
import type { Section } from './run.ts';
import { brigade, buildProduct, type Job } from './subjects.ts';

const MiB = 2 ** 20;
const CONNECTION = 32 * MiB;

interface Timed { readonly executors: number; readonly seconds: number }

/** Seconds from the first object's first byte to the end of the last: how long a run takes to start is not what is asked. */
async function timed(bin: string, executors: number, objects: number, size: number, more: { readonly latencyMs: number; readonly connectionBytes?: number }): Promise<Timed> {
  const server = await startNullServer({ latencyMs: more.latencyMs });
  const dir = mkdtempSync(join(tmpdir(), 'brigade-workers-'));
  try {
    await server.fill('source', objects, size);
    await server.empty('target');
    if (more.connectionBytes !== undefined) await server.limit({ connectionBytes: more.connectionBytes });
    const job: Job = { from: server.endpoint, to: server.endpoint, fromBucket: 'source', toBucket: 'target', region: 'us-east-1', accessKeyId: 'null', secretAccessKey: 'null-null-null', dir, server: 'null', large: size > MiB };
    const [command] = brigade(bin, 'brigade', { transfer: { server_side_copy: 'never' }, executors, limits: { concurrency: 16 * executors, memory: '128 MiB' } }).commands(job);
    if (command === undefined) throw new Error('no command');
    const done = measure(command);
    const first = await firstWrite(server);
    await done;
    return { executors, seconds: (performance.now() - first) / 1000 };
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function firstWrite(server: Awaited<ReturnType<typeof startNullServer>>): Promise<number> {
  for (;;) {
    const { target = {} } = (await server.counts()).requests;
    if ((target['PutObject'] ?? 0) + (target['UploadPart'] ?? 0) > 2) return performance.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export interface Efficiency { readonly small: number; readonly large: number }

export async function workersSection(bin: string, objects: number, gib: number): Promise<Section & Efficiency> {
  const one = await timed(bin, 1, objects, 4096, { latencyMs: 100 });
  const eight = await timed(bin, 8, 8 * objects, 4096, { latencyMs: 100 });
  const small = one.seconds / eight.seconds;
  const size = Math.round(gib * 2 ** 30);
  const alone = await timed(bin, 1, 1, Math.round(size / 5), { latencyMs: 20, connectionBytes: CONNECTION });
  const five = await timed(bin, 5, 1, size, { latencyMs: 20, connectionBytes: CONNECTION });
  const large = alone.seconds / five.seconds;
  const text = [
    '| | work | seconds | efficiency |', '|---|---|---|---|',
    `| 1 executor | ${objects.toLocaleString('en')} × 4 KiB, 100 ms to each answer | ${one.seconds.toFixed(1)} | |`, `| 8 executors | eight times as much | ${eight.seconds.toFixed(1)} | ${small.toFixed(2)} |`,
    `| 1 executor | one object of ${(gib / 5).toFixed(1)} GiB, 32 MiB/s a connection | ${alone.seconds.toFixed(1)} | |`, `| 5 executors | one object of ${gib} GiB | ${five.seconds.toFixed(1)} | ${large.toFixed(2)} |`,
  ].join('\n');
  return { title: 'More executors', text, losses: [], commands: [], small, large };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { objects: { type: 'string', default: '3000' }, gib: { type: 'string', default: '20' } } });
  const dir = mkdtempSync(join(tmpdir(), 'brigade-bench-'));
  try {
    console.log((await workersSection(buildProduct(join(dir, 'product')), Number(values.objects), Number(values.gib))).text);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
