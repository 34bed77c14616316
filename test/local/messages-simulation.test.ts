import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulatedClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { MemoryBroker, type MemoryFaults, openMemoryQueue } from '../../src/queues/memory/index.ts';

const forever = (): AbortSignal => new AbortController().signal;

/** Two workers on a simulated clock, one of which dies with every fifth message; what was delivered, when and to whom. */
async function history(seed: number, faults: MemoryFaults, count = 200): Promise<readonly string[]> {
  const clock = simulatedClock();
  const broker = new MemoryBroker({ clock, random: seededRandom(seed), leaseMs: 30_000, faults });
  const lines: string[] = [];
  const worker = async (name: string): Promise<void> => {
    const queue = openMemoryQueue(broker);
    for (let held = 0, empty = 0; empty < 3;) {
      const deliveries = await queue.receive(3, 20_000, forever());
      empty = deliveries.length === 0 ? empty + 1 : 0;
      lines.push(...deliveries.map(({ body, receives }) => `${clock.monotonic()} ${name} ${body} ${receives}`));
      for (const delivery of deliveries) {
        await clock.sleep(100);
        if (++held % 5 !== 0 || delivery.receives > 1) await delivery.ack();
      }
    }
  };
  await openMemoryQueue(broker).send(Array.from({ length: count }, (_, i) => ({ id: `${i}`, body: `${i}` })));
  await clock.run(Promise.all([worker('a'), worker('b')]));
  assert.deepEqual(broker.counts(), { waiting: 0, inFlight: 0, delayed: 0, dead: 0 });
  return lines;
}

const bodies = (lines: readonly string[]): readonly string[] => lines.map((line) => line.split(' ')[2] ?? '');

test('a seed is a history: the same one gives the same, another one another', async () => {
  const faults = { duplicate: 0.1, reorder: 0.3, lose: 0.05 };
  const [first, second, third] = [await history(1, faults), await history(1, faults), await history(2, faults)];
  assert.deepEqual(second, first);
  assert.notDeepEqual(third, first);
});

test('without faults every message comes once, in order, and again only when its worker died', async () => {
  const lines = await history(1, {});
  const first = lines.filter((line) => line.endsWith(' 1'));
  assert.deepEqual(bodies(first), Array.from({ length: 200 }, (_, i) => `${i}`));
  const again = lines.filter((line) => !line.endsWith(' 1'));
  assert.ok(again.length > 0 && again.every((line) => line.endsWith(' 2')));
  assert.ok(again.every((line) => Number(line.split(' ')[0]) >= 30_000), 'none before a lease has ended');
});

test('F094: duplicates, losses and another order come as often as they were asked for', async () => {
  const lines = await history(3, { duplicate: 0.2, reorder: 0.5, lose: 0.1 }, 1000);
  const fresh = bodies(lines.filter((line) => line.endsWith(' 1')));
  const distinct = new Set(fresh);
  const lost = 1000 - distinct.size;
  assert.ok(lost > 60 && lost < 140, `${lost} lost`);
  const duplicates = fresh.length - distinct.size;
  assert.ok(duplicates > 130 && duplicates < 230, `${duplicates} duplicates`);
  assert.notDeepEqual([...distinct], [...distinct].toSorted((a, b) => Number(a) - Number(b)));
});

test('a delay and a lease end by the clock alone', async () => {
  const clock = simulatedClock();
  const broker = new MemoryBroker({ clock, random: seededRandom(1), leaseMs: 30_000 });
  const queue = openMemoryQueue(broker);
  await queue.send([{ id: 'a', body: 'a' }]);
  const [first] = await queue.receive(1, 0, forever());
  await first?.release(3_600_000);
  assert.deepEqual(broker.counts(), { waiting: 0, inFlight: 0, delayed: 1, dead: 0 });
  const [second] = await clock.run(queue.receive(1, 7_200_000, forever()));
  assert.equal(clock.monotonic(), 3_600_000);
  assert.equal(second?.receives, 2);
  const [third] = await clock.run(queue.receive(1, 7_200_000, forever()));
  assert.equal(clock.monotonic(), 3_630_000);
  assert.equal(third?.receives, 3);
});
