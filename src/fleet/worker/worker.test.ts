import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { openJournal } from '../../journal/index.ts'; // eslint-disable-line import-x/no-restricted-paths -- only tests come here: the fleet knows no driver
import type { RunEvent } from '../../ports/events.ts';
import type { Beat } from '../../ports/journal.ts';
import type { Recorder, TaskQueue } from '../../ports/queue.ts';
import { MemoryBroker, openMemoryQueue } from '../../queues/memory/index.ts'; // eslint-disable-line import-x/no-restricted-paths -- as above
import { copied, createMemoryStore, hurried, pending, seededRandom, until } from '../coordinator/ground.test-kit.ts';
import { messageCodec } from '../messages.ts';
import { FLEET_CHECKS, type FleetBodies, sealTask } from '../task-message.ts';
import { type OpenMigration, runFleetWorker } from './worker.ts';

test('a bucket that refuses is asked by no migration of this worker but one, now and then; others go on, it is told once, and when it is right all of them go on', async (t) => {
  const clock = hurried(100);
  const random = seededRandom(5);
  const broker = new MemoryBroker({ clock, random, mostReceives: 1000 });
  const codec = messageCodec<FleetBodies>({ current: new Secret('k'.repeat(32)) }, FLEET_CHECKS);
  const journals = new Map(['one', 'two', 'other'].map((name) => [name, openJournal({ store: createMemoryStore({}), clock, random: seededRandom(name.length) })]));
  const events: RunEvent[] = [];
  let right = false;
  const worked: Record<string, number> = { one: 0, two: 0, other: 0 };
  const probes: number[] = [];
  const refused = (): BrigadeError => new BrigadeError({ code: 'E_ACCESS_DENIED', kind: 'premise', message: 'the bucket refuses' });

  const open = (name: string): OpenMigration => {
    const place = name === 'other' ? 'its own' : 'shared';
    const copy = async (queue: TaskQueue, recorder: Recorder, signal: AbortSignal): Promise<void> => {
      for (;;) {
        const deliveries = await queue.receive(1, signal, 'small').catch(() => []);
        if (signal.aborted) return Promise.all(deliveries.map((one) => one.release(0))).then(() => undefined);
        for (const delivery of deliveries) {
          worked[name] = (worked[name] ?? 0) + 1;
          if (place === 'shared' && !right) {
            await delivery.release(0);
            throw refused();
          }
          await recorder.record(delivery.task.id, delivery.task.items.map(copied), true);
          await delivery.ack();
        }
      }
    };
    return {
      copy, setShare: () => undefined, setRates: () => undefined, close: async () => undefined, places: [place], blame: () => [place],
      probe: async () => { probes.push(clock.monotonic()); if (place === 'shared' && !right) throw refused(); },
    };
  };
  const send = async (name: string, task: number): Promise<void> => {
    const journal = journals.get(name) as ReturnType<typeof openJournal>;
    const spec = { id: name, sha256: await journal.keep(Buffer.from(name)) };
    const body = await sealTask(codec, { name: { epoch: 1, seq: 0, task }, spec, run: 1, size: 'small', sending: 0 }, { items: [pending(task)] }, 200_000, (document) => journal.keep(document));
    await openMemoryQueue(broker).send([{ id: `${name}-${task}`, body }]);
  };
  const stop = new AbortController();
  const working = runFleetWorker({
    queue: openMemoryQueue(broker), codec, journals: async (name) => journals.get(name) as ReturnType<typeof openJournal>, open: async (document) => open(document.toString()),
    worker: 'w', host: 'h', version: '1', clock, random, events: { emit: (event) => { events.push(event); } }, drainMs: 0,
  }, stop.signal);
  t.after(async () => {
    stop.abort();
    await working;
  });

  await send('one', 0);
  await until(() => worked['one'] === 1);
  for (let task = 0; task < 5; task++) {
    await send('two', task);
    await send('other', task);
  }
  await until(() => worked['other'] === 5);
  await until(() => probes.length >= 3);
  assert.equal(worked['two'], 0, 'nothing was asked of it');
  assert.equal(worked['one'], 1);
  const told = events.filter((event) => event.type === 'note' && event.text.includes('E_ACCESS_DENIED'));
  assert.equal(told.length, 1, JSON.stringify(told));
  const [first, second, third] = probes as [number, number, number];
  assert.ok(second - first >= 60_000 && third - second >= 120_000, `later each time: ${second - first}, ${third - second}`);
  right = true;
  await until(() => worked['one'] === 2 && worked['two'] === 5, 60_000);
  await until(() => broker.counts().waiting + broker.counts().inFlight + broker.counts().delayed === 0);
  assert.equal(broker.counts().dead, 0);
});

test('who works again for a while is in trouble no more, though no task is done to its end yet', async (t) => {
  const clock = hurried(100);
  const random = seededRandom(6);
  const broker = new MemoryBroker({ clock, random });
  const codec = messageCodec<FleetBodies>({ current: new Secret('k'.repeat(32)) }, FLEET_CHECKS);
  const journal = openJournal({ store: createMemoryStore({}), clock, random });
  let begun = 0;
  const copy = async (queue: TaskQueue, _: Recorder, signal: AbortSignal): Promise<void> => {
    const [delivery] = await queue.receive(1, signal, 'small').catch(() => []);
    if (delivery === undefined) return;
    if (++begun > 1) await new Promise((resolve) => { signal.addEventListener('abort', resolve, { once: true }); });
    await delivery.release(0);
    if (begun === 1) throw new BrigadeError({ code: 'E_CREDENTIALS', kind: 'premise', message: 'expired' });
  };
  const spec = { id: 'one', sha256: await journal.keep(Buffer.from('one')) };
  const body = await sealTask(codec, { name: { epoch: 1, seq: 0, task: 0 }, spec, run: 1, size: 'small', sending: 0 }, { items: [pending(0)] }, 200_000, (document) => journal.keep(document));
  await openMemoryQueue(broker).send([{ id: 'one', body }]);
  const stop = new AbortController();
  const working = runFleetWorker({
    queue: openMemoryQueue(broker), codec, journals: async () => journal, open: async () => ({ copy, setShare: () => undefined, setRates: () => undefined, close: async () => undefined }),
    worker: 'w', host: 'h', version: '1', clock, random, events: { emit: () => undefined }, drainMs: 0,
  }, stop.signal);
  t.after(async () => {
    stop.abort();
    await working;
  });
  let beat: Beat | undefined;
  const look = (): Beat | undefined => {
    void journal.beatOf('w').then((now) => { beat = now; });
    return beat;
  };
  await until(() => look()?.trouble?.code === 'E_CREDENTIALS');
  await until(() => look()?.trouble === undefined && (beat?.tasks ?? 0) === 1);
  assert.equal(begun, 2);
});
