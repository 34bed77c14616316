import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Drain, workersWanted } from './drain.ts';

const MINUTE = 60_000;

/** Looked at every 10 s: `rate` objects of `size` bytes a second, of `total`. */
function watched(drain: Drain, { seconds, rate, total, size = 10, from = 0, done = 0 }: { seconds: number; rate: number; total: number; size?: number; from?: number; done?: number }): void {
  for (let s = 0; s <= seconds; s += 10) {
    const objects = Math.min(total, done + rate * s);
    drain.look({ atMs: (from + s) * 1000, done: { objects, bytes: objects * size }, left: { objects: total - objects, bytes: (total - objects) * size } });
  }
}

test('S0.32: what is left, as quickly as it went lately', () => {
  const drain = new Drain();
  assert.equal(drain.predictedMs(), undefined, 'nothing was looked at');
  watched(drain, { seconds: 100, rate: 5, total: 1000 });
  assert.equal(drain.predictedMs(), 100_000);
});

test('workers that join are seen within the time that is remembered', () => {
  const drain = new Drain();
  watched(drain, { seconds: 3600, rate: 1, total: 1_000_000 });
  watched(drain, { seconds: 700, rate: 10, total: 1_000_000, from: 3610, done: 3610 });
  const left = 1_000_000 - 3610 - 7000;
  assert.ok(Math.abs((drain.predictedMs() ?? 0) / 1000 - left / 10) < left / 100, String(drain.predictedMs()));
});

test('the slower of objects and bytes decides', () => {
  const drain = new Drain();
  drain.look({ atMs: 0, done: { objects: 0, bytes: 0 }, left: { objects: 10, bytes: 1000 } });
  drain.look({ atMs: 10_000, done: { objects: 8, bytes: 8 }, left: { objects: 2, bytes: 992 } });
  assert.equal(drain.predictedMs(), 1_240_000);
});

test('where nothing is done nothing is predicted; where nothing is left, none of it takes time', () => {
  const drain = new Drain();
  watched(drain, { seconds: 60, rate: 0, total: 10 });
  assert.equal(drain.predictedMs(), undefined);
  const empty = new Drain();
  watched(empty, { seconds: 10, rate: 0, total: 0 });
  assert.equal(empty.predictedMs(), 0);
});

test('objects that are planned again, and a pause, do not make the rate a wrong one', () => {
  const drain = new Drain();
  watched(drain, { seconds: 100, rate: 5, total: 1000 });
  drain.look({ atMs: 110_000, done: { objects: 100, bytes: 1000 }, left: { objects: 900, bytes: 9000 } });
  assert.equal(drain.predictedMs(), undefined, 'it begins anew');
  drain.look({ atMs: 120_000, done: { objects: 110, bytes: 1100 }, left: { objects: 890, bytes: 8900 } });
  assert.equal(drain.predictedMs(), 890_000);
});

test('S0.32: one worker for 100 tasks, or as many as end in the wanted time; none for none, never more than tasks', () => {
  assert.equal(workersWanted({ backlog: 0, workers: 7, drainMs: 0, targetMs: MINUTE }), 0);
  assert.equal(workersWanted({ backlog: 1, workers: 0, drainMs: undefined }), 1);
  assert.equal(workersWanted({ backlog: 950, workers: 0, drainMs: undefined, targetMs: MINUTE }), 10);
  assert.equal(workersWanted({ backlog: 950, workers: 3, drainMs: 5 * MINUTE }), 10);
  assert.equal(workersWanted({ backlog: 950, workers: 3, drainMs: 5 * MINUTE, targetMs: MINUTE }), 15);
  assert.equal(workersWanted({ backlog: 9, workers: 3, drainMs: 50 * MINUTE, targetMs: MINUTE }), 9);
  assert.equal(workersWanted({ backlog: 950, workers: 8, drainMs: MINUTE, targetMs: 4 * MINUTE }), 2, 'and fewer where that is enough');
});
