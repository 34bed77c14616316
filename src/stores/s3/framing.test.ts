import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { BrigadeError } from '../../core/errors.ts';
import { MiB } from '../../core/units.ts';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import { bodyOf, startBench, startScripted, streamOf } from './fixture.test.ts';

const put = { attributes: NO_ATTRIBUTES, guard: { kind: 'none' } } as const;

const words = Buffer.alloc(MiB, 'all work and no play ');

test('no other store is spoken to in any other way than S3', async () => {
  for (const server of [undefined, 'AmazonS3', 'nginx', 'brigade', 'brigade frames/2', 'not-brigade frames/1', 'nginx brigade frames/1']) {
    await using other = await startScripted(() => ({ headers: { etag: '"e"', 'last-modified': 'Sat, 21 Nov 2026 09:00:00 GMT', ...(server === undefined ? {} : { server }) }, body: '' }));
    const store = other.store({ compress: true, payloadSigning: 'unsigned' });
    for (const body of [bodyOf(words), bodyOf(words), streamOf(words)]) await store.write({ ...put, key: 'k', body });
    await store.read({ key: 'k', expectedSize: 0 });
    assert.equal(other.asked.length, 4);
    for (const { headers, body, method } of other.asked) {
      assert.deepEqual(Object.keys(headers).filter((name) => name.startsWith('x-brigade')), [], server);
      if (method === 'PUT') assert.ok(body.length >= words.length);
    }
  }
});

test('a server that answers in frames nobody asked for, or says no length, is not believed', async () => {
  const empty = { etag: '"e"', 'x-brigade-body': 'frames/1' };
  for (const [headers, message] of [[{ 'x-brigade-length': '0' }, /nobody asked/], [{ server: 'brigade frames/1' }, /do not say how long/], [{ server: 'brigade frames/1', 'x-brigade-length': '1e1' }, /do not say how long/]] as const) {
    await using other = await startScripted(() => ({ headers: { ...empty, ...headers } as Record<string, string>, body: 'E\0\0\0\0\0\0\0\0\0\0\0\0' }));
    await assert.rejects(other.store().read({ key: 'k', expectedSize: 0 }), (error: BrigadeError) => error.code === 'E_FRAMES' && error.kind === 'transient' && message.test(error.message));
  }
});

test('an agent that is replaced by something else is spoken to as that from the next answer on', async () => {
  await using bench = await startBench();
  const store = bench.store({ compress: true, payloadSigning: 'unsigned' });
  await store.write({ ...put, key: 'first', body: bodyOf(words) });
  await store.write({ ...put, key: 'second', body: bodyOf(words) });
  const [first, second] = [await store.head('first'), await store.head('second')];
  assert.match(first.token, /^[0-9a-f]{32}$/, 'nothing was known yet');
  assert.match(second.token, /^[0-9a-f]{32}-1$/);
});
