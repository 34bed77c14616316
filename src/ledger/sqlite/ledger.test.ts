import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';
import { keyFromBytes } from '../../core/key.ts';
import { LARGE_BYTES, type SizeClass } from '../../core/pack.ts';
import { clock, copied, failed, folder, keyNumber, listing, open, pendingItem, plannedTasks } from './fixture.test.ts';
import { inspectLedger } from './open.ts';
import type { TestContext } from 'node:test';
import type { Item, Outcome } from '../../core/item.ts';
import type { Key } from '../../core/key.ts';
import { newShard, type Shard } from '../../core/shard.ts';

async function planned(t: TestContext, count = 10, perTask = 4) {
  const ledger = await open(join(folder(t), 'ledger.db'));
  t.after(() => ledger.close());
  ledger.beginRun('initial');
  ledger.addPlan(1, { tasks: plannedTasks(0, count, perTask), shards: [], listing: listing(count) });
  return ledger;
}

test('tasks are leased in key order with their pending items, and no task twice', async (t) => {
  const ledger = await planned(t);
  const first = ledger.claim(1, 2, 'a');
  assert.deepEqual(first.map((task) => task.items.map((item) => item.key)), [[0, 1, 2, 3].map(keyNumber), [4, 5, 6, 7].map(keyNumber)]);
  assert.deepEqual(ledger.claim(1, 5, 'b').map((task) => task.items.length), [2]);
  assert.deepEqual(ledger.claim(1, 5, 'c'), []);
});

test('released tasks come back in doubt, only those of the holder that is named', async (t) => {
  const ledger = await planned(t);
  const [mine] = ledger.claim(1, 1, 'a');
  ledger.claim(1, 1, 'b');
  assert.equal(ledger.releaseTasks(1, 'a'), 1);
  const [again] = ledger.claim(1, 1, 'c');
  assert.deepEqual([again?.id, again?.inDoubt, again?.deliveries], [mine?.id, true, 2]);
  assert.equal(ledger.releaseTasks(1), 2);
});

test('a recorded outcome is on disk when its promise resolves, and is not handed out again', async (t) => {
  const ledger = await planned(t);
  const [task] = ledger.claim(1, 1, 'a');
  assert.ok(task);
  await ledger.record(task.id, [copied(keyNumber(0)), failed(keyNumber(2))], false);
  const view = inspectLedger(ledger.path);
  t.after(() => view.close());
  assert.deepEqual([view.item(1, keyNumber(0))?.state, view.item(1, keyNumber(1))?.state, view.item(1, keyNumber(2))?.code], ['copied', 'pending', 'E_DENIED']);
  ledger.releaseTasks(1);
  assert.deepEqual(ledger.claim(1, 1, 'b')[0]?.items.map((item) => item.key), [1, 3].map(keyNumber));
});

test('the same outcome twice counts once, and a late failure never hides a success', async (t) => {
  const ledger = await planned(t);
  const [task] = ledger.claim(1, 1, 'a');
  assert.ok(task);
  const lossy: Outcome = { ...copied(keyNumber(0)), lost: ['tags'], unguarded: true };
  await ledger.record(task.id, [lossy, lossy], false);
  await ledger.record(task.id, [lossy], true);
  await ledger.record(task.id, [failed(keyNumber(0)), lossy], true);
  assert.equal(ledger.tally(1).copied.objects, 1);
  assert.equal(ledger.item(1, keyNumber(0))?.problem, undefined);
  assert.deepEqual(ledger.totals(1), { bytesSent: 10, unguarded: 1, stalls: 0, hedges: { sent: 0, won: 0 }, lost: { tags: 1 }, requests: {}, retries: {} });
});

test('a success replaces a failure that was recorded before it, with its code and its row', async (t) => {
  const ledger = await planned(t);
  const [task] = ledger.claim(1, 1, 'a');
  assert.ok(task);
  await ledger.record(task.id, [failed(keyNumber(0))], false);
  await ledger.record(task.id, [copied(keyNumber(0))], false);
  assert.deepEqual(ledger.tally(1).byCode, []);
  assert.deepEqual([...ledger.objects(1, { classes: ['object'] })], []);
});

test('a task closed with an item that goes back pending is ready again, in doubt only about what nobody reported', async (t) => {
  const ledger = await planned(t, 4, 2);
  const [one, two] = ledger.claim(1, 2, 'a');
  assert.ok(one && two);
  const back: Outcome = { key: keyNumber(1), state: 'pending', evidence: 'none', attempts: 1, bytesSent: 3, ms: 1, problem: { code: 'E_RESET', kind: 'transient', message: 'reset' } };
  await ledger.record(one.id, [copied(keyNumber(0)), back], true);
  await ledger.record(two.id, [copied(keyNumber(2))], true);
  assert.deepEqual(ledger.claim(1, 9, 'b').map((task) => [task.items.map((i) => [i.key, i.attempts]), task.inDoubt]), [[[[keyNumber(1), 1]], false], [[[keyNumber(3), 0]], true]]);
  assert.equal(ledger.item(1, keyNumber(1))?.problem?.code, 'E_RESET');
});

test('objects are found by state, code, class, prefix and limit, with what there is to say about them', async (t) => {
  const ledger = await open(join(folder(t), 'ledger.db'));
  t.after(() => ledger.close());
  ledger.beginRun('initial');
  const items: Item[] = ['a/1', 'a/2', 'a/3', 'b/1', 'b/2'].map((key) => pendingItem(key));
  items[3] = { ...pendingItem('b/1'), state: 'skipped', code: 'archived' };
  ledger.addPlan(1, { tasks: [{ items, problems: new Map([['b/1', { code: 'archived', message: 'in GLACIER' }]]) }], shards: [], listing: listing(5) });
  const [task] = ledger.claim(1, 1, 'a');
  await ledger.record(task?.id ?? 0, [failed('a/1'), failed('a/3', 'E_SHORT'), copied('b/2')], false);
  const keys = (filter: Parameters<typeof ledger.objects>[1]) => [...ledger.objects(1, filter)].map((row) => row.key);
  assert.deepEqual(keys({}), ['a/1', 'a/2', 'a/3', 'b/1', 'b/2']);
  assert.deepEqual(keys({ states: ['failed'] }), ['a/1', 'a/3']);
  assert.deepEqual(keys({ states: ['failed'], codes: ['E_SHORT'] }), ['a/3']);
  assert.deepEqual(keys({ classes: ['object'] }), ['a/1', 'a/3']);
  assert.deepEqual(keys({ classes: ['archived'] }), ['b/1']);
  assert.deepEqual(keys({ states: ['failed', 'skipped'], prefix: 'b/' }), ['b/1']);
  assert.deepEqual(keys({ states: ['pending', 'copied'] }), ['a/2', 'b/2']);
  assert.deepEqual(keys({ prefix: 'a/', limit: 2 }), ['a/1', 'a/2']);
  assert.deepEqual([...ledger.objects(1, { prefix: 'b/1' })][0]?.problem, { code: 'archived', message: 'in GLACIER' });
});

test('retry makes only the failed items that match pending again, with attempts 0 and no doubt', async (t) => {
  const ledger = await planned(t, 4, 2);
  for (const task of ledger.claim(1, 9, 'a')) await ledger.record(task.id, task.items.map((item, i) => failed(item.key, i === 0 ? 'E_A' : 'E_B')), true);
  assert.equal(ledger.tally(1).pending.objects, 0);
  assert.deepEqual(ledger.retry(1, { classes: ['E_A'] }), { pending: 2, failedInPlan: 0 });
  assert.deepEqual(ledger.claim(1, 9, 'b').map((task) => [task.items.map((item) => [item.key, item.attempts]), task.inDoubt]), [[[[keyNumber(0), 0]], false], [[[keyNumber(2), 0]], false]]);
  assert.deepEqual(ledger.tally(1).byCode, [{ state: 'failed', code: 'E_B', objects: 2, bytes: 4 }]);
});

test('an amended item is replaced in place; one made pending reopens its task', async (t) => {
  const ledger = await planned(t, 4, 2);
  for (const task of ledger.claim(1, 9, 'a')) await ledger.record(task.id, task.items.map((item) => ({ ...copied(item.key), lost: ['tags'] })), true);
  ledger.amend(1, [
    { item: { ...pendingItem(keyNumber(1), 100), destination: 'somebody else' } },
    { item: { ...pendingItem(keyNumber(3)), state: 'copied', evidence: 'both ends re-read' } },
  ]);
  assert.deepEqual(ledger.claim(1, 9, 'b').map((task) => task.items), [[{ ...pendingItem(keyNumber(1), 100), destination: 'somebody else' }]]);
  assert.deepEqual(ledger.tally(1).evidence, { none: 0, 'in flight': 2, 'store checksum': 0, 'destination re-read': 0, 'both ends re-read': 1 });
  assert.deepEqual(ledger.totals(1).lost, { tags: 3 });
});

test('items stream in key order of bytes over tasks, from any key on, whatever bytes the keys hold', async (t) => {
  const ledger = await open(join(folder(t), 'ledger.db'));
  t.after(() => ledger.close());
  ledger.beginRun('initial');
  const keys: Key[] = [keyFromBytes(Buffer.from([0x01])), 'a', 'a//b', 'a/\u{ff5e}', 'a/\u{1f600}', keyFromBytes(Buffer.from([0x61, 0xff]))];
  for (const key of keys) ledger.addPlan(1, { tasks: [{ items: [pendingItem(key)], problems: new Map() }], shards: [], listing: listing(1) });
  assert.deepEqual([...ledger.items(1)].map((item) => item.key), keys);
  assert.deepEqual([...ledger.items(1, 'a//b')].map((item) => item.key), keys.slice(3));
  for (const key of keys) assert.equal(ledger.item(1, key)?.key, key);
  assert.equal(ledger.item(1, 'a/'), undefined);
});

test('a plan whose items are out of order, or over planned ground, is refused and changes nothing; tasks may come in any order', async (t) => {
  const ledger = await planned(t, 4, 2);
  const plan = (keys: Key[]) => () => ledger.addPlan(1, { tasks: [{ items: keys.map((key) => pendingItem(key)), problems: new Map() }], shards: [], listing: listing(99) });
  assert.throws(plan([keyNumber(3)]), { code: 'E_LEDGER_ORDER' });
  assert.throws(plan(['z', 'y']), { code: 'E_LEDGER_ORDER' });
  assert.throws(plan(['y', 'y']), { code: 'E_LEDGER_ORDER' });
  assert.throws(plan(['!', 'z']), { code: 'E_LEDGER_ORDER' }, 'around others');
  assert.throws(plan(['!', keyNumber(0)]), { code: 'E_LEDGER_ORDER' }, 'into the next one');
  assert.equal(ledger.run()?.listing.sourceObjects, 4);
  assert.equal(ledger.tally(1).listed.objects, 4);
  plan(['!'])();
  assert.equal([...ledger.items(1)][0]?.key, '!');
});

test('checkpoints of shards stand with their tasks, and a listing is not sealed while they disagree', async (t) => {
  const path = join(folder(t), 'ledger.db');
  const ledger = await open(path);
  ledger.beginRun('initial');
  assert.deepEqual(ledger.shards(1), []);
  const tasks = (...keys: Key[]) => keys.map((key) => ({ items: [pendingItem(key)], problems: new Map() }));
  const upper: Shard = { ...newShard(1, { after: 'm' }), firstKey: 'x', lastKey: 'y', items: 2, sealed: true };
  const lower: Shard = { ...newShard(0, { upTo: 'm' }), firstKey: 'a', lastKey: 'm', items: 2, source: { objects: 2, bytes: 7, digest: '0123456789abcdef' }, sealed: true };
  ledger.addPlan(1, { tasks: tasks('x', 'y'), shards: [upper, newShard(0, { upTo: 'm' })], listing: listing(2, false) });
  ledger.addPlan(1, { tasks: tasks('a'), shards: [{ ...lower, sealed: false }], listing: listing(3, false) });
  assert.throws(() => ledger.addPlan(1, { tasks: [], shards: [lower], listing: listing(4) }), { code: 'E_LIST_GAP' });
  assert.equal(ledger.run()?.listing.sealed, false);
  assert.equal(ledger.shards(1)[0]?.sealed, false, 'rolled back with the rest');
  ledger.addPlan(1, { tasks: tasks('m'), shards: [lower], listing: listing(4) });
  await ledger.close();
  const again = await open(path);
  t.after(() => again.close());
  assert.deepEqual(again.shards(1), [lower, upper]);
  assert.equal(again.run()?.listing.sealed, true);
});

test('an outcome for a key or task that was never planned is refused without harm to others in its group', async (t) => {
  const ledger = await planned(t);
  const [task] = ledger.claim(1, 1, 'a');
  const good = ledger.record(task?.id ?? 0, [copied(keyNumber(0))], false);
  await assert.rejects(ledger.record(task?.id ?? 0, [copied('never')], false), { code: 'E_LEDGER_UNKNOWN' });
  await assert.rejects(ledger.record(999, [], true), { code: 'E_LEDGER_UNKNOWN' });
  await good;
  assert.equal(ledger.tally(1).copied.objects, 1);
});

test('an outcome that still waits for its commit is not handed out again', async (t) => {
  const ledger = await planned(t);
  const [task] = ledger.claim(1, 1, 'a');
  ledger.releaseTasks(1);
  const waiting = ledger.record(task?.id ?? 0, [copied(keyNumber(0))], false);
  assert.equal(ledger.claim(1, 1, 'b')[0]?.items[0]?.key, keyNumber(1));
  await waiting;
});

test('an outcome whose transaction failed is rejected, forgotten, and can be recorded again', async (t) => {
  const ledger = await planned(t);
  const [task] = ledger.claim(1, 1, 'a');
  const waiting = ledger.record(task?.id ?? 0, [copied(keyNumber(0))], false);
  const disorder = { tasks: plannedTasks(0, 1, 1), shards: [], listing: listing(1) };
  assert.throws(() => ledger.addPlan(1, disorder), { code: 'E_LEDGER_ORDER' });
  await assert.rejects(waiting, { code: 'E_LEDGER_ORDER' });
  assert.equal(ledger.tally(1).copied.objects, 0);
  await ledger.record(task?.id ?? 0, [copied(keyNumber(0))], false);
  assert.equal(ledger.tally(1).copied.objects, 1);
});

test('uploads and their parts are known until forgotten, whoever holds their task (F072)', async (t) => {
  const ledger = await planned(t);
  const [task] = ledger.claim(1, 1, 'a');
  assert.ok(task);
  const upload = { key: keyNumber(1), id: 'u1', size: 100, partSize: 50, checksumAlgorithm: 'crc32c' as const };
  const parts = [{ number: 1, size: 50, token: 'p1', checksum: { algorithm: 'crc32c' as const, hex: '00ff' } }, { number: 2, size: 50, token: 'p2' }];
  await ledger.recordUpload(task.id, upload, 'source token');
  await Promise.all([{ ...parts[0], token: 'older' }, ...parts].map((part) => ledger.recordPart(task.id, 'u1', part as (typeof parts)[0])));
  ledger.releaseTasks(1);
  ledger.claim(1, 1, 'b');
  assert.deepEqual(ledger.uploadsOf(task.id), [{ upload, sourceToken: 'source token', parts }]);
  assert.deepEqual(ledger.openUploads().map((open) => [open.run, open.task, open.parts.length]), [[1, task.id, 2]]);
  await ledger.forgetUpload(task.id, 'u1');
  assert.deepEqual(ledger.openUploads(), []);
});

test('runs keep their state, pause, times and resumes over a reopening', async (t) => {
  const path = join(folder(t), 'ledger.db');
  const first = await open(path);
  first.beginRun('initial');
  first.updateRun(1, { state: 'paused', pause: { code: 'E_X', message: 'why' }, addActiveMs: 5, stage: 'transferring' });
  await first.close();
  const second = await open(path);
  t.after(() => second.close());
  second.updateRun(1, { state: 'active', pause: null, addActiveMs: 7, resumed: true });
  const run = second.run(1);
  assert.deepEqual([run?.state, run?.pause, run?.activeMs, run?.resumes, run?.stage, run?.endedMs], ['active', undefined, 12, 1, 'transferring', undefined]);
  second.updateRun(1, { state: 'finished', stage: 'done' });
  assert.ok((second.run()?.endedMs ?? 0) <= clock.now());
  assert.equal(second.beginRun('delta').number, 2);
  assert.deepEqual(second.runs().map((one) => one.number), [1, 2]);
});

test('verify findings and totals are kept; saving again replaces findings and adds to totals', async (t) => {
  const ledger = await planned(t);
  const summary = { level: 'full', startedMs: 1, endedMs: 2, checked: 3, bytesRead: 4, evidence: { none: 1 }, findings: 1 };
  const finding = { key: 'k', kind: 'content', message: 'differs', source: { algorithm: 'md5' as const, hex: '00' } };
  ledger.saveVerify(1, summary, [{ ...finding, key: 'gone' }]);
  ledger.saveVerify(1, summary, [finding]);
  assert.deepEqual([ledger.verifySummary(1), ledger.findings(1), ledger.verifySummary(2)], [summary, [finding], undefined]);
  ledger.addTotals(1, { requests: { GetObject: 2 }, retries: { throttled: 1 }, stalls: 1, hedges: { sent: 2, won: 1 } });
  ledger.addTotals(1, { requests: { GetObject: 3, HeadObject: 1 } });
  assert.deepEqual(ledger.totals(1), { bytesSent: 0, unguarded: 0, stalls: 1, hedges: { sent: 2, won: 1 }, lost: {}, requests: { GetObject: 5, HeadObject: 1 }, retries: { throttled: 1 } });
});

test('prune drops the objects of old runs, keeps their sums, and never those of the newest finished or an open run', async (t) => {
  const ledger = await open(join(folder(t), 'ledger.db'));
  t.after(() => ledger.close());
  for (const [run, state] of [[1, 'finished'], [2, 'finished'], [3, 'abandoned'], [4, 'active']] as const) {
    ledger.beginRun('initial');
    ledger.addPlan(run, { tasks: plannedTasks(0, 6, 3), shards: [], listing: listing(6) });
    ledger.updateRun(run, { state });
  }
  assert.deepEqual(ledger.prune(1), [1, 3]);
  assert.deepEqual(ledger.prune(1), []);
  assert.deepEqual([...ledger.items(2)].length, 6);
  assert.throws(() => [...ledger.items(1)], { code: 'E_RUN_PRUNED' });
  assert.throws(() => ledger.item(3, keyNumber(0)), { code: 'E_RUN_PRUNED' });
  assert.equal(ledger.tally(1).listed.objects, 6);
});

test('F086: small and large tasks are claimed apart, the large ones longest first, to the byte', async (t) => {
  const ledger = await open(join(folder(t), 'ledger.db'));
  ledger.beginRun('initial');
  const sizes = [LARGE_BYTES + 1, LARGE_BYTES, 3 * LARGE_BYTES, 0, 2 * LARGE_BYTES];
  const tasks = sizes.map((size, i) => ({ items: [pendingItem(keyNumber(i), size)], problems: new Map() }));
  ledger.addPlan(1, { tasks, shards: [], listing: listing(sizes.length) });
  const claimed = (size?: SizeClass): number[] => ledger.claim(1, 9, 'a', size).map(({ items }) => items[0]?.size ?? -1);
  assert.deepEqual([claimed('large'), claimed('small'), claimed('large'), claimed()], [[3 * LARGE_BYTES, 2 * LARGE_BYTES, LARGE_BYTES + 1], [LARGE_BYTES, 0], [], []]);
  ledger.releaseTasks(1, 'a');
  assert.equal(claimed().length, 5, 'whoever does not ask for a class gets any');
  await ledger.close();
});
