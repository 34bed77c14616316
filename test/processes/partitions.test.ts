/** A fleet without a broker, by the real command lines: its number of members changes twice in the middle of a run, and one member is killed. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, GetObjectCommand, paginateListObjectsV2, PutBucketVersioningCommand, ListObjectVersionsCommand, S3Client } from '@aws-sdk/client-s3';
import { startEndpoint } from '../../src/agent/endpoint.ts';
import { memoryLayout } from '../../src/agent/memory.ts';
import { tempFolder } from '../../src/cli/fixture.test.ts';

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts');
const OBJECTS = 3000;
const PATIENCE_MS = 300_000;
const KEY = { id: 'AKIATEST', secret: 'a secret' };
const textOf = (i: number): string => `${i} `.repeat(400 + i % 300);
const nameOf = (i: number): string => `d${i % 13}/file-${i}`;

interface Ran { readonly exit: number; readonly out: string; readonly err: string }
interface Running { readonly child: ChildProcess; readonly ended: Promise<number | null>; readonly said: () => string }

async function until(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !await done(); await sleep(100)) if (performance.now() > end) assert.fail(`waited too long for ${what}`);
}

async function site() {
  const endpoint = await startEndpoint({ storage: memoryLayout(), accessKeys: [KEY] });
  const client = new S3Client({ endpoint: endpoint.url, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: KEY.id, secretAccessKey: KEY.secret } });
  await client.send(new CreateBucketCommand({ Bucket: 'target' }));
  // Every write that is let through leaves a version.
  await client.send(new PutBucketVersioningCommand({ Bucket: 'target', VersioningConfiguration: { Status: 'Enabled' } }));
  const folder = tempFolder();
  for (let i = 0; i < OBJECTS; i++) folder.write(`from/${nameOf(i)}`, textOf(i));
  mkdirSync(join(folder.path, 'journals'));
  const file = folder.write('pair.yml', `name: pair\nsource: from\ndestination: { url: s3://target/, endpoint: "${endpoint.url}", region: us-east-1, credentials: "env:TO" }\nbatch: { objects: 20 }\nlimits: { bandwidth: 32 KiB/s }\n`);
  const env = { TO_ACCESS_KEY_ID: KEY.id, TO_SECRET_ACCESS_KEY: KEY.secret, BRIGADE_MESSAGE_KEY: 'k'.repeat(32), PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' };
  const all: Running[] = [];
  const start = (...args: readonly string[]): Running => {
    const child = spawn(process.execPath, [MAIN, ...args, '--journal', 'journals'], { cwd: folder.path, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => { said += String(chunk); if (process.env['SHOW_FLEET'] !== undefined) process.stderr.write(`${args.slice(0, 3).join(' ')}: ${chunk}`); });
    const one = { child, ended: new Promise<number | null>((resolve) => { child.once('exit', (code) => resolve(code)); }), said: () => said };
    all.push(one);
    return one;
  };
  const arrived = async (): Promise<number> => {
    let count = 0;
    for await (const { Contents } of paginateListObjectsV2({ client }, { Bucket: 'target', Prefix: 'd' })) count += Contents?.length ?? 0;
    return count;
  };
  return {
    client, arrived,
    uploads: (key: string): number => endpoint.stats.object('target', key).get('CreateMultipartUpload') ?? 0,
    stands: (name: string): boolean => existsSync(join(folder.path, 'journals', '_partitions', name)),
    coordinator: (members: number): Running => start('coordinator', file, '--queue', `partitions:${members}?lease=10s`, '--progress', 'none'),
    worker: (share: string): Running => start('worker', '--partition', share, '--drain', '5s'),
    brigade: (...args: readonly string[]): Promise<Ran> => new Promise((resolve) => {
      execFile(process.execPath, [MAIN, ...args], { cwd: folder.path, env, timeout: PATIENCE_MS, maxBuffer: 64 * 1024 * 1024 }, (error, out, err) => resolve({ exit: error === null ? 0 : Number(error.code ?? -1), out, err }));
    }),
    async [Symbol.asyncDispose]() {
      for (const { child } of all) child.kill('SIGTERM');
      await Promise.race([Promise.all(all.map(({ ended }) => ended)), sleep(20_000, undefined, { ref: false })]);
      for (const { child } of all) child.kill('SIGKILL');
      client.destroy();
      await endpoint.close();
      folder[Symbol.dispose]();
    },
  };
}

/** Versions of each object, as an independent client is told. */
async function versions(client: S3Client): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (let KeyMarker: string | undefined, VersionIdMarker: string | undefined; ;) {
    const page = await client.send(new ListObjectVersionsCommand({ Bucket: 'target', Prefix: 'd', ...(KeyMarker === undefined ? {} : { KeyMarker }), ...(VersionIdMarker === undefined ? {} : { VersionIdMarker }) }));
    for (const { Key = '' } of page.Versions ?? []) found.set(Key, (found.get(Key) ?? 0) + 1);
    if (page.IsTruncated !== true) return found;
    [KeyMarker, VersionIdMarker] = [page.NextKeyMarker, page.NextVersionIdMarker];
  }
}

/** Another one takes its seat; a third one, for that seat too, waits. */
async function kill7(fleet: Awaited<ReturnType<typeof site>>, doomed: Running): Promise<void> {
  await until('the seventh', () => fleet.stands('seats/00000002/0007/00000001'));
  doomed.child.kill('SIGKILL');
  await doomed.ended;
  const twins = [fleet.worker('7/7'), fleet.worker('7/7')];
  await until('one of them at the seat', () => fleet.stands('seats/00000002/0007/00000002'));
  await until('the other to wait', () => twins.some((twin) => /process \d+\) sits there: waiting/.test(twin.said())));
}

test('I2 I3 S1.14 S1.18: 2 → 7 → 3 partitions during a run, a killed member among them: every object once in the ledger, written once, with the right bytes', async () => {
  await using fleet = await site();
  let former = [fleet.worker('1-2/2')];
  let coordinator = fleet.coordinator(2);
  await until('the first of it', async () => await fleet.arrived() > OBJECTS / 20);
  for (const [map, members] of [[2, 7], [3, 3]] as const) {
    coordinator.child.kill('SIGTERM');
    await coordinator.ended;
    coordinator = fleet.coordinator(members);
    const joining = members === 3 ? [fleet.worker('1-3/3')] : [fleet.worker('1-6/7'), fleet.worker('7/7')];
    await until(`the map of ${members}`, () => fleet.stands(`maps/0000000${map}.active`));
    const before = await fleet.arrived();
    await until('the former members to see it', () => former[0]?.said().includes(`the map has ${members} members: waiting until a coordinator makes one of`) === true);
    for (const { child } of former) child.kill('SIGTERM');
    if (members === 7) await kill7(fleet, joining[1] as Running);
    await until(`work with ${members}`, async () => await fleet.arrived() > before + OBJECTS / 20);
    former = joining;
  }
  // So slow that there is work for all of this; what is left may go fast.
  assert.equal((await fleet.brigade('limits', 'pair', '--bandwidth', 'unlimited')).exit, 0);
  assert.equal(await coordinator.ended, 0, coordinator.said());
  assert.match(coordinator.said(), /3,000 listed = 3,000 copied/);

  // Their ETags say nothing of that: our own endpoint gives us any (src/agent/framing.ts).
  assert.deepEqual(Array.from({ length: OBJECTS }, (_, i) => nameOf(i)).filter((name) => fleet.uploads(name) > 0), [], 'each went in one piece');
  const standing = await versions(fleet.client);
  assert.equal(standing.size, OBJECTS);
  assert.deepEqual([...standing].filter(([, count]) => count !== 1), []);
  for (let from = 0; from < OBJECTS; from += 30) {
    await Promise.all(Array.from({ length: 30 }, async (_, i) => {
      const read = await fleet.client.send(new GetObjectCommand({ Bucket: 'target', Key: nameOf(from + i) }));
      assert.equal(await read.Body?.transformToString(), textOf(from + i), nameOf(from + i));
    }));
  }
  const rows = (await fleet.brigade('report', 'pair', '-o', 'ndjson')).out.trim().split('\n').map((line) => JSON.parse(line) as { key?: string; state?: string }).filter(({ key }) => key !== undefined);
  assert.deepEqual([rows.length, new Set(rows.map(({ key }) => key)).size, rows.filter(({ state }) => state !== 'copied').length], [OBJECTS, OBJECTS, 0]);
  const check = await fleet.brigade('ledger', 'check', 'pair', '--journal', 'journals');
  assert.equal(check.exit, 0, check.out + check.err);
});
