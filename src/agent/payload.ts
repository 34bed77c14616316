/** Reads a request's payload in each of the SigV4 payload modes, verifying as it goes.
 * Source: S3 API Reference, "Transferring Payload in Multiple Chunks" (with and without trailing headers). */
import { createHash } from 'node:crypto';
import { s3Error } from './errors.ts';
import { isFramed } from './framing.ts';
import type { S3Request } from './request.ts';
import { emptySha256, hmacHex, sameSignature } from './sigv4.ts';
import type { Verified } from './sigv4.ts';

export interface Payload extends AsyncIterable<Buffer> {
  /** Length of the object bytes, from the headers. Infinity: not told, for a body in frames, which says where it ends. */
  readonly length: number;
  /** Filled when the payload was read to its end; lower-case names. */
  readonly trailers: Map<string, string>;
}

const maxLine = 4096;
const maxTrailerBytes = 16 * 1024;
const incomplete = (): Error => s3Error('IncompleteBody');

/** Pulls lines and exact byte counts out of a stream. */
class Reader {
  private readonly source: AsyncIterator<Buffer>;
  private held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.source = source[Symbol.asyncIterator]();
  }

  private async more(): Promise<boolean> {
    const next = await this.source.next();
    if (next.done) return false;
    this.held = this.held.length === 0 ? next.value : Buffer.concat([this.held, next.value]);
    return true;
  }

  /** A line without its CR LF. */
  async line(): Promise<string> {
    for (;;) {
      const at = this.held.indexOf('\r\n');
      if (at >= 0) {
        const line = this.held.subarray(0, at).toString('latin1');
        this.held = this.held.subarray(at + 2);
        return line;
      }
      if (this.held.length > maxLine) throw s3Error('IncompleteBody', { message: 'The request body terminated unexpectedly' });
      if (!(await this.more())) throw incomplete();
    }
  }

  /** Whether the source has ended, with nothing held. */
  async ended(): Promise<boolean> {
    return this.held.length === 0 && !(await this.more());
  }

  async *take(count: number): AsyncGenerator<Buffer> {
    let left = count;
    while (left > 0) {
      if (this.held.length === 0 && !(await this.more())) throw incomplete();
      const piece = this.held.subarray(0, left);
      this.held = this.held.subarray(piece.length);
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }
}

/** The chain of chunk signatures; a no-op when chunks are unsigned. */
class Chain {
  private readonly chain: Verified['chain'];
  private readonly signed: boolean;
  private previous: string;

  constructor(verified: Verified, signed: boolean) {
    this.chain = verified.chain;
    this.signed = signed;
    this.previous = verified.chain.seed;
  }

  private check(kind: string, hashes: string[], given: string | undefined): void {
    if (!this.signed) return;
    const toSign = [kind, this.chain.amzDate, this.chain.scope, this.previous, ...hashes].join('\n');
    const expected = hmacHex(this.chain.signingKey, toSign);
    if (given === undefined || !sameSignature(expected, given)) throw s3Error('SignatureDoesNotMatch');
    this.previous = expected;
  }

  chunk(hash: string, given: string | undefined): void {
    this.check('AWS4-HMAC-SHA256-PAYLOAD', [emptySha256, hash], given);
  }

  trailer(text: string, given: string | undefined): void {
    this.check('AWS4-HMAC-SHA256-TRAILER', [createHash('sha256').update(text).digest('hex')], given);
  }
}

function parseChunkLine(line: string): { size: number; signature: string | undefined } {
  const m = /^([0-9a-fA-F]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
  if (m === null) throw s3Error('IncompleteBody', { message: 'The request body terminated unexpectedly' });
  return { size: parseInt(m[1] ?? '', 16), signature: m[2] };
}

async function readTrailers(reader: Reader, chain: Chain, expected: string | undefined, into: Map<string, string>): Promise<void> {
  let text = '';
  let signature: string | undefined;
  for (let line = ''; text.length < maxTrailerBytes; ) {
    line = await reader.ended() ? '' : await reader.line();
    if (line === '') break;
    const at = line.indexOf(':');
    if (at <= 0) throw s3Error('MalformedTrailerError');
    const name = line.slice(0, at).trim().toLowerCase();
    const value = line.slice(at + 1).trim();
    if (name === 'x-amz-trailer-signature') signature = value;
    else {
      into.set(name, value);
      text += `${name}:${value}\n`;
    }
  }
  chain.trailer(text, signature);
  const names = (expected ?? '').split(',').map((n) => n.trim().toLowerCase()).filter((n) => n !== '');
  if (names.some((name) => !into.has(name)) || into.size !== names.length) throw s3Error('MalformedTrailerError');
}

interface Streaming { readonly signed: boolean; readonly trailer: boolean }

const streamingModes: Record<string, Streaming> = {
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD': { signed: true, trailer: false },
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER': { signed: true, trailer: true },
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER': { signed: false, trailer: true },
};

async function* decodeChunks(source: AsyncIterable<Buffer>, mode: Streaming, verified: Verified, request: S3Request, trailers: Map<string, string>): AsyncGenerator<Buffer> {
  const reader = new Reader(source);
  const chain = new Chain(verified, mode.signed);
  for (;;) {
    const { size, signature } = parseChunkLine(await reader.line());
    const hash = createHash('sha256');
    for await (const piece of reader.take(size)) {
      if (mode.signed) hash.update(piece);
      yield piece;
    }
    chain.chunk(mode.signed ? hash.digest('hex') : '', signature);
    if (size === 0) break;
    if ((await reader.line()) !== '') throw s3Error('IncompleteBody', { message: 'The request body terminated unexpectedly' });
  }
  if (mode.trailer) await readTrailers(reader, chain, request.headers.get('x-amz-trailer'), trailers);
}

async function* hashed(source: AsyncIterable<Buffer>, expected: string): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  for await (const piece of source) {
    hash.update(piece);
    yield piece;
  }
  const computed = hash.digest('hex');
  if (computed !== expected) throw s3Error('XAmzContentSHA256Mismatch', { details: { ClientComputedContentSHA256: expected, S3ComputedContentSHA256: computed } });
}

async function* counted(source: AsyncIterable<Buffer>, expected: number): AsyncGenerator<Buffer> {
  let seen = 0;
  for await (const piece of source) {
    seen += piece.length;
    if (seen > expected) throw incomplete();
    yield piece;
  }
  if (seen !== expected) throw incomplete();
}

function lengthOf(request: S3Request, name: string): number {
  const text = request.headers.get(name);
  if (text === undefined) throw s3Error('MissingContentLength');
  const length = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(length)) throw s3Error('MissingContentLength');
  return length;
}

function plainLength(request: S3Request, emptyAllowed: boolean): number {
  if (request.headers.get('transfer-encoding')?.toLowerCase() === 'chunked' && isFramed(request)) return Infinity;
  if (request.headers.has('transfer-encoding')) throw s3Error('NotImplemented', { details: { Header: 'Transfer-Encoding' } });
  return emptyAllowed && !request.headers.has('content-length') ? 0 : lengthOf(request, 'content-length');
}

/** Opens the payload; nothing is read yet. `emptyAllowed` lets a request without Content-Length through as empty (XML bodies).
 * @throws S3Error MissingContentLength, NotImplemented; and while reading IncompleteBody, SignatureDoesNotMatch,
 * XAmzContentSHA256Mismatch, MalformedTrailerError */
export function openPayload(source: AsyncIterable<Buffer>, request: S3Request, verified: Verified, emptyAllowed = false): Payload {
  const trailers = new Map<string, string>();
  const mode = streamingModes[verified.payload];
  if (mode !== undefined) {
    const length = lengthOf(request, 'x-amz-decoded-content-length');
    const bytes = counted(decodeChunks(source, mode, verified, request, trailers), length);
    return { length, trailers, [Symbol.asyncIterator]: () => bytes };
  }
  const length = plainLength(request, emptyAllowed);
  const unsigned = verified.payload === 'UNSIGNED-PAYLOAD';
  if (!unsigned && !/^[0-9a-f]{64}$/.test(verified.payload)) throw s3Error('InvalidArgument', { message: 'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING mode, or a valid sha256 value.', details: { ArgumentName: 'x-amz-content-sha256', ArgumentValue: verified.payload } });
  const checked = unsigned ? source : hashed(source, verified.payload);
  const bytes = length === Infinity ? checked[Symbol.asyncIterator]() : counted(checked, length);
  return { length, trailers, [Symbol.asyncIterator]: () => bytes };
}

/** Reads a small payload (XML) whole. Throws MaxMessageLengthExceeded above `cap` bytes. */
export async function readSmall(payload: Payload, cap: number): Promise<Buffer> {
  if (payload.length > cap) throw s3Error('MaxMessageLengthExceeded', { details: { MaxMessageLengthBytes: String(cap) } });
  const pieces: Buffer[] = [];
  for await (const piece of payload) pieces.push(piece);
  return Buffer.concat(pieces);
}
