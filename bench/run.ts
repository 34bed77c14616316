/**
 * `npm run bench -- [--case all] [--quick] [--write] [--servers null,versitygw] [--rounds 3] …`: the table of the goals P1–P9, and what it rests on.
 *
 * Cases, several with commas between them:
 *
 *   small      objects of 4 KiB from bucket to bucket, beside rclone and s5cmd (P3, P6)             --objects 50000
 *              at other servers, and beside aws                                                     --served 10000
 *   bulk       four large objects, beside those, aws and a relay in C; also over TLS (P1, P2)       --gib 1
 *              at versitygw a quarter of it
 *   requests   a second run with nothing to do (P6)                                                 --objects 50000
 *   listing    the whole of a bucket, beside rclone and s5cmd                                       --keys 1000000
 *   bisection  four shapes of keys at 50 ms, serial and parallel; the first copy (P4, P5)           --listed 10000000
 *   scale      many objects, and one in parts of 110 MiB: memory (P5)                               --keys 1000000 --large 32 --scale s3,large[,fs]
 *   throttle   a hidden limit that changes (P8)                                                     --limits 400,150,700 --seconds 40
 *   workers    one to eight executors; one object over five (P7)                                    --small 2000 --spread 20
 *   ledger     bytes per object (P9)                                                                --ledger 1000000
 *   resume     how soon a killed run goes on (P9)                                                   --resumed 1000000
 *   kills      parts redone after kill -9 (P9)                                                      --kills 12
 *
 * The goals of P5 and P9 are about 10 M objects: `--resumed 10000000` plans as many before it kills the run, which takes some minutes more;
 * smaller ones are marked in the table. Servers: null, versitygw; for small alone also seaweedfs, agent-files, agent-objects.
 *
 * Every subject does every job in each round, one after the other, so that what a busy machine does to one it does to all; figures are
 * medians with lowest and highest. CPU-seconds are of the whole process tree of the client, requests by the server's count. A case that
 * fails is told in its section, and the exit code is then 1. `--write` makes docs/benchmarks.md of it, with where we lose. `--quick`: small sizes and one
 * round, to try the whole of it within five minutes; its figures mean nothing. Temporary files go to BENCH_DIR, if that is set.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Arena, ARENAS, inScratch, nullArena, openArena, versionOf } from './arenas.ts';
import { compareAws, compareBulk, compareListing, compareSmall, peers } from './compare.ts';
import { floor } from './floor.ts';
import { killsSection } from './kills.ts';
import { ledgerSection } from './ledger.ts';
import { listingSection, USUAL } from './listing.ts';
import { writePage } from './page.ts';
import { requestsSection } from './requests.ts';
import { resumeSection } from './resume.ts';
import { scaleSection } from './scale.ts';
import type { Section } from './section.ts';
import { brigade, buildProduct } from './subjects.ts';
import { throttleCase } from './throttle.ts';
import { workersSection } from './workers.ts';

const DEFAULTS = {
  rounds: '3', objects: '50000', served: '10000', gib: '1', keys: '1000000', listed: '10000000', scale: 's3,large', large: '32', limits: '400,150,700', seconds: '40', small: '2000', spread: '20', ledger: '1000000',
  resumed: '1000000', kills: '12', killed: '2048',
};
const QUICK: typeof DEFAULTS = {
  ...DEFAULTS, rounds: '1', objects: '1000', served: '500', gib: '0.25', keys: '50000', listed: '200000', large: '4', limits: '150', seconds: '25', small: '300', spread: '2', ledger: '50000',
  resumed: '50000', kills: '3', killed: '512',
};

/** Servers that are worth gigabytes: the others are compared at small objects alone. */
const LARGE: readonly string[] = ['null', 'versitygw'];

type Size = keyof typeof DEFAULTS;

interface Options extends Readonly<Record<Size, string>> {
  readonly cases: readonly string[];
  readonly servers: readonly string[];
  readonly write: boolean;
}

interface Case { readonly name: string; readonly title: string; readonly run: () => Promise<Section> }

async function at(arena: Promise<Arena>, work: (arena: Arena) => Promise<Section>): Promise<Section> {
  const open = await arena;
  try {
    return await work(open);
  } finally {
    await open.stop();
  }
}

function casesOf(bin: string, chosen: Options): Case[] {
  const number = (size: Size): number => Number(chosen[size]);
  const { servers } = chosen;
  const rounds = number('rounds');
  const withNull = servers.includes('null');
  const each = (name: string, work: (arena: Arena) => Promise<Section>, some = servers): Case[] => some.map((server) => ({ name, title: `${name}, ${server} server`, run: () => at(openArena(server, bin), work) }));
  const one = (name: string, run: () => Promise<Section>): Case => ({ name, title: name, run });
  const large = (arena: Arena): Promise<Section> => compareBulk(bin, arena, number('gib') / (arena.name === 'null' ? 1 : 4), rounds);
  return [
    ...each('small', (arena) => compareSmall(bin, arena, number(arena.name === 'null' ? 'objects' : 'served'), rounds)),
    ...(withNull ? [{ name: 'small', title: 'small, beside aws', run: () => at(nullArena(), (arena) => compareAws(bin, arena, number('served'))) }] : []),
    ...each('bulk', large, servers.filter((server) => LARGE.includes(server))),
    ...(withNull ? [{ name: 'bulk', title: 'bulk, null server over TLS', run: () => inScratch((dir) => at(nullArena(dir), large)) }] : []),
    one('requests', () => requestsSection(bin, number('objects'))),
    one('listing', () => at(nullArena(), (arena) => compareListing(bin, arena, number('keys'), rounds))),
    one('bisection', () => listingSection(bin, { ...USUAL, keys: number('listed') })),
    one('scale', () => scaleSection(bin, number('keys'), number('large'), chosen.scale)),
    one('throttle', () => throttleCase(bin, chosen.limits.split(',').map(Number), number('seconds'))),
    one('workers', () => workersSection(bin, number('small'), number('spread'))),
    one('ledger', () => ledgerSection(number('ledger'))),
    one('resume', () => resumeSection(bin, number('resumed'), rounds)),
    one('kills', () => killsSection(number('kills'), number('killed'))),
  ];
}

function options(): Options {
  const text = { type: 'string' } as const;
  const sizes = Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, text])) as Record<Size, typeof text>;
  const { values } = parseArgs({ options: { ...sizes, case: { type: 'string', default: 'all' }, servers: { type: 'string' }, quick: { type: 'boolean', default: false }, write: { type: 'boolean', default: false } } });
  const { case: cases, quick, servers = quick ? 'null' : 'null,versitygw', write, ...given } = values;
  const unknown = servers.split(',').find((name) => !ARENAS.includes(name));
  if (unknown !== undefined) throw new Error(`no server "${unknown}"; there are ${ARENAS.join(', ')}`);
  return { ...(quick ? QUICK : DEFAULTS), ...given, cases: cases.split(','), servers: servers.split(','), write };
}

/** One that fails costs its own figures only, not those of half an hour before it. */
async function tried({ title, run }: Case): Promise<Section> {
  const started = performance.now();
  try {
    return await run();
  } catch (error) {
    process.exitCode = 1;
    const said = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${title} failed: ${error instanceof Error ? error.stack : said}\n`);
    return { title, text: `Failed: ${said.split('\n', 1)[0]}`, losses: [`- ${title}: the case failed.`], commands: [], reached: [] };
  } finally {
    process.stderr.write(`${title}: ${((performance.now() - started) / 1000).toFixed(0)} s in all\n`);
  }
}

function wanted(all: readonly Case[], names: readonly string[]): readonly Case[] {
  const unknown = names.find((name) => name !== 'all' && !all.some((one) => one.name === name));
  if (unknown !== undefined) throw new Error(`no case "${unknown}"; there are ${[...new Set(all.map(({ name }) => name))].join(', ')}`);
  return all.filter(({ name }) => names.includes('all') || names.includes(name));
}

await inScratch(async (dir) => {
  const started = performance.now();
  const chosen = options();
  const bin = buildProduct(join(dir, 'product'));
  const versions = [...[brigade(bin, 'brigade'), ...peers(), floor()].map((subject) => subject.version()), ...chosen.servers.flatMap(versionOf)];
  const sections: Section[] = [];
  for (const one of wanted(casesOf(bin, chosen), chosen.cases)) sections.push(await tried(one));
  const minutes = (performance.now() - started) / 60_000;
  process.stdout.write(`${writePage({ sections, versions, flags: process.argv.slice(2).join(' '), minutes }, chosen.write)}\n`);
});
