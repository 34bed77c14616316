import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Outstanding, type Sent } from './outstanding.ts';

const LEASE_MS = 30_000;
const MINUTE = 60_000;
/** Before a task of its size was done: thrice a minute; ten times that whatever the queue says. */
const FAR_MS = 30 * MINUTE;

function sent(task: number, more: Partial<Sent> = {}): Sent {
  return { task, name: { epoch: 1, seq: 0, task }, size: 'large', atMs: 0, sending: 0, ...more };
}

const due = (outstanding: Outstanding, nowMs: number, held: number): readonly number[] => outstanding.due(nowMs, LEASE_MS, held).map(({ task }) => task);

test('F097: what the queue holds fewer of is sent again after its patience, oldest first; what it holds is not', () => {
  const outstanding = new Outstanding();
  for (const task of [1, 2, 3]) outstanding.add(sent(task));
  assert.deepEqual(due(outstanding, 2 * MINUTE, 0), []);
  assert.deepEqual(due(outstanding, 4 * MINUTE, 3), []);
  assert.deepEqual(due(outstanding, 4 * MINUTE, 1), [1, 2]);
});

test('an object that takes ten hours and that somebody reports on goes to nobody else', () => {
  const outstanding = new Outstanding();
  outstanding.add(sent(1));
  for (let nowMs = 0; nowMs < 600 * MINUTE; nowMs += 5 * MINUTE) {
    outstanding.heard(1, nowMs);
    assert.deepEqual(due(outstanding, nowMs + 5 * MINUTE, 1), []);
  }
});

test('a queue whose workers are away for a weekend gets few copies of what it holds', () => {
  const outstanding = new Outstanding();
  outstanding.add(sent(1));
  let sending = 0;
  for (let nowMs = 0; nowMs < 60 * 60 * MINUTE; nowMs += MINUTE) {
    if (due(outstanding, nowMs, 1).length > 0) outstanding.add(sent(1, { atMs: nowMs, sending: ++sending }));
  }
  assert.ok(sending >= 1 && sending <= 7, String(sending));
});

test('while nobody may work nothing grows old', () => {
  const outstanding = new Outstanding();
  outstanding.add(sent(1));
  outstanding.rested(10 * FAR_MS);
  assert.deepEqual(due(outstanding, 10 * FAR_MS + MINUTE, 1), []);
  assert.deepEqual(due(outstanding, 11 * FAR_MS + MINUTE, 1), [1]);
});

test('S0.32: of what was sent again it is counted what an earlier sending did all the same; what was purged, or goes out anew with objects that are left, is not', () => {
  const outstanding = new Outstanding();
  for (const task of [1, 2, 3, 4]) outstanding.add(sent(task));
  for (const task of [1, 2]) outstanding.add(sent(task, { sending: 1, again: 1 }));
  outstanding.add(sent(2, { sending: 2, again: 2 }));
  outstanding.done(1, MINUTE, 1);
  assert.equal(outstanding.spurious, 0, 'the one that was sent again did it: it was needed');
  outstanding.done(2, MINUTE, 0);
  assert.equal(outstanding.spurious, 2, 'two that nobody needed');
  outstanding.add(sent(3, { sending: 1, again: 0 }));
  outstanding.done(3, MINUTE, 0);
  outstanding.done(4, MINUTE);
  assert.deepEqual([outstanding.sent, outstanding.resent, outstanding.spurious], [8, 4, 2]);
});
