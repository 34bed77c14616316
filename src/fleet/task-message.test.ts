import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Item } from '../core/item.ts';
import { Secret } from '../core/secret.ts';
import { messageCodec } from './messages.ts';
import { FLEET_CHECKS, type FleetBodies, type FleetTask, messageId, sealTask, taskOf } from './task-message.ts';

const codec = messageCodec<FleetBodies>({ current: new Secret('k'.repeat(32)) }, FLEET_CHECKS);
const item = (key: string): Item => ({ key, kind: 'object', size: 7, state: 'pending', source: { token: `t-${key}`, versionId: 'v' }, destination: 'd', evidence: 'none', attempts: 1 });
const task = (count: number): FleetTask => ({ name: { epoch: 2, seq: 17, task: 3 }, spec: { id: 'photos', sha256: 'a'.repeat(64) }, run: 4, size: 'small', sending: 1, items: Array.from({ length: count }, (_, i) => item(`k\u0001 \ufffe 😀 ${String(i).padStart(6, '0')}`)) });
const nothing = async (): Promise<never> => { throw new Error('not asked for'); };

test('migrations whose names differ at their end, or in a character that no id has, share no message id', () => {
  const long = 'x'.repeat(61);
  const ids = [`${long}-a`, `${long}-b`, 'a.b', 'a-b'].map((name) => messageId(name, { epoch: 999_999_999, seq: 9_999_999_999, task: 999_999_999 }, 999));
  assert.equal(new Set(ids).size, 4);
  for (const id of ids) assert.match(id, /^[A-Za-z0-9_-]{1,128}$/);
});

test('a task arrives as it was sent, byte for byte of its keys', async () => {
  const sent = task(1000);
  const text = await sealTask(codec, sent, sent, 256 * 1024, nothing);
  assert.deepEqual(await taskOf(codec.open(text), nothing), sent);
  assert.ok(text.length < 60_000, `${text.length} characters for 1,000 objects`);
  const again = { ...task(2), after: 3 };
  assert.deepEqual(await taskOf(codec.open(await sealTask(codec, again, again, 256 * 1024, nothing)), nothing), again);
});

test('what does not fit goes by reference, and one whose document is not there yet is told as such', async () => {
  const kept = new Map<string, Buffer>();
  const sent = task(1000);
  const text = await sealTask(codec, sent, sent, 2048, async (document) => { kept.set('b'.repeat(64), Buffer.from(document)); return 'b'.repeat(64); });
  assert.ok(text.length < 1000);
  assert.deepEqual(await taskOf(codec.open(text), async (sha256) => kept.get(sha256)), sent);
  await assert.rejects(taskOf(codec.open(text), async () => undefined), { code: 'E_MESSAGE_DOCUMENT', kind: 'transient' });
});

test('sealed and yet no task of ours: one line', async () => {
  const spec = { id: 'photos', sha256: 'a'.repeat(64) };
  const body = { run: 1, size: 'small', sending: 0, items: '' };
  for (const [id, wrong] of [['x', body], ['1/2/3', { ...body, run: -1 }], ['1/2/3', { ...body, size: 'huge' }], ['1/2/3', { ...body, after: -1 }], ['1/2/3', { ...body, items: { document: 'x' } }]] as const) {
    const text = codec.seal({ kind: 'task', id, spec, body: wrong });
    assert.throws(() => codec.open(text), { code: 'E_MESSAGE_SHAPE' });
  }
  await assert.rejects(taskOf(codec.open(codec.seal({ kind: 'task', id: '1/2/3', spec, body: { ...body, items: 'AAAA' } })), nothing), { code: 'E_MESSAGE_SHAPE' });
});
