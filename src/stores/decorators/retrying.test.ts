import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../../core/errors.ts';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import { bodyOf, bytesOf, createRig, failing, readAll, writeOf } from './rig.ts';
import { createRetryBudget, retrying } from './retrying.ts';

test('transient trouble gets five tries in all, with growing, jittered pauses', async () => {
  const rig = createRig([{ ops: ['head'], effect: { kind: 'throw', error: 'transient' } }]);
  await assert.rejects(rig.clock.run(retrying(rig.store, rig.common).head('a')), failing('transient'));
  assert.equal(rig.store.requests.head, 5);
  const waits = rig.told.map((event) => (event.type === 'retry' ? event.waitMs : -1));
  assert.equal(waits.length, 4);
  for (const [i, wait] of waits.entries()) assert.ok(wait >= 0 && wait <= 200 * 2 ** i, `${i}: ${wait}`);
  assert.equal(rig.clock.monotonic(), waits.reduce((a, b) => a + b));
});

test('full jitter: the pauses of many failures fill the whole interval and never pass the cap', async () => {
  const rig = createRig([{ ops: ['head'], effect: { kind: 'throw', error: 'transient' } }]);
  await assert.rejects(rig.clock.run(retrying(rig.store, { ...rig.common, tries: 60, baseMs: 1000, capMs: 2000 }).head('a')));
  const waits = rig.told.map((event) => (event.type === 'retry' ? event.waitMs : -1)).slice(1);
  assert.ok(Math.max(...waits) < 2000 && Math.max(...waits) > 1800 && Math.min(...waits) < 200, String(waits));
});

for (const error of ['gone', 'changed', 'conflict', 'premise', 'object', 'unsupported', 'usage', 'cancelled', 'internal'] as const) {
  test(`${error} passes at once`, async () => {
    const rig = createRig([{ ops: ['head'], effect: { kind: 'throw', error } }]);
    await assert.rejects(retrying(rig.store, rig.common).head('a'), failing(error));
    assert.equal(rig.store.requests.head, 1);
    assert.deepEqual(rig.told, []);
  });
}

test('Retry-After is honoured, and not waited for when it asks for more than patience', async () => {
  const patient = createRig([{ ops: ['head'], times: 1, effect: { kind: 'throw', error: 'transient', retryAfterMs: 90_000 } }]);
  patient.memory.put('a', 'x');
  await patient.clock.run(retrying(patient.store, patient.common).head('a'));
  assert.ok(patient.clock.monotonic() >= 90_000);
  const never = createRig([{ ops: ['head'], effect: { kind: 'throw', error: 'transient', retryAfterMs: 86_400_000 } }]);
  await assert.rejects(never.clock.run(retrying(never.store, never.common).head('a')), failing('transient'));
  assert.equal(never.store.requests.head, 1);
});

test('F081: throttling uses up no tries, lasts as long as patience, and the governor is told each time', async () => {
  const rig = createRig([{ ops: ['head'], times: 50, effect: { kind: 'throw', error: 'throttled', status: 503 } }]);
  rig.memory.put('a', 'x');
  let told = 0;
  await rig.clock.run(retrying(rig.store, { ...rig.common, onThrottle: () => told++ }).head('a'));
  assert.equal(rig.store.requests.head, 51);
  assert.equal(told, 50);
  assert.equal(rig.types('throttled'), 50);
  const storm = createRig([{ ops: ['head'], effect: { kind: 'throw', error: 'throttled' } }]);
  await assert.rejects(storm.clock.run(retrying(storm.store, storm.common).head('a')), failing('throttled'));
  const minutes = storm.clock.monotonic() / 60_000;
  assert.ok(minutes > 59 && minutes <= 60, String(minutes));
});

test('F081: under a storm, retries stay within a tenth of the requests, the floor and the saved-up burst', async () => {
  const rig = createRig([{ ops: ['head'], probability: 0.6, effect: { kind: 'throw', error: 'throttled' } }]);
  rig.memory.put('a', 'x');
  const store = retrying(rig.store, rig.common);
  const requests = 3000;
  await rig.clock.run(Promise.all(Array.from({ length: requests }, () => store.head('a'))));
  const retries = (rig.store.requests.head ?? 0) - requests;
  const allowed = 0.1 * requests + 10 * (rig.clock.monotonic() / 1000) + 100;
  assert.ok(retries > 2000, `only ${retries} retries: the storm did not happen`);
  assert.ok(retries <= allowed, `${retries} retries, allowed ${allowed}`);
});

test('the budget is of the process: two stores share it', async () => {
  const rig = createRig([{ ops: ['head'], times: 120, effect: { kind: 'throw', error: 'transient' } }]);
  rig.memory.put('a', 'x');
  const budget = createRetryBudget(rig.clock);
  const [one, two] = [retrying(rig.store, { ...rig.common, budget, baseMs: 0 }), retrying(rig.store, { ...rig.common, budget, baseMs: 0 })];
  await rig.clock.run(Promise.all(Array.from({ length: 120 }, (_, i) => (i % 2 === 0 ? one : two).head('a'))));
  // 120 retries; 100 saved up (and capped); 20 come at 10 per second.
  assert.ok(rig.clock.monotonic() >= 1_900, String(rig.clock.monotonic()));
});

test('a wait between tries ends at once when we are asked to stop', async () => {
  const rig = createRig([{ ops: ['head'], effect: { kind: 'throw', error: 'throttled', retryAfterMs: 60_000 } }]);
  const stop = new AbortController();
  const head = retrying(rig.store, rig.common).head('a', { signal: stop.signal });
  const outcome = assert.rejects(head, failing('cancelled'));
  await rig.clock.advance(1000);
  stop.abort();
  await outcome;
  assert.equal(rig.clock.monotonic(), 1000);
});

test('a listing that breaks goes on after the last key: nothing twice, nothing left out', async () => {
  const rig = createRig([{ ops: ['list'], probability: 0.3, effect: { kind: 'throw', error: 'transient' } }], { pageSize: 7 });
  const keys = Array.from({ length: 500 }, (_, i) => `k${String(i).padStart(4, '0')}`);
  for (const key of keys) rig.memory.put(key, 'x');
  const found: string[] = [];
  await rig.clock.run((async () => {
    for await (const page of retrying(rig.store, rig.common).list({ startAfter: 'k0009' })) found.push(...page.entries.map((entry) => entry.key));
  })());
  assert.deepEqual(found, keys.slice(10));
  assert.ok((rig.store.struck[0] ?? 0) > 10);
});

test('an unordered listing that has begun is not continued: its order means nothing', async () => {
  const rig = createRig([{ ops: ['list'], nth: 2, effect: { kind: 'throw', error: 'transient' } }], { pageSize: 1, facts: { ordered: false } });
  for (const key of ['a', 'b', 'c']) rig.memory.put(key, 'x');
  await assert.rejects(rig.clock.run((async () => {
    for await (const page of retrying(rig.store, rig.common).list({})) assert.equal(page.entries.length, 1);
  })()), failing('transient'));
});

test('a listing that never succeeds is an error, not an empty listing', async () => {
  const rig = createRig([{ ops: ['list'], effect: { kind: 'throw', error: 'transient' } }]);
  await assert.rejects(rig.clock.run((async () => {
    for await (const page of retrying(rig.store, rig.common).list({})) assert.fail(String(page.entries.length));
  })()), failing('transient'));
  assert.equal(rig.store.requests.list, 5);
});

test('unfinished uploads are each told once, however often the listing breaks', async () => {
  const rig = createRig([{ ops: ['listUploads'], probability: 0.15, effect: { kind: 'throw', error: 'transient' } }]);
  const store = retrying(rig.store, rig.common);
  for (let i = 0; i < 20; i++) await store.multipart?.create({ key: `u${i}`, size: 10, partSize: 5, attributes: NO_ATTRIBUTES });
  const found: string[] = [];
  await rig.clock.run((async () => {
    for await (const { key } of store.multipart!.listUploads()) found.push(key);
  })());
  assert.equal(found.length, 20);
  assert.equal(new Set(found).size, 20);
  assert.ok((rig.store.struck[0] ?? 0) > 0);
});

test('F013: a retried write sends its body again from the first byte', async () => {
  const rig = createRig([{ ops: ['write', 'putPart'], times: 3, effect: { kind: 'drop-answer' } }]);
  const body = bodyOf(bytesOf(200_000));
  await rig.clock.run(retrying(rig.store, rig.common).write(writeOf('a', Buffer.alloc(0), { body })));
  assert.equal(body.opened, 4);
  assert.deepEqual(rig.memory.bytes('a'), bytesOf(200_000));
});

test('a guarded write whose answer was lost is told as conflict, with the lost answer as its cause', async () => {
  const rig = createRig([{ ops: ['write'], times: 1, effect: { kind: 'drop-answer' } }]);
  const thrown = await rig.clock.run(retrying(rig.store, rig.common).write(writeOf('a', bytesOf(10), { guard: { kind: 'absent' } })).catch((e: unknown) => e));
  assert.ok(thrown instanceof BrigadeError && thrown.kind === 'conflict');
  assert.ok(thrown.cause instanceof BrigadeError && thrown.cause.kind === 'transient');
  assert.match(thrown.hint ?? '', /may have succeeded/);
  assert.deepEqual(rig.memory.bytes('a'), bytesOf(10));
});

test('a conflict without a lost answer carries no doubt', async () => {
  const rig = createRig([{ ops: ['write'], times: 1, effect: { kind: 'throw', error: 'throttled' } }]);
  rig.memory.put('a', 'theirs');
  const thrown = await rig.clock.run(retrying(rig.store, rig.common).write(writeOf('a', bytesOf(10), { guard: { kind: 'absent' } })).catch((e: unknown) => e));
  assert.ok(thrown instanceof BrigadeError && thrown.kind === 'conflict' && thrown.cause === undefined);
});

test('a completed upload whose answer was lost is told as gone, in doubt', async () => {
  const rig = createRig([{ ops: ['complete'], times: 1, effect: { kind: 'drop-answer' } }]);
  const parts = retrying(rig.store, rig.common).multipart!;
  const upload = await parts.create({ key: 'b', size: 5, partSize: 5, attributes: NO_ATTRIBUTES });
  const part = await parts.putPart(upload, 1, bodyOf(bytesOf(5)));
  const thrown = await rig.clock.run(parts.complete({ upload, parts: [part], attributes: NO_ATTRIBUTES, guard: { kind: 'absent' } }).catch((e: unknown) => e));
  assert.ok(thrown instanceof BrigadeError && thrown.kind === 'gone' && thrown.cause instanceof BrigadeError);
  assert.deepEqual(rig.memory.bytes('b'), bytesOf(5));
});

test('the opening of a read is retried; what follows in the body is not its business', async () => {
  const rig = createRig([{ ops: ['read'], times: 2, effect: { kind: 'throw', error: 'transient' } }]);
  rig.memory.put('a', bytesOf(1000));
  assert.deepEqual(await rig.clock.run(readAll(retrying(rig.store, rig.common), 'a', 1000)), bytesOf(1000));
  const cut = createRig([{ ops: ['read'], effect: { kind: 'cut', after: 10 } }]);
  cut.memory.put('a', bytesOf(1000));
  await assert.rejects(cut.clock.run(readAll(retrying(cut.store, cut.common), 'a', 1000)), failing('transient', 'E_SHORT_READ'));
});

test('a question that is answered after a lost answer is not in doubt', async () => {
  const rig = createRig([{ ops: ['head'], times: 1, effect: { kind: 'drop-answer' } }]);
  rig.memory.put('b', 'x');
  const head = retrying(rig.store, rig.common).head('b');
  await rig.memory.remove('b');
  const thrown = await rig.clock.run(head.catch((e: unknown) => e));
  assert.ok(thrown instanceof BrigadeError && thrown.kind === 'gone' && thrown.cause === undefined && thrown.hint === undefined);
});
