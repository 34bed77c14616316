/**
 * The transport on undici's `dispatch`: HTTP/1.1, keep-alive, no pipelining, no redirects, no web streams. One object per exchange is
 * both undici's handler and the body that the caller reads.
 */
import { buildConnector, Client, errors, ProxyAgent } from 'undici';
import type { Dispatcher } from 'undici';
import { cancelled } from '../../core/errors.ts';
import type { BrigadeError } from '../../core/errors.ts';
import { KiB } from '../../core/units.ts';
import { Aborts } from '../../core/aborts.ts';
import { ConnectionBudget } from './connections.ts';
import type { Closable, Connections } from './connections.ts';
import { Deadlines, type Timed } from './deadlines.ts';
import { cutShort, networkError } from './network.ts';
import { collectBody, headersTimeoutOf, piecesOf, SWALLOW, tlsOptions } from './transport.ts';
import type { HttpRequest, HttpResponse, ResponseBody, ResponseHeaders, Transport, TransportOptions } from './transport.ts';

const HEADER_BLOCK = 16 * KiB;
/** Bytes that may wait for the reader before the socket is paused. */
const AHEAD = 256 * KiB;
/** A body that is awaited whole and did not end by then is handed out as it comes, where its silence is watched. */
const PATIENCE_MS = 300;

/** The parts of undici's handler interface that we use; its own type is wider and changes. */
type Controller = Dispatcher.DispatchController;

/** One connection: undici's client, which opens it again when it has to. */
class Line implements Closable {
  readonly client: Client;
  readonly #forget: (line: Line) => void;

  constructor(origin: string, options: Client.Options, forget: (line: Line) => void) {
    this.client = new Client(origin, options);
    this.#forget = forget;
  }

  close(): Promise<void> {
    this.#forget(this);
    return this.client.destroy().catch(() => undefined); // it is gone either way
  }
}

/** `budget`: shared with others that open connections to the same origins. */
export function createUndiciTransport(options: TransportOptions, budget = new ConnectionBudget(options.connections)): Transport {
  const proxy = options.proxy === undefined ? undefined : createProxy(options, options.proxy);
  const lines = new Lines(options, budget);
  const shared: Shared = { aborts: new Aborts(), deadlines: new Deadlines() };
  return {
    send: (request) => new Promise((resolve, reject) => {
      const exchange = new Exchange(request, shared, resolve, reject);
      if (exchange.cancelledEarly()) return;
      const dispatch = dispatchOptions(request, options, proxy !== undefined);
      if (proxy === undefined) lines.dispatch(dispatch, exchange);
      else tryDispatch(proxy, dispatch, exchange);
    }),
    async close() {
      await Promise.all([lines.close(), proxy?.destroy()]);
    },
  };
}

function tryDispatch(dispatcher: Dispatcher, options: Dispatcher.DispatchOptions, exchange: Exchange): void {
  try {
    dispatcher.dispatch(options, exchange);
  } catch (thrown) {
    exchange.onResponseError(undefined, thrown as Error);
  }
}

/** A client for each connection, so that the budget of connections is ours: a pool of undici's knows only of its own. */
class Lines {
  readonly #options: Client.Options;
  readonly #budget: ConnectionBudget;
  readonly #origins = new Map<string, Connections<Line>>();
  readonly #open = new Set<Line>();
  #closed = false;

  constructor(options: TransportOptions, budget: ConnectionBudget) {
    const { connect, ...rest } = clientOptions(options);
    // One connector for all, since it keeps the TLS sessions to resume.
    this.#options = { ...rest, connect: buildConnector(connect as buildConnector.BuildOptions) };
    this.#budget = budget;
  }

  dispatch(options: Dispatcher.DispatchOptions, exchange: Exchange): void {
    const origin = options.origin as string;
    let connections = this.#origins.get(origin);
    if (connections === undefined) this.#origins.set(origin, connections = this.#budget.connectionsTo<Line>(origin));
    const mine = connections;
    mine.take((idle) => {
      const line = idle ?? this.#openLine(origin, mine);
      if (exchange.isOver || this.#closed) {
        exchange.fail(new errors.ClientDestroyedError());
        mine.giveBack(line);
        return;
      }
      exchange.whenOver(() => { mine.giveBack(line); });
      tryDispatch(line.client, options, exchange);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#open].map((line) => line.close()));
  }

  #openLine(origin: string, connections: Connections<Line>): Line {
    const line = new Line(origin, this.#options, (closed) => { this.#open.delete(closed); });
    this.#open.add(line);
    line.client.on('disconnect', () => {
      // One that is in use connects again by itself, or its exchange ends and it is found idle.
      if (connections.drop(line)) void line.close();
    });
    return line;
  }
}

function clientOptions(options: TransportOptions): Client.Options {
  const { timeouts } = options;
  return {
    pipelining: 1, allowH2: false, maxHeaderSize: HEADER_BLOCK, strictContentLength: true,
    headersTimeout: timeouts.headers, bodyTimeout: timeouts.idle, keepAliveTimeout: 20_000,
    connect: { timeout: timeouts.connect, ...tlsOptions(options) },
  };
}

function createProxy(options: TransportOptions, uri: string): ProxyAgent {
  const { connect, ...rest } = clientOptions(options);
  return new ProxyAgent({ ...rest, connections: options.connections, uri, requestTls: connect as object, proxyTls: { timeout: options.timeouts.connect } as object });
}

function dispatchOptions(request: HttpRequest, options: TransportOptions, proxied: boolean): Dispatcher.DispatchOptions {
  const { origin, method, path, bodySize } = request;
  const headersTimeout = headersTimeoutOf(request, options.timeouts);
  const base = { origin, path, method: method as Dispatcher.HttpMethod, headersTimeout, blocking: false };
  // undici closes the connection after each HEAD unless told otherwise: our stores answer HEAD properly.
  const kept = method === 'HEAD' ? { ...base, reset: false } : base;
  const headers = proxied ? headersAsObject(request.headers) : request.headers as string[];
  if (request.body === undefined || bodySize === 0) return { ...kept, headers };
  return { ...kept, headers: bodySize === undefined ? headers : withLength(headers, bodySize), body: asBody(request.body) };
}

/** undici's proxy wrapper spreads headers as an object. */
function headersAsObject(flat: readonly string[]): Record<string, string> {
  return Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] as string, flat[2 * i + 1] as string]));
}

function withLength(headers: string[] | Record<string, string>, size: number): string[] | Record<string, string> {
  return Array.isArray(headers) ? [...headers, 'content-length', String(size)] : { ...headers, 'content-length': String(size) };
}

function asBody(body: Uint8Array | AsyncIterable<Uint8Array>): NonNullable<Dispatcher.DispatchOptions['body']> {
  if (body instanceof Uint8Array) return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  return body as unknown as NonNullable<Dispatcher.DispatchOptions['body']>; // any async iterable will do; the type names fewer
}

/** What all exchanges of a transport share, so that a small one costs neither a listener nor a timer of its own. */
interface Shared {
  readonly aborts: Aborts;
  readonly deadlines: Deadlines;
}

type Step = IteratorResult<Uint8Array, undefined>;
const END: Step = { done: true, value: undefined };

class Exchange implements Dispatcher.DispatchHandler, ResponseBody, Timed, AsyncIterator<Uint8Array, undefined> {
  readonly #location: string;
  readonly #signal: AbortSignal | undefined;
  readonly #shared: Shared;
  #resolve: ((response: HttpResponse) => void) | undefined;
  #reject: ((error: BrigadeError) => void) | undefined;
  #controller: Controller | undefined;
  #chunks: Uint8Array[] = [];
  /** Bytes in #chunks. */
  #waiting = 0;
  /** Bytes still to come, as far as Content-Length says. */
  #remaining = Infinity;
  #state: 'open' | 'ended' | 'failed' = 'open';
  #tellOver: (() => void) | undefined;
  #error: BrigadeError | undefined;
  #discarded = false;
  /** Somebody awaits all of it. */
  #whole: ((bytes: Uint8Array | undefined) => void) | undefined;
  #reader: { resolve(step: Step): void; reject(error: BrigadeError): void } | undefined;

  constructor(request: HttpRequest, shared: Shared, resolve: (response: HttpResponse) => void, reject: (error: BrigadeError) => void) {
    this.#location = request.origin;
    this.#signal = request.signal;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#shared = shared;
    if (this.#signal?.aborted === false) shared.aborts.add(this.#signal, this);
  }

  cancelledEarly(): boolean {
    if (this.#signal?.aborted !== true) return false;
    this.fail(cancelled());
    return true;
  }

  /** The signal fired. */
  stop(): void {
    this.#stop(cancelled());
  }

  onRequestStart(controller: Controller): void {
    this.#controller = controller;
    // Called again when undici sends on another socket; a request that failed while it waited for one must not go out.
    if (this.#state === 'failed') controller.abort(this.#error as Error);
  }

  onResponseStart(_controller: Controller, status: number, headers: ResponseHeaders): void {
    if (status < 200) return;
    const length = headers['content-length'];
    if (typeof length === 'string') this.#remaining = Number(length);
    this.#resolve?.({ status, headers, body: this });
    this.#resolve = this.#reject = undefined;
  }

  onResponseData(controller: Controller, chunk: Uint8Array): void {
    this.#remaining -= chunk.length;
    if (this.#discarded) return;
    if (this.#reader !== undefined) {
      this.#takeReader()?.resolve({ done: false, value: chunk });
      return;
    }
    this.#chunks.push(chunk);
    this.#waiting += chunk.length;
    if (this.#waiting < AHEAD) return;
    controller.pause();
    this.late();
  }

  get isOver(): boolean {
    return this.#state !== 'open';
  }

  /** Told once, when undici is done with it: its connection is free. */
  whenOver(tell: () => void): void {
    this.#tellOver = tell;
  }

  #overForUndici(): void {
    this.#tellOver?.();
    this.#tellOver = undefined;
  }

  onResponseEnd(): void {
    this.#state = 'ended';
    this.#forgetSignal();
    this.#takeReader()?.resolve(END);
    if (this.#whole !== undefined) this.#settleWhole(this.#takeAll());
    this.#overForUndici();
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    this.fail(error);
    this.#overForUndici();
  }

  fail(thrown: unknown): void {
    if (this.#state !== 'open') return;
    this.#state = 'failed';
    const error = networkError(thrown, this.#location);
    this.#error = this.#resolve === undefined && error.code === 'E_NETWORK' ? cutShort(error, this.#location) : error;
    this.#forgetSignal();
    this.#reject?.(this.#error);
    this.#resolve = this.#reject = undefined;
    this.#takeReader()?.reject(this.#error);
    this.late();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return this;
  }

  next(): Promise<Step> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#waiting -= chunk.length;
      if (this.#waiting < AHEAD / 2) this.#controller?.resume();
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#state === 'failed') return Promise.reject(this.#error as BrigadeError);
    if (this.#state === 'ended' || this.#discarded) return Promise.resolve(END);
    return new Promise((resolve, reject) => { this.#reader = { resolve, reject }; });
  }

  return(): Promise<Step> {
    this.discard();
    return Promise.resolve(END);
  }

  whole(): Uint8Array | undefined | Promise<Uint8Array | undefined> {
    if (this.#state === 'ended') return this.#takeAll();
    if (this.#state === 'failed' || this.#discarded || this.#waiting >= AHEAD) return undefined;
    return new Promise((resolve) => {
      this.#whole = resolve;
      this.#shared.deadlines.set(this, PATIENCE_MS);
    });
  }

  /** Whoever awaits all of it is to read what there is, and what comes, piece by piece. */
  late(): void {
    if (this.#whole !== undefined) this.#settleWhole(undefined);
  }

  #settleWhole(bytes: Uint8Array | undefined): void {
    this.#shared.deadlines.clear(this);
    this.#whole?.(bytes);
    this.#whole = undefined;
  }

  #takeAll(): Uint8Array {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#waiting = 0;
    const [first] = chunks;
    return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks);
  }

  #forgetSignal(): void {
    if (this.#signal !== undefined) this.#shared.aborts.delete(this.#signal, this);
  }

  collect(limit: number): Promise<Buffer> {
    return collectBody(this, limit, this.#location, (chunk) => chunk);
  }

  pieces(limit: number): Promise<readonly Uint8Array[]> {
    return piecesOf(this, limit, this.#location, (chunk) => chunk);
  }

  discard(): void {
    if (this.#discarded) return;
    this.#discarded = true;
    this.#chunks = [];
    this.#waiting = 0;
    this.#takeReader()?.resolve(END);
    this.late();
    if (this.#state !== 'open') return;
    if (this.#remaining <= SWALLOW) this.#controller?.resume();
    else this.#stop(cancelled());
  }

  #stop(error: BrigadeError): void {
    this.fail(error);
    this.#controller?.abort(error);
  }

  #takeReader(): { resolve(step: Step): void; reject(error: BrigadeError): void } | undefined {
    const reader = this.#reader;
    this.#reader = undefined;
    return reader;
  }
}
