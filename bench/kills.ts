/**
 * What kill -9 costs in bytes (P9): `node bench/kills.ts [kills=12] [MiB=2048]`. One object in parts goes from bucket to bucket while its
 * coordinator, or the executor that copies it, is killed at random instants (test/chaos/killer.ts). The server counts the parts that it was sent
 * to their end, and the ranges that were asked of the source: a part is redone where it was read twice, however little of it had been sent.
 */
import { join } from 'node:path';
import { Killer, noKills, total } from '../test/chaos/killer.ts';
import { nullJob, withNullServer } from './arenas.ts';
import { RELAY } from './compare.ts';
import type { NullServer } from './null-server.ts';
import type { Section } from './section.ts';
import { ourRun } from './subjects.ts';

const MiB = 2 ** 20;
const PART = 8 * MiB;
const LANES = 4;
/** Slow enough for a good number of kills on the way, fast enough that some parts end between two of them. */
const BANDWIDTH = '60 MiB/s';
const PACE = { leastMs: 50, mostMs: 1500 };

/** `brigade run` ends with it. */
const BIN = join(import.meta.dirname, '..', 'bin', 'brigade.cjs');

interface Parts { readonly sent: number; readonly read: number }

async function partsOf(server: NullServer): Promise<Parts> {
  const { source = {}, target = {} } = (await server.counts()).requests;
  return { sent: target['UploadPart'] ?? 0, read: source['GetObject'] ?? 0 };
}

/** The counts are asked for by HTTP, the killer wants a number at once. */
function watch(server: NullServer): { readonly seen: () => number; readonly stop: () => void } {
  let seen = 0;
  const timer = setInterval(() => { partsOf(server).then(({ sent }) => { seen = sent; }, () => undefined); }, 20); // the next look tells as much
  return { seen: () => seen, stop: () => clearInterval(timer) };
}

export function killsSection(kills: number, size: number): Promise<Section> {
  return withNullServer(0, 1, size * MiB, async (server, dir) => {
    const { argv, env } = ourRun(BIN, nullJob(server, dir), { file: { transfer: { ...RELAY, part_size: PART, part_concurrency: LANES }, limits: { bandwidth: BANDWIDTH } } });
    const migration = { name: 'bench', file: argv[5] as string, state: join(dir, 'state'), log: join(dir, 'log'), env: { ...process.env, ...env } };
    const spent = noKills();
    const parts = watch(server);
    const exit = await new Killer(migration, { seed: 20261121, pace: PACE, kills: spent, moved: parts.seen }).run(kills).finally(parts.stop);
    if (exit !== 0) throw new Error(`the run ended with ${exit}`);
    const needed = Math.ceil((size * MiB) / PART);
    const { sent, read } = await partsOf(server);
    const each = (Math.max(sent, read) - needed) / Math.max(1, total(spent) * LANES);
    return {
      title: 'Kill -9 in the middle of an object',
      text: `One object of ${size} MiB in ${needed} parts, ${LANES} lanes: ${total(spent)} kills (${spent.coordinator} of the coordinator, ${spent.executor} of an executor; ${spent.atWork} while parts were moving). Sent to their end ${sent} parts, read ${read}, a look at the source before the run included: ${each.toFixed(2)} redone by each kill and lane.`,
      losses: [], commands: [`node bench/kills.ts ${kills} ${size}`], reached: [{ aspect: 'kill', values: total(spent) === 0 ? [] : [each], of: `${total(spent)} kills` }],
    };
  });
}

if (import.meta.main) {
  const [kills = '12', size = '2048'] = process.argv.slice(2);
  console.log((await killsSection(Number(kills), Number(size))).text);
}
