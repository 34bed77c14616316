/** Plain messages through a real worker, copier and journal, over stores and a queue in memory. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { parseMigration } from '../../config/index.ts';
import { Secret } from '../../core/secret.ts';
import { type Look, lookInto } from '../../engine/look.ts';
import { createMemoryStore, faulty, type Fault, hurried, seededRandom, until } from '../../fleet/coordinator/ground.test-kit.ts';
import { messageCodec } from '../../fleet/messages.ts';
import { FLEET_CHECKS, type FleetBodies, sealTask } from '../../fleet/task-message.ts';
import { runFleetWorker } from '../../fleet/worker/worker.ts';
import { openJournal, openShelf } from '../../journal/index.ts';
import type { RunEvent } from '../../ports/events.ts';
import type { MessageQueue } from '../../ports/message-queue.ts';
import { MemoryBroker, openMemoryQueue } from '../../queues/memory/index.ts';
import { planOptions } from '../options.ts';
import { explainDeadLetters } from './dead-letters.ts';
import { offer, offersAt, withdraw } from './offers.ts';
import { copying } from './open-migration.ts';
import { plainMessages, type PlainTold } from './plain-account.ts';
import { specDocument } from './spec.ts';

async function collected<T>(all: AsyncIterable<T>): Promise<T[]> {
  const some: T[] = [];
  for await (const one of all) some.push(one);
  return some;
}

const SPEC = { id: 'media', sha256: '' };

interface How {
  /** Lines of the migration file. */
  readonly more?: string;
  readonly prefix?: string;
  readonly sourceFaults?: readonly Fault[];
  readonly queue?: (queue: MessageQueue) => MessageQueue;
  /** Instead of asking both stores. */
  readonly look?: Look;
  /** What is offered is known only then. */
  readonly known?: Promise<void>;
  /** Longer where a busy machine must not lose what it has in hand. */
  readonly leaseMs?: number;
  /** By a coordinator. */
  readonly paused?: boolean;
}

async function ground(t: TestContext, { more = '', prefix = '', sourceFaults = [], queue: around = (queue) => queue, look, known, paused = false, leaseMs = 300_000 }: How = {}) {
  const clock = hurried(200);
  const random = seededRandom(7);
  const broker = new MemoryBroker({ clock, random, leaseMs });
  const codec = messageCodec<FleetBodies>({ current: new Secret('k'.repeat(32)) }, FLEET_CHECKS);
  const journal = openJournal({ store: createMemoryStore({}), clock, random });
  if (paused) await (await journal.claim({ holder: 'one', over: undefined })).control({ run: 1, pause: true, rates: {}, workers: 1 });
  const shelf = openShelf(createMemoryStore({}));
  const source = createMemoryStore({ name: 'source' });
  const destination = createMemoryStore({ name: 'destination' });
  const migration = parseMigration(Buffer.from(`name: media
connections: { here: { endpoint: 'http://127.0.0.1:1', region: x, credentials: env:NO } }
source: { s3: media, connection: here${prefix === '' ? '' : `, prefix: ${prefix}`} }
destination: { s3: copy, connection: here }
${more}`), '/media.yml', {});
  const spec = { ...SPEC, sha256: await journal.keep(specDocument(migration, { mtimeStepMs: 0 })) };
  const events: RunEvent[] = [];
  const from = faulty(source, { faults: sourceFaults, random: seededRandom(1), clock });
  const to = faulty(destination, { faults: [], random: seededRandom(1), clock });
  const around2 = { emit: (event: RunEvent) => { events.push(event); } };
  const stop = new AbortController();
  const queue = openMemoryQueue(broker);
  const start = (worker: string): Promise<void> => runFleetWorker({
    queue: around(openMemoryQueue(broker)), codec, journals: async () => journal, offers: offersAt({ offers: async () => known === undefined ? shelf : known.then(() => shelf) }, { codec, clock, events: around2 }),
    open: async () => ({
      ...copying({ migration }, { source: from, destination: to, setShare: () => undefined, setRates: () => undefined, close: async () => undefined }, { events: around2, clock, random }),
      looking: () => look ?? lookInto(from, to, planOptions(migration, clock.now(), 0)),
    }),
    worker, host: 'h', version: '1', clock, random, events: around2, drainMs: 0,
  }, stop.signal);
  const workers: Promise<void>[] = [];
  t.after(async () => {
    stop.abort();
    await Promise.all(workers);
  });
  let sent = 0;
  return {
    clock, broker, journal, shelf, stop: async () => {
      stop.abort();
      await Promise.all(workers);
    }, source, destination, codec, spec, migration, queue, from, to,
    notes: () => events.flatMap((event) => (event.type === 'note' ? event.text : [])),
    work: (worker = 'w1') => { workers.push(start(worker)); },
    offer: () => offer(shelf, codec, spec, migration),
    send: async (keys: readonly string[], fields: object = {}) => queue.send([{ id: `p${sent++}`, body: JSON.stringify({ source_bucket: 'media', dest_bucket: 'copy', keys, ...fields }) }]),
    sendText: (body: string) => queue.send([{ id: `p${sent++}`, body }]),
    empty: () => until(() => broker.counts().waiting + broker.counts().inFlight + broker.counts().delayed === 0),
    account: async (): Promise<PlainTold[]> => collected(plainMessages(journal)),
  };
}

const said = (told: PlainTold | undefined): Record<string, string> => Object.fromEntries((told?.outcomes ?? []).map(({ key, state, problem }) => [key, problem === undefined ? state : `${state} ${problem.code}`]));
const letters = (here: Awaited<ReturnType<typeof ground>>) => collected(explainDeadLetters(here.queue, { codec: here.codec, journals: { describe: 'here', open: async () => here.journal } as never, most: 100, signal: new AbortController().signal }));

test('what a plain message names is copied as after a listing: equal ones stay, missing and excluded ones fail, one letter tells of them', async (t) => {
  const here = await ground(t, { prefix: 'docs/', more: 'select: { exclude: ["*.tmp"] }\non_conflict: fail\n' });
  here.source.put('new', 'one');
  here.source.put('equal', 'two');
  here.source.put('other', 'three');
  here.source.put('x.tmp', 'four');
  here.destination.put('equal', 'two');
  here.destination.put('other', 'longer than three');
  await here.offer();
  here.work();
  await here.send(['docs/new', 'docs/equal', 'docs/other', 'docs/x.tmp', 'docs/gone', 'elsewhere/new', 'docs/']);
  await here.empty();
  const [told] = await here.account();
  assert.deepEqual(said(told), {
    new: 'copied', equal: 'unchanged', other: 'failed E_CONFLICT', 'x.tmp': 'failed E_PLAIN_KEY', gone: 'failed E_SOURCE_GONE', 'elsewhere/new': 'failed E_PLAIN_KEY', 'docs/': 'failed E_PLAIN_KEY',
  });
  assert.equal(told?.closed, true);
  assert.equal(here.destination.bytes('new')?.toString(), 'one');
  assert.equal(here.destination.bytes('other')?.toString(), 'longer than three');
  assert.equal(here.to.requests.write, 1);
  const [letter] = await letters(here);
  assert.equal(letter?.state, 'failed');
  assert.equal(letter?.told?.objects, 5);
});

test('a message whose ack is lost comes again, and nothing is copied or told twice; the same text sent again copies nothing', async (t) => {
  let lost = 0;
  const here = await ground(t, {
    queue: (queue) => ({
      ...queue, limits: queue.limits,
      receive: async (...given) => (await queue.receive(...given)).map((one) => ({
        ...one, leaseLeftMs: () => one.leaseLeftMs(), extend: (ms: number) => one.extend(ms), release: (ms: number) => one.release(ms), park: (why: string) => one.park(why),
        ack: async () => {
          if (lost++ === 0) throw new Error('the answer is lost');
          return one.ack();
        },
      })),
    }),
  });
  for (let i = 0; i < 20; i++) here.source.put(`k${i}`, `body ${i}`);
  await here.offer();
  here.work();
  const keys = [...Array.from({ length: 20 }, (_, i) => `k${i}`), 'gone'];
  await here.send(keys);
  await until(() => lost >= 2);
  await here.empty();
  assert.equal(here.to.requests.write, 20);
  assert.equal((await here.account()).length, 1);
  assert.equal(here.broker.counts().dead, 1);
  await here.send(keys);
  await here.empty();
  assert.equal(here.to.requests.write, 20);
  const states = (await here.account()).map((told) => told.outcomes.map(({ state }) => state));
  assert.deepEqual(states.map((all) => all.filter((state) => state === 'unchanged').length).sort((a, b) => a - b), [0, 20]);
});

test('a key that cannot be asked for fails after its attempts, and keeps none of the others; a bucket that refuses sends the message back', async (t) => {
  const here = await ground(t, { sourceFaults: [{ ops: ['head'], key: 'sick', effect: { kind: 'throw', error: 'transient', code: 'E_SERVER' } }, { ops: ['head'], times: 3, effect: { kind: 'throw', error: 'premise', code: 'E_ACCESS_DENIED' } }] });
  here.source.put('sick', 'x');
  here.source.put('well', 'y');
  await here.offer();
  here.work();
  await here.send(['sick', 'well']);
  await here.empty();
  const [told] = await here.account();
  assert.deepEqual(said(told), { sick: 'failed E_SERVER', well: 'copied' });
  assert.equal(told?.outcomes.find(({ key }) => key === 'sick')?.attempts, 5);
  assert.equal(here.notes().filter((text) => text.includes('E_ACCESS_DENIED')).length, 1, here.notes().join('\n'));
  assert.equal(here.broker.counts().dead, 1, 'the letter of the one that failed');
});

test('two buckets that nobody offered wait, told once, until somebody does; what is withdrawn waits again, and an offer that no key vouches for is none', async (t) => {
  const here = await ground(t);
  here.source.put('a', 'x');
  const forged = messageCodec<FleetBodies>({ current: new Secret('f'.repeat(32)) }, FLEET_CHECKS);
  await offer(here.shelf, forged, here.spec, here.migration);
  here.work();
  await here.send(['a']);
  await until(() => here.notes().some((text) => text.includes('E_PLAIN_UNKNOWN')));
  assert.match(here.notes().join('\n'), /the offer of media is passed over: .*E_MESSAGE_SIGNATURE/);
  assert.equal(here.to.requests.write ?? 0, 0);
  await here.offer();
  await here.empty();
  assert.equal(here.destination.bytes('a')?.toString(), 'x');
  assert.equal(here.broker.counts().dead, 0);
  await here.send(['a'], { dest_bucket: 'elsewhere' });
  await withdraw(here.shelf, 'media');
  await until(() => here.notes().filter((text) => text.includes('E_PLAIN_UNKNOWN')).length === 2);
});

test('a message with a wrong shape is put aside with its reason; one that is of two migrations names both', async (t) => {
  const here = await ground(t);
  await here.offer();
  await offer(here.shelf, here.codec, { ...here.spec, id: 'twin' }, here.migration);
  here.work();
  await here.send([]);
  await here.send(['a']);
  await until(() => here.broker.counts().dead === 2);
  const reasons = (await letters(here)).map(({ letter, state, why }) => [letter.reason, state, why.slice(0, 15)]);
  assert.ok(reasons.some(([reason]) => /E_PLAIN_SHAPE/.test(reason ?? '')), JSON.stringify(reasons));
  assert.ok(reasons.some(([reason]) => /media, twin.*E_PLAIN_AMBIGUOUS/.test(reason ?? '')), JSON.stringify(reasons));
  assert.ok(reasons.every(([, state, why]) => state === 'unopened' && why === 'a plain message'));
});

test('plain messages beside the tasks of a coordinator: both ask for the same objects, the bytes are right, and no ledger hears of the plain ones', async (t) => {
  const here = await ground(t);
  const items = Array.from({ length: 30 }, (_, i) => {
    const key = `k${String(i).padStart(2, '0')}`;
    const token = here.source.put(key, `body of ${i}`);
    return { key, kind: 'object' as const, size: `body of ${i}`.length, state: 'pending' as const, source: { token }, evidence: 'none' as const, attempts: 0 };
  });
  await here.offer();
  for (let part = 0; part < 3; part++) {
    const body = await sealTask(here.codec, { name: { epoch: 1, seq: 0, task: part }, spec: here.spec, run: 1, size: 'small', sending: 0 }, { items: items.slice(part * 10, part * 10 + 10) }, 200_000, (document) => here.journal.keep(document));
    await here.queue.send([{ id: `t${part}`, body }]);
    await here.send(items.slice(part * 10, part * 10 + 10).map(({ key }) => key));
  }
  here.work('w1');
  here.work('w2');
  await here.empty();
  for (const [i, { key }] of items.entries()) assert.equal(here.destination.bytes(key)?.toString(), `body of ${i}`);
  const reports = await collected(here.journal.reports());
  assert.equal(reports.filter(({ report }) => report?.close === true).length, 3, 'those of the coordinator’s tasks, and no others');
  const outcomes = [...reports.flatMap(({ report }) => report?.outcomes ?? []), ...(await here.account()).flatMap((told) => told.outcomes)];
  assert.equal(outcomes.length, 60);
  assert.ok(outcomes.every(({ state }) => state === 'copied' || state === 'unchanged'));
  assert.ok((here.to.requests.write ?? 0) <= 60);
});

test('plain messages of large objects are not hoarded by the first worker that looks at them', async (t) => {
  const here = await ground(t, { paused: true, leaseMs: 3_600_000, look: async (key) => ({ item: { key, kind: 'object', size: 100 * 1024 * 1024, state: 'pending', source: { token: 't' }, evidence: 'none', attempts: 0 } }) });
  await here.offer();
  for (let i = 0; i < 150; i++) await here.send([`k${i}`]);
  here.work();
  await until(() => here.broker.counts().inFlight >= 30);
  await here.clock.sleep(120_000);
  assert.ok(here.broker.counts().inFlight < 60, `${here.broker.counts().inFlight} in one hand`);
});

test('S1.31: plain messages that there is no room for are not taken and given back without end', async (t) => {
  let receives = 0;
  const here = await ground(t, {
    paused: true, leaseMs: 3_600_000, queue: (queue) => ({ ...queue, limits: queue.limits, receive: (...given) => {
      receives++;
      return queue.receive(...given);
    } }),
  });
  await here.offer();
  here.source.put('a', 'x');
  for (let i = 0; i < 200; i++) await here.send(['a']);
  here.work();
  await until(() => here.broker.counts().delayed > 0);
  await here.clock.sleep(30_000);
  const before = receives;
  await here.clock.sleep(120_000);
  assert.ok(receives - before < 30, `asked ${receives - before} times in two minutes`);
});

test('until it is known what is offered few plain messages are taken, and none is begun by a worker that has left', async (t) => {
  const { promise: known, resolve } = Promise.withResolvers<void>();
  const here = await ground(t, { known, leaseMs: 3_600_000 });
  here.source.put('a', 'x');
  await here.offer();
  for (let i = 0; i < 1500; i++) await here.send(['a']);
  here.work();
  await until(() => here.broker.counts().inFlight > 0);
  await here.clock.sleep(10_000);
  assert.ok(here.broker.counts().inFlight < 300, `${here.broker.counts().inFlight} taken`);
  await here.stop();
  resolve();
  await until(() => here.broker.counts().inFlight === 0);
  await here.clock.sleep(5_000);
  assert.equal(here.to.requests.write ?? 0, 0);
});
