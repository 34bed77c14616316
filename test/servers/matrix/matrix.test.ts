/**
 * Every ordered pair of {file system, real S3 servers}: 3,000 objects with awkward names, edge sizes, metadata and tags, moved by the real
 * program and judged by boto3 and rclone. Thresholds are lowered so that every way of copying is taken. What a destination cannot hold must be
 * reported, must not stand there, and must be what the destination refused to boto3, too. What attributes it loses must be reported object by object.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { binaries, type Server, serverKinds } from '../harness/index.ts';

const run = promisify(execFile);
const here = fileURLToPath(new URL('.', import.meta.url));
const bin = fileURLToPath(new URL('../../../bin/brigade.cjs', import.meta.url));
const OBJECTS = Number(process.env['BRIGADE_MATRIX_OBJECTS'] ?? 3000);
const work = mkdtempSync(join(tmpdir(), 'brigade-matrix-'));
const servers = new Map<string, Server>();
/** MinIO has the conformance suite; a fifth end would cost nine pairs more. */
const kinds = serverKinds().filter(({ name }) => name !== 'minio' || process.env['BRIGADE_TEST_ONLY'] === 'minio');
const ends = ['file', ...kinds.map(({ name }) => name)];
const only = process.env['BRIGADE_MATRIX_PAIR']?.split('-');

interface Verdict { readonly source: number; readonly destination: number; readonly excused: number; readonly dressed: number; readonly wrong: readonly unknown[]; readonly wrong_count: number; readonly open_uploads: readonly string[] }
/** What boto3 could not store at one end, and the key that its listing garbles. */
interface Seeded { readonly refused: Readonly<Record<string, string>>; readonly lossy: Readonly<Record<string, string>> }
interface Row { readonly key: string; readonly state: string; readonly code?: string; readonly lost?: readonly string[] }

const seeded = new Map<string, Seeded>();

/** Credentials of one server for clients that read AWS_… */
function judgeEnv(server: Server | undefined): NodeJS.ProcessEnv {
  if (server === undefined) return process.env;
  return { ...process.env, AWS_ACCESS_KEY_ID: server.accessKeyId, AWS_SECRET_ACCESS_KEY: server.secretAccessKey, AWS_DEFAULT_REGION: server.region, AWS_EC2_METADATA_DISABLED: 'true' };
}

/** All servers are started with the same keys, or the judge could not look at two of them in one process. */
function sameKeys(): void {
  const keys = new Set([...servers.values()].map(({ accessKeyId, secretAccessKey }) => `${accessKeyId}:${secretAccessKey}`));
  assert.equal(keys.size <= 1, true, 'servers of the harness have different keys');
}

async function python(script: string, args: readonly string[], server: Server | undefined, input?: string): Promise<string> {
  const child = spawn(binaries().python, [join(here, script), ...args], { env: judgeEnv(server), stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(input ?? '');
  let out = '';
  for await (const chunk of child.stdout) out += String(chunk);
  return out;
}

function place(end: string, bucket: string): string {
  const server = servers.get(end);
  if (server === undefined) return `{ path: ${JSON.stringify(join(work, bucket))} }`;
  return `{ url: "s3://${bucket}", endpoint: "${server.endpoint}", region: ${server.region}, credentials: "env:MATRIX" }`;
}

function spec(end: string, bucket: string): Record<string, string> {
  const server = servers.get(end);
  return server === undefined ? { file: join(work, bucket) } : { s3: server.endpoint, bucket, kind: end };
}

async function brigade(args: readonly string[], server: Server | undefined): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, MATRIX_ACCESS_KEY_ID: server?.accessKeyId ?? '', MATRIX_SECRET_ACCESS_KEY: server?.secretAccessKey ?? '' };
  return run(process.execPath, [bin, ...args], { env, cwd: work, maxBuffer: 1 << 28 }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({ code: error.code, stdout: error.stdout, stderr: error.stderr }),
  );
}

async function rowsOf(name: string, server: Server | undefined): Promise<readonly Row[]> {
  const { stdout, code, stderr } = await brigade(['objects', name, '-o', 'ndjson'], server);
  assert.equal(code, 0, stderr);
  return stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line) as Row);
}

function codesOf(rows: readonly Row[], state: string): Record<string, string> {
  return Object.fromEntries(rows.filter((row) => row.state === state).map(({ key, code = '' }) => [key, code]));
}

/** What a destination may answer with: it cannot hold the name, and said so before a byte moved. Or the source: it cannot list it. */
const NAME_CODES = /^E_(NAME_|KEY_|DIR_MARKER|LIST_LOSSY)/;

before(async () => {
  await Promise.all(kinds.map(async (kind) => servers.set(kind.name, await kind.start())));
  sameKeys();
  mkdirSync(join(work, 'source-file'));
  await Promise.all(ends.map((end) => {
    const server = servers.get(end);
    return python('seed.py', server === undefined ? ['file', join(work, 'source-file'), String(OBJECTS)] : ['s3', server.endpoint, `source-${end}`, String(OBJECTS)], server)
      .then((out) => seeded.set(end, JSON.parse(out) as Seeded));
  }));
}, { timeout: 600_000 });

after(async () => {
  await Promise.all([...servers.values()].map((server) => server.stop()));
  rmSync(work, { recursive: true, force: true });
});

describe(`${OBJECTS} objects`, () => {
  for (const source of ends) for (const destination of ends) if (only === undefined || (only[0] === source && only[1] === destination)) testPair(source, destination);
});

function testPair(source: string, destination: string): void {
  test(`${source} → ${destination}`, { timeout: 600_000 }, async (t) => {
    const [name, bucket] = [`${source}-to-${destination}`, `to-${destination}-from-${source}`];
    const server = servers.get(source) ?? servers.get(destination);
    writeFileSync(join(work, `${name}.yml`), [
      `name: ${name}`, `source: ${place(source, `source-${source}`)}`, `destination: ${place(destination, bucket)}`, `create_bucket: ${destination !== 'file'}`,
      'transfer: { multipart_threshold: 5MiB, part_size: 5MiB, single_copy_limit: 16MiB }', 'batch: { objects: 200 }', 'verify: checksum', '',
    ].join('\n'));
    const took: string[] = [];
    const timed = async <T>(what: string, work: Promise<T>): Promise<T> => {
      const started = performance.now();
      const result = await work;
      took.push(`${what} ${((performance.now() - started) / 1000).toFixed(1)} s`);
      return result;
    };
    const ran = await timed('run', brigade(['run', `${name}.yml`, '--progress', 'none'], server));
    assert.ok(ran.code === 0 || ran.code === 1, `${ran.stdout}\n${ran.stderr}`);
    const rows = await rowsOf(name, server);
    const [failed, skipped] = [codesOf(rows, 'failed'), codesOf(rows, 'skipped')];
    assert.equal(ran.code, Object.keys(failed).length > 0 ? 1 : 0, `${ran.stdout}\n${ran.stderr}`);
    for (const [key, code] of Object.entries(failed)) assert.match(code, NAME_CODES, `${JSON.stringify(key)} failed with ${code}`);
    assert.deepEqual(Object.keys(failed).filter((key) => failed[key] === 'E_LIST_LOSSY'), Object.keys(seeded.get(source)?.lossy ?? {}), 'what the source cannot list');
    const lost = Object.fromEntries(rows.filter((row) => row.lost !== undefined).map((row) => [row.key, row.lost ?? []]));
    await reportCounts(name, server, Object.values(lost).flat());
    const judged = JSON.parse(await timed('boto3', python('compare.py', [], server, JSON.stringify({
      source: spec(source, `source-${source}`), destination: spec(destination, bucket), failed, skipped, lost, refusable: seeded.get(destination)?.refused, cache: join(work, `digests-${source}.json`),
    })))) as Verdict;
    assert.deepEqual([judged.wrong, judged.wrong_count, judged.open_uploads], [[], 0, []]);
    await timed('rclone', rcloneAgrees(source, destination, bucket));
    const again = await timed('again', brigade(['run', `${name}.yml`, '--progress', 'none', '-o', 'json'], server));
    assert.match(again.stdout, /"copied":\s*\{\s*"objects":\s*0\b/, 'a second run copies nothing');
    if (!servers.has(destination)) rmSync(join(work, bucket), { recursive: true });
    t.diagnostic(`${judged.source} listed, ${judged.destination} at the destination, ${judged.excused} reported: ${[...new Set(Object.values({ ...failed, ...skipped }))].join(', ')}; attributes of ${judged.dressed} compared, lost of ${Object.keys(lost).length}; ${took.join(', ')}`);
  });
}

/** The report adds up to the objects' own rows (I12). */
async function reportCounts(name: string, server: Server | undefined, lost: readonly string[]): Promise<void> {
  const { stdout } = await brigade(['report', name, '-o', 'json'], server);
  const { totals } = JSON.parse(stdout) as { totals: { lost: Readonly<Record<string, number>> } };
  const counted = Object.fromEntries(Object.entries(totals.lost).filter(([, count]) => count > 0));
  const expected: Record<string, number> = {};
  for (const attribute of lost) expected[attribute] = (expected[attribute] ?? 0) + 1;
  assert.deepEqual(counted, expected, 'attributes that the report counts as lost');
}

/** rclone cannot address awkward keys, so it judges the plain ones: every byte of both ends. */
async function rcloneAgrees(source: string, destination: string, bucket: string): Promise<void> {
  const remote = (end: string, name: string): string => {
    const server = servers.get(end);
    if (server === undefined) return join(work, name);
    return `:s3,provider=Other,endpoint="${server.endpoint}",access_key_id="${server.accessKeyId}",secret_access_key="${server.secretAccessKey}",region="${server.region}",force_path_style=true,list_version=2:${name}`;
  };
  for (const folder of ['sizes', 'many']) {
    await run(binaries().rclone, ['--config', '/dev/null', 'check', '--download', `${remote(source, `source-${source}`)}/${folder}`, `${remote(destination, bucket)}/${folder}`], { maxBuffer: 1 << 26 });
  }
}
