/** A fleet that is paused, let go on and cancelled by command: real processes, NATS, an S3 server, and somebody on the wire who counts bytes. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { CreateBucketCommand, GetObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { tempFolder } from '../../../src/cli/fixture.test.ts';
import { type CountingRelay, startCountingRelay } from '../../local/counting-relay.ts';
import { startNats, startVersitygw } from '../harness/index.ts';
import { lastChange, until } from './site.ts';

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts');
const SMALL = 40;
const LARGE = 4;
const MIB = 2 ** 20;
/** What the issue asks of pause, resume and cancel. */
const WITHIN_MS = 10_000;

interface Ran { readonly exit: number; readonly out: string; readonly err: string }

const contentOf = (i: number): Buffer => Buffer.alloc(i < SMALL ? 100_000 : 40 * MIB, `object ${i} `);
const keyOf = (i: number): string => `k/${String(i).padStart(3, '0')}`;

/** When the last byte went by, in ms since `sinceMs`: known once none has for eight seconds. */
const lastByte = (wire: CountingRelay, sinceMs: number): Promise<number> => lastChange(() => wire.sent + wire.received, sinceMs, 8000);

async function site() {
  const [nats, gateway] = await Promise.all([startNats(), startVersitygw()]);
  const folder = tempFolder();
  const wire = await startCountingRelay(gateway.endpoint);
  const { accessKeyId, secretAccessKey, region } = gateway;
  const client = new S3Client({ endpoint: gateway.endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
  for (const Bucket of ['from', 'dest']) await client.send(new CreateBucketCommand({ Bucket }));
  for (let i = 0; i < SMALL + LARGE; i++) await client.send(new PutObjectCommand({ Bucket: 'from', Key: keyOf(i), Body: contentOf(i) }));
  mkdirSync(join(folder.path, 'journals'));
  const env = { BRIGADE_MESSAGE_KEY: 'k'.repeat(32), PATH: process.env['PATH'] ?? '', HOME: folder.path, SRC_ACCESS_KEY_ID: accessKeyId, SRC_SECRET_ACCESS_KEY: secretAccessKey };
  const fleet = ['--queue', `nats:stopped@${nats.endpoint}?create=true&lease=5s`, '--journal', 'journals'];
  const processes: ChildProcess[] = [];
  return {
    wire, folder, fleet, client, nats,
    write: (more: string): string => folder.write('pair.yml', `name: pair
connections:
  gateway: { provider: versitygw, endpoint: ${wire.url}, region: ${region}, credentials: env:SRC, path_style: true }
source: { s3: from, connection: gateway }
destination: { s3: dest, connection: gateway }
batch: { objects: 5 }
transfer: { server_side_copy: never, multipart_threshold: 8 MiB, part_size: 5 MiB }
${more}`),
    start(...args: readonly string[]) {
      const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder.path, env, stdio: ['ignore', 'ignore', 'pipe'] });
      processes.push(child);
      let said = '';
      child.stderr?.setEncoding('utf8').on('data', (more: string) => { said += more; });
      const ended = new Promise<number | null>((resolve) => { child.once('exit', (code) => resolve(code)); });
      return { child, ended, said: () => said };
    },
    brigade: (...args: readonly string[]): Promise<Ran> => new Promise((resolve) => {
      execFile(process.execPath, [MAIN, ...args], { cwd: folder.path, env, timeout: 240_000 }, (error, out, err) => resolve({ exit: error === null ? 0 : Number(error.code ?? -1), out, err }));
    }),
    uploads: async (): Promise<number> => (await client.send(new ListMultipartUploadsCommand({ Bucket: 'dest' }))).Uploads?.length ?? 0,
    arrived: async (): Promise<readonly string[]> => ((await client.send(new ListObjectsV2Command({ Bucket: 'dest' }))).Contents ?? []).flatMap(({ Key }) => (Key?.startsWith('k/') === true ? [Key] : [])),
    async messages(): Promise<number> {
      const connection = await connect({ servers: nats.endpoint });
      try {
        return (await (await jetstreamManager(connection)).streams.info('stopped')).state.messages;
      } finally {
        await connection.close();
      }
    },
    async [Symbol.asyncDispose]() {
      for (const child of processes) child.kill('SIGKILL');
      wire.close();
      client.destroy();
      await Promise.all([nats.stop(), gateway.stop()]);
      folder[Symbol.dispose]();
    },
  };
}

test('pause, resume and cancel over a fleet: each within ten seconds, over a restart of the coordinator, and nothing is left behind', { timeout: 15 * 60_000 }, async (t) => {
  await using fleet = await site();
  const { wire } = fleet;
  const told = join(fleet.folder.path, '.brigade', 'pair', 'limits.json');
  const file = fleet.write('limits: { bandwidth: 4 MiB/s }\n');
  for (let i = 0; i < 2; i++) fleet.start('worker', ...fleet.fleet, '--processes', '1');
  const first = fleet.start('coordinator', file, ...fleet.fleet, '--progress', 'plain');
  await until('large objects are on their way', async () => wire.sent > 8 * MIB && await fleet.uploads() > 0);

  assert.equal((await fleet.brigade('pause', 'pair')).exit, 0);
  const pausedMs = await lastByte(wire, performance.now());
  t.diagnostic(`pause: the last byte ${Math.round(pausedMs)} ms after the command`);
  assert.ok(pausedMs <= WITHIN_MS, `${pausedMs} ms`);
  assert.ok((await fleet.arrived()).length < SMALL + LARGE, 'it was paused before it ended');
  const status = await fleet.brigade('status', 'pair', '-o', 'json');
  const { limits, fleet: signals } = JSON.parse(status.out) as { limits: { paused?: boolean }; fleet: { paused: boolean; workers: number } };
  assert.deepEqual([limits.paused, signals.paused, signals.workers], [true, true, 2]);

  first.child.kill('SIGTERM');
  await first.ended;
  const second = fleet.start('coordinator', file, ...fleet.fleet, '--progress', 'plain');
  await until('it says that it is paused', () => second.said().includes('was paused before and stays so: brigade resume pair goes on'));
  const held = (await fleet.arrived()).length;
  await sleep(6000);
  assert.equal((await fleet.arrived()).length, held);

  assert.equal((await fleet.brigade('resume', 'pair')).exit, 0);
  const [from, resumed] = [wire.sent + wire.received, performance.now()];
  await until('bytes move', () => wire.sent + wire.received > from + MIB);
  const resumedMs = performance.now() - resumed;
  t.diagnostic(`resume: a mebibyte ${Math.round(resumedMs)} ms after the command`);
  assert.ok(resumedMs <= WITHIN_MS, `${resumedMs} ms`);

  await until('an upload is open', async () => await fleet.uploads() > 0);
  const cancelling = fleet.brigade('cancel', 'pair', '--yes');
  await until('the word is said', () => { try { return readFileSync(told, 'utf8').includes('cancelled'); } catch { return false; /* not yet */ } }, 10);
  const said = performance.now();
  const quiet = lastByte(wire, said);
  assert.equal(await second.ended, 5, second.said());
  const endedMs = performance.now() - said;
  t.diagnostic(`cancel: the coordinator ended after ${Math.round(endedMs)} ms`);
  assert.ok(endedMs <= WITHIN_MS, `${endedMs} ms`);
  const cancelled = await cancelling;
  assert.equal(cancelled.exit, 0, cancelled.err);
  assert.match(cancelled.out, /^pair@1: cancelled: \d+ of 44 listed objects were copied and stay/);
  assert.ok(await quiet <= WITHIN_MS);
  assert.equal(await fleet.uploads(), 0, 'open uploads');
  const copied = Number(/cancelled: (\d+) of/.exec(cancelled.out)?.[1]);
  const stay = await fleet.arrived();
  assert.ok(copied <= stay.length && stay.length < SMALL + LARGE, `${copied} told, ${stay.length} there`);
  await until('nothing of it is in the queue', async () => await fleet.messages() === 0);
  assert.deepEqual(await fleet.arrived(), stay, 'nothing came late');
  assert.match((await fleet.brigade('runs')).out, /pair@1 .*abandoned/);
  assert.equal((await fleet.brigade('cancel', 'pair', '--yes')).exit, 2);

  fleet.write('');
  const next = await fleet.brigade('coordinator', file, ...fleet.fleet, '--progress', 'none');
  assert.equal(next.exit, 0, next.out + next.err);
  assert.match(next.out, new RegExp(`44 listed = ${44 - stay.length} copied \\+ ${stay.length} unchanged`));
  for (let i = 0; i < SMALL + LARGE; i++) {
    const { Body } = await fleet.client.send(new GetObjectCommand({ Bucket: 'dest', Key: keyOf(i) }));
    assert.ok(contentOf(i).equals(Buffer.from(await Body?.transformToByteArray() ?? [])), keyOf(i));
  }
  assert.equal(await fleet.uploads(), 0);
  assert.equal((await fleet.brigade('ledger', 'check', 'pair', ...fleet.fleet.slice(2))).exit, 0);
});

test('a run whose coordinator was killed is cancelled through the journal: its workers stop, and its uploads are ended', { timeout: 10 * 60_000 }, async () => {
  await using fleet = await site();
  const file = fleet.write('limits: { bandwidth: 4 MiB/s }\n');
  fleet.start('worker', ...fleet.fleet, '--processes', '1');
  const coordinator = fleet.start('coordinator', file, ...fleet.fleet, '--progress', 'none');
  // The look before the run begins an upload, too.
  await until('an upload of the run is open', async () => (await fleet.brigade('status', 'pair')).exit === 0 && await fleet.uploads() > 0);
  coordinator.child.kill('SIGKILL');
  await coordinator.ended;
  const refused = await fleet.brigade('cancel', 'pair', '--yes');
  assert.equal(refused.exit, 2);
  assert.match(refused.err, /workers go on with what is in the queue; give --journal.*\[E_LEDGER_FLEET\]/);
  const cancelled = await fleet.brigade('cancel', 'pair', '--yes', ...fleet.fleet.slice(2));
  assert.equal(cancelled.exit, 0, cancelled.err);
  assert.equal(cancelled.err, '');
  assert.equal(await fleet.uploads(), 0, 'open uploads');
  const stay = await fleet.arrived();
  await until('nothing of it is in the queue', async () => await fleet.messages() === 0);
  assert.deepEqual([await fleet.arrived(), await fleet.uploads()], [stay, 0]);
  assert.equal((await fleet.brigade('ledger', 'check', 'pair', ...fleet.fleet.slice(2))).exit, 0);
  fleet.write('');
  const next = await fleet.brigade('coordinator', file, ...fleet.fleet, '--progress', 'none');
  assert.equal(next.exit, 0, next.out + next.err);
  assert.match(next.out, new RegExp(`44 listed = ${44 - stay.length} copied \\+ ${stay.length} unchanged`));
});
