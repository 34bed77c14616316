/**
 * `npm run test:servers -- --large`: 6 GiB, more than one PUT or one CopyObject takes, file system → versitygw → versitygw. The second way is
 * the server's own copy: a proxy before it counts the requests, and no byte of the object may pass through it. Judged by rclone.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { GiB, MiB } from '../../../src/core/units.ts';
import { seededRandom } from '../../../src/telemetry/random.ts';
import { type FaultProxy, startFaultProxy } from '../../../src/faults/proxy.ts';
import { binaries, largeTests, type Server, startVersitygw } from '../harness/index.ts';

const run = promisify(execFile);
const bin = fileURLToPath(new URL('../../../bin/brigade.cjs', import.meta.url));
const SIZE = 6 * GiB;
/** The source, two copies of it, and the gateway's parts of one. */
const ROOM = 4.5 * SIZE;

if (largeTests()) testLarge();

function testLarge(): void {
  const work = mkdtempSync(join(tmpdir(), 'brigade-large-'));
  let server: Server;
  let proxy: FaultProxy;

  before(async () => {
    const { bavail, bsize } = statfsSync(work);
    assert.ok(bavail * bsize > ROOM, `${work} has ${Math.floor((bavail * bsize) / GiB)} GiB free, ${ROOM / GiB} are needed`);
    mkdirSync(join(work, 'source'));
    makeFile(join(work, 'source', 'six.bin'));
    server = await startVersitygw();
    const counted = (name: string, operation: string | RegExp) => ({ name, match: { operation }, fault: { kind: 'latency' as const, ms: 0 } });
    proxy = await startFaultProxy({ target: server.endpoint, rules: [counted('copies', 'UploadPartCopy'), counted('bytes', /^(GetObject|PutObject|UploadPart)$/)] });
  }, { timeout: 600_000 });

  after(async () => {
    await proxy?.close();
    await server?.stop();
    rmSync(work, { recursive: true, force: true });
  });

  const migrate = async (name: string, source: string, destination: string): Promise<void> => {
    writeFileSync(join(work, `${name}.yml`), [`name: ${name}`, `source: ${source}`, `destination: ${destination}`, 'create_bucket: true', 'verify: checksum', ''].join('\n'));
    const env = { ...process.env, LARGE_ACCESS_KEY_ID: server.accessKeyId, LARGE_SECRET_ACCESS_KEY: server.secretAccessKey };
    await run(process.execPath, [bin, 'run', `${name}.yml`, '--progress', 'none'], { cwd: work, env });
  };
  const bucket = (name: string, endpoint: string): string => `{ url: "s3://${name}", endpoint: "${endpoint}", region: ${server.region}, credentials: "env:LARGE" }`;
  const check = (name: string): Promise<unknown> => run(binaries().rclone, ['--config', '/dev/null', 'check', '--download', '--one-way', join(work, 'source'),
    `:s3,provider=Other,endpoint="${server.endpoint}",access_key_id="${server.accessKeyId}",secret_access_key="${server.secretAccessKey}",region="${server.region}",force_path_style=true:${name}`]);

  test('6 GiB, file system → versitygw', { timeout: 900_000 }, async () => {
    await migrate('up', `{ path: ${JSON.stringify(join(work, 'source'))} }`, bucket('large-first', server.endpoint));
    await check('large-first');
  });

  test('6 GiB, versitygw → versitygw, by the server itself', { timeout: 900_000 }, async (t) => {
    const before = { copies: proxy.counter('copies').seen, bytes: proxy.counter('bytes').seen };
    await migrate('across', bucket('large-first', proxy.url), bucket('large-second', proxy.url));
    const [copies, bytes] = [proxy.counter('copies').seen - before.copies, proxy.counter('bytes').seen - before.bytes];
    t.diagnostic(`${copies} UploadPartCopy, ${bytes} requests with a body of an object`);
    assert.ok(copies > 1);
    // The canaries of the preflight are all that may be read and written; the object alone would be 768 parts.
    assert.ok(bytes <= 30, `${bytes} requests carried an object`);
    await check('large-second');
  });
}

/** Bytes that differ from part to part, so that parts in the wrong order show. */
function makeFile(path: string): void {
  const random = seededRandom(6);
  const block = Buffer.alloc(MiB);
  for (let at = 0; at < block.length; at += 4) block.writeUInt32LE(Math.floor(random.next() * 2 ** 32), at);
  const file = openSync(path, 'w');
  for (let number = 0; number < SIZE / MiB; number++) {
    block.writeUInt32LE(number, 0);
    writeSync(file, block);
  }
  closeSync(file);
}
