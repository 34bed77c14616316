// Bad input over the wire: the right S3 error, nothing stored, and neither sockets nor files left behind.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { clientOf } from './connections.ts';
import { startEndpoint, type Endpoint, type EndpointOptions } from './endpoint.ts';
import { openFilesLayout } from './files-layout/index.ts';
import { bucketName as Bucket, credentials, send, sendSigned, sign } from './fixture.test.ts';
import { seedBucket } from './seeding.ts';

interface Site extends AsyncDisposable {
  readonly endpoint: Endpoint;
  /** Everything below the root but the empty folder of bytes on their way. */
  stored(): Promise<string[]>;
  /** Descriptors of this process below the root, directories aside that the layout keeps open. */
  openFiles(): Promise<string[]>;
}

async function site(options: Partial<EndpointOptions> = {}): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), 'brigade-hostile-'));
  const root = join(folder, 'root');
  await mkdir(root);
  const layout = await openFilesLayout({ root, state: join(folder, 'state') });
  await seedBucket(layout, Bucket);
  const endpoint = await startEndpoint({ storage: layout, accessKeys: [{ id: credentials.accessKeyId, secret: credentials.secretAccessKey }], ...options });
  const files = async (): Promise<string[]> => (await readdir(root, { recursive: true, withFileTypes: true })).filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  return {
    endpoint, stored: files,
    openFiles: async () => {
      const targets = await Promise.all((await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
      const directories = new Set((await readdir(root, { recursive: true, withFileTypes: true })).filter((one) => one.isDirectory()).map((one) => join(one.parentPath, one.name)));
      return targets.filter((target) => target.startsWith(`${root}/`) && !directories.has(target));
    },
    async [Symbol.asyncDispose]() {
      await endpoint.close();
      await layout.close();
      await rm(folder, { recursive: true });
    },
  };
}

const codeOf = (text: string): string | undefined => /<Code>(\w+)</.exec(text)?.[1];
const object = `/${Bucket}/k`;
const chunk = (text: string, signature = ''): string => `${text.length.toString(16)}${signature === '' ? '' : `;chunk-signature=${signature}`}\r\n${text}\r\n`;
const streaming = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
const unsignedTrailer = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

interface Hostile { readonly what: string; readonly code: string; readonly headers?: Record<string, string>; readonly payload?: string; readonly body: string }

const BODIES: readonly Hostile[] = [
  { what: 'another payload hash', code: 'XAmzContentSHA256Mismatch', payload: sha('other'), body: 'content' },
  { what: 'a payload hash that is none', code: 'InvalidArgument', payload: 'nonsense', body: 'content' },
  { what: 'a wrong Content-MD5', code: 'BadDigest', headers: { 'content-md5': createHash('md5').update('other').digest('base64') }, body: 'content' },
  { what: 'a Content-MD5 that is none', code: 'InvalidDigest', headers: { 'content-md5': 'xx' }, body: 'content' },
  { what: 'a wrong CRC32', code: 'BadDigest', headers: { 'x-amz-checksum-crc32': 'AAAAAA==' }, body: 'content' },
  { what: 'a wrong SHA-512', code: 'BadDigest', headers: { 'x-amz-checksum-sha512': Buffer.alloc(64).toString('base64') }, body: 'content' },
  { what: 'a checksum nobody can verify', code: 'InvalidRequest', headers: { 'x-amz-checksum-xxhash64': 'AAAAAAAAAAA=' }, body: 'content' },
  { what: 'two checksums', code: 'InvalidRequest', headers: { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-crc32c': 'AAAAAA==' }, body: 'content' },
  { what: 'a bad chunk signature', code: 'SignatureDoesNotMatch', payload: streaming, headers: { 'x-amz-decoded-content-length': '7' }, body: `${chunk('content', 'a'.repeat(64))}${chunk('', 'b'.repeat(64))}` },
  { what: 'a chunk without its signature', code: 'SignatureDoesNotMatch', payload: streaming, headers: { 'x-amz-decoded-content-length': '7' }, body: `${chunk('content')}${chunk('')}` },
  { what: 'no decoded length', code: 'MissingContentLength', payload: unsignedTrailer, headers: { 'x-amz-trailer': 'x-amz-checksum-crc32' }, body: `${chunk('content')}0\r\n\r\n` },
  { what: 'chunks that say more than they bring', code: 'IncompleteBody', payload: unsignedTrailer, headers: { 'x-amz-decoded-content-length': '9', 'x-amz-trailer': 'x-amz-checksum-crc32' }, body: '9\r\ncontent\r\n0\r\n\r\n' },
  { what: 'a chunk size that is none', code: 'IncompleteBody', payload: unsignedTrailer, headers: { 'x-amz-decoded-content-length': '7', 'x-amz-trailer': 'x-amz-checksum-crc32' }, body: 'zz\r\ncontent\r\n0\r\n\r\n' },
  { what: 'a wrong trailing checksum', code: 'BadDigest', payload: unsignedTrailer, headers: { 'x-amz-decoded-content-length': '7', 'x-amz-trailer': 'x-amz-checksum-crc32' }, body: `${chunk('content')}0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n` },
  { what: 'a trailer that was not announced', code: 'MalformedTrailerError', payload: unsignedTrailer, headers: { 'x-amz-decoded-content-length': '7', 'x-amz-trailer': 'x-amz-checksum-crc32' }, body: `${chunk('content')}0\r\nx-other:1\r\n\r\n` },
];

test('a body that is not what it says is refused by its own name, and nothing is stored', async () => {
  await using here = await site();
  for (const { what, code, headers = {}, payload, body } of BODIES) {
    const answer = await sendSigned(here.endpoint.url, { method: 'PUT', path: object, headers, body, ...(payload === undefined ? {} : { payload }) });
    assert.equal(codeOf(answer.body), code, `${what}: ${answer.body}`);
  }
  assert.deepEqual(await here.stored(), []);
  assert.deepEqual(await here.openFiles(), []);
  assert.deepEqual(here.endpoint.stats.failures, []);
});

/** What comes back on a connection that sends these bytes, until it ends. */
async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (piece: Buffer) => { text += piece.toString(); });
  socket.on('error', () => undefined);
  socket.write(bytes);
  await Promise.race([once(socket, 'close'), sleep(5000, undefined, { ref: false })]);
  socket.destroy();
  return text;
}

test('what is no HTTP gets an S3 error and loses its connection', async () => {
  await using here = await site();
  const { port } = here.endpoint;
  for (const bytes of ['nonsense\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', 'GET /\u0000 HTTP/1.1\r\nhost: x\r\n\r\n', 'PUT /b/k HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello', 'PUT /b/k HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n']) {
    const answer = await raw(port, bytes);
    assert.match(answer, /^HTTP\/1\.1 400 /, JSON.stringify(bytes));
    assert.match(answer, /<Code>BadRequest<\/Code>/, JSON.stringify(bytes));
  }
  assert.match(await raw(port, `GET / HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(40_000)}\r\n\r\n`), /<Code>RequestHeaderSectionTooLarge<\/Code>/);
});

function begin(endpoint: Endpoint, length: number, some: string): Socket {
  const { headers } = sign(endpoint.url, { method: 'PUT', path: object, headers: { 'content-length': String(length) } });
  const socket = connect(endpoint.port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(`PUT ${object} HTTP/1.1\r\n${Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${some}`);
  return socket;
}

/** Waits until the server holds no connection but idle ones that it may keep. */
async function until(what: () => Promise<boolean> | boolean, ms = 60_000): Promise<boolean> {
  const end = Date.now() + ms;
  while (!(await what())) {
    if (Date.now() > end) return false;
    await sleep(20);
  }
  return true;
}

test('uploads that are cut off in the middle leave no file, no descriptor and no object', async () => {
  await using here = await site();
  const sockets = Array.from({ length: 40 }, () => begin(here.endpoint, 1 << 20, 'x'.repeat(300_000)));
  assert.ok(await until(async () => (await here.openFiles()).length > 0), 'they began');
  for (const socket of sockets) socket.destroy();
  assert.ok(await until(async () => (await here.openFiles()).length === 0 && (await here.stored()).length === 0), `${await here.stored()}`);
  assert.deepEqual(here.endpoint.stats.failures, []);
});

test('a body that trickles is answered with RequestTimeout and loses its connection; one that is slow but moves is not', async () => {
  await using here = await site({ limits: { bodyIdleMs: 2000, minBytesPerSecond: 50 } });
  const stalled = begin(here.endpoint, 10_000, 'x');
  let text = '';
  stalled.on('data', (piece: Buffer) => { text += piece.toString(); });
  const drip = setInterval(() => stalled.write('x'), 50);
  await Promise.race([once(stalled, 'close'), sleep(60_000, undefined, { ref: false })]);
  clearInterval(drip);
  assert.match(text, /^HTTP\/1\.1 400 .*<Code>RequestTimeout<\/Code>/s);
  assert.deepEqual(await here.stored(), []);
  const slow = begin(here.endpoint, 10_000, '');
  let answer = '';
  slow.on('data', (piece: Buffer) => { answer += piece.toString(); });
  for (let i = 0; i < 20; i++) {
    slow.write('y'.repeat(500));
    await sleep(150);
  }
  assert.ok(await until(() => answer.startsWith('HTTP/1.1 200')), answer);
  slow.destroy();
});

test('a client that never reads its answer, or never asks, loses its connection', async () => {
  await using here = await site({ limits: { idleMs: 2000 } });
  const content = Buffer.alloc(32 << 20);
  assert.equal((await sendSigned(here.endpoint.url, { method: 'PUT', path: object, body: content })).status, 200);
  const { headers } = sign(here.endpoint.url, { method: 'GET', path: object });
  const deaf = connect(here.endpoint.port, '127.0.0.1');
  deaf.on('error', () => undefined);
  deaf.pause();
  deaf.write(`GET ${object} HTTP/1.1\r\n${Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
  const silent = connect(here.endpoint.port, '127.0.0.1');
  silent.on('error', () => undefined);
  silent.resume();
  const left = once(silent, 'close');
  assert.ok(await until(async () => (await here.openFiles()).length > 0), 'the answer began');
  await Promise.race([left, sleep(60_000, undefined, { ref: false }).then(() => assert.fail('the silent one is still there'))]);
  assert.ok(await until(async () => (await here.openFiles()).length === 0), 'the file behind the answer is closed');
  deaf.destroy();
});

test('one client address has so many connections and no more, and gets new ones when it gave some back', async () => {
  await using here = await site({ limits: { maxConnectionsPerClient: 5 } });
  const held = Array.from({ length: 5 }, () => connect(here.endpoint.port, '127.0.0.1'));
  await Promise.all(held.map((socket) => once(socket, 'connect')));
  await assert.rejects(send(here.endpoint.url, 'GET', '/', {}), /socket hang up|ECONNRESET/);
  for (const socket of held) socket.destroy();
  assert.ok(await until(async () => send(here.endpoint.url, 'GET', '/', {}).then(({ status }) => status === 403, () => false)));
});

test('an IPv6 client is its /64 network, an IPv4 one its address', () => {
  const cases = [['127.0.0.1', '127.0.0.1'], ['::ffff:10.1.2.3', '10.1.2.3'], ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'], ['2001:db8:1:2::9', '2001:db8:1:2::/64'], ['2001:db8::1', '2001:db8:0:0::/64'], ['fe80::1%eth0', 'fe80:0:0:0::/64'], ['::1', '0:0:0:0::/64']] as const;
  for (const [address, client] of cases) assert.equal(clientOf(address), client, address);
});

test('a refused upload is answered before its body is read, and the answer arrives', async () => {
  await using here = await site();
  const answer = await sendSigned(here.endpoint.url, { method: 'PUT', path: '/no-such-bucket/k', body: Buffer.alloc(8 << 20) });
  assert.deepEqual([answer.status, codeOf(answer.body)], [404, 'NoSuchBucket']);
});

test('a read-only endpoint refuses every write, whoever asks, and reads', async () => {
  await using here = await site({ readOnly: true });
  for (const [method, query] of [['PUT', undefined], ['DELETE', undefined], ['POST', 'uploads='], ['PUT', 'tagging=']] as const) {
    const answer = await sendSigned(here.endpoint.url, { method, path: object, body: '', ...(query === undefined ? {} : { query }) });
    assert.deepEqual([answer.status, codeOf(answer.body)], [403, 'AccessDenied'], `${method} ${query}`);
  }
  assert.equal(codeOf((await sendSigned(here.endpoint.url, { method: 'GET', path: object })).body), 'NoSuchKey');
});
