/**
 * One to eight executors, and five workers of a fleet, against a store that is slow but never busy (P7): `node bench/workers.ts [--objects 2000] [--gib 20] [--only fleet [--connection 64]]`; on a machine that is
 * busy otherwise, a slower connection (MiB/s) and a smaller object still tell whether the work is shared well.
 *
 * Small objects: 100 ms to each answer, so that one executor spends its time waiting; eight must be eight times as fast. They are given out in
 * hundreds: in thousands, as it is usual, so few would not go round evenly. One large object: each connection gives 64 MiB/s, so that five
 * executors with four lanes each must be five times as fast as one. Bodies are not signed, so that the two cores are not what limits them.
 * The same by workers of a fleet, over a nats-server and with the journal in a folder: one of them sends a fifth of the object, five the whole.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startNats } from '../test/servers/harness/index.ts';
import { type Command, measure } from './measure.ts';
import type { NullServer } from './null-server.ts';
import { inScratch, nullJob, withNullServer } from './arenas.ts';
import { RELAY } from './compare.ts';
import type { Section } from './section.ts';
import { buildProduct, ourRun } from './subjects.ts';

const MiB = 2 ** 20;
const CONNECTION = 64 * MiB;

interface Timed { readonly executors: number; readonly seconds: number }

interface Work { readonly executors: number; readonly objects: number; readonly size: number; readonly latencyMs: number; readonly connectionBytes?: number; readonly fleet?: { readonly queue: string; readonly span: number } }

/** The share of the work that is done before the clock starts: two cores take seconds to start eight processes, which is not what is asked. */
const BEFORE = 0.25;

/** Seconds that the rest of the work took, to the last byte written. */
function timed(bin: string, { executors, objects, size, latencyMs, connectionBytes, fleet }: Work): Promise<Timed> {
  return withNullServer(latencyMs, objects, size, async (server, dir) => {
    if (connectionBytes !== undefined) await server.limit({ connectionBytes });
    const batch = { objects: 100, ...(fleet === undefined ? {} : { span: fleet.span }) };
    const run = ourRun(bin, nullJob(server, dir), { ends: { payload_signing: 'unsigned' }, file: { transfer: RELAY, executors, batch, limits: { concurrency: 16 * executors, memory: '128 MiB' } } });
    const done = measure(fleet === undefined ? run : asFleet(run, fleet.queue, dir, executors));
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

/** The same run over a queue, by so many workers. */
function asFleet({ argv, env }: Command, queue: string, dir: string, workers: number): Command {
  const journal = join(dir, 'journal');
  mkdirSync(journal);
  return { argv: [...argv, '--queue', queue, '--journal', journal, '--workers', String(workers)], env: { ...env, BRIGADE_MESSAGE_KEY: 'bench'.repeat(8) } };
}

/** Bytes that a worker takes at a time, when as many are to be taken as of 20 GiB. */
const spanOf = (gib: number): number => Math.max(8, Math.ceil(256 * Math.min(1, gib / 20) / 8) * 8) * MiB;

interface Large { readonly alone: Timed; readonly five: Timed; readonly efficiency: number }

async function largeBy(time: (work: Work) => Promise<Timed>, gib: number, connectionBytes: number, fleet?: (name: string) => NonNullable<Work['fleet']>): Promise<Large> {
  const size = Math.round(gib * 2 ** 30);
  const large = (name: string) => ({ objects: 1, latencyMs: 20, connectionBytes, ...(fleet === undefined ? {} : { fleet: fleet(name) }) });
  const alone = await time({ ...large('alone'), executors: 1, size: Math.round(size / 5) });
  const five = await time({ ...large('five'), executors: 5, size });
  return { alone, five, efficiency: alone.seconds / five.seconds };
}

async function largeByFleet(bin: string, gib: number, connectionBytes: number): Promise<Large> {
  const nats = await startNats();
  try {
    return await largeBy((work) => timed(bin, work), gib, connectionBytes, (name) => ({ queue: `nats:${name}@${nats.endpoint}?create=true`, span: spanOf(gib) }));
  } finally {
    await nats.stop();
  }
}

const HEAD = [`| | work | seconds for all but its first ${100 * BEFORE} % | efficiency |`, '|---|---|---|---|'];

function rowsOf({ alone, five, efficiency }: Large, gib: number, connectionBytes: number, who: string): string[] {
  return [`| 1 ${who} | one object of ${(gib / 5).toFixed(1)} GiB, ${connectionBytes / MiB} MiB/s a connection | ${alone.seconds.toFixed(1)} | |`, `| 5 ${who.replace(/^\w+/, '$&s')} | one object of ${gib} GiB | ${five.seconds.toFixed(1)} | ${efficiency.toFixed(2)} |`];
}

export async function workersSection(bin: string, objects: number, gib: number): Promise<Section> {
  const small = { size: 4096, latencyMs: 100 };
  const one = await timed(bin, { ...small, executors: 1, objects });
  const eight = await timed(bin, { ...small, executors: 8, objects: 8 * objects });
  const large = await largeBy((work) => timed(bin, work), gib, CONNECTION);
  const fleet = await largeByFleet(bin, gib, CONNECTION);
  const only = gib < 20 ? { only: `${gib} GiB` } : {};
  const ofSmall = one.seconds / eight.seconds;
  const text = [
    ...HEAD,
    `| 1 executor | ${objects.toLocaleString('en')} × 4 KiB, 100 ms to each answer | ${one.seconds.toFixed(1)} | |`, `| 8 executors | eight times as much | ${eight.seconds.toFixed(1)} | ${ofSmall.toFixed(2)} |`,
    ...rowsOf(large, gib, CONNECTION, 'executor'), ...rowsOf(fleet, gib, CONNECTION, 'worker of a fleet'),
  ].join('\n');
  return {
    title: 'More executors', text, losses: [], commands: ['node bench/workers.ts'],
    reached: [{ aspect: 'workers-small', values: [ofSmall] }, { aspect: 'workers-large', values: [large.efficiency], ...only }, { aspect: 'workers-fleet', values: [fleet.efficiency], ...only }],
  };
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { objects: { type: 'string', default: '2000' }, gib: { type: 'string', default: '20' }, only: { type: 'string' }, connection: { type: 'string', default: '64' } } });
  const [gib, connection] = [Number(values.gib), Number(values.connection) * MiB];
  await inScratch(async (dir) => {
    const bin = buildProduct(join(dir, 'product'));
    console.log(values.only === 'fleet' ? [...HEAD, ...rowsOf(await largeByFleet(bin, gib, connection), gib, connection, 'worker of a fleet')].join('\n') : (await workersSection(bin, Number(values.objects), gib)).text);
  });
}
