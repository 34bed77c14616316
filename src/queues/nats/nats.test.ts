import assert from 'node:assert/strict';
import { test } from 'node:test';
import { place } from './deliveries.ts';
import { natsError } from './errors.ts';
import { isStuck } from './streams.ts';

test('how often and what was delivered is in the reply subject, of old servers and of new ones', () => {
  assert.deepEqual(place('$JS.ACK.tasks.workers.3.1204.77.1763755200000000000.12'), { receives: 3, sequence: 1204, storedNs: '1763755200000000000' });
  assert.deepEqual(place('$JS.ACK._.AbCdEf.tasks.workers.3.1204.77.1763755200000000000.12'), { receives: 3, sequence: 1204, storedNs: '1763755200000000000' });
  assert.deepEqual(place('$JS.ACK.hub.AbCdEf.tasks.workers.3.1204.77.1763755200000000000.12.token'), { receives: 3, sequence: 1204, storedNs: '1763755200000000000' });
});

test('F100: stuck is when messages wait, nothing is in flight, and nothing moved for two leases', () => {
  const at = (seconds: number): string => new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString();
  const info = (more: object = {}) => ({
    num_pending: 5, num_ack_pending: 0, created: at(0), ts: at(100), delivered: { consumer_seq: 1, stream_seq: 1, last_active: at(39) }, ...more,
  }) as unknown as Parameters<typeof isStuck>[0];
  assert.equal(isStuck(info(), 30_000), true);
  assert.equal(isStuck(info({ delivered: { last_active: at(41) } }), 30_000), false, 'served 59 s ago');
  assert.equal(isStuck(info({ delivered: {} }), 30_000), true, 'never served since it was made');
  assert.equal(isStuck(info({ delivered: {}, created: at(90) }), 30_000), false, 'just made');
  assert.equal(isStuck(info({ num_pending: 0 }), 30_000), false, 'nothing waits');
  assert.equal(isStuck(info({ num_ack_pending: 1 }), 30_000), false, 'somebody works');
  assert.equal(isStuck(info({ paused: true }), 30_000), false, 'an operator paused it');
});

test('what NATS says, as kinds of error', () => {
  const kindOf = (name: string, more: object = {}): string => {
    const { kind, code } = natsError(Object.assign(new Error('no'), { name }, more), 'op', 'here');
    return `${kind} ${code}`;
  };
  assert.equal(kindOf('AuthorizationError'), 'premise E_CREDENTIALS');
  assert.equal(kindOf('UserAuthenticationExpiredError'), 'premise E_CREDENTIALS');
  assert.equal(kindOf('RequestError', { cause: Object.assign(new Error('no'), { name: 'PermissionViolationError' }) }), 'premise E_ACCESS_DENIED');
  assert.equal(kindOf('JetStreamApiError', { code: 10059, status: 404 }), 'premise E_QUEUE_MISSING');
  assert.equal(kindOf('JetStreamApiError', { code: 10047, status: 500 }), 'premise E_QUEUE_FULL');
  assert.equal(kindOf('JetStreamApiError', { code: 10999, status: 400 }), 'premise E_QUEUE_CONFIG');
  assert.equal(kindOf('JetStreamApiError', { code: 10008, status: 503 }), 'transient E_NETWORK');
  assert.equal(kindOf('TimeoutError'), 'transient E_NETWORK');
  assert.equal(kindOf('ConnectionError', { cause: Object.assign(new Error('no'), { code: 'ECONNREFUSED' }) }), 'transient E_NETWORK');
});
