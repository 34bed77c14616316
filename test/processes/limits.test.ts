/** Limits that change while executors work: by command, by timetable, without a restart. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { brigade, tempFolder } from '../../src/cli/fixture.test.ts';

const FILES = 160;

async function until(what: string, done: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 600; turn++) {
    if (await done()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail(`waited a minute for ${what}`);
}

test('a run of two executors is paused, shown, and let go by brigade limits; the next run knows nothing of it (S2.6, S4.35)', async () => {
  using folder = tempFolder();
  for (let i = 0; i < FILES; i++) folder.write(`from/file${i}`, 'x'.repeat(64 * 1024));
  folder.write('pair.yml', 'source: ./from\ndestination: ./to\nexecutors: 2\nlimits: { bandwidth: 512 KiB/s }\nbatch: { objects: 4 }\n');
  const arrived = (): number => { try { return readdirSync(join(folder.path, 'to')).filter((name) => !name.startsWith('.')).length; } catch { return 0; /* not made yet */ } };
  const running = brigade(folder.path, ['run', 'pair.yml', '--progress', 'json']);
  await until('the first files', () => arrived() > 4);
  const paused = await brigade(folder.path, ['limits', 'pair', '--bandwidth', 'pause']);
  assert.equal(paused.out, 'pair@1: paused (brigade limits; --reset takes it back)\n');
  let [before, still] = [arrived(), 0];
  await until('a standstill', () => {
    const now = arrived();
    still = now === before ? still + 1 : 0;
    before = now;
    return still === 25;
  });
  assert.ok(before < FILES, 'the pause came too late to show anything');
  const status = await brigade(folder.path, ['status', 'pair']);
  assert.match(status.out, /^at work now.*\nlimits: paused \(brigade limits/);
  assert.equal((await brigade(folder.path, ['limits', 'pair', '--bandwidth', 'unlimited'])).exit, 0);
  const ended = await running;
  assert.equal(ended.exit, 0, ended.err);
  assert.equal(arrived(), FILES);
  assert.match(ended.err, /"limits":"512\.0 KiB\/s"/);
  assert.match(ended.err, /"limits":"paused/);
  const late = await brigade(folder.path, ['limits', 'pair', '--bandwidth', '5 MB/s']);
  assert.deepEqual([late.exit, /run 1 is over/.test(late.err)], [2, true]);
  const wrong = await brigade(folder.path, ['limits', 'pair', '--bandwidth', '5']);
  assert.match(wrong.err, /--bandwidth: "5" is not a bandwidth; .*\[E_USAGE\]/);
  const again = await brigade(folder.path, ['run', 'pair.yml', '--progress', 'json']);
  assert.match(again.err, /"limits":"512\.0 KiB\/s"/);
  assert.doesNotMatch(again.err, /brigade limits/);
});
