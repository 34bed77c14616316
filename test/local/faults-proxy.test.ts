import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import {
  CompleteMultipartUploadCommand, CopyObjectCommand, CreateMultipartUploadCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand, UploadPartCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import type { Fault } from '../../src/faults/kinds.ts';
import { Rulebook } from '../../src/faults/rules.ts';
import type { Facts, Match, Rule } from '../../src/faults/rules.ts';
import { type Bench, Bucket, content, fetchRaw, Key, type Seen, startBench, stored, withFault } from './faults-bench.ts';

const get = async (bench: Bench, more: object = {}) => {
  const answer = await bench.client.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return { ...answer, text: await answer.Body!.transformToString() };
};
const failure = async (call: Promise<unknown>) => call.then(() => 'no error', (error: Error) => error.name);

test('without rules everything passes as it is, signatures and multipart included', async () => {
  await using bench = await startBench();
  assert.equal((await get(bench)).text, content);
  assert.equal((await get(bench, { Range: 'bytes=4-8' })).text, 'quick');
  const Body = Buffer.alloc(11_000_000, 'x');
  await new Upload({ client: bench.client, params: { Bucket, Key: 'a//b +%', Body } }).done();
  assert.equal((await bench.client.send(new HeadObjectCommand({ Bucket, Key: 'a//b +%' }))).ContentLength, Body.length);
  assert.equal(await failure(bench.client.send(new GetObjectCommand({ Bucket, Key: 'absent' }))), 'NoSuchKey');
});

test('status: the code, headers and body told; the target is not asked', async () => {
  await using bench = await startBench();
  const cases: [Fault, number, string][] = [
    [{ kind: 'status', status: 503, headers: { 'retry-after': '7' } }, 503, 'SlowDown'], [{ kind: 'status', status: 500 }, 500, 'InternalError'],
    [{ kind: 'status', status: 403 }, 403, 'AccessDenied'], [{ kind: 'status', status: 403, code: 'ExpiredToken' }, 403, 'ExpiredToken'], [{ kind: 'status', status: 429 }, 429, 'TooManyRequests'],
  ];
  bench.endpoint.stats.reset();
  for (const [fault, status, code] of cases) {
    bench.proxy.setRules([{ name: code, fault }]);
    const seen = await fetchRaw(bench, { method: 'PUT', body: Buffer.alloc(300_000) });
    assert.deepEqual([seen.status, /<Code>(\w+)</.exec(seen.body.toString())?.[1]], [status, code]);
    if (status === 503) assert.equal(seen.headers['retry-after'], '7');
  }
  assert.equal(bench.endpoint.stats.count(), 0);
});

test('empty and html: a 200 that says nothing, and one that says something else', async () => {
  await using bench = await withFault({ kind: 'empty' });
  const empty = await fetchRaw(bench);
  assert.deepEqual([empty.status, empty.body.length, empty.headers['content-length']], [200, 0, '0']);
  bench.proxy.setRules([{ name: 'h', fault: { kind: 'html' } }]);
  const html = await fetchRaw(bench);
  assert.deepEqual([html.status, html.headers['content-type'], html.body.toString().includes('<html>')], [200, 'text/html', true]);
});

async function listing(fault: Fault, query: string): Promise<{ text: string; seen: Seen }> {
  await using bench = await withFault(fault, { operation: 'ListObjectsV2' });
  for (const name of ['a', 'b', 'c']) await bench.client.send(new PutObjectCommand({ Bucket, Key: name, Body: name }));
  const token = /<NextContinuationToken>([^<]*)</.exec((await fetchRaw(bench, { target: `/${Bucket}?list-type=2&max-keys=1`, headers: {} })).body.toString())?.[1] ?? '';
  const seen = await fetchRaw(bench, { target: `/${Bucket}?${query.replace('TOKEN', token)}` });
  return { seen, text: seen.body.toString() };
}

test('truncated xml: shorter, with a length that fits', async () => {
  const { seen, text } = await listing({ kind: 'truncated xml', keep: 100 }, 'list-type=2');
  assert.deepEqual([seen.end, text.length, seen.headers['content-length'], text.includes('</ListBucketResult>')], ['end', 100, '100', false]);
});

test('truncated without token: more is promised, and no way to get it', async () => {
  const { text } = await listing({ kind: 'truncated without token' }, 'list-type=2&max-keys=2');
  assert.deepEqual([/<IsTruncated>(\w+)</.exec(text)?.[1], text.includes('NextContinuationToken')], ['true', false]);
});

test('repeated token: the next token is the one just used', async () => {
  await using bench = await startBench();
  for (const name of ['a', 'b', 'c']) await bench.client.send(new PutObjectCommand({ Bucket, Key: name, Body: name }));
  bench.proxy.add({ name: 'r', match: { operation: 'ListObjectsV2' }, fault: { kind: 'repeated token' } });
  const first = await bench.client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 1 }));
  for (let n = 0; n < 2; n++) {
    const next = await bench.client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 1, ContinuationToken: first.NextContinuationToken }));
    assert.deepEqual([next.Contents?.[0]?.Key, next.NextContinuationToken, next.IsTruncated], ['b', first.NextContinuationToken, true]);
  }
});

test('rewrite: the page edited by hand, its length with it', async () => {
  const { text, seen } = await listing({ kind: 'rewrite', edit: (t) => t.replace(/<Contents>.*<\/Contents>/, '') }, 'list-type=2');
  assert.deepEqual([text.includes('<Contents>'), text.includes('<KeyCount>4<'), seen.headers['content-length']], [false, true, String(text.length)]);
});

test('cut: the announced length stays, the connection closes early', async () => {
  await using bench = await withFault({ kind: 'cut', after: 100 });
  const seen = await fetchRaw(bench);
  assert.deepEqual([seen.headers['content-length'], seen.body.toString(), seen.end, seen.code], ['900', content.slice(0, 100), 'aborted', 'ECONNRESET']);
});

test('short close: no length, closed after so many bytes: a whole answer to all appearance', async () => {
  await using bench = await withFault({ kind: 'short close', after: 100 });
  const seen = await fetchRaw(bench);
  assert.deepEqual([seen.headers['content-length'], seen.headers['transfer-encoding'], seen.headers.connection, seen.body.toString(), seen.end], [undefined, undefined, 'close', content.slice(0, 100), 'end']);
});

test('stall: silence after so many bytes, for ever or for a while', async () => {
  await using bench = await withFault({ kind: 'stall', after: 100 });
  const silent = fetchRaw(bench);
  assert.equal(await Promise.race([silent, new Promise((resolve) => setTimeout(resolve, 200, 'still waiting'))]), 'still waiting');
  bench.proxy.setRules([{ name: 's', fault: { kind: 'stall', after: 100, ms: 150 } }]);
  const started = performance.now();
  const seen = await fetchRaw(bench);
  assert.deepEqual([seen.body.toString(), seen.end], [content, 'end']);
  assert.ok(performance.now() - started >= 145);
  await bench.proxy.close();
  const cut = await silent;
  assert.deepEqual([cut.body.length, cut.end], [100, 'aborted']);
});

test('reset: before the target is asked, and in the middle of the answer', async () => {
  await using bench = await withFault({ kind: 'reset' });
  bench.endpoint.stats.reset();
  const before = await fetchRaw(bench);
  assert.deepEqual([before.end, before.code, bench.endpoint.stats.count()], ['error', 'ECONNRESET', 0]);
  bench.proxy.setRules([{ name: 'm', fault: { kind: 'reset', after: 100 } }]);
  const middle = await fetchRaw(bench);
  assert.deepEqual([middle.end === 'end', middle.code, bench.endpoint.stats.count('GetObject')], [false, 'ECONNRESET', 1]);
});

test('flip on read: one bit of one byte, where told or where the seed says', async () => {
  await using bench = await withFault({ kind: 'flip', on: 'read', at: 4 });
  assert.equal((await fetchRaw(bench)).body.toString(), content.replace('quick', 'puick'));
  bench.proxy.setRules([{ name: 'seeded', fault: { kind: 'flip', on: 'read' } }]);
  const { body } = await fetchRaw(bench);
  const different = [...body].filter((byte, index) => byte !== content.charCodeAt(index));
  assert.deepEqual([body.length, different.length], [content.length, 1]);
});

test('flip on write: an unsigned body is stored wrong; with a checksum the target refuses it', async () => {
  await using bench = await withFault({ kind: 'flip', on: 'write' }, { method: 'PUT' });
  assert.equal((await fetchRaw(bench, { method: 'PUT', target: `/${Bucket}/raw`, body: Buffer.from(content) })).status, 200);
  const wrong = await stored(bench.layout, 'raw');
  assert.equal(wrong?.length, content.length);
  assert.notEqual(wrong, content);
  assert.notEqual(await failure(bench.client.send(new PutObjectCommand({ Bucket, Key: 'checked', Body: content }))), 'no error');
  assert.equal(await stored(bench.layout, 'checked'), undefined);
});

test('drip: small pieces, slowly', async () => {
  await using bench = await withFault({ kind: 'drip', bytes: 300, ms: 20 });
  const started = performance.now();
  const seen = await fetchRaw(bench);
  assert.deepEqual([seen.body.toString(), seen.pieces], [content, 3]);
  assert.ok(performance.now() - started >= 38, 'two pauses lie before the last piece');
});

test('lost answer: the target has done it, the client does not know', async () => {
  await using bench = await withFault({ kind: 'lost answer' }, { operation: 'PutObject' });
  const lost = await fetchRaw(bench, { method: 'PUT', target: `/${Bucket}/lost`, body: Buffer.from('done') });
  assert.deepEqual([lost.end, lost.code, await stored(bench.layout, 'lost')], ['error', 'ECONNRESET', 'done']);
  bench.proxy.setRules([{ name: 'g', match: { operation: 'PutObject' }, fault: { kind: 'lost answer', status: 503 } }]);
  assert.equal((await fetchRaw(bench, { method: 'PUT', target: `/${Bucket}/gateway`, body: Buffer.from('done') })).status, 503);
  assert.equal(await stored(bench.layout, 'gateway'), 'done');
});

test('lost answer to Complete: the object stands, the second Complete finds no upload', async () => {
  await using bench = await startBench([{ name: 'c', match: { operation: 'CompleteMultipartUpload' }, fault: { kind: 'lost answer' }, max: 1 }]);
  const { UploadId } = await bench.client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'big' }));
  const { ETag, ChecksumCRC32 } = await bench.client.send(new UploadPartCommand({ Bucket, Key: 'big', UploadId, PartNumber: 1, Body: content }));
  const complete = () => failure(bench.client.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'big', UploadId, MultipartUpload: { Parts: [{ PartNumber: 1, ETag, ChecksumCRC32 }] } })));
  assert.notEqual(await complete(), 'no error');
  assert.equal(await stored(bench.layout, 'big'), content);
  assert.equal(await complete(), 'NoSuchUpload');
});

test('error in 200: Copy fails, or succeeds in silence, behind a 200', async () => {
  await using bench = await withFault({ kind: 'error in 200' }, { operation: 'CopyObject' });
  const copy = async (key: string) => fetchRaw(bench, { method: 'PUT', target: `/${Bucket}/${key}`, headers: { 'x-amz-copy-source': `${Bucket}/${Key}` } });
  const refused = await copy('no');
  assert.deepEqual([refused.status, /<Error><Code>(\w+)</.exec(refused.body.toString())?.[1], await stored(bench.layout, 'no')], [200, 'InternalError', undefined]);
  assert.equal(await failure(bench.client.send(new CopyObjectCommand({ Bucket, Key: 'no', CopySource: `${Bucket}/${Key}` }))), 'InternalError', 'the SDK sees through it');
  bench.proxy.setRules([{ name: 'p', match: { operation: 'CopyObject' }, fault: { kind: 'error in 200', code: 'SlowDown', performed: true } }]);
  assert.match((await copy('yes')).body.toString(), /SlowDown/);
  assert.equal(await stored(bench.layout, 'yes'), content);
});

test('ignore range: the whole body with 200, whether Range is signed or not', async () => {
  await using bench = await withFault({ kind: 'ignore range' }, { operation: 'GetObject' });
  const signed = await get(bench, { Range: 'bytes=4-8' });
  assert.deepEqual([signed.text, signed.ContentRange, signed.$metadata.httpStatusCode], [content, undefined, 200]);
  const seen = await fetchRaw(bench, { headers: { range: 'bytes=4-8' } });
  assert.deepEqual([seen.status, seen.body.toString()], [200, content]);
});

test('wrong content range: the right bytes under a wrong name', async () => {
  await using bench = await withFault({ kind: 'wrong content range', shift: 10 });
  const seen = await get(bench, { Range: 'bytes=4-8' });
  assert.deepEqual([seen.text, seen.ContentRange], ['quick', 'bytes 14-18/900']);
});

test('gzip and gunzip: recoded on the way, the length gone', async () => {
  await using bench = await withFault({ kind: 'gzip' });
  const packed = await fetchRaw(bench);
  assert.deepEqual([packed.headers['content-encoding'], packed.headers['content-length'], gunzipSync(packed.body).toString()], ['gzip', undefined, content]);
  await fetchRaw(bench, { method: 'PUT', target: `/${Bucket}/z`, headers: { 'content-encoding': 'gzip' }, body: gzipSync(content) });
  bench.proxy.setRules([{ name: 'u', fault: { kind: 'gunzip' } }]);
  const unpacked = await fetchRaw(bench, { target: `/${Bucket}/z` });
  assert.deepEqual([unpacked.headers['content-encoding'], unpacked.headers['content-length'], unpacked.body.toString()], [undefined, undefined, content]);
});

test('skewed date and headers: the answer with other headers', async () => {
  await using bench = await withFault({ kind: 'skewed date', ms: -3_600_000 });
  const seen = await fetchRaw(bench);
  assert.ok(Math.abs(Date.parse(seen.headers.date!) - (Date.now() - 3_600_000)) < 5000);
  bench.proxy.setRules([{ name: 'h', fault: { kind: 'headers', set: { ETag: '"other"', 'Last-Modified': undefined } } }]);
  const changed = await fetchRaw(bench);
  assert.deepEqual([changed.headers.etag, changed.headers['last-modified'], changed.body.toString()], ['"other"', undefined, content]);
});

test('redirect: to the target by default, or elsewhere', async () => {
  await using bench = await withFault({ kind: 'redirect', status: 307 });
  const seen = await fetchRaw(bench);
  assert.deepEqual([seen.status, seen.headers.location], [307, `${bench.endpoint.url}/${Bucket}/${Key}`]);
  bench.proxy.setRules([{ name: 'p', fault: { kind: 'redirect', status: 301, location: 'http://127.0.0.1:1/', headers: { 'x-amz-bucket-region': 'eu-central-1' } } }]);
  const moved = await fetchRaw(bench);
  assert.deepEqual([moved.status, moved.headers.location, moved.headers['x-amz-bucket-region']], [301, 'http://127.0.0.1:1/', 'eu-central-1']);
});

test('latency delays and lets other rules hit the same request', async () => {
  await using bench = await startBench([{ name: 'slow', fault: { kind: 'latency', ms: 100 } }, { name: 'down', fault: { kind: 'status', status: 503 } }]);
  const started = performance.now();
  assert.equal((await fetchRaw(bench)).status, 503);
  assert.ok(performance.now() - started >= 95);
  assert.deepEqual([bench.proxy.counter('slow').fired, bench.proxy.counter('down').fired], [1, 1]);
});

test('rules match by operation, bucket and key, by number and up to a maximum, and are switched while running', async () => {
  await using bench = await startBench();
  const down: Fault = { kind: 'status', status: 503 };
  const statuses = async (count: number): Promise<number[]> => {
    const out: number[] = [];
    for (let n = 0; n < count; n++) out.push((await fetchRaw(bench)).status);
    return out;
  };
  bench.proxy.setRules([{ name: 'nth', match: { operation: 'GetObject', bucket: Bucket, key: /^the\// }, fault: down, nth: [2, 3] }]);
  assert.deepEqual(await statuses(4), [200, 503, 503, 200]);
  assert.deepEqual(bench.proxy.counter('nth'), { seen: 4, fired: 2 });
  bench.proxy.setRules([{ name: 'max', match: { method: 'GET' }, fault: down, max: 2 }]);
  assert.deepEqual(await statuses(3), [503, 503, 200]);
  for (const match of [{ operation: 'HeadObject' }, { bucket: 'other' }, { key: /^other/ }, { method: 'PUT' }, { where: () => false }] satisfies Match[]) {
    bench.proxy.setRules([{ name: 'no', match, fault: down }]);
    assert.deepEqual(await statuses(1), [200], JSON.stringify(match));
  }
  const remove = bench.proxy.add({ name: 'live', fault: down });
  assert.deepEqual(await statuses(1), [503]);
  remove();
  assert.deepEqual(await statuses(1), [200]);
});

const fact = (key: string): Facts => ({ method: 'GET', operation: 'GetObject', bucket: 'b', key, query: new URLSearchParams(), headers: {} });

test('chance comes from the seed and the request, not from the order of arrival', () => {
  const keys = Array.from({ length: 2000 }, (_, n) => `k${n}`);
  const rules: Rule[] = [{ name: 'r', fault: { kind: 'empty' }, probability: 0.2 }];
  const hit = (seed: number, order: readonly string[]): Set<string> => {
    const book = new Rulebook(seed, rules);
    return new Set(order.filter((key) => book.decide(fact(key)).length > 0));
  };
  const forwards = hit(7, keys);
  assert.deepEqual(hit(7, keys.toReversed()), new Set(keys.toReversed().filter((key) => forwards.has(key))));
  assert.ok(forwards.size > 320 && forwards.size < 480, `${forwards.size} of 2000 at 0.2`);
  assert.notDeepEqual(hit(8, keys), forwards);
});

test('a target that is not there is a 502 that says so, not a fault of the rules', async () => {
  await using bench = await startBench();
  await bench.endpoint.close();
  const seen = await fetchRaw(bench);
  assert.deepEqual([seen.status, seen.body.toString().startsWith('fault proxy:')], [502, true]);
});
