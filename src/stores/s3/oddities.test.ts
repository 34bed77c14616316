/** What real stores were measured to do otherwise than Amazon (docs/stores.md), and what the driver makes of it. The servers themselves: test/servers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import { KiB } from '../../core/units.ts';
import type { Multipart, ServerCopy, Store } from '../../ports/storage.ts';
import { bodyOf, errorOf, errorXml, listXml, smallParts, startBench, startScripted, streamOf } from './fixture.test.ts';
import { PROVIDER_NAMES } from './profiles.ts';

const none = { kind: 'none' } as const;
const multipart = (store: Store): Multipart => store.multipart as Multipart;

test('F034: what the store cannot hold is refused in every way of writing and removing, and no request goes out', async () => {
  await using server = await startScripted(() => ({}));
  const store = server.store({ profile: smallParts('versitygw') });
  for (const [key, code] of [['a//x', 'E_NAME_FORBIDDEN'], ['/a', 'E_NAME_FORBIDDEN'], ['a/../b', 'E_KEY_UNADDRESSABLE'], ['dir/', 'E_DIR_MARKER_HAS_DATA'], ['s'.repeat(256), 'E_NAME_TOO_LONG']] as const) {
    const attempts = [
      store.write({ key, body: bodyOf('x'), attributes: NO_ATTRIBUTES, guard: none }),
      multipart(store).create({ key, size: 1, partSize: 64 * KiB, attributes: NO_ATTRIBUTES }),
      (store.serverCopy as ServerCopy).copy({ source: store, key, size: 1, pin: { token: 't' }, attributes: NO_ATTRIBUTES, guard: none }),
    ];
    for (const attempt of attempts) {
      const error = await errorOf(attempt);
      assert.deepEqual([error.code, error.kind], [code, 'object'], key);
      assert.equal(store.refuses({ key, size: 1 })?.code, code, key);
    }
  }
  // Removing `a//x` there would remove `a/x`.
  assert.equal((await errorOf(store.remove('a//x'))).code, 'E_NAME_FORBIDDEN');
  assert.deepEqual(server.asked, []);
});

test('F038: no provider holds U+0000 in a key', async () => {
  await using server = await startScripted(() => ({}));
  for (const name of PROVIDER_NAMES) assert.equal(server.store({ profile: smallParts(name) }).refuses({ key: 'a\u0000b', size: 1 })?.code, 'E_NAME_FORBIDDEN', name);
});

test('F043: a store over folders that says that a name is taken by the other kind is E_NAME_COLLISION of this object', async () => {
  for (const code of ['ObjectParentIsFile', 'ExistingObjectIsDirectory', 'ExistingObjectIsFile', 'XMinioParentIsObject']) {
    await using server = await startScripted(() => ({ status: 409, body: errorXml(code) }));
    const error = await errorOf(server.store().write({ key: 'a/b', body: bodyOf('x'), attributes: NO_ATTRIBUTES, guard: none }));
    assert.deepEqual([error.code, error.kind], ['E_NAME_COLLISION', 'object'], code);
  }
});

test('F050: a store whose order is its own is never asked to start after a key; what lies before is left out', async () => {
  await using server = await startScripted(() => ({ body: listXml(['b/1', 'a-b', 'z', 'b/2'].map((key) => ({ key }))) }));
  const store = server.store({ profile: smallParts('seaweedfs') });
  const found: string[] = [];
  for await (const page of store.list({ startAfter: 'b/1' })) found.push(...page.entries.map(({ key }) => key));
  assert.deepEqual(found, ['z', 'b/2']);
  assert.ok(!server.asked.some(({ url }) => url.includes('start-after')));
});

test('pages are asked for by size: no store may send more than fits', async () => {
  await using server = await startScripted(() => ({ body: listXml([]) }));
  for (const version of ['v1', 'v2'] as const) {
    for await (const _ of server.store({ profile: smallParts('generic', { listing: { version, ordered: true, plusIsSpace: true } }) }).list({})) break;
  }
  assert.deepEqual(server.asked.map(({ url }) => new URL(url, server.url).searchParams.get('max-keys')), ['1000', '1000']);
});

test('F020: a part that is streamed over plain HTTP carries its checksum behind its signed frames', async () => {
  await using bench = await startBench();
  const store = bench.store({ payloadSigning: 'signed' });
  const bytes = Buffer.alloc(300_000, 5);
  const upload = await multipart(store).create({ key: 'k', size: bytes.length, partSize: bytes.length, attributes: NO_ATTRIBUTES });
  assert.equal(upload.checksumAlgorithm, 'crc32');
  const part = await multipart(store).putPart(upload, 1, streamOf(bytes));
  assert.equal((await multipart(store).listParts(upload))[0]?.checksum?.hex, part.checksum?.hex);
  await multipart(store).complete({ upload, parts: [part], attributes: NO_ATTRIBUTES, guard: none });
  assert.equal((await store.head('k', { checksum: true })).checksum?.hex, part.checksum?.hex);
});

test('uploads whose parts the store copies by itself are begun without a checksum where it would then refuse them', async () => {
  await using server = await startScripted(() => ({ body: '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>' }));
  const begin = (name: string, copied: boolean): Promise<unknown> =>
    multipart(server.store({ profile: smallParts(name) })).create({ key: 'k', size: 1, partSize: 64 * KiB, attributes: NO_ATTRIBUTES, checksumAlgorithm: 'crc32', copied });
  await begin('minio', true);
  await begin('minio', false);
  await begin('aws', true);
  assert.deepEqual(server.asked.map(({ headers }) => headers['x-amz-checksum-algorithm']), [undefined, 'CRC32', 'CRC32']);
});

test('F072: where ListParts knows every upload, the list of uploads says whether it is still open', async () => {
  let open = true;
  const upload = { key: 'k', id: 'u1', size: 1, partSize: 1 };
  await using server = await startScripted(({ url }) => (url.includes('uploads')
    ? { body: `<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${open ? '<Upload><Key>k</Key><UploadId>u1</UploadId></Upload>' : ''}</ListMultipartUploadsResult>` }
    : { body: '<ListPartsResult><IsTruncated>false</IsTruncated></ListPartsResult>' }));
  const store = server.store({ profile: smallParts('seaweedfs') });
  assert.deepEqual(await multipart(store).listParts(upload), []);
  open = false;
  const error = await errorOf(multipart(store).listParts(upload));
  assert.deepEqual([error.code, error.kind], ['E_UPLOAD_GONE', 'gone']);
});

test('silence about tags means none only at a store that counts them', async () => {
  await using server = await startScripted(() => ({ headers: { etag: '"e"' }, body: 'x' }));
  assert.equal((await server.store({ profile: smallParts('ceph') }).head('k')).tagCount, 0);
  assert.equal((await server.store({ profile: smallParts('generic') }).head('k')).tagCount, undefined);
  await using bench = await startBench();
  const store = bench.store();
  await store.write({ key: 'k', body: bodyOf('x'), attributes: { ...NO_ATTRIBUTES, tags: new Map([['a', 'b']]) }, guard: none });
  assert.equal((await store.head('k')).tagCount, 1);
});
