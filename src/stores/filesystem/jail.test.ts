import assert from 'node:assert/strict';
import { mkdir, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { BrigadeError } from '../../core/errors.ts';
import { freshRoot, get, keysOf, put, storeOn } from './ground.test-kit.ts';

const WAYS = [{ procfs: true }, { procfs: false }].filter(({ procfs }) => !procfs || process.platform === 'linux');

test('F111: keys that climb stay below the root', async (t) => {
  const base = await freshRoot(t);
  await mkdir(join(base, 'root'));
  const store = storeOn(t, join(base, 'root'));
  const keys = ['../out', '../../..', 'a/../../out', '/out', '//out', './../out', 'b/..', '%2E%2E/out'];
  for (const key of keys) await put(store, key, key);
  assert.deepEqual(await readdir(base), ['root']);
  for (const key of keys) assert.equal((await get(store, key, key.length)).toString(), key);
});

for (const { procfs } of WAYS) {
  const way = procfs ? 'through /proc' : 'by path';

  test(`I11: a folder below the root is entered like that of any key: no link is followed, nothing is made without leave (${way})`, async (t) => {
    const [root, outside] = [await freshRoot(t), await freshRoot(t)];
    await symlink(outside, join(root, 'link'));
    for (const below of ['link/', 'link/new/']) await assert.rejects(put(storeOn(t, root, { procfs, below, create: true }), 'k', 'x'), { code: 'E_LINK_IN_PATH', kind: 'premise' });
    for (const below of ['../', 'a/../', '/']) assert.throws(() => storeOn(t, root, { procfs, below, names: 'verbatim' }), { code: 'E_NAME_FORBIDDEN', kind: 'usage' });
    await assert.rejects(keysOf(storeOn(t, root, { procfs, below: 'missing/' })), { code: 'E_NO_ROOT', kind: 'premise' });
    const store = storeOn(t, root, { procfs, below: 'new/caf\u00e9/', create: true });
    await put(store, 'd/k', 'x');
    assert.deepEqual([await keysOf(store), await keysOf(storeOn(t, root)), await readdir(outside)], [['d/', 'd/k'], ['link', 'new/', 'new/caf\u00e9/', 'new/caf\u00e9/d/', 'new/caf\u00e9/d/k'], []]);
  });

  test(`F112: a link planted on the way is refused for write, read, head and remove (${way})`, async (t) => {
    const [root, outside] = [await freshRoot(t), await freshRoot(t)];
    await writeFile(join(outside, 'secret'), 'secret');
    await mkdir(join(outside, 'sub'));
    const store = storeOn(t, root, { procfs });
    await symlink(outside, join(root, 'link'));
    for (const key of ['link/secret', 'link/new', 'link/sub/new']) {
      const refused = (error: BrigadeError): boolean => error.code === 'E_LINK_IN_PATH' && error.kind === 'object';
      await assert.rejects(put(store, key, 'x'), refused, key);
      await assert.rejects(store.read({ key, expectedSize: 6 }), refused, key);
      await assert.rejects(store.head(key), refused, key);
      await assert.rejects(store.remove(key), refused, key);
    }
    assert.deepEqual(await readdir(outside), ['secret', 'sub']);
    assert.deepEqual(await readdir(join(outside, 'sub')), []);
  });

  test(`F112: a directory in use that becomes a link is noticed at the next write (${way})`, async (t) => {
    const [root, outside] = [await freshRoot(t), await freshRoot(t)];
    const store = storeOn(t, root, { procfs });
    await put(store, 'a/b/one', '1');
    await rename(join(root, 'a'), join(root, 'moved'));
    await mkdir(join(outside, 'b'));
    await symlink(outside, join(root, 'a'));
    await assert.rejects(put(store, 'a/b/two', '2'), (error: BrigadeError) => error.code === 'E_LINK_IN_PATH');
    await rm(join(root, 'a'));
    await put(store, 'a/b/three', '3');
    assert.deepEqual(await readdir(join(outside, 'b')), []);
    assert.deepEqual(await keysOf(store), ['a/', 'a/b/', 'a/b/three', 'moved/', 'moved/b/', 'moved/b/one']);
  });
}

test('a directory that is removed while it is in use is made again', async (t) => {
  const root = await freshRoot(t);
  const store = storeOn(t, root);
  await put(store, 'a/b/one', '1');
  await rm(join(root, 'a'), { recursive: true });
  await put(store, 'a/b/two', '2');
  assert.deepEqual(await keysOf(store), ['a/', 'a/b/', 'a/b/two']);
});

test('F112: while a directory and a link out of the root change places as fast as they can, nothing ever lands outside', { skip: process.platform !== 'linux' }, async (t) => {
  const [root, outside] = [await freshRoot(t), await freshRoot(t)];
  const store = storeOn(t, root, { durability: 'none' });
  await put(store, 'd/first', 'x');
  const flag = new Int32Array(new SharedArrayBuffer(8));
  const swapper = new Worker(`
    const fs = require('node:fs');
    const { root, outside, flag } = require('node:worker_threads').workerData;
    while (Atomics.load(flag, 0) === 0) {
      try { fs.renameSync(root + '/d', root + '/real'); } catch {}
      try { fs.symlinkSync(outside, root + '/d'); } catch {}
      try { fs.unlinkSync(root + '/d'); } catch {}
      try { fs.renameSync(root + '/real', root + '/d'); } catch {}
      Atomics.add(flag, 1, 1);
    }`, { eval: true, workerData: { root, outside, flag } });
  const ended = new Promise((resolve) => swapper.once('exit', resolve));
  while (Atomics.load(flag, 1) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  let [written, refused] = [0, 0];
  const lane = async (number: number): Promise<void> => {
    // Longer where no write met a link yet, or each did: which of them do is chance.
    for (let i = 0; i < 150 || ((refused === 0 || written === 0) && i < 2000); i++) await put(store, `d/${number}-${i}`, 'x').then(() => written++, () => refused++);
  };
  await Promise.all([1, 2, 3, 4].map(lane));
  Atomics.store(flag, 0, 1);
  await ended;
  assert.ok(Atomics.load(flag, 1) > 100 && written > 0, `${Atomics.load(flag, 1)} swaps, ${written} written, ${refused} refused`);
  assert.deepEqual(await readdir(outside), []);
});
