/** Large objects in parts. */
import { BrigadeError, isKind } from '../../core/errors.ts';
import type { Key } from '../../core/key.ts';
import type { Checksum, ChecksumAlgorithm } from '../../core/object.ts';
import { MiB } from '../../core/units.ts';
import type { Body, CompleteRequest, Multipart, OpenUpload, Part, Upload, UploadRequest, Written } from '../../ports/storage.ts';
import { base64Of, checksumHeader, hexOf } from './chunked.ts';
import type { S3Call, S3Client } from './client.ts';
import { encodeQuery } from './encode.ts';
import { classify, failureOf } from './errors.ts';
import { framed } from './framing.ts';
import { attributeHeaders } from './metadata.ts';
import { checkGuardBefore, emptyProven, guardHeaders, headObject, laterTags, pays, planChecksum, putTags, refuseErrorInside, tokenOf, withoutTags } from './objects.ts';
import type { ChecksumChoice } from './objects.ts';
import { bareEtag, decodeEncoded } from './scanner.ts';
import { childText, children, escapeText, rootOf } from './xml.ts';
import type { Element } from './xml.ts';

const ANSWER = 8 * MiB;
const LIST_ANSWER = 64 * MiB;
/** Stores assemble large objects while we wait; some send spaces meanwhile, others nothing. */
const COMPLETE_MS = 15 * 60_000;
const ABORTS = 5;
/** Linear checksums can stand for the whole object (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html). */
const LINEAR: ReadonlySet<ChecksumAlgorithm> = new Set(['crc32', 'crc32c', 'crc64nvme']);

export function createMultipart(client: S3Client, choice: () => ChecksumChoice): Multipart {
  return {
    create: (request) => createUpload(client, request, choice()),
    putPart: (upload, number, body, signal) => putPart(client, upload, number, body, choice(), signal),
    complete: (request) => completeUpload(client, request),
    abort: (upload, signal) => abortUpload(client, upload, signal),
    listParts: (upload, signal) => listParts(client, upload, signal),
    listUploads: (signal) => listUploads(client, signal),
  };
}

async function createUpload(client: S3Client, request: UploadRequest, choice: ChecksumChoice): Promise<Upload> {
  const { key, size, partSize, signal } = request;
  const algorithm = request.copied === true && client.profile.plainPartCopies === true ? undefined : uploadAlgorithm(client, request.checksumAlgorithm, choice);
  const headers = attributeHeaders(withoutTags(request.attributes, laterTags(client, request.attributes, 'complete')), client.profile, client.options.defaults, () => client.locate(key));
  if (algorithm !== undefined) {
    headers.push('x-amz-checksum-algorithm', algorithm.toUpperCase());
    if (isFullObject(client, algorithm)) headers.push('x-amz-checksum-type', 'FULL_OBJECT');
  }
  const call: S3Call = { op: 'CreateMultipartUpload', method: 'POST', key, query: 'uploads=', headers, scope: 'object', signal };
  const id = childText((await answer(client, call, 'InitiateMultipartUploadResult')).inner, 'UploadId');
  if (id === undefined || id === '') throw unexpected(client, call, 'the answer has no UploadId');
  return { key, id, size, partSize, ...(algorithm === undefined ? {} : { checksumAlgorithm: algorithm }) };
}

function uploadAlgorithm(client: S3Client, asked: ChecksumAlgorithm | undefined, choice: ChecksumChoice): ChecksumAlgorithm | undefined {
  const { headers } = client.profile.checksums;
  if (asked !== undefined && headers.includes(asked)) return asked;
  return choice !== 'none' && headers.includes(choice) ? choice : undefined;
}

function isFullObject(client: S3Client, algorithm: ChecksumAlgorithm): boolean {
  return client.profile.checksums.fullObject && LINEAR.has(algorithm);
}

async function putPart(client: S3Client, upload: Upload, number: number, given: Body, choice: ChecksumChoice, signal?: AbortSignal): Promise<Part> {
  const body = await emptyProven(given, () => client.locate(upload.key));
  const plan = planChecksum(client, body, upload.checksumAlgorithm ?? (choice === 'none' ? choice : client.profile.checksums.md5 ? 'md5' : 'none'));
  const wire = await framed(client, plan.payload, () => client.locate(upload.key));
  const call: S3Call = {
    op: 'UploadPart', method: 'PUT', key: upload.key, query: encodeQuery({ partNumber: String(number), uploadId: upload.id }),
    headers: [...plan.headers, ...wire.headers, ...pays(client)], body: wire.payload, scope: 'upload', signal,
  };
  const response = await client.send(call);
  await refuseErrorInside(client, call, response);
  const token = tokenOf(response.headers);
  if (token === undefined) throw unexpected(client, call, 'the answer has no ETag');
  const { checksum, sent } = plan.settle(response.headers, (key) => client.locate(key), upload.key);
  const vouched = checksum ?? (sent?.algorithm === upload.checksumAlgorithm ? sent : undefined);
  return { number, size: body.size, token, ...(vouched === undefined ? {} : { checksum: vouched }) };
}

async function completeUpload(client: S3Client, request: CompleteRequest): Promise<Written> {
  const { upload, guard, signal } = request;
  checkParts(client, request);
  await checkGuardBefore(client, upload.key, guard, client.profile.guards.onComplete, signal);
  const xml = Buffer.from(partsXml(request), 'utf8');
  const call: S3Call = {
    op: 'CompleteMultipartUpload', method: 'POST', key: upload.key, query: encodeQuery({ uploadId: upload.id }), scope: 'upload', guarded: guard.kind !== 'none', signal, headersTimeoutMs: COMPLETE_MS,
    headers: ['content-type', 'application/xml', ...completeHeaders(client, request), ...pays(client)],
    body: { size: xml.length, bytes: xml, open: () => { throw new TypeError('bytes are at hand'); } },
  };
  const { inner } = await answer(client, call, 'CompleteMultipartUploadResult');
  const etag = bareEtag(childText(inner, 'ETag') ?? '');
  const checksum = answeredChecksum(client, call, inner, request);
  // Some stores (older radosgw) leave the ETag out: then one HEAD tells it.
  const token = etag === '' ? (await headObject(client, upload.key, signal === undefined ? {} : { signal })).token : etag;
  const later = laterTags(client, request.attributes, 'complete');
  if (later !== undefined) await putTags(client, upload.key, later, signal);
  return { token, ...(checksum === undefined ? {} : { checksum }) };
}

/** F011: parts are 1…n, and their sizes are the object's. Nobody else checks that. */
function checkParts(client: S3Client, { upload, parts }: CompleteRequest): void {
  const gap = parts.findIndex((part, index) => part.number !== index + 1);
  const total = parts.reduce((sum, part) => sum + part.size, 0);
  if (gap < 0 && total === upload.size && parts.length > 0) return;
  const what = gap >= 0 ? `part ${gap + 1} is missing` : `the parts hold ${total} of ${upload.size} bytes`;
  throw new BrigadeError({ code: 'E_PART_MISSING', kind: 'object', op: 'CompleteMultipartUpload', location: client.locate(upload.key), message: `the upload is not whole: ${what}` });
}

function partsXml({ upload, parts }: CompleteRequest): string {
  const algorithm = upload.checksumAlgorithm;
  const lines = parts.map(({ number, token, checksum }) => {
    const sum = algorithm !== undefined && checksum?.algorithm === algorithm ? `<${element(algorithm)}>${base64Of(checksum)}</${element(algorithm)}>` : '';
    return `<Part><PartNumber>${number}</PartNumber><ETag>"${escapeText(token)}"</ETag>${sum}</Part>`;
  });
  return `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${lines.join('')}</CompleteMultipartUpload>`;
}

function completeHeaders(client: S3Client, { upload, guard, checksum }: CompleteRequest): string[] {
  const headers = client.profile.guards.onComplete ? guardHeaders(client, guard) : [];
  const algorithm = upload.checksumAlgorithm;
  if (algorithm === undefined || !isFullObject(client, algorithm)) return headers;
  headers.push('x-amz-checksum-type', 'FULL_OBJECT', 'x-amz-mp-object-size', String(upload.size));
  if (checksum?.algorithm === algorithm) headers.push(checksumHeader(algorithm), base64Of(checksum));
  return headers;
}

function answeredChecksum(client: S3Client, call: S3Call, inner: string, { upload, checksum }: CompleteRequest): Checksum | undefined {
  const algorithm = upload.checksumAlgorithm;
  if (algorithm === undefined || !isFullObject(client, algorithm)) return undefined;
  const said = childText(inner, element(algorithm));
  if (said === undefined || said.includes('-') || childText(inner, 'ChecksumType') === 'COMPOSITE') return undefined;
  const found: Checksum = { algorithm, hex: hexOf(said) };
  if (checksum?.algorithm !== algorithm || checksum.hex === found.hex) return found;
  throw new BrigadeError({
    code: 'E_CHECKSUM_MISMATCH', kind: 'transient', op: call.op, location: client.locate(upload.key),
    message: `the whole object has ${algorithm} ${found.hex} at the store and ${checksum.hex} at the source`,
  });
}

/** Parts in flight may land after an abort: repeated until the store knows the upload no more (F072). */
async function abortUpload(client: S3Client, upload: Upload, signal?: AbortSignal): Promise<void> {
  const query = encodeQuery({ uploadId: upload.id });
  for (let round = 0; round < ABORTS; round++) {
    try {
      (await client.send({ op: 'AbortMultipartUpload', method: 'DELETE', key: upload.key, query, headers: pays(client), scope: 'upload', signal })).body.discard();
      if ((await listParts(client, upload, signal)).length === 0) return;
    } catch (thrown) {
      if (isKind(thrown, 'gone')) return;
      throw thrown;
    }
  }
  throw new BrigadeError({ code: 'E_UPLOAD_LINGERS', kind: 'transient', op: 'AbortMultipartUpload', location: client.locate(upload.key), message: `the store still shows parts of the upload after ${ABORTS} aborts` });
}

async function listParts(client: S3Client, upload: Upload, signal?: AbortSignal): Promise<readonly Part[]> {
  const parts = await pagesOfParts(client, upload, signal);
  if (parts.length === 0 && client.profile.remembersAborted === true && !(await isOpen(client, upload, signal))) {
    throw new BrigadeError({ code: 'E_UPLOAD_GONE', kind: 'gone', op: 'ListParts', location: client.locate(upload.key), message: 'the upload is in no list of uploads any more' });
  }
  return parts;
}

async function isOpen(client: S3Client, upload: Upload, signal: AbortSignal | undefined): Promise<boolean> {
  for await (const { id } of listUploads(client, signal, client.absolute(upload.key))) if (id === upload.id) return true;
  return false;
}

async function pagesOfParts(client: S3Client, upload: Upload, signal: AbortSignal | undefined): Promise<readonly Part[]> {
  const parts: Part[] = [];
  for (let marker: string | undefined; ;) {
    const query = encodeQuery({ uploadId: upload.id, 'part-number-marker': marker });
    const call: S3Call = { op: 'ListParts', method: 'GET', key: upload.key, query, headers: pays(client), scope: 'upload', signal };
    const { inner } = await answer(client, call, 'ListPartsResult', LIST_ANSWER);
    for (const child of children(inner)) if (child.name === 'Part') parts.push(partOf(client, call, child, upload, parts.at(-1)?.number ?? 0));
    if (!isTruncated(client, call, inner)) return parts;
    const next = childText(inner, 'NextPartNumberMarker') ?? String(parts.at(-1)?.number ?? '');
    if (next === '' || next === marker) throw loops(client, call);
    marker = next;
  }
}

function partOf(client: S3Client, call: S3Call, { inner }: Element, upload: Upload, previous: number): Part {
  const number = Number(childText(inner, 'PartNumber'));
  const size = Number(childText(inner, 'Size') ?? NaN);
  const etag = childText(inner, 'ETag');
  if (!Number.isSafeInteger(number) || number <= previous || !Number.isSafeInteger(size) || etag === undefined) throw unexpected(client, call, 'the list of parts is not in order or not complete');
  const algorithm = upload.checksumAlgorithm;
  const sum = algorithm === undefined ? undefined : childText(inner, element(algorithm));
  return { number, size, token: bareEtag(etag), ...(algorithm === undefined || sum === undefined ? {} : { checksum: { algorithm, hex: hexOf(sum) } }) };
}

async function* listUploads(client: S3Client, signal?: AbortSignal, prefix = uploadsPrefix(client)): AsyncGenerator<OpenUpload> {
  for (let keyMarker: string | undefined, idMarker: string | undefined; ;) {
    const query = encodeQuery({ uploads: '', 'encoding-type': 'url', prefix: prefix === '' ? undefined : prefix, 'key-marker': keyMarker, 'upload-id-marker': idMarker });
    const call: S3Call = { op: 'ListMultipartUploads', method: 'GET', query, headers: pays(client), scope: 'bucket', signal };
    const { inner } = await answer(client, call, 'ListMultipartUploadsResult', LIST_ANSWER);
    const decode = keyDecoder(client, inner);
    for (const child of children(inner)) {
      const key = child.name === 'Upload' ? decode(childText(child.inner, 'Key') ?? '') : '';
      if (key.startsWith(client.prefix) && key !== '') yield { key: key.slice(client.prefix.length), id: childText(child.inner, 'UploadId') ?? '', ...initiated(child.inner) };
    }
    if (!isTruncated(client, call, inner)) return;
    const next = [decode(childText(inner, 'NextKeyMarker') ?? ''), childText(inner, 'NextUploadIdMarker')] as const;
    if (next[0] === '' || (next[0] === keyMarker && next[1] === idMarker)) throw loops(client, call);
    [keyMarker, idMarker] = next;
  }
}

function initiated(upload: string): { readonly initiatedMs?: number } {
  const at = Date.parse(childText(upload, 'Initiated') ?? '');
  return Number.isNaN(at) ? {} : { initiatedMs: at };
}

function uploadsPrefix(client: S3Client): string {
  return client.profile.uploadsByWholeKey === true ? '' : client.prefix;
}

function keyDecoder(client: S3Client, inner: string): (text: string) => Key {
  return childText(inner, 'EncodingType') === 'url' ? (text) => decodeEncoded(text, client.profile.listing.plusIsSpace) : (text) => text;
}

/** The root of an answer, which must be this one: a 200 may hold an error or nothing (F009, F010). */
export async function answer(client: S3Client, call: S3Call, root: string, limit = ANSWER): Promise<Element> {
  const response = await client.send(call);
  const text = (await client.collect(call, response, limit)).toString('utf8');
  const found = rootOf(text);
  if (found?.name === root) return found;
  if (found?.name === 'Error') throw classify(errorInside(response.status, response.headers, text), client.circumstances(call));
  throw unexpected(client, call, text.trim() === '' ? 'the answer is empty' : `the answer is not a ${root}`);
}

/** An error behind a 200 means what it would mean with its own status. */
function errorInside(status: number, headers: Parameters<typeof failureOf>[1], text: string): ReturnType<typeof failureOf> {
  const failure = failureOf(status, headers, text);
  const own = failure.code === 'PreconditionFailed' ? 412 : failure.code.startsWith('NoSuch') ? 404 : 500;
  return { ...failure, status: own };
}

function isTruncated(client: S3Client, call: S3Call, inner: string): boolean {
  const said = childText(inner, 'IsTruncated');
  if (said === 'true' || said === 'false') return said === 'true';
  throw unexpected(client, call, 'the answer does not say whether it is the last page');
}

function loops(client: S3Client, call: S3Call): BrigadeError {
  return new BrigadeError({ code: 'E_LIST_LOOP', kind: 'premise', op: call.op, location: client.locate(call.key), message: 'the listing does not go forward' });
}

function unexpected(client: S3Client, call: S3Call, message: string): BrigadeError {
  return new BrigadeError({ code: 'E_UNEXPECTED_ANSWER', kind: 'transient', op: call.op, location: client.locate(call.key), message });
}

function element(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm.toUpperCase()}`;
}
