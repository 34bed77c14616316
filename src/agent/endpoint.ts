/** The S3 endpoint: HTTP in, operations out. Writes no log and keeps no state but its layout. */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { s3Behaviours, s3Limits } from './context.ts';
import type { Behaviours, Clock, Context, Limits, Reply, ServiceContext } from './context.ts';
import { S3Error, s3Error } from './errors.ts';
import type { Bucket, Layout } from './layout.ts';
import { openPayload } from './payload.ts';
import { parseRequest } from './request.ts';
import type { S3Request } from './request.ts';
import { findRoute } from './routing.ts';
import type { Route } from './routing.ts';
import { verify } from './sigv4.ts';
import type { AccessKey, Verified } from './sigv4.ts';
import { Statistics } from './statistics.ts';
import { el, errorDocument } from './xml.ts';

/** What a hook sees: after the signature was verified, before anything is done. */
export interface RequestInfo {
  readonly operation: string;
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: ReadonlyMap<string, string>;
  readonly accessKey: string;
}

/** What a hook may answer instead: an S3 error by code, a canned answer, or a broken connection. */
export type HookAnswer =
  | { readonly code: string; readonly message?: string; readonly headers?: Record<string, string>; readonly status?: number }
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  | { readonly reset: true };

export type RequestHook = (info: RequestInfo) => HookAnswer | undefined | void | Promise<HookAnswer | undefined | void>;

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
  /** PEM; the endpoint then speaks https. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Whether `stats.object()` is kept; default true. A long-running endpoint turns it off. */
  readonly countObjects?: boolean;
  /** May hold a request by returning a promise that settles later. */
  readonly onRequest?: RequestHook;
}

export interface Endpoint {
  readonly url: string;
  readonly port: number;
  readonly stats: Statistics;
  /** Replaces the hook while running. */
  setHook(hook: RequestHook | undefined): void;
  /** Stops listening and breaks open connections. */
  close(): Promise<void>;
}

interface Running {
  readonly options: EndpointOptions;
  readonly region: string;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly behaviours: Behaviours;
  readonly stats: Statistics;
  readonly completed: Map<string, string>;
  hook: RequestHook | undefined;
}

class ResetConnection extends Error {}

const maxKeyBytes = 1024;

/** Requests whose client still waits for a word before it sends the body. */
const waiting = new WeakSet<IncomingMessage>();

const awaitsContinue = (incoming: IncomingMessage): boolean => waiting.has(incoming);

/** Iterates the body without tearing the connection down when a handler stops early: the answer must still go out. */
function bodyOf(incoming: IncomingMessage, response: ServerResponse): AsyncIterable<Buffer> {
  return {
    async *[Symbol.asyncIterator]() {
      if (awaitsContinue(incoming)) response.writeContinue();
      waiting.delete(incoming);
      try {
        for await (const piece of incoming.iterator({ destroyOnReturn: false })) yield piece as Buffer;
      } catch (error) {
        throw incoming.complete ? error : s3Error('IncompleteBody');
      }
    },
  };
}

/** Presigned requests may carry x-amz- headers as query parameters. */
function withHoisted(request: S3Request): S3Request {
  if (!request.query.has('X-Amz-Signature')) return request;
  const headers = new Map(request.headers);
  for (const [name, value] of request.query) {
    const lower = name.toLowerCase();
    const own = /^x-amz-(algorithm|credential|date|expires|signedheaders|signature|security-token)$/.test(lower);
    if (lower.startsWith('x-amz-') && !own && !headers.has(lower)) headers.set(lower, value);
  }
  return { ...request, headers };
}

async function askHook(running: Running, request: S3Request, route: Route, verified: Verified): Promise<Reply | undefined> {
  const answer = await running.hook?.({
    operation: route.operation, method: request.method, bucket: request.bucket, key: request.key,
    query: request.query, headers: request.headers, accessKey: verified.accessKey.id,
  });
  if (!answer) return undefined;
  if ('reset' in answer) throw new ResetConnection();
  if (!('code' in answer)) return answer;
  const error = s3Error(answer.code, { ...(answer.message === undefined ? {} : { message: answer.message }), headers: answer.headers ?? {} });
  throw answer.status === undefined ? error : new S3Error(error.code, answer.status, error.message, error.details, error.headers);
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
  if (Buffer.byteLength(request.key) > maxKeyBytes) throw s3Error('KeyTooLongError', { details: { Size: String(Buffer.byteLength(request.key)), MaxSizeAllowed: String(maxKeyBytes) } });
  if ('service' in route.handle) return route.handle.service(context);
  const bucket = await context.layout.bucket(request.bucket);
  if (bucket === undefined) throw s3Error('NoSuchBucket', { details: { BucketName: request.bucket } });
  checkBucket(running, request, bucket);
  const full: Context = { ...context, bucket };
  const reply = await route.handle.bucket(full);
  return isRequesterPaid(bucket) ? { ...reply, headers: { ...reply.headers, 'x-amz-request-charged': 'requester' } } : reply;
}

async function answer(running: Running, received: S3Request, incoming: IncomingMessage, response: ServerResponse): Promise<Reply> {
  const { options, region, clock, limits, behaviours, completed, stats } = running;
  const route = findRoute(received);
  stats.record({ operation: route.operation, bucket: received.bucket, key: received.key, writes: route.writes });
  const verified = verify(received, { keys: options.accessKeys, region, now: clock.now() });
  const request = withHoisted(received);
  const canned = await askHook(running, request, route, verified);
  if (canned !== undefined) return canned;
  if (route.writes && verified.accessKey.readOnly === true) throw s3Error('AccessDenied');
  const body = bodyOf(incoming, response);
  const context: ServiceContext = {
    request, verified, layout: options.storage, region, clock, limits, behaviours, completed,
    payload: (emptyAllowed) => openPayload(body, request, verified, emptyAllowed),
  };
  return handle(context, running, route);
}

function errorReply(error: unknown, id: string, resource: string, stats: Statistics): Reply {
  if (!(error instanceof S3Error)) stats.failed(error); // its text is not for clients: it may name paths
  const known = error instanceof S3Error ? error : s3Error('InternalError');
  const details = Object.entries(known.details).map(([name, value]) => el(name, value));
  const document = errorDocument(el('Code', known.code), el('Message', known.message), details, el('Resource', resource), el('RequestId', id), el('HostId', id));
  return { status: known.status, headers: { 'content-type': 'application/xml', ...known.headers }, body: document };
}

async function send(reply: Reply, request: { readonly method: string; readonly id: string }, response: ServerResponse, clock: Clock): Promise<void> {
  const empty = request.method === 'HEAD' || reply.status === 304 || reply.status === 204;
  const { body } = reply;
  const length = typeof body === 'string' ? Buffer.byteLength(body) : reply.length ?? 0;
  response.statusCode = reply.status;
  response.setHeader('x-amz-request-id', request.id);
  response.setHeader('x-amz-id-2', request.id);
  response.setHeader('date', new Date(clock.now()).toUTCString());
  response.setHeader('server', 'brigade');
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);
  if (reply.status !== 304 && reply.status !== 204) response.setHeader('content-length', length);
  if (empty || body === undefined) response.end();
  else if (typeof body === 'string') response.end(body);
  else await pipeline(body, response);
}

async function serve(running: Running, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const id = randomBytes(8).toString('hex').toUpperCase();
  const shown = { method: incoming.method ?? 'GET', id };
  let reply: Reply;
  try {
    reply = await answer(running, parseRequest(incoming, id, running.behaviours.hostBase), incoming, response);
  } catch (error) {
    if (error instanceof ResetConnection) {
      incoming.socket.resetAndDestroy();
      return;
    }
    reply = errorReply(error, id, incoming.url ?? '/', running.stats);
  }
  running.stats.answered(reply.status);
  if (response.destroyed) return;
  if (awaitsContinue(incoming)) response.setHeader('connection', 'close'); // the body never comes: what follows cannot be told from it
  await send(reply, shown, response, running.clock);
  incoming.resume(); // what was not read of the body is read away, so that the client gets to see the answer
}

function listenerFor(running: Running): RequestListener {
  return (incoming, response) => {
    // A client that went away in the middle of an answer is not ours to report; its connection is closed.
    serve(running, incoming, response).catch(() => response.destroy());
  };
}

function createListener(options: EndpointOptions, limits: Limits, listener: RequestListener): Server {
  const settings = {
    maxHeaderSize: limits.maxHeaderBytes, requestTimeout: limits.requestTimeoutMs, headersTimeout: limits.headersTimeoutMs,
    connectionsCheckingInterval: Math.min(5_000, limits.headersTimeoutMs), keepAliveTimeout: 60_000,
  };
  const server = options.tls === undefined ? createServer(settings, listener) : createTlsServer({ ...settings, ...options.tls }, listener);
  server.on('checkContinue', (incoming: IncomingMessage, response: ServerResponse) => {
    waiting.add(incoming); // the handler decides whether the body is wanted
    listener(incoming, response);
  });
  return server;
}

/** Starts an endpoint over a layout.
 * @throws Error of node:net when the port is taken */
export async function startEndpoint(options: EndpointOptions): Promise<Endpoint> {
  const limits = { ...s3Limits, ...options.limits };
  const running: Running = {
    options, limits, region: options.region ?? 'us-east-1', clock: options.clock ?? { now: () => Date.now() },
    behaviours: { ...s3Behaviours, ...options.behaviours }, stats: new Statistics(options.countObjects ?? true), completed: new Map(), hook: options.onRequest,
  };
  const server = createListener(options, limits, listenerFor(running));
  const host = options.host ?? '127.0.0.1';
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${host}:${port}`, port, stats: running.stats,
    setHook: (hook) => void (running.hook = hook),
    close: () => new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    }),
  };
}
