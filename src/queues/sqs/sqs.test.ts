/** What a real SQS does and the one of the server tests cannot: refusals by name, and batches of which a part fails. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Secret } from '../../core/secret.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Credentials, CredentialSource } from '../../ports/credentials.ts';
import type { MessageQueue } from '../../ports/message-queue.ts';
import { groups } from './batches.ts';
import { entryError, sqsError } from './errors.ts';
import { openSqsQueue } from './index.ts';

const clock: Clock = { now: () => Date.now(), monotonic: () => performance.now(), sleep: (ms) => sleep(ms) };

type Answer = { readonly status?: number; readonly body: object };
type Act = (action: string, body: Record<string, unknown>, authorization: string) => Answer | undefined;
const refusalOf = (type: string, status = 400): Answer => ({ status, body: { __type: `com.amazonaws.sqs#${type}`, message: 'no' } });

/** Answers as SQS does where `act` says nothing: one queue with its dead letters. */
async function withServer(act: Act, work: (open: (credentials?: CredentialSource) => Promise<MessageQueue>) => Promise<void>): Promise<void> {
  let endpoint = '';
  const usual = (action: string, body: Record<string, unknown>): Answer => {
    if (action === 'GetQueueUrl') return { body: { QueueUrl: `${endpoint}/1/${String(body['QueueName'])}` } };
    if (action === 'GetQueueAttributes') return { body: { Attributes: { RedrivePolicy: '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:1:dead","maxReceiveCount":100}' } } };
    return { body: {} };
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const action = String(request.headers['x-amz-target']).replace('AmazonSQS.', '');
      const body = JSON.parse(Buffer.concat(chunks).toString() || '{}') as Record<string, unknown>;
      const { status = 200, body: answer } = act(action, body, String(request.headers.authorization)) ?? usual(action, body);
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(answer));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const opened: MessageQueue[] = [];
  try {
    await work(async (credentials = sourceOf(keys('A'))) => {
      const queue = await openSqsQueue({ queue: 'tasks', region: 'us-east-1', endpoint, credentials, clock });
      opened.push(queue);
      return queue;
    });
  } finally {
    for (const queue of opened) await queue.close();
    server.close();
    server.closeAllConnections();
  }
}

const keys = (id: string): Credentials => ({ accessKeyId: `AKID${id}`, secretAccessKey: new Secret(`secret of ${id}`) });
const sourceOf = (credentials: Credentials): CredentialSource => ({ describe: 'the test', resolve: async () => credentials, invalidate: () => undefined });

test('a part of a batch that fails is told per message, by its own reason', async () => {
  const fail: Act = (action) => (action !== 'SendMessageBatch' ? undefined : { body: {
    Successful: [{ Id: '0', MessageId: 'x', MD5OfMessageBody: '0cc175b9c0f1b6a831c399e269772661' }],
    Failed: [{ Id: '1', Code: 'InternalError', SenderFault: false }, { Id: '2', Code: 'InvalidMessageContents', SenderFault: true }, { Id: '3', Code: 'AWS.SimpleQueueService.NonExistentQueue', SenderFault: true }],
  } });
  await withServer(fail, async (open) => {
    const results = await (await open()).send(['a', 'b', 'c', 'd'].map((body) => ({ id: body, body })));
    assert.deepEqual(results.map(({ id, error }) => [id, error?.kind, error?.code]), [
      ['a', undefined, undefined], ['b', 'transient', 'E_NETWORK'], ['c', 'object', 'E_QUEUE_REFUSED'], ['d', 'premise', 'E_QUEUE_MISSING'],
    ]);
  });
});

test('heartbeats that fail in a batch fail alone; a refused ack is late', async () => {
  const messages = ['a', 'b'].map((id) => ({ MessageId: id, ReceiptHandle: id, Body: id, MD5OfBody: id === 'a' ? '0cc175b9c0f1b6a831c399e269772661' : '92eb5ffee6ae2fec3ad71c777531578f' }));
  const requests: string[] = [];
  const act: Act = (action, body) => {
    if (action === 'ReceiveMessage') return { body: { Messages: messages } };
    if (!action.endsWith('Batch')) return undefined;
    requests.push(`${action} ${(body['Entries'] as unknown[]).length}`);
    return { body: { Successful: [{ Id: '0' }], Failed: [{ Id: '1', Code: 'ReceiptHandleIsInvalid', SenderFault: true }] } };
  };
  await withServer(act, async (open) => {
    const [a, b] = await (await open()).receive(10, 1000, new AbortController().signal);
    assert.ok(a !== undefined && b !== undefined);
    const beats = await Promise.allSettled([a.extend(60_000), b.extend(60_000)]);
    assert.deepEqual(beats.map((beat) => (beat.status === 'fulfilled' ? beat.value : (beat.reason as { code: string }).code)), [60_000, 'E_LEASE_LOST']);
    assert.deepEqual(await Promise.all([a.ack(), b.ack()]), ['acknowledged', 'late']);
    assert.deepEqual(requests, ['ChangeMessageVisibilityBatch 2', 'DeleteMessageBatch 2']);
  });
});

test('a secret that was rotated is taken up by the request that it refused (D7)', async () => {
  let current = keys('OLD');
  const source: CredentialSource = { describe: 'the test', resolve: async () => current, invalidate: (used) => { if (used.accessKeyId === 'AKIDOLD') current = keys('NEW'); } };
  let revoked = false;
  await withServer((_, __, authorization) => (revoked && authorization.includes('AKIDOLD') ? refusalOf('ExpiredToken', 403) : undefined), async (open) => {
    const queue = await open(source);
    revoked = true;
    assert.deepEqual(await queue.receive(1, 0, new AbortController().signal), []);
    assert.equal(current.accessKeyId, 'AKIDNEW');
  });
});

test('credentials that stay refused are a premise, without the secret', async () => {
  await withServer(() => refusalOf('InvalidClientTokenId', 403), async (open) => {
    await assert.rejects(open(), (error: { code: string; kind: string; message: string }) => error.code === 'E_CREDENTIALS' && error.kind === 'premise' && !error.message.includes('secret of'));
  });
});

test('what SQS says, as kinds of error', () => {
  const kindOf = (name: string, status?: number): string => {
    const { kind, code } = sqsError(Object.assign(new Error('no'), { name, $fault: 'client', $metadata: { httpStatusCode: status } }), 'op', 'here');
    return `${kind} ${code}`;
  };
  assert.equal(kindOf('QueueDoesNotExist', 400), 'premise E_QUEUE_MISSING');
  assert.equal(kindOf('AWS.SimpleQueueService.NonExistentQueue', 400), 'premise E_QUEUE_MISSING');
  assert.equal(kindOf('AccessDeniedException', 400), 'premise E_ACCESS_DENIED');
  assert.equal(kindOf('KmsAccessDenied', 400), 'premise E_ACCESS_DENIED');
  assert.equal(kindOf('KmsThrottled', 400), 'throttled E_THROTTLED');
  assert.equal(kindOf('RequestThrottled', 400), 'throttled E_THROTTLED');
  assert.equal(kindOf('ThrottlingException', 400), 'throttled E_THROTTLED');
  assert.equal(kindOf('OverLimit', 403), 'throttled E_THROTTLED');
  assert.equal(kindOf('ExpiredTokenException', 400), 'premise E_CREDENTIALS');
  assert.equal(kindOf('SignatureDoesNotMatch', 403), 'premise E_CREDENTIALS');
  assert.equal(kindOf('RequestTimeTooSkewed', 403), 'premise E_CLOCK_SKEW');
  assert.equal(kindOf('SomethingNew', 403), 'premise E_ACCESS_DENIED');
  assert.equal(kindOf('SomethingNew', 400), 'premise E_QUEUE_CONFIG');
  assert.equal(kindOf('ServiceUnavailable', 503), 'transient E_NETWORK');
  assert.equal(kindOf('TimeoutError'), 'transient E_NETWORK');
  assert.equal(kindOf('AbortError'), 'cancelled E_CANCELLED');
  assert.equal(kindOf('MessageNotInflight', 400), 'conflict E_LEASE_LOST');
  assert.equal(entryError({ Code: 'ReceiptHandleIsInvalid', SenderFault: true }, 'op', 'here').code, 'E_LEASE_LOST');
});

test('batches hold ten messages and no more bytes than one request may', () => {
  const sizes = (items: readonly number[]): number[] => groups(items, 100, (size) => size).map((group) => group.length);
  assert.deepEqual(sizes([]), []);
  assert.deepEqual(sizes(Array.from({ length: 25 }, () => 1)), [10, 10, 5]);
  assert.deepEqual(sizes([60, 40, 1, 99, 100, 1]), [2, 2, 1, 1]);
  assert.deepEqual(sizes([150, 1]), [1, 1]);
});
