/** What a worker leaves behind of a task that it gives back, as the stores see it: how often whoever gets it next asks for what may stand there. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore } from '../../src/stores/memory/index.ts';
import { FleetGround, tapped } from './fleet-ground.ts';

const OBJECTS = 200;

/** The first worker gets half of a task done and holds some objects; `ends` it; then another one does the rest. Answers what that one asked the destination. */
async function second(t: Parameters<typeof FleetGround.open>[0], ends: (worker: ReturnType<FleetGround['worker']>) => Promise<void> | void): Promise<{ readonly heads: number; readonly held: number; readonly written: number }> {
  const source = createMemoryStore({ name: 'source' });
  for (let i = 0; i < OBJECTS; i++) source.put(`dir/${String(i).padStart(5, '0')}`, `${i}`.padEnd(20, '.'));
  const ground = await FleetGround.open(t, { source, options: { limits: { concurrency: 4 } }, leaseMs: 10_000 });
  const tasks = await ground.plan(OBJECTS);
  const asked = { reads: 0, held: 0, heads: 0, writes: 0 };
  let isSecond = false;
  ground.between((store, worker) => tapped(store, async (call, argument) => {
    if (call === 'head' && isSecond) asked.heads++;
    if (call === 'write') asked.writes++;
    if (call !== 'read' || worker !== 'first' || ++asked.reads <= OBJECTS / 2) return;
    asked.held++;
    await ground.clock.sleep(24 * 3_600_000, (argument as { readonly signal: AbortSignal }).signal);
  }));
  await ground.send(tasks);
  const first = ground.worker('first', { drainMs: 0 });
  await ground.until(() => asked.held === 4);
  await ends(first);
  isSecond = true;
  ground.worker('second');
  await ground.until(() => ground.closed(tasks));
  await ground.until(() => ground.left() === 0);
  assert.equal((await ground.ledger()).tally(1).copied.objects, OBJECTS);
  return { heads: asked.heads, held: asked.held, written: asked.writes };
}

test('after a worker that left only what it had begun is looked at', async (t) => {
  const { heads, held, written } = await second(t, (worker) => worker.stop());
  assert.deepEqual([heads, written], [held, OBJECTS]);
});

test('F095: after a worker that was killed each object is looked at, and none that stands is written again', async (t) => {
  const { heads, written } = await second(t, (worker) => worker.kill());
  assert.ok(heads >= OBJECTS, `${heads} heads`);
  assert.equal(written, OBJECTS);
});
