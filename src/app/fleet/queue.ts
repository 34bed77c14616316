/**
 * `--queue`: the engine that carries the messages of a fleet, in one text without a secret.
 *
 *   sqs:NAME-OR-URL[?region=…&endpoint=…&credentials=REF&create=true&lease=30s]
 *   nats:NAME@nats://HOST:PORT[,tls://HOST:PORT…][?ca=PATH&create=true&lease=30s&replicas=3]
 *        with one of &token=REF, &creds=REF, &nkey=REF, &user=NAME&password=REF
 *   partitions:N[?lease=30s]    no engine: the journal's place carries them to N members (partitions.ts)
 *   memory:NAME    in this process alone, for tests
 *
 * REF of sqs is a whole set of credentials (`default`, `profile:NAME`, `env:PREFIX` …), that of nats one secret (`env:NAME`, `file:PATH` …).
 * Dead letters are where the engine says: SQS in the queue that its redrive policy names, NATS in the stream NAME-dead.
 */
import { resolve } from 'node:path';
import { type CredentialRef, credentialSource, type FreshText, secretText, type ValueRef } from '../../config/index.ts';
import { configError, quoteValue } from '../../config/problem.ts';
import { isKind } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import type { MessageQueue } from '../../ports/message-queue.ts';
import type { MemoryBroker } from '../../queues/memory/index.ts';
import type { NatsAuth } from '../../queues/nats/index.ts';
import { readCa } from '../ca-file.ts';
import { openPartitioned, parsePartitions, type PartitionsAround, type PartitionsReference } from './partitions.ts';
import { type Surroundings, Written } from './reference.ts';

interface Common {
  readonly queue: string;
  readonly create: boolean;
  readonly leaseMs?: number;
}

export interface SqsReference extends Common {
  readonly engine: 'sqs';
  readonly region: string;
  readonly endpoint?: string;
  readonly credentials: CredentialRef;
}

/** Where the secret stands by which a client of NATS is let in. */
export type NatsSecret =
  | { readonly kind: 'token' | 'creds' | 'nkey'; readonly ref: ValueRef }
  | { readonly kind: 'user'; readonly user: string; readonly ref: ValueRef };

export interface NatsReference extends Common {
  readonly engine: 'nats';
  readonly servers: readonly string[];
  readonly secret?: NatsSecret;
  /** Absolute path of a PEM file. */
  readonly ca?: string;
  readonly replicas?: number;
}

export interface MemoryReference {
  readonly engine: 'memory';
  readonly name: string;
}

export type QueueReference = SqsReference | NatsReference | PartitionsReference | MemoryReference;

export interface QueueAround extends Surroundings, PartitionsAround {
  /** False: nothing is made, whatever the text says. */
  readonly create?: boolean;
}

const ARGUMENT = '--queue';
const FORMS = 'write sqs:NAME, sqs:https://…/NAME, nats:NAME@nats://host:4222, or partitions:N';
const SQS_OPTIONS = ['region', 'endpoint', 'credentials', 'create', 'lease'];
const NATS_OPTIONS = ['ca', 'create', 'lease', 'replicas', 'token', 'creds', 'nkey', 'user', 'password'];
const LEASE = { least: 1_000, most: 12 * 3_600_000 };

/** Asks nobody and reads no secret. @throws usage E_CONFIG */
export function parseQueue(text: string, { env, cwd }: Surroundings): QueueReference {
  const engine = /^[a-z]*/.exec(text)?.[0] ?? '';
  const rest = text.slice(engine.length).replace(/^:/, '');
  switch (engine) {
    case 'sqs': return parseSqs(new Written(rest, ARGUMENT, SQS_OPTIONS, cwd), env);
    case 'nats': return parseNats(new Written(rest, ARGUMENT, NATS_OPTIONS, cwd));
    case 'partitions': {
      const written = new Written(rest, ARGUMENT, ['lease'], cwd);
      return parsePartitions(written, written.durationMs('lease', LEASE.least, LEASE.most));
    }
    case 'memory': return { engine, name: rest };
    default: throw configError(ARGUMENT, 'does not begin with sqs:, nats: or partitions:', FORMS);
  }
}

/**
 * The queue, open: found, or made where `create=true`.
 * @throws usage E_CONFIG, E_QUEUE_FIFO, E_QUEUE_NAME, E_CA_FILE; premise E_QUEUE_MISSING, E_QUEUE_CONFIG, E_ACCESS_DENIED, E_CREDENTIALS; transient
 */
export async function openQueue(text: string, around: QueueAround): Promise<MessageQueue> {
  const parsed = parseQueue(text, around);
  const reference = 'create' in parsed && around.create === false ? { ...parsed, create: false } : parsed;
  switch (reference.engine) {
    case 'sqs': return openSqs(reference, around);
    case 'nats': return openNats(reference, around);
    case 'partitions': return openPartitioned(reference, around);
    case 'memory': return openMemory(reference, around);
  }
}

function parseSqs(written: Written, env: Surroundings['env']): SqsReference {
  const { place } = written;
  const url = /^https?:/.test(place) ? sqsUrl(written) : undefined;
  if (url === undefined && !/^[A-Za-z0-9_-]{1,80}(?:\.fifo)?$/.test(place)) throw written.wrong(`${quoteValue(place)} names no queue`, FORMS);
  const endpoint = endpointOf(written, url) ?? env['AWS_ENDPOINT_URL_SQS'] ?? env['AWS_ENDPOINT_URL'];
  const region = written.text('region') ?? regionOf(url?.hostname ?? '') ?? env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'];
  if (region === undefined) throw written.wrong('names no region', 'add ?region=eu-central-1, or export AWS_REGION');
  const credentials = written.credentials('credentials') ?? { kind: 'default' };
  if (credentials.kind === 'anonymous') throw written.wrong('SQS takes no anonymous requests', 'write credentials=default, profile:NAME or env:PREFIX');
  return { engine: 'sqs', ...common(written, place), region, ...(endpoint === undefined ? {} : { endpoint }), credentials };
}

function sqsUrl(written: Written): URL {
  const url = URL.parse(written.place);
  if (url === null || !/^\/[^/]+\/[^/]+$/.test(url.pathname)) throw written.wrong('is not the URL of a queue', 'write it as SQS gives it: https://sqs.REGION.amazonaws.com/ACCOUNT/NAME');
  refuseUserinfo(url);
  return url;
}

/** Other parts of AWS's own API are found by region; of any other server only this address is known. */
function endpointOf(written: Written, url: URL | undefined): string | undefined {
  const given = written.text('endpoint');
  if (given === undefined) return url === undefined || /\.amazonaws\.com(?:\.cn)?$/.test(url.hostname) ? undefined : url.origin;
  const endpoint = URL.parse(given);
  if (endpoint === null || !/^https?:$/.test(endpoint.protocol)) throw written.wrong('endpoint is no URL of a server', 'write endpoint=https://sqs.example.com');
  refuseUserinfo(endpoint);
  return endpoint.origin;
}

/** Hosts as the AWS General Reference has them, "Amazon SQS endpoints": today's, the old one, and those of VPC endpoints. */
function regionOf(host: string): string | undefined {
  return /(?:^|\.)sqs(?:-fips)?\.([a-z]{2}-[a-z-]+-\d)\.(?:vpce\.)?amazonaws\.com(?:\.cn)?$/.exec(host)?.[1] ?? /^([a-z]{2}-[a-z-]+-\d)\.queue\.amazonaws\.com(?:\.cn)?$/.exec(host)?.[1];
}

function refuseUserinfo(url: URL): void {
  if (url.username !== '' || url.password !== '') throw configError(ARGUMENT, 'holds credentials inside a URL', 'write the URL without them, and a reference');
}

function common(written: Written, queue: string): Common {
  const leaseMs = written.durationMs('lease', LEASE.least, LEASE.most);
  return { queue, create: written.yes('create'), ...(leaseMs === undefined ? {} : { leaseMs }) };
}

function parseNats(written: Written): NatsReference {
  const at = written.place.indexOf('@');
  if (at < 0) throw written.wrong('names no server', 'write nats:NAME@nats://host:4222');
  const servers = written.place.slice(at + 1).split(',').map(natsServer);
  const secret = natsSecret(written);
  const [ca, replicas] = [written.text('ca'), written.count('replicas', 5)];
  return {
    engine: 'nats', ...common(written, written.place.slice(0, at)), servers,
    ...(secret === undefined ? {} : { secret }), ...(ca === undefined ? {} : { ca: resolve(written.cwd, ca) }), ...(replicas === undefined ? {} : { replicas }),
  };
}

function natsServer(text: string): string {
  const url = /^(?:nats|tls):\/\//.test(text) ? URL.parse(text) : null;
  if (url === null || url.hostname === '' || !/^\/?$/.test(url.pathname)) throw configError(ARGUMENT, 'a server of NATS is not written as one', 'write nats://host:4222 or tls://host:4222, several with commas between them');
  refuseUserinfo(url);
  return `${url.protocol}//${url.host}`;
}

function natsSecret(written: Written): NatsSecret | undefined {
  const [user, password] = [written.text('user'), written.secret('password')];
  if ((user === undefined) !== (password === undefined)) throw written.wrong('user and password belong together', 'write user=NAME&password=REF');
  const found: NatsSecret[] = user === undefined || password === undefined ? [] : [{ kind: 'user', user, ref: password }];
  for (const kind of ['token', 'creds', 'nkey'] as const) {
    const ref = written.secret(kind);
    if (ref !== undefined) found.push({ kind, ref });
  }
  if (found.length > 1) throw written.wrong(`says twice who asks: ${found.map(({ kind }) => kind).join(' and ')}`, 'keep one of them');
  return found[0];
}

async function openSqs({ queue, create, leaseMs, region, endpoint, credentials }: SqsReference, { env, clock }: QueueAround): Promise<MessageQueue> {
  const { openSqsQueue } = await import('../../queues/sqs/index.ts');
  return openSqsQueue({
    queue, create, clock, region, credentials: credentialSource(credentials, { env, clock }),
    ...(endpoint === undefined ? {} : { endpoint }), ...(leaseMs === undefined ? {} : { leaseMs }),
  });
}

async function openNats({ queue, create, leaseMs, servers, secret, ca, replicas }: NatsReference, { env, clock }: QueueAround): Promise<MessageQueue> {
  const { openNatsQueue } = await import('../../queues/nats/index.ts');
  const auth = secret === undefined ? undefined : await freshAuth(secret, secretText(secret.ref, env));
  return openNatsQueue({
    queue, create, clock, servers, ...(auth === undefined ? {} : { auth }), ...(ca === undefined ? {} : { ca: readCa(ca, `ca of ${ARGUMENT}`) }),
    ...(leaseMs === undefined ? {} : { leaseMs }), ...(replicas === undefined ? {} : { replicas }),
  });
}

/**
 * The client asks at every connect and cannot wait for an answer. A file or variable is read there and then; of a secret store it gets what was read
 * last, and what stands there now is read for the next try, which follows at once where the old one is refused (D7).
 */
async function freshAuth(secret: NatsSecret, text: FreshText): Promise<() => NatsAuth> {
  let known = await text.read();
  const readHere = (): void => { known = text.readHere?.() ?? known; };
  const readAnew = async (): Promise<void> => { known = await text.read(); };
  return () => {
    // What cannot be read now leaves the one that was right before; the server says whether it still is.
    leave(readHere);
    const now = authOf(secret, known);
    if (text.readHere === undefined) readAnew().catch(() => undefined);
    return now;
  };
}

function leave(work: () => void): void {
  try {
    work();
  } catch (thrown) {
    if (!isKind(thrown, 'premise')) throw thrown;
  }
}

function authOf(secret: NatsSecret, text: Secret): NatsAuth {
  switch (secret.kind) {
    case 'token': return { kind: 'token', token: text };
    case 'creds': return { kind: 'creds', creds: text };
    case 'nkey': return { kind: 'nkey', seed: text };
    case 'user': return { kind: 'user', user: secret.user, password: text };
  }
}

/** Of this process, by name. */
const brokers = new Map<string, MemoryBroker>();

async function openMemory({ name }: MemoryReference, { clock, random }: QueueAround): Promise<MessageQueue> {
  const memory = await import('../../queues/memory/index.ts');
  const broker = brokers.get(name) ?? new memory.MemoryBroker({ clock, random });
  brokers.set(name, broker);
  return memory.openMemoryQueue(broker);
}
