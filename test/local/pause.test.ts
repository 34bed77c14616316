/** A run that somebody pauses, lets go on, cancels: by command, over a real ledger and a real endpoint. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { readSaid, writeSaid } from '../../src/app/limits.ts';
import { ledgerPath } from '../../src/app/state.ts';
import { brigade } from '../../src/cli/fixture.test.ts';
import { MiB } from '../../src/core/units.ts';
import { Lab } from './failures-lab.ts';

async function until(what: string, is: () => boolean): Promise<void> {
  for (const end = performance.now() + 60_000; !is();) {
    assert.ok(performance.now() < end, `waited a minute for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** By the run's clock that is more than a minute. */
async function aWhile(): Promise<void> {
  // Turns, not one timer: after a stall it would be the first to be heard.
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setTimeout(resolve, 14));
}

const SLOW = 'limits: { bandwidth: 100 KiB/s }\nbatch: { objects: 8 }\n';
const IN_PARTS = 'transfer: { server_side_copy: never, multipart_threshold: 6 MiB, part_size: 5 MiB, part_concurrency: 1 }\n';
const written = (lab: Lab): number => lab.requests.filter(({ operation, bucket }) => bucket === 'dest' && (operation === 'PutObject' || operation === 'UploadPart')).length;

test('a run is paused: nothing moves; stopped and run again it stays so, says so once, and goes on when it is let; no object counts an attempt for it', async () => {
  const lab = await Lab.open();
  for (let i = 0; i < 60; i++) await lab.put(`k${i}`, Buffer.alloc(256 * 1024, i));
  const stop = new AbortController();
  const first = lab.run({ more: SLOW }, {}, { signal: stop.signal });
  await until('the first objects', () => written(lab) > 4);
  assert.deepEqual(await lab.command('--state', 'state', 'pause', 'pair'), { exit: 0, out: 'pair@1: paused; brigade --state state resume pair goes on\n', err: '' });
  await aWhile();
  const before = lab.requests.length;
  assert.ok(written(lab) < 60, 'the pause came too late to show anything');
  await aWhile();
  assert.equal(lab.requests.length, before, 'no request at all');
  assert.match((await lab.command('--state', 'state', 'status', 'pair')).out, /^limits: paused \(brigade pause; brigade resume takes it back\)$/m);
  stop.abort();
  assert.equal((await first).stopped, true);

  const notes: string[] = [];
  const second = lab.run({ more: SLOW }, {}, { onEvent: (event) => { if (event.type === 'note') notes.push(event.text); } });
  await until('the note', () => notes.some((text) => text.includes('was paused before')));
  const copied = written(lab);
  await aWhile();
  assert.equal(written(lab), copied);
  assert.deepEqual(notes.filter((text) => text.includes('paused')), ['run 1 was paused before and stays so: brigade resume pair goes on']);
  assert.equal((await lab.command('--state', 'state', 'limits', 'pair', '--bandwidth', 'unlimited')).exit, 0);
  await aWhile();
  assert.equal(written(lab), copied, 'a limit that is lifted lifts no pause');
  assert.match((await lab.command('--state', 'state', 'resume', 'pair')).out, /^pair@1: paused no more\n$/);
  const ended = await second;
  assert.deepEqual([ended.exit, ended.tally.copied.objects], [0, 60]);
  assert.deepEqual(new Set([...ended.rows.values()].map(({ attempts }) => attempts)), new Set([1]));
  for (let i = 0; i < 60; i++) assert.ok(lab.bytes('dest', `k${i}`)?.equals(Buffer.alloc(256 * 1024, i)));
  lab.assertClean();
  assert.match((await lab.command('--state', 'state', 'pause', 'pair')).err, /run 1 is over: there is nothing to pause.*\[E_NOT_AT_WORK\]/);
});

test('a run that is paused before its first page lists nothing until it is let go', async () => {
  const lab = await Lab.open();
  await lab.putMany(20);
  const ledger = ledgerPath(lab.state, 'pair');
  mkdirSync(dirname(ledger), { recursive: true });
  writeSaid(ledger, 1, { paused: true });
  const stages: string[] = [];
  const running = lab.run({}, {}, { onEvent: (event) => { if (event.type === 'stage') stages.push(event.stage); } });
  await until('the listing', () => stages.length > 0);
  await aWhile();
  assert.deepEqual([stages, written(lab)], [['listing'], 0]);
  assert.match((await lab.command('--state', 'state', 'resume', 'pair')).out, /paused no more/);
  const ended = await running;
  assert.deepEqual([ended.exit, ended.tally.copied.objects], [0, 20]);
});

test('a run is cancelled in a large object: it ends, what was done stays, its uploads are gone and others’ are not; the next run copies what is missing', async () => {
  const lab = await Lab.open();
  for (let i = 0; i < 8; i++) await lab.put(`a${i}`, Buffer.alloc(1000, i));
  await lab.put('big', Buffer.alloc(80 * MiB, 'abc'));
  const theirs = { id: 'theirs', key: 'somebody-elses' };
  lab.layout.addUpload('dest', { ...theirs, started: 0, parts: new Map() } as never);
  const more = `${IN_PARTS}limits: { bandwidth: 300 KiB/s }\n`;
  const running = lab.run({ more });
  const parts = (): number => lab.requests.filter(({ operation }) => operation === 'UploadPart').length;
  await until('parts', () => parts() >= 2 && lab.keys('dest').filter((key) => key.startsWith('a')).length === 8);
  const cancelled = await lab.command('--state', 'state', 'cancel', 'pair');
  assert.deepEqual([cancelled.exit, cancelled.out], [0, 'pair@1: cancelled: 8 of 9 listed objects were copied and stay, 1 are left to the next run, which lists again\n']);
  const ended = await running;
  assert.deepEqual([ended.exit, ended.cancelled, ended.run.state], [5, true, 'abandoned']);
  assert.ok(parts() < 16, 'the cancel came too late to show anything');
  assert.deepEqual(lab.layout.uploads('dest').map(({ key }) => key), [theirs.key]);
  assert.match((await lab.command('--state', 'state', 'report', 'pair')).out, /^given up: somebody cancelled this run.*\[E_RUN_CANCELLED\]$/m);
  assert.match((await lab.command('--state', 'state', 'runs')).out, /pair@1 .*abandoned/);
  const before = lab.requests.length;
  const next = await lab.run({ more: IN_PARTS });
  assert.deepEqual([next.exit, next.run.number, next.tally.copied.objects, next.tally.unchanged.objects], [0, 2, 1, 8]);
  assert.deepEqual(lab.requests.slice(before).filter(({ operation, key }) => operation === 'PutObject' && key.startsWith('a')), []);
  assert.ok(lab.bytes('dest', 'big')?.equals(lab.bytes('from', 'big') as Buffer));
});

test('a paused run is cancelled as any other', async () => {
  const lab = await Lab.open();
  for (let i = 0; i < 60; i++) await lab.put(`k${i}`, Buffer.alloc(256 * 1024, i));
  const running = lab.run({ more: SLOW });
  await until('the first objects', () => written(lab) > 4);
  await lab.command('--state', 'state', 'pause', 'pair');
  await aWhile();
  assert.equal((await lab.command('--state', 'state', 'cancel', 'pair', '--yes')).exit, 0);
  const ended = await running;
  assert.deepEqual([ended.exit, ended.cancelled], [5, true]);
  assert.deepEqual([(await lab.run()).exit, lab.keys('dest').length], [0, 60]);
});

/** Nobody is at work, and an upload is open. */
async function stoppedInBig(): Promise<Lab> {
  const lab = await Lab.open();
  await lab.put('big', Buffer.alloc(40 * MiB, 'abc'));
  const stop = new AbortController();
  const running = lab.run({ more: `${IN_PARTS}limits: { bandwidth: 300 KiB/s }\n` }, {}, { signal: stop.signal });
  await until('parts', () => lab.requests.filter(({ operation }) => operation === 'UploadPart').length >= 2);
  stop.abort();
  await running;
  assert.equal(lab.layout.uploads('dest').length, 1);
  return lab;
}

test('where nobody is at work the command ends the run itself; on a terminal it asks; what is over or unknown is refused', async () => {
  const lab = await stoppedInBig();
  const asked: string[] = [];
  const refused = await brigade(lab.dir, ['--state', 'state', 'cancel', 'pair'], { env: lab.env, ask: async (question) => { asked.push(question); return 'n'; } });
  assert.deepEqual([refused.exit, asked], [2, ['End pair@1 for good, with 1 objects not copied? [y/N] ']]);
  assert.match(refused.err, /nothing was cancelled.*\[E_NOT_CONFIRMED\]/);
  const done = await brigade(lab.dir, ['--state', 'state', 'cancel', 'pair', '-o', 'json'], { env: lab.env, ask: async () => 'y' });
  assert.deepEqual([done.exit, done.err], [0, '']);
  const { cancelled, state, tally } = JSON.parse(done.out) as { cancelled: boolean; state: string; tally: { pending: { objects: number } } };
  assert.deepEqual([cancelled, state, tally.pending.objects], [true, 'abandoned', 1]);
  lab.assertClean();
  const again = await lab.command('--state', 'state', 'cancel', 'pair');
  assert.deepEqual([again.exit, /run 1 is over.*\[E_NOT_AT_WORK\]/.test(again.err)], [2, true]);
  const unknown = await lab.command('--state', 'state', 'cancel', 'pear');
  assert.deepEqual([unknown.exit, /there is no run of "pear".*\[E_NO_LEDGER\]/.test(unknown.err)], [2, true]);
});

test('the stores cannot be reached: the run is closed all the same, and the next one removes what this one left', async () => {
  const lab = await stoppedInBig();
  const done = await brigade(lab.dir, ['--state', 'state', 'cancel', 'pair'], { env: {} });
  assert.equal(done.exit, 0, done.err);
  assert.match(done.err, /^warning: unfinished uploads and files of the run are left to the next one to remove: /);
  assert.equal(lab.layout.uploads('dest').length, 1);
  const next = await lab.run({ more: IN_PARTS });
  assert.deepEqual([next.exit, next.run.number], [0, 2]);
  lab.assertClean();
});

test('a pause that is taken back while nobody is at work says so to whoever takes the run up', async () => {
  const lab = await stoppedInBig();
  const path = ledgerPath(lab.state, 'pair');
  await lab.command('--state', 'state', 'pause', 'pair');
  assert.match((await lab.command('--state', 'state', 'resume', 'pair')).out, /^pair@1: paused no more; nobody is at work on it now/);
  assert.deepEqual(readSaid(path, 1), { paused: false });
  assert.equal((await lab.run({ more: IN_PARTS })).exit, 0);
});

test('the word was said and whoever heard it was killed: who takes the run up ends it, and begins no other', async () => {
  const lab = await stoppedInBig();
  writeSaid(ledgerPath(lab.state, 'pair'), 1, { cancelled: true });
  const ended = await lab.run({ more: IN_PARTS });
  assert.deepEqual([ended.exit, ended.cancelled, ended.run.number, ended.run.state], [5, true, 1, 'abandoned']);
  lab.assertClean();
  assert.deepEqual((({ exit, run }) => [exit, run.number])(await lab.run({ more: IN_PARTS })), [0, 2]);
});
