import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, linkSync, lstatSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { BrigadeError } from '../../core/errors.ts';
import { noGuard, writeGuard } from '../conditions.ts';
import { failed, ground } from '../disk.test-kit.ts';
import { S3Error } from '../errors.ts';
import { put, readAll } from '../layout.test-kit.ts';
import type { Layout, ScanHints } from '../layout.ts';
import { fsckFiles } from './fsck.ts';
import { openFilesLayout, type FilesLayout, type FilesLayoutOptions } from './index.ts';

const B = 'bucket';

async function tree(t: TestContext, more: Partial<FilesLayoutOptions> = {}): Promise<{ layout: FilesLayout; root: string; base: string; at: (...names: string[]) => string }> {
  const { root, base } = ground(t);
  mkdirSync(join(root, B), { recursive: true });
  const layout = await openFilesLayout({ ...ground(t), failed, ...more });
  t.after(() => layout.close());
  return { layout, root, base, at: (...names) => join(root, B, ...names) };
}

async function keys(layout: Layout, hints: ScanHints = {}, from = '', bucket = B): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of layout.scan(bucket, Buffer.from(from), hints)) found.push(key);
  return found;
}

const text = async (layout: Layout, key: string, bucket = B): Promise<string | undefined> => {
  const version = (await layout.entry(bucket, key))?.versions[0];
  return version === undefined ? undefined : (await readAll(version.body)).toString();
};
const refused = (code: string) => (error: unknown): boolean => error instanceof S3Error && error.code === code;

test('a tree that was there is served as it is, in byte order, its ETags never like an MD5', async (t) => {
  const { layout, at } = await tree(t);
  mkdirSync(at('a', 'empty'), { recursive: true });
  for (const name of ['a/b', 'a-b', 'a0', 'é']) writeFileSync(at(name), name);
  assert.deepEqual(await keys(layout), ['a-b', 'a/b', 'a/empty/', 'a0', 'é']);
  const { etag, modified, body, checksum } = (await layout.entry(B, 'a/b'))!.versions[0]!;
  assert.match(etag, /^stat-/);
  assert.doesNotMatch(etag, /^[0-9a-f]{32}(-\d+)?$/);
  assert.deepEqual([modified, body.size, checksum], [Math.round(statSync(at('a', 'b')).mtimeMs), 3, undefined]);
  assert.equal(await text(layout, 'a/b'), 'a/b');
});

test('a file that another program changes is seen as changed: bytes, ETag and all that was known of it', async (t) => {
  const { layout, at } = await tree(t);
  const { etag } = await put(layout, 'k', 'through us', { meta: new Map([['m', '1']]) });
  assert.equal((await layout.entry(B, 'k'))!.versions[0]!.etag, etag);
  const { mtime, atime } = statSync(at('k'));
  writeFileSync(at('k'), 'other bytes');
  truncateTo(at('k'), 'through US');
  utimesSync(at('k'), atime, mtime); // same size and time: the ctime tells
  const after = (await layout.entry(B, 'k'))!.versions[0]!;
  assert.match(after.etag, /^stat-/);
  assert.deepEqual([after.meta.size, await text(layout, 'k')], [0, 'through US']);
  renameSync(at('k'), at('moved'));
  assert.deepEqual([await layout.entry(B, 'k'), await text(layout, 'moved')], [undefined, 'through US']);
});

const truncateTo = (path: string, content: string): void => writeFileSync(path, content);

test('keys that no file can have are refused by name on writing, and not there on reading', async (t) => {
  const { layout } = await tree(t);
  const cases: [key: string, code: string][] = [
    ['..', 'InvalidArgument'], ['.', 'InvalidArgument'], ['a/../b', 'InvalidArgument'], ['a//b', 'InvalidArgument'], ['/a', 'InvalidArgument'], ['a\0b', 'InvalidArgument'], ['../../x', 'InvalidArgument'],
    ['x'.repeat(256), 'KeyTooLongError'], ['.brigade/x', 'InvalidArgument'], ['.x.0123456789abcdef.brigade.part', 'InvalidArgument'],
  ];
  for (const [key, code] of cases) {
    await assert.rejects(async () => layout.accepts(B, key), refused(code), `${JSON.stringify(key)} before a byte is read`);
    await assert.rejects(put(layout, key, 'x'), refused(code), JSON.stringify(key));
    assert.equal(await layout.entry(B, key), undefined);
    assert.equal(await layout.remove(B, key, 'null', noGuard), undefined);
  }
  assert.deepEqual(await keys(layout), []);
  await put(layout, `${'é'.repeat(127)}x`, 'longest');
});

test('a file in the way of a directory and the other way round are told apart', async (t) => {
  const { layout } = await tree(t);
  await put(layout, 'a/b', 'x');
  await assert.rejects(put(layout, 'a', 'y'), refused('ObjectExistsAsDirectory'));
  await assert.rejects(put(layout, 'a/b/c', 'y'), refused('ObjectParentIsFile'));
  await assert.rejects(put(layout, 'a/b/', ''), refused('ObjectParentIsFile'));
  assert.deepEqual([await layout.entry(B, 'a'), await layout.entry(B, 'a/b/c'), await text(layout, 'a/b')], [undefined, undefined, 'x']);
});

test('F112: links are not followed, not listed, not replaced; nor are pipes', async (t) => {
  const { layout, base, at } = await tree(t);
  mkdirSync(join(base, 'outside'));
  writeFileSync(join(base, 'outside', 'secret'), 'secret');
  symlinkSync(join(base, 'outside'), at('link'));
  symlinkSync(join(base, 'outside', 'secret'), at('filelink'));
  symlinkSync(join(base, 'outside'), join(base, 'root', 'linkbucket'));
  for (const key of ['link/secret', 'link/', 'link', 'filelink']) assert.equal(await layout.entry(B, key), undefined, key);
  for (const key of ['link/secret', 'link/new', 'filelink', 'link']) await assert.rejects(put(layout, key, 'x'), refused('AccessDenied'), key);
  for (const key of ['link/secret', 'filelink', 'link']) assert.equal(await layout.remove(B, key, 'null', noGuard), undefined, key);
  assert.deepEqual([await keys(layout), await keys(layout, { delimiter: '/' }), await layout.bucket('linkbucket')], [[], [], undefined]);
  assert.deepEqual((await layout.buckets()).map(({ name }) => name), [B]);
  assert.deepEqual([readdirSync(join(base, 'outside')), readFileSync(join(base, 'outside', 'secret'), 'utf8'), lstatSync(at('filelink')).isSymbolicLink()], [['secret'], 'secret', true]);
});

test('F112: a directory that becomes a link between two writes, or between a listing and its next page, leads nowhere', async (t) => {
  const { layout, base, at } = await tree(t);
  mkdirSync(join(base, 'outside'));
  for (const key of ['d/1', 'd/2', 'd/3']) await put(layout, key, key);
  const scan = layout.scan(B, Buffer.alloc(0));
  assert.equal((await scan.next()).value?.key, 'd/1');
  await scan.return();
  writeFileSync(join(base, 'outside', '2'), 'outside');
  renameSync(at('d'), at('real'));
  symlinkSync(join(base, 'outside'), at('d'));
  await assert.rejects(put(layout, 'd/4', 'x'), refused('AccessDenied'));
  assert.deepEqual(await keys(layout, {}, 'd/1\0'), ['real/1', 'real/2', 'real/3']);
  assert.deepEqual(readdirSync(join(base, 'outside')), ['2']);
});

test('F111: names of buckets that climb or hide are none', async (t) => {
  const { layout, root } = await tree(t);
  for (const name of ['..', '.', '', '.brigade', 'bucket/..', '/', 'a/b', 'nul\0']) {
    assert.equal(await layout.bucket(name), undefined, JSON.stringify(name));
    await assert.rejects(async () => layout.addBucket({ ...(await layout.bucket(B))!, name }), S3Error, JSON.stringify(name));
    await assert.rejects(async () => layout.put(name, { ...(await put(layout, 'k', 'x')), key: 'k' }, noGuard), S3Error);
  }
  assert.deepEqual(readdirSync(root).sort((a, b) => (a < b ? -1 : 1)), ['.brigade', B]);
});

test('directories: made by keys with a slash, gone with their last object, kept when they were made as objects', async (t) => {
  const { layout, at } = await tree(t);
  await put(layout, 'made/', '');
  await put(layout, 'made/x/y/z', '1');
  assert.deepEqual(await keys(layout), ['made/', 'made/x/y/z']);
  assert.deepEqual(await keys(layout, { delimiter: '/' }), ['made/']);
  await layout.remove(B, 'made/x/y/z', 'null', noGuard);
  assert.deepEqual([await keys(layout), existsSync(at('made', 'x'))], [['made/'], false]);
  await layout.remove(B, 'made/', 'null', noGuard);
  assert.deepEqual([await keys(layout), existsSync(at('made')), existsSync(at())], [[], false, true]);
  await assert.rejects(put(layout, 'full/', 'bytes'), refused('InvalidArgument'));
});

test('unfinished files of our own and of other writers are never listed nor served', async (t) => {
  const { layout, at } = await tree(t, { bucket: 'whole' });
  writeFileSync(at('.k.0123456789abcdef.brigade.part'), 'half');
  await layout.write((async function* one() { yield Buffer.from('on its way'); })());
  assert.deepEqual(await keys(layout, {}, '', 'whole'), ['bucket/'], 'a directory that holds nothing else');
  assert.equal(await layout.entry('whole', '.brigade/'), undefined);
});

test('one bucket: the root itself', async (t) => {
  const { root } = ground(t);
  writeFileSync(join(root, 'top'), 'top');
  const { layout } = await tree(t, { bucket: 'whole' });
  await layout.put('whole', { ...(await layout.entry('whole', 'top'))!.versions[0]!, key: 'new/file' }, noGuard);
  assert.deepEqual([(await layout.buckets()).map(({ name }) => name), await keys(layout, {}, '', 'whole'), await layout.bucket(B)], [['whole'], ['bucket/', 'new/file', 'top'], undefined]);
  assert.equal(readFileSync(join(root, 'new', 'file'), 'utf8'), 'top');
  await assert.rejects(layout.removeBucket('whole'), refused('AccessDenied'));
  await assert.rejects(layout.addBucket((await layout.bucket('whole'))!), refused('AccessDenied'));
});

test('only-if-absent holds against files that other programs make', async (t) => {
  const { layout, at } = await tree(t);
  const absent = writeGuard(new Map([['if-none-match', '*']]), 'k');
  const version = await put(layout, 'other', 'ours');
  // Made behind our back in the moment between the look and the write: the guard sees nothing, the link() does.
  let looked = 0;
  const body = await layout.write((async function* one() { yield Buffer.from('ours'); })());
  await assert.rejects(layout.put(B, { ...version, key: 'k', body }, (newest) => {
    if (looked++ === 0) writeFileSync(at('k'), 'theirs');
    absent(newest);
  }), refused('PreconditionFailed'));
  assert.deepEqual([looked, readFileSync(at('k'), 'utf8')], [2, 'theirs']);
});

test('a listing fails rather than leave out what it may not read; or leaves it out when told to', { skip: process.getuid?.() === 0 && 'root reads everything' }, async (t) => {
  const { layout, at } = await tree(t);
  mkdirSync(at('closed'));
  chmodSync(at('closed'), 0o000);
  t.after(() => chmodSync(at('closed'), 0o700));
  await assert.rejects(keys(layout), refused('AccessDenied'));
});

test('the state may not lie in the tree, belongs to one root, and to one agent at a time', async (t) => {
  const { base, root } = ground(t);
  const code = (expected: string) => (error: BrigadeError): boolean => error.code === expected;
  symlinkSync(root, join(base, 'alias'));
  for (const state of [root, join(root, 'state'), join(base, 'alias', 'new', 'state')]) await assert.rejects(openFilesLayout({ root, state }), code('E_STATE_IN_ROOT'));
  const layout = await openFilesLayout({ root: join(base, 'alias'), state: join(base, 'state') });
  await assert.rejects(openFilesLayout({ root, state: join(base, 'state') }), code('E_STATE_LOCKED'));
  await layout.close();
  mkdirSync(join(base, 'other'));
  await assert.rejects(openFilesLayout({ root: join(base, 'other'), state: join(base, 'state') }), code('E_STATE_OF_ANOTHER_ROOT'));
  await assert.rejects(openFilesLayout({ root: join(base, 'nowhere'), state: join(base, 'state2') }), code('E_NO_ROOT'));
});

test('a directory of more names than are sorted in memory goes to disk, pages without being read again, and leaves nothing there', async (t) => {
  const { layout, base, at } = await tree(t, { mostNames: 1000 });
  for (let n = 0; n < 5000; n++) linkSync(n === 0 ? seed(at('seed')) : at('f0'), at(`f${n}`));
  rmSync(at('seed'));
  const seen: string[] = [];
  for (let page = 0; seen.length < 5000; page++) {
    let left = 700;
    for await (const { key } of layout.scan(B, Buffer.from(seen.length === 0 ? '' : `${seen.at(-1)}\0`))) {
      if (left-- === 0) break;
      seen.push(key);
    }
    assert.equal(readdirSync(join(base, 'state', 'names')).length, seen.length < 5000 ? 1 : 0, `page ${page}`);
  }
  assert.deepEqual(seen, Array.from({ length: 5000 }, (_, n) => `f${n}`).sort((a, b) => (a < b ? -1 : 1)));
});

const seed = (path: string): string => {
  writeFileSync(path, 'x');
  return path;
};

test('fsck: tells a record without its file, a lost part and rotten bytes, and repairs what is harmless', async (t) => {
  const { base, root } = ground(t);
  const { layout, at } = await tree(t);
  for (const key of ['right', 'gone', 'rotten']) await put(layout, key, `content of ${key}`);
  await layout.addUpload(B, { ...(await layout.entry(B, 'right'))!.versions[0]!, id: 'up', started: 1, algorithm: undefined, declared: false, checksumType: 'FULL_OBJECT', parts: new Map() });
  const body = await layout.write((async function* one() { yield Buffer.from('part'); })());
  await layout.putPart(B, 'up', { number: 1, size: 4, etag: createHash('md5').update('part').digest('hex'), modified: 1, checksum: undefined, raw: undefined, body });
  await layout.write((async function* one() { yield Buffer.from('never put'); })());
  rmSync(at('gone'));
  await layout.close();
  const where = { root, state: join(base, 'state') };
  assert.deepEqual(await kinds(where), ['leftover', 'stale_record']);
  const parts = join(root, '.brigade', readdirSync(join(root, '.brigade'))[0]!);
  rmSync(join(parts, body.pieces[0]!.id));
  assert.deepEqual(await kinds(where), ['leftover', 'missing_body', 'stale_record']);
  assert.deepEqual(await kinds(where, true), ['leftover', 'missing_body', 'stale_record']);
  assert.deepEqual(await kinds(where), ['missing_body'], 'the harmless ones are gone');
});

async function kinds(where: { root: string; state: string }, repair = false): Promise<string[]> {
  const found: string[] = [];
  await fsckFiles(where, { deep: true, repair, found: ({ kind }) => void found.push(kind) });
  return found.sort((a, b) => (a < b ? -1 : 1));
}

test('canaries of our own program are held, shown to who asks for them, and gone without a trace; the rest of our folder is closed', async (t) => {
  const { layout, root } = await tree(t, { bucket: 'whole' });
  await put(layout, 'k', 'content', {}, 'whole');
  const canary = '.brigade/canary-0123456789ab';
  for (const key of [`${canary}/a-b`, `${canary}/a/b`, `${canary}/a0`, '.brigade/canary-ffffffffffff']) await put(layout, key, 'canary', {}, 'whole');
  assert.equal(await text(layout, `${canary}/a/b`, 'whole'), 'canary');
  assert.deepEqual(await keys(layout, {}, '', 'whole'), ['bucket/', 'k'], 'never in an ordinary listing');
  assert.deepEqual(await keys(layout, { prefix: `${canary}/` }, canary, 'whole'), [`${canary}/a-b`, `${canary}/a/b`, `${canary}/a0`]);
  for (const key of ['.brigade/x', '.brigade/agent-0123456789abcdef/x', '.brigade/canary-0123', '.brigade/canary-0123456789ab/../x']) await assert.rejects(put(layout, key, 'no', {}, 'whole'), refused('InvalidArgument'), key);
  for (const key of [`${canary}/a-b`, `${canary}/a/b`, `${canary}/a0`, '.brigade/canary-ffffffffffff']) await layout.remove('whole', key, 'null', noGuard);
  assert.deepEqual(readdirSync(join(root, '.brigade')).filter((name) => name.startsWith('canary')), []);
});
