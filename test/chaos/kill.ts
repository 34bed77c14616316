// node test/chaos/kill.ts --kills 250 [--pair fs-versitygw|radosgw-fs|fs-radosgw|fs-fs] [--objects 3000] [--large 512MiB] [--seed N] [--no-reader]
//
// Runs a migration by the real command line and kills -9 its coordinator or an executor at random instants, over as many fresh rounds as
// it takes to spend all kills. After each round the oracle (oracle.py) recomputes from raw storage what stands where. Prints one line of
// figures; exits 1 on any violation, naming the seed.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { parseSize } from '../../src/config/units.ts';
import { MiB } from '../../src/core/units.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { startFaultProxy, type FaultProxy } from '../../src/faults/proxy.ts';
import type { Facts } from '../../src/faults/rules.ts';
import { startRadosgw, startVersitygw, type Server } from '../servers/harness/index.ts';
import { bucketAt, type Looks, makeBucket, type Manifest, type Place, reconcile, seedSource, startReader, type Verdict, violations } from './judge.ts';
import { Killer, type Kills, noKills, total } from './killer.ts';
import { claimOf, type Claim, logTail, type Migration, writeMigration } from './product.ts';

export type Pair = 'fs-versitygw' | 'radosgw-fs' | 'fs-radosgw' | 'fs-fs';

export interface KillOptions {
  readonly pair: Pair;
  readonly kills: number;
  readonly objects: number;
  /** Size of the one large object, bytes. */
  readonly large: number;
  readonly seed: number;
  readonly reader?: boolean;
  readonly log?: (line: string) => void;
}

export interface KillResult {
  readonly kills: Kills;
  readonly rounds: number;
  readonly objects: number;
  readonly looks: Looks;
  /** Part requests beyond those needed: UploadPart at a bucket, ranged reads of the large object from one. */
  readonly partsRedone: number;
  readonly extraVersions: number;
  readonly canariesLeft: number;
  readonly seconds: number;
  readonly violations: readonly string[];
}

const PART = 8 * MiB;
/** Parts of one object in flight; only one executor holds it at a time. */
const LANES = 4;
/** Slow enough that a round takes a good number of kills, fast enough that four parts end between two of them. */
const BANDWIDTH = '60 MiB/s';
/** Kills per round at most: after these it may end in peace, is judged, and the next round begins. */
const PER_ROUND = { least: 12, most: 30 };
const PACE = { leastMs: 50, mostMs: 1500 };
const LARGE_KEY = 'a-large.bin';

interface Ground {
  readonly dir: string;
  readonly server?: Server;
  readonly source: Place;
  readonly manifest: Manifest;
}

async function prepare({ pair, seed, objects, large }: KillOptions, dir: string): Promise<Ground> {
  const spec = { seed, objects, large };
  if (pair === 'radosgw-fs') {
    const server = await startRadosgw();
    const source = bucketAt(server, 'source', true);
    return { dir, server, source, manifest: await seedSource(source, spec) };
  }
  const source: Place = { kind: 'folder', path: join(dir, 'source') };
  const manifest = await seedSource(source, spec);
  return { dir, source, manifest };
}

interface Round {
  readonly migration: Migration;
  readonly destination: Place;
  readonly proxy?: FaultProxy;
  /** Grows while bytes move. */
  moved(): number;
  close(): Promise<void>;
}

const isPart = ({ operation, key, headers }: Facts): boolean =>
  operation === 'UploadPart' || (operation === 'GetObject' && key === LARGE_KEY && headers['range'] !== undefined);

const isData = ({ operation, key }: Facts): boolean => ['UploadPart', 'PutObject', 'GetObject'].includes(operation) && !key.startsWith('.brigade/');

/** Counts; a rule of the kind latency lets the others see the request too. */
const countingProxy = (target: string): Promise<FaultProxy> => startFaultProxy({
  target,
  rules: [{ name: 'parts', match: { where: isPart }, fault: { kind: 'latency', ms: 0 } }, { name: 'data', match: { where: isData }, fault: { kind: 'latency', ms: 0 } }],
});

/** Enough to see that something moves. */
const namesBelow = (root: string): number => readdirSync(root, { recursive: true }).length;

/** A fresh destination and a fresh state folder. */
async function beginRound({ pair }: KillOptions, ground: Ground, number: number): Promise<Round> {
  const dir = join(ground.dir, `round-${number}`);
  mkdirSync(dir);
  const toBucket = pair === 'fs-versitygw' || pair === 'fs-radosgw';
  const own = pair === 'fs-versitygw' ? await startVersitygw({ versioning: true }) : pair === 'fs-radosgw' ? await startRadosgw() : undefined;
  const destination: Place = own === undefined ? { kind: 'folder', path: join(dir, 'destination') } : bucketAt(own, 'destination', true);
  if (own === undefined) mkdirSync(join(dir, 'destination'));
  else await makeBucket(destination);
  const target = (own ?? ground.server)?.endpoint;
  const proxy = target === undefined ? undefined : await countingProxy(target);
  const migration = writeMigration({
    dir, name: 'chaos', source: ground.source, destination, ...(toBucket ? { destinationEndpoint: proxy?.url } : { sourceEndpoint: proxy?.url }),
    options: { limits: { bandwidth: BANDWIDTH }, transfer: { part_size: PART, part_concurrency: LANES }, batch: { objects: 200 } },
  });
  const close = async (): Promise<void> => {
    await proxy?.close();
    await own?.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  const moved = (): number => (proxy === undefined ? namesBelow(join(dir, 'destination')) : proxy.counter('data').seen);
  return { migration, destination, ...(proxy === undefined ? {} : { proxy }), moved, close };
}

const NO_LOOKS: Looks = { looks: 0, absent: 0, whole: 0, large_whole: 0, unreachable: 0, wrong: [] };

interface Judged {
  readonly verdict: Verdict;
  readonly claim: Claim;
  readonly looks: Looks;
  readonly partsRedone: number;
}

async function playRound(options: KillOptions, ground: Ground, round: Round, seed: number, most: number, kills: Kills): Promise<Judged> {
  const versions = Object.fromEntries(Object.entries(ground.manifest).map(([key, one]) => [key, [one]]));
  const reader = options.reader === false ? undefined : startReader(round.destination, versions, ground.dir);
  let exit: number | null;
  let looks = NO_LOOKS;
  try {
    exit = await new Killer(round.migration, { seed, pace: PACE, kills, moved: round.moved }).run(most);
  } finally {
    looks = await reader?.stop() ?? NO_LOOKS;
  }
  const needed = Math.ceil(options.large / PART);
  const partsRedone = round.proxy === undefined ? 0 : Math.max(0, round.proxy.counter('parts').seen - needed);
  if (exit !== 0) throw new Error(`the run ended with ${exit}\n${logTail(round.migration)}`);
  const claim = await claimOf(round.migration);
  return { verdict: await reconcile(ground.source, round.destination, claim.states, ground.dir), claim, looks, partsRedone };
}

/** Everything that a round holds against the product. */
function judge(options: KillOptions, { verdict, claim, looks, partsRedone }: Judged, killsOfRound: number, large: boolean): string[] {
  const { tally } = claim;
  const found = violations(verdict);
  if (!claim.finished || tally.pending.objects > 0 || tally.failed.objects > 0) found.push(`the ledger says finished=${claim.finished}, ${tally.pending.objects} pending, ${tally.failed.objects} failed`);
  if (tally.listed.objects !== verdict.source.objects) found.push(`the ledger lists ${tally.listed.objects} of ${verdict.source.objects}`);
  if (options.pair === 'fs-versitygw' && verdict.versions.extra > 0) found.push(`${verdict.versions.extra} extra versions where writes are conditional: ${verdict.versions.first.slice(0, 5).join(', ')}`);
  if (verdict.versions.markers > 0) found.push(`${verdict.versions.markers} delete markers on destination keys`);
  if (large && partsRedone > killsOfRound * LANES) found.push(`${partsRedone} parts redone by ${killsOfRound} kills of ${LANES} lanes`);
  for (const { key, found: seen } of looks.wrong) found.push(`the reader saw ${seen[0]} bytes ${seen[1].slice(0, 12)} as ${key}`);
  return found;
}

const sumLooks = (a: Looks, b: Looks): Looks => ({
  looks: a.looks + b.looks, absent: a.absent + b.absent, whole: a.whole + b.whole, large_whole: a.large_whole + b.large_whole,
  unreachable: a.unreachable + b.unreachable, wrong: [...a.wrong, ...b.wrong],
});

/** Spends all kills; resolves with the figures and what went wrong. */
export async function killLoop(options: KillOptions): Promise<KillResult> {
  const started = performance.now();
  const dir = mkdtempSync(join(tmpdir(), 'brigade-chaos-'));
  const random = seededRandom(options.seed);
  const kills = noKills();
  const found: string[] = [];
  let result = { rounds: 0, objects: 0, looks: NO_LOOKS, partsRedone: 0, extraVersions: 0, canariesLeft: 0 };
  const ground = await prepare(options, dir);
  try {
    while (total(kills) < options.kills) {
      const number = result.rounds + 1;
      const most = Math.min(options.kills - total(kills), PER_ROUND.least + Math.floor(random.next() * (PER_ROUND.most - PER_ROUND.least)));
      const before = total(kills);
      const round = await beginRound(options, ground, number);
      try {
        const judged = await playRound(options, ground, round, Math.floor(random.next() * 2 ** 31), most, kills).catch((error: unknown) => error as Error);
        if (judged instanceof Error) {
          found.push(`round ${number}: ${judged.message}`);
          options.log?.(`round ${number}: ${judged.message}`);
          result = { ...result, rounds: number };
          if (total(kills) === before) break;
          continue;
        }
        const wrong = judge(options, judged, total(kills) - before, round.proxy !== undefined);
        found.push(...wrong.map((line) => `round ${number}: ${line}`));
        if (wrong.length > 0) options.log?.(logTail(round.migration));
        const { verdict } = judged;
        result = {
          rounds: number, objects: result.objects + verdict.source.objects, looks: sumLooks(result.looks, judged.looks), partsRedone: result.partsRedone + judged.partsRedone,
          extraVersions: result.extraVersions + verdict.versions.extra, canariesLeft: result.canariesLeft + verdict.canaries.count,
        };
        options.log?.(`round ${number}: ${total(kills) - before} kills, ${judged.claim.resumes} resumes, ${round.proxy?.counter('parts').seen ?? 0} part requests, ${judged.partsRedone} redone, ${wrong.length === 0 ? 'ok' : wrong.join('; ')}`);
      } finally {
        await round.close();
      }
    }
  } finally {
    await ground.server?.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  return { ...result, kills, seconds: (performance.now() - started) / 1000, violations: found };
}

/** One line of figures. */
export function summary({ pair, seed }: KillOptions, { kills, rounds, objects, looks, partsRedone, extraVersions, canariesLeft, seconds, violations: found }: KillResult): string {
  const mean = Math.round(kills.spanMs / Math.max(1, total(kills)));
  return [
    `kill ${pair} seed ${seed}: ${total(kills)} kills (${kills.coordinator} coordinator, ${kills.executor} executor; ${kills.atWork} while bytes moved; every ${mean} ms) in ${rounds} rounds`,
    `${objects} objects`, `${found.length} violations`, `${partsRedone} parts redone`, `${extraVersions} extra versions`,
    `reader ${looks.looks} looks (${looks.whole} whole, ${looks.large_whole} of the large object, ${looks.absent} absent, ${looks.wrong.length} wrong)`,
    `${canariesLeft} canaries left`, `${seconds.toFixed(0)} s`,
  ].join(', ');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      pair: { type: 'string', multiple: true, default: ['fs-versitygw', 'radosgw-fs'] }, kills: { type: 'string', default: '20' }, objects: { type: 'string', default: '3000' },
      large: { type: 'string', default: '512MiB' }, seed: { type: 'string', default: String(Date.now() % 1_000_000) }, 'no-reader': { type: 'boolean', default: false },
    },
  });
  for (const pair of values.pair as Pair[]) {
    const options: KillOptions = {
      pair, kills: Number(values.kills), objects: Number(values.objects), large: parseSize(values.large), seed: Number(values.seed), reader: !values['no-reader'],
      log: (line) => console.log(line),
    };
    const result = await killLoop(options);
    console.log(summary(options, result));
    for (const line of result.violations) console.log(`  ${line}`);
    if (result.violations.length > 0) process.exitCode = 1;
  }
}

if (import.meta.main) await main();
