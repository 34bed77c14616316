import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../ports/clock.ts';
import { Lease } from './lease.ts';

/** Stands still until it is told to go on; its wall clock is nobody's business here (F084). */
function standingClock(): Clock & { advance(ms: number): void } {
  let time = 1000;
  return {
    now: () => assert.fail('leases do not look at the wall clock'),
    monotonic: () => time,
    sleep: () => assert.fail('leases do not sleep'),
    advance: (ms) => { time += ms; },
  };
}

const HOUR = 3_600_000;

test('F084: a lease ends where the last granted heartbeat put it, and then nothing prolongs it', () => {
  const clock = standingClock();
  const lease = new Lease(clock, clock.monotonic(), 30_000);
  clock.advance(20_000);
  assert.equal(lease.leftMs(), 10_000);
  lease.prolong(clock.monotonic(), lease.grant(30_000, 'here'));
  clock.advance(29_999);
  assert.deepEqual([lease.leftMs(), lease.standing()], [1, 'acknowledged']);
  clock.advance(1);
  assert.deepEqual([lease.leftMs(), lease.standing()], [0, 'late']);
  assert.throws(() => lease.grant(30_000, 'here'), { code: 'E_LEASE_LOST', kind: 'conflict' });
});

test('F095: an answer that a later one overtook shortens nothing, and what was given back stays so', () => {
  const clock = standingClock();
  const lease = new Lease(clock, clock.monotonic(), 30_000);
  const first = clock.monotonic();
  clock.advance(10_000);
  lease.prolong(clock.monotonic(), 30_000);
  lease.prolong(first, 30_000);
  assert.equal(lease.leftMs(), 30_000);
  lease.end();
  lease.prolong(clock.monotonic(), 30_000);
  assert.equal(lease.leftMs(), 0);
});

test('F096: what a ceiling leaves is granted, then no more', () => {
  const clock = standingClock();
  const lease = new Lease(clock, clock.monotonic(), 30_000, 12 * HOUR);
  lease.prolong(clock.monotonic(), lease.grant(11 * HOUR, 'here'));
  clock.advance(10.5 * HOUR);
  assert.equal(lease.grant(11 * HOUR, 'here'), 1.5 * HOUR);
  lease.prolong(clock.monotonic(), 1.5 * HOUR);
  clock.advance(1.5 * HOUR - 999);
  assert.throws(() => lease.grant(HOUR, 'here'), { code: 'E_LEASE_CEILING', kind: 'conflict' });
  assert.equal(lease.leftMs(), 999);
  assert.equal(lease.grant(0, 'here'), 0, 'it can still be given back');
});
