/** What a handler gets and gives. */
import type { Bucket, Layout } from './layout.ts';
import type { Payload } from './payload.ts';
import type { S3Request } from './request.ts';
import { maxSkewMs } from './sigv4.ts';
import type { Verified } from './sigv4.ts';

export interface Limits {
  /** Smallest part but the last, bytes. S3: 5 MiB. */
  readonly minPartBytes: number;
  /** Largest part, single PUT or copy, bytes. S3: 5 GiB. */
  readonly maxPutBytes: number;
  readonly maxParts: number;
  /** Largest XML request body, bytes. */
  readonly maxXmlBytes: number;
  /** Largest header block, bytes (431 above). */
  readonly maxHeaderBytes: number;
  /** Milliseconds for a whole request, body included: enough for the largest part over a thin link. */
  readonly requestTimeoutMs: number;
  /** Milliseconds for the header block, and for the TLS handshake. */
  readonly headersTimeoutMs: number;
  /** Milliseconds after which a connection on which nothing moves is closed, between requests too. */
  readonly idleMs: number;
  /** Milliseconds over which the pace of a body that comes in is measured … */
  readonly bodyIdleMs: number;
  /** … and the bytes per second it must bring. */
  readonly minBytesPerSecond: number;
  /** Connections, open at once. */
  readonly maxConnections: number;
  /** Connections from one client address (IPv6: from one /64 network). */
  readonly maxConnectionsPerClient: number;
  /** Milliseconds that the time of a request may be off. S3: 15 minutes. */
  readonly maxSkewMs: number;
}

export const s3Limits: Limits = {
  minPartBytes: 5 * 2 ** 20,
  maxPutBytes: 5 * 2 ** 30,
  maxParts: 10_000,
  maxXmlBytes: 2 * 2 ** 20,
  maxHeaderBytes: 16 * 1024,
  requestTimeoutMs: 12 * 3_600_000,
  headersTimeoutMs: 30_000,
  idleMs: 60_000,
  bodyIdleMs: 30_000,
  minBytesPerSecond: 512,
  maxConnections: 4096,
  maxConnectionsPerClient: 1024,
  maxSkewMs,
};

/** Where S3-compatible servers differ. */
export interface Behaviours {
  /** The checksum given to objects that come without one. S3 since 2024-12: CRC64NVME; most others: none. */
  readonly defaultChecksum: 'CRC64NVME' | 'none';
  /** Answer of the second Complete of one upload: S3 may answer as the first time, or NoSuchUpload. */
  readonly repeatedComplete: 'NoSuchUpload' | 'same answer';
  /** Whether encryption, archive classes and Object Lock are taken and told, though nothing is done about them: for tests of clients. Where
   * somebody could rely on it, they are refused. */
  readonly pretends: boolean;
  /** Base of virtual-hosted names (`<bucket>.<base>`); path style always works. */
  readonly hostBase: string | undefined;
}

export const s3Behaviours: Behaviours = { defaultChecksum: 'CRC64NVME', repeatedComplete: 'NoSuchUpload', pretends: true, hostBase: undefined };

/** Epoch milliseconds. */
export interface Clock { now(): number }

export interface ServiceContext {
  readonly request: S3Request;
  readonly verified: Verified;
  readonly layout: Layout;
  readonly region: string;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly behaviours: Behaviours;
  /** Answers of finished uploads, for `repeatedComplete`. */
  readonly completed: Map<string, string>;
  payload(emptyAllowed?: boolean): Payload;
}

export interface Context extends ServiceContext {
  readonly bucket: Bucket;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: string | AsyncIterable<Buffer> | Iterable<Buffer>;
  /** Bytes of a streamed body; absent where only its end tells. */
  readonly length?: number;
}

export const xmlReply = (body: string, headers: Record<string, string> = {}): Reply =>
  ({ status: 200, headers: { 'content-type': 'application/xml', ...headers }, body });

/** A document in pieces, which are encoded one after the other in the same buffer. */
export function xmlPiecesReply(pieces: readonly string[]): Reply {
  const [only, second] = pieces;
  if (only !== undefined && second === undefined) return xmlReply(only);
  const lengths = pieces.map((piece) => Buffer.byteLength(piece));
  return { ...xmlReply(''), length: lengths.reduce((sum, length) => sum + length, 0), body: encoded(pieces, Math.max(...lengths)) };
}

function* encoded(pieces: readonly string[], largest: number): Generator<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(largest);
  for (const piece of pieces) yield buffer.subarray(0, buffer.write(piece));
}

/** S3 tells whole seconds. */
export const isoTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}.000Z`;
export const httpTime = (ms: number): string => new Date(ms).toUTCString();
export const quoted = (etag: string): string => `"${etag}"`;
export const unquoted = (etag: string): string => etag.trim().replace(/^"(.*)"$/, '$1');
