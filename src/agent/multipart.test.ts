import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CreateMultipartUploadCommand, GetObjectAttributesCommand, GetObjectCommand, HeadObjectCommand, ListPartsCommand, PutObjectCommand, UploadPartCommand, UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import type { CompletedPart } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { digestOf } from './checksums.ts';
import type { Algorithm } from './checksums.ts';
import type { Behaviours } from './context.ts';
import { bucketName as Bucket, failure, startBench } from './fixture.test.ts';
import type { Bench } from './fixture.test.ts';

const small = (behaviours: Partial<Behaviours> = {}): Promise<Bench> => startBench({ limits: { minPartBytes: 10 }, behaviours });
const Key = 'big';
const texts = ['first part..', 'second part..', 'end'];

async function begin(bench: Bench, more: object = {}): Promise<string> {
  return (await bench.client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }))).UploadId!;
}

async function upload(bench: Bench, UploadId: string, contents: readonly string[], more: object = {}): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = [];
  for (const [index, Body] of contents.entries()) {
    const { ETag, ChecksumCRC32, ChecksumCRC32C, ChecksumSHA1, ChecksumSHA256, ChecksumCRC64NVME } = await bench.client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: index + 1, Body, ...more }));
    parts.push({ PartNumber: index + 1, ETag, ChecksumCRC32, ChecksumCRC32C, ChecksumSHA1, ChecksumSHA256, ChecksumCRC64NVME });
  }
  return parts;
}

const complete = (bench: Bench, UploadId: string, Parts: CompletedPart[], more: object = {}) =>
  bench.client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }));

const whole = Buffer.from(texts.join(''));

test('a multipart object has the parts\' bytes, the ETag of its parts, its attributes, and readable parts', async () => {
  await using bench = await small();
  const id = await begin(bench, { Metadata: { a: '1' }, ContentType: 'text/plain', Tagging: 't=1' });
  const parts = await upload(bench, id, texts);
  assert.equal((await failure(bench.client.send(new HeadObjectCommand({ Bucket, Key })))).status, 404, 'nothing before Complete');
  const listed = await bench.client.send(new ListPartsCommand({ Bucket, Key, UploadId: id, MaxParts: 2 }));
  assert.deepEqual([listed.Parts?.map((p) => p.Size), listed.IsTruncated, listed.NextPartNumberMarker], [[12, 13], true, '2']);
  const { ETag } = await complete(bench, id, parts);
  const md5s = Buffer.concat(texts.map((t) => createHash('md5').update(t).digest()));
  assert.equal(ETag, `"${createHash('md5').update(md5s).digest('hex')}-3"`);
  const read = await bench.client.send(new GetObjectCommand({ Bucket, Key, PartNumber: 2 }));
  assert.deepEqual([await read.Body!.transformToString(), read.PartsCount, read.ContentRange, read.$metadata.httpStatusCode], [texts[1], 3, 'bytes 12-24/28', 206]);
  const head = await bench.client.send(new HeadObjectCommand({ Bucket, Key }));
  assert.deepEqual([head.Metadata, head.ContentType, head.ContentLength], [{ a: '1' }, 'text/plain', 28]);
  assert.equal((await failure(complete(bench, id, parts))).name, 'NoSuchUpload');
});

for (const [ChecksumAlgorithm, ChecksumType] of [['CRC32', 'FULL_OBJECT'], ['CRC32C', 'FULL_OBJECT'], ['CRC64NVME', 'FULL_OBJECT'], ['CRC32', 'COMPOSITE'], ['CRC32C', 'COMPOSITE'], ['SHA1', 'COMPOSITE'], ['SHA256', 'COMPOSITE']] as const) {
  test(`${ChecksumAlgorithm} ${ChecksumType}: computed, verified against the claim, told by HEAD`, async () => {
    await using bench = await small();
    const id = await begin(bench, { ChecksumAlgorithm, ChecksumType });
    const parts: CompletedPart[] = [];
    for (const [index, text] of texts.entries()) {
      const value = digestOf(ChecksumAlgorithm, Buffer.from(text)).toString('base64');
      const { ETag } = await bench.client.send(new UploadPartCommand({ Bucket, Key, UploadId: id, PartNumber: index + 1, Body: text, [`Checksum${ChecksumAlgorithm}`]: value }));
      parts.push({ PartNumber: index + 1, ETag, [`Checksum${ChecksumAlgorithm}`]: value });
    }
    const raws = Buffer.concat(texts.map((t) => digestOf(ChecksumAlgorithm as Algorithm, Buffer.from(t))));
    const expected = ChecksumType === 'FULL_OBJECT' ? digestOf(ChecksumAlgorithm, whole).toString('base64') : `${digestOf(ChecksumAlgorithm, raws).toString('base64')}-3`;
    const field = `Checksum${ChecksumAlgorithm}`;
    const wrong = digestOf(ChecksumAlgorithm, Buffer.from('x')).toString('base64') + (ChecksumType === 'COMPOSITE' ? '-3' : '');
    assert.equal((await failure(complete(bench, id, parts, { [field]: wrong, ChecksumType }))).name, 'BadDigest');
    await complete(bench, id, parts, { [field]: expected, ChecksumType });
    const head = await bench.client.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
    assert.deepEqual([head[field as 'ChecksumCRC32'], head.ChecksumType], [expected, ChecksumType]);
    const attributes = await bench.client.send(new GetObjectAttributesCommand({ Bucket, Key, ObjectAttributes: ['ObjectParts', 'Checksum'] }));
    assert.deepEqual([attributes.ObjectParts?.TotalPartsCount, attributes.ObjectParts?.Parts?.map((p) => p.Size)], [3, [12, 13, 3]]);
  });
}

test('without an algorithm the object gets a full CRC64NVME', async () => {
  await using bench = await small();
  const sdk = bench.client;
  sdk.config.requestChecksumCalculation = () => Promise.resolve('WHEN_REQUIRED');
  const id = await begin(bench);
  await complete(bench, id, await upload(bench, id, texts));
  const head = await sdk.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
  assert.deepEqual([head.ChecksumCRC64NVME, head.ChecksumType], [digestOf('CRC64NVME', whole).toString('base64'), 'FULL_OBJECT']);
});

test('a part must bring the checksum its upload was declared with', async () => {
  await using bench = await small();
  const id = await begin(bench, { ChecksumAlgorithm: 'SHA256' });
  assert.equal((await failure(upload(bench, id, ['x'], { ChecksumAlgorithm: 'CRC32C' }))).name, 'InvalidRequest');
  bench.client.config.requestChecksumCalculation = () => Promise.resolve('WHEN_REQUIRED');
  assert.equal((await failure(upload(bench, id, ['x']))).name, 'InvalidRequest');
  const full = await begin(bench, { ChecksumAlgorithm: 'CRC32C', ChecksumType: 'FULL_OBJECT' });
  await complete(bench, full, (await upload(bench, full, texts)).map(({ PartNumber, ETag }) => ({ PartNumber, ETag })));
  const head = await bench.client.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
  assert.equal(head.ChecksumCRC32C, digestOf('CRC32C', whole).toString('base64'));
});

test('impossible checksum plans are refused at Create', async () => {
  await using bench = await small();
  assert.equal((await failure(begin(bench, { ChecksumAlgorithm: 'SHA256', ChecksumType: 'FULL_OBJECT' }))).name, 'InvalidRequest');
  assert.equal((await failure(begin(bench, { ChecksumAlgorithm: 'CRC64NVME', ChecksumType: 'COMPOSITE' }))).name, 'InvalidRequest');
});

test('Complete refuses a small part, a wrong order, an unknown part, a wrong ETag, a wrong size, and keeps the upload', async () => {
  await using bench = await small();
  const id = await begin(bench);
  const parts = await upload(bench, id, ['tiny', ...texts]);
  const [tiny, first, second, end] = parts as [CompletedPart, CompletedPart, CompletedPart, CompletedPart];
  const name = async (list: CompletedPart[], more: object = {}) => (await failure(complete(bench, id, list, more))).name;
  assert.equal(await name([tiny, first]), 'EntityTooSmall');
  assert.equal(await name([second, first]), 'InvalidPartOrder');
  assert.equal(await name([first, first]), 'InvalidPartOrder');
  assert.equal(await name([first, { ...second, PartNumber: 9 }]), 'InvalidPart');
  assert.equal(await name([first, { ...second, ETag: '"00000000000000000000000000000000"' }]), 'InvalidPart');
  assert.equal(await name([]), 'MalformedXML');
  assert.equal(await name([first, end], { MpuObjectSize: 1 }), 'InvalidRequest');
  await complete(bench, id, [first, end], { MpuObjectSize: 15 });
  assert.equal((await bench.client.send(new HeadObjectCommand({ Bucket, Key }))).ContentLength, 15);
});

test('a guarded Complete does not overwrite, and the upload can still be aborted', async () => {
  await using bench = await small();
  const { ETag } = await bench.client.send(new PutObjectCommand({ Bucket, Key, Body: 'already there' }));
  const id = await begin(bench);
  const parts = await upload(bench, id, texts);
  assert.deepEqual(await failure(complete(bench, id, parts, { IfNoneMatch: '*' })), { name: 'PreconditionFailed', status: 412 });
  assert.equal((await failure(complete(bench, id, parts, { IfMatch: '"other"' }))).status, 412);
  await complete(bench, id, parts, { IfMatch: ETag });
  const second = await begin(bench);
  await bench.client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: second }));
  assert.equal((await failure(upload(bench, second, ['x']))).name, 'NoSuchUpload');
  assert.equal((await failure(bench.client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: second })))).name, 'NoSuchUpload');
});

test('a part sent again replaces the first, also after the object was begun anew', async () => {
  await using bench = await small();
  const id = await begin(bench);
  const [old] = await upload(bench, id, ['the old first part']);
  const parts = await upload(bench, id, ['the new first part']);
  assert.equal((await failure(complete(bench, id, [old!]))).name, 'InvalidPart');
  await complete(bench, id, parts);
  assert.equal(await (await bench.client.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToString(), 'the new first part');
});

test('parts copied from another object, whole and by range', async () => {
  await using bench = await small();
  await bench.client.send(new PutObjectCommand({ Bucket, Key: 'src', Body: '0123456789abcdef' }));
  const id = await begin(bench);
  const part = async (PartNumber: number, more: object) => {
    const { CopyPartResult } = await bench.client.send(new UploadPartCopyCommand({ Bucket, Key, UploadId: id, PartNumber, CopySource: `${Bucket}/src`, ...more }));
    return { PartNumber, ...CopyPartResult };
  };
  const parts = [await part(1, {}), await part(2, { CopySourceRange: 'bytes=10-12' })];
  assert.equal((await failure(part(3, { CopySourceRange: 'bytes=10-16' }))).name, 'InvalidArgument');
  assert.equal((await failure(part(3, { CopySourceIfMatch: '"other"' }))).status, 412);
  await complete(bench, id, parts);
  assert.equal(await (await bench.client.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToString(), '0123456789abcdefabc');
});

test('a repeated Complete gets the first answer where the server is like that', async () => {
  await using bench = await small({ repeatedComplete: 'same answer' });
  const id = await begin(bench);
  const parts = await upload(bench, id, texts);
  const first = await complete(bench, id, parts);
  assert.equal((await complete(bench, id, parts)).ETag, first.ETag);
});

test('lib-storage uploads 12 MB in parts with S3\'s own limits', async () => {
  await using bench = await startBench();
  const Body = Buffer.alloc(12_000_000, 'brigade ');
  await new Upload({ client: bench.client, params: { Bucket, Key, Body } }).done();
  const read = await bench.client.send(new GetObjectCommand({ Bucket, Key }));
  assert.ok(Body.equals(await read.Body!.transformToByteArray()));
  assert.equal(bench.endpoint.stats.count('UploadPart'), 3);
  assert.equal(bench.endpoint.stats.object(Bucket, Key).get('CompleteMultipartUpload'), 1);
});
