import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { EXIT, exitCodeOf, worstExit } from './exit-code.ts';
import type { Count, Tally } from './item.ts';

const none: Count = { objects: 0, bytes: 0 };
const tally = (change: Partial<Record<'copied' | 'unchanged' | 'skipped' | 'failed' | 'pending', number>>, byCode: Tally['byCode'] = []): Tally => {
  const count = (objects = 0): Count => ({ objects, bytes: objects });
  const listed = Object.values(change).reduce((sum, n) => sum + n, 0);
  return {
    listed: count(listed), copied: count(change.copied), unchanged: count(change.unchanged), skipped: count(change.skipped), failed: count(change.failed),
    pending: count(change.pending), extra: none, evidence: { none: 0, 'in flight': 0, 'store checksum': 0, 'destination re-read': 0, 'both ends re-read': 0 }, byCode,
  };
};
const facts = { finished: true, allowArchived: false, requireObjects: false };

test('F088: any failed object makes the exit code differ from 0', () => {
  fc.assert(fc.property(fc.nat(1000), fc.nat(1000), fc.nat(1000), fc.nat(3), fc.nat(3), (copied, unchanged, skipped, failed, pending) => {
    const code = exitCodeOf({ ...facts, tally: tally({ copied, unchanged, skipped, failed, pending }) });
    assert.equal(code === 0, failed === 0 && pending === 0);
    if (pending > 0) assert.equal(code, EXIT.paused);
  }));
});

test('I1: an account that does not add up is a defect of ours, never success', () => {
  const broken = { ...tally({ copied: 5 }), listed: { objects: 6, bytes: 6 } };
  assert.equal(exitCodeOf({ ...facts, tally: broken }), EXIT.internal);
});

test('F073: skipped archived objects are exit 1 unless allowed', () => {
  const archived = tally({ skipped: 1 }, [{ state: 'skipped', code: 'archived', objects: 1, bytes: 1 }]);
  assert.equal(exitCodeOf({ ...facts, tally: archived }), EXIT.someFailed);
  assert.equal(exitCodeOf({ ...facts, tally: archived, allowArchived: true }), EXIT.clean);
});

test('F089: nothing listed is 0, or 1 with --require-objects', () => {
  assert.equal(exitCodeOf({ ...facts, tally: tally({}) }), EXIT.clean);
  assert.equal(exitCodeOf({ ...facts, tally: tally({}), requireObjects: true }), EXIT.someFailed);
});

test('verify findings outrank failures; of several files the worst counts', () => {
  assert.equal(exitCodeOf({ ...facts, tally: tally({ failed: 1 }), findings: 1 }), EXIT.verifyDiffers);
  assert.equal(worstExit([0, 1, 5]), 5);
  assert.equal(worstExit([0, 3, 1]), 3);
  assert.equal(worstExit([2, 70]), 70);
  assert.equal(worstExit([]), 0);
});
