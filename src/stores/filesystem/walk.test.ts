import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareKeys, keyFromBytes } from '../../core/key.ts';
import type { BrigadeError } from '../../core/errors.ts';
import { createFilesystemStore } from './index.ts';
import { asNobody, entriesOf, freshRoot, keysOf, random, storeOn } from './ground.test-kit.ts';

async function plant(root: string, files: readonly string[]): Promise<void> {
  for (const file of files) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), file);
  }
}

/** All keys that the files make, directories included. */
function withDirectories(files: readonly string[]): string[] {
  const keys = new Set(files);
  for (const file of files) for (let at = file.indexOf('/'); at >= 0; at = file.indexOf('/', at + 1)) keys.add(file.slice(0, at + 1));
  return [...keys].sort(compareKeys);
}

test('F049: the walk of any tree is its keys in byte order, from any start and under any prefix', async () => {
  const name = fc.constantFrom('a', 'b', 'a-', 'a.', 'a0', 'ab', 'é', '\uffff', '😀', 'A', ' ', '!');
  const file = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  await fc.assert(fc.asyncProperty(fc.uniqueArray(file, { maxLength: 12 }), file, file, async (wished, startAfter, prefix) => {
    const files = wished.filter((one) => !wished.some((other) => other.startsWith(`${one}/`)));
    const root = await mkdtemp(join(tmpdir(), 'brigade-fs-'));
    const store = createFilesystemStore({ root, names: 'verbatim', random, pageSize: 3 });
    try {
      await plant(root, files);
      const all = withDirectories(files);
      assert.deepEqual(await keysOf(store), all);
      assert.deepEqual(await keysOf(store, { startAfter }), all.filter((key) => compareKeys(key, startAfter) > 0));
      assert.deepEqual(await keysOf(store, { prefix }), all.filter((key) => key.startsWith(prefix)));
      const [first = ''] = prefix;
      assert.deepEqual(await keysOf(store, { prefix: first, startAfter }), all.filter((key) => key.startsWith(first) && compareKeys(key, startAfter) > 0));
    } finally {
      await store.close();
      await rm(root, { recursive: true });
    }
  }), { numRuns: 60 });
});

test('directories are entries of their own; empty ones are told', async (t) => {
  const root = await freshRoot(t);
  await mkdir(join(root, 'full/empty'), { recursive: true });
  await writeFile(join(root, 'full/file'), 'x');
  const found = (await entriesOf(storeOn(t, root))).map(({ key, kind, empty }) => ({ key, kind, empty }));
  assert.deepEqual(found, [
    { key: 'full/', kind: 'directory', empty: false }, { key: 'full/empty/', kind: 'directory', empty: true }, { key: 'full/file', kind: 'object', empty: undefined },
  ]);
});

test('F052: links are not followed by default, and a loop is told when they are', async (t) => {
  const root = await freshRoot(t);
  await plant(root, ['dir/file']);
  await symlink('..', join(root, 'dir/loop'));
  await symlink('self', join(root, 'self'));
  await symlink('dir', join(root, 'twin'));
  const told = (entries: Awaited<ReturnType<typeof entriesOf>>): unknown[] => entries.filter((e) => e.kind !== 'directory').map((e) => [e.key, e.reason?.code ?? e.kind]);
  assert.deepEqual(told(await entriesOf(storeOn(t, root))), [['dir/file', 'object'], ['dir/loop', 'symlink'], ['self', 'symlink'], ['twin', 'symlink']]);
  assert.deepEqual(told(await entriesOf(storeOn(t, root, { links: 'follow' }))), [
    ['dir/file', 'object'], ['dir/loop/', 'symlink_loop'], ['self', 'symlink_loop'], ['twin/file', 'object'], ['twin/loop/', 'symlink_loop'],
  ]);
});

test('F053: a dangling link, a pipe, a socket and a device are skipped by name; what is excluded is not looked at', async (t) => {
  const root = await freshRoot(t);
  await symlink('nowhere', join(root, 'dangling'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
  const server = createServer().listen(join(root, 'socket'));
  t.after(() => server.close());
  await new Promise((resolve) => server.once('listening', resolve));
  const told = (await entriesOf(storeOn(t, root, { links: 'follow' }))).map((e) => [e.key, e.kind, e.reason?.state, e.reason?.code]);
  assert.deepEqual(told, [
    ['dangling', 'special', 'skipped', 'dangling_symlink'], ['pipe', 'special', 'skipped', 'special_file'], ['socket', 'special', 'skipped', 'special_file'],
  ]);
  const wanted = (key: string): boolean => key !== 'pipe' && key !== 'socket';
  assert.deepEqual(await keysOf(storeOn(t, root, { wanted })), ['dangling']);
  const pipe = storeOn(t, root).read({ key: 'pipe', expectedSize: 0 });
  await assert.rejects(pipe, (error: BrigadeError) => error.code === 'E_SPECIAL_FILE' && error.kind === 'object');
});

test('F054: an unreadable directory is told with its subtree, and the others are listed; an excluded one is not touched (F053)', async (t) => {
  const root = await freshRoot(t);
  await plant(root, ['a/1', 'closed/2', 'nosearch/3', 'z/4']);
  await chmod(root, 0o755);
  await chmod(join(root, 'closed'), 0o000);
  await chmod(join(root, 'nosearch'), 0o744);
  const source = (wanted: string): string => `
    import { createFilesystemStore } from ${JSON.stringify(pathToFileURL(join(import.meta.dirname, 'index.ts')).href)};
    const store = createFilesystemStore({ root: ${JSON.stringify(root)}, names: 'verbatim', random: { next: () => 0.5 }, wanted: ${wanted} });
    const found = [];
    for await (const page of store.list({})) for (const e of page.entries) found.push([e.key, e.kind, e.reason?.state ?? null, e.reason?.code ?? null, e.reason?.subtree ?? null]);
    console.log(JSON.stringify(found));`;
  assert.deepEqual(asNobody(source('() => true')), [
    ['a/', 'directory', null, null, null], ['a/1', 'object', null, null, null],
    ['closed/', 'special', 'failed', 'E_ACCES', true],
    ['nosearch/', 'directory', null, null, null], ['nosearch/3', 'special', 'failed', 'E_ACCES', null],
    ['z/', 'directory', null, null, null], ['z/4', 'object', null, null, null],
  ]);
  assert.deepEqual((asNobody(source('(key) => !key.startsWith("closed") && !key.startsWith("nosearch")')) as string[][]).map(([key]) => key), ['a/', 'a/1', 'z/', 'z/4']);
  await chmod(join(root, 'closed'), 0o755);
});

test('F055: hard links are objects of their own, with one inode in their tokens', async (t) => {
  const root = await freshRoot(t);
  await plant(root, ['one']);
  await link(join(root, 'one'), join(root, 'two'));
  const [one, two] = await entriesOf(storeOn(t, root));
  assert.deepEqual([one?.key, two?.key], ['one', 'two']);
  assert.equal(one?.token, two?.token);
});

test('F046: names that are not UTF-8 are listed and read by their bytes', async (t) => {
  const root = await freshRoot(t);
  const bytes = Buffer.from('caf\xe9-\xff', 'latin1');
  await writeFile(Buffer.concat([Buffer.from(`${root}/`), bytes]), 'x');
  const store = storeOn(t, root);
  assert.deepEqual(await keysOf(store), [keyFromBytes(bytes)]);
  assert.equal((await store.head(keyFromBytes(bytes))).size, 1);
});

test('F025: unfinished files and our own folder are never listed', async (t) => {
  const root = await freshRoot(t);
  await plant(root, ['a', '.a.0123456789abcdef.brigade.part', 'd/.b.0123456789abcdef.brigade.parts', '.brigade/canary', 'd/.brigade/kept']);
  assert.deepEqual(await keysOf(storeOn(t, root)), ['a', 'd/', 'd/.brigade/', 'd/.brigade/kept']);
});

test('I1: where names like ours may be somebody\'s, each is listed as skipped, folders with what is below them', async (t) => {
  const root = await freshRoot(t);
  const [file, folder] = ['.a.0123456789abcdef.brigade.part', 'd/.b.0123456789abcdef.brigade.part/'];
  await plant(root, ['a', file, `${folder}inside`]);
  const entries = await entriesOf(storeOn(t, root, { temporaries: 'tell' }));
  assert.deepEqual(entries.map(({ key, kind, reason }) => [key, kind, reason?.state, reason?.code, reason?.subtree]), [
    [file, 'special', 'skipped', 'reserved_name', undefined], ['a', 'object', undefined, undefined, undefined],
    ['d/', 'directory', undefined, undefined, undefined], [folder, 'special', 'skipped', 'reserved_name', true],
  ]);
  assert.deepEqual(await keysOf(storeOn(t, root, { temporaries: 'tell', wanted: (key, directory) => directory || key === 'a' })), ['a', 'd/', folder]);
});

test('files that vanish during the walk are left out; a root that vanishes is an error, not an empty store', async (t) => {
  const root = await freshRoot(t);
  await plant(root, Array.from({ length: 300 }, (_, i) => `f${String(i).padStart(3, '0')}`));
  const seen: string[] = [];
  for await (const page of storeOn(t, root, { pageSize: 10 }).list({})) {
    seen.push(...page.entries.map((entry) => entry.key));
    await rm(join(root, 'f250'), { force: true });
  }
  assert.equal(seen.length, 299);
  const listing = (async () => {
    for await (const _ of storeOn(t, root, { pageSize: 10 }).list({})) await rm(root, { recursive: true, force: true });
  })();
  await assert.rejects(listing, (error: BrigadeError) => error.kind === 'premise' && error.code === 'E_ROOT_GONE');
  await assert.rejects(keysOf(storeOn(t, root)), (error: BrigadeError) => error.kind === 'premise' && error.code === 'E_NO_ROOT');
});
