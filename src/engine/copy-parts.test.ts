import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../core/errors.ts';
import { NO_ATTRIBUTES } from '../core/object.ts';
import { MiB } from '../core/units.ts';
import type { Body, Guard, Multipart, Part, Upload } from '../ports/storage.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- the real part of the tests; the engine itself knows no store
import { createMemoryStore } from '../stores/memory/index.ts';
import { Budget } from './budget.ts';
import type { CopyStep } from './copier.ts';
import { copyInParts } from './copy-parts.ts';
import { slabsOf } from './slabs.ts';

const PART = 1 * MiB;
const PARTS = 12;

/** Every part differs from every other one. */
function content(seed: number): Buffer {
  return Buffer.concat(Array.from({ length: PARTS }, (_, i) => Buffer.alloc(PART, seed * PARTS + i)));
}

function rigOf(putPart: (inner: Multipart, upload: Upload, number: number, body: Body) => Promise<Part>) {
  const source = createMemoryStore();
  const inner = createMemoryStore();
  const multipart = inner.multipart as Multipart;
  const destination = { ...inner, multipart: { ...multipart, create: multipart.create.bind(multipart), complete: multipart.complete.bind(multipart), abort: multipart.abort.bind(multipart), putPart: (upload: Upload, number: number, body: Body) => putPart(multipart, upload, number, body) } };
  const memory = new Budget(64 * MiB);
  const recorder = { uploads: async () => [], record: async () => {}, recordUpload: async () => {}, recordPart: async () => {}, forgetUpload: async () => {} };
  const copy = async (key: string, bytes: Buffer, guard: Guard = { kind: 'none' }): Promise<void> => {
    const token = source.put(key, bytes);
    const context = { source, destination, memory, recorder, options: { partConcurrency: 4 } };
    const step = {
      context, task: { id: 1, items: [] }, version: { key, size: bytes.length, pin: { token } }, guard,
      signal: new AbortController().signal, carry: async () => ({ attributes: NO_ATTRIBUTES, lost: [] }), sent: () => {},
    } as unknown as CopyStep;
    await copyInParts(step, PART);
  };
  return { inner, memory, copy };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a part\'s bytes stay as they are until its write has settled, however often it is read again, and serve again afterwards', async () => {
  const buffers = new Set<unknown>();
  const rig = rigOf(async (multipart, upload, number, body) => {
    buffers.add(body.bytes?.buffer);
    const before = Buffer.from(body.bytes as Uint8Array);
    // As a retry does it: the other lanes go on meanwhile, then the same body is read again.
    for (let i = 0; i < 5 + (number % 3) * 10; i++) await turn();
    assert.ok(before.equals(body.bytes as Uint8Array), `part ${number} changed while it was written`);
    return multipart.putPart(upload, number, body);
  });
  for (const [i, key] of ['a', 'b'].entries()) {
    await rig.copy(key, content(i));
    assert.ok(rig.inner.bytes(key)?.equals(content(i)));
  }
  assert.equal(buffers.size, 4, 'one buffer for each lane');
  assert.equal(rig.memory.used, 0);
  assert.ok(slabsOf(rig.memory).readyBytes <= 4 * PART);
});

test('bytes of a write that failed are never written over: a socket may still be sending them', async () => {
  const failed: { readonly bytes: Uint8Array; readonly before: Buffer }[] = [];
  let failing = true;
  const rig = rigOf(async (multipart, upload, number, body) => {
    if (!failing) return multipart.putPart(upload, number, body);
    failed.push({ bytes: body.bytes as Uint8Array, before: Buffer.from(body.bytes as Uint8Array) });
    throw new BrigadeError({ code: 'E_NETWORK', kind: 'transient', op: 'putPart', message: 'the connection broke' });
  });
  await assert.rejects(rig.copy('a', content(0)), { code: 'E_NETWORK' });
  failing = false;
  await rig.copy('b', content(1));
  assert.ok(rig.inner.bytes('b')?.equals(content(1)));
  assert.ok(failed.length > 0);
  for (const { bytes, before } of failed) assert.ok(before.equals(bytes));
});

test('F072: where somebody else was quicker with the same bytes, they are taken as they stand, and our own upload is aborted', async () => {
  const rig = rigOf(async (multipart, upload, number, body) => {
    if (number === PARTS) rig.inner.put('a', content(0));
    return multipart.putPart(upload, number, body);
  });
  await rig.copy('a', content(0), { kind: 'absent' });
  const left = [];
  for await (const { id } of rig.inner.multipart?.listUploads() ?? []) left.push(id);
  assert.deepEqual(left, []);
});
