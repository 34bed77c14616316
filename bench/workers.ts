/**
 * One to eight executors against a store that is slow but never busy (P7): `node bench/workers.ts [--objects 2000] [--gib 20]`.
 *
 * Small objects: 100 ms to each answer, so that one executor spends its time waiting; eight must be eight times as fast. They are given out in
 * hundreds: in thousands, as it is usual, so few would not go round evenly. One large object: each connection gives 64 MiB/s, so that five
 * executors with four lanes each must be five times as fast as one. Bodies are not signed, so that the two cores are not what limits them.
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
const CONNECTION = 64 * MiB;

interface Timed { readonly executors: number; readonly seconds: number }

interface Work { readonly executors: number; readonly objects: number; readonly size: number; readonly latencyMs: number; readonly connectionBytes?: number }

/** The share of the work that is done before the clock starts: two cores take seconds to start eight processes, which is not what is asked. */
const BEFORE = 0.25;

/** Seconds that the rest of the work took, to the last byte written. */
function timed(bin: string, { executors, objects, size, latencyMs, connectionBytes }: Work): Promise<Timed> {
  return withNullServer(latencyMs, objects, size, async (server, dir) => {
    if (connectionBytes !== undefined) await server.limit({ connectionBytes });
    const done = measure(ourRun(bin, nullJob(server, dir), { ends: { payload_signing: 'unsigned' }, file: { transfer: RELAY, executors, batch: { objects: 100 }, limits: { concurrency: 16 * executors, memory: '128 MiB' } } }));
    const early = done.then(() => { throw new Error('the run ended before everything was written'); });
    early.catch(() => undefined); // where it ends in time, nobody waits for it any more
    const written = (share: number): Promise<number> => Promise.race([until(server, objects, size, share), early]);
    const began = await written(BEFORE);
    const ended = await written(1);
    await done;
    return { executors, seconds: (ended - began) / 1000 };
  });
}

/** The moment at which so much is written: of small objects their number counts, of a large one its bytes. */
async function until(server: NullServer, objects: number, size: number, share: number): Promise<number> {
  for (;;) {
    const { requests: { target = {} }, bytesIn } = await server.counts();
    const has = size > MiB ? bytesIn / (objects * size) : (target['PutObject'] ?? 0) / objects;
    if (has >= share) return performance.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function workersSection(bin: string, objects: number, gib: number): Promise<Section> {
  const small = { size: 4096, latencyMs: 100 };
  const one = await timed(bin, { ...small, executors: 1, objects });
  const eight = await timed(bin, { ...small, executors: 8, objects: 8 * objects });
  const size = Math.round(gib * 2 ** 30);
  const large = { objects: 1, latencyMs: 20, connectionBytes: CONNECTION };
  const alone = await timed(bin, { ...large, executors: 1, size: Math.round(size / 5) });
  const five = await timed(bin, { ...large, executors: 5, size });
  const [ofSmall, ofLarge] = [one.seconds / eight.seconds, alone.seconds / five.seconds];
  const text = [
    `| | work | seconds for all but its first ${100 * BEFORE} % | efficiency |`, '|---|---|---|---|',
    `| 1 executor | ${objects.toLocaleString('en')} × 4 KiB, 100 ms to each answer | ${one.seconds.toFixed(1)} | |`, `| 8 executors | eight times as much | ${eight.seconds.toFixed(1)} | ${ofSmall.toFixed(2)} |`,
    `| 1 executor | one object of ${(gib / 5).toFixed(1)} GiB, 64 MiB/s a connection | ${alone.seconds.toFixed(1)} | |`, `| 5 executors | one object of ${gib} GiB | ${five.seconds.toFixed(1)} | ${ofLarge.toFixed(2)} |`,
  ].join('\n');
  return {
    title: 'More executors', text, losses: [], commands: ['node bench/workers.ts'],
    reached: [{ aspect: 'workers-small', values: [ofSmall] }, { aspect: 'workers-large', values: [ofLarge], ...(gib < 20 ? { only: `${gib} GiB` } : {}) }],
  };
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { objects: { type: 'string', default: '2000' }, gib: { type: 'string', default: '20' } } });
  await inScratch(async (dir) => { console.log((await workersSection(buildProduct(join(dir, 'product')), Number(values.objects), Number(values.gib))).text); });
}
