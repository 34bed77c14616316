import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../../core/errors.ts';
import { gated } from './gated.ts';
import { createGovernor, type GovernorOptions } from './governor.ts';
import { bytesOf, createRig, failing, readAll } from './rig.ts';
import { retrying } from './retrying.ts';
import type { Fault } from './faulty.ts';

function rigOf(faults: readonly Fault[], options: Partial<GovernorOptions> = {}) {
  const rig = createRig(faults);
  rig.memory.put('a', bytesOf(200_000));
  const governor = createGovernor({ clock: rig.clock, initial: 4, min: 1, max: 64, ...options });
  return { ...rig, governor, gated: gated(rig.store, governor, rig.clock) };
}

const slow = (ms: number): Fault[] => [{ ops: ['head'], effect: { kind: 'delay', ms } }];

test('never more requests at once than permits, first come first served', async () => {
  const rig = rigOf(slow(100), { max: 4 });
  const order: number[] = [];
  const all = Promise.all(Array.from({ length: 20 }, (_, i) => rig.gated.head('a').then(() => order.push(i))));
  await rig.clock.advance(0);
  assert.equal(rig.governor.inUse, 4);
  assert.equal(rig.governor.waiting, 16);
  await rig.clock.run(all);
  assert.equal(rig.clock.monotonic(), 500);
  assert.deepEqual(order, order.map((_, i) => i));
  assert.equal(rig.governor.inUse, 0);
});

test('who waits for a permit can leave the queue', async () => {
  const rig = rigOf(slow(100), { initial: 1, max: 1 });
  const stop = new AbortController();
  const [first, leaves, last] = [rig.gated.head('a'), assert.rejects(rig.gated.head('a', { signal: stop.signal }), failing('cancelled')), rig.gated.head('a')];
  stop.abort();
  await leaves;
  await rig.clock.run(Promise.all([first, last]));
  assert.equal(rig.store.requests.head, 2);
  await assert.rejects(rig.governor.acquire(AbortSignal.abort()), failing('cancelled'));
});

test('a read holds its permit until the body has ended, is left, is discarded or breaks', async () => {
  const rig = rigOf([{ ops: ['read'], nth: 4, effect: { kind: 'cut', after: 100 } }]);
  const open = () => rig.gated.read({ key: 'a', expectedSize: 200_000 });
  const whole = await open();
  assert.equal(rig.governor.inUse, 1);
  for await (const chunk of whole.chunks) assert.equal(rig.governor.inUse, chunk.length > 0 ? 1 : 0);
  assert.equal(rig.governor.inUse, 0);
  for await (const chunk of (await open()).chunks) if (chunk.length > 0) break;
  assert.equal(rig.governor.inUse, 0);
  const unwanted = await open();
  unwanted.discard();
  unwanted.discard();
  assert.equal(rig.governor.inUse, 0);
  await assert.rejects(readAll(rig.gated, 'a', 200_000));
  assert.equal(rig.governor.inUse, 0);
  await assert.rejects(rig.gated.read({ key: 'missing', expectedSize: 1 }), failing('gone'));
  assert.equal(rig.governor.inUse, 0);
});

test('the limit grows while all permits are used, one per round, up to its most', async () => {
  const rig = rigOf(slow(100), { max: 10 });
  const lane = async () => {
    for (let i = 0; i < 30; i++) await rig.gated.head('a');
  };
  await rig.clock.run(Promise.all(Array.from({ length: 50 }, lane)));
  assert.equal(rig.governor.limit, 10);
});

test('the limit does not grow while permits are to spare', async () => {
  const rig = rigOf(slow(100));
  for (let i = 0; i < 100; i++) await rig.clock.run(Promise.all([rig.gated.head('a'), rig.gated.head('a')]));
  assert.equal(rig.governor.limit, 4);
});

test('the limit stops growing where more requests only queue at the store', async () => {
  const rig = createRig();
  rig.memory.put('a', 'x');
  // A store that does 8 requests per 100 ms, however many are asked of it: latency grows with what is beyond 8.
  let busyUntil = 0;
  const queueing = { ...rig.memory, head: async (key: string) => {
    busyUntil = Math.max(busyUntil, rig.clock.monotonic()) + 12.5;
    await rig.clock.sleep(Math.max(100, busyUntil - rig.clock.monotonic()));
    return rig.memory.head(key);
  } };
  const governor = createGovernor({ clock: rig.clock, initial: 4, min: 1, max: 1000 });
  const store = gated(queueing, governor, rig.clock);
  await rig.clock.run(Promise.all(Array.from({ length: 500 }, async () => {
    for (let i = 0; i < 10; i++) await store.head('a');
  })));
  assert.ok(governor.limit >= 8 && governor.limit <= 40, String(governor.limit));
});

test('F081: a storm lowers the limit by three tenths at most once per second, never below its least', async () => {
  const rig = rigOf([], { initial: 100, max: 100, min: 10 });
  for (let i = 0; i < 50; i++) rig.governor.throttled();
  assert.equal(rig.governor.limit, 70);
  await rig.clock.advance(999);
  rig.governor.throttled();
  assert.equal(rig.governor.limit, 70);
  await rig.clock.advance(1);
  rig.governor.throttled();
  assert.equal(rig.governor.limit, 49);
  for (let i = 0; i < 20; i++) {
    await rig.clock.advance(1000);
    rig.governor.throttled();
  }
  assert.equal(rig.governor.limit, 10);
});

test('F081: a store that takes twenty requests at once is asked at the pace that it keeps up with, and all requests end', async () => {
  const rig = createRig([], { chunkSize: 1 });
  rig.memory.put('a', 'x');
  let now = 0;
  let refused = 0;
  const picky = { ...rig.memory, head: async (key: string) => {
    if (now >= 20) refused++;
    if (now >= 20) throw new BrigadeError({ code: 'E_SLOW_DOWN', kind: 'throttled', status: 503, message: 'slow down' });
    now++;
    await rig.clock.sleep(50);
    now--;
    return rig.memory.head(key);
  } };
  const governor = createGovernor({ clock: rig.clock, initial: 64, min: 1, max: 256 });
  const store = retrying(gated(picky, governor, rig.clock), { ...rig.common, onThrottle: () => governor.throttled() });
  await rig.clock.run(Promise.all(Array.from({ length: 200 }, async () => {
    for (let i = 0; i < 25; i++) await store.head('a');
  })));
  assert.ok(governor.perSecond >= 250 && governor.perSecond <= 450, `${governor.perSecond} per second, where 20 of 50 ms make 400`);
  assert.ok(refused <= 400, `${refused} of 5000 refused`);
});

test('F085: when nothing answers the circuit opens, one request at a time asks, and all go on when it is back', async () => {
  let outage = true;
  const rig = createRig();
  rig.memory.put('a', 'x');
  let asked = 0;
  const flaky = { ...rig.memory, head: async (key: string) => {
    asked++;
    await rig.clock.sleep(10);
    if (outage) throw new BrigadeError({ code: 'E_DNS', kind: 'transient', message: 'no such host' });
    return rig.memory.head(key);
  } };
  const changes: boolean[] = [];
  const governor = createGovernor({ clock: rig.clock, initial: 32, min: 1, max: 32, onCircuit: (open) => changes.push(open) });
  const store = retrying(gated(flaky, governor, rig.clock), rig.common);
  const work = Promise.all(Array.from({ length: 64 }, () => store.head('a')));
  await rig.clock.advance(600_000);
  assert.equal(governor.open, true);
  // 32 were under way, 9 followed before the circuit opened, then at most one per growing pause.
  assert.ok(asked < 32 + 9 + 30, `${asked} requests into a dead endpoint in ten minutes`);
  outage = false;
  assert.equal((await rig.clock.run(work)).length, 64);
  assert.ok(rig.clock.monotonic() < 600_000 + 40_000, String(rig.clock.monotonic()));
  assert.deepEqual(changes, [true, false]);
});

for (const [what, error] of [
  ['an answer with a status', { error: 'transient', code: 'E_NETWORK', status: 503 }],
  ['a definitive answer', { error: 'gone', code: 'E_NOT_FOUND' }],
  ['our own stopping', { error: 'cancelled', code: 'E_CANCELLED' }],
  ['a broken body', { error: 'transient', code: 'E_SHORT_READ' }],
] as const) {
  test(`F085: ${what} does not open the circuit`, async () => {
    const rig = rigOf([{ ops: ['head'], effect: { kind: 'throw', ...error } }]);
    for (let i = 0; i < 50; i++) await assert.rejects(rig.gated.head('a'));
    assert.equal(rig.governor.open, false);
  });
}

test('F085: a run that stops while the circuit is open leaves no timer behind', async () => {
  const rig = rigOf([{ ops: ['head'], effect: { kind: 'throw', error: 'transient', code: 'E_NETWORK' } }]);
  for (let i = 0; i < 10; i++) await assert.rejects(rig.gated.head('a'));
  assert.equal(rig.governor.open, true);
  const stop = new AbortController();
  const waits = assert.rejects(rig.gated.head('a', { signal: stop.signal }), failing('cancelled'));
  await rig.clock.advance(0);
  assert.equal(rig.clock.sleeping, 1);
  stop.abort();
  await waits;
  assert.equal(rig.clock.sleeping, 0);
});

test('F085: a probe that is stopped by us makes room for another one', async () => {
  const rig = rigOf([
    { ops: ['head'], times: 10, effect: { kind: 'throw', error: 'transient', code: 'E_NETWORK' } },
    { ops: ['head'], effect: { kind: 'delay', ms: 1_000 } },
  ]);
  for (let i = 0; i < 10; i++) await assert.rejects(rig.gated.head('a'));
  const stop = new AbortController();
  const probe = assert.rejects(rig.gated.head('a', { signal: stop.signal }), failing('cancelled'));
  const other = rig.gated.head('a');
  await rig.clock.advance(1_500);
  assert.equal(rig.governor.inUse, 1);
  stop.abort();
  await probe;
  assert.equal((await rig.clock.run(other)).size, 200_000);
  assert.equal(rig.governor.open, false);
});

test('F085: with patience, those who wait behind an open circuit hear E_NETWORK (premise), and the next one may ask again', async () => {
  let outage = true;
  const rig = createRig();
  rig.memory.put('a', 'x');
  const flaky = { ...rig.memory, head: async (key: string) => {
    await rig.clock.sleep(10);
    if (outage) throw new BrigadeError({ code: 'E_NETWORK', kind: 'transient', message: 'refused' });
    return rig.memory.head(key);
  } };
  const governor = createGovernor({ clock: rig.clock, initial: 4, min: 1, max: 4, patienceMs: 60_000 });
  const store = retrying(gated(flaky, governor, rig.clock), rig.common);
  const ends = Promise.all(Array.from({ length: 40 }, () => store.head('a').then(() => 'done', (error: BrigadeError) => `${error.code} ${error.kind}`)));
  const all = await rig.clock.run(ends);
  assert.ok(rig.clock.monotonic() < 300_000, `heard after ${rig.clock.monotonic()} ms`);
  assert.ok(all.every((end) => end.startsWith('E_NETWORK')) && all.includes('E_NETWORK premise'), all.join(', '));
  outage = false;
  assert.equal((await rig.clock.run(store.head('a'))).size, 1);
});

test('what was found is told with its reason: demand, the ceiling, growth, refusals', async () => {
  const held = async (faults: readonly Fault[], at: number, requests: number, options: Partial<GovernorOptions> = {}) => {
    const rig = rigOf(faults, options);
    const lane = async (): Promise<void> => { for (let i = 0; i < requests; i++) await rig.gated.head('a'); };
    await rig.clock.run(Promise.all(Array.from({ length: at }, lane)));
    return rig;
  };
  assert.deepEqual((await held(slow(100), 2, 10)).governor.atOnce, { allowed: 4, most: 2, heldBy: 'demand', inflation: 1, refusals: 0 });
  assert.equal((await held(slow(100), 20, 10, { max: 8 })).governor.atOnce.heldBy, 'ceiling');
  assert.equal((await held(slow(100), 20, 3)).governor.atOnce.heldBy, 'growing');
  const queueing = await held(slow(10), 4, 50);
  queueing.governor.throttled();
  await queueing.clock.run(queueing.gated.head('a'));
  const { heldBy, refusals, lastRefusalMs } = queueing.governor.atOnce;
  assert.deepEqual([heldBy, refusals, lastRefusalMs], ['refusals', 1, 10]);
});
