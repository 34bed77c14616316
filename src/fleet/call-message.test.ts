import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Secret } from '../core/secret.ts';
import { type Call, callBody, callOf } from './call-message.ts';
import { messageCodec } from './messages.ts';
import { FLEET_CHECKS, type FleetBodies, taskOf } from './task-message.ts';

const codec = messageCodec<FleetBodies>({ current: new Secret('k'.repeat(32)) }, FLEET_CHECKS);
const spec = { id: 'photos', sha256: 'a'.repeat(64) };
const call: Call = { upload: 'u1', hand: 7, pin: { token: '"etag"', versionId: 'v' }, algorithm: 'crc32', spanBytes: 5, perHolder: 4, after: 0 };

test('a call arrives as it was sent, and is no task', async () => {
  const opened = codec.open(codec.seal({ kind: 'call', id: '1/2/3', spec, body: callBody(call) }));
  assert.ok(opened.kind === 'call');
  assert.deepEqual(callOf(opened.body), call);
  await assert.rejects(taskOf(opened, async () => undefined), { code: 'E_MESSAGE_SHAPE', kind: 'object' });
});

test('sealed and yet no call of ours: one line', () => {
  const body = callBody(call);
  const wrong = [['x', body], ['1/2/3', { ...body, hand: 0 }], ['1/2/3', { ...body, algorithm: 'toString' }], ['1/2/3', { ...body, pin: { token: 1 } as never }], ['1/2/3', { ...body, spanBytes: 0.5 }], ['1/2/3', { ...body, after: -1 }]] as const;
  for (const [id, one] of wrong) {
    const text = codec.seal({ kind: 'call', id, spec, body: one });
    assert.throws(() => codec.open(text), { code: 'E_MESSAGE_SHAPE' }, JSON.stringify(one));
  }
});
