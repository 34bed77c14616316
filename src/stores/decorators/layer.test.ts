import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import { createMemoryStore } from '../memory/index.ts';
import { layer, undecorated, type Op } from './layer.ts';
import { bodyOf, bytesOf, drain, readAll, writeOf } from './rig.ts';

const through = { call: <T>(_: unknown, run: () => Promise<T>) => run() };

test('optional members stay optional, and facts and address are those of the driver', () => {
  const full = layer(createMemoryStore({ serverCopy: true }), through);
  assert.ok(full.multipart !== undefined && full.serverCopy !== undefined && full.readTags !== undefined);
  const memory = createMemoryStore({ multipart: false, facts: { attributes: { contentHeaders: false, userMetadata: false, tags: false, storageClass: false, mtime: false, mode: false } } });
  const bare = layer(memory, through);
  for (const name of ['multipart', 'serverCopy', 'readTags', 'writeTags']) assert.ok(!(name in bare), name);
  assert.equal(bare.facts, memory.facts);
  assert.equal(bare.address, memory.address);
});

test('every operation passes through the one function', async () => {
  const seen: Op[] = [];
  const memory = createMemoryStore({ serverCopy: true });
  const store = layer(Object.assign(memory, { writeTags: async () => undefined }), { call: (call, run) => (seen.push(call.op), run()) });
  const { token } = await store.write(writeOf('a', bytesOf(10)));
  const guard = { kind: 'none' } as const;
  await store.identity();
  for await (const page of store.list({})) assert.equal(page.entries.length, 1);
  await store.head('a');
  await readAll(store, 'a', 10);
  await store.readTags?.('a');
  await store.writeTags?.('a', new Map());
  const [parts, copies] = [store.multipart!, store.serverCopy!];
  const upload = await parts.create({ key: 'b', size: 10, partSize: 5, attributes: NO_ATTRIBUTES });
  for await (const found of parts.listUploads()) assert.equal(found.key, 'b');
  await parts.putPart(upload, 1, bodyOf(bytesOf(5)));
  await copies.copyPart(upload, 2, { source: store, key: 'a', pin: { token }, range: { offset: 0, length: 5 } });
  await parts.complete({ upload, parts: await parts.listParts(upload), attributes: NO_ATTRIBUTES, guard });
  await parts.abort(upload);
  await copies.copy({ source: store, key: 'a', size: 10, pin: { token }, attributes: NO_ATTRIBUTES, guard });
  await store.remove('a');
  const all: Op[] = ['identity', 'list', 'head', 'read', 'write', 'remove', 'readTags', 'writeTags', 'create', 'putPart', 'complete', 'abort', 'listParts', 'listUploads', 'copy', 'copyPart'];
  assert.deepEqual(all.filter((op) => !seen.includes(op)), []);
});

test('a server-side copy is handed the driver\'s own store, however often it is wrapped', () => {
  const [a, b] = [createMemoryStore({ serverCopy: true }), createMemoryStore({ serverCopy: true })];
  const wrapped = layer(layer(a, through), through);
  assert.equal(undecorated(wrapped), a);
  assert.equal(layer(layer(b, through), through).serverCopy?.canCopyFrom(wrapped), true);
});

test('leaving a listing early leaves the driver\'s iteration', async () => {
  let left = false;
  const memory = createMemoryStore({ pageSize: 1 });
  for (const key of ['a', 'b', 'c']) memory.put(key, key);
  const watchedList = { ...memory, list: async function* (request: Parameters<typeof memory.list>[0]) {
    try {
      yield* memory.list(request);
    } finally {
      left = true;
    }
  } };
  for await (const page of layer(watchedList, through).list({})) {
    assert.equal(page.entries[0]?.key, 'a');
    break;
  }
  assert.ok(left);
});

test('drain of a decorated read gives the bytes', async () => {
  const memory = createMemoryStore();
  memory.put('a', bytesOf(200_000));
  assert.deepEqual(await drain(await layer(memory, through).read({ key: 'a', expectedSize: 200_000 })), bytesOf(200_000));
});
