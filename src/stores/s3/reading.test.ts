import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectRead, ReadRequest } from '../../ports/storage.ts';
import { credentialsInTurn, errorOf, errorXml, gather, listXml, startScripted } from './fixture.test.ts';
import type { Answer, Asked } from './fixture.test.ts';
import { smallParts } from './fixture.test.ts';
import { controlOf } from './index.ts';

const etag = { etag: '"v1"', 'last-modified': 'Sat, 21 Nov 2026 09:00:00 GMT' };
const request: ReadRequest = { key: 'k', expectedSize: 10, pin: { token: 'v1' } };

async function reading(answer: Answer | ((asked: Asked) => Answer), over: Partial<ReadRequest> = {}): Promise<{ error: Awaited<ReturnType<typeof errorOf>>; asked: Asked[] }> {
  await using server = await startScripted(typeof answer === 'function' ? answer : () => answer);
  const whole = async (): Promise<Buffer> => gather((await server.store().read({ ...request, ...over })).chunks);
  return { error: await errorOf(whole()), asked: server.asked };
}

test('F001: a body cut short is E_SHORT_READ and names the object', async () => {
  const { error } = await reading({ headers: etag, body: '0123456789', cutAt: 4 });
  assert.deepEqual([error.code, error.kind, error.location, error.op], ['E_SHORT_READ', 'transient', 's3://bucket/k', 'GetObject']);
});

test('a small body comes whole, as it is; of a large one there are only chunks', async () => {
  const large = 'x'.repeat(200_000);
  await using server = await startScripted(({ url }) => ({ headers: etag, body: url.endsWith('/k') ? '0123456789' : url.endsWith('/empty') ? '' : large }));
  const store = server.store();
  const small = await store.read(request);
  assert.equal(Buffer.from(small.bytes as Uint8Array).toString(), '0123456789');
  assert.equal((await gather(small.chunks)).toString(), '0123456789');
  const empty = await store.read({ key: 'empty', expectedSize: 0 });
  assert.equal(empty.bytes?.length, 0);
  assert.equal((await gather(empty.chunks)).length, 0);
  const streamed = await store.read({ key: 'large', expectedSize: large.length });
  assert.equal(streamed.bytes?.length, undefined);
  assert.ok((await gather(streamed.chunks)).equals(Buffer.from(large)));
});

test('F001, F003: a small body of another length than listed has no bytes at hand, only chunks that end in the error', async () => {
  for (const answer of [{ body: '0123456789', cutAt: 4 }, { body: '012345', unframed: true }, { body: '0123456789ab', unframed: true }, { body: '', unframed: true }]) {
    await using server = await startScripted(() => ({ headers: etag, ...answer }));
    const read = await server.store().read(request);
    assert.equal(read.bytes?.length, undefined);
    assert.equal((await errorOf(gather(read.chunks))).code, 'E_SHORT_READ');
  }
});

test('F003: a body without a length is counted against the listed size, short or long', async () => {
  assert.equal((await reading({ headers: etag, body: '012345', unframed: true })).error.code, 'E_SHORT_READ');
  assert.equal((await reading({ headers: etag, body: '0123456789ab', unframed: true })).error.code, 'E_SHORT_READ');
  await using server = await startScripted(() => ({ headers: etag, body: '0123456789', unframed: true }));
  assert.equal((await gather((await server.store().read(request)).chunks)).toString(), '0123456789');
});

test('F018: an answer of another length with an encoding is E_TRANSCODED, with the fix', async () => {
  for (const headers of [{ 'content-encoding': 'gzip' }, { 'x-goog-stored-content-encoding': 'gzip' }, { warning: '214 Transformation Applied' }]) {
    const { error } = await reading({ headers: { ...etag, ...headers } as Record<string, string>, body: 'longer than that' });
    assert.deepEqual([error.code, error.kind], ['E_TRANSCODED', 'object']);
    assert.match(error.hint ?? '', /no-transform/);
  }
});

test('F021: a range that is ignored, shifted, or of an object of another size is an error', async () => {
  const range = { offset: 2, length: 3 };
  const ranged = (headers: Record<string, string>, body = '234', status = 206): Promise<{ error: { code: string } }> => reading({ status, headers: { ...etag, ...headers }, body }, { range });
  assert.equal((await ranged({}, '0123456789', 200)).error.code, 'E_RANGE_IGNORED');
  assert.equal((await ranged({})).error.code, 'E_RANGE_IGNORED');
  assert.equal((await ranged({ 'content-range': 'bytes 0-2/10' })).error.code, 'E_RANGE_IGNORED');
  assert.equal((await ranged({ 'content-range': 'bytes 2-4/11' })).error.code, 'E_SIZE_LIST_MISMATCH');
  assert.equal((await ranged({ 'content-range': 'bytes 2-4/10' }, '2345')).error.code, 'E_SHORT_READ');
  await using server = await startScripted(() => ({ status: 206, headers: { ...etag, 'content-range': 'bytes 2-4/10' }, body: '234' }));
  const read = await server.store().read({ ...request, range });
  assert.equal((await gather(read.chunks)).toString(), '234');
  assert.equal(read.info.size, 10);
  assert.equal(server.asked[0]?.headers.range, 'bytes=2-4');
});

test('F022: another size than listed is E_SIZE_LIST_MISMATCH, and the object is looked at again', async () => {
  const { error } = await reading({ headers: etag, body: '012345678' });
  assert.deepEqual([error.code, error.kind], ['E_SIZE_LIST_MISMATCH', 'changed']);
});

test('F026, F027: every read carries its pin, and a store that ignores it is found out', async () => {
  const ignored = await reading({ headers: { ...etag, etag: '"v2"' }, body: '0123456789' });
  assert.deepEqual([ignored.error.code, ignored.error.kind], ['E_SRC_CHANGED', 'changed']);
  assert.equal(ignored.asked[0]?.headers['if-match'], '"v1"');
  assert.equal((await reading({ status: 412, body: errorXml('PreconditionFailed') })).error.kind, 'changed');
  const versioned = await reading({ status: 404, body: errorXml('NoSuchVersion') }, { pin: { token: 'v1', versionId: 'a/b+' } });
  assert.equal(versioned.error.kind, 'changed');
  assert.match(versioned.asked[0]?.url ?? '', /\?versionId=a%2Fb%2B$/);
});

test('a listing without ETags pins by time', async () => {
  await using server = await startScripted(() => ({ headers: { 'last-modified': 'Sat, 21 Nov 2026 09:00:00 GMT' }, body: '0123456789' }));
  const seconds = Date.UTC(2026, 10, 21, 9) / 1000;
  const read = (token: string): Promise<ObjectRead> => server.store().read({ ...request, pin: { token } });
  (await read(`modified:${seconds}`)).discard();
  assert.equal(server.asked[0]?.headers['if-unmodified-since'], 'Sat, 21 Nov 2026 09:00:00 GMT');
  assert.equal((await errorOf(read(`modified:${seconds - 1}`))).kind, 'changed');
});

test('F028: HEAD 404 is the key\'s only while the bucket answers', async () => {
  for (const [bucketStatus, code, kind] of [[200, 'E_GONE', 'gone'], [403, 'E_GONE', 'gone'], [404, 'E_BUCKET_MISSING', 'premise'], [500, 'E_SERVER', 'transient']] as const) {
    await using server = await startScripted(({ url }) => ({ status: url.includes('/k') ? 404 : bucketStatus }));
    const error = await errorOf(server.store().head('k'));
    assert.deepEqual([error.code, error.kind], [code, kind], String(bucketStatus));
  }
});

test('F082: a HEAD that is refused without a word asks by GET for the reason', async () => {
  await using server = await startScripted(({ method }) => (method === 'HEAD' ? { status: 400 } : { status: 400, body: errorXml('ExpiredToken') }));
  assert.equal((await errorOf(server.store().head('k'))).code, 'E_CREDENTIALS');
  assert.equal(server.asked.at(-1)?.headers.range, 'bytes=0-0');
});

test('F082: a HEAD that is refused because a session ended is asked again in the next one, of objects and of the bucket', async () => {
  const first = { accessKeyId: 'ASIAFIRST', secretAccessKey: 's' };
  const second = { accessKeyId: 'ASIASECOND', secretAccessKey: 's' };
  for (const what of ['object', 'empty object', 'bucket'] as const) {
    await using server = await startScripted(({ method, headers }) => {
      if (headers.authorization?.includes('ASIAFIRST') === true) return { status: 400, body: method === 'HEAD' ? '' : errorXml('ExpiredToken') };
      if (what === 'empty object' && method === 'GET') return { status: 416, body: errorXml('InvalidRange') };
      return { headers: etag, body: what === 'bucket' ? listXml([]) : '' };
    });
    const store = server.store({ credentials: credentialsInTurn(first, second) });
    if (what === 'bucket') await controlOf(store)?.headBucket();
    else assert.equal((await store.head('k')).key, 'k');
    assert.deepEqual(server.asked.slice(0, 4).map(({ method }) => method), ['HEAD', 'GET', 'GET', 'HEAD'], what);
  }
});

test('a HEAD without a length is no answer', async () => {
  await using server = await startScripted(() => ({ headers: { ...etag, 'transfer-encoding': 'identity' }, unframed: true }));
  assert.equal((await errorOf(server.store().head('k'))).code, 'E_UNEXPECTED_ANSWER');
});

test('F017: composite checksums and those of kinds that the store is not known for are not handed out', async () => {
  const head = async (headers: Record<string, string>, name = 'aws'): Promise<unknown> => {
    await using server = await startScripted(() => ({ headers: { ...etag, ...headers }, body: '' }));
    return (await server.store({ profile: smallParts(name) }).head('k', { checksum: true })).checksum;
  };
  assert.deepEqual(await head({ 'x-amz-checksum-crc32': 'y/Q5Jg==', 'x-amz-checksum-type': 'FULL_OBJECT' }), { algorithm: 'crc32', hex: 'cbf43926' });
  assert.equal(await head({ 'x-amz-checksum-crc32': 'y/Q5Jg==-3' }), undefined);
  assert.equal(await head({ 'x-amz-checksum-sha256': 'AAAA', 'x-amz-checksum-type': 'COMPOSITE' }), undefined);
  assert.equal(await head({ 'x-amz-checksum-crc32': 'y/Q5Jg==' }, 'generic'), undefined);
});

test('F073: an archived object says so, and a restored one too', async () => {
  await using server = await startScripted(() => ({ headers: { ...etag, 'x-amz-storage-class': 'GLACIER', 'x-amz-restore': 'ongoing-request="false", expiry-date="Fri, 21 Dec 2029 00:00:00 GMT"' } }));
  const info = await server.store().head('k');
  assert.deepEqual([info.storageClass, info.restored], ['GLACIER', true]);
});

test('F004: 400 reads over eight sockets of which none is finished hold up no other', async () => {
  let open = 0;
  await using server = await startScripted(() => ({ headers: etag, body: Buffer.alloc(300_000) }));
  const store = server.store({ connections: 8 });
  const lane = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) {
      const read = await store.read({ key: 'k', expectedSize: 300_000 });
      open++;
      if (i % 2 === 0) read.discard();
      else for await (const chunk of read.chunks) if (chunk.length > 0) break;
      open--;
    }
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  assert.equal(open, 0);
  assert.equal((await store.read({ key: 'k', expectedSize: 300_000 })).info.size, 300_000);
});
