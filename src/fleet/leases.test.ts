import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leaseFor, Leases, mostLeaseMs } from './leases.ts';

const SQS = { leaseMs: 30_000, leasesVary: true };
const NATS = { leaseMs: 30_000, leasesVary: false };

test('S1.11: the lease follows what nearly all tasks of its size class take, within bounds', () => {
  const leases = new Leases(SQS);
  assert.equal(leases.wantedMs('small'), 30_000, 'nothing is known');
  for (let i = 0; i < 100; i++) leases.took('small', i < 96 ? 40_000 : 3_600_000);
  assert.equal(leases.wantedMs('small'), 60_000, 'few that take long do not decide');
  assert.equal(leases.wantedMs('large'), 30_000, 'of the other class nothing is known');
  for (let i = 0; i < 100; i++) leases.took('large', 3_600_000);
  assert.equal(leases.wantedMs('large'), 120_000, 'tasks of a worker that dies are not nobody’s for an hour');
  for (let i = 0; i < 600; i++) leases.took('small', 200);
  assert.equal(leases.wantedMs('small'), 30_000, 'what was long ago is forgotten; never shorter than the queue’s own');
});

test('S1.11: where the queue gives one length, that is asked for', () => {
  assert.equal(leaseFor(NATS, 90_000), 30_000);
  assert.deepEqual([mostLeaseMs(NATS), mostLeaseMs(SQS)], [30_000, 120_000]);
});
