/**
 * Bodies in frames between this driver and our own endpoint (core/frames.ts): holes are not sent and, where the connection asks for it,
 * data goes compressed (S4.12–S4.14). Spoken only with a server that says it can; no other store ever sees a trace of it.
 * The headers are told in docs/agent-bodies.md.
 */
import { BrigadeError } from '../../core/errors.ts';
import { decodeFrames, encodeFrames, FRAME_HEADERS, FRAMES, shrinks, WORTH_FRAMES } from '../../core/frames.ts';
import type { ChecksumAlgorithm } from '../../core/object.ts';
import { metered } from './chunked.ts';
import type { Payload, S3Client } from './client.ts';
import { header } from './transport.ts';
import type { HttpResponse, ResponseBody } from './transport.ts';

const { accept: ACCEPT, body: BODY, length: LENGTH, etag: ETAG, checksum: CHECKSUM } = FRAME_HEADERS;

/** What a read says it takes. */
export function acceptHeaders(client: S3Client): readonly string[] {
  if (!client.speaksFrames) return [];
  return [ACCEPT, client.options.compress === true ? `${FRAMES}, zstd` : FRAMES];
}

/** Whether a large body will come in frames, whose length nobody knows ahead. */
export function expectsFrames(client: S3Client): boolean {
  return client.speaksFrames && client.options.compress === true;
}

/** An answer whose body is in frames as one whose body is not; any other as it is. */
export function unframed(client: S3Client, response: HttpResponse, locate: () => string): HttpResponse {
  const coding = header(response.headers, BODY);
  if (coding === undefined) return response;
  const text = header(response.headers, LENGTH) ?? '';
  const refuse = (why: string): BrigadeError => new BrigadeError({ code: 'E_FRAMES', kind: 'transient', op: 'GetObject', location: locate(), message: `the frames of the body are wrong: ${why}` });
  if (coding !== FRAMES || !client.speaksFrames) throw refuse('nobody asked for them');
  if (!/^\d{1,15}$/.test(text)) throw refuse(`they do not say how long it is (${LENGTH})`);
  const { body } = response;
  const pieces = decodeFrames(body, { length: Number(text), refuse });
  const decoded: ResponseBody = {
    [Symbol.asyncIterator]: () => pieces,
    collect: () => { throw new TypeError('a body in frames is an object’s, and read piece by piece'); },
    discard: () => body.discard(),
  };
  return { status: response.status, headers: { ...response.headers, 'content-length': text }, body: decoded };
}

/** Whether bodies of unknown content go in frames while they are read: their length is then not known ahead, so nothing can sign it. */
export function framesStreams(client: S3Client): boolean {
  return expectsFrames(client) && !client.signsPayloads;
}

/** The checksum that the endpoint is to compute over the real bytes and answer, where no trailer can carry ours. */
export function askedChecksum(algorithm: ChecksumAlgorithm): readonly string[] {
  return [CHECKSUM, algorithm.toUpperCase()];
}

export interface Framed {
  readonly headers: readonly string[];
  readonly payload: Payload;
}

/** The payload of a write as it goes out: in frames where that makes it smaller. */
export async function framed(client: S3Client, payload: Payload, where: () => string): Promise<Framed> {
  if (!client.speaksFrames) return { headers: [], payload };
  // Our endpoint's ETags are tokens to us: an MD5 of all bytes would cost it more than everything else together.
  const headers = [ETAG, 'any'];
  const { size, bytes } = payload;
  const compress = client.options.compress === true;
  const inFrames = [...headers, BODY, FRAMES, LENGTH, String(size)];
  if (bytes === undefined) {
    if (size < WORTH_FRAMES || !framesStreams(client)) return { headers, payload };
    return { headers: inFrames, payload: { size, framed: true, open: () => encodeFrames(metered(payload.open(), size, where), { compress }) } };
  }
  if (size < WORTH_FRAMES || bytes.length !== size || !shrinks(bytes, compress)) return { headers, payload };
  const coded = await whole(encodeFrames([bytes], { compress }));
  return { headers: inFrames, payload: { size: coded.length, bytes: coded, open: () => { throw new TypeError('bytes are at hand'); } } };
}

async function whole(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece); // views of the bytes that are being sent, which stay as they are
  return Buffer.concat(all);
}
