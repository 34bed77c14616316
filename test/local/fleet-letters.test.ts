/** What workers tell operators of objects that failed: letters among the dead letters, one a task. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../../src/core/errors.ts';
import { compareKeys } from '../../src/core/key.ts';
import type { FailedObject } from '../../src/fleet/failure-letter.ts';
import { failuresOf } from '../../src/fleet/failure-letter.ts';
import { openMemoryQueue } from '../../src/queues/memory/index.ts';
import { createMemoryStore, type MemoryStore } from '../../src/stores/memory/index.ts';
import { codec, FleetGround, tapped } from './fleet-ground.ts';

const keyOf = (i: number): string => `dir/${String(i).padStart(5, '0')}`;

function filled(count: number, name = keyOf): MemoryStore {
  const store = createMemoryStore({ name: 'source' });
  for (let i = 0; i < count; i++) store.put(name(i), `${i}`.padEnd(20, '.'));
  return store;
}

/** These cannot be read, whoever tries. */
function denied(ground: FleetGround, is: (key: string) => boolean): Map<string, number> {
  const reads = new Map<string, number>();
  ground.between((store) => tapped(store, (call, argument) => {
    if (call !== 'read') return;
    const { key } = argument as { readonly key: string };
    reads.set(key, (reads.get(key) ?? 0) + 1);
    if (is(key)) throw new BrigadeError({ code: 'E_ACCESS_DENIED', kind: 'object', op: 'read', message: 'the source refuses it', hint: 'look at its policy' });
  }));
  return reads;
}

interface Letter { readonly task: string; readonly body: string; readonly reason: string; readonly failed: readonly FailedObject[] }

async function letters(ground: FleetGround): Promise<readonly Letter[]> {
  return Promise.all((await ground.queue.deadLetters(1000)).map(async ({ body, reason }) => {
    const envelope = codec.open(body);
    if (envelope.kind !== 'failed') throw new Error(`a ${envelope.kind} lies among the dead letters: ${reason}`);
    return { task: envelope.id, body, reason, failed: await failuresOf(envelope, (sha256) => ground.journal.document(sha256)) ?? [] };
  }));
}

test('objects that failed are told among the dead letters, one letter for each task that has some, with key, code, class and attempts; nothing is sent again for it', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(40) });
  denied(ground, (key) => [keyOf(3), keyOf(4), keyOf(25)].includes(key));
  const tasks = await ground.plan(10);
  await ground.send(tasks);
  for (const name of ['a', 'b']) ground.worker(name);
  await ground.until(() => ground.closed(tasks));
  await ground.until(() => ground.left() === 0);
  const told = [...await letters(ground)].sort((one, other) => Number(one.task > other.task) * 2 - 1);
  assert.deepEqual(told.map(({ task, failed }) => [task, failed.map(({ key }) => key).sort(compareKeys)]), [['1/0/0', [keyOf(3), keyOf(4)]], ['1/0/2', [keyOf(25)]]]);
  assert.deepEqual(told[1]?.failed[0], { key: keyOf(25), attempts: 1, problem: { code: 'E_ACCESS_DENIED', kind: 'object', message: 'the source refuses it', hint: 'look at its policy' } });
  assert.match(told[1]?.reason ?? '', /^1 object failed, "dir\/00025": the source refuses it \[E_ACCESS_DENIED\]$/);
  await ground.pass(600_000);
  assert.equal(ground.left(), 0);
  assert.equal((await letters(ground)).length, 2);
  assert.equal((await ground.ledger()).tally(1).failed.objects, 3);
});

test('a task that comes again after it was told is not told again; one whose worker died between its report and the letter is', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(10), leaseMs: 9000 });
  const reads = denied(ground, (key) => key === keyOf(7));
  const tasks = await ground.plan(10);
  await ground.send(tasks);
  const queue = openMemoryQueue(ground.broker);
  let died = false;
  const doomed = ground.worker('a', { queue: { ...queue, bury: () => { died = true; doomed.kill(); return new Promise(() => undefined); } } });
  await ground.until(() => died);
  assert.deepEqual([await ground.closed(tasks), (await letters(ground)).length], [true, 0]);
  ground.worker('b');
  await ground.until(() => ground.left() === 0);
  assert.deepEqual((await letters(ground)).map(({ failed }) => failed.map(({ key }) => key)), [[keyOf(7)]]);
  assert.deepEqual([...reads.values()].filter((count) => count > 1), [], 'nothing is copied again for it');
  for (const letter of await ground.queue.deadLetters(10)) await letter.discard();
  for (let sending = 1; sending < 5; sending++) {
    await ground.send(tasks, sending);
    await ground.until(() => ground.left() === 0);
  }
  assert.deepEqual(await letters(ground), []);
});

test('a queue that does not take the letter now gets it later; one that refuses it for good is noted, and the task is done all the same', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(10), leaseMs: 9000 });
  denied(ground, (key) => key === keyOf(7));
  const tasks = await ground.plan(10);
  await ground.send(tasks);
  const queue = openMemoryQueue(ground.broker);
  let left = 2;
  const failing = (kind: 'transient' | 'premise', code: string) => new BrigadeError({ code, kind, op: 'bury', message: 'not now' });
  const first = ground.worker('a', { queue: { ...queue, bury: async (...given) => { if (left-- > 0) throw failing('transient', 'E_NETWORK'); return queue.bury(...given); } } });
  await ground.until(() => ground.left() === 0);
  assert.deepEqual([(await letters(ground)).length, left], [1, -1]);
  await first.stop();
  for (const letter of await ground.queue.deadLetters(10)) await letter.discard();
  const { name, items } = tasks[0] as (typeof tasks)[number];
  let after = 0;
  while (await ground.journal.readReport({ work: name, nth: after }) !== undefined) after++;
  await ground.send([{ name, items: items.slice(7, 8) }], 1, { after });
  ground.worker('b', { queue: { ...queue, bury: async () => { throw failing('premise', 'E_ACCESS_DENIED'); } } });
  await ground.until(() => ground.left() === 0);
  assert.deepEqual(await letters(ground), []);
  assert.match(ground.notes().join('\n'), /objects that failed are not told among the dead letters: .*not now/);
});

test('F109: a letter of thousands of long keys is no larger than a message may be: they stand in the journal', async (t) => {
  // Keys that do not pack well.
  const name = (i: number): string => `${String(i).padStart(5, '0')}/${Array.from({ length: 100 }, (_, n) => ((i + 7) * (n + 13) * 2_654_435_761 >>> 0).toString(36)).join('')}`.slice(0, 700);
  const ground = await FleetGround.open(t, { source: filled(3000, name) });
  denied(ground, () => true);
  const tasks = await ground.plan(3000);
  await ground.send(tasks);
  ground.worker('a');
  await ground.until(() => ground.left() === 0);
  const [letter] = await letters(ground);
  assert.equal(letter?.failed.length, 3000);
  assert.ok(Buffer.byteLength(letter?.body ?? '') < 4096, `${Buffer.byteLength(letter?.body ?? '')} bytes`);
});

test('a letter that somebody sends to the queue asks for nothing: it goes back among the dead letters with one warning', async (t) => {
  const ground = await FleetGround.open(t, { source: filled(10) });
  denied(ground, (key) => key === keyOf(7));
  const tasks = await ground.plan(10);
  await ground.send(tasks);
  ground.worker('a');
  await ground.until(() => ground.left() === 0);
  for (const letter of await ground.queue.deadLetters(10)) await letter.redrive();
  await ground.until(() => ground.left() === 0);
  assert.equal((await letters(ground)).length, 1);
  assert.match((await ground.queue.deadLetters(1))[0]?.reason ?? '', /this is no task/);
  assert.equal(ground.notes().filter((note) => note.includes('this is no task')).length, 1);
});
