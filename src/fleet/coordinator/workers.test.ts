import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Beat } from '../../ports/journal.ts';
import { simulatedClock } from './ground.test-kit.ts';
import { Workers } from './workers.ts';

const beat = (worker: string, count: number, tasks = 1): Beat => ({ worker, beat: count, host: 'h', version: '1', tasks });

test('that nobody looked for a minute makes nobody dead: else each would take the limits of the whole fleet for its own', async () => {
  const clock = simulatedClock();
  const workers = new Workers(clock);
  workers.look([beat('a', 1), beat('b', 1)]);
  await clock.advance(60_000);
  assert.equal(workers.living().length, 2);
  workers.look([beat('a', 7), beat('b', 1)]);
  assert.deepEqual(workers.living().map(({ worker }) => worker), ['a']);
});

test('who cannot be read lives for as long as it goes on, does not speak for the others, and is told of once', async () => {
  const clock = simulatedClock();
  const workers = new Workers(clock);
  const trouble = { code: 'E_CREDENTIALS', message: 'no' };
  const unread = (count: number): Beat => ({ ...beat('new', count, 0), unread: 'of a newer release' });
  const whats = new Set<string>();
  for (let count = 1; count <= 10; count++) {
    await clock.advance(10_000);
    workers.look([{ ...beat('a', count), trouble }, unread(count)]);
    for (const { what } of workers.news()) whats.add(what);
  }
  assert.equal(workers.living().length, 2);
  assert.deepEqual([...whats], ['a E_CREDENTIALS', 'new unread']);
  assert.equal(workers.trouble(), undefined, 'of one nobody knows whether it can work');
  for (let count = 11; count <= 15; count++) {
    await clock.advance(10_000);
    workers.look([{ ...beat('a', count), trouble }, unread(10)]);
  }
  assert.deepEqual(workers.living().map(({ worker }) => worker), ['a'], 'it fell silent');
  assert.equal(workers.trouble()?.code, 'E_CREDENTIALS');
});

test('of calls for help the least of the last two words of each counts, of those who live', async () => {
  const clock = simulatedClock();
  const workers = new Workers(clock);
  const calls: number[] = [];
  for (const [count, said] of [[1, 4], [2, 6], [3, 2], [3, 2], [3, 2], [3, 2], [3, 2]] as const) {
    await clock.advance(10_000);
    workers.look([{ ...beat('a', count), calls: said }, beat('b', count)]);
    calls.push(workers.calls());
  }
  assert.deepEqual(calls, [0, 4, 2, 2, 2, 2, 0]);
});

test('F072: what the last one that died left is swept too, not only what lay there when the first did', async () => {
  const clock = simulatedClock();
  const workers = new Workers(clock);
  const times: (number | undefined)[] = [];
  for (let count = 1; count <= 30; count++) {
    await clock.advance(10_000);
    workers.look([beat('a', Math.min(count, 3)), beat('b', Math.min(count, 12)), beat('c', count), beat('idle', 1, 0)]);
    if (workers.diedMs !== times.at(-1)) times.push(workers.diedMs);
  }
  assert.equal(times.length, 3, 'each is told once, also who held nothing when it spoke last: it may have taken something since');
  assert.equal((times[2] ?? 0) - (times[1] ?? 0), 90_000);
});
