import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom, simulatedClock } from '../coordinator/ground.test-kit.ts';
import { Calling } from './calling.ts';

const settled = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve); });

test('a queue that is slow holds up nobody, and has no more calls to take than it was given first', async () => {
  const clock = simulatedClock();
  const asked: number[] = [];
  const takes: ((taken: boolean) => void)[] = [];
  const calling = new Calling({ logs: { hands: new Set() }, clock, random: seededRandom(1), call: (hand) => { asked.push(hand); return new Promise((resolve) => { takes.push(resolve); }); } });
  for (let hours = 0; hours < 5; hours++) {
    calling.callFor(100);
    await clock.advance(3_600_000);
  }
  assert.equal(asked.length, 4);
  assert.equal(calling.waiting, 0, 'the queue has none of them');
  for (const take of takes.splice(0)) take(true);
  await settled();
  calling.callFor(100);
  assert.equal(asked.length, 8, 'they are too old to be waited for');
});

test('calls that wait in the queue are known, until they are answered, or so old that they may be lost', async () => {
  const clock = simulatedClock();
  const hands = new Set<number>();
  const asked: number[] = [];
  let takes = true;
  const calling = new Calling({ logs: { hands }, clock, random: seededRandom(2), call: async (hand) => { asked.push(hand); return takes; } });
  calling.callFor(100);
  await settled();
  assert.equal(calling.waiting, 4);
  hands.add(asked[0] as number);
  calling.callFor(100);
  assert.equal(calling.waiting, 3);
  await clock.advance(5 * 60_000 + 1);
  assert.equal(calling.waiting, 0);
  takes = false;
  calling.callFor(100);
  await settled();
  assert.equal(calling.waiting, 0, 'refused');
  calling.end();
  assert.equal(calling.waiting, 0);
});
