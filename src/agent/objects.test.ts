import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import {
  CopyObjectCommand, DeleteObjectCommand, DeleteObjectsCommand, GetObjectAttributesCommand, GetObjectCommand, GetObjectTaggingCommand, HeadObjectCommand,
  ListObjectsV2Command, PutBucketVersioningCommand, PutObjectCommand, PutObjectTaggingCommand, RestoreObjectCommand, ListObjectVersionsCommand,
} from '@aws-sdk/client-s3';
import type { ChecksumAlgorithm } from '@aws-sdk/client-s3';
import { digestOf } from './checksums.ts';
import { bucketName as Bucket, failure, sendSigned, startBench } from './fixture.test.ts';
import type { Bench } from './fixture.test.ts';
import { seedObject } from './seeding.ts';

const put = (bench: Bench, Key: string, Body = 'content', more: object = {}) => bench.client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const get = async (bench: Bench, Key: string, more: object = {}) => {
  const answer = await bench.client.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return { ...answer, text: await answer.Body!.transformToString() };
};

test('every property of an object comes back as it was given', async () => {
  await using bench = await startBench();
  const given = {
    CacheControl: 'no-cache', ContentDisposition: 'attachment; filename="a.txt"', ContentEncoding: 'gzip', ContentLanguage: 'de', ContentType: 'text/x-test',
    Expires: new Date('2030-01-01T00:00:00Z'), Metadata: { one: '1', 'two-words': 'a  b', __proto__x: 'y' }, StorageClass: 'STANDARD_IA' as const,
    WebsiteRedirectLocation: '/elsewhere',
  };
  await put(bench, 'k', 'content', { ...given, Tagging: 'a=1&b=x%20y', ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'key-1' });
  const head = await bench.client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  const { Expires, ...rest } = given;
  for (const [name, value] of Object.entries(rest)) assert.deepEqual(head[name as keyof typeof head], value, name);
  assert.equal(head.ExpiresString, Expires.toUTCString());
  assert.equal(head.ServerSideEncryption, 'aws:kms');
  assert.equal(head.SSEKMSKeyId, 'key-1');
  assert.notEqual(head.ETag, `"${createHash('md5').update('content').digest('hex')}"`, 'a KMS object has an opaque ETag');
  const tags = await bench.client.send(new GetObjectTaggingCommand({ Bucket, Key: 'k' }));
  assert.deepEqual(tags.TagSet, [{ Key: 'a', Value: '1' }, { Key: 'b', Value: 'x y' }]);
});

test('metadata bytes outside ASCII are answered in RFC 2047 form', async () => {
  await using bench = await startBench();
  const raw = Buffer.from('grün').toString('latin1');
  // A buffer: with a string node would send the header block as UTF-8 along with it.
  const { status } = await sendSigned(bench.endpoint.url, { method: 'PUT', path: `/${Bucket}/k`, headers: { 'x-amz-meta-colour': raw }, body: Buffer.from('x') });
  assert.equal(status, 200);
  const head = await bench.client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  assert.equal(head.Metadata?.['colour'], `=?UTF-8?B?${Buffer.from('grün').toString('base64')}?=`);
});

for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const satisfies ChecksumAlgorithm[]) {
  test(`${algorithm} is verified from header and trailer, stored and returned`, async () => {
    await using bench = await startBench();
    const right = digestOf(algorithm, Buffer.from('content')).toString('base64');
    const wrong = digestOf(algorithm, Buffer.from('other')).toString('base64');
    const name = `x-amz-checksum-${algorithm.toLowerCase()}`;
    const raw = (value: string) => sendSigned(bench.endpoint.url, { method: 'PUT', path: `/${Bucket}/h`, headers: { [name]: value }, body: 'content' });
    assert.match((await raw(wrong)).body, /<Code>BadDigest</);
    assert.equal((await failure(bench.client.send(new HeadObjectCommand({ Bucket, Key: 'h' })))).status, 404);
    assert.equal((await raw(right)).headers[name], right);
    const trailer = (value: string) => sendSigned(bench.endpoint.url, {
      method: 'PUT', path: `/${Bucket}/t`, payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      headers: { 'content-encoding': 'aws-chunked', 'x-amz-trailer': name, 'x-amz-decoded-content-length': '7' }, body: `7\r\ncontent\r\n0\r\n${name}:${value}\r\n\r\n`,
    });
    assert.match((await trailer(wrong)).body, /<Code>BadDigest</);
    assert.equal((await trailer(right)).status, 200);
    for (const key of ['h', 't']) {
      const read = await get(bench, key, { ChecksumMode: 'ENABLED' });
      assert.equal(read[`Checksum${algorithm}`], right);
      assert.equal(read.ChecksumType, 'FULL_OBJECT');
      assert.equal(read.ContentEncoding, undefined, 'aws-chunked names the transfer only');
    }
  });
}

test('the SDK agrees with each checksum, stream bodies included', async () => {
  await using bench = await startBench();
  for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'SHA1', 'SHA256'] as const) {
    await put(bench, 'k', 'content', { ChecksumAlgorithm });
    assert.equal((await get(bench, 'k', { ChecksumMode: 'ENABLED' })).text, 'content');
  }
});

test('Content-MD5 and the payload hash are verified', async () => {
  await using bench = await startBench();
  const raw = (headers: Record<string, string>, payload?: string) =>
    sendSigned(bench.endpoint.url, { method: 'PUT', path: `/${Bucket}/k`, headers, body: 'content', ...(payload === undefined ? {} : { payload }) });
  assert.equal((await raw({ 'content-md5': digestOf('MD5', Buffer.from('content')).toString('base64') })).status, 200);
  assert.match((await raw({ 'content-md5': digestOf('MD5', Buffer.from('x')).toString('base64') })).body, /<Code>BadDigest</);
  assert.match((await raw({ 'content-md5': 'nonsense' })).body, /<Code>InvalidDigest</);
  assert.equal((await raw({}, digestOf('SHA256', Buffer.from('content')).toString('hex'))).status, 200);
  assert.match((await raw({}, digestOf('SHA256', Buffer.from('x')).toString('hex'))).body, /<Code>XAmzContentSHA256Mismatch</);
});

test('without a checksum an object gets CRC64NVME, or none where the server is like that', async () => {
  for (const [defaultChecksum, expected] of [['CRC64NVME', digestOf('CRC64NVME', Buffer.from('content')).toString('base64')], ['none', undefined]] as const) {
    await using bench = await startBench({ behaviours: { defaultChecksum } });
    await sendSigned(bench.endpoint.url, { method: 'PUT', path: `/${Bucket}/k`, body: 'content' });
    const head = await bench.client.send(new HeadObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }));
    assert.equal(head.ChecksumCRC64NVME, expected);
  }
});

test('ranges: first bytes, middle, suffix, open end, beyond the end, outside, nonsense', async () => {
  await using bench = await startBench();
  await put(bench, 'k', '0123456789');
  await put(bench, 'empty', '');
  const cases: [range: string, text: string, contentRange: string | undefined][] = [
    ['bytes=0-3', '0123', 'bytes 0-3/10'], ['bytes=4-4', '4', 'bytes 4-4/10'], ['bytes=-3', '789', 'bytes 7-9/10'], ['bytes=-30', '0123456789', 'bytes 0-9/10'],
    ['bytes=8-', '89', 'bytes 8-9/10'], ['bytes=8-99', '89', 'bytes 8-9/10'], ['bytes=0-1,4-5', '0123456789', undefined], ['bytes=5-4', '0123456789', undefined], ['lines=1-2', '0123456789', undefined],
  ];
  for (const [Range, text, contentRange] of cases) {
    const read = await get(bench, 'k', { Range });
    assert.deepEqual([read.text, read.ContentRange, read.$metadata.httpStatusCode], [text, contentRange, contentRange === undefined ? 200 : 206], Range);
  }
  for (const [Key, Range] of [['k', 'bytes=10-'], ['k', 'bytes=-0'], ['empty', 'bytes=0-'], ['empty', 'bytes=0-0']]) {
    assert.deepEqual(await failure(get(bench, Key!, { Range })), { name: 'InvalidRange', status: 416 }, `${Key} ${Range}`);
  }
});

test('conditional reads follow RFC 9110: 304, 412, precedence', async () => {
  await using bench = await startBench();
  const { ETag } = await put(bench, 'k');
  const [past, future] = [new Date(0), new Date(Date.now() + 60_000)];
  const status = async (more: object) => (await failure(get(bench, 'k', more))).status;
  assert.equal(await status({ IfMatch: ETag }), 0);
  assert.equal(await status({ IfMatch: '"other"' }), 412);
  assert.equal(await status({ IfNoneMatch: ETag }), 304);
  assert.equal(await status({ IfNoneMatch: '"other"' }), 0);
  assert.equal(await status({ IfModifiedSince: future }), 304);
  assert.equal(await status({ IfModifiedSince: past }), 0);
  assert.equal(await status({ IfUnmodifiedSince: past }), 412);
  assert.equal(await status({ IfUnmodifiedSince: past, IfMatch: ETag }), 0);
  assert.equal(await status({ IfModifiedSince: future, IfNoneMatch: '"other"' }), 0);
});

test('conditional writes: only-if-absent and only-if-unchanged; of many racing creations one wins', async () => {
  await using bench = await startBench();
  const race = await Promise.allSettled(Array.from({ length: 10 }, (_, n) => put(bench, 'k', `writer ${n}`, { IfNoneMatch: '*' })));
  assert.equal(race.filter((r) => r.status === 'fulfilled').length, 1);
  assert.deepEqual(await failure(put(bench, 'k', 'x', { IfNoneMatch: '*' })), { name: 'PreconditionFailed', status: 412 });
  assert.deepEqual(await failure(put(bench, 'k', 'x', { IfMatch: '"other"' })), { name: 'PreconditionFailed', status: 412 });
  assert.deepEqual(await failure(put(bench, 'absent', 'x', { IfMatch: '"other"' })), { name: 'NoSuchKey', status: 404 });
  const { ETag } = await bench.client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  await put(bench, 'k', 'new', { IfMatch: ETag });
  assert.equal((await get(bench, 'k')).text, 'new');
});

test('copies keep or replace metadata and tags, and pin their source', async () => {
  await using bench = await startBench();
  const { ETag } = await put(bench, 'from/a+b %', 'content', { Metadata: { a: '1' }, ContentType: 'text/plain', Tagging: 't=1', StorageClass: 'STANDARD_IA' });
  const copy = (Key: string, more: object = {}) =>
    bench.client.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/${encodeURIComponent('from/a+b %')}`, ...more }));
  await copy('kept', { CopySourceIfMatch: ETag });
  const kept = await get(bench, 'kept');
  assert.deepEqual([kept.text, kept.Metadata, kept.ContentType, kept.TagCount, kept.StorageClass], ['content', { a: '1' }, 'text/plain', 1, undefined]);
  await copy('replaced', { MetadataDirective: 'REPLACE', TaggingDirective: 'REPLACE', Metadata: { b: '2' }, Tagging: 'x=1&y=2' });
  const replaced = await get(bench, 'replaced');
  assert.deepEqual([replaced.Metadata, replaced.ContentType, replaced.TagCount], [{ b: '2' }, 'binary/octet-stream', 2]);
  assert.equal((await failure(copy('no', { CopySourceIfMatch: '"other"' }))).status, 412);
  assert.equal((await failure(copy('kept', { IfNoneMatch: '*' }))).status, 412);
  assert.equal((await failure(copy('from/a+b %'))).name, 'InvalidRequest');
  assert.equal((await failure(copy('k', { CopySource: `${Bucket}/absent` }))).name, 'NoSuchKey');
});

test('versions: a delete leaves a marker, old versions stay readable, null versions are replaced', async () => {
  await using bench = await startBench();
  await put(bench, 'k', 'before');
  await bench.client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }));
  const first = await put(bench, 'k', 'one');
  await put(bench, 'k', 'two');
  const gone = await bench.client.send(new DeleteObjectCommand({ Bucket, Key: 'k' }));
  assert.equal(gone.DeleteMarker, true);
  assert.equal((await failure(get(bench, 'k'))).name, 'NoSuchKey');
  assert.equal((await failure(get(bench, 'k', { VersionId: gone.VersionId }))).status, 405);
  assert.equal((await get(bench, 'k', { VersionId: first.VersionId })).text, 'one');
  assert.equal((await get(bench, 'k', { VersionId: 'null' })).text, 'before');
  assert.equal((await failure(get(bench, 'k', { VersionId: 'x'.repeat(32) }))).name, 'NoSuchVersion');
  assert.equal((await bench.client.send(new ListObjectsV2Command({ Bucket }))).KeyCount, 0);
  await bench.client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/k?versionId=${first.VersionId}` }));
  assert.equal((await get(bench, 'copy')).text, 'one');
  await bench.client.send(new DeleteObjectCommand({ Bucket, Key: 'k', VersionId: gone.VersionId! }));
  assert.equal((await get(bench, 'k')).text, 'two');
  await bench.client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Suspended' } }));
  await put(bench, 'k', 'after');
  const listed = await bench.client.send(new ListObjectVersionsCommand({ Bucket, Prefix: 'k' }));
  assert.deepEqual(listed.Versions?.map((v) => [v.VersionId === 'null', v.IsLatest]), [[true, true], [false, false], [false, false]]);
});

test('DeleteObjects deletes what is named and tells what it did', async () => {
  await using bench = await startBench();
  for (const key of ['a', 'b', 'c\u0001<&>']) await put(bench, key);
  const answer = await bench.client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'a' }, { Key: 'never there' }, { Key: 'b', ETag: '"other"' }] } }));
  assert.deepEqual(answer.Deleted?.map((d) => d.Key), ['a', 'never there']);
  assert.deepEqual(answer.Errors?.map((e) => [e.Key, e.Code]), [['b', 'PreconditionFailed']]);
  const bare = await sendSigned(bench.endpoint.url, { method: 'POST', path: `/${Bucket}`, query: 'delete=', body: '<Delete><Object><Key>b</Key></Object></Delete>' });
  assert.match(bare.body, /Missing required header for this request: Content-MD5/);
});

test('archived objects are not readable until restored', async () => {
  await using bench = await startBench();
  await put(bench, 'k', 'content', { StorageClass: 'DEEP_ARCHIVE' });
  assert.deepEqual(await failure(get(bench, 'k')), { name: 'InvalidObjectState', status: 403 });
  assert.equal((await bench.client.send(new HeadObjectCommand({ Bucket, Key: 'k' }))).StorageClass, 'DEEP_ARCHIVE');
  assert.equal((await failure(bench.client.send(new CopyObjectCommand({ Bucket, Key: 'k2', CopySource: `${Bucket}/k` })))).name, 'InvalidObjectState');
  await bench.client.send(new RestoreObjectCommand({ Bucket, Key: 'k', RestoreRequest: { Days: 2 } }));
  const restored = await get(bench, 'k');
  assert.equal(restored.text, 'content');
  assert.match(restored.Restore ?? '', /ongoing-request="false"/);
});

test('requester-pays and ownership-enforced buckets refuse who does not comply', async () => {
  await using bench = await startBench();
  await put(bench, 'k');
  assert.equal((await failure(put(bench, 'k', 'x', { ACL: 'public-read' }))).name, 'AccessControlListNotSupported');
  await put(bench, 'k', 'x', { ACL: 'bucket-owner-full-control' });
  bench.layout.bucket(Bucket)!.requestPayment = 'Requester';
  assert.equal((await failure(get(bench, 'k'))).name, 'AccessDenied');
  assert.equal((await get(bench, 'k', { RequestPayer: 'requester' })).RequestCharged, 'requester');
});

test('object attributes and tag replacement', async () => {
  await using bench = await startBench();
  await put(bench, 'k', 'content', { ChecksumAlgorithm: 'SHA256' });
  const attributes = await bench.client.send(new GetObjectAttributesCommand({ Bucket, Key: 'k', ObjectAttributes: ['ETag', 'Checksum', 'ObjectSize', 'StorageClass', 'ObjectParts'] }));
  assert.deepEqual(attributes.Checksum, { ChecksumSHA256: digestOf('SHA256', Buffer.from('content')).toString('base64'), ChecksumType: 'FULL_OBJECT' });
  assert.deepEqual([attributes.ObjectSize, attributes.StorageClass, attributes.ObjectParts], [7, 'STANDARD', undefined]);
  await bench.client.send(new PutObjectTaggingCommand({ Bucket, Key: 'k', Tagging: { TagSet: [{ Key: 'ключ', Value: '+ &' }] } }));
  assert.deepEqual((await bench.client.send(new GetObjectTaggingCommand({ Bucket, Key: 'k' }))).TagSet, [{ Key: 'ключ', Value: '+ &' }]);
  const eleven = Array.from({ length: 11 }, (_, n) => ({ Key: `${n}`, Value: '' }));
  assert.equal((await failure(bench.client.send(new PutObjectTaggingCommand({ Bucket, Key: 'k', Tagging: { TagSet: eleven } })))).name, 'BadRequest');
});

test('seeded objects are read like any other', async () => {
  await using bench = await startBench();
  await seedObject(bench.layout, Bucket, { key: 'seeded', meta: new Map([['a', 'b']]) }, 'seed');
  const read = await get(bench, 'seeded', { ChecksumMode: 'ENABLED' });
  assert.deepEqual([read.text, read.Metadata, read.ETag], ['seed', { a: 'b' }, `"${createHash('md5').update('seed').digest('hex')}"`]);
});
