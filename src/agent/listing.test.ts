import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CreateMultipartUploadCommand, DeleteObjectCommand, GetObjectCommand, ListMultipartUploadsCommand, ListObjectVersionsCommand, ListObjectsCommand, ListObjectsV2Command, PutObjectCommand,
} from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { bucketName as Bucket, failure, sendSigned, startBench } from './fixture.test.ts';
import type { Bench } from './fixture.test.ts';
import { seedBucket, seedObject } from './seeding.ts';

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const decodeUrl = (text = ''): string => decodeURIComponent(text.replaceAll('+', '%20'));

/** Keys that break clients: separators, escapes, control characters, U+FFFD beside an emoji (UTF-16 and UTF-8 order differ), twins, the longest. */
export const hostileKeys = [
  'a', 'a/', 'a//b', '/leading', '//', 'a/../b', '..', '.', './x', 'a+b', 'a b', 'a%41', '%', '%2F', 'a#b', 'a?b', 'a*b', 'a&b=c', "a'b\"c", 'a\\b', 'a<b>&amp;',
  'tab\there', 'line\nfeed', 'cr\rhere', 'bell\u0007', '\u0001', '\u007f', '\ufffd', '\u{1f600}', '\ue000', 'é', 'e\u0301', 'ß', '日本', '~tilde', '(parens)!', 'x'.repeat(1024), `${'é'.repeat(511)}zz`,
];

async function seedAll(bench: Bench, keys: readonly string[]): Promise<void> {
  for (const key of keys) await seedObject(bench.layout, Bucket, { key }, key);
}

/** Every key and common prefix of a V2 listing, in the order and pages they came. */
async function listV2(bench: Bench, more: object = {}): Promise<{ keys: string[]; prefixes: string[]; pages: number }> {
  const [keys, prefixes]: [string[], string[]] = [[], []];
  let token: string | undefined;
  let pages = 0;
  do {
    const page = await bench.client.send(new ListObjectsV2Command({ Bucket, EncodingType: 'url', ContinuationToken: token, ...more }));
    keys.push(...(page.Contents ?? []).map((o) => decodeUrl(o.Key)));
    prefixes.push(...(page.CommonPrefixes ?? []).map((p) => decodeUrl(p.Prefix)));
    assert.equal(page.KeyCount, (page.Contents?.length ?? 0) + (page.CommonPrefixes?.length ?? 0));
    assert.equal(page.IsTruncated, page.NextContinuationToken !== undefined);
    token = page.NextContinuationToken;
    pages += 1;
  } while (token !== undefined);
  return { keys, prefixes, pages };
}

test('hostile keys survive put, get, copy of the path and both listings, in UTF-8 byte order', async () => {
  await using bench = await startBench();
  const refused: string[] = [];
  for (const Key of hostileKeys) {
    try {
      await bench.client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
      assert.equal(await (await bench.client.send(new GetObjectCommand({ Bucket, Key }))).Body!.transformToString(), Key);
    } catch (error) {
      if ((error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode !== undefined) throw error; // the endpoint's word, not the SDK's
      refused.push(Key);
    }
    const path = `/${Bucket}/${encodeURIComponent(Key).replaceAll('%2F', '/').replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)}`;
    assert.equal((await sendSigned(bench.endpoint.url, { method: 'PUT', path, body: Key })).status, 200, JSON.stringify(Key));
    assert.equal((await sendSigned(bench.endpoint.url, { method: 'GET', path })).body, Key, JSON.stringify(Key));
  }
  const expected = hostileKeys.toSorted(byBytes);
  assert.deepEqual((await listV2(bench)).keys, expected);
  assert.deepEqual((await listV2(bench, { MaxKeys: 3 })).keys, expected);
  assert.ok(expected.indexOf('\ufffd') < expected.indexOf('\u{1f600}'), 'the test holds a pair that UTF-16 order swaps');
  assert.ok(refused.length < hostileKeys.length / 4, `the SDK refused ${JSON.stringify(refused)}`);
});

test('a key of 1,025 bytes is refused by name, 1,024 is not', async () => {
  await using bench = await startBench();
  const put = (Key: string) => failure(bench.client.send(new PutObjectCommand({ Bucket, Key, Body: '' })));
  assert.equal((await put(`${'é'.repeat(512)}`)).name, 'no error');
  assert.equal((await put(`${'é'.repeat(512)}x`)).name, 'KeyTooLongError');
});

test('encoding-type=url encodes as S3 does: form encoding, slashes kept', async () => {
  await using bench = await startBench();
  await seedAll(bench, ['a b/ü+*(1)~!\'.png']);
  const raw = await sendSigned(bench.endpoint.url, { method: 'GET', path: `/${Bucket}`, query: 'delimiter=%20&encoding-type=url&list-type=2&prefix=a%20' });
  assert.match(raw.body, /<Key>a\+b\/%C3%BC%2B\*%281%29%7E%21%27\.png<\/Key>/);
  assert.match(raw.body, /<Prefix>a\+<\/Prefix>/);
  assert.match(raw.body, /<Delimiter>\+<\/Delimiter><EncodingType>url<\/EncodingType>/);
});

const key = fc.string({ unit: fc.constantFrom('a', 'b', '/', '-', '\u{1f600}', '\uffee', 'é', '\u0001', '+'), minLength: 1, maxLength: 5 });

test('prefix, delimiter, start-after and any page size list what a sort and a filter would', async () => {
  await using bench = await startBench();
  let round = 0;
  await fc.assert(fc.asyncProperty(fc.uniqueArray(key, { maxLength: 25 }), fc.constantFrom('', 'a', 'a/', '/'), fc.constantFrom('', '/', '-', 'b'), fc.option(key), fc.integer({ min: 1, max: 5 }), async (all, prefix, delimiter, after, max) => {
    const bucket = `round-${round++}`;
    await seedBucket(bench.layout, bucket);
    await Promise.all(all.map((k) => seedObject(bench.layout, bucket, { key: k })));
    const matching = all.filter((k) => k.startsWith(prefix) && (after === null || byBytes(k, after) > 0)).sort(byBytes);
    const roll = (k: string): string | undefined => {
      const at = delimiter === '' ? -1 : k.indexOf(delimiter, prefix.length);
      return at < 0 ? undefined : k.slice(0, at + delimiter.length);
    };
    const expected = { keys: matching.filter((k) => roll(k) === undefined), prefixes: [...new Set(matching.map(roll).filter((p) => p !== undefined && p !== after))] };
    const { keys, prefixes } = await listV2(bench, { Bucket: bucket, Prefix: prefix, Delimiter: delimiter || undefined, StartAfter: after ?? undefined, MaxKeys: max });
    assert.deepEqual({ keys, prefixes }, expected);
  }), { numRuns: 40 });
});

test('V1 pages with markers; NextMarker only with a delimiter', async () => {
  await using bench = await startBench();
  await seedAll(bench, ['a/1', 'a/2', 'b', 'c/1', 'd']);
  const list = (more: object) => bench.client.send(new ListObjectsCommand({ Bucket, MaxKeys: 2, ...more }));
  const first = await list({ Delimiter: '/' });
  assert.deepEqual([first.CommonPrefixes?.map((p) => p.Prefix), first.Contents?.map((o) => o.Key), first.NextMarker], [['a/'], ['b'], 'b']);
  const second = await list({ Delimiter: '/', Marker: first.NextMarker });
  assert.deepEqual([second.CommonPrefixes?.map((p) => p.Prefix), second.Contents?.map((o) => o.Key), second.IsTruncated], [['c/'], ['d'], false]);
  const plain = await list({});
  assert.deepEqual([plain.NextMarker, plain.IsTruncated], [undefined, true]);
  assert.deepEqual((await list({ Marker: 'a/2' })).Contents?.map((o) => o.Key), ['b', 'c/1']);
  assert.deepEqual((await list({ Delimiter: '/', Marker: 'a/' })).Contents?.map((o) => o.Key), ['b'], 'a marker that is a common prefix stands for all of it');
});

test('a page of zero keys is empty and complete; a foreign token, encoding or page size is refused', async () => {
  await using bench = await startBench();
  await seedAll(bench, ['a']);
  const list = (more: object) => bench.client.send(new ListObjectsV2Command({ Bucket, ...more }));
  const zero = await list({ MaxKeys: 0 });
  assert.deepEqual([zero.KeyCount, zero.IsTruncated], [0, false]);
  assert.equal((await failure(list({ ContinuationToken: 'made up' }))).name, 'InvalidArgument');
  assert.equal((await failure(list({ EncodingType: 'rot13' }))).name, 'InvalidArgument');
  assert.equal((await failure(list({ MaxKeys: -1 }))).name, 'InvalidArgument');
  assert.equal((await failure(list({ Bucket: 'not-there' }))).name, 'NoSuchBucket');
});

test('100,000 keys page through (20,000 on disk) in byte order, each once', async () => {
  await using bench = await startBench();
  const count = process.env['BRIGADE_TEST_LAYOUT'] === undefined ? 100_000 : 20_000;
  const name = (n: number): string => `dir${n % 100}/${String((n * 7919) % 100_000).padStart(6, '0')}`;
  for (let n = 0; n < count; n += 1000) await Promise.all(Array.from({ length: 1000 }, (_, i) => seedObject(bench.layout, Bucket, { key: name(n + i) })));
  const keys: string[] = [];
  let token: string | undefined = '';
  while (token !== undefined) {
    const query: string = `${token === '' ? '' : `continuation-token=${token}&`}list-type=2`;
    const { body } = await sendSigned(bench.endpoint.url, { method: 'GET', path: `/${Bucket}`, query });
    keys.push(...[...body.matchAll(/<Key>([^<]*)</g)].map((m) => m[1]!));
    token = /<NextContinuationToken>([^<]*)</.exec(body)?.[1];
  }
  assert.equal(new Set(keys).size, count);
  assert.ok(keys.every((k, n) => n === 0 || byBytes(keys[n - 1]!, k) < 0));
  assert.equal((await listV2(bench, { Delimiter: '/' })).prefixes.length, 100);
});

test('versions list newest first and page inside a key', async () => {
  await using bench = await startBench();
  bench.layout.bucket(Bucket)!.versioning = 'Enabled';
  for (const Key of ['a', 'b/1', 'c', 'a', 'c', 'a']) await bench.client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
  await bench.client.send(new DeleteObjectCommand({ Bucket, Key: 'c' }));
  const whole = await bench.client.send(new ListObjectVersionsCommand({ Bucket }));
  assert.deepEqual(whole.Versions?.map((v) => [v.Key, v.IsLatest]), [['a', true], ['a', false], ['a', false], ['b/1', true], ['c', false], ['c', false]]);
  assert.deepEqual(whole.DeleteMarkers?.map((m) => [m.Key, m.IsLatest]), [['c', true]]);
  for (const MaxKeys of [1, 2, 3]) {
    const seen: string[] = [];
    let marker: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {};
    for (let more = true; more; ) {
      const page = await bench.client.send(new ListObjectVersionsCommand({ Bucket, MaxKeys, ...marker }));
      seen.push(...[...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])].map((v) => v.VersionId!));
      marker = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
      more = page.IsTruncated === true;
    }
    assert.equal(seen.length, 7);
    assert.deepEqual(new Set(seen), new Set([...whole.Versions!, ...whole.DeleteMarkers!].map((v) => v.VersionId)));
  }
  const rolled = await bench.client.send(new ListObjectVersionsCommand({ Bucket, Delimiter: '/' }));
  assert.deepEqual(rolled.CommonPrefixes?.map((p) => p.Prefix), ['b/']);
});

test('unfinished uploads list by key and page by both markers', async () => {
  await using bench = await startBench();
  for (const Key of ['b', 'a/1', 'a/2', 'b', 'c']) await bench.client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  for (const MaxUploads of [1, 2, 10]) {
    const seen: (string | undefined)[] = [];
    let marker: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {};
    for (let more = true; more; ) {
      const page = await bench.client.send(new ListMultipartUploadsCommand({ Bucket, MaxUploads, ...marker }));
      seen.push(...(page.Uploads ?? []).map((u) => u.Key));
      marker = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker || undefined };
      more = page.IsTruncated === true;
    }
    assert.deepEqual(seen, ['a/1', 'a/2', 'b', 'b', 'c']);
  }
  const rolled = await bench.client.send(new ListMultipartUploadsCommand({ Bucket, Delimiter: '/' }));
  assert.deepEqual([rolled.CommonPrefixes?.map((p) => p.Prefix), rolled.Uploads?.length], [['a/'], 3]);
});
