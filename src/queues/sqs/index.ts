/**
 * Amazon SQS, standard queues: long polls, batches of ten, heartbeats by ChangeMessageVisibility, a dead-letter queue.
 *
 * Limits (SQS Developer Guide, "Amazon SQS message quotas"): a message 1 MiB since 2025 (256 KiB before; we keep to that, as other engines and
 * older queues do), a poll 20 s, a batch ten entries. A message is held for 12 h at most, counted from the delivery: extensions do not add up
 * beyond that; then it becomes visible, whoever works on it, and comes again with one more receive. Retention 14 days at most, and a message
 * that moves to the dead letters by the queue's own limit takes its age along (F097); one that is parked by us starts anew.
 */
import { asBrigadeError, type BrigadeError, cancelled, isKind } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { MessageLimits, MessageQueue } from '../../ports/message-queue.ts';
import { heardOut } from '../heard-out.ts';
import { byteLength, mustFit, reasonLine, sendFit } from '../outgoing.ts';
import { BATCH, groups } from './batches.ts';
import { createSqsClient, type SqsAccess } from './client.ts';
import { SqsHolding, type SqsContext } from './deliveries.ts';
import { bury, deadLetters } from './dead.ts';
import { entryError } from './errors.ts';
import { findQueues, LARGEST_MESSAGE } from './setup.ts';

export interface SqsOptions extends SqsAccess {
  /** A name, or a URL as SQS gives it. FIFO is refused. */
  readonly queue: string;
  readonly clock: Clock;
  /** Makes queue and dead-letter queue (`<name>-dead`) where they are missing. Default false. */
  readonly create?: boolean;
  /** Of a fresh delivery, whole seconds upwards. Default 30 s: short, with heartbeats (F100). */
  readonly leaseMs?: number;
  /** Default 100 (design §4.10). */
  readonly mostReceives?: number;
}

const CEILING_MS = 12 * 3_600_000;
const LONGEST_POLL_S = 20;
/** What the reason of `park` and its neighbours take of a message. */
const ROOM_FOR_REASON = 2048;
const SENDERS = 8;

/** @throws BrigadeError: usage E_QUEUE_FIFO; premise E_QUEUE_MISSING, E_ACCESS_DENIED, E_QUEUE_CONFIG, E_CREDENTIALS; transient */
export async function openSqsQueue(options: SqsOptions): Promise<MessageQueue> {
  const { queue, clock, create = false, mostReceives = 100 } = options;
  const leaseMs = Math.ceil((options.leaseMs ?? 30_000) / 1000) * 1000;
  const client = await createSqsClient(options);
  try {
    const pair = await findQueues(client, { queue, create, leaseMs, mostReceives });
    const limits: MessageLimits = {
      largestMessageBytes: pair.largestMessageBytes - ROOM_FOR_REASON, longestDelayMs: CEILING_MS, longestLeaseMs: CEILING_MS,
      leaseMs, leasesVary: true, mostReceives: pair.mostReceives, countsAll: true, mostPerReceive: BATCH,
    };
    return heardOut(sqsQueue({ client, clock, url: pair.url, deadUrl: pair.deadUrl, where: `sqs:${pair.url}`, limits }, pair.notes), clock);
  } catch (thrown) {
    client.close();
    throw thrown;
  }
}

function sqsQueue(context: SqsContext, notes: readonly string[]): MessageQueue {
  const { client, where, limits } = context;
  const holding = new SqsHolding(context);
  return {
    describe: where,
    limits, notes,
    send: (messages, signal) => sendFit(messages, limits.largestMessageBytes, where, (fit) => sendAll(context, fit.map(({ body }) => body), signal)),
    receive: (most, waitMs, signal) => receive(context, holding, { most, waitMs }, signal),
    counts: (signal) => counts(context, signal),
    bury: async (letter, reason) => {
      mustFit(letter, limits.largestMessageBytes, where);
      await bury(context, letter.body, reasonLine(reason), 0);
    },
    deadLetters: (most, signal) => deadLetters(context, most, signal),
    close: async () => client.close(),
  };
}

type Results = readonly (BrigadeError | undefined)[];

async function sendAll(context: SqsContext, bodies: readonly string[], signal?: AbortSignal): Promise<Results> {
  if (signal?.aborted === true) throw cancelled('SendMessageBatch');
  const batches = groups(bodies, LARGEST_MESSAGE, byteLength);
  const results: Results[] = [];
  let next = 0;
  const sender = async (): Promise<void> => {
    for (let i = next++; i < batches.length; i = next++) results[i] = await sendBatch(context, batches[i] ?? [], signal);
  };
  await Promise.all(Array.from({ length: Math.min(SENDERS, batches.length) }, sender));
  return results.flat();
}

/** Network trouble is each message's own error; only the signal ends it all. */
async function sendBatch({ client, url, where }: SqsContext, bodies: readonly string[], signal?: AbortSignal): Promise<Results> {
  const Entries = bodies.map((MessageBody, i) => ({ Id: String(i), MessageBody }));
  try {
    const { Failed = [] } = await client.call('SendMessageBatch', where, (sqs, options) => sqs.sendMessageBatch({ QueueUrl: url, Entries }, options), signal);
    const failed = new Map(Failed.map((entry) => [entry.Id, entryError(entry, 'SendMessageBatch', where)]));
    return bodies.map((_, i) => failed.get(String(i)));
  } catch (thrown) {
    const error = asBrigadeError(thrown, 'SendMessageBatch');
    if (isKind(error, 'cancelled')) throw error;
    return bodies.map(() => error);
  }
}

async function receive(
  context: SqsContext, holding: SqsHolding, { most, waitMs }: { most: number; waitMs: number }, signal: AbortSignal,
): ReturnType<MessageQueue['receive']> {
  const { client, clock, url, where, limits } = context;
  const until = clock.monotonic() + waitMs;
  for (;;) {
    if (signal.aborted) throw cancelled('ReceiveMessage');
    const left = Math.max(0, until - clock.monotonic());
    const asked = clock.monotonic();
    const request = {
      QueueUrl: url, MaxNumberOfMessages: Math.min(most, BATCH), VisibilityTimeout: limits.leaseMs / 1000,
      WaitTimeSeconds: Math.min(LONGEST_POLL_S, Math.ceil(left / 1000)), MessageSystemAttributeNames: ['ApproximateReceiveCount' as const],
    };
    const { Messages = [] } = await client.call('ReceiveMessage', where, (sqs, options) => sqs.receiveMessage(request, options), signal);
    if (Messages.length > 0 || until - clock.monotonic() <= 0) return Messages.map((message) => holding.delivery(message, asked));
  }
}

const NUMBERS = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible', 'ApproximateNumberOfMessagesDelayed'] as const;

async function counts({ client, url, deadUrl, where }: SqsContext, signal?: AbortSignal): ReturnType<MessageQueue['counts']> {
  const numbersOf = async (QueueUrl: string): Promise<readonly [number, number, number]> => {
    const request = { QueueUrl, AttributeNames: [...NUMBERS] };
    const { Attributes = {} } = await client.call('GetQueueAttributes', where, (sqs, options) => sqs.getQueueAttributes(request, options), signal);
    const [visible, hidden, delayed] = NUMBERS.map((name) => Number(Attributes[name] ?? 0));
    return [visible ?? 0, hidden ?? 0, delayed ?? 0];
  };
  const [[waiting, inFlight, delayed], [dead, looked]] = await Promise.all([numbersOf(url), numbersOf(deadUrl)]);
  return { waiting, inFlight, delayed, dead: dead + looked };
}
