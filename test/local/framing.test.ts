/** What our own two ends say to each other beyond S3: bodies in frames, over real sockets, from disk to disk. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { startEndpoint } from '../../src/agent/endpoint.ts';
import { openFilesLayout } from '../../src/agent/files-layout/index.ts';
import type { Layout } from '../../src/agent/layout.ts';
import { openObjectsLayout } from '../../src/agent/objects-layout/index.ts';
import { seedBucket } from '../../src/agent/seeding.ts';
import { BrigadeError } from '../../src/core/errors.ts';
import { isHole } from '../../src/core/holes.ts';
import { MiB } from '../../src/core/units.ts';
import { NO_ATTRIBUTES } from '../../src/core/object.ts';
import type { Body, Store } from '../../src/ports/storage.ts';
import { Secret } from '../../src/core/secret.ts';
import { resuming } from '../../src/stores/decorators/resuming.ts';
import { createRetryBudget } from '../../src/stores/decorators/retrying.ts';
import { createS3Store, profileOf, type S3Options } from '../../src/stores/s3/index.ts';
import type { HttpRequest, HttpResponse, Transport } from '../../src/stores/s3/transport.ts';
import { DEFAULT_TIMEOUTS } from '../../src/stores/s3/transport.ts';
import { createUndiciTransport } from '../../src/stores/s3/undici.ts';
import { Signer } from '../../src/stores/s3/sigv4.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { type CountingRelay, startCountingRelay } from './counting-relay.ts';

const keys = { id: 'AKIATEST', secret: 'secret' };
const credentials = { resolve: async () => ({ accessKeyId: keys.id, secretAccessKey: new Secret(keys.secret) }), invalidate: () => undefined, describe: 'test' };

interface Bench { readonly layout: Layout; readonly wire: CountingRelay; readonly root: string; readonly url: string; count(operation: string): number; store(over?: Partial<S3Options>): Store }

async function bench(t: TestContext, kind: 'files' | 'objects'): Promise<Bench> {
  const base = mkdtempSync(join(tmpdir(), 'brigade-framing-'));
  const root = join(base, 'root');
  mkdirSync(root);
  const layout = kind === 'files' ? await openFilesLayout({ root, state: join(base, 'state') }) : await openObjectsLayout({ root });
  await seedBucket(layout, 'bucket');
  const endpoint = await startEndpoint({ storage: layout, accessKeys: [keys], behaviours: { pretends: false } });
  const wire = await startCountingRelay(endpoint.url);
  const stores: Store[] = [];
  t.after(async () => {
    await Promise.all(stores.map((store) => store.close()));
    wire.close();
    await endpoint.close();
    await layout.close?.();
    rmSync(base, { recursive: true });
  });
  return {
    layout, wire, root, url: endpoint.url, count: (operation) => endpoint.stats.count(operation),
    store(over = {}) {
      const store = createS3Store({ endpoint: wire.url, bucket: 'bucket', profile: profileOf('generic'), credentials, clock: systemClock(), payloadSigning: 'unsigned', ...over });
      stores.push(store);
      return store;
    },
  };
}

/** Until the driver has had an answer it knows nothing of the other end. */
const meet = (store: Store): Promise<unknown> => store.head('nothing').catch(() => undefined);
const bodyOf = (bytes: Uint8Array): Body => ({ size: bytes.length, bytes, open: () => streamOf(bytes).open() });
const streamOf = (bytes: Uint8Array): Body => ({
  size: bytes.length,
  async *open() {
    for (let at = 0; at < bytes.length; at += 100_003) yield bytes.subarray(at, at + 100_003);
  },
});

async function read(store: Store, key: string, size: number, range?: { offset: number; length: number }): Promise<{ bytes: Buffer; holes: number }> {
  const { chunks } = await store.read({ key, expectedSize: size, ...(range === undefined ? {} : { range }) });
  const all: Buffer[] = [];
  let holes = 0;
  for await (const chunk of chunks) {
    if (isHole(chunk)) holes += chunk.length;
    all.push(Buffer.from(chunk));
  }
  return { bytes: Buffer.concat(all), holes };
}

/** Blocks of all files below, in bytes. */
const onDisk = (folder: string): number => readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !/\.db/.test(entry.name)).reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).blocks * 512, 0);

function sparseFile(path: string, size: number, extents: readonly (readonly [offset: number, bytes: Buffer])[]): Buffer {
  const fd = openSync(path, 'w');
  for (const [offset, bytes] of extents) writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
  truncateSync(path, size);
  return readFileSync(path);
}

const words = (length: number): Buffer => Buffer.alloc(length, 'it was the best of times, it was the worst of times, ');

for (const kind of ['files', 'objects'] as const) {
  test(`F056: holes are neither sent nor stored, whole or in parts, layout ${kind}`, async (t) => {
    const { store: open, wire, root } = await bench(t, kind);
    const store = open();
    await meet(store);
    const size = 40 * MiB;
    const content = sparseFile(join(root, '..', 'content'), size, [[3 * MiB + 17, randomBytes(100_000)], [30 * MiB - 5, randomBytes(200_000)]]);
    await store.write({ key: 'whole', body: bodyOf(content), attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
    const multipart = store.multipart!;
    const upload = await multipart.create({ key: 'parts', size, partSize: 8 * MiB, attributes: NO_ATTRIBUTES });
    const parts = [];
    for (let n = 1; n <= 5; n++) parts.push(await multipart.putPart(upload, n, bodyOf(content.subarray((n - 1) * 8 * MiB, n * 8 * MiB))));
    await multipart.complete({ upload, parts, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
    assert.ok(wire.sent < 2 * 300_000 + 200_000, `sent ${wire.sent} bytes for twice 300,000 of data`);
    assert.ok(onDisk(root) < 2 * 300_000 + MiB, `${onDisk(root)} bytes on disk`);
    for (const key of ['whole', 'parts']) {
      wire.received = 0;
      const got = await read(store, key, size);
      assert.equal(got.bytes.equals(content), true, key);
      assert.ok(got.holes > 38 * MiB, `${got.holes} bytes came as holes`);
      assert.ok(wire.received < 500_000, `${wire.received} bytes received`);
      const range = await read(store, key, size, { offset: 3 * MiB, length: 9 * MiB });
      assert.equal(range.bytes.equals(content.subarray(3 * MiB, 12 * MiB)), true);
    }
  });

  test(`with compression: auto text travels small and noise as it is, layout ${kind}`, async (t) => {
    const { store: open, wire, count } = await bench(t, kind);
    const [off, auto] = [open(), open({ compress: true })];
    await meet(off);
    await meet(auto);
    const text = words(9 * MiB);
    const noise = randomBytes(2 * MiB);
    const cost = async (work: () => Promise<unknown>): Promise<number> => {
      wire.sent = wire.received = 0;
      await work();
      return wire.sent + wire.received;
    };
    const write = (store: Store, key: string, body: Body) => (): Promise<unknown> => store.write({ key, body, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
    assert.ok(await cost(write(auto, 'text', bodyOf(text))) < MiB / 4);
    assert.ok(await cost(write(auto, 'streamed', streamOf(text))) < MiB / 4);
    assert.ok(await cost(write(auto, 'noise', bodyOf(noise))) < noise.length + 10_000);
    assert.ok(await cost(write(off, 'plain', bodyOf(text))) > text.length, 'nothing is compressed unless it is asked for');
    const before = count('GetObject');
    for (const key of ['text', 'streamed', 'plain']) {
      assert.ok(await cost(async () => assert.equal((await read(auto, key, text.length)).bytes.equals(text), true)) < MiB / 4, key);
      assert.ok(await cost(async () => assert.equal((await read(off, key, text.length)).bytes.equals(text), true)) > text.length, key);
    }
    assert.ok(await cost(async () => assert.equal((await read(auto, 'noise', noise.length)).bytes.equals(noise), true)) < noise.length + 20_000);
    assert.equal(count('GetObject') - before, 7, 'each body is asked for once, however it comes');
  });
}

test('the checksum of the real bytes is what counts, and an ETag that is none is not taken for an MD5', async (t) => {
  const { store: open, layout } = await bench(t, 'objects');
  const text = words(MiB);
  for (const checksum of ['crc32', 'crc32c', 'crc64nvme', 'sha256'] as const) {
    const store = open({ compress: true, checksum });
    await meet(store);
    for (const body of [bodyOf(text), streamOf(text)]) {
      const written = await store.write({ key: checksum, body, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
      const head = await store.head(checksum, { checksum: true });
      assert.deepEqual(head.checksum, written.checksum);
      if (checksum === 'sha256') assert.equal(head.checksum?.hex, createHash('sha256').update(text).digest('hex'));
      assert.equal(head.token, written.token);
      assert.match(head.token, /^[0-9a-f]{32}-1$/);
    }
    const entry = await layout.entry('bucket', checksum);
    assert.equal(entry?.versions[0]?.body.size, text.length);
  }
});

test('a small object under an ETag with a dash was no upload: it is the tag of who may have any, and nothing says that there were parts', async (t) => {
  const { store: open, layout, count, url } = await bench(t, 'files');
  const store = open({ checksum: 'crc32' });
  const small = randomBytes(32 * 1024);
  const write = async (key: string): Promise<string> => (await store.write({ key, body: bodyOf(small), attributes: NO_ATTRIBUTES, guard: { kind: 'none' } })).token;
  assert.equal(await write('first'), createHash('md5').update(small).digest('hex'), 'not known yet whose endpoint it is');
  assert.match(await write('then'), /^[0-9a-f]{32}-1$/);
  assert.equal(count('CreateMultipartUpload'), 0);
  const entry = await layout.entry('bucket', 'then');
  assert.equal(entry?.versions[0]?.parts, undefined);
  const client = new S3Client({ endpoint: url, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: keys.id, secretAccessKey: keys.secret } });
  try {
    const part = await client.send(new GetObjectCommand({ Bucket: 'bucket', Key: 'then', PartNumber: 1 }));
    assert.deepEqual([part.PartsCount, Buffer.from(await part.Body?.transformToByteArray() ?? []).equals(small)], [undefined, true]);
  } finally {
    client.destroy();
  }
});

test('other clients meet plain S3, whatever was written in frames', async (t) => {
  const { store: open, url } = await bench(t, 'files');
  const store = open({ compress: true });
  await meet(store);
  const text = words(MiB);
  await store.write({ key: 'k', body: bodyOf(text), attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
  const sdk = new S3Client({ endpoint: url, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: keys.id, secretAccessKey: keys.secret } });
  const answer = await sdk.send(new GetObjectCommand({ Bucket: 'bucket', Key: 'k' }));
  assert.equal(answer.ContentLength, text.length);
  assert.equal(Buffer.from(await answer.Body!.transformToByteArray()).equals(text), true);
  sdk.destroy();
});

/** The usual transport, with a hand in between. */
function meddling(change: { request?: (request: HttpRequest) => HttpRequest; response?: (response: HttpResponse) => HttpResponse }): Transport {
  const inner = createUndiciTransport({ connections: 4, timeouts: DEFAULT_TIMEOUTS });
  return {
    send: async (request) => {
      const response = await inner.send(change.request?.(request) ?? request);
      return change.response?.(response) ?? response;
    },
    close: () => inner.close(),
  };
}

/** A compressor with a defect: the frames are sound, and hold other bytes. */
function otherBytes(coded: Uint8Array): Buffer {
  const bytes = Buffer.from(coded);
  bytes.writeUInt32BE((bytes.readUInt32BE(bytes.length - 4) ^ 1) >>> 0, bytes.length - 4);
  return bytes;
}

test('F016: bytes that decode to others than were meant are refused by either end, and nothing of them is stored', async (t) => {
  const { store: open, layout } = await bench(t, 'files');
  const text = words(MiB);
  const put = (store: Store, body: Body): Promise<unknown> => store.write({ key: 'k', body, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
  const isPut = (request: HttpRequest): request is HttpRequest & { body: Uint8Array } => request.method === 'PUT' && request.body instanceof Uint8Array;
  const damaged = open({ compress: true, checksum: 'none', transport: meddling({ request: (request) => (isPut(request) ? { ...request, body: otherBytes(request.body) } : request) }) });
  await meet(damaged);
  await assert.rejects(put(damaged, bodyOf(text)), (error) => error instanceof BrigadeError && error.kind === 'transient' && /IncompleteBody|CRC-32/.test(error.message));
  const lying = open({ compress: true, checksum: 'crc32c' });
  await meet(lying);
  const wrong = { ...bodyOf(text), checksum: { algorithm: 'crc32c' as const, hex: '00000000' } };
  await assert.rejects(put(lying, wrong), (error) => error instanceof BrigadeError && error.kind === 'transient');
  assert.equal(await layout.entry('bucket', 'k'), undefined);

  const store = open({ compress: true });
  await meet(store);
  await put(store, bodyOf(text));
  let [flips, least] = [1, 0];
  const flipped = open({
    compress: true,
    transport: meddling({
      response: (response) => (response.headers['x-brigade-body'] === undefined ? response : { ...response, body: { ...response.body, discard: () => response.body.discard(), collect: (n) => response.body.collect(n), [Symbol.asyncIterator]: () => flip(response.body, (length) => length > least && flips-- > 0) } }),
    }),
  });
  await meet(flipped);
  await assert.rejects(read(flipped, 'k', text.length), (error) => error instanceof BrigadeError && error.code === 'E_FRAMES' && error.kind === 'transient');
  assert.equal((await read(flipped, 'k', text.length)).bytes.equals(text), true, 'read again it is right');

  // Damage that shows only at the end, behind pieces that were handed on already: it must not be taken for a body that broke and can go on.
  const noise = randomBytes(3 * MiB);
  await put(store, { ...bodyOf(Buffer.concat([words(MiB), noise])) });
  [flips, least] = [1, 10_000];
  const clock = systemClock();
  const dependable = resuming(flipped, { side: 'source', clock, random: { next: () => 0.5 }, events: { emit: () => undefined }, budget: createRetryBudget(clock) });
  await assert.rejects(read(dependable, 'k', MiB + noise.length), (error) => error instanceof BrigadeError && error.code === 'E_FRAMES');
  assert.equal((await read(dependable, 'k', MiB + noise.length)).bytes.subarray(MiB).equals(noise), true);
});

async function* flip(body: AsyncIterable<Uint8Array>, now: (length: number) => boolean): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    const bytes = Buffer.from(chunk);
    const at = bytes.length - 30;
    if (at > 0 && now(bytes.length)) bytes[at] = (bytes[at] as number) ^ 1;
    yield bytes;
  }
}

test('requests in frames that are wrong are refused in words of S3, and nothing is stored', async (t) => {
  const { url, layout } = await bench(t, 'objects');
  const coded = Buffer.from('D\0\0\0\x03abcE\0\0\0\0\0\0\0\x03\x35\x24\x41\xc2', 'latin1'); // 352441c2: CRC-32 of abc
  const put = (headers: Readonly<Record<string, string>>, body: Buffer = coded): Promise<string> => signedPut(url, { 'x-brigade-body': 'frames/1', 'x-brigade-length': '3', ...headers }, body);
  const cases: readonly [Readonly<Record<string, string>>, Buffer, RegExp][] = [
    [{ 'x-brigade-body': 'frames/9' }, coded, /^400 [^]*InvalidArgument/], [{ 'x-brigade-length': '-1' }, coded, /^400 [^]*InvalidArgument/], [{ 'x-brigade-length': '7' }, coded, /^400 [^]*IncompleteBody/],
    [{ 'x-brigade-etag': 'any', 'x-brigade-checksum': 'CRC9' }, coded, /^400 [^]*InvalidArgument/], [{}, coded.subarray(0, -1), /^400 [^]*IncompleteBody/], [{}, Buffer.from('abc'), /^400 [^]*IncompleteBody/],
    [{ 'x-brigade-length': String(6 * 2 ** 30) }, coded, /^400 [^]*EntityTooLarge/], [{ 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' }, coded, /^400 [^]*BadDigest/], [{ 'x-amz-checksum-crc32': 'AAAAAA==' }, coded, /^400 [^]*BadDigest/],
  ];
  for (const [headers, body, answer] of cases) assert.match(await put(headers, body), answer);
  assert.equal(await layout.entry('bucket', 'k'), undefined);
  assert.match(await put({ 'content-md5': createHash('md5').update('abc').digest('base64') }), /^200/);
  assert.equal((await layout.entry('bucket', 'k'))?.versions[0]?.etag, createHash('md5').update('abc').digest('hex'));
});

async function signedPut(url: string, given: Readonly<Record<string, string>>, body: Buffer): Promise<string> {
  const { host } = new URL(url);
  const headers = Object.entries(given).flat();
  new Signer().sign({ method: 'PUT', host, path: '/bucket/k', query: '', headers, payloadHash: createHash('sha256').update(body).digest('hex') }, await credentials.resolve(), 'us-east-1', Date.now());
  const answer = await fetch(`${url}/bucket/k`, { method: 'PUT', body: new Uint8Array(body), headers: Array.from({ length: headers.length / 2 }, (_, i) => [headers[2 * i], headers[2 * i + 1]] as [string, string]) });
  return `${answer.status} ${await answer.text()}`;
}
