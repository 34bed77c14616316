/**
 * NATS JetStream: a stream with work-queue retention, one durable pull consumer for all workers, explicit acks, heartbeats by "in progress",
 * and a second stream for dead letters.
 *
 * What is different from SQS: one lease length for all (the consumer's ack_wait), no ceiling; every answer to a delivery is a request that the
 * server confirms; the server's own max_deliver is not used, because it merely stops delivering and tells whoever listens at that moment:
 * a delivery beyond `mostReceives` is parked by the driver that gets it.
 */
import { asBrigadeError, type BrigadeError, cancelled, isKind } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { MessageDelivery, MessageLimits, MessageQueue, OutgoingMessage } from '../../ports/message-queue.ts';
import { heardOut } from '../heard-out.ts';
import { mustFit, overReceived, reasonLine, sendFit } from '../outgoing.ts';
import { unlessAborted } from '../unless-aborted.ts';
import { deadLetters } from './dead.ts';
import { bury, delivery, type NatsContext } from './deliveries.ts';
import { isMissing, natsError } from './errors.ts';
import { type NatsAccess, openLink } from './link.ts';
import { pull, type Pulled } from './pull.ts';
import { CONSUMER, ensureConsumer, findStreams, isStuck, pullSubject, taskSubject } from './streams.ts';

export type { NatsAuth } from './link.ts';

export interface NatsOptions extends NatsAccess {
  /** Name of the stream; its dead letters are in `<name>-dead`. */
  readonly queue: string;
  readonly clock: Clock;
  /** Makes the streams where they are missing. Default false; the consumer is always made. */
  readonly create?: boolean;
  /** Of every delivery and heartbeat. Default 30 s: short, with heartbeats (F100). A consumer that exists keeps its own. */
  readonly leaseMs?: number;
  /** Default 100 (design §4.10). */
  readonly mostReceives?: number;
  readonly replicas?: number;
}

const LARGEST = 256 * 1024;
/** Headers of a dead letter, within the server's max_payload. */
const ROOM_FOR_HEADERS = 2048;
const LONGEST_DELAY_MS = 12 * 3_600_000;
const SENDERS = 64;
/** One pull waits this long at most; the next one follows at once. */
const LONGEST_PULL_MS = 20_000;
/** Before asking again where the server had its reasons to answer early. */
const PAUSE_MS = 250;

/** @throws BrigadeError: usage E_QUEUE_NAME; premise E_QUEUE_MISSING, E_QUEUE_CONFIG, E_ACCESS_DENIED, E_CREDENTIALS; transient */
export async function openNatsQueue(options: NatsOptions): Promise<MessageQueue> {
  const { queue, clock, create = false, leaseMs = 30_000, mostReceives = 100, replicas } = options;
  const where = `nats:${queue}`;
  const link = await openLink(options, clock, where);
  try {
    const streams = await findStreams(link, { queue, create, leaseMs, ...(replicas === undefined ? {} : { replicas }) }, where);
    const limits: MessageLimits = {
      largestMessageBytes: Math.min(LARGEST, streams.largestMessageBytes) - ROOM_FOR_HEADERS, longestDelayMs: LONGEST_DELAY_MS,
      longestLeaseMs: Number.POSITIVE_INFINITY, leaseMs: streams.leaseMs, leasesVary: false, mostReceives, countsAll: true, mostPerReceive: 256,
    };
    return heardOut(natsQueue({ link, clock, queue, where, limits, streams }), clock);
  } catch (thrown) {
    await link.close();
    throw thrown;
  }
}

function natsQueue(context: NatsContext): MessageQueue {
  const { link, where, limits, streams } = context;
  const receiver = new Receiver(context);
  return {
    describe: where,
    limits,
    notes: streams.notes,
    send: (messages, signal) => sendFit(messages, limits.largestMessageBytes, where, (fit) => sendAll(context, fit, signal)),
    receive: (most, waitMs, signal) => receiver.receive(Math.min(most, limits.mostPerReceive), waitMs, signal),
    counts: (signal) => unlessAborted(counts(context), 'counts', signal),
    bury: async (letter, reason) => {
      mustFit(letter, limits.largestMessageBytes, where);
      await bury(context, letter.body, { id: letter.id, receives: 0, reason: reasonLine(reason) });
    },
    deadLetters: (most, signal) => unlessAborted(deadLetters(context, most), 'deadLetters', signal),
    close: () => link.close(),
  };
}

async function sendAll(context: NatsContext, messages: readonly OutgoingMessage[], signal?: AbortSignal): Promise<readonly (BrigadeError | undefined)[]> {
  const errors: (BrigadeError | undefined)[] = [];
  let next = 0;
  const sender = async (): Promise<void> => {
    for (let i = next++; i < messages.length; i = next++) errors[i] = await sendOne(context, messages[i] as OutgoingMessage, signal);
  };
  await Promise.all(Array.from({ length: Math.min(SENDERS, messages.length) }, sender));
  return messages.map((_, i) => errors[i]);
}

/** Network trouble is this message's own error; only the signal ends it all. */
async function sendOne({ streams, queue, where }: NatsContext, { id, body }: OutgoingMessage, signal?: AbortSignal): Promise<BrigadeError | undefined> {
  try {
    await unlessAborted(streams.js.publish(taskSubject(queue), body, { msgID: id }), 'publish', signal);
    return undefined;
  } catch (thrown) {
    const error = natsError(thrown, 'publish', where, signal);
    if (isKind(error, 'cancelled')) throw error;
    return error;
  }
}

class Receiver {
  readonly #context: NatsContext;
  #lastDelivery: number;

  constructor(context: NatsContext) {
    this.#context = context;
    this.#lastDelivery = context.clock.monotonic();
  }

  async receive(most: number, waitMs: number, signal: AbortSignal): Promise<readonly MessageDelivery[]> {
    const { clock, link } = this.#context;
    const until = clock.monotonic() + waitMs;
    const left = (): number => Math.max(0, until - clock.monotonic());
    for (let waits = 0; ;) {
      if (signal.aborted) throw cancelled('receive');
      if (!await link.connected(left(), signal)) return [];
      const asked = clock.monotonic();
      const pulled = await this.#pull(most, waits, signal);
      const deliveries = await this.#deliveries(pulled, asked);
      if (deliveries.length > 0) return deliveries;
      if (signal.aborted) throw cancelled('receive');
      if (left() === 0) return this.#nothing();
      if (waits > 0 || pulled.end !== 'empty') await this.#mend(pulled, asked, waits, left(), signal);
      waits = Math.min(left(), LONGEST_PULL_MS);
    }
  }

  /** First what is there, as many as wanted; then one that waits. */
  async #pull(most: number, waitMs: number, signal: AbortSignal): Promise<Pulled> {
    const { link, clock, queue, where } = this.#context;
    try {
      return await pull(link, clock, { subject: pullSubject(queue), batch: waitMs > 0 ? 1 : most, waitMs }, signal);
    } catch (thrown) {
      throw natsError(thrown, 'receive', where, signal);
    }
  }

  /** What was delivered too often is parked, not handed out. */
  async #deliveries({ messages }: Pulled, asked: number): Promise<readonly MessageDelivery[]> {
    const { limits, clock } = this.#context;
    if (messages.length > 0) this.#lastDelivery = clock.monotonic();
    const all = messages.map((message) => delivery(this.#context, message, asked));
    const over = all.filter(({ receives }) => receives > limits.mostReceives);
    await Promise.all(over.map((one) => one.park(overReceived(limits.mostReceives))));
    return all.filter((one) => !over.includes(one));
  }

  /** An answer that is no message: the consumer may be gone, or the server wants peace. */
  async #mend({ end }: Pulled, asked: number, waitMs: number, leftMs: number, signal: AbortSignal): Promise<void> {
    const { clock, streams, queue, limits, where } = this.#context;
    if (end === 'gone') await ensureConsumer(streams.jsm, { queue, leaseMs: limits.leaseMs }).catch((thrown: unknown) => { throwUnlessTransient(thrown, where); });
    if (end === 'broken') return;
    if (clock.monotonic() - asked < Math.min(waitMs, PAUSE_MS)) await clock.sleep(Math.min(leftMs, PAUSE_MS), signal);
  }

  /** The watchdog of F100: nothing came for two leases though something waits. */
  async #nothing(): Promise<readonly MessageDelivery[]> {
    const { clock, limits, streams, queue, where } = this.#context;
    if (clock.monotonic() - this.#lastDelivery <= 2 * limits.leaseMs) return [];
    this.#lastDelivery = clock.monotonic();
    try {
      const info = await streams.jsm.consumers.info(queue, CONSUMER);
      if (isStuck(info, limits.leaseMs)) await recreate(this.#context);
    } catch (thrown) {
      throwUnlessTransient(thrown, where);
    }
    return [];
  }
}

/** What is unacknowledged is delivered again, and its deliveries are counted from one: only the far net notices. */
async function recreate({ streams: { jsm }, queue, limits }: NatsContext): Promise<void> {
  await jsm.consumers.delete(queue, CONSUMER).catch((thrown: unknown) => {
    // Another worker was faster.
    if (!isMissing(thrown)) throw thrown;
  });
  await ensureConsumer(jsm, { queue, leaseMs: limits.leaseMs });
}

/** A connection that is lost while waiting is waited for: the next turn sees whether it is back. */
function throwUnlessTransient(thrown: unknown, where: string): void {
  const error = natsError(thrown, 'receive', where);
  if (!isKind(error, 'transient')) throw error;
}

async function counts({ streams: { jsm, dead }, queue, where }: NatsContext): ReturnType<MessageQueue['counts']> {
  try {
    const [consumer, deadStream] = await Promise.all([jsm.consumers.info(queue, CONSUMER), jsm.streams.info(dead)]);
    return { waiting: consumer.num_pending, inFlight: consumer.num_ack_pending, delayed: 0, dead: deadStream.state.messages };
  } catch (thrown) {
    throw asBrigadeError(natsError(thrown, 'counts', where));
  }
}
