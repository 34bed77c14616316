/** F098 with real processes: whoever asks the source for a certain key is killed in that moment, with its whole group, by somebody who watches the wire. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { tempFolder } from '../../../src/cli/fixture.test.ts';
import { startNats, startVersitygw } from '../harness/index.ts';

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts');
const OBJECTS = 24;
const POISON = 'docs/00013';
const keyOf = (i: number): string => `docs/${String(i).padStart(5, '0')}`;

interface Ran { readonly exit: number; readonly out: string; readonly err: string }

/** Between the workers and the source. `sees`: the process that asked for the key is known by its end of the connection. */
async function watchedWire(to: string, sees: (port: number) => Promise<void>) {
  const { hostname, port } = new URL(to);
  let poisonous = true;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => { near.destroy(); far.destroy(); }).on('close', () => sockets.delete(socket));
    }
    near.on('data', (bytes) => {
      if (!poisonous || !bytes.includes(`GET /from/${POISON}`)) return void far.write(bytes);
      near.pause();
      void sees(near.remotePort as number).finally(() => { near.destroy(); far.destroy(); });
    });
    far.pipe(near);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cure: () => { poisonous = false; },
    close: () => { for (const socket of sockets) socket.destroy(); server.close(); },
  };
}

/** Which of these processes has the connection that begins at this port of this machine. */
async function whoseIs(port: number, pids: readonly number[]): Promise<number | undefined> {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const line = (await readFile('/proc/net/tcp', 'utf8')).split('\n').find((one) => one.trim().split(/\s+/)[1]?.endsWith(`:${hex}`) === true);
  const inode = line?.trim().split(/\s+/)[9];
  const links = (pid: number): string[] => readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return ''; // closed since it was listed
    }
  });
  return pids.find((pid) => links(pid).includes(`socket:[${inode}]`));
}

test('F098: an object that kills the process of every worker is parked; the others arrive, and a retry brings it once it kills nobody', { timeout: 15 * 60_000 }, async () => {
  const [nats, gateway] = await Promise.all([startNats(), startVersitygw()]);
  const folder = tempFolder();
  const workers = new Set<ChildProcess>();
  let deaths = 0;
  const wire = await watchedWire(gateway.endpoint, async (port) => {
    const pid = await whoseIs(port, [...workers].flatMap(({ pid: one }) => one ?? []));
    if (pid === undefined) return;
    deaths++;
    process.kill(-pid, 'SIGKILL');
  });
  const { accessKeyId, secretAccessKey, region } = gateway;
  const env = { BRIGADE_MESSAGE_KEY: 'k'.repeat(32), PATH: process.env['PATH'] ?? '', HOME: folder.path, SRC_ACCESS_KEY_ID: accessKeyId, SRC_SECRET_ACCESS_KEY: secretAccessKey };
  const fleet = ['--queue', `nats:poison@${nats.endpoint}?create=true&lease=5s`, '--journal', 'journals'];
  let stopping = false;
  const work = (): void => {
    const child = spawn(process.execPath, [MAIN, 'worker', ...fleet, '--processes', '1'], { cwd: folder.path, env, stdio: 'ignore', detached: true });
    workers.add(child);
    // As systemd would.
    child.once('exit', () => {
      workers.delete(child);
      if (!stopping) work();
    });
  };
  const brigade = (...args: readonly string[]): Promise<Ran> => new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { cwd: folder.path, env, timeout: 12 * 60_000 }, (error, out, err) => resolve({ exit: error === null ? 0 : Number(error.code ?? -1), out, err }));
  });
  try {
    const client = new S3Client({ endpoint: gateway.endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
    await client.send(new CreateBucketCommand({ Bucket: 'from' }));
    for (let i = 0; i < OBJECTS; i++) await client.send(new PutObjectCommand({ Bucket: 'from', Key: keyOf(i), Body: 'x'.repeat(1000 + i) }));
    for (const made of ['to', 'journals']) mkdirSync(join(folder.path, made));
    const file = folder.write('pair.yml', `name: pair
connections:
  gateway: { provider: versitygw, endpoint: ${wire.url}, region: ${region}, credentials: env:SRC, path_style: true }
source: { s3: from, connection: gateway }
destination: to
batch: { objects: 8 }
`);
    for (let i = 0; i < 2; i++) work();
    const run = await brigade('coordinator', file, ...fleet, '--progress', 'none');
    assert.equal(run.exit, 1, run.out + run.err);
    assert.match(run.out, /24 listed = 23 copied .* 1 failed/);
    assert.ok(deaths >= 5 && deaths <= 14, `${deaths} deaths`);
    assert.match((await brigade('objects', 'pair', '--state', 'failed', '--class', 'E_OBJECT_POISON')).out, new RegExp(`${POISON}.*E_OBJECT_POISON: \\d+ workers died`));
    assert.match((await brigade('report', 'pair')).out, /E_OBJECT_POISON/);
    assert.equal((await brigade('ledger', 'check', 'pair', ...fleet.slice(2))).exit, 0);

    wire.cure();
    const retried = await brigade('retry', 'pair', '--class', 'E_OBJECT_POISON', ...fleet, '--progress', 'none');
    assert.equal(retried.exit, 0, retried.out + retried.err);
    assert.match(retried.out, /24 listed = 24 copied/);
  } finally {
    stopping = true;
    for (const { pid } of workers) if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    wire.close();
    await Promise.all([nats.stop(), gateway.stop()]);
    folder[Symbol.dispose]();
  }
});
