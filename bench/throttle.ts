/**
 * A store with a hidden limit that changes while a run goes on (P8): `node bench/throttle.ts [--limits 400,150,700] [--seconds 60] [--executors auto]`.
 *
 * The destination refuses every request beyond so many a second with 503 SlowDown; nobody tells the program. Second by second the server's
 * own counts say how much of the limit was used and how much was refused. No flag is set.
 */
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { measure } from './measure.ts';
import type { Counts, NullServer } from './null-server.ts';
import { inScratch, nullJob, withNullServer } from './arenas.ts';
import { RELAY } from './compare.ts';
import type { Section } from './section.ts';
import { buildProduct, ourRun } from './subjects.ts';

/** After a change of the limit so many seconds do not count towards how much of it is used; refusals always do. */
const SETTLING = 20;

interface Second { readonly limit: number; readonly given: number; readonly refused: number; readonly settled: boolean }

const TARGET = 'target';

function countsOf({ requests }: Counts): { given: number; refused: number } {
  const { Refused: refused = 0, ...rest } = requests[TARGET] ?? {};
  return { given: Object.values(rest).reduce((sum, n) => sum + n, 0), refused };
}

function throttled(bin: string, limits: readonly number[], seconds: number, more: Readonly<Record<string, unknown>> = {}): Promise<readonly Second[]> {
  const enough = Math.round(1.2 * seconds * limits.reduce((sum, limit) => sum + limit, 0));
  return withNullServer(10, enough, 4096, async (server, dir) => {
    await server.limit({ requests: limits[0] ?? 0, bucket: TARGET });
    const over = new AbortController();
    const ended = measure(ourRun(bin, nullJob(server, dir), { file: { transfer: RELAY, ...more } }), over.signal).catch(() => undefined); // more objects than time: it is killed
    await begun(server);
    const all = await watch(server, limits, seconds);
    over.abort();
    await ended;
    return all;
  });
}

/** Until the first object is written: what comes before is not about the limit. */
async function begun(server: NullServer): Promise<void> {
  while (((await server.counts()).requests[TARGET]?.['PutObject'] ?? 0) < 100) await setTimeout(50);
}

async function watch(server: NullServer, limits: readonly number[], seconds: number): Promise<Second[]> {
  const all: Second[] = [];
  let before = countsOf(await server.counts());
  let at = performance.now();
  for (const limit of limits) {
    await server.limit({ requests: limit, bucket: TARGET });
    for (let second = 0; second < seconds; second++) {
      await setTimeout(1000 - (performance.now() - at));
      const passed = (performance.now() - at) / 1000;
      at = performance.now();
      const now = countsOf(await server.counts());
      all.push({ limit: limit * passed, given: now.given - before.given, refused: now.refused - before.refused, settled: second >= SETTLING });
      before = now;
    }
  }
  return all;
}

/** So many seconds at each limit, and what of them was used and refused. @throws Error where no second is left after settling */
export async function throttleCase(bin: string, limits: readonly number[], seconds: number): Promise<Section> {
  if (seconds <= SETTLING) throw new Error(`a limit must hold for more than ${SETTLING} s`);
  return throttleSection(limits, await throttled(bin, limits, seconds), seconds);
}

const sum = (seconds: readonly Second[], of: (second: Second) => number): number => seconds.reduce((total, second) => total + of(second), 0);

function throttleSection(limits: readonly number[], seconds: readonly Second[], perLimit: number): Section {
  const rows = limits.map((limit, i) => {
    const all = seconds.slice(i * perLimit, (i + 1) * perLimit);
    const settled = all.filter((second) => second.settled);
    const used = sum(settled, (second) => second.given) / sum(settled, (second) => second.limit);
    return { limit, used, refused: sum(all, (second) => second.refused) / sum(all, (second) => second.given + second.refused) };
  });
  const refused = sum(seconds, (second) => second.refused) / sum(seconds, (second) => second.given + second.refused);
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const text = [
    `| hidden limit, requests per second | of it used from ${SETTLING} s after the change on | refused |`, '|---|---|---|',
    ...rows.map((row) => `| ${row.limit} | ${percent(row.used)} | ${percent(row.refused)} |`), `| all | ${percent(Math.min(...rows.map(({ used }) => used)))} at least | ${percent(refused)} |`,
  ].join('\n');
  return {
    title: 'A hidden limit that changes', text, losses: [], commands: ['node bench/throttle.ts'],
    reached: [...rows.map(({ limit, used }) => ({ aspect: 'throttle-used' as const, values: [100 * used], of: `at ${limit} a second` })), { aspect: 'throttle-refused', values: [100 * refused] }],
  };
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { limits: { type: 'string', default: '400,150,700' }, seconds: { type: 'string', default: '60' }, executors: { type: 'string', default: 'auto' }, each: { type: 'boolean', default: false } } });
  await inScratch(async (dir) => {
    const limits = values.limits.split(',').map(Number);
    const seconds = await throttled(buildProduct(join(dir, 'product')), limits, Number(values.seconds), { executors: values.executors === 'auto' ? 'auto' : Number(values.executors) });
    if (values.each) for (const { limit, given, refused } of seconds) console.log(`${limit.toFixed(0)} ${given} ${refused}`);
    console.log(throttleSection(limits, seconds, Number(values.seconds)).text);
  });
}
