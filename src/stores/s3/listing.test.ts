import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import type { ListRequest, Store } from '../../ports/storage.ts';
import { errorOf, errorXml, listXml, smallParts, startBench, startScripted } from './fixture.test.ts';
import type { Answer, Asked, PageLine } from './fixture.test.ts';
import { profileOf } from './profiles.ts';

async function keysOf(store: Store, request: ListRequest = {}): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of store.list(request)) keys.push(...page.entries.map((entry) => entry.key));
  return keys;
}

const lines = (...keys: string[]): PageLine[] => keys.map((key) => ({ key }));
const query = (asked: Asked | undefined): URLSearchParams => new URLSearchParams((asked?.url ?? '').split('?')[1]);

async function listing(answer: (asked: Asked, count: number) => Answer, request: ListRequest = {}): Promise<{ code: string; kind: string; message: string; asked: Asked[] }> {
  await using server = await startScripted(answer);
  const { code, kind, message } = await errorOf(keysOf(server.store(), request));
  return { code, kind, message, asked: server.asked };
}

test('F005, F006, F089: an empty or HTML page is an error, never an empty bucket', async () => {
  assert.equal((await listing(() => ({ body: '' }))).code, 'E_LIST_INVALID');
  const html = await listing(() => ({ headers: { 'content-type': 'text/html' }, body: '<html>Welcome</html>' }));
  assert.deepEqual([html.code, html.kind], ['E_LIST_INVALID', 'transient']);
  assert.match(html.message, /text\/html: a proxy or a wrong endpoint\?/);
});

test('F007: a truncated page without a token goes on behind its last key', async () => {
  await using server = await startScripted((asked) => {
    const after = query(asked).get('start-after');
    return { body: after === null ? listXml(lines('a', 'b'), { truncated: true }) : listXml(lines('c')) };
  });
  assert.deepEqual(await keysOf(server.store()), ['a', 'b', 'c']);
  assert.equal(query(server.asked[1]).get('start-after'), 'b');
});

test('F007: truncated, without token and without a key: E_LIST_TRUNCATED', async () => {
  const { code, kind } = await listing(() => ({ body: listXml([], { truncated: true }) }));
  assert.deepEqual([code, kind], ['E_LIST_TRUNCATED', 'premise']);
});

test('F008: the same page, or the same token, again is E_LIST_LOOP after two pages', async () => {
  const same = await listing(() => ({ body: listXml(lines('a', 'b'), { truncated: true, token: 't' }) }));
  assert.deepEqual([same.code, same.asked.length], ['E_LIST_LOOP', 2]);
  const token = await listing((_, count) => ({ body: listXml(lines(`a${count}`), { truncated: true, token: 't' }) }));
  assert.deepEqual([token.code, token.asked.length], ['E_LIST_LOOP', 2]);
  const ignored = await listing(() => ({ body: listXml(lines('a', 'b'), { truncated: true }) }));
  assert.equal(ignored.code, 'E_LIST_LOOP', 'start-after is ignored');
  const endless = await listing((_, count) => ({ body: listXml([], { truncated: true, token: `t${count}` }) }));
  assert.equal(endless.code, 'E_LIST_LOOP');
});

test('F050: keys out of order are E_LIST_ORDER once; the facts then say so and the listing works', async () => {
  await using server = await startScripted((_, count) => ({ body: count % 2 === 1 ? listXml(lines('b', 'a'), { truncated: true, token: 't' }) : listXml(lines('c')) }));
  const store = server.store();
  assert.equal(store.facts.ordered, true);
  const error = await errorOf(keysOf(store));
  assert.deepEqual([error.code, error.kind], ['E_LIST_ORDER', 'unsupported']);
  assert.equal(store.facts.ordered, false);
  assert.equal(server.asked.length, 1);
});

test('F050: an unordered store is listed as it comes', async () => {
  await using server = await startScripted((_, count) => ({ body: count === 1 ? listXml(lines('b', 'a'), { truncated: true, token: 't' }) : listXml(lines('0')) }));
  const generic = profileOf('generic');
  const store = server.store({ profile: smallParts('generic', { listing: { ...generic.listing, ordered: false } }) });
  assert.deepEqual(await keysOf(store), ['b', 'a', '0']);
});

test('a page with keys outside the prefix is E_LIST_INVALID', async () => {
  assert.equal((await listing(() => ({ body: listXml(lines('x/1')) }), { prefix: 'y/' })).code, 'E_LIST_INVALID');
});

test('F044: the key that is the prefix itself fails alone; the zero-byte marker of a folder is a named skip', async () => {
  let size = 0;
  await using server = await startScripted(() => ({ body: listXml([{ key: 'p/', size }, ...lines('p/a')]) }));
  const marked = [];
  for await (const page of server.store({ prefix: 'p/' }).list({})) marked.push(...page.entries);
  assert.deepEqual(marked.map(({ key, kind, reason }) => [key, kind, reason?.state, reason?.code]), [['', 'special', 'skipped', 'prefix_marker'], ['a', 'object', undefined, undefined]]);
  size = 5;
  const pages = [];
  for await (const page of server.store({ prefix: 'p/' }).list({})) pages.push(...page.entries);
  assert.deepEqual(pages.map(({ key, kind, reason }) => [key, kind, reason?.code]), [['', 'special', 'E_KEY_EMPTY'], ['a', 'object', undefined]]);
});

test('F028: a listing of a missing or refused bucket is a premise', async () => {
  assert.deepEqual(await listing(() => ({ status: 404, body: errorXml('NoSuchBucket') })).then(({ code, kind }) => [code, kind]), ['E_BUCKET_MISSING', 'premise']);
  assert.deepEqual(await listing(() => ({ status: 403, body: errorXml('AccessDenied') })).then(({ code, kind }) => [code, kind]), ['E_ACCESS_DENIED', 'premise']);
});

test('F033, F036, F037, F047: what the AWS SDK wrote under awkward keys is listed, and read back under them', async () => {
  const keys = ['a b+c', 'a+b', '100%', '%41', '//double', '/lead', 'dir/', 'q?x=1&y#z', 'é/😀', 'tab\there', 'x\u0001y', "!'()*", '\ufffd', '~;:@=,$'];
  await using bench = await startBench();
  for (const Key of keys) await bench.sdk.send(new PutObjectCommand({ Bucket: 'bucket', Key, Body: Key }));
  const store = bench.store();
  const listed = await keysOf(store);
  assert.deepEqual(new Set(listed), new Set(keys));
  for (const key of listed) assert.equal((await store.head(key)).size, Buffer.byteLength(key), key);
});

test('the AWS SDK lists what we wrote, under the same keys', async () => {
  const keys = ['a b+c', '%41', '//double', '/lead', 'é/😀', "!'()*"];
  await using bench = await startBench();
  const store = bench.store();
  for (const key of keys) await store.write({ key, body: { size: 0, bytes: Buffer.alloc(0), async* open() { /* nothing */ } }, attributes: { headers: {}, userMetadata: new Map() }, guard: { kind: 'none' } });
  const answer = await bench.sdk.send(new ListObjectsV2Command({ Bucket: 'bucket' }));
  assert.deepEqual(new Set(answer.Contents?.map(({ Key }) => Key)), new Set(keys));
});

test('F001: a page cut on the way says that it was the listing of this store', async () => {
  await using server = await startScripted(() => ({ body: listXml(lines('a', 'b')), cutAt: 100 }));
  const error = await errorOf(keysOf(server.store()));
  assert.deepEqual([error.code, error.kind, error.op, error.location], ['E_SHORT_READ', 'transient', 'ListObjects', 's3://bucket']);
});

test('F038: U+FFFD in a listing that is not encoded: a key that really holds it is listed, one that stands for lost bytes fails alone', async () => {
  await using server = await startScripted((asked) => {
    if (asked.method === 'HEAD') return asked.url.includes('lost') ? { status: 404 } : { headers: { etag: '"e"' } };
    return { body: decodeURIComponent(listXml(lines('a', 'lost\ufffd', 'real\ufffd', 'z'))).replace('<EncodingType>url</EncodingType>', '') };
  });
  const entries = [];
  for await (const page of server.store().list({})) entries.push(...page.entries);
  assert.deepEqual(entries.map(({ key, kind, reason }) => [key, kind, reason?.code]), [['a', 'object', undefined], ['lost\ufffd', 'special', 'E_LIST_LOSSY'], ['real\ufffd', 'object', undefined], ['z', 'object', undefined]]);
});
