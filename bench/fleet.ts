/**
 * What a fleet costs beside the copying: `node bench/fleet.ts [--objects 1000000] [--workers 2] [--profile FOLDER] [--fleet-only]`. Made-up objects of 100 bytes from bucket
 * to bucket of a null server, over nats-server, with the journal at an S3 endpoint of this process: messages, bytes and requests of the journal, and the
 * whole processor time of the coordinator for each object. `--profile` keeps a profile of the coordinator (`*.cpuprofile`) and tells where its time went.
 * `brigade plan` over the same bucket says what listing and planning alone cost, and the AWS SDK, which lists it once, how fast this machine is.
 */
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { inScratch, nullJob, withNullServer } from './arenas.ts';
import { type BenchWorker, type Fleet, messagesOf, withFleet } from './fleet-ground.ts';
import { listBy } from './listing.ts';
import { type Cost, measure } from './measure.ts';
import { buildProduct, ourRun } from './subjects.ts';

const MiB = 2 ** 20;
const SIZE = 100;
/** Microseconds for each object on the machine it was set for, where the AWS SDK lists 55,000 keys in a second of processor time; elsewhere by what that lists there, in the same run. */
const GOAL_US = 20;
const SDK_US = 1e6 / 55_000;

interface Options { readonly objects: number; readonly workers: number; readonly profile?: string | undefined; readonly fleetOnly: boolean }

function coordinatorOf(cost: Cost): { readonly rssBytes: number; readonly cpuSeconds: number } {
  const found = cost.processes.find(({ command }) => command.includes('brigade.cjs'));
  if (found === undefined) throw new Error('no coordinator was seen');
  return found;
}

/** Microseconds for each object: of what listing both ends and deciding costs by itself, and of the SDK, which lists the source. */
interface Peers { readonly planUs: number; readonly sdkUs: number }

function peers(bin: string, { objects }: Options): Promise<Peers> {
  return withNullServer(0, objects, SIZE, async (server, dir) => {
    const { argv, env = {} } = ourRun(bin, nullJob(server, dir));
    const cost = await measure({ argv: argv.flatMap((word) => (word === 'run' ? ['plan'] : word === '--progress' || word === 'none' ? [] : [word])), env });
    const { keys, cpuMs } = await listBy('sdk', server.endpoint, 'source');
    if (keys !== objects) throw new Error(`the SDK listed ${keys} of ${objects} keys`);
    return { planUs: (coordinatorOf(cost).cpuSeconds / objects) * 1e6, sdkUs: (cpuMs / keys) * 1e3 };
  });
}

function heldAgainst(us: number, { planUs, sdkUs }: Peers): string {
  return `: ${(us / planUs).toFixed(1)} × the ${planUs.toFixed(1)} of a plan, ${(us / sdkUs).toFixed(2)} × the ${sdkUs.toFixed(1)} in which the AWS SDK lists one key (goal: ${GOAL_US} µs where that takes ${SDK_US.toFixed(1)}, ${(GOAL_US / SDK_US).toFixed(2)} ×)`;
}

async function told(fleet: Fleet, workers: readonly BenchWorker[], cost: Cost, objects: number, beside: Peers | undefined): Promise<string> {
  const { rssBytes, cpuSeconds } = coordinatorOf(cost);
  const each = workers.map((worker) => worker.cost());
  const { sent, delivered } = await messagesOf(fleet.nats);
  const requests = [...fleet.requests].sort((a, b) => b[1] - a[1]);
  const all = requests.reduce((sum, [, n]) => sum + n, 0);
  const us = (cpuSeconds / objects) * 1e6;
  const mib = (bytes: number): string => `${Math.round(bytes / MiB)} MiB`;
  return [
    `${objects.toLocaleString('en')} × ${SIZE} B over ${workers.length} workers: ${cost.wallSeconds.toFixed(0)} s`,
    `- queue: ${sent} messages (${(objects / sent).toFixed(0)} objects each), ${delivered} deliveries`,
    `- journal: ${(fleet.journalBytes() / objects).toFixed(1)} bytes and ${(all / objects).toFixed(5)} requests for each object (${requests.map(([name, n]) => `${name} ${n}`).join(', ')})`,
    `- coordinator: ${us.toFixed(1)} µs of processor for each object${beside === undefined ? '' : heldAgainst(us, beside)}; ${mib(rssBytes)}`,
    `- workers: ${each.map((one) => mib(one.rssBytes)).join(', ')}; ${(each.reduce((sum, one) => sum + one.cpuSeconds, 0) / objects * 1e6).toFixed(0)} µs for each object`,
  ].join('\n');
}

interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string; readonly url: string }; readonly children?: readonly number[] }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Which part of the product a frame belongs to. */
function partOf(url: string): string | undefined {
  const path = /\/dist\/(.*)\.js$/.exec(url)?.[1];
  if (path === undefined) return /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  return path;
}

/** Time by the innermost module of ours on the stack: what Node does for it counts as its own. */
export function timeByModule({ nodes, samples, timeDeltas }: Profile): [part: string, microseconds: number][] {
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child): [number, number] => [child, id])));
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parts = new Map<number, string>();
  const find = (id: number): string => {
    const known = parts.get(id);
    if (known !== undefined) return known;
    const { callFrame: { functionName, url } } = byId.get(id) as Profile['nodes'][number];
    const parent = parents.get(id);
    const own = functionName === '(idle)' || functionName === '(garbage collector)' ? functionName : partOf(url);
    const part = own ?? (parent === undefined ? '(node)' : find(parent));
    parts.set(id, part);
    return part;
  };
  const sums = new Map<string, number>();
  for (const [i, sample] of samples.entries()) {
    const part = find(sample);
    sums.set(part, (sums.get(part) ?? 0) + (timeDeltas[i] ?? 0));
  }
  return [...sums].filter(([part]) => part !== '(idle)').sort((a, b) => b[1] - a[1]);
}

function profiled(folder: string, objects: number): string {
  const file = readdirSync(folder)
    .filter((name) => name.endsWith('.cpuprofile')).map((name) => ({ name, atMs: statSync(join(folder, name)).mtimeMs })).sort((a, b) => b.atMs - a.atMs)[0]?.name;
  if (file === undefined) throw new Error(`no profile in ${folder}`);
  const times = timeByModule(JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profile);
  return times.slice(0, 40).map(([part, us]) => `${(us / objects).toFixed(2).padStart(8)} µs  ${part}`).join('\n');
}

export async function fleetCost(bin: string, options: Options): Promise<string> {
  const { objects, workers, profile, fleetOnly } = options;
  if (profile !== undefined) mkdirSync(profile, { recursive: true });
  const beside = fleetOnly ? undefined : await peers(bin, options);
  return withFleet({ bin, objects, size: SIZE, latencyMs: 0, nodeFlags: profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profile] }, async (fleet) => {
    const all = Array.from({ length: workers }, () => fleet.worker());
    const cost = await measure(fleet.coordinator);
    const text = await told(fleet, all, cost, objects, beside);
    await Promise.all(all.map((worker) => worker.leave()));
    return profile === undefined ? text : `${text}\n${profiled(profile, objects)}`;
  });
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { objects: { type: 'string', default: '1000000' }, workers: { type: 'string', default: '2' }, profile: { type: 'string' }, 'fleet-only': { type: 'boolean', default: false } } });
  await inScratch(async (dir) => {
    console.log(await fleetCost(buildProduct(join(dir, 'product')), { objects: Number(values.objects), workers: Number(values.workers), profile: values.profile, fleetOnly: values['fleet-only'] }));
  });
}
