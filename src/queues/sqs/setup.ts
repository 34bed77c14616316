/** Finds the two queues (tasks and dead letters), makes them where asked to, and says what about them is not as it should be. */
import { BrigadeError, isKind, oneLine, usageError } from '../../core/errors.ts';
import type { SqsClient } from './client.ts';

export const LARGEST_MESSAGE = 256 * 1024;
/** Longest retention that SQS has (Developer Guide, message quotas). */
const RETENTION_S = 14 * 86_400;
const POLL_S = 20;

export interface Wanted {
  /** A name, or a URL as SQS gives it. */
  readonly queue: string;
  /** Makes what is missing; else that is E_QUEUE_MISSING. What exists is never changed. */
  readonly create: boolean;
  readonly leaseMs: number;
  readonly mostReceives: number;
}

export interface QueuePair {
  readonly url: string;
  readonly deadUrl: string;
  readonly mostReceives: number;
  readonly largestMessageBytes: number;
  readonly notes: readonly string[];
}

type Attributes = Readonly<Partial<Record<string, string>>>;

/** @throws usage E_QUEUE_FIFO, premise E_QUEUE_MISSING, E_ACCESS_DENIED, E_QUEUE_CONFIG */
export async function findQueues(client: SqsClient, wanted: Wanted): Promise<QueuePair> {
  refuseFifo(wanted.queue, wanted.queue.endsWith('.fifo'));
  const url = await urlOf(client, wanted.queue) ?? await makePair(client, wanted);
  const attributes = await attributesOf(client, url);
  refuseFifo(wanted.queue, attributes['FifoQueue'] === 'true');
  const policy = redrivePolicy(attributes['RedrivePolicy'], url);
  const deadUrl = await deadUrlOf(client, policy.deadLetterTargetArn, url);
  const dead = await attributesOf(client, deadUrl);
  return {
    url, deadUrl,
    mostReceives: policy.maxReceiveCount,
    largestMessageBytes: Math.min(LARGEST_MESSAGE, Number(attributes['MaximumMessageSize'] ?? LARGEST_MESSAGE), Number(dead['MaximumMessageSize'] ?? LARGEST_MESSAGE)),
    notes: [...noteReceives(policy.maxReceiveCount, wanted.mostReceives), ...noteRetention('queue', attributes), ...noteRetention('dead-letter queue', dead)],
  };
}

function refuseFifo(queue: string, fifo: boolean): void {
  if (fifo) throw usageError('E_QUEUE_FIFO', 'a FIFO queue limits the rate and blocks a group behind one slow task', 'use a standard queue', `sqs:${queue}`);
}

const isUrl = (queue: string): boolean => /^https?:\/\//.test(queue);

async function urlOf(client: SqsClient, queue: string, owner?: string): Promise<string | undefined> {
  if (isUrl(queue)) return queue;
  try {
    const account = owner === undefined ? {} : { QueueOwnerAWSAccountId: owner };
    return (await client.call('GetQueueUrl', `sqs:${queue}`, (sqs) => sqs.getQueueUrl({ QueueName: queue, ...account }))).QueueUrl;
  } catch (thrown) {
    if (isKind(thrown, 'premise') && thrown.code === 'E_QUEUE_MISSING') return undefined;
    throw thrown;
  }
}

async function attributesOf(client: SqsClient, url: string): Promise<Attributes> {
  return (await client.call('GetQueueAttributes', `sqs:${url}`, (sqs) => sqs.getQueueAttributes({ QueueUrl: url, AttributeNames: ['All'] }))).Attributes ?? {};
}

async function makePair(client: SqsClient, { queue, create, leaseMs, mostReceives }: Wanted): Promise<string> {
  if (!create) throw missing(queue, 'there is no such queue', 'check name, region and account, or let it be created');
  const deadName = `${queue}-dead`;
  const deadUrl = await urlOf(client, deadName) ?? await make(client, deadName, { MessageRetentionPeriod: String(RETENTION_S) });
  const { QueueArn: deadLetterTargetArn } = await attributesOf(client, deadUrl);
  return make(client, queue, {
    MessageRetentionPeriod: String(RETENTION_S),
    ReceiveMessageWaitTimeSeconds: String(POLL_S),
    VisibilityTimeout: String(Math.ceil(leaseMs / 1000)),
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: mostReceives }),
  });
}

async function make(client: SqsClient, name: string, attributes: Record<string, string>): Promise<string> {
  const { QueueUrl: url } = await client.call('CreateQueue', `sqs:${name}`, (sqs) => sqs.createQueue({ QueueName: name, Attributes: attributes }));
  if (url === undefined) throw missing(name, 'SQS made a queue and did not say where', 'try again');
  return url;
}

interface RedrivePolicy {
  readonly deadLetterTargetArn: string;
  readonly maxReceiveCount: number;
}

function redrivePolicy(text: string | undefined, url: string): RedrivePolicy {
  const policy = parsePolicy(text);
  const target = policy['deadLetterTargetArn'];
  const most = Number(policy['maxReceiveCount']);
  if (typeof target !== 'string' || !(most > 0)) {
    throw new BrigadeError({
      code: 'E_QUEUE_CONFIG', kind: 'premise', op: 'GetQueueAttributes', location: `sqs:${url}`, message: 'the queue has no dead-letter queue',
      hint: 'give it a redrive policy with maxReceiveCount 100, or let the queue be created',
    });
  }
  return { deadLetterTargetArn: target, maxReceiveCount: most };
}

function parsePolicy(text: string | undefined): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(text ?? '{}') ?? {}) as Record<string, unknown>;
  } catch {
    // Not JSON is the same as no policy: the caller says so.
    return {};
  }
}

/** arn:aws:sqs:region:account:name */
async function deadUrlOf(client: SqsClient, arn: string, url: string): Promise<string> {
  const [, , , , account, name = ''] = arn.split(':');
  const found = await urlOf(client, name, account);
  if (found === undefined) throw missing(url, `its dead-letter queue ${oneLine(name, 80)} does not exist`, 'create it, or give the queue another redrive policy');
  return found;
}

function missing(queue: string, message: string, hint: string): BrigadeError {
  return new BrigadeError({ code: 'E_QUEUE_MISSING', kind: 'premise', op: 'GetQueueUrl', location: `sqs:${queue}`, message, hint });
}

function noteReceives(has: number, wanted: number): readonly string[] {
  return has >= wanted ? [] : [`maxReceiveCount is ${has}: a healthy task whose workers are often replaced ends among the dead letters; ${wanted} is safe`];
}

function noteRetention(which: string, attributes: Attributes): readonly string[] {
  const seconds = Number(attributes['MessageRetentionPeriod'] ?? RETENTION_S);
  return seconds >= RETENTION_S ? [] : [`the ${which} keeps messages for ${+(seconds / 86_400).toFixed(1)} days; 14 are possible, and what expires costs time`];
}
