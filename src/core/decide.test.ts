import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decide, type Decision, type DecideOptions } from './decide.ts';
import type { Item } from './item.ts';
import type { ObjectEntry } from './object.ts';

const entry = (token: string, size = 10, modifiedMs = 1000): ObjectEntry => ({ key: 'k', kind: 'object', size, token, modifiedMs });
const row = (source: string, destination: string, size = 10): Item =>
  ({ key: 'k', kind: 'object', size, state: 'copied', source: { token: source }, destination, evidence: 'in flight', attempts: 1 });
const options: DecideOptions = { compare: 'auto', onConflict: 'overwrite', mtimeStepMs: 0 };

const rows: readonly [string, ObjectEntry | undefined, Item | undefined, Partial<DecideOptions>, Decision['action']][] = [
  ['nothing there', undefined, undefined, {}, 'copy'],
  ['known, both as left', entry('d'), row('s', 'd'), {}, 'unchanged'],
  ['known, destination gone', undefined, row('s', 'd'), {}, 'copy'],
  ['known, source changed, destination as left', entry('d'), row('older', 'd'), { onConflict: 'fail' }, 'copy'],
  ['known, source size changed under the same token', entry('d'), row('s', 'd', 9), {}, 'copy'],
  ['known, somebody else wrote, the same perhaps', entry('other'), row('s', 'd'), { onConflict: 'fail' }, 'compare'],
  ['known, source changed, somebody else wrote, the same perhaps', entry('other'), row('older', 'd'), { onConflict: 'fail' }, 'compare'],
  ['known, somebody else wrote at the same time: that alone proves nothing', entry('other'), row('s', 'd'), { compare: 'size-mtime' }, 'compare'],
  ['known, somebody else wrote: overwrite', entry('other', 9), row('s', 'd'), {}, 'copy'],
  ['known, somebody else wrote: fail', entry('other', 9), row('s', 'd'), { onConflict: 'fail' }, 'fail'],
  ['known, somebody else wrote later: skip-newer', entry('other', 9, 2000), row('s', 'd'), { onConflict: 'skip-newer' }, 'skip'],
  ['known, somebody else wrote earlier: skip-newer', entry('other', 9, 500), row('s', 'd'), { onConflict: 'skip-newer' }, 'copy'],
  ['a failed row proves nothing', entry('d'), { ...row('s', 'd'), state: 'failed' }, {}, 'compare'],
  ['unknown, same size', entry('d'), undefined, { onConflict: 'fail' }, 'compare'],
  ['unknown, same size and time, not asked for', entry('d'), undefined, {}, 'compare'],
  ['unknown, same size and time, asked for', entry('d'), undefined, { compare: 'size-mtime' }, 'unchanged'],
  ['unknown, same size, other time', entry('d', 10, 5000), undefined, { compare: 'size-mtime' }, 'compare'],
  ['unknown, time within the step', entry('d', 10, 1500), undefined, { compare: 'size-mtime', mtimeStepMs: 1000 }, 'unchanged'],
  ['unknown, other size', entry('d', 11), undefined, { onConflict: 'fail' }, 'fail'],
];

for (const [name, destination, previous, change, action] of rows) {
  test(`decide: ${name} → ${action}`, () => {
    assert.equal(decide(entry('s'), destination, previous, { ...options, ...change }).action, action);
  });
}

test('F042: a directory and its zero-byte marker are the same thing', () => {
  const marker: ObjectEntry = { key: 'd/', kind: 'object', size: 0, token: 'e' };
  assert.equal(decide(marker, { key: 'd/', kind: 'directory', size: 0, token: 'mtime' }, undefined, options).action, 'unchanged');
});
