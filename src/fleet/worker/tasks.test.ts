/* eslint-disable import-x/no-restricted-paths -- a real journal and a real queue: the fleet itself knows none */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runWorker } from '../../engine/worker.ts';
import { openJournal } from '../../journal/index.ts';
import type { MessageDelivery } from '../../ports/message-queue.ts';
import { MemoryBroker, openMemoryQueue } from '../../queues/memory/index.ts';
import { copied, createMemoryStore, faulty, pending, seededRandom, simulatedClock } from '../coordinator/ground.test-kit.ts';
import { Held } from './held.ts';
import { Known } from './known.ts';
import { FleetRanges } from './ranges.ts';
import { FleetRecorder } from './recorder.ts';
import { FleetTasks } from './tasks.ts';

const NAME = { epoch: 1, seq: 0, task: 0 };
const QUIET = { emit: () => undefined };

test('a task whose last word did not reach the journal is in nobody’s hand once the copier has ended: its message goes back', async () => {
  const clock = simulatedClock();
  const random = seededRandom(1);
  const journal = openJournal({ store: faulty(createMemoryStore({}), { faults: [{ ops: ['write'], times: 4, effect: { kind: 'throw', error: 'transient' } }], random, clock }), clock, random });
  const broker = new MemoryBroker({ clock, random });
  const queue = openMemoryQueue(broker);
  await queue.send([{ id: 'a', body: 'a' }]);
  const [delivery] = await queue.receive(1, 0, new AbortController().signal) as readonly [MessageDelivery];
  const recorder = new FleetRecorder({ journal: () => journal, worker: 'w', clock });
  const ranges = new FleetRanges({ recorder, journal: () => journal, worker: 'w', leaseMs: queue.limits.leaseMs, call: async () => false, clock, random });
  let gone = 0;
  const tasks = new FleetTasks({ recorder, ranges, changed: () => undefined, succeeded: () => undefined, admits: () => true, done: ({ held }) => held.ack(), refused: ({ held }) => held.release(0) });
  tasks.put({
    held: new Held(delivery, queue.limits, () => queue.limits.leaseMs, { clock, events: QUIET }), run: 1, sending: 0, size: 'small', items: [pending(1)],
    known: new Known(NAME, 0), again: false, gone: () => { gone++; },
  });
  const copying = runWorker({ queue: tasks, recorder, copy: async (_, item) => copied(item), probe: async () => {}, events: QUIET, clock, random, concurrency: 1, large: 1, tasks: 1, heartbeatMs: 1000 }, new AbortController().signal);
  await assert.rejects(copying, { kind: 'transient' });
  assert.equal(tasks.inWork, 0);
  await tasks.release(0, false);
  assert.deepEqual([gone, broker.counts().waiting, broker.counts().inFlight], [1, 1, 0]);
  const { report } = await journal.readReport({ work: NAME, nth: 0 }) ?? {};
  assert.deepEqual([report?.outcomes.length, report?.close], [1, false], 'what was done is told all the same');
});
