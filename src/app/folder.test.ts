import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from './folder.ts';

test('folders are made level by level, and again is no harm', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'brigade-folder-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  makeFolder(join(root, 'a', 'b', 'c'));
  makeFolder(join(root, 'a', 'b', 'c'));
  assert.ok(existsSync(join(root, 'a', 'b', 'c')));
  writeFileSync(join(root, 'file'), '');
  assert.throws(() => makeFolder(join(root, 'file', 'below')), { kind: 'usage' });
});

test('a place that cannot hold folders is one error, not an endless loop', { skip: process.platform !== 'linux' }, () => {
  assert.throws(() => makeFolder('/proc/nope/deeper'), { code: 'E_FOLDER', kind: 'usage' });
});
