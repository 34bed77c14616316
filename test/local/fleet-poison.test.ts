/** F098: objects that kill whoever works on them, and tasks that only look as if they did. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB } from '../../src/core/units.ts';
import type { Item } from '../../src/core/item.ts';
import { createMemoryStore, type MemoryStore } from '../../src/stores/memory/index.ts';
import { FleetGround, type FleetWorker, type Planned, tapped } from './fleet-ground.ts';

/** What takes long is not asked for all the time. */
const SELDOM_MS = 5000;
const keyOf = (i: number): string => `dir/${String(i).padStart(5, '0')}`;

function filled(count: number): MemoryStore {
  const store = createMemoryStore({ name: 'source' });
  for (let i = 0; i < count; i++) store.put(keyOf(i), `${i}`.padEnd(20, '.'));
  return store;
}

/** Whoever reads one of these dies of it, with all that is in its hands; somebody else takes its place. */
function poison(ground: FleetGround, kills: (key: string) => boolean): { readonly deaths: () => number; readonly start: () => FleetWorker } {
  const living = new Map<string, FleetWorker>();
  let started = 0;
  let deaths = 0;
  const start = (): FleetWorker => {
    const worker = ground.worker(`w${++started}`);
    living.set(worker.name, worker);
    return worker;
  };
  ground.between((store, name) => tapped(store, async (call, argument) => {
    if (call !== 'read' || !kills((argument as { readonly key: string }).key)) return;
    const worker = living.get(name);
    living.delete(name);
    worker?.kill();
    if (worker !== undefined) {
      deaths++;
      start();
    }
    await new Promise(() => undefined);
  }));
  return { deaths: () => deaths, start };
}

async function failed(ground: FleetGround): Promise<readonly { readonly key: string; readonly code: string | undefined; readonly attempts: number }[]> {
  return [...(await ground.ledger()).objects(1, { states: ['failed'] })].map(({ key, code, attempts }) => ({ key, code, attempts }));
}

test('F098: an object that kills whoever reads it is parked after a bounded number of deaths; its neighbours, and the other tasks of those workers, are copied', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(120), leaseMs: 9000 });
  const tasks = await ground.plan(40);
  const { deaths, start } = poison(ground, (key) => key === keyOf(57));
  await ground.send(tasks);
  for (let i = 0; i < 2; i++) start();
  await ground.until(() => ground.closed(tasks), 3_600_000, SELDOM_MS);
  await ground.until(() => ground.left() === 0);
  const ledger = await ground.ledger();
  const { copied, failed: parked, pending } = ledger.tally(1);
  assert.deepEqual([copied.objects, parked.objects, pending.objects], [119, 1, 0]);
  const [row] = ledger.objects(1, { states: ['failed'], classes: ['E_OBJECT_POISON'] });
  assert.equal(row?.key, keyOf(57));
  assert.match(row?.problem?.message ?? '', /^\d+ workers died at work on it/);
  assert.match(row?.problem?.hint ?? '', /brigade retry --class E_OBJECT_POISON/);
  assert.ok((row?.attempts ?? 0) >= 5);
  assert.ok(deaths() >= 5 && deaths() <= 12, `${deaths()} deaths`);
  assert.match(ground.notes().join('\n'), /dir\/00057" is given up/);
});

test('F098: several of them, in several tasks and beside one another, are found each, and nothing else', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(90), leaseMs: 9000 });
  const tasks = await ground.plan(30);
  const bad = [3, 4, 29, 60].map(keyOf);
  const { deaths, start } = poison(ground, (key) => bad.includes(key));
  await ground.send(tasks);
  for (let i = 0; i < 3; i++) start();
  await ground.until(() => ground.closed(tasks), 24 * 3_600_000, SELDOM_MS);
  assert.deepEqual((await failed(ground)).map(({ key, code }) => [key, code]), bad.map((key) => [key, 'E_OBJECT_POISON']));
  assert.equal((await ground.ledger()).tally(1).copied.objects, 86);
  assert.ok(deaths() <= 40, `${deaths()} deaths`);
});

test('F098: what was parked becomes pending by a retry and is copied once it kills nobody; if it still kills, it is parked anew', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(2), leaseMs: 9000 });
  const tasks = await ground.plan(2);
  let bad = true;
  const { deaths, start } = poison(ground, (key) => bad && key === keyOf(1));
  await ground.send(tasks);
  start();
  await ground.until(() => ground.closed(tasks), 3_600_000, SELDOM_MS);
  const { name, items } = tasks[0] as Planned;
  const again = async (sending: number): Promise<void> => {
    let after = 0;
    while (await ground.journal.readReport({ work: name, nth: after }) !== undefined) after++;
    const item = items[1] as Item;
    await ground.pen.append([{ type: 'amend', task: name, after, changes: [{ item }] }]);
    await ground.send([{ name, items: [item] }], sending, { after });
  };
  const before = deaths();
  await again(1);
  await ground.until(() => deaths() >= before + 5);
  await ground.until(async () => (await ground.closes(tasks))[0] === 2, 3_600_000, SELDOM_MS);
  assert.deepEqual((await failed(ground)).map(({ key }) => key), [keyOf(1)]);
  bad = false;
  await again(2);
  await ground.until(async () => (await ground.ledger()).tally(1).copied.objects === 2, 3_600_000, SELDOM_MS);
  assert.deepEqual(await failed(ground), []);
});

test('design truth 10: a slow task that is delivered again and again, to others while one is at work on it, is not parked for that', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(3), leaseMs: 9000, mostReceives: 1000 });
  const tasks = await ground.plan(3);
  let begun = 0;
  ground.between((store) => tapped(store, (call, argument) => {
    if (call !== 'read' || (argument as { readonly key: string }).key !== keyOf(1)) return;
    begun++;
    return ground.clock.sleep(20 * 60_000);
  }));
  for (let i = 0; i < 6; i++) ground.worker(`w${i}`);
  for (let sending = 0; sending < 12; sending++) {
    await ground.send(tasks, sending);
    await ground.pass(60_000);
  }
  await ground.until(() => ground.closed(tasks), 3_600_000, SELDOM_MS);
  assert.deepEqual(await failed(ground), []);
  assert.equal((await ground.ledger()).tally(1).copied.objects, 3);
  assert.ok(begun >= 2 && begun <= 5, `begun by ${begun}: when several are at work, the others leave it to them`);
});

test('design truth 10: a task that is given back by workers that leave, thirty times, is not parked for that', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(3), leaseMs: 9000 });
  const tasks = await ground.plan(3);
  let reads = 0;
  let slow = true;
  ground.between((store) => tapped(store, async (call, argument) => {
    const { key, signal } = argument as { readonly key: string; readonly signal: AbortSignal };
    if (call !== 'read' || key !== keyOf(1) || !slow) return;
    reads++;
    await ground.clock.sleep(3_600_000, signal);
  }));
  await ground.send(tasks);
  for (let i = 0; i < 30; i++) {
    const worker = ground.worker(`w${i}`, { drainMs: 1000 });
    await ground.until(() => reads > i);
    await worker.stop();
  }
  slow = false;
  ground.worker('last');
  await ground.until(() => ground.closed(tasks), 3_600_000, SELDOM_MS);
  assert.deepEqual(await failed(ground), []);
});

test('design truth 10: workers that die of other things, each after some parts of a large object, do not make it poison', async (t) => {
  const source = createMemoryStore({ name: 'source' });
  source.put(keyOf(0), Buffer.alloc(60 * MiB, 3));
  const ground = await FleetGround.open(t, { source, leaseMs: 9000, options: { transfer: { multipart_threshold: '5 MiB', part_size: '5 MiB', part_concurrency: 1 } } });
  const tasks = await ground.plan(1);
  ground.between((store) => tapped(store, async (call) => {
    if (call === 'putPart') await ground.clock.sleep(6000);
  }));
  const { name } = tasks[0] as Planned;
  const gotFurther = async (worker: string): Promise<boolean> => {
    for (let nth = 0; ; nth++) {
      const read = await ground.journal.readReport({ work: name, nth });
      if (read === undefined) return false;
      if (read.report?.worker === worker && read.report.parts.length > 0) return true;
    }
  };
  await ground.send(tasks);
  for (let i = 0; i < 9; i++) {
    const worker = ground.worker(`w${i}`);
    await ground.until(() => gotFurther(worker.name), 3_600_000, 1000);
    worker.kill();
  }
  ground.worker('last');
  await ground.until(() => ground.closed(tasks), 3_600_000, SELDOM_MS);
  assert.deepEqual(await failed(ground), []);
  assert.equal((await ground.ledger()).tally(1).copied.objects, 1);
});

test('what is worked on alone keeps nothing else for long: tasks of a worker that takes a suspect go to others and come back', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(200), leaseMs: 9000 });
  const tasks = await ground.plan(10);
  const { start } = poison(ground, (key) => key === keyOf(5));
  await ground.send(tasks);
  start();
  await ground.until(() => ground.closed(tasks), 3_600_000, SELDOM_MS);
  await ground.until(() => ground.left() === 0);
  assert.equal((await ground.ledger()).tally(1).copied.objects, 199);
});

test('who began a task and lives, though its beats cannot be read here, is left at work on it, and is no death', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(10), leaseMs: 9000 });
  const tasks = await ground.plan(10);
  const { name: work, items } = tasks[0] as Planned;
  const ghosts = ['newer-1', 'newer-2'];
  let writing = true;
  const beating = (async () => {
    for (let beat = 1; writing; beat++) {
      for (const worker of ghosts) {
        await ground.journal.beat({ worker, beat, host: 'h', version: '9', tasks: 1 });
        ground.journalStore.put(`workers/${worker}`, (ground.journalStore.bytes(`workers/${worker}`) as Buffer).subarray(0, -1));
      }
      await ground.clock.sleep(10_000);
    }
  })();
  for (const worker of ghosts) await ground.journal.report(work, { worker, outcomes: [], close: false, parts: [], begun: { first: keyOf(0), last: keyOf(9), objects: items.length, alone: false } });
  await ground.send(tasks);
  const [delivery] = await ground.clock.run(ground.queue.receive(1, 1000, new AbortController().signal));
  await delivery?.release(0);
  ground.worker('w');
  await ground.pass(5 * 60_000);
  assert.deepEqual([await ground.closes(tasks), ground.notes().filter((note) => note.includes('died'))], [[0], []]);
  writing = false;
  await ground.until(() => ground.closed(tasks), 3_600_000, SELDOM_MS);
  await beating;
  assert.equal((await ground.ledger()).tally(1).copied.objects, 10);
});
