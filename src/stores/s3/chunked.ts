/**
 * Bodies framed as `aws-chunked`: signed frame by frame, or with a checksum trailer behind them.
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and …/sigv4-streaming-trailers.html
 * Frames have a fixed size, so that Content-Length is known before the first byte.
 */
import { hash } from 'node:crypto';
import { BrigadeError } from '../../core/errors.ts';
import { createHasher, type Hasher } from '../../core/checksum.ts';
import type { Checksum, ChecksumAlgorithm } from '../../core/object.ts';
import { KiB } from '../../core/units.ts';
import { EMPTY_SHA256, hmacHex } from './sigv4.ts';
import type { Signature } from './sigv4.ts';

export const FRAME = 256 * KiB;
export const STREAMING_SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
export const STREAMING_SIGNED_TRAILER = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';
export const STREAMING_TRAILER = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

const HELD_BACK = 4 * KiB;
const SIGNATURE_LENGTH = ';chunk-signature='.length + 64;

/**
 * The body as it is, counted: one byte too many or too few fails before the request is whole (F012). The end of the last chunk is held
 * back (as a copy, since the chunk may be reused) until the source has really ended: else the store would have all it waits for.
 */
export async function* metered(source: AsyncIterable<Uint8Array>, size: number, where: () => string): AsyncGenerator<Uint8Array> {
  let sent = 0;
  let tail: Uint8Array | undefined;
  for await (const chunk of source) {
    if (chunk.length === 0) continue;
    sent += chunk.length;
    if (sent > size) throw wrongSize(sent, size, where());
    if (sent < size) {
      yield chunk;
      continue;
    }
    const cut = Math.max(0, chunk.length - HELD_BACK);
    tail = Uint8Array.prototype.slice.call(chunk, cut);
    if (cut > 0) yield chunk.subarray(0, cut);
  }
  if (sent !== size) throw wrongSize(sent, size, where());
  if (tail !== undefined) yield tail;
}

export function wrongSize(sent: number, size: number, location: string): BrigadeError {
  const got = sent > size ? `more than ${size}` : String(sent);
  return new BrigadeError({ code: 'E_BODY_SIZE', kind: 'transient', location, message: `the body holds ${got} bytes instead of ${size}` });
}

/** A checksum that is sent behind the bytes, and handed to `tell`. */
export interface Trailer {
  readonly algorithm: ChecksumAlgorithm;
  tell(checksum: Checksum): void;
  /** Present where the source computes it already; asked when the source has ended. */
  known?(): Checksum | undefined;
}

/** Content-Length of a signed chunked body. */
export function signedLength(size: number, trailer?: Trailer): number {
  const behind = trailer === undefined ? 0 : trailerLine(trailer.algorithm) + TRAILER_SIGNATURE.length + 64 + 2;
  return framesLength(size, SIGNATURE_LENGTH) + 1 + SIGNATURE_LENGTH + 4 + behind;
}

/** `source` must be metered. */
export async function* signedFrames(source: AsyncIterable<Uint8Array>, size: number, seed: Signature, trailer?: Trailer): AsyncGenerator<Uint8Array> {
  let previous = seed.signature;
  const sign = (kind: 'PAYLOAD' | 'TRAILER', ...digests: readonly string[]): string => {
    previous = hmacHex(seed.key, [`AWS4-HMAC-SHA256-${kind}`, seed.amzDate, seed.scope, previous, ...digests].join('\n'));
    return previous;
  };
  const hasher = trailer === undefined ? undefined : trailerHasher(trailer);
  for await (const frame of frames(source, size)) {
    hasher?.update(frame);
    yield Buffer.from(`${frame.length.toString(16)};chunk-signature=${sign('PAYLOAD', EMPTY_SHA256, hash('sha256', frame, 'hex'))}\r\n`, 'latin1');
    yield frame;
    yield CRLF;
  }
  let end = `0;chunk-signature=${sign('PAYLOAD', EMPTY_SHA256, EMPTY_SHA256)}\r\n`;
  if (trailer !== undefined && hasher !== undefined) {
    const checksum = hasher.checksum();
    trailer.tell(checksum);
    const line = `${checksumHeader(trailer.algorithm)}:${base64Of(checksum)}`;
    end += `${line}\r\n${TRAILER_SIGNATURE}${sign('TRAILER', hash('sha256', `${line}\n`, 'hex'))}\r\n`;
  }
  yield Buffer.from(`${end}\r\n`, 'latin1');
}

const TRAILER_SIGNATURE = 'x-amz-trailer-signature:';

/** Content-Length of a body with a checksum trailer. */
export function trailerLength(size: number, algorithm: ChecksumAlgorithm): number {
  return framesLength(size, 0) + 3 + trailerLine(algorithm) + 2;
}

function trailerLine(algorithm: ChecksumAlgorithm): number {
  return `${checksumHeader(algorithm)}:`.length + base64Length(algorithm) + 2;
}

/**
 * `source` must be metered. The checksum is also handed to `tell`. Since nothing of a frame goes before it but its length, which is known,
 * the pieces of the source go through as they are.
 */
export async function* trailerFrames(source: AsyncIterable<Uint8Array>, size: number, trailer: Trailer): AsyncGenerator<Uint8Array> {
  const hasher = trailerHasher(trailer);
  let left = size;
  let inFrame = 0;
  for await (const chunk of source) {
    hasher.update(chunk);
    for (let at = 0; at < chunk.length;) {
      if (inFrame === 0) yield Buffer.from(`${(inFrame = Math.min(FRAME, left)).toString(16)}\r\n`, 'latin1');
      const piece = chunk.subarray(at, at + inFrame);
      yield piece;
      at += piece.length;
      inFrame -= piece.length;
      left -= piece.length;
      if (inFrame === 0) yield CRLF;
    }
  }
  const checksum = hasher.checksum();
  trailer.tell(checksum);
  yield Buffer.from(`0\r\n${checksumHeader(trailer.algorithm)}:${base64Of(checksum)}\r\n\r\n`, 'latin1');
}

/** Computes nothing where the source does. */
function trailerHasher({ algorithm, known }: Trailer): Hasher {
  if (known === undefined) return createHasher(algorithm);
  return {
    update: () => undefined,
    checksum() {
      const checksum = known();
      if (checksum?.algorithm !== algorithm) throw new BrigadeError({ code: 'E_INTERNAL', kind: 'internal', message: 'the body did not compute the checksum that it promised' });
      return checksum;
    },
  };
}

export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm}`;
}

export function base64Of(checksum: Checksum): string {
  return Buffer.from(checksum.hex, 'hex').toString('base64');
}

export function hexOf(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex');
}

const CRLF = Buffer.from('\r\n');
const DIGEST_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = { crc32: 4, crc32c: 4, crc64nvme: 8, md5: 16, sha1: 20, sha256: 32 };

function base64Length(algorithm: ChecksumAlgorithm): number {
  return Math.ceil(DIGEST_BYTES[algorithm] / 3) * 4;
}

function framesLength(size: number, extra: number): number {
  const whole = Math.floor(size / FRAME);
  const rest = size % FRAME;
  const frame = (length: number): number => length.toString(16).length + extra + 2 + length + 2;
  return whole * frame(FRAME) + (rest === 0 ? 0 : frame(rest));
}

/** Regroups a body into frames of exactly FRAME bytes; the last one may be shorter. */
async function* frames(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  let buffer = Buffer.allocUnsafeSlow(Math.min(FRAME, size));
  let filled = 0;
  let left = size;
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length;) {
      const taken = Math.min(chunk.length - at, buffer.length - filled);
      buffer.set(chunk.subarray(at, at + taken), filled);
      at += taken;
      filled += taken;
      if (filled < buffer.length) continue;
      yield buffer;
      left -= filled;
      filled = 0;
      // The socket may still hold the frame that was yielded: never written over.
      buffer = Buffer.allocUnsafeSlow(Math.min(FRAME, left));
    }
  }
}
