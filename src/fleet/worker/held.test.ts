import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunEvent } from '../../ports/events.ts';
import { simulatedClock } from '../../telemetry/clock.ts'; // eslint-disable-line import-x/no-restricted-paths -- only tests come here: the fleet knows no driver
import { MemoryBroker, openMemoryQueue } from '../../queues/memory/index.ts'; // eslint-disable-line import-x/no-restricted-paths -- as above
import { seededRandom } from '../../telemetry/random.ts'; // eslint-disable-line import-x/no-restricted-paths -- as above
import type { MessageDelivery } from '../../ports/message-queue.ts';
import { Held } from './held.ts';

const LEASE_MS = 30_000;

async function taken(wantedMs: () => number, answersAfterMs = 0) {
  const clock = simulatedClock();
  const broker = new MemoryBroker({ clock, random: seededRandom(1), leaseMs: LEASE_MS });
  const queue = openMemoryQueue(broker);
  await queue.send([{ id: 'a', body: 'a' }]);
  const [delivery] = await queue.receive(1, 0, new AbortController().signal) as readonly [MessageDelivery];
  const asked: number[] = [];
  const events: RunEvent[] = [];
  const heard = {
    ...delivery,
    extend: async (ms: number) => {
      asked.push(ms);
      const granted = await delivery.extend(ms);
      await clock.sleep(answersAfterMs);
      return granted;
    },
  };
  return { clock, queue, broker, asked, events, held: new Held(heard, queue.limits, wantedMs, { clock, events: { emit: (event) => { events.push(event); } } }) };
}

test('S1.11: a heartbeat asks for the lease that is right now, and beats at a third of what it was given', async () => {
  let wanted = LEASE_MS;
  const { clock, held, asked, events } = await taken(() => wanted);
  await clock.advance(25_000);
  assert.deepEqual(asked, [30_000, 30_000]);
  wanted = 120_000;
  await clock.advance(5_000);
  assert.deepEqual(asked.slice(2), [120_000]);
  assert.equal(held.delivery.leaseLeftMs(), 120_000);
  await clock.advance(39_000);
  assert.equal(asked.length, 3);
  wanted = LEASE_MS;
  await clock.advance(1_000);
  assert.equal(held.delivery.leaseLeftMs(), 30_000, 'shorter again');
  assert.equal(held.lost.aborted, false);
  await held.ack();
  assert.deepEqual(events.filter(({ type }) => type === 'task').map((event) => ({ ...event })), [{ type: 'task', what: 'taken', ms: 0 }, { type: 'task', what: 'done', ms: 70_000 }]);
  await clock.advance(200_000);
  assert.equal(asked.length, 4, 'nothing is asked for what is done');
});

test('F095: after two heartbeats without an answer the message is somebody else’s', async () => {
  const { clock, broker, held, events } = await taken(() => LEASE_MS);
  broker.setDown(true);
  await clock.advance(19_000);
  assert.equal(held.lost.aborted, false);
  await clock.advance(11_000);
  assert.equal(held.lost.aborted, true);
  assert.ok(events.some((event) => event.type === 'lease' && event.what === 'lost'));
});

test('F095: answers that come later than the next heartbeat is due are answers: the lease is kept, with beats in their time', async () => {
  const { clock, broker, held, asked } = await taken(() => LEASE_MS, 14_000);
  for (let second = 0; second < 120; second++) await clock.advance(1000);
  assert.equal(held.lost.aborted, false);
  assert.equal(asked.length, 12);
  broker.setDown(true);
  for (let second = 0; second < 30; second++) await clock.advance(1000);
  assert.equal(held.lost.aborted, true);
});

test('a lease that is shorter than the queue’s were when it was opened is prolonged in time', async () => {
  const clock = simulatedClock();
  const broker = new MemoryBroker({ clock, random: seededRandom(1), leaseMs: LEASE_MS });
  const queue = openMemoryQueue(broker);
  await queue.send([{ id: 'a', body: 'a' }]);
  const [delivery] = await queue.receive(1, 0, new AbortController().signal) as readonly [MessageDelivery];
  const held = new Held(delivery, { ...queue.limits, leaseMs: 10 * LEASE_MS }, () => LEASE_MS, { clock, events: { emit: () => undefined } });
  await clock.advance(3 * LEASE_MS);
  assert.equal(held.lost.aborted, false);
  await held.ack();
});
