/** CompleteMultipartUpload. Source: S3 API Reference, CompleteMultipartUpload; S3 User Guide, "Checking object integrity". */
import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { algorithms, checksumElement, checksumHeader, combineCrc, digestOf } from './checksums.ts';
import type { Algorithm, Checksum } from './checksums.ts';
import { writeGuard } from './conditions.ts';
import { quoted, unquoted, xmlReply } from './context.ts';
import type { Context, Reply } from './context.ts';
import { S3Error, invalidRequest, s3Error } from './errors.ts';
import { opaqueETag, writtenHeaders } from './headers.ts';
import type { Body, ObjectVersion, StoredPart, Upload, UploadPart } from './layout.ts';
import { findUpload } from './multipart.ts';
import { store } from './objects.ts';
import { readSmall } from './payload.ts';
import { newVersionId } from './versions.ts';
import { childText, childrenNamed, el, parseXml, xmlDocument } from './xml.ts';
import type { XmlContent, XmlNode } from './xml.ts';

interface ListedPart {
  readonly number: number;
  readonly etag: string;
  readonly checksums: ReadonlyMap<Algorithm, string>;
}

function readListed(node: XmlNode): ListedPart {
  const number = Number(childText(node, 'PartNumber') ?? '');
  const etag = childText(node, 'ETag');
  if (!Number.isInteger(number) || number < 1 || etag === undefined) throw s3Error('MalformedXML');
  const checksums = new Map<Algorithm, string>();
  for (const algorithm of algorithms) {
    const value = childText(node, checksumElement(algorithm));
    if (value !== undefined) checksums.set(algorithm, value);
  }
  return { number, etag: unquoted(etag), checksums };
}

/** The kept part a listed one names. Throws InvalidPart. */
function match(upload: Upload, listed: ListedPart): UploadPart {
  const kept = upload.parts.get(listed.number);
  const same = kept?.etag === listed.etag && [...listed.checksums].every(([algorithm, value]) => kept.checksum?.algorithm === algorithm && kept.checksum.value === value);
  if (kept === undefined || !same) throw s3Error('InvalidPart', { details: { UploadId: upload.id, PartNumber: String(listed.number), ETag: listed.etag } });
  if (upload.checksumType === 'COMPOSITE' && upload.algorithm !== undefined && !listed.checksums.has(upload.algorithm)) {
    throw invalidRequest(`The upload was created using a ${upload.algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${listed.number} in the request.`);
  }
  return kept;
}

function choose(context: Context, upload: Upload, listed: readonly ListedPart[]): UploadPart[] {
  if (listed.length === 0 || listed.length > context.limits.maxParts) throw s3Error('MalformedXML');
  if (listed.some((part, index) => index > 0 && part.number <= (listed[index - 1]?.number ?? 0))) throw s3Error('InvalidPartOrder', { details: { UploadId: upload.id } });
  const parts = listed.map((part) => match(upload, part));
  const small = parts.slice(0, -1).find((part) => part.size < context.limits.minPartBytes);
  if (small !== undefined) {
    throw s3Error('EntityTooSmall', { details: { ProposedSize: String(small.size), MinSizeAllowed: String(context.limits.minPartBytes), PartNumber: String(small.number), ETag: small.etag } });
  }
  return parts;
}

function joinChecksum(upload: Upload, parts: readonly UploadPart[]): Checksum | undefined {
  const { algorithm, checksumType: type } = upload;
  if (algorithm === undefined) return undefined;
  const raws = parts.map((part) => part.raw ?? Buffer.alloc(0));
  if (type === 'COMPOSITE') return { algorithm, type, value: `${digestOf(algorithm, Buffer.concat(raws)).toString('base64')}-${parts.length}` };
  return { algorithm, type, value: combineCrc(algorithm, parts.map((part, index) => ({ crc: raws[index] ?? Buffer.alloc(0), size: part.size }))).toString('base64') };
}

function checkClaimedType(upload: Upload, type: string | undefined): void {
  if (type === undefined || type === upload.checksumType) return;
  if (type !== 'COMPOSITE' && type !== 'FULL_OBJECT') throw invalidRequest('Value for x-amz-checksum-type header is invalid.');
  throw invalidRequest(`The upload was created using the ${upload.checksumType} checksum mode. The complete request must use the same checksum mode.`);
}

/** What the Complete headers claim about the whole object; a composite checksum also without the count behind it, as some clients send it. */
function checkClaims(context: Context, upload: Upload, checksum: Checksum | undefined, size: number): void {
  const { headers } = context.request;
  checkClaimedType(upload, headers.get('x-amz-checksum-type')?.toUpperCase());
  const stated = headers.get('x-amz-mp-object-size');
  if (stated !== undefined && Number(stated) !== size) throw invalidRequest(`The provided 'x-amz-mp-object-size' header value ${stated} does not match what was computed: ${size}`);
  for (const algorithm of algorithms) {
    const value = headers.get(checksumHeader(algorithm));
    if (value === undefined) continue;
    if (algorithm !== checksum?.algorithm) throw invalidRequest(`Checksum Type mismatch occurred, expected checksum Type: ${checksum?.algorithm ?? 'null'}, actual checksum Type: ${algorithm}`);
    if (value !== checksum.value && value !== checksum.value.replace(/-\d+$/, '')) throw s3Error('BadDigest', { message: `The ${algorithm} you specified did not match the calculated checksum.` });
  }
}

const joinETag = (upload: Upload, parts: readonly StoredPart[]): string =>
  `${opaqueETag(upload) ? randomBytes(16).toString('hex') : digestOf('MD5', Buffer.concat(parts.map((part) => Buffer.from(part.etag, 'hex')))).toString('hex')}-${parts.length}`;

async function assemble(context: Context, upload: Upload, parts: readonly UploadPart[]): Promise<ObjectVersion> {
  const checksum = joinChecksum(upload, parts);
  checkClaims(context, upload, checksum, parts.reduce((sum, part) => sum + part.size, 0));
  const { system, meta, tags, storageClass, echoed } = upload;
  return {
    system, meta, tags, storageClass, echoed, key: upload.key, versionId: newVersionId(context.bucket), deleteMarker: false, modified: context.clock.now(),
    etag: joinETag(upload, parts), checksum, restore: undefined,
    parts: parts.map(({ number, size, etag, modified, checksum: own }) => ({ number, size, etag, modified, checksum: own })),
    body: await joined(context, parts),
  };
}

async function joined(context: Context, parts: readonly UploadPart[]): Promise<Body> {
  try {
    return await context.layout.concat(parts.map((part) => part.body));
  } catch (error) {
    // Another request may have ended the upload meanwhile, and its parts with it: then that is the answer.
    await findUpload(context);
    throw error;
  }
}

const resultXml = (context: Context, version: ObjectVersion): string => {
  const checksum: XmlContent = version.checksum === undefined ? undefined : [el(checksumElement(version.checksum.algorithm), version.checksum.value), el('ChecksumType', version.checksum.type)];
  const location = `http://${context.request.headers.get('host') ?? ''}${context.request.rawPath}`;
  return xmlDocument('CompleteMultipartUploadResult', el('Location', location), el('Bucket', context.bucket.name), el('Key', version.key), el('ETag', quoted(version.etag)), checksum);
};

/** Enough for every client that asks again because an answer was lost. */
const remembered = 1000;

function remember(completed: Map<string, string>, id: string, document: string): void {
  completed.set(id, document);
  const oldest = completed.size > remembered ? completed.keys().next().value : undefined;
  if (oldest !== undefined) completed.delete(oldest);
}

async function complete(context: Context): Promise<Reply> {
  const { request, bucket, layout, completed, behaviours } = context;
  const guard = writeGuard(request.headers, request.key);
  const text = (await readSmall(context.payload(), context.limits.maxXmlBytes)).toString();
  const upload = await findUpload(context);
  const listed = childrenNamed(parseXml(text, 'CompleteMultipartUpload'), 'Part').map(readListed);
  const parts = choose(context, upload, listed);
  guard((await layout.entry(bucket.name, upload.key))?.versions[0]); // before the parts are joined: a refused upload keeps them
  const version = await assemble(context, upload, parts);
  await store(context, version, guard, upload.id);
  const document = resultXml(context, version);
  if (behaviours.repeatedComplete === 'same answer') remember(completed, `${bucket.name}/${upload.id}`, document);
  return xmlReply(document, writtenHeaders(bucket, version));
}

/** A client whose answer was lost asks again, perhaps while the first request still works. Throws NoSuchUpload where none is remembered. */
export async function completeUpload(context: Context): Promise<Reply> {
  try {
    return await complete(context);
  } catch (error) {
    if (!(error instanceof S3Error) || error.code !== 'NoSuchUpload' || context.behaviours.repeatedComplete !== 'same answer') throw error;
    await setImmediate(); // the one that ended the upload may be about to say so
    const repeated = context.completed.get(`${context.bucket.name}/${context.request.query.get('uploadId') ?? ''}`);
    if (repeated === undefined) throw error;
    return xmlReply(repeated);
  }
}
