import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBucket } from './bucket.ts';
import type { Effect, Fault } from './faulty.ts';
import { bytesOf, createRig, drain, failing, readAll } from './rig.ts';
import { resuming } from './resuming.ts';
import { retrying } from './retrying.ts';
import { watched } from './watched.ts';

const SIZE = 1_000_000;

function rigOf(faults: readonly Fault[], size = SIZE) {
  const rig = createRig(faults);
  const token = rig.memory.put('a', bytesOf(size));
  const store = resuming(retrying(watched(rig.store, rig.common), rig.common), rig.common);
  return { ...rig, dependable: store, pin: { token }, read: (more = {}) => rig.clock.run(readAll(store, 'a', size, { pin: { token }, ...more })) };
}

const always = (effect: Effect): Fault[] => [{ ops: ['read'], effect }];

test('F001: a body that is cut goes on from the next byte, as often as there is progress', async () => {
  const rig = rigOf(always({ kind: 'cut', after: 70_001 }));
  assert.ok((await rig.read()).equals(bytesOf(SIZE)));
  assert.equal(rig.store.requests.read, Math.ceil(SIZE / 70_001));
  assert.equal(rig.store.openBodies, 0);
});

test('F001: a range that is cut goes on inside the range', async () => {
  const rig = rigOf(always({ kind: 'cut', after: 70_001 }));
  const range = { offset: 123_456, length: 300_000 };
  assert.ok((await rig.read({ range })).equals(bytesOf(SIZE).subarray(123_456, 423_456)));
});

test('F001: five resumes that bring nothing, then the error; so little that it never ends is nothing', async () => {
  for (const after of [0, 100]) {
    const rig = rigOf(always({ kind: 'cut', after }));
    await assert.rejects(rig.read(), failing('transient', 'E_SHORT_READ'));
    assert.equal(rig.store.requests.read, 6);
    assert.equal(rig.store.openBodies, 0);
  }
});

test('F001: resumes wait, with jitter, and are told', async () => {
  const rig = rigOf(always({ kind: 'cut', after: 0 }));
  await assert.rejects(rig.read());
  const waits = rig.told.map((event) => (event.type === 'retry' ? event.waitMs : 0));
  assert.equal(waits.length, 5);
  assert.equal(rig.clock.monotonic(), waits.reduce((a, b) => a + b));
  assert.ok(rig.clock.monotonic() > 0);
});

test('F002: a body that goes silent is left after 30 s and resumed; the stall is told', async () => {
  const rig = rigOf([{ ops: ['read'], nth: 1, effect: { kind: 'stall', after: 100_000 } }]);
  assert.ok((await rig.read()).equals(bytesOf(SIZE)));
  assert.equal(rig.types('stalled'), 1);
  assert.ok(rig.clock.monotonic() >= 30_000 && rig.clock.monotonic() < 31_000, String(rig.clock.monotonic()));
  assert.equal(rig.store.openBodies, 0);
  assert.equal(rig.clock.sleeping, 0);
});

test('F002: a body that always goes silent ends in E_STALLED', async () => {
  const rig = rigOf(always({ kind: 'stall', after: 0 }));
  await assert.rejects(rig.read(), failing('transient', 'E_STALLED'));
  assert.equal(rig.types('stalled'), 6);
  assert.equal(rig.store.openBodies, 0);
});

test('F002: a slow consumer is not a stall', async () => {
  const rig = rigOf([], 300_000);
  const slow = async () => {
    let size = 0;
    for await (const chunk of (await rig.dependable.read({ key: 'a', expectedSize: 300_000 })).chunks) {
      size += chunk.length;
      await rig.clock.sleep(60_000);
    }
    return size;
  };
  assert.equal(await rig.clock.run(slow()), 300_000);
  assert.equal(rig.types('stalled'), 0);
});

test('F003: a body that ends early without an error is short, not whole', async () => {
  const rig = rigOf([{ ops: ['read'], times: 1, effect: { kind: 'cut', after: 500_000, silently: true } }]);
  assert.ok((await rig.read()).equals(bytesOf(SIZE)));
  assert.equal(rig.store.requests.read, 2);
  const hopeless = rigOf(always({ kind: 'cut', after: 0, silently: true }));
  await assert.rejects(hopeless.read(), failing('transient', 'E_SHORT_READ'));
});

test('F012: more bytes than listed are an error before the end, and none of them is delivered', async () => {
  const rig = rigOf(always({ kind: 'surplus', bytes: 1 }));
  let size = 0;
  await assert.rejects(rig.clock.run((async () => {
    for await (const chunk of (await rig.dependable.read({ key: 'a', expectedSize: SIZE })).chunks) size += chunk.length;
  })()), failing('transient', 'E_LONG_READ'));
  assert.equal(size, SIZE);
  assert.equal(rig.store.requests.read, 1);
});

test('F012: an empty object that gives bytes is an error', async () => {
  const rig = rigOf(always({ kind: 'surplus', bytes: 5 }), 0);
  await assert.rejects(rig.read(), failing('transient', 'E_LONG_READ'));
});

test('F004: ten thousand bodies left early or discarded leave none open', async () => {
  const rig = rigOf([], 200_000);
  for (let i = 0; i < 10_000; i++) {
    const read = await rig.dependable.read({ key: 'a', expectedSize: 200_000 });
    if (i % 2 === 0) {
      for await (const chunk of read.chunks) {
        assert.ok(chunk.length > 0);
        break;
      }
    }
    read.discard();
  }
  assert.equal(rig.store.requests.read, 10_000);
  assert.equal(rig.store.openBodies, 0);
  assert.equal(rig.clock.sleeping, 0);
});

test('F021: a store that ignores ranges is read again from the start, past what was delivered, and that is told', async () => {
  const rig = rigOf([{ ops: ['read'], nth: 1, effect: { kind: 'cut', after: 300_001 } }, ...always({ kind: 'range-ignored' })]);
  assert.ok((await rig.read()).equals(bytesOf(SIZE)));
  assert.deepEqual(rig.told.flatMap((event) => (event.type === 'note' ? [event.text.includes('E_RANGE_IGNORED')] : [])), [true]);
  assert.equal(rig.store.openBodies, 0);
});

test('F021: within a range, the fallback skips to the next owed byte and stops at the range\'s end', async () => {
  const rig = rigOf([{ ops: ['read'], nth: 1, effect: { kind: 'cut', after: 100_000 } }, ...always({ kind: 'range-ignored' })]);
  // The first request is a range as well: only its resumes find ranges ignored.
  const range = { offset: 200_000, length: 250_000 };
  assert.ok((await rig.read({ range })).equals(bytesOf(SIZE).subarray(200_000, 450_000)));
  assert.equal(rig.store.openBodies, 0);
});

test('F021: a range that is ignored from the start is the engine\'s to decide', async () => {
  const rig = rigOf(always({ kind: 'range-ignored' }));
  await assert.rejects(rig.read({ range: { offset: 10, length: 10 } }), failing('unsupported', 'E_RANGE_IGNORED'));
});

for (const [how, effect] of [['that honours pins', undefined], ['that does not honour pins', { kind: 'unpinned' }]] as const) {
  test(`F027: two versions are never one body, also from a store ${how}`, async () => {
    const rig = rigOf([{ ops: ['read'], nth: 1, effect: { kind: 'cut', after: 300_000 } }, ...(effect === undefined ? [] : always(effect))]);
    const read = await rig.dependable.read({ key: 'a', expectedSize: SIZE });
    rig.memory.put('a', bytesOf(SIZE, 2));
    await assert.rejects(rig.clock.run(drain(read)), failing('changed', 'E_SRC_CHANGED'));
    assert.equal(rig.store.openBodies, 0);
  });
}

test('an error that is not transient passes at once', async () => {
  const rig = rigOf([{ ops: ['read'], nth: 2, effect: { kind: 'throw', error: 'premise' } }, ...always({ kind: 'cut', after: 300_000 })]);
  await assert.rejects(rig.read(), failing('premise'));
  assert.equal(rig.store.requests.read, 2);
});

test('asked to stop between resumes, it stops', async () => {
  const rig = rigOf(always({ kind: 'cut', after: 0 }));
  const stop = new AbortController();
  const read = await rig.dependable.read({ key: 'a', expectedSize: SIZE, signal: stop.signal });
  const outcome = assert.rejects(drain(read), failing('cancelled'));
  await new Promise((resolve) => setImmediate(resolve));
  stop.abort();
  await rig.clock.run(outcome);
});

test('I14: resumes are retries and take from the budget', async () => {
  const rig = rigOf(always({ kind: 'cut', after: 110_000 }));
  const budget = createBucket(rig.clock, { perSecond: 0.1, burst: 1 });
  const store = resuming(rig.store, { ...rig.common, budget });
  await rig.clock.run(readAll(store, 'a', SIZE));
  // Nine resumes, one saved up, the others ten seconds apart.
  assert.ok(rig.clock.monotonic() >= 80_000, String(rig.clock.monotonic()));
});

test('F002: silence is noticed also after a consumer took its time, and the body is freed', async () => {
  const rig = createRig(always({ kind: 'stall', after: 100_000 }));
  rig.memory.put('a', bytesOf(SIZE));
  const read = await watched(rig.store, rig.common).read({ key: 'a', expectedSize: SIZE });
  await assert.rejects(rig.clock.run((async () => {
    for await (const chunk of read.chunks) await rig.clock.sleep(chunk.length > 0 ? 100_000 : 0);
  })()), failing('transient', 'E_STALLED'));
  assert.equal(rig.store.openBodies, 0);
  assert.equal(rig.clock.monotonic(), 2 * 100_000 + 30_000);
});
