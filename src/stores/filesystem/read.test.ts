import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { appendFile, open, rename, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { BrigadeError } from '../../core/errors.ts';
import type { Store } from '../../ports/storage.ts';
import { entriesOf, freshRoot, put, storeOn } from './ground.test-kit.ts';

const SIZE = 3 * 1024 * 1024;

async function opened(t: TestContext): Promise<{ path: string; store: Store; token: string }> {
  const root = await freshRoot(t);
  const path = join(root, 'file');
  await writeFile(path, Buffer.alloc(SIZE, 1));
  const store = storeOn(t, root, { durability: 'none' });
  // Older kernels keep times in steps of a scheduler tick: a change within the same tick shows in none of them.
  await new Promise((resolve) => setTimeout(resolve, 20));
  return { path, store, token: (await entriesOf(store))[0]?.token as string };
}

/** Reads all; `meanwhile` runs behind the first chunk. Answers the bytes that were handed out and the error. */
async function readDisturbed(store: Store, token: string, meanwhile: () => Promise<void>, range?: { offset: number; length: number }): Promise<{ bytes: number; error: BrigadeError | undefined }> {
  const read = await store.read({ key: 'file', expectedSize: SIZE, pin: { token }, ...(range === undefined ? {} : { range }) });
  let bytes = 0;
  try {
    for await (const chunk of read.chunks) {
      if (bytes === 0) await meanwhile();
      bytes += chunk.length;
    }
    return { bytes, error: undefined };
  } catch (error) {
    return { bytes, error: error as BrigadeError };
  }
}

async function overwrite(path: string): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.alloc(1000, 2), 0, 1000, SIZE - 1000);
  await file.close();
}

const DISTURBANCES: Readonly<Record<string, (path: string) => Promise<void>>> = {
  'bytes are appended': (path) => appendFile(path, 'x'),
  'bytes are overwritten in place': overwrite,
  'bytes are overwritten and the mtime is put back': async (path) => {
    const before = await stat(path);
    await overwrite(path);
    await utimes(path, before.atime, before.mtime);
  },
  'another file is renamed over it': async (path) => {
    await writeFile(`${path}.new`, Buffer.alloc(SIZE, 2));
    await rename(`${path}.new`, path);
  },
};

for (const [what, disturb] of Object.entries(DISTURBANCES)) {
  test(`F026: a read during which ${what} is kind changed, and the last bytes are never handed out`, async (t) => {
    const { path, store, token } = await opened(t);
    const whole = await readDisturbed(store, token, () => disturb(path));
    assert.equal(whole.error?.kind, 'changed');
    assert.equal(whole.error?.code, 'E_SRC_CHANGED');
    assert.ok(whole.bytes < SIZE);
  });
}

test('F026: a ranged read of a file that changes is kind changed too', async (t) => {
  const { path, store, token } = await opened(t);
  const ranged = await readDisturbed(store, token, () => overwrite(path), { offset: 10, length: 2 * 1024 * 1024 });
  assert.equal(ranged.error?.kind, 'changed');
});

test('F026: a file that is cut short while it is read is E_SHORT_READ, never a shorter object', async (t) => {
  const { path, store, token } = await opened(t);
  const cut = await readDisturbed(store, token, () => truncate(path, 1_500_000));
  assert.equal(cut.error?.code, 'E_SHORT_READ');
  assert.equal(cut.error?.kind, 'changed');
});

test('F026: an undisturbed read is whole', async (t) => {
  const { store, token } = await opened(t);
  assert.deepEqual(await readDisturbed(store, token, async () => {}), { bytes: SIZE, error: undefined });
});

test('F004: no descriptor is left open by reads, discards, breaks, listings, writes and refusals', { skip: process.platform !== 'linux' }, async (t) => {
  const { path, store } = await opened(t);
  const count = (): number => readdirSync('/proc/self/fd').length;
  await entriesOf(store);
  const before = count();
  for (let i = 0; i < 20; i++) {
    (await store.read({ key: 'file', expectedSize: SIZE })).discard();
    for await (const _ of (await store.read({ key: 'file', expectedSize: SIZE })).chunks) break;
    for await (const _ of store.list({})) break;
    await assert.rejects(store.read({ key: 'file', expectedSize: 1 }));
    await assert.rejects(store.head('file/below'));
    await put(store, 'other', 'x');
    await assert.rejects(put(store, 'other', 'y', undefined, { kind: 'absent' }));
    await assert.rejects(put(store, 'file/below', 'y'));
  }
  for (let turn = 0; turn < 400 && count() !== before; turn++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(count(), before);
  assert.equal((await stat(path)).size, SIZE);
});

test('F004: a thousand directories are not kept open', { skip: process.platform !== 'linux' }, async (t) => {
  const { store } = await opened(t);
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 300; i++) await put(store, `d${i}/x/y`, 'x');
  assert.ok(readdirSync('/proc/self/fd').length - before <= 70);
  await store.close();
});
