import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../core/errors.ts';
import { MiB } from '../core/units.ts';
import type { Store } from '../ports/storage.ts';
import { describeStore } from './conformance/index.ts';
import type { Fault } from './decorators/faulty.ts';
import { createGovernor } from './decorators/governor.ts';
import { createCounters } from './decorators/instrumented.ts';
import { createLimiter } from './decorators/limited.ts';
import { resuming } from './decorators/resuming.ts';
import { retrying } from './decorators/retrying.ts';
import { bodyOf, bytesOf, createRig, readAll, writeOf } from './decorators/rig.ts';
import { stack } from './stack.ts';

/** Accidents that a dependable store hides. Lost answers of guarded writes are not among them: those are the engine's to judge. */
const WEATHER: readonly Fault[] = [
  { probability: 0.05, effect: { kind: 'throw', error: 'transient' } },
  { probability: 0.05, effect: { kind: 'throw', error: 'throttled', status: 503, retryAfterMs: 500 } },
  { ops: ['head', 'putPart', 'listParts', 'abort', 'remove', 'readTags', 'copyPart'], probability: 0.1, effect: { kind: 'drop-answer' } },
  { ops: ['read'], probability: 0.15, effect: { kind: 'cut', after: 70_000 } },
  { ops: ['read'], probability: 0.05, effect: { kind: 'cut', after: 200, silently: true } },
  { ops: ['read'], probability: 0.05, effect: { kind: 'stall', after: 100_000 } },
  { ops: ['read'], probability: 0.05, effect: { kind: 'range-ignored' } },
  { probability: 0.05, effect: { kind: 'delay', ms: 300 } },
];

function createStack(faults: readonly Fault[] = [], seed = 1, limits = {}) {
  const rig = createRig(faults, { auto: true, serverCopy: true, seed });
  const counters = createCounters();
  const governor = createGovernor({ clock: rig.clock, initial: 16, min: 2, max: 64 });
  const options = { ...rig.common, counters, governor, limiter: createLimiter(rig.clock, limits) };
  return { ...rig, counters, governor, dependable: stack(rig.store, options), common: options };
}

/** Nobody meets them, but requests go the long way (direct.ts). */
const FAR_LIMITS = { requestsPerSecond: 1e9, bytesPerSecond: 1e15 };

function conforms(name: string, create: (rig: ReturnType<typeof createStack>) => Store, faults: readonly Fault[] = [], seed = 1, limits = {}): void {
  describeStore({ name, create: async () => ({ store: create(createStack(faults, seed, limits)), cleanup: async () => {} }) });
}

conforms('retrying(memory)', (rig) => retrying(rig.memory, rig.common));
conforms('resuming(memory)', (rig) => resuming(rig.memory, rig.common));
conforms('stack(memory)', (rig) => rig.dependable);
conforms('stack(memory), the long way', (rig) => rig.dependable, [], 1, FAR_LIMITS);
for (const seed of [1, 2, 3]) conforms(`stack(faulty(memory)), seed ${seed}`, (rig) => rig.dependable, WEATHER, seed);
conforms('stack(faulty(memory)), the long way', (rig) => rig.dependable, WEATHER, 4, FAR_LIMITS);

test('the direct way and the long way do, count and tell the same', async () => {
  const work = async (limits: object) => {
    const rig = createStack([...WEATHER, { ops: ['write'], nth: 9, effect: { kind: 'drop-answer' } }], 11, limits);
    const ends: unknown[] = [];
    for (let i = 0; i < 120; i++) {
      const bytes = bytesOf(i % 2 === 0 ? 500 : 120_000, i);
      const written = await rig.dependable.write({ ...writeOf(`k${i}`, bytes), body: bodyOf(bytes, i % 3 === 0), guard: { kind: 'absent' } }).catch((thrown: unknown) => thrown);
      ends.push(written instanceof BrigadeError ? [written.code, written.hint, (written.cause as BrigadeError | undefined)?.code] : written);
      if (!(written instanceof BrigadeError)) assert.ok((await readAll(rig.dependable, `k${i}`, bytes.length)).equals(bytes));
    }
    assert.equal(rig.governor.inUse, 0);
    const timeless = rig.told.map((event) => ('ms' in event ? { ...event, ms: 0 } : event));
    const { read, write } = rig.counters.snapshot();
    return { ends, timeless, read: { ...read, ms: 0, latency: [] }, write: { ...write, ms: 0, latency: [] }, struck: rig.store.struck };
  };
  const [short, long] = [await work({}), await work(FAR_LIMITS)];
  assert.deepEqual(short, long);
  assert.ok(short.ends.some((end) => Array.isArray(end)), 'a write whose answer was lost meets its own object');
});

test('a limit that is set while a large body goes by holds for the rest of it', async () => {
  const rig = createStack();
  rig.memory.put('large', bytesOf(4 * MiB));
  const { chunks } = await rig.dependable.read({ key: 'large', expectedSize: 4 * MiB });
  let seen = 0;
  let slowed = 0;
  for await (const chunk of chunks) {
    seen += chunk.length;
    if (slowed > 0) continue;
    slowed = rig.clock.monotonic();
    rig.common.limiter.setLimits({ bytesPerSecond: 1 * MiB });
  }
  assert.equal(seen, 4 * MiB);
  assert.ok(rig.clock.monotonic() - slowed > 2_000, `${rig.clock.monotonic() - slowed} ms for nearly 4 MiB at 1 MiB/s`);
});

test('limits that are set while requests go by hold for the next one', async () => {
  const rig = createStack();
  rig.memory.put('a', 'x');
  await readAll(rig.dependable, 'a', 1);
  const before = rig.clock.monotonic();
  rig.common.limiter.setLimits({ requestsPerSecond: 10 });
  for (let i = 0; i < 20; i++) await readAll(rig.dependable, 'a', 1);
  assert.ok(rig.clock.monotonic() - before > 1_800, `${rig.clock.monotonic() - before} ms for 20 requests at 10 per second`);
});

test('the weather really happens below a stack that hides it', async () => {
  const rig = createStack(WEATHER, 7);
  for (let i = 0; i < 200; i++) {
    await rig.dependable.write(writeOf(`k${i}`, bytesOf(150_000, i)));
    assert.ok((await readAll(rig.dependable, `k${i}`, 150_000)).equals(bytesOf(150_000, i)));
  }
  assert.ok(rig.store.struck.every((count, i) => count > 0 || WEATHER[i]?.ops?.includes('head') === true), String(rig.store.struck));
  assert.equal(rig.store.openBodies, 0);
  assert.equal(rig.governor.inUse, 0);
  const { read } = rig.counters.snapshot();
  assert.equal(read?.count, rig.store.requests.read);
  assert.ok((read?.errors['E_STALLED'] ?? 0) > 0);
});

test('F085: five minutes without the endpoint fail nothing; I14: afterwards all ends soon, and few requests were in vain', async () => {
  const work = async (rig: ReturnType<typeof createStack>) => {
    rig.memory.put('a', 'x');
    await Promise.all(Array.from({ length: 40 }, async () => {
      for (let round = 0; round < 25; round++) await readAll(rig.dependable, 'a', 1);
    }));
    return rig.clock.monotonic();
  };
  const latency: Fault = { effect: { kind: 'delay', ms: 200 } };
  const calm = await work(createStack([latency]));
  const outage = createStack([{ during: [1_000, 301_000], effect: { kind: 'throw', error: 'transient', code: 'E_NETWORK' } }, latency]);
  const afterwards = (await work(outage)) - 301_000;
  assert.ok(afterwards <= 3 * calm + 30_000, `${afterwards} ms after the outage, ${calm} ms without one`);
  const inVain = outage.store.struck[0] ?? 0;
  assert.ok(inVain > 10 && inVain <= 100, `${inVain} requests in vain`);
});

test('a read that waits for its bytes under a low limit is not taken for a stall', async () => {
  const rig = createStack([], 1, { bytesPerSecond: 1_000 });
  rig.memory.put('a', bytesOf(100_000));
  const found = await readAll(rig.dependable, 'a', 100_000);
  assert.ok(found.equals(bytesOf(100_000)));
  assert.ok(rig.clock.monotonic() > 90_000);
  assert.equal(rig.types('stalled'), 0);
});
