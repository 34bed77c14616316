/**
 * What this endpoint speaks with our own S3 driver only, by content negotiation: bodies in frames (core/frames.ts), so that holes are not
 * sent and data is compressed where that helps, and ETags that need no MD5. A client that does not ask for it never meets it.
 *
 *     server: brigade frames/1             on every answer: what may be asked for
 *     x-brigade-accept: frames/1, zstd     of a GET: the body may come in frames; with zstd, compressed ones too
 *     x-brigade-body: frames/1             of a GET's answer, a PutObject or UploadPart: the body is in frames
 *     x-brigade-length: N                  beside it: bytes of the decoded body
 *     x-brigade-etag: any                  of a PutObject or UploadPart: any ETag will do
 *     x-brigade-checksum: CRC64NVME        beside it: this checksum is to be computed, kept and told, though none is sent along
 */
import { randomBytes } from 'node:crypto';
import { decodeFrames, encodeFrames, FRAME_HEADERS, FRAMES, WORTH_FRAMES } from '../core/frames.ts';
import { type Algorithm, parseAlgorithm } from './checksums.ts';
import type { Reply } from './context.ts';
import { invalidArgument, s3Error } from './errors.ts';
import type { Body } from './layout.ts';
import type { Payload } from './payload.ts';
import type { S3Request } from './request.ts';

const { accept: ACCEPT, body: BODY, length: LENGTH, etag: ETAG, checksum: CHECKSUM } = FRAME_HEADERS;

/** The body of a read, as the client may have it: in frames where it asked for them and they are likely to save something. */
export async function sentBody(request: S3Request, body: Body, start: number, end: number): Promise<Pick<Reply, 'headers' | 'length' | 'body'>> {
  const length = end - start;
  const bytes = body.read(start, end, true);
  const asked = length < WORTH_FRAMES ? undefined : request.headers.get(ACCEPT);
  if (asked === undefined) return { length, body: bytes };
  const accepted = asked.split(',').map((word) => word.trim());
  const compress = accepted.includes('zstd');
  if (!accepted.includes(FRAMES) || !(compress || await body.isSparse?.(start, end) === true)) return { length, body: bytes };
  return { headers: { [BODY]: FRAMES, [LENGTH]: String(length) }, body: encodeFrames(bytes, { compress }) as AsyncIterable<Buffer> };
}

/** Whether the body of a request is in frames. @throws S3Error InvalidArgument for another coding */
export function isFramed(request: S3Request): boolean {
  const coding = request.headers.get(BODY);
  if (coding === undefined) return false;
  if (coding !== FRAMES) throw invalidArgument(BODY, coding, `This endpoint decodes ${FRAMES} alone.`);
  return true;
}

/** The payload with its frames taken off; one without frames as it is. @throws S3Error InvalidArgument, and while reading IncompleteBody */
export function unframed(request: S3Request, payload: Payload): Payload {
  if (!isFramed(request)) return payload;
  const text = request.headers.get(LENGTH) ?? '';
  const length = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(length)) throw invalidArgument(LENGTH, text, `A body in frames comes with its decoded length as ${LENGTH}.`);
  const refuse = (why: string): Error => s3Error('IncompleteBody', { message: `The frames of the body are wrong: ${why}` });
  const bytes = decodeFrames(payload, { length, refuse }) as AsyncGenerator<Buffer>;
  return { length, trailers: payload.trailers, [Symbol.asyncIterator]: () => bytes };
}

/** Whether the client lets the ETag be any: an MD5 of all bytes costs more than everything else together. */
export const needsMd5 = (request: S3Request): boolean => request.headers.get(ETAG) !== 'any' || request.headers.has('content-md5');

export const anyMd5 = (): Buffer => randomBytes(16);

/** Nobody may take it for the MD5 of the bytes: clients do so unless it has a dash. So it looks as that of an upload of one part, and there was none. */
export const anyETag = (): string => `${randomBytes(16).toString('hex')}-1`;

/** A checksum that the client wants to be told. @throws S3Error InvalidArgument */
export function askedChecksum(request: S3Request): Algorithm | undefined {
  const name = request.headers.get(CHECKSUM);
  const algorithm = name === undefined ? undefined : parseAlgorithm(name);
  if (name !== undefined && algorithm === undefined) throw invalidArgument(CHECKSUM, name, 'This is no checksum algorithm.');
  return algorithm;
}
