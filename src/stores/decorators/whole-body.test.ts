/** Bodies that a driver hands out whole (ObjectRead.bytes) are counted, paced, gated and checked like any others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReadRequest, Store } from '../../ports/storage.ts';
import { gated } from './gated.ts';
import { createGovernor } from './governor.ts';
import { createCounters, instrumented } from './instrumented.ts';
import { layer } from './layer.ts';
import { createLimiter, limited } from './limited.ts';
import { resuming } from './resuming.ts';
import { bytesOf, createRig, drain, failing } from './rig.ts';
import { watched } from './watched.ts';

const SIZE = 60_000;
const request: ReadRequest = { key: 'a', expectedSize: SIZE };

/** A store that has every body in memory; `wrong`: with so many bytes more or fewer than it should. */
function whole(store: Store, wrong = 0): Store {
  return layer(store, {
    call: (_, run) => run(),
    async read(asked, open) {
      const read = await open(asked);
      const bytes = await drain(read);
      const given = wrong > 0 ? Buffer.concat([bytes, Buffer.alloc(wrong)]) : bytes.subarray(0, bytes.length + wrong);
      return { info: read.info, bytes: given, discard: () => undefined, chunks: { async *[Symbol.asyncIterator]() { yield given; } } };
    },
  });
}

function rigOf(wrong = 0) {
  const rig = createRig();
  rig.memory.put('a', bytesOf(SIZE));
  return { ...rig, store: whole(rig.memory, wrong) };
}

test('the whole stack hands the bytes through as they are, and chunks yields the same', async () => {
  const rig = rigOf();
  const governor = createGovernor({ clock: rig.clock, initial: 1, min: 1, max: 1 });
  const counters = createCounters();
  const limiter = createLimiter(rig.clock, { bytesPerSecond: 10_000_000 });
  const store = resuming(gated(limited(instrumented(watched(rig.store, rig.common), { ...rig.common, counters }), limiter), governor, rig.clock), rig.common);
  const read = await store.read(request);
  assert.ok(bytesOf(SIZE).equals(read.bytes as Uint8Array));
  assert.ok((await drain(read)).equals(bytesOf(SIZE)));
  assert.equal(governor.inUse, 0, 'nobody iterates such a body: its permit is back at once');
  assert.equal(counters.snapshot().read?.bytes, SIZE);
  assert.equal(rig.clock.sleeping, 0, 'nothing watches a body that is there');
});

test('bytes that the limit allows in no time are waited for; more are handed out at its pace', async () => {
  const rig = rigOf();
  const limiter = createLimiter(rig.clock, { bytesPerSecond: 4 * SIZE });
  const store = limited(rig.store, limiter);
  await rig.clock.run((async () => { for (let i = 0; i < 8; i++) assert.equal((await store.read(request)).bytes?.length, SIZE); })());
  assert.ok(rig.clock.monotonic() >= 1500, `8 bodies in ${rig.clock.monotonic()} ms`);
  limiter.setLimits({ bytesPerSecond: SIZE });
  const slow = await rig.clock.run(store.read(request));
  assert.equal(slow.bytes?.length, undefined);
  const before = rig.clock.monotonic();
  assert.ok((await rig.clock.run(drain(slow))).equals(bytesOf(SIZE)));
  assert.ok(rig.clock.monotonic() - before >= 500, `${rig.clock.monotonic() - before} ms`);
});

test('F003, F012: bytes of a wrong length are an error, never an object', async () => {
  for (const [wrong, code] of [[-1, 'E_SHORT_READ'], [1, 'E_LONG_READ'], [-SIZE, 'E_SHORT_READ']] as const) {
    const rig = rigOf(wrong);
    const read = await resuming(rig.store, rig.common).read(request);
    assert.equal(read.bytes?.length, undefined);
    const error = await rig.clock.run(drain(read).catch((thrown: unknown) => thrown));
    // What is missing is asked for again, and the range comes short by one too.
    assert.ok(failing('transient', code)(error), String(error));
  }
});

test('a range in memory is of the length of the range', async () => {
  const rig = rigOf();
  const read = await resuming(rig.store, rig.common).read({ ...request, range: { offset: 7, length: 100 } });
  assert.ok(bytesOf(SIZE).subarray(7, 107).equals(read.bytes as Uint8Array));
});
