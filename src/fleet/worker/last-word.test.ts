/* eslint-disable import-x/no-restricted-paths -- a real journal and a real queue: the fleet itself knows none */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Secret } from '../../core/secret.ts';
import type { Item } from '../../core/item.ts';
import { runWorker } from '../../engine/worker.ts';
import { openJournal } from '../../journal/index.ts';
import type { Journal, TaskName } from '../../ports/journal.ts';
import type { Task } from '../../ports/queue.ts';
import { MemoryBroker, openMemoryQueue } from '../../queues/memory/index.ts';
import { copied, createMemoryStore, ending, hurried, key, pending, seededRandom, until } from '../coordinator/ground.test-kit.ts';
import { messageCodec } from '../messages.ts';
import { FLEET_CHECKS, type FleetBodies, sealTask, type TaskCodec } from '../task-message.ts';
import { Known } from './known.ts';
import { lastWord } from './last-word.ts';
import { FleetRecorder } from './recorder.ts';
import { runFleetWorker } from './worker.ts';

const OBJECTS = 30;
const NAME: TaskName = { epoch: 1, seq: 0, task: 0 };
const SPEC = 'photos';

interface Fleet {
  readonly clock: ReturnType<typeof hurried>;
  readonly broker: MemoryBroker;
  readonly journal: Journal;
  readonly codec: TaskCodec;
}

async function fleetWithOneTask(): Promise<Fleet> {
  const clock = hurried(50);
  const broker = new MemoryBroker({ clock, random: seededRandom(1) });
  const journal = openJournal({ store: createMemoryStore({}), clock, random: seededRandom(2) });
  const codec = messageCodec<FleetBodies>({ current: new Secret('k'.repeat(32)) }, FLEET_CHECKS);
  const spec = { id: SPEC, sha256: await journal.keep(Buffer.from(SPEC)) };
  const items = Array.from({ length: OBJECTS }, (_, n) => pending(n));
  const body = await sealTask(codec, { name: NAME, spec, run: 1, size: 'small', sending: 0 }, { items }, 200_000, (document) => journal.keep(document));
  await openMemoryQueue(broker).send([{ id: 'one', body }]);
  return { clock, broker, journal, codec };
}

interface Seen {
  readonly tasks: Task[];
  readonly begun: string[];
}

/** `copy` resolves for what this worker gets done. */
function workerOn(t: TestContext, { clock, broker, journal, codec }: Fleet, name: string, copy: (item: Item, signal: AbortSignal) => Promise<void>): Seen & { stop(): Promise<void> } {
  const seen: Seen = { tasks: [], begun: [] };
  const stop = new AbortController();
  const random = seededRandom(name);
  const events = { emit: () => undefined };
  const working = runFleetWorker({
    queue: openMemoryQueue(broker), codec, journals: async () => journal, worker: name, host: 'h', version: '1', clock, random, events, drainMs: 0,
    open: async () => ({
      setShare: () => undefined, setRates: () => undefined, close: async () => undefined,
      copy: (queue, recorder, signal) => runWorker({
        queue, recorder, probe: async () => {}, events, clock, random, concurrency: 2, large: 1, tasks: 1, heartbeatMs: 1000,
        copy: async (task, item, itsSignal) => {
          if (seen.tasks.at(-1)?.id !== task.id) seen.tasks.push(task);
          seen.begun.push(item.key);
          await copy(item, itsSignal);
          return copied(item);
        },
      }, signal),
    }),
  }, stop.signal);
  const end = async (): Promise<void> => {
    stop.abort();
    await working;
  };
  ending(t, end);
  return { ...seen, stop: end };
}

const never = (signal: AbortSignal): Promise<void> => new Promise((_, reject) => {
  const end = (): void => reject(signal.reason as Error);
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
});

test('what a worker that leaves gives back is in doubt only where it was begun: the next one looks at no other object', async (t) => {
  const fleet = await fleetWithOneTask();
  const first = workerOn(t, fleet, 'first', (item, signal) => (item.size < 10 ? Promise.resolve() : never(signal)));
  await until(() => first.begun.length === 12);
  await first.stop();
  const next = workerOn(t, fleet, 'next', async () => {});
  await until(() => next.begun.length === OBJECTS - 10);
  const [task] = next.tasks;
  assert.equal(task?.inDoubt, true);
  assert.deepEqual(task?.doubtful, new Set([key(10), key(11)]));
});

test('a task that waited at a worker which leaves is in doubt at no object, however many gave it back', async (t) => {
  const fleet = await fleetWithOneTask();
  const { clock, journal, broker } = fleet;
  const recorder = new FleetRecorder({ journal: () => journal, worker: 'w', clock });
  for (let hands = 0; hands < 3; hands++) {
    const [delivery] = await openMemoryQueue(broker).receive(1, 60_000, new AbortController().signal);
    assert.ok(delivery !== undefined);
    await recorder.untouched(new Known(NAME, 0), lastWord(delivery, [], OBJECTS));
    await delivery.release(0);
  }
  const next = workerOn(t, fleet, 'next', async () => {});
  await until(() => next.begun.length === OBJECTS);
  assert.deepEqual([...next.tasks[0]?.doubtful ?? ['all']], []);
});

test('F094: what nobody gave back is in doubt as a whole: one of its holders was killed, or had another message of the same task', async () => {
  const { clock, journal } = await fleetWithOneTask();
  const recorder = new FleetRecorder({ journal: () => journal, worker: 'w', clock });
  const known = async (sending = 0): Promise<Known> => {
    const one = new Known(NAME, 0, sending);
    await one.catchUp(journal);
    return one;
  };
  const giveBack = async (id: string, receives: number): Promise<void> => recorder.untouched(new Known(NAME, 0), lastWord({ id, receives }, [], OBJECTS));
  await giveBack('a', 1);
  assert.equal((await known()).doubtful({ id: 'a', receives: 2 })?.size, 0);
  assert.equal((await known()).doubtful({ id: 'a', receives: 3 }), undefined, 'the second one fell silent');
  assert.equal((await known()).doubtful({ id: 'b', receives: 2 }), undefined, 'a word of one message says nothing of its double');
  assert.equal((await known(1)).doubtful({ id: 'a', receives: 2 }), undefined, 'nor of an earlier sending');
  await giveBack('a', 3);
  assert.equal((await known()).doubtful({ id: 'a', receives: 4 }), undefined);
  await giveBack('a', 2);
  assert.equal((await known()).doubtful({ id: 'a', receives: 4 })?.size, 0);
  await journal.report(NAME, { worker: 'other', outcomes: [copied(pending(1))], close: false, parts: [] });
  assert.equal((await known()).doubtful({ id: 'a', receives: 4 }), undefined, 'somebody else is at work on it, or was');
});

test('a give-back that saves less than it costs is not told', async () => {
  const { clock, journal } = await fleetWithOneTask();
  const recorder = new FleetRecorder({ journal: () => journal, worker: 'w', clock });
  await recorder.untouched(new Known(NAME, 0), lastWord({ id: 'a', receives: 1 }, [], 3));
  await recorder.untouched(new Known(NAME, 0), lastWord({ id: 'a', receives: 50 }, [], OBJECTS));
  assert.equal(await journal.readReport({ work: NAME, nth: 0 }), undefined);
});
