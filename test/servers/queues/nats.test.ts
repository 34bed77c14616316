/** The NATS driver against nats-server: the conformance suite with a server that is really killed, and what only JetStream has. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { Secret } from '../../../src/core/secret.ts';
import type { MessageQueue } from '../../../src/ports/message-queue.ts';
import { describeMessages, MOST_RECEIVES } from '../../../src/queues/conformance/messages.ts';
import { type NatsOptions, openNatsQueue } from '../../../src/queues/nats/index.ts';
import { systemClock } from '../../../src/telemetry/clock.ts';
import { type NatsServer, startNats } from '../harness/index.ts';
import { Opened } from './opened.ts';

const LEASE_MS = 2000;
let server: NatsServer;
let made = 0;
let crashed = false;
const freshName = (): string => `queue-${++made}`;
const forever = (): AbortSignal => new AbortController().signal;

const opened = new Opened(openNatsQueue);
const open = (how: NatsOptions): Promise<MessageQueue> => opened.open(how);

function options(queue: string, more: Partial<NatsOptions> = {}): NatsOptions {
  return { queue, servers: [server.endpoint], clock: systemClock(), leaseMs: LEASE_MS, mostReceives: MOST_RECEIVES, create: true, ...more };
}

/** Past the driver, as another program would. */
async function asOperator<T>(work: (jsm: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<T>): Promise<T> {
  const nc = await connect({ servers: server.endpoint });
  try {
    return await work(await jetstreamManager(nc));
  } finally {
    await nc.close();
  }
}

const mend = async (): Promise<void> => {
  if (!crashed) return;
  await server.restart();
  crashed = false;
};

before(async () => { server = await startNats(); });
after(async () => {
  await opened.closeAll();
  await server?.stop();
});

describeMessages({
  name: 'NATS JetStream',
  create: async () => {
    const queue = freshName();
    return {
      queue: await open(options(queue)), leaseMs: LEASE_MS, another: () => open(options(queue)), mend,
      purge: async () => { await asOperator((jsm) => jsm.streams.purge(queue)); },
      cut: async () => {
        crashed = true;
        await server.crash();
      },
      cleanup: async () => {
        await mend();
        await opened.closeAll();
      },
    };
  },
});

describe('what only JetStream has', () => {
  test('the streams are a work queue and a store of dead letters, on disk, without age', async () => {
    const queue = freshName();
    await (await open(options(queue))).close();
    const [work, dead] = await asOperator(async (jsm) => [await jsm.streams.info(queue), await jsm.streams.info(`${queue}-dead`)] as const);
    assert.deepEqual([work.config.retention, work.config.storage, work.config.max_age, work.config.discard], ['workqueue', 'file', 0, 'new']);
    assert.deepEqual([dead.config.retention, dead.config.storage, dead.config.max_age, dead.config.discard], ['limits', 'file', 0, 'new']);
  });

  test('the same id within the duplicate window is stored once; a redriven message is not one of them', async () => {
    const queue = await open(options(freshName()));
    for (let i = 0; i < 3; i++) assert.deepEqual(await queue.send([{ id: 'once', body: 'once' }]), [{ id: 'once' }]);
    assert.equal((await queue.counts()).waiting, 1);
    for (let i = 0; i < 2; i++) {
      await (await queue.receive(1, 5000, forever()))[0]?.park('again');
      const [letter] = await queue.deadLetters(1);
      await letter?.redrive();
    }
    assert.deepEqual(await queue.counts(), { waiting: 1, inFlight: 0, delayed: 0, dead: 0 });
    await queue.close();
  });

  test('F101: what cannot survive, and what a client cannot see, is told', async () => {
    const queue = freshName();
    await asOperator((jsm) => jsm.streams.add({ name: queue, subjects: [`${queue}.tasks`], retention: 'workqueue', storage: 'memory', max_age: 3_600e9, max_msgs: 1000 }));
    const opened = await open(options(queue));
    const notes = opened.notes.join('\n');
    assert.match(notes, /in memory: a restart/);
    assert.match(notes, /1 replica: 3 survive/);
    assert.match(notes, /drops messages after 3600 s/);
    assert.match(notes, /drops old messages when it is full/);
    assert.match(notes, /sync_interval: always/);
    await opened.close();
  });

  test('a stream that is not a work queue is refused', async () => {
    const queue = freshName();
    await asOperator((jsm) => jsm.streams.add({ name: queue, subjects: [`${queue}.tasks`] }));
    await assert.rejects(open(options(queue)), { code: 'E_QUEUE_CONFIG', kind: 'premise' });
  });

  test('a queue that is not there is a premise; its name is checked', async () => {
    await assert.rejects(open(options(freshName(), { create: false })), { code: 'E_QUEUE_MISSING', kind: 'premise' });
    await assert.rejects(open(options('a.b')), { code: 'E_QUEUE_NAME', kind: 'usage' });
  });

  test('nobody listens: transient', async () => {
    await assert.rejects(open(options(freshName(), { servers: ['nats://127.0.0.1:1'] })), { code: 'E_NETWORK', kind: 'transient' });
  });

  test('F100: a consumer that is deleted under a waiting receiver is made again, and the receiver is served', async () => {
    const name = freshName();
    const queue = await open(options(name));
    const waiting = queue.receive(1, 20_000, forever());
    await sleep(300);
    await asOperator((jsm) => jsm.consumers.delete(name, 'workers'));
    await sleep(300);
    await queue.send([{ id: 'x', body: 'served' }]);
    assert.equal((await waiting)[0]?.body, 'served');
    await queue.close();
  });

  test('F100: a consumer that serves nobody while messages wait is made again after two leases', async () => {
    const name = freshName();
    await asOperator(async (jsm) => {
      await jsm.streams.add({ name, subjects: [`${name}.tasks`], retention: 'workqueue' });
      // Serves only pulls that name the group: ours are refused, though messages wait.
      await jsm.consumers.add(name, { durable_name: 'workers', ack_policy: 'explicit', ack_wait: LEASE_MS * 1e6, priority_groups: ['others'], priority_policy: 'overflow' });
    });
    const queue = await open(options(name));
    await queue.send([{ id: 'x', body: 'waits' }]);
    const started = performance.now();
    let got: readonly { readonly body: string }[] = [];
    for (let polls = 0; polls < 20 && got.length === 0; polls++) got = await queue.receive(1, 500, forever());
    assert.deepEqual(got.map(({ body }) => body), ['waits']);
    assert.ok(performance.now() - started >= 2 * LEASE_MS);
    await queue.close();
  });

  test('a stream that is deleted under a receiver is a premise', async () => {
    const name = freshName();
    const queue = await open(options(name));
    const waiting = queue.receive(1, 20_000, forever());
    waiting.catch(() => undefined);
    await sleep(300);
    await asOperator((jsm) => jsm.streams.delete(name));
    await assert.rejects(waiting, { code: 'E_QUEUE_MISSING', kind: 'premise' });
    await queue.close();
  });

  test('a second opener keeps the lease of the consumer, and is told', async () => {
    const name = freshName();
    const first = await open(options(name));
    const second = await open(options(name, { leaseMs: 60_000 }));
    assert.equal(second.limits.leaseMs, LEASE_MS);
    assert.ok(second.notes.some((note) => note.includes(`leases are ${LEASE_MS / 1000} s`)));
    await Promise.all([first.close(), second.close()]);
  });

  test('the largest message is what the server takes', async () => {
    const name = freshName();
    await asOperator((jsm) => jsm.streams.add({ name, subjects: [`${name}.tasks`], retention: 'workqueue', max_msg_size: 10_000 }));
    const queue = await open(options(name));
    assert.equal(queue.limits.largestMessageBytes, 10_000 - 2048);
    await queue.close();
  });
});

test('credentials: right ones are let in, wrong ones are a premise', async () => {
  await using locked = await startNats({ user: 'brigade', password: 'right' });
  const at = (password: string): NatsOptions => ({ ...options('locked'), servers: [locked.endpoint], auth: () => ({ kind: 'user', user: 'brigade', password: new Secret(password) }) });
  await (await open(at('right'))).close();
  await assert.rejects(open(at('wrong')), { code: 'E_CREDENTIALS', kind: 'premise' });
});

test('a user who may not pull is told so, not left waiting', async () => {
  await using locked = await startNats({ user: 'brigade', password: 'right', permissions: '{ publish: { deny: ["$JS.API.CONSUMER.MSG.NEXT.>", "closed.tasks"] } }' });
  const queue = await open({ ...options('closed'), servers: [locked.endpoint], auth: () => ({ kind: 'user', user: 'brigade', password: new Secret('right') }) });
  await assert.rejects(queue.receive(1, 20_000, forever()), { code: 'E_ACCESS_DENIED', kind: 'premise' });
  assert.equal((await queue.send([{ id: 'x', body: 'x' }]))[0]?.error?.code, 'E_ACCESS_DENIED');
  await queue.close();
});
