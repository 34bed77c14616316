import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { BrigadeError } from '../../core/errors.ts';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import type { Multipart, Store, Upload } from '../../ports/storage.ts';
import { body, freshRoot, get, keysOf, names, put, storeOn } from './ground.test-kit.ts';

const PART = 100_000;
const bytes = Buffer.from(Array.from({ length: 2 * PART + 500 }, (_, i) => (i * 31) & 0xff));
const slice = (number: number): Buffer => bytes.subarray((number - 1) * PART, number * PART);

async function begun(t: TestContext, key = 'deep/big'): Promise<{ root: string; store: Store; multipart: Multipart; upload: Upload; index: string; data: string }> {
  const root = await freshRoot(t);
  const store = storeOn(t, root);
  const multipart = store.multipart as Multipart;
  const upload = await multipart.create({ key, size: bytes.length, partSize: PART, attributes: NO_ATTRIBUTES });
  const data = join(root, 'deep', `.big.${upload.id}.brigade.part`);
  return { root, store, multipart, upload, index: `${data}s`, data };
}

test('a process killed in the middle of a part: another one finds the durable parts, and finishes', async (t) => {
  const { root, multipart, upload } = await begun(t);
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', `
    import { createFilesystemStore } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, 'index.ts')).href)};
    const { multipart } = createFilesystemStore({ root: ${JSON.stringify(root)}, names: 'escaped', random: { next: Math.random } });
    const upload = ${JSON.stringify(upload)};
    const bytes = Buffer.from(Array.from({ length: 2 * ${PART} + 500 }, (_, i) => (i * 31) & 0xff));
    const whole = (n) => ({ size: bytes.subarray((n - 1) * ${PART}, n * ${PART}).length, async *open() { yield bytes.subarray((n - 1) * ${PART}, n * ${PART}); } });
    await multipart.putPart(upload, 1, whole(1));
    await multipart.putPart(upload, 3, whole(3));
    // Part 3 once more, and part 2: both are cut off.
    const half = (size) => ({ size, async *open() { yield Buffer.alloc(100); console.log('half'); await new Promise((resolve) => setTimeout(resolve, 60_000)); } });
    await Promise.all([multipart.putPart(upload, 3, half(500)), multipart.putPart(upload, 2, half(${PART}))]);`], { stdio: ['ignore', 'pipe', 'inherit'] });
  let heard = '';
  await new Promise<void>((resolve) => child.stdout.on('data', (text) => {
    heard += String(text);
    if (heard.split('half').length > 2) resolve();
  }));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  assert.deepEqual((await multipart.listParts(upload)).map((part) => part.number), [1]);
  const parts = [...await multipart.listParts(upload), await multipart.putPart(upload, 2, body(slice(2))), await multipart.putPart(upload, 3, body(slice(3)))];
  const other = storeOn(t, root);
  await other.multipart?.complete({ upload, parts, attributes: { ...NO_ATTRIBUTES, mode: 0o600 }, guard: { kind: 'absent' } });
  assert.ok((await get(other, upload.key, bytes.length)).equals(bytes));
  assert.deepEqual(await names(join(root, 'deep')), ['big']);
});

test('a torn or damaged line of the index counts as not written, and spoils no other', async (t) => {
  const { multipart, upload, index } = await begun(t);
  await multipart.putPart(upload, 1, body(slice(1)));
  await multipart.putPart(upload, 2, body(slice(2)));
  const whole = await readFile(index, 'utf8');
  await writeFile(index, whole.slice(0, -3));
  assert.deepEqual((await multipart.listParts(upload)).map((part) => part.number), [1]);
  await multipart.putPart(upload, 3, body(slice(3)));
  assert.deepEqual((await multipart.listParts(upload)).map((part) => part.number), [1, 3]);
  await appendFile(index, '\n2 100000 2-deadbeef 00000000\nnonsense');
  assert.deepEqual((await multipart.listParts(upload)).map((part) => part.number), [1, 3]);
});

test('an index whose head is torn is no upload', async (t) => {
  const { multipart, upload, index } = await begun(t);
  await writeFile(index, (await readFile(index, 'utf8')).slice(0, -1));
  await assert.rejects(multipart.listParts(upload), (error: BrigadeError) => error.kind === 'gone');
});

test('unfinished uploads are listed with their keys, at any depth, and are no objects', async (t) => {
  const { multipart, upload, store } = await begun(t);
  const odd = ['a//b', 'x'.repeat(255), 'caf\u00e9/😀', '../up'];
  const wanted = new Map([[upload.id, upload.key]]);
  for (const key of odd) wanted.set((await multipart.create({ key, size: 10, partSize: 10, attributes: NO_ATTRIBUTES })).id, key);
  const found = new Map<string, string>();
  for await (const one of multipart.listUploads()) found.set(one.id, one.key);
  assert.deepEqual(found, new Map([...found].map(([id]) => [id, wanted.get(id) as string])));
  assert.equal(found.size, wanted.size);
  assert.ok((await keysOf(store)).every((key) => key.endsWith('/')));
  for (const [id, key] of found) await multipart.abort({ key, id, size: 0, partSize: 0 });
  for await (const _ of multipart.listUploads()) assert.fail('an aborted upload is still listed');
});

test('parts at once from many hands end whole', async (t) => {
  const root = await freshRoot(t);
  const [one, two] = [storeOn(t, root), storeOn(t, root)];
  const big = Buffer.concat([bytes, bytes, bytes, bytes]);
  const upload = await (one.multipart as Multipart).create({ key: 'big', size: big.length, partSize: 50_000, attributes: NO_ATTRIBUTES });
  const count = Math.ceil(big.length / 50_000);
  const parts = await Promise.all(Array.from({ length: count }, (_, i) => ((i % 2 === 0 ? one : two).multipart as Multipart).putPart(upload, i + 1, body(big.subarray(i * 50_000, (i + 1) * 50_000)))));
  assert.deepEqual((await (one.multipart as Multipart).listParts(upload)).map((part) => part.token), parts.map((part) => part.token));
  await (two.multipart as Multipart).complete({ upload, parts, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
  assert.ok((await get(one, 'big', big.length)).equals(big));
});

test('F043: completing over a directory is a collision, and the parts stay', async (t) => {
  const { multipart, upload, store } = await begun(t);
  await put(store, 'deep/big/inner', 'x');
  const parts = [await multipart.putPart(upload, 1, body(slice(1))), await multipart.putPart(upload, 2, body(slice(2))), await multipart.putPart(upload, 3, body(slice(3)))];
  await assert.rejects(multipart.complete({ upload, parts, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } }), (error: BrigadeError) => error.code === 'E_NAME_COLLISION' && error.hint !== undefined);
  assert.equal((await multipart.listParts(upload)).length, 3);
});
