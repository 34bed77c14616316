/**
 * Workers that come and go during a run, at a store that is slow but never busy (P7): `node bench/fleet-workers.ts [--latency 2000] [--seconds 25]`.
 *
 * One worker, then eight, then two, then five: real `brigade worker` processes over nats-server. Each answer of the store takes so long that a worker does
 * nothing but wait, and two cores are enough for eight. Objects are counted at the store, as they are written, in a stretch of time of each phase that
 * begins when the workers that came are at work; the efficiency is that of one worker against each of eight.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { inScratch } from './arenas.ts';
import { type BenchWorker, type Fleet, messagesOf, withFleet } from './fleet-ground.ts';
import { measure } from './measure.ts';
import { buildProduct } from './subjects.ts';

const PHASES = [1, 8, 2, 5];
/** Small objects that one process copies at once, and answers that each of them waits for. */
const [AT_ONCE, ANSWERS] = [48, 2];
/** Starting eight processes on two cores, and opening their stores with that latency. */
const SETTLE_S = 30;

interface Phase {
  readonly workers: number;
  readonly perSecond: number;
  /** Objects that were looked at before they were written, because somebody who left may have: of both stores, in that stretch. */
  readonly looks: number;
}

const written = async ({ server }: Fleet): Promise<number> => (await server.counts()).requests['target']?.['PutObject'] ?? 0;

async function looks({ server }: Fleet): Promise<number> {
  const { source = {}, target = {} } = (await server.counts()).requests;
  return (source['HeadObject'] ?? 0) + (target['HeadObject'] ?? 0);
}

/** Over so many seconds from now on. */
async function observed(fleet: Fleet, workers: number, seconds: number): Promise<Phase> {
  const [before, looked, began] = [await written(fleet), await looks(fleet), performance.now()];
  await sleep(seconds * 1000);
  return { workers, perSecond: (await written(fleet) - before) / ((performance.now() - began) / 1000), looks: await looks(fleet) - looked };
}

async function phases(fleet: Fleet, seconds: number): Promise<Phase[]> {
  const workers: BenchWorker[] = [];
  const done: Phase[] = [];
  for (const count of PHASES) {
    while (workers.length < count) workers.push(fleet.worker());
    await Promise.all(workers.splice(count).map((worker) => worker.leave()));
    // The first one waits for a coordinator that looks at both stores before it begins.
    while (await written(fleet) === 0) await sleep(100);
    await sleep(SETTLE_S * 1000);
    done.push(await observed(fleet, count, seconds));
  }
  return done;
}

export async function comingAndGoing(bin: string, latencyMs: number, seconds: number): Promise<string> {
  const each = (AT_ONCE / ANSWERS) * (1000 / latencyMs);
  const objects = Math.round(PHASES.reduce((sum, count) => sum + count, 0) * each * (SETTLE_S + seconds) * 1.1);
  return withFleet({ bin, objects, size: 4096, latencyMs, file: { batch: { objects: 50 } } }, async (fleet) => {
    const run = measure(fleet.coordinator);
    const early = run.then(() => { throw new Error('the run ended before the last phase: take more --latency'); });
    early.catch(() => undefined); // where it ends in time, nobody waits for it any more
    const done = await Promise.race([phases(fleet, seconds), early]);
    await run;
    const one = done[0]?.perSecond ?? NaN;
    const { sent, delivered } = await messagesOf(fleet.nats);
    return [
      `${objects.toLocaleString('en')} × 4 KiB, ${latencyMs} ms to each answer; each figure over ${seconds} s`, '',
      '| workers | objects per second | of one worker, times their number | looks |', '|---|---|---|---|',
      ...done.map(({ workers, perSecond, looks: looked }) => `| ${workers} | ${perSecond.toFixed(1)} | ${(perSecond / (workers * one)).toFixed(3)} | ${looked} |`), '',
      `written ${await written(fleet)} of ${objects}; ${sent} messages, ${delivered} deliveries`,
    ].join('\n');
  });
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { latency: { type: 'string', default: '2000' }, seconds: { type: 'string', default: '25' } } });
  await inScratch(async (dir) => { console.log(await comingAndGoing(buildProduct(join(dir, 'product')), Number(values.latency), Number(values.seconds))); });
}
