import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { BrigadeError } from '../../core/errors.ts';
import { noGuard } from '../conditions.ts';
import { failed, ground } from '../disk.test-kit.ts';
import { put, readAll } from '../layout.test-kit.ts';
import { seedBucket } from '../seeding.ts';
import { fsckObjects } from './fsck.ts';
import { openObjectsLayout, type ObjectsLayout } from './index.ts';

async function open(t: TestContext, graceMs?: number): Promise<ObjectsLayout> {
  return openObjectsLayout({ root: ground(t).root, failed, ...(graceMs === undefined ? {} : { graceMs }) });
}

async function kinds(root: string, more: { deep?: boolean; repair?: boolean } = {}): Promise<string[]> {
  const found: string[] = [];
  await fsckObjects({ root }, { ...more, found: ({ kind }) => void found.push(kind) });
  return found.sort((a, b) => (a < b ? -1 : 1));
}

const bodies = (root: string): string[] => readdirSync(join(root, 'bodies'), { recursive: true, withFileTypes: true }).filter((found) => found.isFile()).map((found) => join(found.parentPath, found.name));
const bodyOf = (root: string, size: number): string => bodies(root).find((path) => statSync(path).size === size)!;

test('fsck: each kind of damage is told by its name, and only bodies that nothing refers to are removed', async (t) => {
  const { root } = ground(t);
  const layout = await open(t);
  await seedBucket(layout, 'bucket');
  for (const key of ['right', 'lost', 'short!', 'rotten!!']) await put(layout, key);
  await layout.close();
  assert.deepEqual(await kinds(root, { deep: true }), []);
  rmSync(bodyOf(root, 4));
  truncateSync(bodyOf(root, 6), 5);
  writeFileSync(bodyOf(root, 8), 'ROTTEN!!');
  writeFileSync(join(root, 'bodies', readdirSync(join(root, 'bodies'))[0]!, `${readdirSync(join(root, 'bodies'))[0]!}${'0'.repeat(30)}`), 'nobody knows it');
  writeFileSync(join(root, 'incoming', 'f'.repeat(32)), 'cut off');
  assert.deepEqual(await kinds(root), ['leftover', 'missing_body', 'orphan_body', 'wrong_size']);
  assert.deepEqual(await kinds(root, { deep: true, repair: true }), ['leftover', 'missing_body', 'orphan_body', 'wrong_bytes', 'wrong_size']);
  assert.deepEqual(await kinds(root, { deep: true }), ['missing_body', 'wrong_bytes', 'wrong_size']);
  const db = new DatabaseSync(join(root, 'state', 'objects.db'));
  db.exec('DELETE FROM newest WHERE size = 5');
  db.close();
  assert.ok((await kinds(root)).includes('orphan_row'));
});

test('replaced and removed bodies leave the disk, but not while somebody reads them', async (t) => {
  const { root } = ground(t);
  const layout = await open(t, 20);
  await seedBucket(layout, 'bucket');
  const first = Buffer.alloc(700_000, 'a');
  const one = await layout.concat([await layout.write(piece(first)), await layout.write(piece(first))]);
  await layout.put('bucket', { ...(await put(layout, 'k', '')), body: one, versionId: 'null' }, noGuard);
  const reading = layout.entry('bucket', 'k')!.versions[0]!.body;
  const pieces: Buffer[] = [];
  for await (const bytes of reading.read(0, reading.size)) {
    if (pieces.push(bytes) === 1) await put(layout, 'k', 'new');
    if (pieces.length === 2) await new Promise((resolve) => setTimeout(resolve, 80));
  }
  assert.ok(Buffer.concat(pieces).equals(Buffer.concat([first, first])), 'the second file was still there when its turn came');
  for (let tries = 0; bodies(root).length > 1 && tries < 3000; tries++) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(bodies(root).length, 1);
  assert.equal((await readAll(layout.entry('bucket', 'k')!.versions[0]!.body)).toString(), 'new');
  await layout.close();
  assert.deepEqual(await kinds(root, { deep: true }), []);
});

async function* piece(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

test('a start removes what a killed process left, and brings home what was taken in', async (t) => {
  const { root } = ground(t);
  const layout = await open(t);
  await seedBucket(layout, 'bucket');
  await put(layout, 'k', 'content');
  await layout.write(piece(Buffer.from('never put')));
  await layout.close();
  const [home] = bodies(root) as [string];
  const id = home.slice(-32);
  // As after a kill between the commit and the move.
  writeFileSync(join(root, 'incoming', id), 'content');
  rmSync(home);
  const db = new DatabaseSync(join(root, 'state', 'objects.db'));
  db.prepare('INSERT INTO arrivals (id) VALUES (?)').run(id);
  db.close();
  const again = await open(t);
  assert.deepEqual([readdirSync(join(root, 'incoming')), (await readAll(again.entry('bucket', 'k')!.versions[0]!.body)).toString(), bodies(root).length], [[], 'content', 1]);
  await again.close();
});

test('a root that holds other files is refused, as is the state of another root', async (t) => {
  const { base, root } = ground(t);
  const code = (expected: string) => (error: BrigadeError): boolean => error.code === expected;
  writeFileSync(join(root, 'mine.txt'), 'x');
  await assert.rejects(openObjectsLayout({ root }), code('E_ROOT_NOT_OURS'));
  assert.deepEqual(readdirSync(root), ['mine.txt']);
  const first = await openObjectsLayout({ root: join(base, 'first'), state: join(base, 'state') });
  await assert.rejects(openObjectsLayout({ root: join(base, 'first'), state: join(base, 'state') }), code('E_STATE_LOCKED'));
  await first.close();
  await assert.rejects(openObjectsLayout({ root: join(base, 'second'), state: join(base, 'state') }), code('E_STATE_OF_ANOTHER_ROOT'));
});

test('F112: a folder of bodies that is made a link is not followed', async (t) => {
  const { root, base } = ground(t);
  const layout = await open(t);
  await seedBucket(layout, 'bucket');
  mkdirSync(join(base, 'outside'));
  rmSync(join(root, 'incoming'), { recursive: true, force: true });
  symlinkSync(join(base, 'outside'), join(root, 'incoming'));
  await assert.rejects(put(layout, 'k', 'x'), (error: BrigadeError) => error.code === 'E_LINK_IN_PATH');
  assert.deepEqual(readdirSync(join(base, 'outside')), []);
  rmSync(join(root, 'incoming'));
  await layout.close();
});
