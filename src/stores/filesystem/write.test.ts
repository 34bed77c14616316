import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, link, mkdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import type { BrigadeError } from '../../core/errors.ts';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import type { Store } from '../../ports/storage.ts';
import { asNobody, body, entriesOf, freshRoot, get, keysOf, makeFileSystem, mounted, names, put, random, storeOn } from './ground.test-kit.ts';
import { createFilesystemStore, filesystemType, probeGranularity, probeNames } from './index.ts';

const MODULE = JSON.stringify(pathToFileURL(join(import.meta.dirname, 'index.ts')).href);

test('F024, F025: a writer killed in the middle leaves the old content, and nothing that looks like an object', async (t) => {
  const root = await freshRoot(t);
  await put(storeOn(t, root), 'victim', 'old content');
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', `
    import { createFilesystemStore } from ${MODULE};
    const store = createFilesystemStore({ root: ${JSON.stringify(root)}, names: 'escaped', random: { next: Math.random } });
    await store.write({ key: 'victim', attributes: { headers: {}, userMetadata: new Map() }, guard: { kind: 'none' }, body: { size: 2_000_000, async *open() {
      yield Buffer.alloc(1_000_000, 1);
      console.log('half');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    } } });`], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
  const store = storeOn(t, root);
  assert.equal((await names(root)).length, 2);
  assert.deepEqual(await keysOf(store), ['victim']);
  assert.equal((await get(store, 'victim', 11)).toString(), 'old content');
  await store.multipart?.create({ key: 'upload', size: 10, partSize: 10, attributes: NO_ATTRIBUTES });
  assert.equal(await store.sweep(Date.now() - 60_000), 0);
  assert.equal(await store.sweep(Date.now() + 60_000), 1);
  assert.equal((await names(root)).length, 3);
});

test('F024: refused, failed and conflicting writes leave no temporary behind', async (t) => {
  const root = await freshRoot(t);
  const store = storeOn(t, root);
  await put(store, 'a', 'old');
  await assert.rejects(put(store, 'a', 'new', NO_ATTRIBUTES, { kind: 'absent' }), (error: BrigadeError) => error.kind === 'conflict');
  await assert.rejects(put(store, 'a', 'new', NO_ATTRIBUTES, { kind: 'matches', token: 'other' }), (error: BrigadeError) => error.kind === 'conflict');
  await assert.rejects(store.write({ key: 'b', body: { ...body('xyz'), size: 4 }, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } }));
  assert.deepEqual(await names(root), ['a']);
});

test('F042: an empty object named with a slash makes a directory; with bytes it is refused', async (t) => {
  const root = await freshRoot(t);
  const store = storeOn(t, root);
  await put(store, 'a/b/', '');
  assert.ok((await stat(join(root, 'a/b'))).isDirectory());
  await put(store, 'a/b/', '', NO_ATTRIBUTES, { kind: 'absent' });
  await assert.rejects(put(store, 'a/c/', 'x'), (error: BrigadeError) => error.code === 'E_DIR_MARKER_HAS_DATA');
  await assert.rejects(stat(join(root, 'a/c')));
});

test('F043, F061: a file never replaces a directory, nor a directory a file, under any guard', async (t) => {
  const root = await freshRoot(t);
  const store = storeOn(t, root);
  await put(store, 'file', 'x');
  await put(store, 'dir/inner', 'y');
  const collides = (error: BrigadeError): boolean => error.kind === 'object' && error.code === 'E_NAME_COLLISION' && error.hint !== undefined;
  for (const guard of [{ kind: 'none' }, { kind: 'absent' }, { kind: 'matches', token: 'any' }] as const) {
    for (const key of ['dir', 'file/below']) await assert.rejects(put(store, key, 'z', NO_ATTRIBUTES, guard), collides, `${key} ${guard.kind}`);
  }
  for (const guard of [{ kind: 'none' }, { kind: 'absent' }] as const) await assert.rejects(put(store, 'file/', '', NO_ATTRIBUTES, guard), collides, guard.kind);
  assert.deepEqual(await keysOf(store), ['dir/', 'dir/inner', 'file']);
  assert.deepEqual(await names(root), ['dir', 'file']);
});

test('F057: times are kept to the microsecond and mapped to themselves; the mount is measured', async (t) => {
  const root = await freshRoot(t);
  const store = storeOn(t, root);
  for (const mtimeNs of ['1700000000123456789', '1', '946684800000000000', '4102444799999999999']) {
    await put(store, 'timed', 'x', { ...NO_ATTRIBUTES, mtimeNs });
    const kept = (await store.head('timed')).mtimeNs as string;
    const off = BigInt(kept) - BigInt(mtimeNs);
    assert.ok(off > -1000n && off < 1000n, `${mtimeNs} became ${kept}`);
    await put(store, 'again', 'x', { ...NO_ATTRIBUTES, mtimeNs: kept });
    assert.equal((await store.head('again')).mtimeNs, kept);
  }
  assert.equal(await probeGranularity(root, 'x1'), 1000);
  assert.deepEqual(await names(root), ['again', 'timed']);
});

test('F057: a mount that keeps times in whole seconds is measured as such', async (t) => {
  const root = await freshRoot(t);
  const image = join(root, 'image');
  await writeFile(image, '');
  await truncate(image, 4 * 1024 * 1024);
  // 128-byte inodes have no room for fractions.
  if (!makeFileSystem(t, 'mkfs.ext2', ['-q', '-F', '-I', '128', image])) return;
  const point = await mounted(t, '-o', 'loop', image);
  if (point !== undefined) assert.equal(await probeGranularity(point, 'x1'), 1_000_000_000);
});

test('F058: setuid, setgid and sticky bits are never set; permission bits are', async (t) => {
  const root = await freshRoot(t);
  const store = storeOn(t, root);
  await put(store, 'bits', 'x', { ...NO_ATTRIBUTES, mode: 0o7751 });
  assert.equal((await stat(join(root, 'bits'))).mode & 0o7777, 0o751);
  await put(store, 'dir/', '', { ...NO_ATTRIBUTES, mode: 0o7700 });
  assert.equal((await stat(join(root, 'dir'))).mode & 0o7777, 0o700);
  await chmod(join(root, 'bits'), 0o4755);
  assert.equal((await store.head('bits')).mode, 0o755);
});

test('F059: a full disk is one premise with the bytes needed; the temporary goes, the old content stays, and it goes on when there is room', async (t) => {
  const point = await mounted(t, '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs');
  if (point === undefined) return;
  const store = storeOn(t, point);
  await put(store, 'old', Buffer.alloc(600_000, 1));
  for (const key of ['old', 'new', 'deep/er/new']) {
    await assert.rejects(put(store, key, Buffer.alloc(900_000, 1)), (error: BrigadeError) => error.code === 'E_DISK_FULL' && error.kind === 'premise' && error.message.includes('900000 bytes'));
  }
  const upload = await store.multipart?.create({ key: 'parts', size: 900_000, partSize: 900_000, attributes: NO_ATTRIBUTES });
  assert.ok(upload !== undefined);
  await assert.rejects(async () => store.multipart?.putPart(upload, 1, body(Buffer.alloc(900_000, 1))), (error: BrigadeError) => error.code === 'E_DISK_FULL');
  assert.deepEqual(await store.multipart?.listParts(upload), []);
  await store.multipart?.abort(upload);
  assert.equal((await get(store, 'old', 600_000))[599_999], 1);
  assert.deepEqual(await names(point), ['deep', 'old']);
  await store.remove('old');
  await put(store, 'new', Buffer.alloc(900_000, 1));
});

test('F060: an error that shows only at fsync is a failure, and the final name keeps the old content', async (t) => {
  // An ext4 in a sparse image on a tmpfs too small for it: writes are taken into memory, and fail on their way to the "disk".
  const disk = await mounted(t, '-t', 'tmpfs', '-o', 'size=6m', 'tmpfs');
  if (disk === undefined) return;
  const image = join(disk, 'image');
  await writeFile(image, '');
  await truncate(image, 64 * 1024 * 1024);
  if (!makeFileSystem(t, 'mkfs.ext4', ['-q', '-F', '-O', '^has_journal', '-E', 'lazy_itable_init=1', image])) return;
  const point = await mounted(t, '-o', 'loop', image);
  if (point === undefined) return;
  const store = storeOn(t, point);
  await put(store, 'file', 'old');
  await assert.rejects(put(store, 'file', Buffer.alloc(20 * 1024 * 1024, 7)), (error: BrigadeError) => {
    assert.equal((error.cause as NodeJS.ErrnoException).syscall, 'fsync');
    return error.code === 'E_IO' || error.code === 'E_DISK_FULL';
  });
  assert.deepEqual(await names(point), ['file', 'lost+found']);
  assert.equal((await readFile(join(point, 'file'))).toString(), 'old');
});

test('a read-only mount is a premise', async (t) => {
  const point = await mounted(t, '-t', 'tmpfs', '-o', 'size=1m,ro', 'tmpfs');
  if (point !== undefined) await assert.rejects(put(storeOn(t, point), 'a', 'x'), (error: BrigadeError) => error.kind === 'premise' && error.code === 'E_READ_ONLY');
});

test('a directory that may not be written fails its objects, not the run', async (t) => {
  const root = await freshRoot(t);
  await mkdir(join(root, 'closed'));
  await chmod(root, 0o755);
  await chmod(join(root, 'closed'), 0o555);
  const told = asNobody(`
    import { createFilesystemStore } from ${MODULE};
    const store = createFilesystemStore({ root: ${JSON.stringify(root)}, names: 'escaped', random: { next: Math.random } });
    const body = { size: 1, async *open() { yield Buffer.from('x'); } };
    const error = await store.write({ key: 'closed/a', body, attributes: { headers: {}, userMetadata: new Map() }, guard: { kind: 'none' } }).catch((e) => e);
    console.log(JSON.stringify([error.code, error.kind]));`);
  assert.deepEqual(told, ['E_ACCES', 'object']);
});

test('F111: a guard or a write never goes through a link at the final name: the link is replaced, its target stays', async (t) => {
  const [root, outside] = [await freshRoot(t), await freshRoot(t)];
  await writeFile(join(outside, 'target'), 'untouched');
  await symlink(join(outside, 'target'), join(root, 'link'));
  const store = storeOn(t, root);
  await assert.rejects(put(store, 'link', 'x', NO_ATTRIBUTES, { kind: 'absent' }), (error: BrigadeError) => error.kind === 'conflict');
  await put(store, 'link', 'x');
  assert.equal((await readFile(join(outside, 'target'))).toString(), 'untouched');
  assert.equal((await entriesOf(store))[0]?.kind, 'object');
});

test('the root is made when asked, and only then', async (t) => {
  const root = join(await freshRoot(t), 'not/yet');
  await assert.rejects(put(storeOn(t, root), 'a', 'x'), (error: BrigadeError) => error.kind === 'premise' && error.code === 'E_NO_ROOT');
  const store = createFilesystemStore({ root, names: 'escaped', random, create: true });
  await put(store, 'a', 'x');
  assert.deepEqual(await keysOf(store), ['a']);
  await store.close();
});

test('F040, F041, F103: the mount is probed for names and type, and left as it was', async (t) => {
  const root = await freshRoot(t);
  assert.deepEqual(await probeNames(root, 'x1'), { foldsCase: false, normalises: false });
  assert.deepEqual(await names(root), []);
  assert.equal((await filesystemType(root)).network, false);
  assert.match((await filesystemType('/proc')).type, /^0x/);
});

test('F025: untie takes our temporary from a finished file, and no name that somebody else gave it', async (t) => {
  const root = await freshRoot(t);
  const store = storeOn(t, root);
  const temporary = (of: string): string => join(root, `.${of}.0123456789abcdef.brigade.part`);
  await put(store, 'file', 'whole');
  await link(join(root, 'file'), join(root, 'friend'));
  await link(join(root, 'file'), temporary('file'));
  await writeFile(temporary('file').replace('0123', '3210'), 'unfinished');
  await put(store, 'file.0', 'another');
  await link(join(root, 'file.0'), temporary('file.0'));
  await store.untie('file');
  await store.untie('nothing/there');
  assert.deepEqual(await names(root), ['.file.0.0123456789abcdef.brigade.part', '.file.3210456789abcdef.brigade.part', 'file', 'file.0', 'friend']);
  const { token } = await store.head('file');
  assert.equal(await store.sweep(Date.now() + 60_000), 2);
  assert.equal((await store.head('file')).token, token);
});

test('a directory that is made privately is its owner\'s alone until it is given its mode; one that shuts its owner out is opened to be written to', async (t) => {
  const root = await freshRoot(t);
  // Root is never shut out.
  const found = asNobody(`
    process.umask(0);
    const { chmod, mkdtemp, rm, stat } = await import('node:fs/promises');
    const { createFilesystemStore } = await import(${MODULE});
    const root = await mkdtemp('${tmpdir()}/brigade-fs-');
    const open = () => createFilesystemStore({ root, names: 'verbatim', directories: 'private', random: { next: Math.random } });
    const put = (store, key) => store.write({ key, body: { size: 1, bytes: Buffer.from('x') }, attributes: { headers: {}, userMetadata: new Map() }, guard: { kind: 'absent' } });
    const mode = async (key) => ((await stat(root + '/' + key)).mode & 0o777).toString(8);
    const first = open();
    await put(first, 'a/b/c');
    const made = [await mode('a'), await mode('a/b'), await mode('a/b/c')];
    await first.setDirectory('a/b/', { mode: 0o555, mtimeNs: '1000000000500000000' });
    await first.setDirectory('a/', { mode: 0o511 });
    const given = [await mode('a'), await mode('a/b'), (await stat(root + '/a/b')).mtimeMs];
    await first.close();
    const second = open();
    await put(second, 'a/b/d');
    await put(second, 'a/e/f');
    const opened = [await mode('a'), await mode('a/b'), await mode('a/e')];
    await second.close();
    await rm(root, { recursive: true });
    console.log(JSON.stringify([made, given, opened]));
  `);
  assert.deepEqual(found, [['700', '700', '666'], ['511', '555', 1_000_000_000_500], ['711', '755', '700']]);
  await assert.rejects((storeOn(t, root).setDirectory as NonNullable<Store['setDirectory']>)('none/', { mode: 0o700 }), { kind: 'gone' });
});

test('F056: long runs of zeros become holes, wherever they lie, and what is read is what was written', async (t) => {
  const root = await freshRoot(t);
  const store = storeOn(t, root);
  const content = Buffer.alloc(3_000_000);
  content.fill(7, 1_000_000, 1_030_000);
  for (const [key, bytes] of [['middle', content], ['end', content.subarray(0, 2_000_000)], ['start', content.subarray(1_020_000)], ['nothing', Buffer.alloc(2_000_000)]] as const) {
    await put(store, key, bytes);
    assert.equal((await get(store, key, bytes.length)).equals(bytes), true, key);
    const { blocks } = await stat(join(root, key));
    assert.ok(blocks * 512 <= 80_000, `${key} takes ${blocks * 512} bytes`);
  }
});

test('F056: in parts, too; but where an earlier try left other bytes, zeros are written over them', async (t) => {
  const root = await freshRoot(t);
  const store = storeOn(t, root);
  const multipart = store.multipart!;
  const upload = await multipart.create({ key: 'parts', size: 3_000_000, partSize: 1_000_000, attributes: NO_ATTRIBUTES });
  const zeros = body(Buffer.alloc(1_000_000));
  await multipart.putPart(upload, 2, body(Buffer.alloc(1_000_000, 9)));
  const parts = [await multipart.putPart(upload, 1, zeros), await multipart.putPart(upload, 2, zeros), await multipart.putPart(upload, 3, zeros)];
  await multipart.complete({ upload, parts, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
  assert.equal((await get(store, 'parts', 3_000_000)).equals(Buffer.alloc(3_000_000)), true);
  assert.ok((await stat(join(root, 'parts'))).blocks * 512 < 1_100_000);
});
