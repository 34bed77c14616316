/** The S3 endpoint: HTTP in, operations out. Writes no log and keeps no state but its layout. */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { BrigadeError } from '../core/errors.ts';
import { s3Behaviours, s3Limits } from './context.ts';
import type { Behaviours, Clock, Context, Limits, Reply, ServiceContext } from './context.ts';
import { S3Error, s3Error } from './errors.ts';
import { ResetConnection, askHook } from './hook.ts';
import type { RequestHook } from './hook.ts';
import { Patience, awaitsContinue, bodyOf, discardRest } from './incoming.ts';
import type { Bucket, Layout } from './layout.ts';
import { startListener } from './listener.ts';
import type { Listener, Tls } from './listener.ts';
import { openPayload } from './payload.ts';
import { errorXml } from './refusal.ts';
import { parseRequest } from './request.ts';
import type { S3Request } from './request.ts';
import { findRoute } from './routing.ts';
import type { Route } from './routing.ts';
import { send } from './sending.ts';
import { mayUse, verify } from './sigv4.ts';
import type { AccessKey, Verified } from './sigv4.ts';
import { Statistics } from './statistics.ts';

export type { HookAnswer, RequestHook, RequestInfo } from './hook.ts';
export type { Tls } from './listener.ts';

export interface EndpointOptions {
  readonly storage: Layout;
  readonly accessKeys: readonly AccessKey[];
  /** Default us-east-1. */
  readonly region?: string;
  /** 0: any free port. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  readonly clock?: Clock;
  readonly limits?: Partial<Limits>;
  readonly behaviours?: Partial<Behaviours>;
  /** The endpoint then speaks https, TLS 1.2 or newer. */
  readonly tls?: Tls;
  /** Refuses every operation that writes, whoever asks. */
  readonly readOnly?: boolean;
  /** Whether `stats.object()` is kept; default true. A long-running endpoint turns it off. */
  readonly countObjects?: boolean;
  /** May hold a request by returning a promise that settles later. */
  readonly onRequest?: RequestHook;
  /** Told of what was no S3 error: a defect of the endpoint or its layout, a failing disk. `what` names operation, bucket and key. */
  readonly onDefect?: (error: unknown, what: string) => void;
}

export interface Endpoint {
  readonly url: string;
  readonly port: number;
  readonly stats: Statistics;
  /** Replaces the hook while running. */
  setHook(hook: RequestHook | undefined): void;
  /** Replaces the credentials: requests that come from now on are verified with these. */
  setAccessKeys(keys: readonly AccessKey[]): void;
  /** Replaces the certificate for new connections. @throws Error of node:tls when it does not fit its key */
  setTls(tls: Tls): void;
  /** Stops listening, lets requests in flight finish for `graceMs` (default 0), then breaks open connections. */
  close(graceMs?: number): Promise<void>;
}

interface Running {
  readonly options: EndpointOptions;
  readonly region: string;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly behaviours: Behaviours;
  readonly stats: Statistics;
  readonly completed: Map<string, string>;
  readonly patience: Patience;
  keys: readonly AccessKey[];
  hook: RequestHook | undefined;
  listener: Listener | undefined;
  closing: boolean;
}

const maxKeyBytes = 1024;
const ownQuery = /^x-amz-(algorithm|credential|date|expires|signedheaders|signature|security-token)$/;

/** Presigned requests may carry x-amz- headers as query parameters. */
function withHoisted(request: S3Request): S3Request {
  if (!request.query.has('X-Amz-Signature')) return request;
  const headers = new Map(request.headers);
  for (const [name, value] of request.query) {
    const lower = name.toLowerCase();
    if (lower.startsWith('x-amz-') && !ownQuery.test(lower) && !headers.has(lower)) headers.set(lower, value);
  }
  return { ...request, headers };
}

const isRequesterPaid = (bucket: Bucket): boolean => bucket.requestPayment === 'Requester';

/** Region, expected owner and requester-pays: what a bucket asks of every request. */
function checkBucket(running: Running, request: S3Request, bucket: Bucket): void {
  if (bucket.region !== running.region) {
    throw s3Error('PermanentRedirect', { details: { Endpoint: `s3.${bucket.region}.amazonaws.com`, Bucket: bucket.name }, headers: { 'x-amz-bucket-region': bucket.region } });
  }
  const owner = request.headers.get('x-amz-expected-bucket-owner');
  if (owner !== undefined && owner !== bucket.owner) throw s3Error('AccessDenied');
  if (isRequesterPaid(bucket) && request.headers.get('x-amz-request-payer') !== 'requester') throw s3Error('AccessDenied');
}

async function handle(context: ServiceContext, running: Running, route: Route): Promise<Reply> {
  const { request } = context;
  // No key has more bytes than three for each of its UTF-16 units.
  if (request.key.length * 3 > maxKeyBytes && Buffer.byteLength(request.key) > maxKeyBytes) throw s3Error('KeyTooLongError', { details: { Size: String(Buffer.byteLength(request.key)), MaxSizeAllowed: String(maxKeyBytes) } });
  if ('service' in route.handle) return route.handle.service(context);
  const bucket = await context.layout.bucket(request.bucket);
  if (bucket === undefined) throw s3Error('NoSuchBucket', { details: { BucketName: request.bucket } });
  checkBucket(running, request, bucket);
  const full: Context = { ...context, bucket };
  const reply = await route.handle.bucket(full);
  return isRequesterPaid(bucket) ? { ...reply, headers: { ...reply.headers, 'x-amz-request-charged': 'requester' } } : reply;
}

/** What this key may do here. */
function authorise(running: Running, request: S3Request, route: Route, key: AccessKey): void {
  if (route.writes && running.options.readOnly === true) throw s3Error('AccessDenied', { message: 'This endpoint serves its data read-only.' });
  if (route.writes && key.readOnly === true) throw s3Error('AccessDenied');
  if (request.bucket !== '' && !mayUse(key, request.bucket)) throw s3Error('AccessDenied');
}

async function answer(running: Running, received: S3Request, route: Route, incoming: IncomingMessage, response: ServerResponse): Promise<Reply> {
  const { options, region, clock, limits, behaviours, completed, patience, keys } = running;
  const verified: Verified = verify(received, { keys, region, now: clock.now(), maxSkewMs: limits.maxSkewMs });
  const request = withHoisted(received);
  const canned = running.hook === undefined ? undefined : await askHook(running.hook, request, route, verified);
  if (canned !== undefined) return canned;
  authorise(running, request, route, verified.accessKey);
  const body = bodyOf(incoming, response, patience);
  const context: ServiceContext = {
    request, verified, layout: options.storage, region, clock, limits, behaviours, completed,
    payload: (emptyAllowed) => openPayload(body, request, verified, emptyAllowed),
  };
  return handle(context, running, route);
}

interface Asked { readonly id: string; readonly target: string; what: string }

/** The text of a defect is not for clients: it may name paths. */
function errorReply(running: Running, thrown: unknown, asked: Asked): Reply {
  const error = passing(thrown);
  if (!(error instanceof S3Error)) report(running, error, asked.what);
  const known = error instanceof S3Error ? error : s3Error('InternalError');
  return { status: known.status, headers: { 'content-type': 'application/xml', ...known.headers }, body: errorXml(known, asked.id, asked.target) };
}

/** A folder that was removed while a file went into it, and the like: nobody's defect, and clients know to try again. */
function passing(error: unknown): unknown {
  return error instanceof BrigadeError && error.kind === 'transient' ? s3Error('ServiceUnavailable') : error;
}

function report(running: Running, error: unknown, what: string): void {
  running.stats.failed(error);
  running.options.onDefect?.(error, what);
}

async function replyTo(running: Running, incoming: IncomingMessage, response: ServerResponse, asked: Asked): Promise<Reply> {
  try {
    const request = parseRequest(incoming, asked.id, running.behaviours.hostBase);
    const route = findRoute(request);
    const { operation, writes } = route;
    asked.what = `${operation} ${request.bucket}/${request.key}`;
    running.stats.record({ operation, bucket: request.bucket, key: request.key, writes });
    return await answer(running, request, route, incoming, response);
  } catch (error) {
    if (error instanceof ResetConnection) throw error;
    return errorReply(running, error, asked);
  }
}

const requestIds = { prefix: randomBytes(5).toString('hex').toUpperCase(), next: 0 };

/** Unique among all processes, and cheap. */
const requestId = (): string => `${requestIds.prefix}${(requestIds.next = (requestIds.next + 1) % 0x1000000).toString(16).toUpperCase().padStart(6, '0')}`;

async function serve(running: Running, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const { socket } = incoming;
  const asked: Asked = { id: requestId(), target: incoming.url ?? '/', what: '' };
  try {
    running.listener?.working(socket, true);
    const reply = await replyTo(running, incoming, response, asked);
    running.listener?.working(socket, false);
    running.stats.answered(reply.status);
    if (response.destroyed) return;
    // A body that was asked to wait never comes: what follows on this connection cannot be told from it.
    const last = running.closing || awaitsContinue(incoming);
    await send(reply, { method: incoming.method ?? 'GET', id: asked.id, now: running.clock.now(), last }, response);
    discardRest(incoming);
  } catch (error) {
    if (error instanceof ResetConnection) socket.resetAndDestroy();
    else {
      report(running, error, asked.what);
      response.destroy();
    }
  }
}

/** Starts an endpoint over a layout.
 * @throws Error of node:net when the address cannot be listened on, of node:tls when certificate and key do not fit */
export async function startEndpoint(options: EndpointOptions): Promise<Endpoint> {
  const limits = { ...s3Limits, ...options.limits };
  const host = options.host ?? '127.0.0.1';
  const running: Running = {
    options, limits, region: options.region ?? 'us-east-1', clock: options.clock ?? { now: () => Date.now() }, patience: new Patience(limits),
    behaviours: { ...s3Behaviours, ...options.behaviours }, stats: new Statistics(options.countObjects ?? true), completed: new Map(),
    keys: options.accessKeys, hook: options.onRequest, listener: undefined, closing: false,
  };
  const listener = await startListener({ host, port: options.port ?? 0, tls: options.tls, limits, onRequest: (incoming, response) => void serve(running, incoming, response) });
  running.listener = listener;
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${listener.port}`, port: listener.port, stats: running.stats,
    setHook: (hook) => void (running.hook = hook),
    setAccessKeys: (keys) => void (running.keys = keys),
    setTls: (tls) => listener.setTls(tls),
    close: async (graceMs = 0) => {
      running.closing = true;
      await listener.close(graceMs);
      running.patience.close();
    },
  };
}
