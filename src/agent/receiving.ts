/** Takes an object's or part's bytes from a request and checks every digest the client gave. */
import { algorithms, checksumHeader, digestLength, parseAlgorithm, startDigest } from './checksums.ts';
import type { Algorithm, Checksum, Digest } from './checksums.ts';
import type { Context } from './context.ts';
import { invalidRequest, s3Error } from './errors.ts';
import { anyMd5, needsMd5, unframed } from './framing.ts';
import type { Body } from './layout.ts';
import type { S3Request } from './request.ts';

export interface Received {
  readonly body: Body;
  /** Any bytes where the client cares for no MD5. */
  readonly md5: Buffer;
  /** Raw values of the algorithms that were computed. */
  readonly digests: ReadonlyMap<Algorithm, Buffer>;
  /** The algorithm the client used. */
  readonly given: Algorithm | undefined;
}

const decodeBase64 = (text: string, length: number): Buffer | undefined => {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === length && bytes.toString('base64') === text ? bytes : undefined;
};

const checksumPrefix = 'x-amz-checksum-';
const notDigests = new Set(['algorithm', 'mode', 'type']);

/** A checksum that cannot be verified is refused, never passed over. */
function refuseUnknown(request: S3Request, trailers: readonly string[]): void {
  for (const name of [...request.headers.keys(), ...trailers]) {
    if (!name.startsWith(checksumPrefix)) continue;
    const algorithm = name.slice(checksumPrefix.length);
    if (!notDigests.has(algorithm) && parseAlgorithm(algorithm) === undefined) throw invalidRequest('The algorithm type you specified in x-amz-checksum- header is invalid.');
  }
}

/** The algorithm named by an x-amz-checksum- header or announced as a trailer. */
export function givenAlgorithm(request: S3Request): Algorithm | undefined {
  const trailers = (request.headers.get('x-amz-trailer') ?? '').split(',').map((name) => name.trim().toLowerCase());
  refuseUnknown(request, trailers);
  const found = algorithms.filter((a) => request.headers.has(checksumHeader(a)) || trailers.includes(checksumHeader(a)));
  if (found.length > 1) throw invalidRequest('Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.');
  if (found.length === 0 && request.headers.has('x-amz-sdk-checksum-algorithm') && request.method === 'PUT') {
    throw invalidRequest('x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.');
  }
  const named = request.headers.get('x-amz-sdk-checksum-algorithm');
  if (found[0] !== undefined && named !== undefined && named.toUpperCase() !== found[0]) throw invalidRequest('Value for x-amz-sdk-checksum-algorithm header is invalid.');
  return found[0];
}

function givenMd5(request: S3Request): Buffer | undefined {
  const text = request.headers.get('content-md5');
  if (text === undefined) return undefined;
  const bytes = decodeBase64(text, 16);
  if (bytes === undefined) throw s3Error('InvalidDigest', { details: { 'Content-MD5': text } });
  return bytes;
}

function checkGiven(request: S3Request, trailers: ReadonlyMap<string, string>, given: Algorithm | undefined, digests: ReadonlyMap<Algorithm, Buffer>): void {
  if (given === undefined) return;
  const name = checksumHeader(given);
  const text = request.headers.get(name) ?? trailers.get(name) ?? '';
  const expected = decodeBase64(text, digestLength(given));
  if (expected === undefined) throw invalidRequest(`Value for ${name} ${request.headers.has(name) ? '' : 'trailing '}header is invalid.`);
  if (digests.get(given)?.equals(expected) !== true) throw s3Error('BadDigest', { message: `The ${given} you specified did not match the calculated checksum.` });
}

/** The given header must be well formed before any byte is read. */
function precheck(request: S3Request, given: Algorithm | undefined): void {
  const text = given === undefined ? undefined : request.headers.get(checksumHeader(given));
  if (given !== undefined && text !== undefined && decodeBase64(text, digestLength(given)) === undefined) {
    throw invalidRequest(`Value for ${checksumHeader(given)} header is invalid.`);
  }
}

async function* feed(source: AsyncIterable<Buffer>, digests: readonly Digest[]): AsyncGenerator<Buffer> {
  for await (const piece of source) {
    for (const digest of digests) digest.update(piece);
    yield piece;
  }
}

/** Reads the payload into the layout. `wanted` are computed besides the client's own algorithm.
 * @throws S3Error BadDigest, InvalidDigest, EntityTooLarge and all of openPayload; then nothing stays stored */
export async function receive(context: Context, wanted: readonly Algorithm[]): Promise<Received> {
  const { request, layout, limits } = context;
  const given = givenAlgorithm(request);
  const md5Given = givenMd5(request);
  precheck(request, given);
  const payload = unframed(request, context.payload());
  if (payload.length > limits.maxPutBytes) throw s3Error('EntityTooLarge', { details: { ProposedSize: String(payload.length), MaxSizeAllowed: String(limits.maxPutBytes) } });
  const running = new Map([...new Set(given === undefined ? wanted : [...wanted, given])].map((a) => [a, startDigest(a)]));
  const md5Running = needsMd5(request) ? startDigest('MD5') : undefined;
  const body = await layout.write(feed(payload, [...(md5Running === undefined ? [] : [md5Running]), ...running.values()]));
  const digests = new Map([...running].map(([a, digest]) => [a, digest.digest()]));
  const md5 = md5Running?.digest() ?? anyMd5();
  try {
    if (md5Given !== undefined && !md5Given.equals(md5)) throw s3Error('BadDigest', { message: 'The Content-MD5 you specified did not match what we received.', details: { ExpectedDigest: md5Given.toString('hex'), CalculatedDigest: md5.toString('base64') } });
    checkGiven(request, payload.trailers, given, digests);
  } catch (error) {
    await body.discard();
    throw error;
  }
  return { body, md5, digests, given };
}

/** The checksum of a whole small object. */
export function fullChecksum(digests: ReadonlyMap<Algorithm, Buffer>, algorithm: Algorithm | undefined): Checksum | undefined {
  const value = algorithm === undefined ? undefined : digests.get(algorithm);
  return algorithm === undefined || value === undefined ? undefined : { algorithm, value: value.toString('base64'), type: 'FULL_OBJECT' };
}
