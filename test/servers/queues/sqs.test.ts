/** The SQS driver against moto: the conformance suite, and what only SQS has. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Secret } from '../../../src/core/secret.ts';
import type { Credentials, CredentialSource } from '../../../src/ports/credentials.ts';
import type { MessageQueue } from '../../../src/ports/message-queue.ts';
import { describeMessages, MOST_RECEIVES } from '../../../src/queues/conformance/messages.ts';
import { openSqsQueue, type SqsOptions } from '../../../src/queues/sqs/index.ts';
import { systemClock } from '../../../src/telemetry/clock.ts';
import { type Server, startMoto } from '../harness/index.ts';
import { type Relay, startRelay } from './relay.ts';
import { Opened } from './opened.ts';

const LEASE_MS = 2000;
let moto: Server;
let relay: Relay;
let made = 0;

const keys: Credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: new Secret('not a real one') };
const credentials: CredentialSource = { describe: 'the test', resolve: async () => keys, invalidate: () => undefined };
const freshName = (): string => `queue-${++made}`;

const opened = new Opened(openSqsQueue);
const open = (how: SqsOptions): Promise<MessageQueue> => opened.open(how);

function options(queue: string, more: Partial<SqsOptions> = {}): SqsOptions {
  return { queue, region: 'us-east-1', endpoint: `http://127.0.0.1:${relay.port}`, credentials, clock: systemClock(), leaseMs: LEASE_MS, mostReceives: MOST_RECEIVES, create: true, ...more };
}

/** A request past the driver, as another program would send it. */
async function ask(action: string, body: object): Promise<Record<string, unknown>> {
  const response = await fetch(moto.endpoint, {
    method: 'POST', body: JSON.stringify(body),
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}`, authorization: 'AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sqs/aws4_request' },
  });
  const text = await response.text();
  assert.ok(response.ok, `${action}: ${text}`);
  return JSON.parse(text === '' ? '{}' : text) as Record<string, unknown>;
}

before(async () => {
  moto = await startMoto();
  relay = await startRelay(Number(new URL(moto.endpoint).port));
});
after(async () => {
  await opened.closeAll();
  await relay?.cut();
  await moto?.stop();
});

describeMessages({
  name: 'SQS (moto)',
  create: async () => {
    const queue = freshName();
    const first = await open(options(queue));
    return {
      queue: first, leaseMs: LEASE_MS, another: () => open(options(queue)),
      purge: async () => { await ask('PurgeQueue', { QueueUrl: first.describe.slice('sqs:'.length) }); },
      cut: () => relay.cut(),
      mend: () => relay.mend(),
      cleanup: async () => {
        await relay.mend();
        await opened.closeAll();
      },
    };
  },
});

describe('what only SQS has', () => {
  test('F096: nobody holds a message for longer than 12 h', async () => {
    let skipped = 0;
    const clock = { ...systemClock(), monotonic: () => performance.now() + skipped };
    const queue = await open(options(freshName(), { clock }));
    await queue.send([{ id: 'long', body: 'a task of a day' }]);
    const [delivery] = await queue.receive(1, 1000, new AbortController().signal);
    assert.ok(delivery !== undefined);
    assert.equal(await delivery.extend(11 * 3_600_000), 11 * 3_600_000);
    skipped = 10.5 * 3_600_000;
    const rest = await delivery.extend(11 * 3_600_000);
    assert.ok(rest > 1.49 * 3_600_000 && rest <= 1.5 * 3_600_000, `${rest}`);
    await queue.close();
  });

  test('a FIFO queue is refused with one line', async () => {
    await assert.rejects(open(options('tasks.fifo')), { code: 'E_QUEUE_FIFO', kind: 'usage' });
  });

  test('a queue that is not there is a premise, unless it may be made', async () => {
    const name = freshName();
    await assert.rejects(open(options(name, { create: false })), { code: 'E_QUEUE_MISSING', kind: 'premise' });
    await (await open(options(name))).close();
    await (await open(options(name, { create: false }))).close();
  });

  test('a queue without dead letters is a premise', async () => {
    const name = freshName();
    await ask('CreateQueue', { QueueName: name });
    await assert.rejects(open(options(name)), { code: 'E_QUEUE_CONFIG', kind: 'premise' });
  });

  test('a queue that dead-letters early or forgets early is told of', async () => {
    const [name, dead] = [freshName(), freshName()];
    await ask('CreateQueue', { QueueName: dead });
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: `arn:aws:sqs:us-east-1:123456789012:${dead}`, maxReceiveCount: 2 });
    await ask('CreateQueue', { QueueName: name, Attributes: { RedrivePolicy } });
    const queue = await open(options(name, { mostReceives: 100 }));
    assert.deepEqual(queue.notes.map((note) => note.split(':')[0]), [
      'maxReceiveCount is 2', 'the queue keeps messages for 4 days; 14 are possible, and what expires costs time', 'the dead-letter queue keeps messages for 4 days; 14 are possible, and what expires costs time',
    ]);
    assert.equal(queue.limits.mostReceives, 2);
    await queue.close();
  });

  test('by URL as by name; the queue is made with 14 days, 100 receives and long polls', async () => {
    const name = freshName();
    const made = await open(options(name, { mostReceives: 100 }));
    assert.deepEqual(made.notes, []);
    const QueueUrl = made.describe.slice('sqs:'.length);
    const { Attributes } = await ask('GetQueueAttributes', { QueueUrl, AttributeNames: ['All'] }) as { Attributes: Record<string, string> };
    assert.equal(Attributes['MessageRetentionPeriod'], '1209600');
    assert.equal((JSON.parse(Attributes['RedrivePolicy'] ?? '{}') as { maxReceiveCount: number }).maxReceiveCount, 100);
    const again = await open(options(QueueUrl, { create: false }));
    await again.send([{ id: 'x', body: 'by url' }]);
    assert.equal((await made.receive(1, 5000, new AbortController().signal))[0]?.body, 'by url');
    await Promise.all([made.close(), again.close()]);
  });

  test('a queue that is deleted meanwhile is a premise', async () => {
    const queue = await open(options(freshName()));
    await ask('DeleteQueue', { QueueUrl: queue.describe.slice('sqs:'.length) });
    const gone = { code: 'E_QUEUE_MISSING', kind: 'premise' };
    await assert.rejects(queue.receive(1, 1000, new AbortController().signal), gone);
    await assert.rejects(queue.counts(), gone);
    assert.equal((await queue.send([{ id: 'x', body: 'x' }]))[0]?.error?.code, 'E_QUEUE_MISSING');
    await queue.close();
  });

  test('nobody listens: transient, one line, and no secret in it', async () => {
    await relay.cut();
    try {
      await assert.rejects(open(options(freshName())), (error: { code: string; kind: string; message: string }) => {
        assert.deepEqual([error.code, error.kind], ['E_NETWORK', 'transient']);
        assert.ok(!error.message.includes('\n') && !error.message.includes(keys.secretAccessKey.reveal()));
        return true;
      });
    } finally {
      await relay.mend();
    }
  });

  test('credentials are asked for at every request, so that a rotated secret is taken up', async () => {
    let asked = 0;
    const counting: CredentialSource = { ...credentials, resolve: async () => { asked += 1; return keys; } };
    const queue = await open(options(freshName(), { credentials: counting }));
    const before = asked;
    await queue.counts();
    await queue.counts();
    assert.ok(asked >= before + 4, `${asked - before} times for four requests`);
    await queue.close();
  });

  test('without credentials it is a premise', async () => {
    const none: CredentialSource = { ...credentials, resolve: async () => undefined };
    await assert.rejects(open(options(freshName(), { credentials: none })), { code: 'E_CREDENTIALS', kind: 'premise' });
  });

  test('heartbeats and acks that come together share requests of ten', async () => {
    const queue = await open(options(freshName(), { leaseMs: 20_000 }));
    await queue.send(Array.from({ length: 10 }, (_, i) => ({ id: `b-${i}`, body: `b-${i}` })));
    const held = [];
    while (held.length < 10) held.push(...await queue.receive(10, 5000, new AbortController().signal));
    const lengths = await Promise.all(held.map((delivery) => delivery.extend(5000)));
    assert.deepEqual(new Set(lengths), new Set([5000]));
    assert.deepEqual(new Set(await Promise.all(held.map((delivery) => delivery.ack()))), new Set(['acknowledged']));
    assert.equal((await queue.counts()).inFlight, 0);
    await queue.close();
  });
});
