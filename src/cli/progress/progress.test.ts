import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GiB, MiB } from '../../core/units.ts';
import type { Tally } from '../../core/item.ts';
import { simulatedClock } from '../../telemetry/clock.ts';
import { painter, plainText } from '../colours.ts';
import { FakeTerminal } from '../fixture.test.ts';
import { Output } from '../io.ts';
import { renderBar, renderLine } from './bar.ts';
import { fit, width } from './columns.ts';
import { barScreen, createScreen, type Frame, kindOf } from './screen.ts';
import { ProgressState, Rate, type Snapshot } from './snapshot.ts';

const SNAPSHOT: Snapshot = {
  migration: 'media', stage: 'listing', listed: false, elapsedMs: 723_000, objects: { done: 1200, total: 3000 }, bytes: { done: 1.2 * GiB, total: 3 * GiB }, failed: 1, skipped: 0,
  bytesPerSecond: 50 * MiB, objectsPerSecond: 55, etaMs: 36_000, retries: 3, throttled: 2,
  slowest: [{ key: '"videos/2024/a-rather-long-name-of-a-film-in-many-parts.mkv"', size: 5 * GiB, bytes: GiB, ms: 20_000 }, { key: '"日本語のファイル名.bin"', size: 9, bytes: 0, ms: 1500 }],
};

test('the bar at 80 columns', () => {
  assert.deepEqual(renderBar(SNAPSHOT, 80, plainText), [
    'media  listing and transferring  12 min 3 s',
    'objects ████████████░░░░░░░░░░░░░░░░░░  40.0 %  1,200/3,000+  55 objects/s',
    'bytes   ███████████░░░░░░░░░░░░░░░░░░░  40.0 %  1.20 GiB/3.00 GiB+  50.0 MiB/s',
    'ETA at least 36 s (listing not finished: lower bound)',
    'failed 1  retries 3  throttled 2',
    '  "videos/2024/a-rather-long-name-of-a-film-in-man…  1.00 GiB of 5.00 GiB, 20 s',
    '  "日本語のファイル名.bin"  0 B of 9 B, 1.5 s',
  ]);
});

test('no line is as wide as the terminal, however narrow it is', () => {
  for (const columns of [21, 30, 40, 60, 80, 132, 200]) {
    for (const line of [...renderBar(SNAPSHOT, columns, plainText), renderLine(SNAPSHOT, columns)]) assert.ok(width(line) < columns, `${columns}: ${line}`);
  }
});

test('waiting is said plainly', () => {
  const waiting = { code: 'E_CONNECT', message: 'no connection to https://s3.example.com', hint: 'is the network up?', ms: 12_000 };
  assert.equal(renderBar({ ...SNAPSHOT, waiting }, 120, plainText)[1], 'waiting since 12 s: no connection to https://s3.example.com; is the network up? [E_CONNECT]');
});

test('100 % is only said when all is done', () => {
  const almost = renderLine({ ...SNAPSHOT, objects: { done: 999_999, total: 1_000_000 } }, 200);
  assert.match(almost, /\(99\.9 %\)/);
});

test('text is cut by columns, not by characters', () => {
  assert.equal(fit('日本語', 5), '日本…');
  assert.equal(fit('日本語', 6), '日本語');
  assert.equal(fit('cafe\u0301', 4), 'cafe\u0301');
  assert.equal(width('\u{1F600}x'), 3);
});

test('a rate is right from its first second and follows what changes', () => {
  const rate = new Rate();
  assert.equal(rate.perSecond, 0);
  rate.sample(100, 1000);
  assert.ok(Math.abs(rate.perSecond - 100) < 1e-9);
  for (let i = 0; i < 60; i++) rate.sample(10, 1000);
  assert.ok(rate.perSecond > 9.9 && rate.perSecond < 11, String(rate.perSecond));
});

const count = (objects: number, bytes: number) => ({ objects, bytes });
const tallyOf = (pending: number, copied: number): Tally => ({
  listed: count(pending + copied, (pending + copied) * 100), copied: count(copied, copied * 100), pending: count(pending, pending * 100), unchanged: count(0, 0), skipped: count(0, 0), failed: count(0, 0), extra: count(0, 0),
  evidence: { none: 0, 'in flight': copied, 'store checksum': 0, 'destination re-read': 0, 'both ends re-read': 0 }, byCode: [],
});

test('what is on its way counts by the bytes sent, and never beyond its size', async () => {
  const clock = simulatedClock();
  const state = new ProgressState('m', clock);
  state.emit({ type: 'stage', stage: 'transferring' });
  state.emit({ type: 'started', key: 'a', size: 100 });
  state.emit({ type: 'bytes', key: 'a', bytes: 40 });
  await clock.advance(1000);
  const first = state.snapshot(() => ({ tally: tallyOf(10, 0), sealed: true }));
  assert.deepEqual([first.bytes, first.objects, first.etaMs], [{ done: 40, total: 1000 }, { done: 0, total: 10 }, 24_000]);
  assert.deepEqual(first.slowest, [{ key: '"a"', size: 100, bytes: 40, ms: 1000 }]);
  state.emit({ type: 'bytes', key: 'a', bytes: 200 });
  assert.deepEqual(state.snapshot(() => ({ tally: tallyOf(10, 0), sealed: true })).bytes, { done: 100, total: 1000 });
  state.emit({ type: 'ended', size: 100, outcome: { key: 'a', state: 'copied', evidence: 'in flight', attempts: 1, bytesSent: 240, ms: 1000 } });
  await clock.advance(1000);
  const last = state.snapshot(() => ({ tally: tallyOf(9, 1), sealed: true }));
  assert.deepEqual([last.objects, last.bytes, last.slowest], [{ done: 1, total: 10 }, { done: 100, total: 1000 }, []]);
  assert.ok(last.etaMs !== undefined && last.etaMs > 9_000);
});

test('of a fleet it shows what its workers report', async () => {
  const clock = simulatedClock();
  const state = new ProgressState('m', clock);
  state.emit({ type: 'stage', stage: 'transferring' });
  state.snapshot(() => ({ tally: tallyOf(0, 0), sealed: true }));
  state.emit({ type: 'reported', objects: { copied: 6, unchanged: 2 }, bytes: 500, checksums: {} });
  await clock.advance(1000);
  const { bytesPerSecond, objectsPerSecond } = state.snapshot(() => ({ tally: tallyOf(2, 8), sealed: true }));
  assert.deepEqual([bytesPerSecond, objectsPerSecond], [500, 8]);
});

test('while a run is verified its own progress is shown, not that of the copy before it', async () => {
  const clock = simulatedClock();
  const state = new ProgressState('m', clock);
  const snapshot = (): Snapshot => state.snapshot(() => ({ tally: tallyOf(0, 10), sealed: true }));
  state.emit({ type: 'stage', stage: 'transferring' });
  state.emit({ type: 'bytes', key: 'a', bytes: 5000 });
  state.emit({ type: 'ended', size: 5000, outcome: { key: 'a', state: 'copied', evidence: 'in flight', attempts: 1, bytesSent: 5000, ms: 1000 } });
  await clock.advance(1000);
  assert.deepEqual(snapshot().objects, { done: 10, total: 10 });
  state.emit({ type: 'stage', stage: 'verifying' });
  assert.match(renderLine(snapshot(), 200), /verifying: 0\/0 objects, 0 B read/);
  state.emit({ type: 'verified', objects: 0, of: 8, bytes: 0 });
  state.emit({ type: 'verified', objects: 2, of: 8, bytes: 400 });
  await clock.advance(1000);
  assert.deepEqual([snapshot().objects, snapshot().bytes], [{ done: 2, total: 8 }, { done: 400, total: 0 }]);
  assert.equal(renderLine(snapshot(), 200), 'm  verifying: 2/8 objects (25.0 %), 400 B read, 400 B/s, ETA 3.0 s');
  assert.deepEqual(renderBar(snapshot(), 80, plainText).slice(1, 4), [
    'objects ███████░░░░░░░░░░░░░░░░░░░░░░░  25.0 %  2/8  2.0 objects/s', 'read    400 B  400 B/s', 'ETA 3.0 s',
  ]);
  state.emit({ type: 'stage', stage: 'done' });
  assert.deepEqual(snapshot().objects, { done: 10, total: 10 });
});

test('plain: one dated line every 30 s', async () => {
  const terminal = new FakeTerminal();
  const clock = simulatedClock({ startMs: Date.UTC(2026, 10, 21, 9, 3, 12) });
  const screen = await createScreen('plain', { err: new Output(terminal), clock, paint: plainText, migration: 'media' });
  assert.equal(screen.everyMs, 30_000);
  screen.show({ ...SNAPSHOT, listed: true, stage: 'transferring' }, false);
  screen.say('warn', 'careful');
  assert.equal(terminal.text, '2026-11-21T09:03:12Z media: transferring: 1,200/3,000 objects (40.0 %), 1.20 GiB/3.00 GiB (40.0 %), 50.0 MiB/s, ETA 36 s  failed 1  retries 3  throttled 2\n2026-11-21T09:03:12Z media: careful\n');
});

test('json: one event per second, each one line', async () => {
  const terminal = new FakeTerminal();
  const screen = await createScreen('json', { err: new Output(terminal), clock: simulatedClock({ startMs: 0 }), paint: plainText, migration: 'media' });
  assert.equal(screen.everyMs, 1000);
  screen.show(SNAPSHOT, false);
  screen.say('warn', 'a\nb');
  const [progress, note] = terminal.text.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(progress?.['type'], 'progress');
  assert.deepEqual(progress?.['objects'], { done: 1200, total: 3000 });
  assert.deepEqual(note, { time: '1970-01-01T00:00:00.000Z', type: 'note', migration: 'media', level: 'warn', text: 'a\nb' });
});

test('bar: at most five times a second, in place, and nothing of it stays', async () => {
  const drawn: string[] = [];
  const frame: Frame = { draw: (lines) => void drawn.push(`draw ${lines.length}`), keep: (line) => void drawn.push(`keep ${line}`), clear: () => void drawn.push('clear') };
  const screen = barScreen({ err: new Output(new FakeTerminal(true, 80)), clock: simulatedClock(), paint: plainText, migration: 'media' }, frame);
  assert.equal(screen.everyMs, 200);
  screen.show(SNAPSHOT, false);
  screen.say('info', 'note');
  screen.end();
  assert.deepEqual(drawn, ['draw 7', 'keep note', 'clear']);
});

test('log-update draws on the terminal it is given and clears up', async () => {
  const terminal = new FakeTerminal(true, 80);
  const screen = await createScreen('bar', { err: new Output(terminal), clock: simulatedClock(), paint: plainText, migration: 'media' });
  screen.show(SNAPSHOT, false);
  assert.match(terminal.text, /media {2}listing and transferring/);
  const before = terminal.text.length;
  screen.end();
  assert.match(terminal.text.slice(before), /\u001b\[2K/);
});

test('auto is a bar only on a terminal', () => {
  assert.equal(kindOf('auto', new Output(new FakeTerminal(true)), {}), 'bar');
  assert.equal(kindOf(undefined, new Output(new FakeTerminal(false)), {}), 'plain');
  assert.equal(kindOf('auto', new Output(new FakeTerminal(true)), { TERM: 'dumb' }), 'plain');
  assert.equal(kindOf('json', new Output(new FakeTerminal(true)), {}), 'json');
});

test('colours: NO_COLOR, FORCE_COLOR, --no-color, terminal', () => {
  const shows = (isTTY: boolean, env: Record<string, string>, wanted = true) => painter({ isTTY }, env, wanted)('red', 'x') !== 'x';
  assert.deepEqual([shows(true, {}), shows(false, {}), shows(true, { NO_COLOR: '1' }), shows(true, { NO_COLOR: '' }), shows(false, { FORCE_COLOR: '1' }), shows(true, { FORCE_COLOR: '0' }), shows(true, { FORCE_COLOR: '1' }, false)],
    [true, false, false, true, true, false, false]);
});
