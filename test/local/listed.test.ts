/** A run whose source is listed by a file, which is old: what it says is only a pin (truth 3). */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Lab } from './failures-lab.ts';

test('of an old listing a changed object is copied as it is now, a gone one is skipped, a new one is not seen', async () => {
  const lab = await Lab.open();
  for (const key of ['same', 'changed', 'unknown', 'new']) await lab.put(key, `${key} as it is now`);
  const rows = ['key,size,etag', 'same,,', 'changed,3,00000000000000000000000000000000', 'gone,4,11111111111111111111111111111111', 'unknown,,', 'never,,'];
  writeFileSync(join(lab.dir, 'keys.csv'), `${rows.join('\n')}\n`);
  const { exit, rows: done, tally } = await lab.run({ source: '{ s3: from, connection: here, listing: ./keys.csv }' });
  const states = Object.fromEntries([...done.values()].map(({ key, state, code, problem }) => [key, state === 'copied' ? state : `${state} ${problem?.code ?? code ?? ''}`]));
  assert.deepEqual(states, { same: 'copied', changed: 'copied', unknown: 'copied', gone: 'skipped source_gone', never: 'skipped source_gone' });
  assert.equal(lab.bytes('dest', 'changed')?.toString(), 'changed as it is now');
  assert.deepEqual(lab.keys('dest'), ['changed', 'same', 'unknown']);
  assert.deepEqual([exit, tally.copied.objects, tally.skipped.objects], [0, 3, 2]);
});
