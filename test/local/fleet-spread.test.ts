/** One object over many workers of a fleet: whose work it is, who helps, and what becomes of it when they die. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../../src/core/errors.ts';
import { createMemoryStore, type MemoryStore } from '../../src/stores/memory/index.ts';
import { FleetGround, tapped } from './fleet-ground.ts';

const PART = 1000;
const PARTS = 60;
const PARTS_OF_SPAN = 5;

function sourceWith(parts: number): MemoryStore {
  const source = createMemoryStore({ name: 'source' });
  source.put('big', Buffer.from(Array.from({ length: parts * PART - 7 }, (_, i) => (i * 31 + (i >> 8)) % 251)));
  return source;
}

interface Put { readonly worker: string; readonly number: number }

/** Each part takes a second. */
async function scene(t: Parameters<typeof FleetGround.open>[0], { slowMs = 1000, parts = PARTS, leaseMs = 6000 } = {}): Promise<{ readonly ground: FleetGround; readonly source: MemoryStore; readonly puts: Put[]; readonly by: () => Map<string, number> }> {
  const source = sourceWith(parts);
  const ground = await FleetGround.open(t, { source, leaseMs, parts: { partSize: PART, span: PARTS_OF_SPAN * PART } });
  const puts: Put[] = [];
  ground.between((store, worker) => tapped(store, async (call, argument) => {
    if (call !== 'putPart') return;
    await ground.clock.sleep(slowMs);
    puts.push({ worker, number: argument as number });
  }));
  return { ground, source, puts, by: () => puts.reduce((sum, { worker }) => sum.set(worker, (sum.get(worker) ?? 0) + 1), new Map<string, number>()) };
}

async function assertWhole(ground: FleetGround, source: MemoryStore): Promise<void> {
  const destination = ground.destination as MemoryStore;
  assert.ok(destination.bytes('big')?.equals(source.bytes('big') as Buffer) === true);
  for await (const open of destination.multipart?.listUploads() ?? []) assert.fail(`upload ${open.id} is open`);
  const ledger = await ground.ledger();
  assert.equal(ledger.tally(1).copied.objects, 1);
  assert.equal(ledger.item(1, 'big')?.checksum?.algorithm, 'crc32');
  assert.deepEqual(ledger.openUploads(), []);
}

test('five workers send one object together, each part once, and nearly as fast as five', async (t) => {
  const { ground, source, puts, by } = await scene(t);
  const tasks = await ground.plan(1);
  for (const name of ['a', 'b', 'c', 'd', 'e']) ground.worker(name);
  await ground.pass(1000);
  const began = ground.clock.monotonic();
  await ground.send(tasks);
  await ground.until(() => ground.closed(tasks));
  const seconds = (ground.clock.monotonic() - began) / 1000;
  await ground.until(() => ground.left() === 0);
  await assertWhole(ground, source);
  assert.equal(puts.length, PARTS);
  assert.equal(new Set(puts.map(({ number }) => number)).size, PARTS);
  assert.equal(by().size, 5, JSON.stringify([...by()]));
  // Alone, with four lanes, it would have taken fifteen.
  assert.ok(seconds < 8, `${seconds} s`);
  assert.deepEqual(ground.notes(), []);
});

/** Five workers at work on it, a third of its parts stored. */
async function under(t: Parameters<typeof FleetGround.open>[0], options: Parameters<typeof scene>[1] = {}): Promise<Awaited<ReturnType<typeof scene>> & { readonly tasks: Awaited<ReturnType<FleetGround['plan']>>; readonly owner: () => Promise<string> }> {
  const made = await scene(t, { parts: 200, ...options });
  const { ground, puts } = made;
  const tasks = await ground.plan(1);
  for (const name of ['a', 'b', 'c', 'd', 'e']) ground.worker(name);
  await ground.pass(1000);
  await ground.send(tasks);
  await ground.until(() => puts.length >= 66);
  const owner = async (): Promise<string> => (await ground.journal.readReport({ work: (tasks[0] as (typeof tasks)[0]).name, nth: 0 }))?.report?.worker ?? '';
  return { ...made, tasks, owner };
}

const repeated = (puts: readonly Put[]): number => puts.length - new Set(puts.map(({ number }) => number)).size;

test('I4 F097: a helper that is killed costs the parts it had in hand; its span goes to who takes its call', async (t) => {
  const { ground, source, puts, tasks, owner } = await under(t);
  const mine = await owner();
  ground.workers.find(({ name }) => name !== mine)?.kill();
  await ground.until(() => ground.closed(tasks));
  await assertWhole(ground, source);
  // What it had sent of its one or two spans was told every five seconds.
  assert.ok(repeated(puts) <= 4 * PARTS_OF_SPAN, `${repeated(puts)} parts again`);
  await ground.until(() => ground.left() === 0);
});

test('I4 F072: the owner is killed: the next one goes on with the same upload, while the others work on', async (t) => {
  const { ground, source, puts, tasks, owner } = await under(t);
  const mine = await owner();
  const before = puts.length;
  const killedMs = ground.clock.monotonic();
  ground.workers.find(({ name }) => name === mine)?.kill();
  await ground.until(() => puts.length >= before + 30);
  assert.ok(ground.clock.monotonic() - killedMs < 6000, 'nobody waited for the lease of the dead');
  await ground.until(() => ground.closed(tasks));
  await assertWhole(ground, source);
  assert.ok(repeated(puts) <= 4 * PARTS_OF_SPAN, `${repeated(puts)} parts again`);
});

test('every call is lost: the owner sends the object alone', async (t) => {
  const { ground, source, puts, by } = await scene(t, { slowMs: 100 });
  const tasks = await ground.plan(1);
  await ground.send(tasks);
  for (const name of ['a', 'b']) ground.worker(name);
  ground.broker.setFaults({ lose: 1 });
  await ground.until(() => ground.closed(tasks));
  await assertWhole(ground, source);
  assert.equal(by().size, 1);
  assert.equal(puts.length, PARTS);
});

test('a queue that takes no calls, or has not answered yet, holds up nobody: the owner sends the object alone, and says once why', async (t) => {
  for (const trouble of ['slow', 'refuses'] as const) {
    const { ground, source, by } = await scene(t, { slowMs: 100 });
    const tasks = await ground.plan(1);
    await ground.send(tasks);
    const { queue } = ground;
    const bad: typeof queue = {
      ...queue,
      send: async (messages, signal) => {
        if (trouble === 'refuses') return messages.map(({ id }) => ({ id, error: new BrigadeError({ code: 'E_ACCESS_DENIED', kind: 'premise', message: 'may not send' }) }));
        await ground.clock.sleep(3_600_000, signal);
        return messages.map(({ id }) => ({ id }));
      },
    };
    for (const name of ['a', 'b']) ground.worker(name, { queue: bad });
    const began = ground.clock.monotonic();
    await ground.until(() => ground.closed(tasks));
    assert.ok(ground.clock.monotonic() - began < 60_000, `${ground.clock.monotonic() - began} ms`);
    await assertWhole(ground, source);
    assert.equal(by().size, 1);
    const told = ground.notes().filter((note) => note.includes('cannot be asked to help'));
    assert.equal(told.length, trouble === 'slow' ? 0 : 1, told.join('\n'));
  }
});

test('what a helper may not do costs the object nothing: the owner does it, or another one', async (t) => {
  const { ground, source, by } = await scene(t, { slowMs: 1000, parts: 120 });
  const tasks = await ground.plan(1);
  ground.worker('owner');
  await ground.pass(1000);
  await ground.send(tasks);
  await ground.until(() => by().size === 1);
  ground.between((store) => tapped(store, async (call) => {
    if (call === 'putPart') throw new BrigadeError({ code: 'E_ACCESS_DENIED', kind: 'object', op: 'putPart', message: 'this machine may not use that key' });
  }));
  for (const name of ['b', 'c']) ground.worker(name);
  await ground.until(() => ground.closed(tasks));
  await assertWhole(ground, source);
  assert.equal((await ground.ledger()).item(1, 'big')?.attempts, 1);
  assert.deepEqual([...by().keys()], ['owner']);
});

test('a journal that does not answer for minutes costs an object that is shared no attempt', async (t) => {
  const { ground, source, puts, tasks } = await under(t);
  const { write, list, read } = ground.journalStore;
  let refused = 0;
  const away = (): Promise<never> => { refused++; return Promise.reject(new BrigadeError({ code: 'E_NETWORK', kind: 'transient', message: 'nobody answers' })); };
  Object.assign(ground.journalStore, { write: away, read: away, list: async function* () { await away(); yield* []; } });
  const before = puts.length;
  await ground.pass(180_000);
  Object.assign(ground.journalStore, { write, list, read });
  assert.ok(refused > 20, `${refused} requests while it was away`);
  await ground.until(() => ground.closed(tasks));
  await assertWhole(ground, source);
  assert.equal((await ground.ledger()).item(1, 'big')?.attempts, 1);
  assert.ok(puts.length - before < 200);
});

test('a queue that is purged in the middle takes calls with it, and nothing is lost', async (t) => {
  const { ground, source, puts, tasks } = await under(t);
  ground.broker.purge();
  // Their leases are over: who had answered a call stops, and the owner as well; somebody sends the task again.
  await ground.until(async () => (await ground.closed(tasks)) || ground.left() === 0 && puts.length > 100);
  await ground.send(tasks, 1);
  await ground.until(() => ground.closed(tasks));
  await assertWhole(ground, source);
});

test('F027: the source changes while five send it: all let go, nothing of the old version stands, the new one is sent by all', async (t) => {
  const { ground, source, puts, tasks } = await under(t);
  const before = puts.length;
  source.put('big', Buffer.alloc(150 * PART, 'new'));
  await ground.until(() => ground.closed(tasks));
  await assertWhole(ground, source);
  assert.ok(new Set(puts.slice(before + 40).map(({ worker }) => worker)).size >= 3);
  assert.ok(puts.length - before < 150 + 60, `${puts.length - before} parts since`);
});

test('a worker that is asked to stop tells what it has sent; others take the rest at once', async (t) => {
  const { ground, source, puts, tasks, owner } = await under(t);
  const mine = await owner();
  const helper = ground.workers.find(({ name }) => name !== mine);
  await helper?.stop();
  await ground.workers.find(({ name }) => name === mine)?.stop();
  await ground.until(() => ground.closed(tasks));
  await assertWhole(ground, source);
  assert.equal(repeated(puts), 0);
});

test('F095: an owner that is frozen and wakes finds that others have gone on; each object is completed once', async (t) => {
  const { ground, source, tasks, owner } = await under(t);
  const mine = await owner();
  const frozen = ground.workers.find(({ name }) => name === mine);
  frozen?.freeze();
  await ground.until(() => ground.closed(tasks));
  frozen?.thaw();
  await ground.until(() => ground.left() === 0);
  await assertWhole(ground, source);
});
