/** How requests reach a store: undici.ts, and lanes/ for bulk bytes, behind one interface (wire.ts). */
import tls from 'node:tls';
import { BrigadeError } from '../../core/errors.ts';
import { GiB, KiB } from '../../core/units.ts';

export interface HttpRequest {
  /** `https://host[:port]`. */
  readonly origin: string;
  readonly method: string;
  /** Path and query exactly as signed; never normalised. */
  readonly path: string;
  /** Flat list of names and values, latin-1. Host is the origin's; Content-Length comes from `bodySize`. */
  readonly headers: readonly string[];
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
  /** Undefined: only the end of the body tells, and it goes out chunked (RFC 9112 §7.1). */
  readonly bodySize: number | undefined;
  /** Bytes of the body that a good answer will bring, where that is known. */
  readonly answerSize?: number;
  /**
   * A buffer of `answerSize` bytes where the body may land: chunks of the answer may then be pieces of it, each in its place. Who gives it
   * compares, and copies what came elsewhere. Until the answer has ended or is discarded, nobody else writes to it.
   */
  readonly into?: Uint8Array;
  /** Longest wait for the answer's head once the body is sent, instead of the transport's own. */
  readonly headersTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Lower-case names; values as latin-1. Names come from outside: look up known names, or walk own entries. */
export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>;

export interface HttpResponse {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /** Must be read to its end or discarded, else its socket is never free (F004). */
  readonly body: ResponseBody;
}

/** Chunks of an answer, each valid until the next is asked for. Errors are BrigadeErrors: E_STALLED, E_SHORT_READ, E_NETWORK, E_CANCELLED. Iterated once. */
export interface ResponseBody extends AsyncIterable<Uint8Array> {
  /** All of it; more than `limit` bytes is E_ANSWER_TOO_LARGE (F118). */
  collect(limit: number): Promise<Buffer>;
  /** The same in the chunks in which it came, which are the caller's, where nothing has to be copied for that. */
  pieces?(limit: number): Promise<readonly Uint8Array[]>;
  /**
   * All of it, if it comes whole right behind the head; undefined when it breaks, is large or dawdles: it is then to be iterated, and its
   * error met there. For small bodies, instead of iterating.
   */
  whole?(): Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** Not wanted. Safe to call at any time, also after the end. */
  discard(): void;
}

export interface Transport {
  /** Resolves when the head has arrived, whatever the status. Redirects are answers like any other (F079). */
  send(request: HttpRequest): Promise<HttpResponse>;
  close(): Promise<void>;
}

export interface TransportOptions {
  /** Sockets per origin. */
  readonly connections: number;
  /** PEM text, trusted in addition to the system's roots. */
  readonly ca?: string;
  readonly insecureTls?: boolean;
  /** `http://[user:password@]host:port`. */
  readonly proxy?: string;
  readonly timeouts: Timeouts;
}

/** Milliseconds. */
export interface Timeouts {
  readonly connect: number;
  /** From the last byte of the request to the head of the answer. */
  readonly headers: number;
  /** Between two chunks of a body (F002). */
  readonly idle: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = { connect: 10_000, headers: 60_000, idle: 30_000 };

/** One header as one string; repeated ones joined as RFC 9110 §5.3 allows. */
export function header(headers: ResponseHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** What is left of a body up to here is swallowed rather than paid for with a new connection. */
export const SWALLOW = 64 * KiB;
/** A request body may take this long per byte before the head of the answer is overdue: the slowest upload we wait for. */
const SLOWEST_BYTES_PER_MS = 32;
/** Where the size is not known: as long as the largest part may take. */
const MOST_STREAMED = 5 * GiB;

/** From the first byte of the request to the head of the answer, milliseconds. */
export function headersTimeoutOf({ headersTimeoutMs, bodySize }: HttpRequest, timeouts: Timeouts): number {
  return (headersTimeoutMs ?? timeouts.headers) + Math.ceil((bodySize ?? MOST_STREAMED) / SLOWEST_BYTES_PER_MS);
}

const contexts = new Map<string, tls.SecureContext>();

/**
 * A private authority is trusted beside the public ones, so that one CA file never breaks the other endpoint. One context for all connections of
 * the process: it takes in some two hundred certificates, which is 12 ms of CPU each time.
 */
export function tlsOptions({ ca, insecureTls }: TransportOptions): { secureContext?: tls.SecureContext; rejectUnauthorized: boolean } {
  const rejectUnauthorized = insecureTls !== true;
  if (ca === undefined) return { rejectUnauthorized };
  let secureContext = contexts.get(ca);
  if (secureContext === undefined) contexts.set(ca, secureContext = tls.createSecureContext({ ca: [...tls.getCACertificates('default'), ca] }));
  return { secureContext, rejectUnauthorized };
}

/** All of a body. `keep`: what stays of a chunk when the next one is asked for. @throws E_ANSWER_TOO_LARGE */
export async function collectBody(body: ResponseBody & AsyncIterator<Uint8Array, undefined>, limit: number, location: string, keep: (chunk: Uint8Array) => Uint8Array): Promise<Buffer> {
  return joined(await piecesOf(body, limit, location, keep));
}

export function joined(pieces: readonly Uint8Array[]): Buffer {
  const first = pieces[0];
  return pieces.length === 1 && Buffer.isBuffer(first) ? first : Buffer.concat(pieces);
}

/** As collectBody. */
export async function piecesOf(body: ResponseBody & AsyncIterator<Uint8Array, undefined>, limit: number, location: string, keep: (chunk: Uint8Array) => Uint8Array): Promise<readonly Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let step = await body.next(); step.done !== true; step = await body.next()) {
    size += step.value.length;
    if (size > limit) {
      body.discard();
      throw new BrigadeError({ code: 'E_ANSWER_TOO_LARGE', kind: 'transient', message: `the answer is larger than ${limit} bytes`, location });
    }
    chunks.push(keep(step.value));
  }
  return chunks;
}
