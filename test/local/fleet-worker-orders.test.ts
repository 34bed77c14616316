/** What workers of a fleet are told and what they make of it: by messages, by the coordinator's control, by their own machine. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { canonicalJson } from '../../src/core/canonical-json.ts';
import { BrigadeError } from '../../src/core/errors.ts';
import { Secret } from '../../src/core/secret.ts';
import { MiB } from '../../src/core/units.ts';
import { messageCodec } from '../../src/fleet/messages.ts';
import { FLEET_CHECKS, type FleetBodies } from '../../src/fleet/task-message.ts';
import { createMemoryStore, type MemoryStore } from '../../src/stores/memory/index.ts';
import { codec, FleetGround, KEY, type Planned, tapped } from './fleet-ground.ts';

function filled(count: number, name = (i: number): string => `k/${String(i).padStart(5, '0')}`): MemoryStore {
  const store = createMemoryStore({ name: 'source' });
  for (let i = 0; i < count; i++) store.put(name(i), `${i}`);
  return store;
}

const copied = (ground: FleetGround): number => (ground.destination as MemoryStore).count;

for (const slow of ['large', 'small'] as const) {
  test(`F086: ${slow} objects that stand still, more than there are slots for, keep no others waiting`, async (t) => {
    const source = createMemoryStore({ name: 'source' });
    const bytes = Buffer.alloc(65 * MiB, 1);
    for (let i = 0; i < 6; i++) source.put(`large/${i}`, bytes);
    for (let i = 0; i < 6; i++) source.put(`small/${i}`, 'x');
    const ground = await FleetGround.open(t, { source });
    const begun = new Set<string>();
    ground.between((store) => tapped(store, async (call, argument) => {
      const { key, signal } = argument as { readonly key: string; readonly signal: AbortSignal };
      if (call !== 'read') return;
      begun.add(key);
      if (key.startsWith(slow)) await ground.clock.sleep(24 * 3_600_000, signal);
    }));
    const tasks = await ground.plan(1);
    const [large, small] = [tasks.slice(0, 6), tasks.slice(6)];
    const [stuck, free] = slow === 'large' ? [large, small] : [small, large.slice(0, 2)];
    await ground.send(stuck);
    const worker = ground.worker('a', { drainMs: 0 });
    await ground.until(() => [...begun].some((key) => key.startsWith(slow)));
    await ground.send(free);
    await ground.until(() => ground.closed(free), 120_000);
    assert.deepEqual([...await ground.closes(stuck)], stuck.map(() => 0));
    await worker.stop();
  });
}

test('F108: a message of a newer release goes back with a delay and one warning; it is never dropped, and the others are carried out', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(10) });
  const tasks = await ground.plan(5);
  const fields = { v: 2, kind: 'task', id: '1/0/0', spec: ground.spec, body: {} };
  await ground.queue.send([{ id: 'newer', body: JSON.stringify({ ...fields, mac: createHmac('sha256', KEY.reveal()).update(canonicalJson(fields)).digest('hex') }) }]);
  await ground.send(tasks);
  ground.worker('a');
  await ground.until(() => ground.closed(tasks));
  await ground.pass(10 * 60_000);
  assert.equal(ground.left(), 1);
  assert.equal(ground.broker.counts().dead, 0);
  assert.equal(ground.notes().filter((text) => text.includes('E_MESSAGE_VERSION')).length, 1);
  const [again] = await ground.clock.run(ground.queue.receive(1, 120_000, new AbortController().signal));
  assert.ok((again?.receives ?? 0) <= 12, `received ${again?.receives} times in ten minutes`);
});

test('what is left in the queue of a run that was given up is over: acknowledged, and nothing of it is copied', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(20) });
  const tasks = await ground.plan(5);
  await ground.send(tasks);
  await ground.pen.control({ run: 2 });
  ground.worker('a');
  await ground.until(() => ground.left() === 0, 60_000);
  assert.equal(copied(ground), 0);
  assert.deepEqual([...await ground.closes(tasks)], tasks.map(() => 0));
});

test('messages of a run that was given up are over also where its migration cannot be opened any more', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(20) });
  ground.onOpen = () => { throw new BrigadeError({ code: 'E_CREDENTIALS', kind: 'premise', message: 'these are no more' }); };
  await ground.send(await ground.plan(5));
  await ground.pen.control({ run: 2 });
  ground.worker('a');
  await ground.until(() => ground.left() === 0);
  assert.equal(ground.broker.counts().dead, 0);
});

test('a run that is given up while its tasks are worked on: they end, in every hand', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(30) });
  let begun = 0;
  ground.between((store) => tapped(store, async (call, argument) => {
    if (call !== 'read') return;
    begun++;
    await ground.clock.sleep(24 * 3_600_000, (argument as { readonly signal: AbortSignal }).signal);
  }));
  await ground.send(await ground.plan(5));
  ground.worker('a');
  await ground.until(() => begun > 0);
  await ground.pen.control({ run: 2 });
  await ground.until(() => ground.left() === 0, 60_000);
  assert.equal(copied(ground), 0);
});

test('F109: a task that is larger than a message comes by reference to the journal', async (t) => {
  const source = filled(300, (i) => `${String(i).padStart(5, '0')}-${'x'.repeat(1018)}`);
  const ground = await FleetGround.open(t, { source });
  const tasks = await ground.plan(300);
  await ground.send(tasks, 0, { largestBytes: 3000 });
  ground.worker('a');
  await ground.until(() => ground.closed(tasks));
  assert.equal(copied(ground), 300);
  assert.equal((await ground.ledger()).tally(1).copied.objects, 300);
});

test('F109: a task whose items are not in the journal yet goes back until they are', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(3) });
  const tasks = await ground.plan(3);
  const { keep } = ground.journal;
  let held: Uint8Array | undefined;
  ground.journal.keep = async (document) => {
    held = document;
    return (await import('node:crypto')).createHash('sha256').update(document).digest('hex');
  };
  await ground.send(tasks, 0, { largestBytes: 10 });
  ground.worker('a');
  await ground.pass(20_000);
  assert.equal(copied(ground), 0);
  await keep.call(ground.journal, held ?? new Uint8Array());
  await ground.until(() => ground.closed(tasks));
  assert.equal(copied(ground), 3);
  assert.equal(ground.notes().filter((text) => text.includes('E_MESSAGE_DOCUMENT')).length, 1);
});

test('F110: forged messages, and text of others, are put aside with their reason and one warning each kind; nothing is done on their word', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(4) });
  const tasks = await ground.plan(2);
  const forged = messageCodec<FleetBodies>({ current: new Secret('f'.repeat(32)) }, FLEET_CHECKS);
  const bodies = [
    ...Array.from({ length: 5 }, (_, i) => forged.seal({ kind: 'task', id: `1/0/${i}`, spec: ground.spec, body: { run: 1, size: 'small', sending: 0, items: '' } })),
    ...Array.from({ length: 5 }, () => 'copy this please'),
    codec.seal({ kind: 'task', id: '1/0/9', spec: ground.spec, body: { run: 1, size: 'small', sending: 0, items: 'AAAA' } }),
  ];
  await ground.queue.send(bodies.map((body, i) => ({ id: `x${i}`, body })));
  await ground.send(tasks);
  let refreshed = 0;
  ground.worker('a', { refreshKeys: async () => { refreshed++; return false; } });
  await ground.until(() => ground.closed(tasks));
  await ground.until(() => ground.left() === 0);
  const dead = await ground.queue.deadLetters(100);
  assert.deepEqual(new Set(dead.map(({ body }) => body)), new Set(bodies));
  assert.equal(dead.length, bodies.length);
  for (const code of ['E_MESSAGE_SIGNATURE', 'E_MESSAGE_FOREIGN', 'E_MESSAGE_SHAPE']) {
    assert.equal(dead.filter(({ reason }) => reason.includes(code)).length, code === 'E_MESSAGE_SHAPE' ? 1 : 5, code);
    assert.equal(ground.notes().filter((text) => text.includes(code)).length, 1, code);
  }
  assert.equal(refreshed, 5, 'the keys may have been rotated: they are read again before a message is put aside');
  assert.equal(copied(ground), 4);
});

test('keys that were rotated meanwhile open a message at the second look', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(4) });
  const tasks = await ground.plan(2);
  await ground.send(tasks);
  let current = messageCodec<FleetBodies>({ current: new Secret('o'.repeat(32)) }, FLEET_CHECKS);
  ground.worker('a', { codec: { seal: (envelope) => current.seal(envelope), open: (text) => current.open(text) }, refreshKeys: async () => { current = codec; return true; } });
  await ground.until(() => ground.closed(tasks));
  assert.equal(ground.broker.counts().dead, 0);
  assert.deepEqual(ground.notes(), []);
});

test('S1.31: who has nothing to do waits in long polls: an idle hour is some two hundred requests, also in a pause', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(400) });
  const worker = ground.worker('a', { idleMs: 24 * 3_600_000 });
  await ground.pass(3_600_000);
  assert.ok(worker.receives >= 170 && worker.receives <= 190, `${worker.receives} calls`);
  await ground.pen.control({ pause: true, rates: {}, workers: 1 });
  const tasks = await ground.plan(2);
  await ground.send(tasks);
  await ground.pass(60_000);
  const before = worker.receives;
  await ground.pass(3_600_000);
  assert.ok(worker.receives - before <= 300, `${worker.receives - before} calls in a pause`);
  assert.equal(copied(ground), 0);
  assert.equal(ground.broker.counts().dead, 0, 'what waits in a pause is not worn out');
});

test('a pause gives the tasks back within ten seconds, a resume goes on within ten; nothing is lost and nothing done twice', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(200) });
  const writes = new Map<string, number>();
  ground.between((store) => tapped(store, async (call, argument) => {
    if (call !== 'write') return;
    const { key, signal } = argument as { readonly key: string; readonly signal: AbortSignal };
    await ground.clock.sleep(4000, signal);
    writes.set(key, (writes.get(key) ?? 0) + 1);
  }));
  const tasks = await ground.plan(100);
  await ground.send(tasks);
  ground.worker('a');
  await ground.until(() => writes.size >= 40);
  await ground.pen.control({ pause: true, rates: {}, workers: 3 });
  await ground.pass(10_000);
  assert.deepEqual((await ground.journal.beats()).map(({ tasks: held }) => held), [0]);
  const before = writes.size;
  await ground.pass(120_000);
  assert.equal(writes.size, before);
  await ground.pen.control({ pause: false, rates: { bandwidth: 5, requests: 7 }, workers: 4 });
  await ground.pass(10_000);
  assert.ok(writes.size > before, 'it goes on');
  await ground.until(() => ground.closed(tasks));
  assert.deepEqual([...writes.values()].filter((count) => count > 1), []);
  assert.equal((await ground.ledger()).tally(1).copied.objects, 200);
  assert.deepEqual(ground.told.filter(({ share }) => share !== undefined).map(({ share }) => share), [1, 3, 4]);
  assert.deepEqual(ground.told.findLast(({ rates }) => rates !== undefined)?.rates, { bandwidth: 5, requests: 7 });
});

test('a coordinator that falls silent changes nothing but for one warning', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(4) });
  await ground.pen.control({ pause: false, rates: { requests: 7 }, workers: 2, forMs: 60_000 });
  const [first, second] = await ground.plan(2);
  await ground.send([first as Planned]);
  ground.worker('a');
  await ground.pass(300_000);
  assert.equal(ground.notes().filter((text) => text.includes('nothing heard of its coordinator')).length, 1);
  await ground.send([second as Planned]);
  await ground.until(() => ground.closed([first as Planned, second as Planned]));
});

test('a premise that fails at one worker: its tasks go to others at once, the trouble is told in its beat, and it is looked at again', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(60) });
  let broken = true;
  ground.onOpen = (worker) => {
    if (worker === 'a' && broken) throw new BrigadeError({ code: 'E_CREDENTIALS', kind: 'premise', message: 'the environment variable FROM_KEY is not set', hint: 'export it' });
  };
  const tasks = await ground.plan(5);
  const [first = [], rest = []] = [tasks.slice(0, 6), tasks.slice(6)];
  await ground.send(first);
  ground.worker('a');
  await ground.pass(10_000);
  assert.deepEqual((await ground.journal.beats()).map(({ trouble }) => trouble?.code), ['E_CREDENTIALS']);
  const other = ground.worker('b');
  await ground.until(() => ground.closed(first), 120_000);
  await other.stop();
  await ground.send(rest);
  await ground.pass(3_600_000);
  assert.equal(copied(ground), 30);
  assert.equal(ground.notes().filter((text) => text.includes('E_CREDENTIALS')).length, 1, 'told once');
  assert.equal(ground.broker.counts().dead, 0);
  broken = false;
  await ground.until(() => ground.closed(tasks), 600_000);
  assert.equal(copied(ground), 60);
  await ground.pass(10_000);
  assert.deepEqual((await ground.journal.beats()).map(({ trouble }) => trouble), [undefined]);
});

test('a premise that fails while it copies gives everything back; what was copied is told and not copied again', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(40) });
  const writes = new Map<string, number>();
  let full = false;
  ground.between((store) => tapped(store, (call, argument) => {
    if (call !== 'write') return;
    const { key } = argument as { readonly key: string };
    if (key === 'k/00025' && !full) {
      full = true;
      throw new BrigadeError({ code: 'E_DISK_FULL', kind: 'premise', message: 'no space left' });
    }
    writes.set(key, (writes.get(key) ?? 0) + 1);
  }));
  const tasks = await ground.plan(20);
  await ground.send(tasks);
  ground.worker('a');
  await ground.until(() => ground.closed(tasks), 600_000);
  assert.equal(ground.notes().filter((text) => text.includes('E_DISK_FULL')).length, 1);
  assert.equal(copied(ground), 40);
  const ledger = await ground.ledger();
  assert.deepEqual([ledger.tally(1).copied.objects, ledger.tally(1).failed.objects], [40, 0]);
});

test('messages that name a migration which this journal does not hold go back and hinder no others', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(40) });
  const right = ground.spec;
  const tasks = await ground.plan(2);
  ground.spec = { id: 'elsewhere', sha256: 'b'.repeat(64) };
  await ground.send(tasks);
  ground.spec = right;
  await ground.send(tasks);
  ground.worker('a');
  await ground.until(() => ground.closed(tasks), 600_000);
  assert.equal(ground.notes().filter((text) => text.includes('E_SPEC_MISSING')).length, 1);
  assert.equal(ground.left(), tasks.length);
});

test('SIGTERM: what is in work may finish; what does not is told as far as it was done, given back, and done by the next one', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(120) });
  const writes = new Map<string, number>();
  ground.between((store, worker) => tapped(store, async (call, argument) => {
    if (call !== 'write') return;
    const { key, signal } = argument as { readonly key: string; readonly signal: AbortSignal };
    if (worker === 'a') await ground.clock.sleep(Number(key.slice(2)) >= 110 ? 3_600_000 : 2000, signal);
    writes.set(key, (writes.get(key) ?? 0) + 1);
  }));
  const tasks = await ground.plan(60);
  await ground.send(tasks);
  const first = ground.worker('a', { drainMs: 30_000 });
  await ground.until(() => writes.size >= 10);
  const stoppedAt = ground.clock.monotonic();
  await first.stop();
  assert.ok(ground.clock.monotonic() - stoppedAt <= 31_000);
  assert.equal(writes.size, 110);
  assert.deepEqual([...await ground.closes(tasks)], [1, 0]);
  const { waiting, inFlight, delayed } = ground.broker.counts();
  assert.deepEqual([waiting, inFlight, delayed], [1, 0, 0], 'it comes again at once');
  ground.worker('b');
  await ground.until(() => ground.closed(tasks));
  assert.deepEqual([...writes.values()].filter((count) => count > 1), []);
  assert.equal((await ground.ledger()).tally(1).copied.objects, 120);
});

test('a task that was amended after its last word is done again, however often older messages of it come', async (t) => {
  const source = filled(10);
  const ground = await FleetGround.open(t, { source });
  const tasks = await ground.plan(10);
  const [task] = tasks as [Planned];
  await ground.send(tasks);
  ground.worker('a');
  await ground.until(() => ground.closed(tasks));
  // The closing listing finds that somebody wrote over one of them.
  const token = (ground.destination as MemoryStore).put('k/00003', 'foreign');
  const changed = { ...(task.items[3] as Planned['items'][number]), destination: token };
  await ground.pen.append([{ type: 'amend', task: task.name, after: 1, changes: [{ item: changed }] }]);
  await ground.send(tasks);
  await ground.send([{ name: task.name, items: [changed] }], 1, { after: 1 });
  await ground.until(() => ground.left() === 0);
  assert.equal((ground.destination as MemoryStore).bytes('k/00003')?.toString(), '3');
  assert.equal((await ground.ledger()).tally(1).copied.objects, 10);
});

test('a migration that has no messages for long is closed, and opened again when there is one', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(20) });
  let opened = 0;
  ground.onOpen = () => { opened++; };
  const tasks = await ground.plan(10);
  await ground.send([tasks[0] as Planned]);
  ground.worker('a', { idleMs: 60_000 });
  await ground.until(() => ground.left() === 0);
  assert.equal((await ground.journal.beats()).length, 1);
  await ground.pass(300_000);
  assert.deepEqual(await ground.journal.beats(), []);
  await ground.send([tasks[1] as Planned]);
  await ground.until(() => ground.closed(tasks));
  assert.equal(opened, 2);
});
