import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GetObjectCommand, GetObjectTaggingCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { checksumOf } from '../../core/checksum.ts';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import type { Attributes } from '../../core/object.ts';
import { KiB, MiB } from '../../core/units.ts';
import type { Multipart, Part, Store, Upload } from '../../ports/storage.ts';
import { bodyOf, errorOf, errorXml, gather, smallParts, startBench, startScripted, streamOf } from './fixture.test.ts';
import type { Answer, Asked } from './fixture.test.ts';

const none = { kind: 'none' } as const;
const put = { attributes: NO_ATTRIBUTES, guard: none };
const PART = 64 * KiB;
const multipart = (store: Store): Multipart => store.multipart as Multipart;

async function upload(store: Store, key: string, bytes: Buffer, attributes: Attributes = NO_ATTRIBUTES): Promise<{ upload: Upload; parts: Part[] }> {
  const made = await multipart(store).create({ key, size: bytes.length, partSize: PART, attributes });
  const parts: Part[] = [];
  for (let at = 0; at < bytes.length; at += PART) parts.push(await multipart(store).putPart(made, parts.length + 1, bodyOf(bytes.subarray(at, at + PART))));
  return { upload: made, parts };
}

const rich: Attributes = {
  headers: { contentType: 'text/x', cacheControl: 'no-store', contentDisposition: 'attachment; filename="a"', contentEncoding: 'gzip', contentLanguage: 'de', expires: 'Thu, 01 Jan 2037 00:00:00 GMT' },
  userMetadata: new Map([['plain', 'v'], ['uni', 'Grüße']]), tags: new Map([['a b', 'c&d=é']]), storageClass: 'STANDARD_IA',
};

test('F065, F068, F075: small and large objects show the AWS SDK the same attributes, and no ACL was sent', async () => {
  await using bench = await startBench();
  const store = bench.store();
  const bytes = Buffer.alloc(2 * PART + 1, 7);
  await store.write({ key: 'small', body: bodyOf(bytes), attributes: rich, guard: none });
  const big = await upload(store, 'big', bytes, rich);
  await multipart(store).complete({ ...big, attributes: rich, guard: none });
  for (const Key of ['small', 'big']) {
    const head = await bench.sdk.send(new HeadObjectCommand({ Bucket: 'bucket', Key }));
    assert.deepEqual([head.ContentType, head.CacheControl, head.ContentDisposition, head.ContentEncoding, head.ContentLanguage, head.StorageClass], ['text/x', 'no-store', 'attachment; filename="a"', 'gzip', 'de', 'STANDARD_IA'], Key);
    assert.equal(head.Metadata?.['plain'], 'v');
    assert.equal(head.Metadata?.['uni'], `=?UTF-8?B?${Buffer.from('Grüße').toString('base64')}?=`);
    const tags = await bench.sdk.send(new GetObjectTaggingCommand({ Bucket: 'bucket', Key }));
    assert.deepEqual(tags.TagSet, [{ Key: 'a b', Value: 'c&d=é' }]);
  }
});

test('what the AWS SDK wrote with metadata and tags is read as such', async () => {
  await using bench = await startBench();
  await bench.sdk.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'k', Body: 'x', Metadata: { a: 'b c' }, Tagging: 'x=y%20z', ContentLanguage: 'fr' }));
  const store = bench.store();
  const info = await store.head('k', { checksum: true });
  assert.deepEqual([...info.userMetadata], [['a', 'b c']]);
  assert.equal(info.headers.contentLanguage, 'fr');
  assert.deepEqual(info.checksum, checksumOf('crc32', Buffer.from('x')));
  assert.deepEqual([...await store.readTags?.('k') ?? []], [['x', 'y z']]);
});

test('streamed bodies arrive whole in each way of sending: signed frames, trailer, bare; the AWS SDK reads them back', async () => {
  await using bench = await startBench();
  const bytes = Buffer.from(Array.from({ length: 700_001 }, (_, i) => i % 251));
  const ways = { signed: { payloadSigning: 'signed' }, trailer: { payloadSigning: 'unsigned' }, bare: { payloadSigning: 'unsigned', profile: smallParts('generic') } } as const;
  for (const [Key, options] of Object.entries(ways)) {
    const written = await bench.store(options).write({ key: Key, body: streamOf(bytes), attributes: rich, guard: none });
    assert.equal(written.sent?.hex, checksumOf('crc32', bytes).hex, Key);
    const got = await bench.sdk.send(new GetObjectCommand({ Bucket: 'bucket', Key }));
    assert.ok(bytes.equals(Buffer.from(await got.Body?.transformToByteArray() ?? [])), Key);
    assert.equal(got.ContentEncoding, 'gzip');
  }
});

test('F012: a body that is shorter or longer than declared never becomes an object', async () => {
  await using bench = await startBench();
  for (const [size, declared] of [[10, 11], [11, 10], [1, 0], [300_000, 300_001], [300_001, 300_000]] as const) {
    for (const payloadSigning of ['signed', 'unsigned'] as const) {
      for (const profile of [smallParts('aws'), smallParts('generic')]) {
        const store = bench.store({ payloadSigning, profile });
        const error = await errorOf(store.write({ ...put, key: 'k', body: streamOf(Buffer.alloc(size), declared) }));
        assert.equal(error.code, 'E_BODY_SIZE', `${size} as ${declared}, ${payloadSigning}, ${profile.name}`);
        assert.equal((await errorOf(store.head('k'))).kind, 'gone');
      }
    }
  }
});

test('a checksum that the store answers differently is E_CHECKSUM_MISMATCH', async () => {
  await using server = await startScripted(() => ({ headers: { etag: '"x"', 'x-amz-checksum-crc32': 'AAAAAA==' } }));
  const error = await errorOf(server.store().write({ ...put, key: 'k', body: bodyOf('hello') }));
  assert.deepEqual([error.code, error.kind], ['E_CHECKSUM_MISMATCH', 'transient']);
});

test('F020: the profile decides what goes with a PUT: checksum header, Content-MD5 or nothing', async () => {
  await using server = await startScripted(() => ({ headers: { etag: '"x"' } }));
  const sent = async (options: Parameters<typeof server.store>[0]): Promise<Asked['headers']> => {
    await server.store({ payloadSigning: 'unsigned', ...options }).write({ ...put, key: 'k', body: bodyOf('hello') });
    return server.asked.at(-1)?.headers ?? {};
  };
  assert.equal((await sent({}))['x-amz-checksum-crc32'], Buffer.from(checksumOf('crc32', Buffer.from('hello')).hex, 'hex').toString('base64'));
  assert.equal((await sent({ profile: smallParts('generic') }))['content-md5'], 'XUFAKrxLKna5cZ2REBfFkg==');
  assert.equal((await sent({ checksum: 'sha256' }))['x-amz-checksum-sha256'], 'LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=');
  const nothing = await sent({ checksum: 'none' });
  assert.deepEqual(Object.keys(nothing).filter((name) => /checksum|md5/.test(name)), []);
  assert.equal(nothing['x-amz-content-sha256'], 'UNSIGNED-PAYLOAD');
  assert.equal((await sent({ payloadSigning: 'auto' }))['x-amz-content-sha256'], '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824');
});

test('guards: headers where the store takes them, a look before where it does not enforce them', async () => {
  const run = async (name: string, guards = smallParts(name).guards): Promise<string[]> => {
    await using server = await startScripted(({ method }) => (method === 'HEAD' ? { status: 404 } : { headers: { etag: '"x"' } }));
    await errorOf(server.store({ profile: smallParts(name, { guards }) }).write({ ...put, key: 'k', body: bodyOf(''), guard: { kind: 'matches', token: 'old' } })).catch(() => undefined);
    await server.store({ profile: smallParts(name, { guards }) }).write({ ...put, key: 'k', body: bodyOf(''), guard: { kind: 'absent' } }).catch(() => undefined);
    return server.asked.map(({ method, headers }) => `${method} ${headers['if-none-match'] ?? headers['if-match'] ?? '-'}`);
  };
  assert.deepEqual(await run('aws'), ['PUT "old"', 'PUT *']);
  // The bucket answers 404 too, so the look before fails as a missing bucket: nothing is written on doubt.
  assert.deepEqual((await run('generic')).filter((line) => line.startsWith('PUT')), []);
});

test('F009, F010: a 200 that holds an error, or nothing, is no success', async () => {
  const cases: [Answer, string, string][] = [
    [{ body: errorXml('InternalError') }, 'E_SERVER', 'transient'],
    [{ body: errorXml('SlowDown') }, 'E_THROTTLED', 'throttled'],
    [{ body: `<?xml version="1.0"?>\n   ${errorXml('NoSuchUpload').slice(38)}` }, 'E_UPLOAD_GONE', 'gone'],
    [{ body: errorXml('PreconditionFailed') }, 'E_CONFLICT', 'conflict'],
    [{ body: '' }, 'E_UNEXPECTED_ANSWER', 'transient'],
    [{ body: '<html>ok</html>' }, 'E_UNEXPECTED_ANSWER', 'transient'],
    [{ body: '<CompleteMultipartUploadResult><ETag>"x' }, 'E_UNEXPECTED_ANSWER', 'transient'],
  ];
  for (const [answer, code, kind] of cases) {
    await using server = await startScripted(() => answer);
    const complete = multipart(server.store()).complete({ upload: { key: 'k', id: 'u', size: 1, partSize: PART }, parts: [{ number: 1, size: 1, token: 't' }], attributes: NO_ATTRIBUTES, guard: none });
    const error = await errorOf(complete);
    assert.deepEqual([error.code, error.kind], [code, kind], answer.body as string);
    const copy = server.store().serverCopy?.copy({ source: server.store(), key: 'k', size: 1, pin: { token: 't' }, attributes: NO_ATTRIBUTES, guard: none });
    assert.notEqual((await errorOf(copy as Promise<unknown>)).code, 'E_GONE');
  }
});

test('F009: a copy counts once HEAD shows its size', async () => {
  await using server = await startScripted(({ method }) => (method === 'HEAD' ? { headers: { etag: '"n"' }, body: 'abc' } : { body: '<CopyObjectResult><ETag>"n"</ETag></CopyObjectResult>' }));
  const store = server.store();
  const copy = (size: number): Promise<unknown> => store.serverCopy?.copy({ source: store, key: 'a b+c/é//x?', size, pin: { token: 't', versionId: 'v 1' }, attributes: NO_ATTRIBUTES, guard: none }) as Promise<unknown>;
  assert.deepEqual(await copy(3), { token: 'n' });
  assert.equal((await errorOf(copy(4))).code, 'E_COPY_UNPROVEN');
  const { headers } = server.asked[0] as Asked;
  assert.equal(headers['x-amz-copy-source'], '/bucket/a%20b%2Bc/%C3%A9//x%3F?versionId=v%201', 'F036');
  assert.equal(headers['x-amz-copy-source-if-match'], '"t"');
  assert.equal(headers['x-amz-metadata-directive'], 'REPLACE');
});

test('an empty ETag on Complete (radosgw) is asked for by HEAD', async () => {
  await using server = await startScripted(({ method }) => (method === 'HEAD' ? { headers: { etag: '"real-1"' }, body: 'x' } : { body: '<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>' }));
  const written = await multipart(server.store()).complete({ upload: { key: 'k', id: 'u', size: 1, partSize: PART }, parts: [{ number: 1, size: 1, token: 't' }], attributes: NO_ATTRIBUTES, guard: none });
  assert.equal(written.token, 'real-1');
});

test('F011: parts that are missing, or do not add up, are not completed', async () => {
  await using server = await startScripted(() => ({ body: '' }));
  const complete = (parts: Part[]): Promise<unknown> => multipart(server.store()).complete({ upload: { key: 'k', id: 'u', size: 3, partSize: 2 }, parts, attributes: NO_ATTRIBUTES, guard: none });
  for (const parts of [[], [{ number: 2, size: 3, token: 't' }], [{ number: 1, size: 2, token: 't' }]]) assert.equal((await errorOf(complete(parts))).code, 'E_PART_MISSING');
  assert.equal(server.asked.length, 0);
});

test('a multipart object carries one checksum over all of it, and another is refused', async () => {
  await using bench = await startBench();
  const store = bench.store();
  const bytes = Buffer.from(Array.from({ length: 3 * PART + 5 }, (_, i) => i % 253));
  const good = await upload(store, 'k', bytes);
  assert.equal(good.upload.checksumAlgorithm, 'crc32');
  const whole = checksumOf('crc32', bytes);
  const wrong = await errorOf(multipart(store).complete({ ...good, attributes: NO_ATTRIBUTES, guard: none, checksum: { ...whole, hex: '00000000' } }));
  assert.notEqual(wrong.kind, 'internal');
  const written = await multipart(store).complete({ ...good, attributes: NO_ATTRIBUTES, guard: none, checksum: whole });
  assert.deepEqual(written.checksum, whole);
  assert.deepEqual((await store.head('k', { checksum: true })).checksum, whole);
  assert.ok(bytes.equals(await gather((await store.read({ key: 'k', expectedSize: bytes.length })).chunks)));
});

test('F072: abort is repeated until no part is shown', async () => {
  let aborts = 0;
  await using server = await startScripted(({ method }) => {
    if (method === 'DELETE') return { status: ++aborts > 0 ? 204 : 500 };
    if (aborts >= 3) return { status: 404, body: errorXml('NoSuchUpload') };
    return { body: '<ListPartsResult><IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber><ETag>"a"</ETag><Size>1</Size></Part></ListPartsResult>' };
  });
  await multipart(server.store()).abort({ key: 'k', id: 'u', size: 1, partSize: 1 });
  assert.equal(aborts, 3);
});

test('F051, F045, F064, F046: what a provider cannot hold is refused before any request', async () => {
  await using server = await startScripted(() => ({}));
  const why = (name: string, key: string, size = 1, over = {}): string | undefined => server.store({ profile: smallParts(name), ...over }).refuses({ key, size })?.code;
  assert.equal(why('gcs-interop', 'a\rb'), 'E_NAME_FORBIDDEN');
  assert.equal(why('gcs-interop', '..'), 'E_NAME_FORBIDDEN');
  assert.equal(why('minio', 'a//b'), 'E_NAME_FORBIDDEN');
  assert.equal(why('aws', 'a//b/../c'), undefined);
  assert.equal(why('versitygw', 'a/../c'), 'E_KEY_UNADDRESSABLE');
  assert.equal(why('aws', 'é'.repeat(513)), 'E_NAME_TOO_LONG');
  assert.equal(why('aws', 'é'.repeat(512)), undefined);
  assert.equal(why('aws', 'x'.repeat(1024), 1, { prefix: 'p' }), 'E_NAME_TOO_LONG');
  assert.equal(why('aws', 'k', 60_000 * 1024 * MiB), 'E_TOO_LARGE');
  assert.equal(why('aws', ''), 'E_KEY_EMPTY');
  assert.equal(why('aws', 'a\udcffb'), 'E_NAME_NOT_UTF8');
  assert.equal(why('aws', 'a\udcffb', 1, { nonUtf8: 'escape' }), undefined);
  assert.equal((await errorOf(server.store().head(''))).code, 'E_KEY_EMPTY');
  assert.equal((await errorOf(server.store({ profile: smallParts('versitygw') }).head('..'))).code, 'E_KEY_UNADDRESSABLE', 'F035');
  assert.equal(server.asked.length, 0);
});

test('F046: a name that is not UTF-8 travels escaped where that is chosen', async () => {
  await using server = await startScripted(() => ({ headers: { etag: '"x"' } }));
  await server.store({ nonUtf8: 'escape' }).write({ ...put, key: 'a%\udcffb', body: bodyOf('') });
  assert.equal(server.asked[0]?.url, '/bucket/a%2525%25FFb');
});
