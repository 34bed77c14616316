// node test/chaos/torn.ts [--tries 200] [--from fs|versitygw] [--seed N]
//
// Overwrites the source of an object while it is being copied, again and again, and looks what arrived: each destination object must be one
// whole version (I6). Files are overwritten in place, with their size and in half the cases their modification time as before, replaced,
// or cut to nothing and written again; objects are put anew under the same key. A proxy tells when a copy is under way: at its first part
// or body byte. A file that is cut and written again is for moments an empty or short file, and as such may be what a copy finds; that is
// counted apart. In the end the writers rest, and a second run must bring the last version of everything.
import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { MiB } from '../../src/core/units.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { startFaultProxy, type FaultProxy } from '../../src/faults/proxy.ts';
import type { Facts } from '../../src/faults/rules.ts';
import { startVersitygw, type Server } from '../servers/harness/index.ts';
import { bucketAt, makeBucket, type Place } from './judge.ts';
import { claimOf, logTail, type Migration, runToEnd, writeMigration } from './product.ts';

export interface TornOptions {
  readonly from: 'fs' | 'versitygw';
  /** Overwrites wanted that ended while the object was still being copied. */
  readonly tries: number;
  readonly seed: number;
}

export interface TornResult {
  readonly during: number;
  /** Overwrites that came when the copy was already done. */
  readonly late: number;
  readonly objects: number;
  readonly torn: readonly string[];
  /** Objects copied as their writer had left them for a moment: the beginning of one version, nothing else. */
  readonly halfWritten: number;
  /** Destination objects by what they hold. */
  readonly first: number;
  readonly later: number;
  /** Objects that changed too often and say so. */
  readonly changed: number;
  readonly violations: readonly string[];
}

const PART = 5 * MiB;
const MTIME = 1_700_000_000;
const ROUND = 60;

/** Content that names its version in every 64 bytes: a mixture is no version. */
function contentOf(key: string, version: number, size: number): Buffer {
  const line = `${key} version ${version} `.padEnd(63, '.') + '\n';
  return Buffer.alloc(size, line);
}

const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Runs of lines of one version, as `2×1000 3×500`: what a torn object is made of. */
export function anatomy(bytes: Buffer): string {
  const runs: { what: string; lines: number }[] = [];
  for (let at = 0; at < bytes.length; at += 64) {
    const what = / version (\d+) /.exec(bytes.toString('latin1', at, at + 64))?.[1] ?? '?';
    const last = runs.at(-1);
    if (last?.what === what) last.lines++;
    else runs.push({ what, lines: 1 });
  }
  return `${bytes.length} bytes, version×lines ${runs.slice(0, 8).map(({ what, lines }) => `${what}×${lines}`).join(' ')}`;
}

/** Objects, and hashes of all versions that were ever whole, in order. */
class Versions {
  readonly #hashes = new Map<string, string[]>();
  readonly #sizes = new Map<string, number>();

  add(key: string, bytes: Buffer): void {
    this.#hashes.set(key, [...(this.#hashes.get(key) ?? []), hashOf(bytes)]);
    this.#sizes.set(key, bytes.length);
  }

  size(key: string): number {
    return this.#sizes.get(key) ?? 0;
  }

  count(key: string): number {
    return this.#hashes.get(key)?.length ?? 0;
  }

  /** Which version these bytes are, from 0; -1: none. */
  which(key: string, bytes: Buffer): number {
    return this.#hashes.get(key)?.indexOf(hashOf(bytes)) ?? -1;
  }

  /** Whether these bytes are the last version. */
  isLast(key: string, bytes: Buffer | undefined): boolean {
    return bytes !== undefined && this.#hashes.get(key)?.at(-1) === hashOf(bytes);
  }

  /** Whether these bytes are the beginning of one version. */
  begins(key: string, bytes: Buffer): boolean {
    return this.#hashes.get(key)?.some((_, version) => contentOf(key, version, bytes.length).equals(bytes)) === true;
  }

  get keys(): string[] {
    return [...this.#hashes.keys()];
  }
}

/** Changes one source object to its next version; resolves when it is whole. */
type Overwrite = (key: string, bytes: Buffer, way: number) => Promise<void>;

/** Four ways to change a file; the first two keep its size and, one of them, its modification time. */
function overwriteFile(root: string): Overwrite {
  return async (key, bytes, way) => {
    const path = join(root, key);
    if (way === 2) {
      writeFileSync(`${path}.new`, bytes);
      renameSync(`${path}.new`, path);
      return;
    }
    const fd = openSync(path, way === 3 ? 'w' : 'r+');
    writeSync(fd, bytes);
    closeSync(fd);
    if (way === 0) utimesSync(path, MTIME, MTIME);
  };
}

function overwriteObject(server: Server, bucket: string): Overwrite {
  const client = new S3Client({ endpoint: server.endpoint, region: server.region, forcePathStyle: true, credentials: server });
  return async (key, bytes) => {
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
  };
}

interface Scene {
  readonly source: Place;
  readonly destination: Place;
  /** Folder in which the destination's objects lie as plain files. */
  readonly landed: string;
  readonly overwrite: Overwrite;
}

async function stage(options: TornOptions, server: Server, dir: string, round: number): Promise<Scene> {
  const bucket = bucketAt(server, `torn-${round}`);
  const folder: Place = { kind: 'folder', path: join(dir, 'folder') };
  mkdirSync(folder.path, { recursive: true });
  await makeBucket(bucket);
  const inServer = join(server.directory, 'data', `torn-${round}`);
  return options.from === 'fs'
    ? { source: folder, destination: bucket, landed: inServer, overwrite: overwriteFile(folder.path) }
    : { source: bucket, destination: folder, landed: folder.path, overwrite: overwriteObject(server, `torn-${round}`) };
}

/** Overwrites each object when its copy is seen to begin, some a second time. */
class Mutator {
  during = 0;
  late = 0;
  readonly #scene: Scene;
  readonly #versions: Versions;
  readonly #random: ReturnType<typeof seededRandom>;
  readonly #seen = new Map<string, number>();
  readonly #truncated = new Set<string>();
  #resting = false;
  readonly #done = new Set<string>();
  readonly #working = new Set<Promise<void>>();

  constructor(scene: Scene, versions: Versions, seed: number) {
    this.#scene = scene;
    this.#versions = versions;
    this.#random = seededRandom(seed);
  }

  /** Told of each request as it passes the proxy. */
  watch({ operation, key, method }: Facts): boolean {
    if (this.#resting || this.#versions.count(key) === 0) return false;
    if (operation === 'CompleteMultipartUpload') this.#done.add(key);
    else if ((operation === 'UploadPart' || operation === 'PutObject' || operation === 'GetObject') && method !== 'HEAD') this.#saw(key);
    return false;
  }

  /** Whether its writer ever cut it to nothing. */
  truncated(key: string): boolean {
    return this.#truncated.has(key);
  }

  /** No more overwriting. */
  rest(): void {
    this.#resting = true;
  }

  async settled(): Promise<void> {
    await Promise.all(this.#working);
  }

  /** The first request of a copy, and for one object in three the fourth too: by then the product may be reading the second version. */
  #saw(key: string): void {
    const count = (this.#seen.get(key) ?? 0) + 1;
    this.#seen.set(key, count);
    if (count !== 1 && !(count === 4 && this.#random.next() < 0.33)) return;
    const work = this.#change(key).finally(() => this.#working.delete(work));
    this.#working.add(work);
  }

  async #change(key: string): Promise<void> {
    const way = Math.floor(this.#random.next() * 4);
    if (way === 3 && this.#scene.source.kind === 'folder') this.#truncated.add(key);
    const size = this.#versions.size(key) + (way === 3 ? Math.floor((this.#random.next() - 0.5) * MiB) : 0);
    const bytes = contentOf(key, this.#versions.count(key), size);
    this.#versions.add(key, bytes);
    await this.#scene.overwrite(key, bytes, way);
    if (this.#done.has(key) || (this.#scene.destination.kind === 'folder' && existsSync(join(this.#scene.landed, key)))) this.late++;
    else this.during++;
  }
}

/** Half of the objects go in parts, half in one stream. */
const sizeOf = (index: number): number => (index % 2 === 0 ? 10 * MiB + 12_345 : 9 * MiB + 4_321);

async function fill(scene: Scene, options: TornOptions, versions: Versions, objects: number): Promise<void> {
  for (let i = 0; i < objects; i++) {
    const key = `dir-${i % 3}/object-${i}`;
    const bytes = contentOf(key, 0, sizeOf(i));
    versions.add(key, bytes);
    if (options.from === 'versitygw') await scene.overwrite(key, bytes, 0);
    else {
      const path = join((scene.source as { path: string }).path, key);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, bytes);
      utimesSync(path, MTIME, MTIME);
    }
  }
}

/** Every file that landed, by key; the temporaries of servers are not ours to judge. */
function landedFiles(root: string): Map<string, Buffer> {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(files.map((path): [string, Buffer] => [relative(root, path), readFileSync(path)]));
}

async function playRound(options: TornOptions, server: Server, dir: string, round: number, objects: number): Promise<TornResult> {
  const scene = await stage(options, server, dir, round);
  const versions = new Versions();
  await fill(scene, options, versions, objects);
  const mutator = new Mutator(scene, versions, options.seed + round);
  const proxy: FaultProxy = await startFaultProxy({
    target: server.endpoint, rules: [{ name: 'watch', match: { where: (facts) => mutator.watch(facts) }, fault: { kind: 'latency', ms: 0 } }],
  });
  const migration = writeMigration({
    dir, name: `torn-${round}`, source: scene.source, destination: scene.destination, sourceEndpoint: proxy.url, destinationEndpoint: proxy.url,
    options: { transfer: { part_size: PART, part_concurrency: 1, multipart_threshold: 10 * MiB }, limits: { concurrency: 8 } },
  });
  try {
    const { code } = await runToEnd(migration, 240_000);
    await mutator.settled();
    const { states } = await claimOf(migration);
    const found = verdict({ versions, landed: landedFiles(scene.landed), states, mutator, code, tail: logTail(migration) });
    return { ...found, violations: [...found.violations, ...(await atRest(migration, scene, versions, mutator))] };
  } finally {
    await proxy.close();
  }
}

/** With the writers at rest a second run brings the last version of everything. */
async function atRest(migration: Migration, scene: Scene, versions: Versions, mutator: Mutator): Promise<string[]> {
  mutator.rest();
  const { code } = await runToEnd(migration, 240_000);
  const landed = landedFiles(scene.landed);
  const old = versions.keys.filter((key) => !versions.isLast(key, landed.get(key)));
  return [...(code === 0 ? [] : [`the second run ended with ${code}\n${logTail(migration)}`]), ...old.map((key) => `${key} is not the last version after the second run`)];
}

interface Evidence {
  readonly versions: Versions;
  readonly landed: ReadonlyMap<string, Buffer>;
  readonly states: Readonly<Record<string, string>>;
  readonly mutator: Mutator;
  readonly code: number | null;
  readonly tail: string;
}

function verdict({ versions, landed, states, mutator, code, tail }: Evidence): TornResult {
  const found = versions.keys.map((key) => ({ key, bytes: landed.get(key), state: states[key] ?? 'unlisted' }));
  const odd = found.flatMap(({ key, bytes }) => (bytes === undefined || versions.which(key, bytes) >= 0 ? [] : [{ key, bytes }]));
  const halfWritten = odd.filter(({ key, bytes }) => mutator.truncated(key) && versions.begins(key, bytes)).length;
  const torn = odd.filter(({ key, bytes }) => !mutator.truncated(key) || !versions.begins(key, bytes)).map(({ key, bytes }) => `${key} (${anatomy(bytes)})`);
  const failed = found.filter(({ state }) => state === 'failed').map(({ key }) => key);
  const missing = found.filter(({ bytes, state }) => bytes === undefined && state !== 'failed').map(({ key }) => key);
  const violations = [
    ...torn.map((key) => `${key} is torn`), ...missing.map((key) => `${key} is missing`),
    ...(code === 0 || (code === 1 && failed.length > 0) ? [] : [`the run ended with ${code}\n${tail}`]),
  ];
  const whole = found.filter(({ key, bytes }) => bytes !== undefined && versions.which(key, bytes) >= 0);
  const first = whole.filter(({ key, bytes }) => versions.which(key, bytes as Buffer) === 0).length;
  return { during: mutator.during, late: mutator.late, objects: found.length, torn, halfWritten, first, later: whole.length - first, changed: failed.length, violations };
}

const sum = (a: TornResult, b: TornResult): TornResult => ({
  during: a.during + b.during, late: a.late + b.late, objects: a.objects + b.objects, torn: [...a.torn, ...b.torn], halfWritten: a.halfWritten + b.halfWritten, first: a.first + b.first,
  later: a.later + b.later, changed: a.changed + b.changed, violations: [...a.violations, ...b.violations],
});

/** As many rounds as it takes to catch `tries` copies in the act. */
export async function tearLoop(options: TornOptions): Promise<TornResult> {
  const server = await startVersitygw();
  let result: TornResult = { during: 0, late: 0, objects: 0, torn: [], halfWritten: 0, first: 0, later: 0, changed: 0, violations: [] };
  try {
    for (let round = 1; result.during < options.tries && round <= 20; round++) {
      const dir = mkdtempSync(join(tmpdir(), 'brigade-torn-'));
      try {
        result = sum(result, await playRound(options, server, dir, round, Math.min(ROUND, options.tries - result.during)));
      } finally {
        rmSync(dir, { recursive: true, force: true });
      }
    }
  } finally {
    await server.stop();
  }
  return result;
}

export const tornSummary = ({ from, seed }: TornOptions, { during, late, objects, torn, halfWritten, first, later, changed, violations }: TornResult): string =>
  `torn ${from} seed ${seed}: ${during} overwrites during the copy (${late} too late) of ${objects} objects: ${torn.length} torn, ${halfWritten} as their writer had half written them, ${first} first versions, ${later} later ones, ${changed} failed as changed, ${violations.length} violations`;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { tries: { type: 'string', default: '200' }, from: { type: 'string', multiple: true, default: ['fs', 'versitygw'] }, seed: { type: 'string', default: '1' } } });
  for (const from of values.from as TornOptions['from'][]) {
    const options = { from, tries: Number(values.tries), seed: Number(values.seed) };
    const result = await tearLoop(options);
    console.log(tornSummary(options, result));
    for (const line of result.violations) console.log(`  ${line}`);
    if (result.violations.length > 0) process.exitCode = 1;
  }
}

if (import.meta.main) await main();
