import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { errorLine, type BrigadeError } from '../core/errors.ts';
import { loadAccessKeys } from './access-keys.ts';

const SECRET = 'x3cret/of+sixteen-or-more';

function withFile<T>(text: string, work: (path: string) => T, mode = 0o600): T {
  const folder = mkdtempSync(join(tmpdir(), 'brigade-keys-'));
  const path = join(folder, 'keys.yml');
  try {
    writeFileSync(path, text);
    chmodSync(path, mode);
    return work(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('access keys: all properties, and what is left out', () => {
  const keys = withFile(`keys:\n  - { id: writer, secret: ${SECRET} }\n  - id: reader\n    secret: "${SECRET}2"\n    readOnly: true\n    buckets: [a, "007"]\n`, loadAccessKeys);
  assert.deepEqual(keys, [{ id: 'writer', secret: SECRET, readOnly: false }, { id: 'reader', secret: `${SECRET}2`, readOnly: true, buckets: ['a', '007'] }]);
});

const entry = (more: string): string => `keys:\n  - id: one\n    secret: ${SECRET}\n${more}`;
const broken: readonly (readonly [text: string, line: RegExp])[] = [
  ['', /:1:1: the file is empty; write keys:/], ['- a', /not a mapping/], ['keys: []', /:1:7: keys: is not a list/], ['keys: x', /not a list/], ['other: 1', /only keys:/],
  ['keys:\n  - id: one\n', /:2:\d+: secret: is missing/], ['keys:\n  - id: one\n    secret: short\n', /:3:\d+: secret: is missing or too short/],
  [`keys:\n  - id: "a b"\n    secret: ${SECRET}\n`, /:2:\d+: id: is not the name/], [`keys:\n  - secret: ${SECRET}\n`, /id: is not the name/], [`keys: [${SECRET}]`, /not a mapping/],
  [entry('    readOnly: yes\n'), /:4:\d+: readOnly: is neither/], [entry('    buckets: a\n'), /buckets: is not a list/], [entry('    buckets: []\n'), /not a list/], [entry('    read_only: true\n'), /known are id, secret, readOnly, buckets/],
  [entry(`  - id: one\n    secret: ${SECRET}\n`), /:4:\d+: this id stands twice/], [entry(' \tx'), /\[E_CONFIG\]/],
];

test('a broken file of access keys is one line with its place, and never shows the secret', () => {
  for (const [text, expected] of broken) {
    assert.throws(() => withFile(text, loadAccessKeys), (error: BrigadeError) => {
      const line = errorLine(error);
      assert.match(line, expected, text);
      assert.equal(line.includes(SECRET), false, text);
      return error.kind === 'usage';
    });
  }
});

test('a file of access keys that others can read is refused', () => {
  assert.throws(() => withFile(entry(''), loadAccessKeys, 0o640), (error: BrigadeError) => /can be read by others than its owner; chmod 600/.test(errorLine(error)));
  assert.throws(() => loadAccessKeys('/nowhere/keys.yml'), (error: BrigadeError) => /cannot be read \(ENOENT\)/.test(errorLine(error)));
  assert.throws(() => loadAccessKeys('/proc'), (error: BrigadeError) => /is not a regular file|cannot be read/.test(errorLine(error)));
});
