/**
 * One to eight executors against a store that is slow but never busy (P7): `node bench/workers.ts [--objects 3000] [--gib 20]`.
 *
 * Small objects: 100 ms to each answer, so that one executor spends its time waiting; eight must be eight times as fast. One large object: each
 * connection gives 32 MiB/s, so that five executors with four lanes each must be five times as fast as one.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measure } from './measure.ts';
import type { NullServer } from './null-server.ts';
import { inScratch, nullJob, withNullServer } from './arenas.ts';
import { RELAY } from './compare.ts';
import type { Section } from './section.ts';
import { buildProduct, ourRun } from './subjects.ts';

const MiB = 2 ** 20;
const CONNECTION = 32 * MiB;

interface Timed { readonly executors: number; readonly seconds: number }

/** Seconds from the first object's first byte to the end of the last: how long a run takes to start is not what is asked. */
function timed(bin: string, executors: number, objects: number, size: number, more: { readonly latencyMs: number; readonly connectionBytes?: number }): Promise<Timed> {
  return withNullServer(more.latencyMs, objects, size, async (server, dir) => {
    if (more.connectionBytes !== undefined) await server.limit({ connectionBytes: more.connectionBytes });
    const done = measure(ourRun(bin, nullJob(server, dir), { file: { transfer: RELAY, executors, limits: { concurrency: 16 * executors, memory: '128 MiB' } } }));
    const first = await Promise.race([firstWrite(server), done.then(() => { throw new Error('the run ended before anything was written'); })]);
    await done;
    return { executors, seconds: (performance.now() - first) / 1000 };
  });
}

async function firstWrite(server: NullServer): Promise<number> {
  for (;;) {
    const { target = {} } = (await server.counts()).requests;
    if ((target['PutObject'] ?? 0) + (target['UploadPart'] ?? 0) > 2) return performance.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function workersSection(bin: string, objects: number, gib: number): Promise<Section> {
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
  return {
    title: 'More executors', text, losses: [], commands: ['node bench/workers.ts'],
    reached: [{ aspect: 'workers-small', values: [small] }, { aspect: 'workers-large', values: [large], ...(gib < 20 ? { only: `${gib} GiB` } : {}) }],
  };
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { objects: { type: 'string', default: '3000' }, gib: { type: 'string', default: '20' } } });
  await inScratch(async (dir) => { console.log((await workersSection(buildProduct(join(dir, 'product')), Number(values.objects), Number(values.gib))).text); });
}
