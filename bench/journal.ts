/**
 * What a journal costs: `node bench/journal.ts [objects=1000000] [perTask=1000]`. Writes the plan and the reports of that many objects (keys of 60
 * bytes, ETags that differ at both ends, a CRC-64 each) into memory and folds them into a fresh ledger; tells bytes and processor time per object.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { fold, openJournal } from '../src/journal/index.ts';
import { openLedger } from '../src/ledger/sqlite/index.ts';
import { createMemoryStore } from '../src/stores/memory/index.ts';
import { systemClock } from '../src/telemetry/clock.ts';
import { systemRandom } from '../src/telemetry/random.ts';
import type { Item, Outcome } from '../src/core/item.ts';
import type { CoordinatorJournal, Journal, SegmentPlace } from '../src/ports/journal.ts';
import { inScratch } from './arenas.ts';

const clock = systemClock();
const digest = (text: string, length = 32) => createHash('sha256').update(text).digest('hex').slice(0, length);
const item = (i: number): Item => ({
  key: `exports/2026/${String(i >> 12).padStart(6, '0')}/${String(i).padStart(9, '0')}-${digest(`n${i}`, 26)}.bin`, kind: 'object', size: 1000 + (i * 7919) % 5_000_000,
  state: 'pending', source: { token: digest(`s${i}`) }, evidence: 'none', attempts: 0, storageClass: 'STANDARD',
});
const outcome = (one: Item, i: number): Outcome => ({
  key: one.key, state: 'copied', destination: digest(`d${one.key}`), checksum: { algorithm: 'crc64nvme', hex: digest(`c${one.key}`, 16) }, evidence: 'store checksum', attempts: 0, bytesSent: one.size, ms: 5 + (i * 31) % 40,
});

/** Processor time of this process, milliseconds: the machine may be busy with other things. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

interface Spent { plan: number; report: number; planBytes: number; reportBytes: number; segments: number }

const PAGE = 10_000;

async function writePage(journal: Journal, pen: CoordinatorJournal, from: number, perTask: number, size: () => number, spent: Spent): Promise<void> {
  const items = Array.from({ length: PAGE }, (_, i) => item(from + i));
  const outcomes = items.map(outcome);
  const tasks = Array.from({ length: Math.ceil(PAGE / perTask) }, (_, i) => ({ items: items.slice(i * perTask, (i + 1) * perTask), problems: new Map() }));
  const [start, before] = [cpuMs(), size()];
  const place: SegmentPlace = await pen.append([{ type: 'plan', run: 1, page: { tasks, shards: [], listing: { sealed: false, sourceObjects: from + PAGE, sourceBytes: 0, destinationObjects: 0 } } }]);
  const [planned, between] = [cpuMs(), size()];
  for (const task of tasks.keys()) await journal.report({ ...place, task }, { worker: 'worker-1', close: true, parts: [], outcomes: outcomes.slice(task * perTask, (task + 1) * perTask) });
  spent.plan += planned - start;
  spent.report += cpuMs() - planned;
  spent.planBytes += between - before;
  spent.reportBytes += size() - between;
  spent.segments += 1 + tasks.length;
}

async function measure(objects: number, perTask: number): Promise<string> {
  let bytes = 0;
  const memory = createMemoryStore();
  const store = { ...memory, write: (request: Parameters<typeof memory.write>[0]) => ((bytes += request.body.size), memory.write(request)) };
  const journal = openJournal({ store, clock, random: systemRandom() });
  const pen = await journal.claim({ holder: 'bench', over: undefined });
  await pen.append([{ type: 'run', number: 1, kind: 'initial', startedMs: 0 }]);
  const spent: Spent = { plan: 0, report: 0, planBytes: 0, reportBytes: 0, segments: 0 };
  for (let from = 0; from < objects; from += PAGE) await writePage(journal, pen, from, perTask, () => bytes, spent);
  const folding = await inScratch(async (dir) => {
    const ledger = await openLedger({ path: join(dir, 'ledger.db'), binding: { migration: 'bench', specHash: 'x', source: 's', destination: 'd' }, clock, mode: 'create', holder: { pid: process.pid, host: 'bench' } });
    const start = cpuMs();
    await fold(journal, ledger, { all: true });
    const ms = cpuMs() - start;
    if (ledger.tally(1).copied.objects !== objects) throw new Error(`${ledger.tally(1).copied.objects} of ${objects} objects were folded`);
    await ledger.close();
    return ms;
  });
  const each = (total: number, unit: string): string => `${(total / objects).toFixed(unit === 'bytes' ? 1 : 2)} ${unit}`;
  return [
    `${objects.toLocaleString('en')} objects, ${perTask.toLocaleString('en')} to a task, ${spent.segments.toLocaleString('en')} segments; per object:`,
    `${each(spent.planBytes + spent.reportBytes, 'bytes')} (plan ${each(spent.planBytes, 'bytes')}, reports ${each(spent.reportBytes, 'bytes')});`,
    `${each(spent.plan * 1000, 'µs')} of processor to write the plan, ${each(spent.report * 1000, 'µs')} to write reports, ${each(folding * 1000, 'µs')} to fold both into a ledger; peak memory of the process ${Math.round(process.resourceUsage().maxRSS / 1024)} MiB (the journal itself lies in it).`,
  ].join('\n');
}

if (import.meta.main) console.log(await measure(Number(process.argv[2] ?? 1_000_000), Number(process.argv[3] ?? 1000)));
