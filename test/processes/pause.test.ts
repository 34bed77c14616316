/** A run of several executors that is paused, let go on and cancelled by command. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { brigade, tempFolder } from '../../src/cli/fixture.test.ts';

const FILES = 200;
const CONTENT = 'x'.repeat(64 * 1024);

async function until(what: string, done: () => boolean): Promise<void> {
  for (const end = performance.now() + 60_000; !done();) {
    assert.ok(performance.now() < end, `waited a minute for ${what}`);
    await sleep(50);
  }
}

test('two executors lay down what they have, take it up again, and end for good; what was copied is whole, and nothing else is left', async () => {
  using folder = tempFolder();
  for (let i = 0; i < FILES; i++) folder.write(`from/file${i}`, CONTENT);
  const write = (more: string): string => folder.write('pair.yml', `source: ./from\ndestination: ./to\nexecutors: 2\nbatch: { objects: 4 }\n${more}`);
  write('limits: { bandwidth: 1 MiB/s }\n');
  const there = (): readonly string[] => { try { return readdirSync(join(folder.path, 'to')); } catch { return []; /* not made yet */ } };
  const running = brigade(folder.path, ['run', 'pair.yml', '--progress', 'json']);
  await until('the first files', () => there().length > 8);

  const paused = await brigade(folder.path, ['pause', 'pair']);
  assert.equal(paused.out, 'pair@1: paused; brigade resume pair goes on\n');
  let [before, still] = [there(), 0];
  await until('a standstill', () => {
    const now = there();
    still = now.join() === before.join() ? still + 1 : 0;
    before = now;
    return still > 100;
  });
  assert.ok(before.length < FILES, 'the pause came too late to show anything');
  assert.deepEqual(before.filter((name) => name.startsWith('.')), [], 'what was in flight is given back');

  assert.equal((await brigade(folder.path, ['resume', 'pair'])).out, 'pair@1: paused no more\n');
  await until('more files', () => there().length > before.length + 8);
  const cancelled = await brigade(folder.path, ['cancel', 'pair', '--yes']);
  assert.equal(cancelled.exit, 0, cancelled.err);
  const ended = await running;
  assert.equal(ended.exit, 5, ended.err);
  assert.match(ended.err, /brigade: pair: cancelled: \d+ of 200 listed objects were copied and stay.*\[E_RUN_CANCELLED\]/);
  assert.doesNotMatch(ended.err, /ended \(/, 'no executor had to be ended');
  const left = there();
  assert.ok(left.length < FILES);
  for (const name of left) assert.equal(readFileSync(join(folder.path, 'to', name), 'utf8'), CONTENT);

  write('');
  const next = await brigade(folder.path, ['run', 'pair.yml', '--progress', 'none']);
  assert.equal(next.exit, 0, next.err);
  assert.match(next.out, new RegExp(`200 listed = ${FILES - left.length} copied \\+ ${left.length} unchanged`));
});
