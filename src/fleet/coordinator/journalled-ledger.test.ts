import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Outcome } from '../../core/item.ts';
import { closeListing } from '../../engine/closing.ts';
import { copied, createMemoryStore, differences, type Fault, faulty, groundFor, hurried, key, pageOf, pending, rebuilt, seededRandom, until } from './ground.test-kit.ts';

const failed = (n: number): Outcome => ({ key: key(n), state: 'failed', evidence: 'none', attempts: 3, bytesSent: 0, ms: 1, problem: { code: 'E_ACCESS_DENIED', kind: 'object', message: 'no' } });

test('nothing is in the ledger that is not in the journal before; what waits together is one segment', async (t) => {
  const { ledger, index, journal } = await groundFor(t);
  ledger.beginRun('initial');
  for (let at = 0; at < 100; at += 10) ledger.addPlan(1, pageOf(at, 10, 5));
  assert.equal(index.run(), undefined);
  assert.equal(ledger.settled, false);
  await ledger.flush();
  assert.equal(index.tally(1).pending.objects, 100);
  let segments = 0;
  for await (const _ of journal.plans()) segments++;
  assert.ok(segments <= 2, `${segments} segments`);
  assert.deepEqual([...differences(index, await rebuilt(t, journal))], []);
});

test('sums that are told all the time cost few segments; none is lost, and other changes take them along', async (t) => {
  const { ledger, index, journal, clock } = await groundFor(t, { times: 5000 });
  ledger.beginRun('initial');
  await ledger.flush();
  const end = clock.monotonic() + 3_600_000;
  let told = 0;
  for (; clock.monotonic() < end; told++) {
    ledger.addTotals(1, { unguarded: 1, requests: { 'source list': 2, [`op ${told % 3}`]: 1 }, hedges: { sent: 1, won: 0 } });
    await clock.sleep(2000);
  }
  await ledger.flush();
  const { unguarded, requests, hedges } = index.totals(1);
  assert.deepEqual([unguarded, requests['source list'], hedges], [told, 2 * told, { sent: told, won: 0 }]);
  let segments = 0;
  for await (const _ of journal.plans()) segments++;
  assert.ok(segments < 30, `${segments} segments for ${told} sums within an hour`);
  assert.deepEqual([...differences(index, await rebuilt(t, journal))], []);
});

test('who lists must wait while the journal is behind', async (t) => {
  const { ledger } = await groundFor(t);
  ledger.beginRun('initial');
  for (let at = 0; at < 45_000; at += 5000) ledger.addPlan(1, pageOf(at, 5000, 1000));
  let entered = false;
  const room = ledger.room().then(() => { entered = true; });
  assert.equal(entered, false);
  await room;
  await ledger.flush();
});

test('a lost answer, and a store that is away for a while, make no segment twice', async (t) => {
  const away: Fault = { ops: ['write'], key: /^plan/, times: 9, effect: { kind: 'throw', error: 'transient', code: 'E_SERVER' } };
  const unheard: Fault = { ops: ['write'], key: /^plan/, probability: 0.5, effect: { kind: 'drop-answer' } };
  const store = faulty(createMemoryStore({}), { faults: [away, unheard], random: seededRandom(1), clock: hurried(1) });
  const { ledger, index, journal, events } = await groundFor(t, { store, times: 500 });
  ledger.beginRun('initial');
  for (let at = 0; at < 100; at += 10) {
    ledger.addPlan(1, pageOf(at, 10, 5));
    await ledger.flush();
  }
  assert.ok(store.struck.every((struck) => struck > 2), store.struck.join());
  assert.ok(events.some(({ type }) => type === 'waiting') && events.some(({ type }) => type === 'resumed'));
  assert.equal(index.tally(1).pending.objects, 100);
  assert.deepEqual([...differences(index, await rebuilt(t, journal))], []);
});

test('amendments while reports come in: the rebuilt ledger is the same', async (t) => {
  const { ledger, index, journal, crew } = await groundFor(t);
  ledger.beginRun('initial');
  ledger.addPlan(1, pageOf(0, 20, 10));
  await ledger.flush();
  const running = crew();
  await until(() => running.outstanding === 2);
  const [first, second] = [index.taskName(1), index.taskName(2)];
  assert.ok(first !== undefined && second !== undefined);
  await journal.report(first, { worker: 'w', outcomes: Array.from({ length: 10 }, (_, n) => copied(pending(n))), close: true, parts: [] });
  await journal.report(second, { worker: 'w', outcomes: [failed(10), ...Array.from({ length: 9 }, (_, n) => copied(pending(n + 11)))], close: true, parts: [] });
  await until(() => index.tally(1).pending.objects === 0);
  ledger.amend(1, [{ item: { ...pending(3), code: 'compare' } }]);
  assert.deepEqual(ledger.retry(1, {}), { pending: 1, failedInPlan: 0 });
  await ledger.flush();
  assert.equal(index.tally(1).pending.objects, 2);
  await journal.report(first, { worker: 'w2', outcomes: [copied(pending(3))], close: true, parts: [] });
  await until(() => index.tally(1).pending.objects === 1);
  assert.deepEqual([...differences(index, await rebuilt(t, journal))].map(({ message }) => message), []);
  assert.equal(index.item(1, key(10))?.attempts, 0);
});

test('F072: an upload that is over is over in the rebuilt ledger too: what a worker told of it comes before its end', async (t) => {
  const { ledger, index, journal, crew } = await groundFor(t);
  ledger.beginRun('initial');
  ledger.addPlan(1, pageOf(0, 10, 10));
  await ledger.flush();
  const running = crew();
  await until(() => running.outstanding === 1);
  const name = index.taskName(1);
  assert.ok(name !== undefined);
  const upload = { key: key(3), id: 'up', size: 3, partSize: 1 };
  await journal.report(name, { worker: 'w', outcomes: [], close: false, parts: [], uploads: [{ upload, sourceToken: 's3' }] });
  await until(() => index.openUploads().length === 1);
  await ledger.forgetUpload(1, 'up');
  assert.deepEqual(index.openUploads(), []);
  assert.deepEqual([...differences(index, await rebuilt(t, journal))].map(({ message }) => message), []);
});

test('what is told in the very moment in which all else has been written is written too', async (t) => {
  const { ledger, index } = await groundFor(t);
  ledger.beginRun('initial');
  await ledger.flush();
  for (let turns = 0; turns < 40; turns++) {
    const before = index.run(1)?.activeMs;
    const { flush } = index;
    let told: Promise<void> | undefined;
    // A segment is folded with a flush: so many turns of the microtask queue behind it somebody tells something.
    index.flush = async () => {
      index.flush = flush;
      await flush.call(index);
      told = (async () => {
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        ledger.updateRun(1, { stage: 'transferring', addActiveMs: 1 });
      })();
    };
    ledger.updateRun(1, { stage: 'transferring', addActiveMs: 1 });
    await until(() => told !== undefined);
    await told;
    await ledger.flush();
    assert.equal(index.run(1)?.activeMs, (before ?? 0) + 2, `told ${turns} turns behind`);
    assert.equal(ledger.settled, true);
  }
});

test('a destination that was emptied: what the closing listing plans again waits for a slow journal, and does not fill the memory', async (t) => {
  const destination = createMemoryStore({ name: 'destination' });
  const slow: Fault = { ops: ['write'], key: /^plan/, effect: { kind: 'delay', ms: 400 } };
  const { ledger, index } = await groundFor(t, { store: faulty(createMemoryStore({}), { faults: [slow], random: seededRandom(1), clock: hurried(1) }) });
  ledger.beginRun('initial');
  const { tasks, ...page } = pageOf(0, 100_000, 1000);
  ledger.addPlan(1, { ...page, tasks: tasks.map(({ items, problems }) => ({ problems, items: items.map((item) => ({ ...item, state: 'unchanged' as const, destination: 'd' })) })) });
  await ledger.flush();
  let [told, most] = [0, 0];
  const amend = ledger.amend.bind(ledger);
  ledger.amend = (run, changes) => {
    told += changes.length;
    most = Math.max(most, told - index.tally(1).pending.objects);
    amend(run, changes);
  };
  const closed = await closeListing({ destination, ledger, run: 1, prefix: '', lanes: 1, events: { emit: () => undefined }, sorter: () => { throw new Error('its listings are in order'); } }, new AbortController().signal);
  await ledger.flush();
  assert.deepEqual([closed.again, index.tally(1).pending.objects], [100_000, 100_000]);
  assert.ok(most <= 60_000, String(most));
});
