import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBucket } from './bucket.ts';
import { createLimiter, limited } from './limited.ts';
import { bodyOf, bytesOf, createRig, failing, readAll, writeOf } from './rig.ts';

const MBIT = 1_000_000 / 8;

function rigOf(limits: Parameters<typeof createLimiter>[1], size = 5_000_000) {
  const rig = createRig([], { chunkSize: 1_000_000 });
  rig.memory.put('a', bytesOf(size));
  const limiter = createLimiter(rig.clock, limits);
  return { ...rig, limiter, limited: limited(rig.store, limiter), size };
}

test('10 Mbit/s is 10 Mbit/s, and smooth: in no quarter of a second more than its share and a burst', async () => {
  const rig = rigOf({ bytesPerSecond: 10 * MBIT });
  const arrivals: [ms: number, bytes: number][] = [];
  await rig.clock.run((async () => {
    for await (const chunk of (await rig.limited.read({ key: 'a', expectedSize: rig.size })).chunks) arrivals.push([rig.clock.monotonic(), chunk.length]);
  })());
  const seconds = rig.clock.monotonic() / 1000;
  assert.ok(Math.abs(seconds - rig.size / (10 * MBIT)) < 0.2, `${seconds} s`);
  for (const [start] of arrivals) {
    const within = arrivals.filter(([ms]) => ms >= start && ms < start + 250).reduce((sum, [, bytes]) => sum + bytes, 0);
    assert.ok(within <= 10 * MBIT * 0.25 + 2 * 10 * MBIT * 0.1, `${within} bytes from ${start} ms on`);
  }
});

test('bytes of a write are paced too: streamed, and in memory', async () => {
  for (const inMemory of [false, true]) {
    const rig = rigOf({ bytesPerSecond: 10 * MBIT });
    const bytes = bytesOf(2_500_000, 3);
    await rig.clock.run(rig.limited.write(writeOf('w', Buffer.alloc(0), { body: bodyOf(bytes, inMemory) })));
    assert.ok(Math.abs(rig.clock.monotonic() / 1000 - 2) < 0.2, `${rig.clock.monotonic()} ms, in memory: ${inMemory}`);
    assert.ok(rig.memory.bytes('w')?.equals(bytes));
  }
});

test('concurrent readers share fairly: all end within a few chunks of each other', async () => {
  const rig = rigOf({ bytesPerSecond: 1_000_000 }, 1_000_000);
  const ends = await rig.clock.run(Promise.all(Array.from({ length: 5 }, async () => {
    await readAll(rig.limited, 'a', rig.size);
    return rig.clock.monotonic();
  })));
  assert.ok(Math.max(...ends) - Math.min(...ends) <= 600, String(ends));
  assert.ok(Math.abs(Math.max(...ends) - 5000) < 200, String(ends));
});

test('requests per second hold for all operations, with a bounded burst', async () => {
  const rig = rigOf({ requestsPerSecond: 50 });
  const times: number[] = [];
  await rig.clock.run(Promise.all(Array.from({ length: 200 }, () => rig.limited.head('a').then(() => times.push(rig.clock.monotonic())))));
  assert.ok(times.filter((ms) => ms < 1).length <= 5);
  assert.ok(Math.abs(rig.clock.monotonic() - 3900) < 50, String(rig.clock.monotonic()));
});

test('limits can change while requests wait: tighter, looser, none', async () => {
  const rig = rigOf({ bytesPerSecond: 10_000 }, 1_000_000);
  const read = readAll(rig.limited, 'a', rig.size);
  await rig.clock.advance(10_000);
  rig.limiter.setLimits({ bytesPerSecond: 1_000_000 });
  await rig.clock.advance(500);
  rig.limiter.setLimits({});
  assert.equal((await read).length, rig.size);
});

test('no bytes at all is a pause that can be lifted', async () => {
  const rig = rigOf({ bytesPerSecond: 0 }, 100_000);
  let done = false;
  const read = readAll(rig.limited, 'a', rig.size).then(() => (done = true));
  await rig.clock.advance(3_600_000);
  assert.equal(done, false);
  rig.limiter.setLimits({});
  await read;
});

test('who waits can leave, and the next one moves up', async () => {
  const rig = createRig();
  const bucket = createBucket(rig.clock, { perSecond: 1, burst: 10 });
  await bucket.take(10);
  const stop = new AbortController();
  const leaves = assert.rejects(bucket.take(10, stop.signal), failing('cancelled'));
  let next = false;
  void bucket.take(1).then(() => (next = true));
  await rig.clock.advance(500);
  stop.abort();
  await leaves;
  await rig.clock.advance(600);
  assert.equal(next, true);
  await assert.rejects(bucket.take(1, AbortSignal.abort()), failing('cancelled'));
});

test('what is there already is not given to a latecomer while another one waits for more', async () => {
  const rig = createRig();
  const bucket = createBucket(rig.clock, { perSecond: 1, burst: 10 });
  const order: string[] = [];
  await bucket.take(10);
  const early = bucket.take(8).then(() => order.push('early'));
  await rig.clock.advance(5_000);
  const late = bucket.take(1).then(() => order.push('late'));
  await rig.clock.run(Promise.all([early, late]));
  assert.deepEqual(order, ['early', 'late']);
});

test('reads count as requests too', async () => {
  const rig = rigOf({ requestsPerSecond: 1 });
  for (let i = 0; i < 5; i++) (await rig.clock.run(rig.limited.read({ key: 'a', expectedSize: rig.size }))).discard();
  assert.equal(Math.round(rig.clock.monotonic()), 4000);
});

test('first come, first served: small ones do not overtake a large one', async () => {
  const rig = createRig();
  const bucket = createBucket(rig.clock, { perSecond: 10, burst: 5 });
  const order: string[] = [];
  await bucket.take(5);
  await rig.clock.run(Promise.all([bucket.take(50).then(() => order.push('large')), bucket.take(1).then(() => order.push('small'))]));
  assert.deepEqual(order, ['large', 'small']);
  // 5 to fill up, then 45 of debt and 1.
  assert.equal(Math.round(rig.clock.monotonic()), 500 + 4600);
});

test('without limits nothing waits', async () => {
  const rig = rigOf({});
  await readAll(rig.limited, 'a', rig.size);
  await rig.limited.write(writeOf('w', bytesOf(1_000_000)));
  assert.equal(rig.clock.monotonic(), 0);
});

test('a reader that leaves frees the body below', async () => {
  const rig = rigOf({ bytesPerSecond: 1e9 });
  for await (const chunk of (await rig.limited.read({ key: 'a', expectedSize: rig.size })).chunks) {
    assert.ok(chunk.length > 0);
    break;
  }
  (await rig.limited.read({ key: 'a', expectedSize: rig.size })).discard();
  assert.equal(rig.store.openBodies, 0);
});
