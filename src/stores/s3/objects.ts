/** Single objects: head, read, write, remove, tags. */
import { checksumOf, createHasher } from '../../core/checksum.ts';
import { BrigadeError, isKind } from '../../core/errors.ts';
import type { Key } from '../../core/key.ts';
import type { Mutable } from '../../core/mutable.ts';
import type { Attributes, Checksum, ChecksumAlgorithm, ObjectInfo, Pin, Token } from '../../core/object.ts';
import { KiB, MiB } from '../../core/units.ts';
import type { Body, Guard, ObjectRead, ReadRequest, WriteRequest, Written } from '../../ports/storage.ts';
import { base64Of, checksumHeader, hexOf, wrongSize } from './chunked.ts';
import type { Payload, S3Call, S3Client } from './client.ts';
import { encodeQuery } from './encode.ts';
import { failureOf, classify } from './errors.ts';
import { acceptHeaders, askedChecksum, expectsFrames, framed, framesStreams, unframed } from './framing.ts';
import { askHead } from './head.ts';
import { TIME_TOKEN, timeToken } from './time-token.ts';
import { attributeHeaders, readAttributes } from './metadata.ts';
import type { ProviderProfile } from './profiles.ts';
import { bareEtag } from './scanner.ts';
import { header } from './transport.ts';
import type { HttpResponse, ResponseHeaders } from './transport.ts';
import { childText, children, escapeText, rootOf } from './xml.ts';

const SMALL_BODY = 1 * MiB;
/** Objects up to here are handed out whole: walking through a small body costs more than its bytes. */
const WHOLE = 128 * KiB;

/** Which checksum goes with writes; `none` and MD5 included. From the option and what the profile or a probe allows. */
export type ChecksumChoice = ChecksumAlgorithm | 'none';

export async function headObject(client: S3Client, key: Key, options: { readonly checksum?: boolean; readonly signal?: AbortSignal } = {}): Promise<ObjectInfo> {
  const headers = [...pays(client), ...(options.checksum === true ? ['x-amz-checksum-mode', 'ENABLED'] : [])];
  const response = await askHead(client, { op: 'HeadObject', key, headers, scope: 'object', signal: options.signal });
  response.body.discard();
  const size = lengthOf(response.headers);
  if (size === undefined) throw new BrigadeError({ code: 'E_UNEXPECTED_ANSWER', kind: 'transient', op: 'HeadObject', location: client.locate(key), message: 'HEAD was answered without Content-Length' });
  return infoOf(key, response.headers, size, client.profile);
}

export async function readObject(client: S3Client, request: ReadRequest): Promise<ObjectRead> {
  const { key, range, expectedSize, pin } = request;
  const answer = await client.send({
    op: 'GetObject', method: 'GET', key, scope: 'object', pinned: pin !== undefined, signal: request.signal,
    // Over a lane an answer without a length would have to be asked for a second time.
    ...(expectsFrames(client) ? {} : { answerSize: range?.length ?? expectedSize }),
    // What comes in frames is decoded into that buffer, and must not lie in it meanwhile.
    ...(request.into === undefined || client.speaksFrames ? {} : { into: request.into }),
    headers: readHeaders(client, request), query: pin?.versionId === undefined ? '' : encodeQuery({ versionId: pin.versionId }),
  });
  try {
    const response = unframed(client, answer, () => client.locate(key));
    const length = range === undefined ? wholeLength(client, request, response) : rangeLength(client, request, response);
    const info = infoOf(key, response.headers, expectedSize, client.profile);
    checkPin(client, key, pin, info);
    const { body } = response;
    const bytes = length <= WHOLE ? await body.whole?.() : undefined;
    if (bytes?.length === length) return wholeRead(info, bytes);
    const chunks = checked(client, key, bytes === undefined ? body : onlyChunk(bytes), length);
    return { info, chunks, discard: () => body.discard() };
  } catch (thrown) {
    answer.body.discard();
    throw thrown;
  }
}

/** A body of 0 bytes has no chunk. */
async function* onlyChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}

function wholeRead(info: ObjectInfo, bytes: Uint8Array): ObjectRead {
  return { info, bytes, chunks: { [Symbol.asyncIterator]: () => onlyChunk(bytes) }, discard: () => undefined };
}

function readHeaders(client: S3Client, { pin, range }: ReadRequest): string[] {
  const headers = ['accept-encoding', 'identity', ...acceptHeaders(client), ...pays(client)];
  if (range !== undefined) headers.push('range', `bytes=${range.offset}-${range.offset + range.length - 1}`);
  else headers.push('x-amz-checksum-mode', 'ENABLED');
  if (pin !== undefined) headers.push(...pinHeader(pin.token, 'if-match', 'if-unmodified-since'));
  return headers;
}

/** The token as a condition; a token that is a time becomes the condition on time. */
export function pinHeader(token: Token, match: string, unmodified: string): string[] {
  if (token === '') return [];
  if (token.startsWith(TIME_TOKEN)) return [unmodified, new Date(Number(token.slice(TIME_TOKEN.length)) * 1000).toUTCString()];
  return [match, quoted(token)];
}

export function quoted(token: Token): string {
  return token.startsWith('W/') ? token : `"${token}"`;
}

/** Conditions are asked for, and not believed: a store that ignores If-Match is found out here. */
function checkPin(client: S3Client, key: Key, pin: Pin | undefined, info: ObjectInfo): void {
  if (pin === undefined || pin.token === '') return;
  const same = pin.token.startsWith(TIME_TOKEN) ? timeToken(info.modifiedMs) === pin.token : info.token === pin.token;
  if (!same) throw new BrigadeError({ code: 'E_SRC_CHANGED', kind: 'changed', op: 'GetObject', location: client.locate(key), message: 'the object is another version than the listed one' });
}

function wholeLength(client: S3Client, { key, expectedSize }: ReadRequest, { status, headers }: HttpResponse): number {
  if (status !== 200) throw readError(client, key, 'E_UNEXPECTED_ANSWER', 'transient', `GetObject was answered ${status} instead of 200`);
  const length = lengthOf(headers);
  if (length === expectedSize) return expectedSize;
  if (isTranscoded(headers)) {
    throw readError(client, key, 'E_TRANSCODED', 'object', `the store or a proxy changes the bytes on the way: ${length ?? 'an unknown number of'} bytes instead of ${expectedSize}`, 'switch transcoding off (Cache-Control: no-transform), or remove Content-Encoding from the object');
  }
  if (length === undefined) return expectedSize; // no length: the bytes are counted against the listed size (F003)
  throw readError(client, key, 'E_SIZE_LIST_MISMATCH', 'changed', `the listing says ${expectedSize} bytes, the object has ${length}`, 'if it says so again, this store lists sizes that are not those of its objects');
}

/** Decompressed (or compressed) on the way: by Google's headers, by RFC 9111's warning 214, or by an encoding on an answer of another length. */
function isTranscoded(headers: ResponseHeaders): boolean {
  const stored = header(headers, 'x-goog-stored-content-encoding');
  return (stored !== undefined && stored !== 'identity') || /gzip|br|deflate|zstd/.test(header(headers, 'content-encoding') ?? '') || header(headers, 'warning')?.includes('214') === true;
}

/** F021: 206 and exactly the range that was asked for, of an object of exactly the listed size. */
function rangeLength(client: S3Client, request: ReadRequest, { status, headers }: HttpResponse): number {
  const { key, expectedSize } = request;
  const range = request.range as NonNullable<ReadRequest['range']>;
  const contentRange = header(headers, 'content-range');
  const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(contentRange ?? '') ?? [];
  if (status !== 206 || first === undefined) {
    throw readError(client, key, 'E_RANGE_IGNORED', 'unsupported', `a range was answered ${status} ${contentRange === undefined ? 'without Content-Range' : `with Content-Range ${contentRange}`}`, 'this object is read in one stream instead');
  }
  if (total !== '*' && Number(total) !== expectedSize) throw readError(client, key, 'E_SIZE_LIST_MISMATCH', 'changed', `the listing says ${expectedSize} bytes, the object has ${String(total)}`);
  if (Number(first) !== range.offset || Number(last) !== range.offset + range.length - 1) {
    throw readError(client, key, 'E_RANGE_IGNORED', 'unsupported', `asked for ${range.length} bytes from ${range.offset}, was answered Content-Range ${String(contentRange)}`);
  }
  const length = lengthOf(headers);
  if (length !== undefined && length !== range.length) throw readError(client, key, 'E_SHORT_READ', 'transient', `Content-Length ${length} for a range of ${range.length} bytes`);
  return range.length;
}

/** Exactly `length` bytes, or an error: never more, never fewer (F001, F003). Errors of the connection say which object they hit. */
async function* checked(client: S3Client, key: Key, body: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let seen = 0;
  try {
    for await (const chunk of body) {
      seen += chunk.length;
      if (seen > length) throw readError(client, key, 'E_SHORT_READ', 'transient', `the body is longer than the expected ${length} bytes`);
      yield chunk;
    }
  } catch (thrown) {
    if (!(thrown instanceof BrigadeError) || thrown.op !== undefined) throw thrown;
    throw readError(client, key, thrown.code, thrown.kind, thrown.message);
  }
  if (seen !== length) throw readError(client, key, 'E_SHORT_READ', 'transient', `the body ended after ${seen} of ${length} bytes`);
}

function readError(client: S3Client, key: Key, code: string, kind: BrigadeError['kind'], message: string, hint?: string): BrigadeError {
  return new BrigadeError({ code, kind, op: 'GetObject', location: client.locate(key), message, ...(hint === undefined ? {} : { hint }) });
}

export async function writeObject(client: S3Client, request: WriteRequest, choice: ChecksumChoice): Promise<Written> {
  const { key, guard, signal } = request;
  const { guards } = client.profile;
  const body = request.body.size === 0 ? await emptyProven(request.body, () => client.locate(key)) : request.body;
  if (guard.kind !== 'none' && !(guard.kind === 'absent' ? guards.absent : guards.matches)) await checkGuardBefore(client, key, guard, false, signal);
  const plan = planChecksum(client, body, choice);
  const wire = client.speaksFrames ? await framed(client, plan.payload, () => client.locate(key)) : { headers: [], payload: plan.payload };
  const later = laterTags(client, request.attributes, 'write');
  const headers = [...attributeHeaders(withoutTags(request.attributes, later), client.profile, client.options.defaults, () => client.locate(key)), ...guardHeaders(client, guard), ...plan.headers, ...wire.headers];
  const call: S3Call = { op: 'PutObject', method: 'PUT', key, headers, body: wire.payload, scope: 'object', guarded: guard.kind !== 'none', signal };
  const response = await client.send(call);
  if (header(response.headers, 'content-length') === '0') response.body.discard();
  else await refuseErrorInside(client, call, response);
  const token = tokenOf(response.headers) ?? (await headObject(client, key, signal === undefined ? {} : { signal })).token;
  if (later !== undefined) await putTags(client, key, later, signal);
  return { token, ...plan.settle(response.headers, client.locate.bind(client), key) };
}

/** Tags that this store must be told after the object stands, because it loses them on the way (profiles.ts, tagsAfter). */
export function laterTags(client: S3Client, attributes: Attributes, when: 'write' | 'complete' | 'copy'): ReadonlyMap<string, string> | undefined {
  return client.profile.tagsAfter?.[when] === true && attributes.tags !== undefined && attributes.tags.size > 0 ? attributes.tags : undefined;
}

export function withoutTags(attributes: Attributes, later: ReadonlyMap<string, string> | undefined): Attributes {
  if (later === undefined) return attributes;
  const { tags: _, ...rest } = attributes;
  return rest;
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html */
export async function putTags(client: S3Client, key: Key, tags: ReadonlyMap<string, string>, signal?: AbortSignal): Promise<void> {
  const set = [...tags].map(([name, value]) => `<Tag><Key>${escapeText(name)}</Key><Value>${escapeText(value)}</Value></Tag>`).join('');
  const xml = Buffer.from(`<Tagging xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><TagSet>${set}</TagSet></Tagging>`, 'utf8');
  const body = { size: xml.length, bytes: xml, open: () => { throw new TypeError('bytes are at hand'); } };
  const headers = ['content-type', 'application/xml', 'content-md5', base64Of(checksumOf('md5', xml)), ...pays(client)];
  const call: S3Call = { op: 'PutObjectTagging', method: 'PUT', key, query: 'tagging=', headers, body, scope: 'object', signal };
  await refuseErrorInside(client, call, await client.send(call));
}

/** A success without content is what is expected; an error behind a 200 is one all the same. Frees the connection. */
export async function refuseErrorInside(client: S3Client, call: S3Call, response: HttpResponse): Promise<void> {
  const body = await client.collect(call, response, SMALL_BODY);
  if (body.length === 0) return;
  const text = body.toString('utf8');
  if (/<Error[\s>]/.test(text)) throw classify(failureOf(500, response.headers, text), client.circumstances(call));
}

/** A body of 0 bytes is sent as such, once it has shown that it holds none (F012). */
export async function emptyProven(body: Body, where: () => string): Promise<Body> {
  if (body.size > 0 || body.bytes !== undefined) return body;
  for await (const chunk of body.open()) if (chunk.length > 0) throw wrongSize(chunk.length, 0, where());
  return { ...body, bytes: new Uint8Array(0) };
}

/** Where the store does not enforce a guard, a look just before the write is all there is (facts.guards says so). */
export async function checkGuardBefore(client: S3Client, key: Key, guard: Guard, enforced: boolean, signal?: AbortSignal): Promise<void> {
  if (guard.kind === 'none' || enforced) return;
  const found = await headObject(client, key, signal === undefined ? {} : { signal }).catch((thrown: unknown) => {
    if (isKind(thrown, 'gone')) return undefined;
    throw thrown;
  });
  if (guard.kind === 'absent' ? found === undefined : found?.token === guard.token) return;
  const message = guard.kind === 'absent' ? 'there is an object at the destination already' : 'the destination holds another version than expected';
  throw new BrigadeError({ code: 'E_CONFLICT', kind: 'conflict', op: 'HeadObject', location: client.locate(key), message });
}

export function guardHeaders(client: S3Client, guard: Guard): string[] {
  if (guard.kind === 'none' || !client.profile.guards.sent) return [];
  return guard.kind === 'absent' ? ['if-none-match', '*'] : ['if-match', client.profile.guards.bare === true ? guard.token : quoted(guard.token)];
}

/** How a body is protected on its way, and what the answer must then say. */
export interface ChecksumPlan {
  readonly headers: readonly string[];
  readonly payload: Payload;
  /** Compares with the answer; throws E_CHECKSUM_MISMATCH. */
  settle(headers: ResponseHeaders, locate: (key: Key) => string, key: Key): { checksum?: Checksum; sent?: Checksum };
}

export function planChecksum(client: S3Client, body: Body, choice: ChecksumChoice): ChecksumPlan {
  const known = knownChecksum(client, body, choice);
  if (known !== undefined) {
    const headers = known.algorithm === 'md5' ? ['content-md5', base64Of(known)] : [checksumHeader(known.algorithm), base64Of(known)];
    const settle: ChecksumPlan['settle'] = (answer, locate, key) => (known.algorithm === 'md5' ? { sent: known } : { checksum: compared(known, answer, locate, key), sent: known });
    return { headers, payload: payloadOf(body, known), settle };
  }
  if (body.bytes !== undefined || choice === 'none') {
    const sent = body.checksum === undefined ? {} : { sent: body.checksum };
    return { headers: [], payload: payloadOf(body, body.checksum), settle: () => sent };
  }
  return planStreamed(client, body, choice);
}

/** Computed while the bytes go by; sent behind them where the store takes a trailer. */
function planStreamed(client: S3Client, body: Body, choice: ChecksumAlgorithm): ChecksumPlan {
  const algorithm = choice === 'md5' ? 'crc32' : choice;
  let sent: Checksum | undefined;
  const tell = (checksum: Checksum): void => { sent = checksum; };
  const inFrames = framesStreams(client);
  const trailed = !inFrames && client.profile.checksums.trailer && client.profile.checksums.headers.includes(algorithm);
  // What the body computes on its way here covers more of it than what we would compute.
  const known = body.inFlight?.algorithm === algorithm ? body.inFlight : undefined;
  const payload: Payload = trailed
    ? { size: body.size, open: () => body.open(), trailer: { algorithm, tell, ...(known === undefined ? {} : { known: () => known.computed() }) } }
    : { size: body.size, open: () => (known === undefined ? hashed(body.open(), algorithm, tell) : body.open()) };
  return {
    headers: trailed ? ['x-amz-sdk-checksum-algorithm', algorithm.toUpperCase()] : inFrames ? askedChecksum(algorithm) : [], payload,
    settle(answer, locate, key) {
      sent ??= known?.computed();
      if (sent === undefined) return {};
      const vouched = trailed || header(answer, checksumHeader(algorithm)) !== undefined;
      return vouched ? { checksum: compared(sent, answer, locate, key), sent } : { sent };
    },
  };
}

async function* hashed(source: AsyncIterable<Uint8Array>, algorithm: ChecksumAlgorithm, tell: (checksum: Checksum) => void): AsyncGenerator<Uint8Array> {
  const hasher = createHasher(algorithm);
  for await (const chunk of source) {
    hasher.update(chunk);
    yield chunk;
  }
  tell(hasher.checksum());
}

function payloadOf(body: Body, known: Checksum | undefined): Payload {
  return { size: body.size, bytes: body.bytes, open: () => body.open(), sha256: known?.algorithm === 'sha256' ? known.hex : undefined };
}

/** The checksum to send in a header: the body's own when the store takes its kind, else one of the bytes in memory. */
function knownChecksum(client: S3Client, body: Body, choice: ChecksumChoice): Checksum | undefined {
  if (choice === 'none') return undefined;
  const { checksum, bytes } = body;
  if (checksum !== undefined && (client.profile.checksums.headers.includes(checksum.algorithm) || (checksum.algorithm === 'md5' && client.profile.checksums.md5))) return checksum;
  if (bytes === undefined) return undefined;
  if (bytes.length !== body.size) throw wrongSize(bytes.length, body.size, client.address);
  return checksumOf(choice, bytes);
}

function compared(ours: Checksum, answer: ResponseHeaders, locate: (key: Key) => string, key: Key): Checksum {
  const theirs = header(answer, checksumHeader(ours.algorithm));
  if (theirs === undefined || theirs.includes('-') || hexOf(theirs) === ours.hex) return ours;
  throw new BrigadeError({
    code: 'E_CHECKSUM_MISMATCH', kind: 'transient', op: 'PutObject', location: locate(key),
    message: `the store computed ${ours.algorithm} ${hexOf(theirs).slice(0, 16)}, we sent ${ours.hex.slice(0, 16)}`,
  });
}

export async function removeObject(client: S3Client, key: Key, signal?: AbortSignal): Promise<void> {
  (await client.send({ op: 'DeleteObject', method: 'DELETE', key, headers: pays(client), scope: 'object', signal })).body.discard();
}

export async function readTags(client: S3Client, key: Key, pin?: Pin, signal?: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const query = encodeQuery({ tagging: '', versionId: pin?.versionId });
  const call: S3Call = { op: 'GetObjectTagging', method: 'GET', key, query, headers: pays(client), scope: 'object', signal };
  const response = await client.send(call).catch((thrown: unknown) => {
    // Some stores answer "no tags" as an error of its own.
    if (thrown instanceof BrigadeError && /NoSuchTagSet/.test(thrown.message)) return undefined;
    throw thrown;
  });
  if (response === undefined) return new Map();
  const text = (await client.collect(call, response, SMALL_BODY)).toString('utf8');
  // radosgw says nothing at all of an object that lost its tags on the way through an upload.
  return text === '' && client.profile.tagsAfter !== undefined ? new Map() : parseTags(client, key, text);
}

function parseTags(client: S3Client, key: Key, text: string): ReadonlyMap<string, string> {
  const root = rootOf(text);
  if (root?.name !== 'Tagging') throw new BrigadeError({ code: 'E_UNEXPECTED_ANSWER', kind: 'transient', op: 'GetObjectTagging', location: client.locate(key), message: 'the answer is not a set of tags' });
  const tags = new Map<string, string>();
  for (const set of children(root.inner)) {
    for (const tag of children(set.inner)) if (tag.name === 'Tag') tags.set(childText(tag.inner, 'Key') ?? '', childText(tag.inner, 'Value') ?? '');
  }
  return tags;
}

/** What the headers of an answer say of an object. `size` is of the whole object. */
export function infoOf(key: Key, headers: ResponseHeaders, size: number, { checksums: { headers: vouched }, countsTags }: ProviderProfile): ObjectInfo {
  const modified = Date.parse(header(headers, 'last-modified') ?? '');
  const modifiedMs = Number.isNaN(modified) ? undefined : modified;
  const versionId = header(headers, 'x-amz-version-id');
  const tagCount = header(headers, 'x-amz-tagging-count') ?? (countsTags === true ? '0' : undefined);
  const checksum = checksumIn(headers, vouched);
  const declared = checksum === undefined ? checksumIn(headers, DECLARED) : undefined;
  const restore = header(headers, 'x-amz-restore');
  const info: Mutable<ObjectInfo> = { key, size, token: tokenOf(headers) ?? timeToken(modifiedMs), ...readAttributes(headers) };
  if (versionId !== undefined && versionId !== 'null') info.versionId = versionId;
  if (modifiedMs !== undefined) info.modifiedMs = modifiedMs;
  if (checksum !== undefined) info.checksum = checksum;
  if (declared !== undefined) info.declared = declared;
  if (tagCount !== undefined) info.tagCount = Number(tagCount);
  if (restore !== undefined) info.restored = /ongoing-request="false"/.test(restore);
  return info;
}

/** Whatever may come with an object of a store that is not known to verify them, cheapest first. */
const DECLARED: readonly ChecksumAlgorithm[] = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'];

/** Only checksums over the whole object: a composite one (`…-3`, or of type COMPOSITE) says nothing of its bytes. */
function checksumIn(headers: ResponseHeaders, algorithms: readonly ChecksumAlgorithm[]): Checksum | undefined {
  if (header(headers, 'x-amz-checksum-type') === 'COMPOSITE') return undefined;
  for (const algorithm of algorithms) {
    const value = header(headers, checksumHeader(algorithm));
    if (value !== undefined && !value.includes('-')) return { algorithm, hex: hexOf(value) };
  }
  return undefined;
}

export function tokenOf(headers: ResponseHeaders): Token | undefined {
  const etag = header(headers, 'etag');
  return etag === undefined || etag === '' || etag === '""' ? undefined : bareEtag(etag);
}

function lengthOf(headers: ResponseHeaders): number | undefined {
  const text = header(headers, 'content-length');
  return text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
}

export function pays(client: S3Client): string[] {
  return client.options.defaults.requesterPays === true ? ['x-amz-request-payer', 'requester'] : [];
}
