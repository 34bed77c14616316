import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCounters, instrumented } from './instrumented.ts';
import { bodyOf, bytesOf, createRig, failing, readAll, writeOf } from './rig.ts';
import type { Fault } from './faulty.ts';

function rigOf(faults: readonly Fault[] = []) {
  const rig = createRig(faults);
  const counters = createCounters();
  return { ...rig, counters, counted: instrumented(rig.store, { ...rig.common, counters }) };
}

test('requests, bytes and errors are counted by operation, also when the body breaks', async () => {
  const rig = rigOf([
    { ops: ['head'], nth: 2, effect: { kind: 'throw', error: 'throttled', code: 'E_SLOW_DOWN' } },
    { ops: ['read'], nth: 2, effect: { kind: 'cut', after: 1000 } },
  ]);
  await rig.counted.write(writeOf('a', bytesOf(5000)));
  await rig.counted.head('a');
  await assert.rejects(rig.counted.head('a'), failing('throttled'));
  assert.equal((await readAll(rig.counted, 'a', 5000)).length, 5000);
  await assert.rejects(readAll(rig.counted, 'a', 5000));
  const { write, head, read, list } = rig.counters.snapshot();
  assert.deepEqual([write?.count, write?.bytes, write?.errors], [1, 5000, {}]);
  assert.deepEqual([head?.count, head?.bytes, head?.errors], [2, 0, { E_SLOW_DOWN: 1 }]);
  assert.deepEqual([read?.count, read?.bytes, read?.errors], [2, 6000, { E_SHORT_READ: 1 }]);
  assert.equal(list, undefined);
});

test('latencies fall into powers of two, and their sum is kept', async () => {
  const rig = rigOf([0, 1, 3, 1000, 10_000_000].map((ms, i) => ({ ops: ['head'], nth: i === 0 ? 1 : 1, effect: { kind: 'delay', ms } })));
  rig.memory.put('a', 'x');
  for (let i = 0; i < 5; i++) await rig.clock.run(rig.counted.head('a'));
  const { latency, ms } = rig.counters.snapshot().head!;
  assert.equal(ms, 0 + 1 + 3 + 1000 + 10_000_000);
  assert.deepEqual(latency.flatMap((count, i) => (count > 0 ? [[i, count]] : [])), [[0, 1], [1, 1], [2, 1], [10, 1], [18, 1]]);
});

test('each request is told once, with its side, time and error', async () => {
  const rig = rigOf([{ ops: ['head'], effect: { kind: 'delay', ms: 7 } }]);
  await assert.rejects(rig.clock.run(rig.counted.head('missing')), failing('gone'));
  assert.deepEqual(rig.told, [{ type: 'request', side: 'source', op: 'head', ms: 7, error: 'E_NOT_FOUND' }]);
});

test('a snapshot does not change afterwards', async () => {
  const rig = rigOf();
  await rig.counted.identity();
  const before = rig.counters.snapshot();
  await rig.counted.identity();
  assert.equal(before.identity?.count, 1);
  assert.equal(rig.counters.snapshot().identity?.count, 2);
});

test('bytes of parts are counted, those of refused writes are not', async () => {
  const rig = rigOf([{ ops: ['write'], effect: { kind: 'throw', error: 'premise' } }]);
  await assert.rejects(rig.counted.write(writeOf('a', bytesOf(5000))));
  const upload = await rig.counted.multipart!.create({ key: 'p', size: 10, partSize: 10, attributes: { headers: {}, userMetadata: new Map() } });
  await rig.counted.multipart!.putPart(upload, 1, bodyOf(bytesOf(10)));
  assert.equal(rig.counters.snapshot().write?.bytes, 0);
  assert.equal(rig.counters.snapshot().putPart?.bytes, 10);
});
