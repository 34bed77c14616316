import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { openObjectsLayout } from '../../src/agent/objects-layout/index.ts';
import { seedBucket, seedObject } from '../../src/agent/seeding.ts';

const fsck = (cwd: string, ...args: string[]) => spawnSync(process.execPath, [resolve('bin/brigade.cjs'), 'agent', 'fsck', ...args], { cwd, encoding: 'utf8' });

test('brigade agent fsck: clean, damaged, in use, and not ours, each with one line and its exit code', async (t) => {
  const base = mkdtempSync(join(tmpdir(), 'brigade-fsck-'));
  t.after(() => rmSync(base, { recursive: true }));
  const root = join(base, 'root');
  mkdirSync(join(base, 'empty'));
  const refused = fsck(base, '--root', 'empty', '--layout', 'objects');
  assert.deepEqual([refused.status, readdirSync(join(base, 'empty')), /E_ROOT_NOT_OURS/.test(refused.stderr)], [2, [], true]);
  const layout = await openObjectsLayout({ root });
  await seedBucket(layout, 'bucket');
  await seedObject(layout, 'bucket', { key: 'k\n' }, 'content');
  const busy = fsck(base, '--root', 'root', '--layout', 'objects');
  assert.deepEqual([busy.status, /another agent is using this state; stop it first.*E_STATE_LOCKED/.test(busy.stderr)], [5, true], busy.stderr);
  await layout.close();
  const clean = fsck(base, '--root', 'root', '--layout', 'objects', '--deep');
  assert.deepEqual([clean.status, clean.stdout], [0, '1 objects and 0 parts of 7 B: 0 problems, 0 harmless leftovers\n'], clean.stderr);
  const [fan] = readdirSync(join(root, 'bodies')) as [string];
  rmSync(join(root, 'bodies', fan), { recursive: true });
  const damaged = fsck(base, '--root', 'root', '--layout', 'objects');
  assert.equal(damaged.status, 3);
  assert.match(damaged.stdout, /^PROBLEM missing_body: bucket\/"k\\n" version null: the body [0-9a-f]{32} is missing\n/);
});
