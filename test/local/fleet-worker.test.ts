/** Workers of a fleet against everything that a queue, a journal and other workers may do to them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../../src/core/errors.ts';
import { MiB } from '../../src/core/units.ts';
import type { Store } from '../../src/ports/storage.ts';
import { openMemoryQueue } from '../../src/queues/memory/index.ts';
import { createMemoryStore, type MemoryStore } from '../../src/stores/memory/index.ts';
import { FleetGround, type Planned, tapped } from './fleet-ground.ts';

const keyOf = (i: number): string => `dir/${String(i).padStart(5, '0')}`;

function filled(count: number, size = 20): MemoryStore {
  const store = createMemoryStore({ name: 'source' });
  for (let i = 0; i < count; i++) store.put(keyOf(i), `${i}`.padEnd(size, '.'));
  return store;
}

/** Every object stands at the destination as it is at the source. */
function assertEqual(source: MemoryStore, destination: Store, count: number): void {
  const there = destination as MemoryStore;
  assert.equal(there.count, count);
  for (let i = 0; i < count; i++) assert.ok(there.bytes(keyOf(i))?.equals(source.bytes(keyOf(i)) as Buffer) === true, keyOf(i));
}

/** Whole writes by key, at any worker. */
function countWrites(ground: FleetGround): Map<string, number> {
  const writes = new Map<string, number>();
  ground.between((store) => tapped(store, (call, argument) => {
    if (call !== 'write') return;
    const { key } = argument as { readonly key: string };
    writes.set(key, (writes.get(key) ?? 0) + 1);
  }));
  return writes;
}

const twice = (writes: ReadonlyMap<string, number>): readonly string[] => [...writes].filter(([, count]) => count > 1).map(([key]) => key);

/** Reads of this worker wait until they are let go. */
function holdReads(ground: FleetGround, worker: string, of: (key: string) => boolean = () => true): { readonly held: () => number; readonly letGo: () => void } {
  let letGo: () => void = () => undefined;
  const open = new Promise<void>((resolve) => { letGo = resolve; });
  let held = 0;
  ground.between((store, name) => (name !== worker ? store : tapped(store, async (call, argument) => {
    if (call !== 'read' || !of((argument as { readonly key: string }).key)) return;
    held++;
    await open;
  })));
  return { held: () => held, letGo };
}

test('three workers copy everything; the ledger made from their reports has each object once, and the queue is empty', async (t) => {
  const source = filled(300);
  const ground = await FleetGround.open(t, { source });
  const writes = countWrites(ground);
  const tasks = await ground.plan(10);
  await ground.send(tasks);
  for (const name of ['a', 'b', 'c']) ground.worker(name);
  await ground.until(() => ground.closed(tasks));
  await ground.until(() => ground.left() === 0);
  assertEqual(source, ground.destination, 300);
  assert.equal((await ground.ledger()).tally(1).copied.objects, 300);
  assert.deepEqual(twice(writes), []);
  assert.deepEqual([...await ground.closes(tasks)], tasks.map(() => 1));
  assert.deepEqual(ground.notes(), []);
  for (const worker of ground.workers) await worker.stop();
  assert.deepEqual(await ground.journal.beats(), [], 'who leaves says so');
});

test('F097: one worker is killed, deliveries are doubled and shuffled, the queue is purged and what is missing sent again: every object once in the ledger', async (t) => {
  const source = filled(400);
  const ground = await FleetGround.open(t, { source });
  // Slow enough that everything happens in the middle of it.
  ground.between((store) => tapped(store, (call) => (call === 'write' ? ground.clock.sleep(300) : undefined)));
  const tasks = await ground.plan(10);
  ground.broker.setFaults({ duplicate: 0.3, reorder: 0.5 });
  await ground.send(tasks);
  const [doomed] = ['a', 'b', 'c'].map((name) => ground.worker(name));
  await ground.until(async () => (await ground.closes(tasks)).filter((count) => count > 0).length >= 8);
  doomed?.kill();
  await ground.until(async () => (await ground.closes(tasks)).filter((count) => count > 0).length >= 16);
  ground.broker.purge();
  const closes = await ground.closes(tasks);
  const missing = tasks.filter((_, i) => closes[i] === 0);
  assert.ok(missing.length > 0, 'the purge came too late');
  await ground.send(missing, 1);
  await ground.until(() => ground.closed(tasks));
  await ground.until(() => ground.left() === 0);
  assertEqual(source, ground.destination, 400);
  const ledger = await ground.ledger();
  assert.equal(ledger.tally(1).copied.objects, 400);
  assert.equal(ledger.tally(1).pending.objects, 0);
});

test('F094: the same task at two workers at once, and twice at one: nothing is copied after it was done, and what was done stands once', async (t) => {
  const source = filled(20);
  const ground = await FleetGround.open(t, { source });
  const tasks = await ground.plan(20);
  const { held, letGo } = holdReads(ground, 'a');
  await ground.send(tasks);
  ground.worker('a');
  await ground.until(() => held() === 20);
  // A second message of the same task: the worker that has it gives the twin back, the other one carries it out.
  await ground.send(tasks);
  await ground.pass(3000);
  assert.equal(held(), 20, 'not begun a second time here');
  ground.worker('b');
  await ground.until(() => ground.closed(tasks));
  letGo();
  await ground.until(() => ground.left() === 0);
  assertEqual(source, ground.destination, 20);
  assert.equal((await ground.ledger()).tally(1).copied.objects, 20);
});

test('F095: while the data path stands still the lease is kept; nobody else gets the task', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(5), leaseMs: 9000 });
  const tasks = await ground.plan(5);
  const { held, letGo } = holdReads(ground, 'a');
  await ground.send(tasks);
  ground.worker('a');
  await ground.until(() => held() === 5);
  const other = ground.worker('b');
  await ground.pass(5 * 9000);
  assert.deepEqual(ground.broker.counts(), { waiting: 0, inFlight: 1, delayed: 0, dead: 0 });
  letGo();
  await ground.until(() => ground.closed(tasks));
  assert.equal(other.journalReads, 0);
  assert.deepEqual([...await ground.closes(tasks)], [1]);
});

test('F095: two beats without an answer stop the task that is held, and no other one; what was done of it is told', async (t) => {
  const source = filled(20);
  const ground = await FleetGround.open(t, { source, leaseMs: 9000 });
  const [first, second] = await ground.plan(10);
  if (first === undefined || second === undefined) throw new Error('no tasks');
  const slow = new Set(first.items.slice(5).map(({ key }) => key));
  let aborted = 0;
  let reads = 0;
  ground.between((store, name) => (name !== 'a' ? store : tapped(store, async (call, argument) => {
    const { key, signal } = argument as { readonly key: string; readonly signal: AbortSignal };
    if (call !== 'read' || !slow.has(key)) return;
    reads++;
    await ground.clock.sleep(600_000, signal).catch((error: unknown) => {
      aborted++;
      throw error;
    });
  })));
  await ground.send([first]);
  const queue = openMemoryQueue(ground.broker);
  let silent = false;
  const deaf = ground.worker('a', {
    queue: {
      ...queue,
      receive: async (...asked) => (await queue.receive(...asked)).map((delivery) => ({ ...delivery, extend: async (ms) => (silent ? new Promise<number>(() => undefined) : delivery.extend(ms)) })),
    },
  });
  await ground.until(() => reads === 5);
  silent = true;
  await ground.until(() => aborted === 5);
  silent = false;
  await ground.send([second]);
  ground.worker('b');
  await ground.until(() => ground.closed([first, second]));
  await ground.until(() => ground.left() === 0);
  const before = await ground.journal.readReport({ work: first.name, nth: 0 });
  assert.deepEqual(before?.report?.close, false);
  assert.deepEqual(before?.report?.outcomes.length, 5);
  const after = await Promise.all([1, 2].map((nth) => ground.journal.readReport({ work: first.name, nth })));
  assert.equal(after.reduce((sum, read) => sum + (read?.report?.outcomes.length ?? 0), 0), 5, 'what was told is not done again');
  assertEqual(source, ground.destination, 20);
  await deaf.stop();
});

test('F096: before the queue ends a lease for good, what is done is told, the task given back, and taken up where it was left', async (t) => {
  const source = createMemoryStore({ name: 'source' });
  source.put(keyOf(0), Buffer.alloc(40 * MiB, 7));
  const ground = await FleetGround.open(t, { source, leaseMs: 9000, options: { transfer: { multipart_threshold: '5 MiB', part_size: '5 MiB', part_concurrency: 1 } } });
  const tasks = await ground.plan(1);
  const parts: number[] = [];
  let creates = 0;
  ground.between((store) => tapped(store, async (call, argument) => {
    if (call === 'create') creates++;
    if (call !== 'putPart') return;
    await ground.clock.sleep(10_000);
    parts.push(argument as number);
  }));
  await ground.send(tasks);
  const queue = openMemoryQueue(ground.broker);
  // Each lease ends after 36 s, whoever works on it: it is given back after 30.
  ground.worker('a', { queue: { ...queue, limits: { ...queue.limits, longestLeaseMs: 36_000 } } });
  await ground.until(() => ground.closed(tasks));
  assert.equal(creates, 1);
  assert.ok(new Set(parts).size === 8 && parts.length <= 8 + 3, `parts put: ${parts.join(' ')}`);
  const first = await ground.journal.readReport({ work: (tasks[0] as Planned).name, nth: 0 });
  assert.equal(first?.report?.uploads?.length, 1);
  assertEqual(source, ground.destination, 1);
  assert.equal((await ground.ledger()).openUploads().length, 0);
});

test('F072: an upload is in the journal before its first part; after a kill another worker goes on with it', async (t) => {
  const source = createMemoryStore({ name: 'source' });
  source.put(keyOf(0), Buffer.alloc(60 * MiB, 3));
  const ground = await FleetGround.open(t, { source, leaseMs: 9000, options: { transfer: { multipart_threshold: '5 MiB', part_size: '5 MiB', part_concurrency: 1 } } });
  const tasks = await ground.plan(1);
  const { name } = tasks[0] as Planned;
  const put: Record<string, number[]> = { a: [], b: [] };
  let toldBefore: boolean | undefined;
  ground.between((store, worker) => tapped(store, async (call, argument) => {
    if (call !== 'putPart') return;
    toldBefore ??= (await ground.journal.readReport({ work: name, nth: 0 }))?.report?.uploads?.length === 1;
    await ground.clock.sleep(3000);
    put[worker]?.push(argument as number);
  }));
  await ground.send(tasks);
  const doomed = ground.worker('a');
  await ground.until(() => (put['a']?.length ?? 0) >= 6);
  doomed.kill();
  ground.worker('b');
  await ground.until(() => ground.closed(tasks));
  assert.equal(toldBefore, true);
  const [before = [], after = []] = [put['a'], put['b']];
  assert.ok(after.length <= 12 - 3, `a put ${before.join(' ')}, b put ${after.join(' ')}`);
  assertEqual(source, ground.destination, 1);
  const ledger = await ground.ledger();
  assert.equal(ledger.openUploads().length, 0);
  assert.equal(ledger.tally(1).copied.objects, 1);
});

test('F098: an object that fails for everybody is reported as failed, the others of its task are copied, and the message is gone', async (t) => {
  const source = filled(10);
  const ground = await FleetGround.open(t, { source });
  const tasks = await ground.plan(10);
  let tries = 0;
  ground.between((store) => tapped(store, (call, argument) => {
    if (call !== 'write' || (argument as { key: string }).key !== keyOf(4)) return;
    tries++;
    throw new BrigadeError({ code: 'E_SERVER', kind: 'transient', message: 'no' });
  }));
  await ground.send(tasks);
  ground.worker('a');
  await ground.until(() => ground.closed(tasks));
  await ground.until(() => ground.left() === 0);
  assert.equal(tries, 5);
  const ledger = await ground.ledger();
  assert.deepEqual([ledger.tally(1).copied.objects, ledger.tally(1).failed.objects], [9, 1]);
  assert.equal(ledger.item(1, keyOf(4))?.code, 'E_SERVER');
  assert.equal(ground.broker.counts().dead, 1);
});

test('F099: an ack that comes to nothing, or late, decides nothing: what comes again is found done and not copied again', async (t) => {
  const source = filled(30);
  const ground = await FleetGround.open(t, { source, leaseMs: 6000 });
  const writes = countWrites(ground);
  const tasks = await ground.plan(10);
  await ground.send(tasks);
  const queue = openMemoryQueue(ground.broker);
  let acks = 0;
  const worker = ground.worker('a', {
    queue: {
      ...queue,
      receive: async (...asked) => (await queue.receive(...asked)).map((delivery) => ({
        ...delivery,
        ack: async () => {
          if (delivery.receives > 1) return delivery.ack();
          if (acks++ % 2 === 0) throw new BrigadeError({ code: 'E_NETWORK', kind: 'transient', message: 'lost' });
          return 'late' as const;
        },
      })),
    },
  });
  await ground.until(() => ground.left() === 0);
  assert.equal(acks, 3);
  assert.deepEqual([...await ground.closes(tasks)], [1, 1, 1]);
  assert.deepEqual(twice(writes), []);
  assertEqual(source, ground.destination, 30);
  await worker.stop();
});

test('F100: a queue that is away for a while is asked again and again, told once, and the worker goes on by itself', async (t) => {
  const source = filled(20);
  const ground = await FleetGround.open(t, { source });
  const tasks = await ground.plan(10);
  const queue = openMemoryQueue(ground.broker);
  let away = true;
  let asked = 0;
  ground.worker('a', {
    queue: {
      ...queue,
      receive: async (...args) => {
        asked++;
        if (away) throw new BrigadeError({ code: 'E_NETWORK', kind: 'transient', message: 'the queue does not answer' });
        return queue.receive(...args);
      },
    },
  });
  await ground.pass(120_000);
  assert.ok(asked > 3 && asked < 20, `${asked} calls in two minutes`);
  assert.equal(ground.notes().length, 1);
  away = false;
  await ground.send(tasks);
  await ground.until(() => ground.closed(tasks), 120_000);
  assertEqual(source, ground.destination, 20);
});

test('F101: a message that the queue forgot was acknowledged is found done by one look at the journal', async (t) => {
  const source = filled(10);
  const ground = await FleetGround.open(t, { source });
  const writes = countWrites(ground);
  const tasks = await ground.plan(10);
  await ground.send(tasks);
  const first = ground.worker('a');
  await ground.until(() => ground.left() === 0);
  await first.stop();
  await ground.send(tasks, 1);
  const second = ground.worker('b');
  await ground.until(() => ground.left() === 0);
  assert.deepEqual([...await ground.closes(tasks)], [1]);
  assert.deepEqual(twice(writes), []);
  assert.ok(second.journalReads <= 2, `${second.journalReads} reads`);
});

test('F107: a worker that is frozen past its lease and wakes: its task was done by another one, both reports stand, each object counts once', async (t) => {
  const source = filled(20);
  const ground = await FleetGround.open(t, { source, leaseMs: 6000 });
  const tasks = await ground.plan(20);
  const { held, letGo } = holdReads(ground, 'a');
  await ground.send(tasks);
  const frozen = ground.worker('a');
  await ground.until(() => held() === 20);
  frozen.freeze();
  ground.worker('b');
  await ground.until(() => ground.closed(tasks));
  letGo();
  frozen.thaw();
  await frozen.stop();
  await ground.until(() => ground.left() === 0);
  assertEqual(source, ground.destination, 20);
  assert.equal((await ground.ledger()).tally(1).copied.objects, 20);
});

test('F084: the wall clock of a worker jumps an hour to and fro: no lease is lost, nothing is copied twice', async (t) => {
  const source = filled(100);
  const ground = await FleetGround.open(t, { source, leaseMs: 9000 });
  const writes = new Map<string, number>();
  let jumps = 0;
  ground.between((store) => tapped(store, async (call, argument) => {
    if (call !== 'write') return;
    const { key } = argument as { readonly key: string };
    writes.set(key, (writes.get(key) ?? 0) + 1);
    ground.clock.jump(jumps++ % 2 === 0 ? 3_600_000 : -3_600_000);
    await ground.clock.sleep(5000);
  }));
  const tasks = await ground.plan(50);
  await ground.send(tasks);
  const workers = ['a', 'b'].map((name) => ground.worker(name));
  await ground.until(() => ground.closed(tasks));
  assert.ok(jumps >= 100);
  assert.deepEqual(twice(writes), []);
  for (const worker of workers) assert.equal(worker.journalReads, 0);
  assert.deepEqual([...await ground.closes(tasks)], [1, 1]);
});
