/**
 * The transport on undici's `dispatch`: HTTP/1.1, keep-alive, no pipelining, no redirects, no web streams. One object per exchange is
 * both undici's handler and the body that the caller reads.
 */
import tls from 'node:tls';
import { Pool, ProxyAgent } from 'undici';
import type { Dispatcher } from 'undici';
import { BrigadeError, cancelled } from '../../core/errors.ts';
import { GiB, KiB } from '../../core/units.ts';
import { networkError } from './network.ts';
import type { HttpRequest, HttpResponse, ResponseBody, ResponseHeaders, Transport, TransportOptions } from './transport.ts';

const HEADER_BLOCK = 16 * KiB;
/** Bytes that may wait for the reader before the socket is paused. */
const AHEAD = 256 * KiB;
/** What is left of a body up to here is swallowed rather than paid for with a new connection. */
const SWALLOW = 64 * KiB;
/** A body that is awaited whole and did not end within one to two of these is handed out as it comes, where its silence is watched. */
const PATIENCE_MS = 200;
/** A request body may take this long per byte before the head of the answer is overdue: the slowest upload we wait for. */
const SLOWEST_BYTES_PER_MS = 32;
/** Where the size is not known: as long as the largest part may take. */
const MOST_STREAMED = 5 * GiB;

/** The parts of undici's handler interface that we use; its own type is wider and changes. */
type Controller = Dispatcher.DispatchController;

export function createUndiciTransport(options: TransportOptions): Transport {
  const pools = new Map<string, Pool>();
  const proxy = options.proxy === undefined ? undefined : createProxy(options, options.proxy);
  const shared: Shared = { aborts: new Aborts(), patience: new Patience() };
  const poolFor = (origin: string): Dispatcher => {
    let pool = pools.get(origin);
    if (pool === undefined) pools.set(origin, pool = new Pool(origin, poolOptions(options)));
    return pool;
  };
  return {
    send: (request) => new Promise((resolve, reject) => {
      const exchange = new Exchange(request, shared, resolve, reject);
      if (exchange.cancelledEarly()) return;
      const dispatcher = proxy ?? poolFor(request.origin);
      try {
        dispatcher.dispatch(dispatchOptions(request, options, proxy !== undefined), exchange);
      } catch (thrown) {
        exchange.fail(thrown);
      }
    }),
    async close() {
      await Promise.all([...pools.values(), ...(proxy === undefined ? [] : [proxy])].map((dispatcher) => dispatcher.destroy()));
    },
  };
}

function poolOptions(options: TransportOptions): Pool.Options {
  const { connections, timeouts } = options;
  return {
    connections, pipelining: 1, allowH2: false, maxHeaderSize: HEADER_BLOCK, strictContentLength: true,
    headersTimeout: timeouts.headers, bodyTimeout: timeouts.idle, keepAliveTimeout: 20_000,
    connect: { timeout: timeouts.connect, ...tlsOptions(options) },
  };
}

function createProxy(options: TransportOptions, uri: string): ProxyAgent {
  const { connect, ...rest } = poolOptions(options);
  return new ProxyAgent({ ...rest, uri, requestTls: connect as object, proxyTls: { timeout: options.timeouts.connect } as object });
}

/** A private authority is trusted beside the public ones, so that one CA file never breaks the other endpoint. */
function tlsOptions(options: TransportOptions): { ca?: string[]; rejectUnauthorized: boolean } {
  const ca = options.ca === undefined ? {} : { ca: [...tls.getCACertificates('default'), options.ca] };
  return { ...ca, rejectUnauthorized: options.insecureTls !== true };
}

function dispatchOptions(request: HttpRequest, options: TransportOptions, proxied: boolean): Dispatcher.DispatchOptions {
  const { origin, method, path, bodySize } = request;
  const headersTimeout = (request.headersTimeoutMs ?? options.timeouts.headers) + Math.ceil((bodySize ?? MOST_STREAMED) / SLOWEST_BYTES_PER_MS);
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

/** A connection that breaks after the head of the answer has cut the body (F001). */
function cutShort(cause: BrigadeError, location: string): BrigadeError {
  return new BrigadeError({ code: 'E_SHORT_READ', kind: 'transient', message: `the body was cut: ${cause.message}`, location, cause });
}

/** What all exchanges of a transport share, so that a small one costs neither a listener nor a timer of its own. */
interface Shared {
  readonly aborts: Aborts;
  readonly patience: Patience;
}

/** One listener for each signal, however many exchanges it would stop. */
class Aborts {
  readonly #watched = new WeakMap<AbortSignal, Set<Exchange>>();

  add(signal: AbortSignal, exchange: Exchange): void {
    let exchanges = this.#watched.get(signal);
    if (exchanges === undefined) {
      const all = new Set<Exchange>();
      this.#watched.set(signal, exchanges = all);
      signal.addEventListener('abort', () => { for (const one of all) one.stop(); }, { once: true });
    }
    exchanges.add(exchange);
  }

  delete(signal: AbortSignal, exchange: Exchange): void {
    this.#watched.get(signal)?.delete(exchange);
  }
}

/** One coarse timer for all bodies that are awaited whole. */
class Patience {
  #fresh = new Set<Exchange>();
  #old = new Set<Exchange>();
  #timer: NodeJS.Timeout | undefined;

  add(exchange: Exchange): void {
    this.#fresh.add(exchange);
    this.#timer ??= setInterval(() => this.#tick(), PATIENCE_MS);
  }

  delete(exchange: Exchange): void {
    this.#fresh.delete(exchange);
    this.#old.delete(exchange);
  }

  #tick(): void {
    const late = this.#old;
    this.#old = this.#fresh;
    this.#fresh = new Set();
    for (const exchange of late) exchange.giveUpWhole();
    if (this.#old.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

type Step = IteratorResult<Uint8Array, undefined>;
const END: Step = { done: true, value: undefined };

class Exchange implements Dispatcher.DispatchHandler, ResponseBody, AsyncIterator<Uint8Array, undefined> {
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
    this.giveUpWhole();
  }

  onResponseEnd(): void {
    this.#state = 'ended';
    this.#forgetSignal();
    this.#takeReader()?.resolve(END);
    if (this.#whole !== undefined) this.#settleWhole(this.#takeAll());
  }

  onResponseError(_controller: Controller, error: Error): void {
    this.fail(error);
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
    this.giveUpWhole();
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
      this.#shared.patience.add(this);
    });
  }

  /** Whoever awaits all of it is to read what there is, and what comes, piece by piece. */
  giveUpWhole(): void {
    if (this.#whole !== undefined) this.#settleWhole(undefined);
  }

  #settleWhole(bytes: Uint8Array | undefined): void {
    this.#shared.patience.delete(this);
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

  async collect(limit: number): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for (let step = await this.next(); step.done !== true; step = await this.next()) {
      size += step.value.length;
      if (size > limit) {
        this.discard();
        throw new BrigadeError({ code: 'E_ANSWER_TOO_LARGE', kind: 'transient', message: `the answer is larger than ${limit} bytes`, location: this.#location });
      }
      chunks.push(step.value);
    }
    const first = chunks[0];
    return chunks.length === 1 && Buffer.isBuffer(first) ? first : Buffer.concat(chunks, size);
  }

  discard(): void {
    if (this.#discarded) return;
    this.#discarded = true;
    this.#chunks = [];
    this.#waiting = 0;
    this.#takeReader()?.resolve(END);
    this.giveUpWhole();
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
