/** The two streams and the consumer of a queue: found, made where asked to, and what about them is not as it should be. */
import type { ConsumerConfig, ConsumerInfo, JetStreamClient, JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream';
import { BrigadeError, usageError } from '../../core/errors.ts';
import { isMissing, natsError } from './errors.ts';
import type { Link } from './link.ts';

export const CONSUMER = 'workers';
/** JetStream counts time in nanoseconds. */
export const NANOS_PER_MS = 1e6;
/** Within it the same message id is stored once: longer than any send is tried again for. */
const DUPLICATES_MS = 120_000;
const API_MS = 5_000;
/** Pulls that wait at once: one per worker, with room. */
const MOST_WAITING = 16_384;

export interface Wanted {
  readonly queue: string;
  /** Makes what is missing; else that is E_QUEUE_MISSING. What exists is never changed. */
  readonly create: boolean;
  readonly leaseMs: number;
  /** Absent: three in a cluster, else one. */
  readonly replicas?: number;
}

export interface Streams {
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  readonly work: string;
  readonly dead: string;
  readonly leaseMs: number;
  /** Of the smaller of server and stream; bytes. */
  readonly largestMessageBytes: number;
  readonly notes: readonly string[];
}

export const taskSubject = (queue: string): string => `${queue}.tasks`;
export const deadSubject = (queue: string): string => `${queue}.dead`;
export const pullSubject = (queue: string): string => `$JS.API.CONSUMER.MSG.NEXT.${queue}.${CONSUMER}`;

/** @throws usage E_QUEUE_NAME; premise E_QUEUE_MISSING, E_QUEUE_CONFIG, E_QUEUE_FULL; transient */
export async function findStreams({ nc }: Link, wanted: Wanted, location: string): Promise<Streams> {
  const { queue } = wanted;
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(queue)) throw usageError('E_QUEUE_NAME', 'a NATS queue is named with 1–64 of A–Z a–z 0–9 _ -', undefined, location);
  const { jetstream, jetstreamManager } = await import('@nats-io/jetstream');
  try {
    const jsm = await jetstreamManager(nc, { timeout: API_MS });
    const replicas = wanted.replicas ?? (nc.info?.cluster === undefined ? 1 : 3);
    const work = await streamOf(jsm, workStream(queue, replicas), wanted.create);
    const dead = await streamOf(jsm, deadStream(queue, replicas), wanted.create);
    refuseUnfit(work, dead, location);
    const consumer = await ensureConsumer(jsm, wanted);
    const limits = [work, dead].map(({ config }) => config.max_msg_size).filter((bytes) => bytes > 0);
    return {
      js: jetstream(nc, { timeout: API_MS }), jsm,
      work: queue, dead: dead.config.name,
      leaseMs: consumer.config.ack_wait === undefined ? wanted.leaseMs : consumer.config.ack_wait / NANOS_PER_MS,
      largestMessageBytes: Math.min(nc.info?.max_payload ?? Number.POSITIVE_INFINITY, ...limits),
      notes: [...noteSafety(work), ...noteSafety(dead), ...noteLease(consumer, wanted), SYNC_NOTE],
    };
  } catch (thrown) {
    throw natsError(thrown, 'open', location);
  }
}

type NamedStream = Partial<StreamConfig> & { name: string };

function workStream(queue: string, replicas: number): NamedStream {
  return { ...safeStream(replicas), name: queue, subjects: [taskSubject(queue)], retention: 'workqueue', duplicate_window: DUPLICATES_MS * NANOS_PER_MS };
}

function deadStream(queue: string, replicas: number): NamedStream {
  return { ...safeStream(replicas), name: `${queue}-dead`, subjects: [deadSubject(queue)], retention: 'limits', duplicate_window: DUPLICATES_MS * NANOS_PER_MS };
}

/** On disk, without age or size at which something would be dropped: a full server refuses the sender instead. */
function safeStream(replicas: number): Partial<StreamConfig> {
  return { storage: 'file', num_replicas: replicas, discard: 'new', max_age: 0, max_msgs: -1, max_bytes: -1, allow_direct: true };
}

async function streamOf(jsm: JetStreamManager, config: NamedStream, create: boolean): Promise<StreamInfo> {
  try {
    return await jsm.streams.info(config.name);
  } catch (thrown) {
    if (!isMissing(thrown) || !create) throw thrown;
    return jsm.streams.add(config);
  }
}

/** Also what a worker does that finds the consumer gone or stuck (F100): the same for all who want the same. */
export async function ensureConsumer(jsm: JetStreamManager, { queue, leaseMs }: Pick<Wanted, 'queue' | 'leaseMs'>): Promise<ConsumerInfo> {
  try {
    return await jsm.consumers.info(queue, CONSUMER);
  } catch (thrown) {
    if (!isMissing(thrown)) throw thrown;
    return jsm.consumers.add(queue, consumerConfig(leaseMs));
  }
}

/** Without max_deliver: the server would only stop delivering and say so to whoever listens at that moment. The driver parks instead. */
function consumerConfig(leaseMs: number): Partial<ConsumerConfig> {
  return {
    durable_name: CONSUMER, ack_policy: 'explicit', deliver_policy: 'all', replay_policy: 'instant',
    ack_wait: leaseMs * NANOS_PER_MS, max_deliver: -1, max_ack_pending: -1, max_waiting: MOST_WAITING,
  };
}

function refuseUnfit(work: StreamInfo, dead: StreamInfo, location: string): void {
  const refuse = (message: string): BrigadeError => new BrigadeError({
    code: 'E_QUEUE_CONFIG', kind: 'premise', op: 'open', location, message, hint: 'use another name, or delete the stream and let it be created',
  });
  if (work.config.retention !== 'workqueue') throw refuse(`the stream ${work.config.name} keeps messages by ${work.config.retention}, not as a work queue`);
  if (dead.config.retention !== 'limits') throw refuse(`the stream ${dead.config.name} keeps messages by ${dead.config.retention}, so that looking at them would lose them`);
}

const SYNC_NOTE = 'a client cannot see sync_interval: set `jetstream { sync_interval: always }` on every server, else a power failure loses what was acknowledged in the last two minutes (F101)';

function noteSafety({ config }: StreamInfo): readonly string[] {
  const { name, storage, num_replicas: replicas, persist_mode: persist, max_age: age, discard } = config;
  return [
    ...(storage === 'memory' ? [`the stream ${name} is in memory: a restart of the server loses it`] : []),
    ...(replicas < 3 ? [`the stream ${name} has ${replicas} ${replicas === 1 ? 'replica' : 'replicas'}: 3 survive the loss of a server (F101)`] : []),
    ...(persist === 'async' ? [`the stream ${name} is written behind (persist_mode async): a crash loses messages`] : []),
    ...(age > 0 ? [`the stream ${name} drops messages after ${age / NANOS_PER_MS / 1000} s`] : []),
    ...(discard === 'old' && (config.max_msgs > 0 || config.max_bytes > 0) ? [`the stream ${name} drops old messages when it is full`] : []),
  ];
}

function noteLease({ config }: ConsumerInfo, { leaseMs }: Wanted): readonly string[] {
  const has = (config.ack_wait ?? 0) / NANOS_PER_MS;
  return has === leaseMs ? [] : [`leases are ${has / 1000} s, as the consumer was made with, not ${leaseMs / 1000} s`];
}

/**
 * Messages wait, nobody is served, and nothing is in flight that could explain it (F100: nats-server#6905). By the server's own clock.
 */
export function isStuck(info: Pick<ConsumerInfo, 'num_pending' | 'num_ack_pending' | 'delivered' | 'created' | 'ts' | 'paused'>, leaseMs: number): boolean {
  if (info.num_pending === 0 || info.num_ack_pending > 0 || info.paused === true || info.ts === undefined) return false;
  // An ISO timestamp, whatever the client's types say.
  const last = Date.parse(String(info.delivered.last_active ?? info.created));
  return Date.parse(info.ts) - last > 2 * leaseMs;
}
