/** CopyObject and UploadPartCopy. Source: S3 API Reference, CopyObject, UploadPartCopy. */
import { randomBytes } from 'node:crypto';
import { algorithms, checksumElement, parseAlgorithm, startDigest } from './checksums.ts';
import type { Algorithm, Checksum, Digest } from './checksums.ts';
import { checkCopySource, writeGuard } from './conditions.ts';
import { isoTime, quoted, xmlReply } from './context.ts';
import type { Context, Reply } from './context.ts';
import { invalidArgument, invalidRequest, s3Error } from './errors.ts';
import { checkCustomerKey, opaqueETag, readAttributes, writtenHeaders } from './headers.ts';
import type { Attributes, Body, ObjectVersion } from './layout.ts';
import { findUpload, readPartNumber, storePart } from './multipart.ts';
import { isArchived, store } from './objects.ts';
import { fullChecksum } from './receiving.ts';
import { percentDecodeText } from './request.ts';
import { mayUse } from './sigv4.ts';
import { findVersion, newVersionId } from './versions.ts';
import { el, xmlDocument } from './xml.ts';
import type { XmlContent } from './xml.ts';

interface Source { readonly version: ObjectVersion; readonly bucketName: string; readonly versionId: string | undefined; readonly headers: Record<string, string> }

/** `/bucket/key?versionId=…`, url-encoded. */
function parseSource(text: string): { bucket: string; key: string; versionId: string | undefined } {
  const at = text.indexOf('?versionId=');
  const wrong = (): Error => invalidArgument('x-amz-copy-source', text, 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey');
  if (/%(?![0-9a-fA-F]{2})/.test(text)) throw wrong();
  const path = percentDecodeText(at < 0 ? text : text.slice(0, at)).replace(/^\//, '');
  const slash = path.indexOf('/');
  if (slash <= 0 || slash === path.length - 1) throw wrong();
  return { bucket: path.slice(0, slash), key: path.slice(slash + 1), versionId: at < 0 ? undefined : percentDecodeText(text.slice(at + 11)) };
}

async function findSource(context: Context): Promise<Source> {
  const { headers } = context.request;
  const named = parseSource(headers.get('x-amz-copy-source') ?? '');
  if (!mayUse(context.verified.accessKey, named.bucket)) throw s3Error('AccessDenied');
  const bucket = await context.layout.bucket(named.bucket);
  if (bucket === undefined) throw s3Error('NoSuchBucket', { details: { BucketName: named.bucket } });
  const owner = headers.get('x-amz-source-expected-bucket-owner');
  if (owner !== undefined && owner !== bucket.owner) throw s3Error('AccessDenied');
  const version = await findVersion(context, bucket, named.key, named.versionId);
  checkCustomerKey(version, headers, 'x-amz-copy-source-server-side-encryption');
  checkCopySource(version, headers);
  if (isArchived(version)) throw s3Error('InvalidObjectState', { message: 'Operation is not valid for the source object\'s storage class', details: { StorageClass: version.storageClass } });
  return {
    version, bucketName: bucket.name, versionId: named.versionId,
    headers: bucket.versioning === undefined ? {} : { 'x-amz-copy-source-version-id': version.versionId },
  };
}

function directive(context: Context, name: string): 'COPY' | 'REPLACE' {
  const value = context.request.headers.get(name) ?? 'COPY';
  if (value !== 'COPY' && value !== 'REPLACE') throw invalidArgument(name, value, `Unknown ${name === 'x-amz-metadata-directive' ? 'metadata' : 'tagging'} directive.`);
  return value;
}

/** What comes from the source and what from the request; storage class, encryption and redirect are never copied. */
function copiedAttributes(context: Context, source: ObjectVersion): Attributes {
  const asked = readAttributes(context);
  const metadata = directive(context, 'x-amz-metadata-directive') === 'REPLACE';
  const tagging = directive(context, 'x-amz-tagging-directive') === 'REPLACE';
  const redirect = 'x-amz-website-redirect-location';
  const system = new Map(metadata ? asked.system : source.system);
  system.delete(redirect);
  const target = asked.system.get(redirect);
  if (target !== undefined) system.set(redirect, target);
  return { system, meta: metadata ? asked.meta : source.meta, tags: tagging ? asked.tags : source.tags, storageClass: asked.storageClass, echoed: asked.echoed };
}

function refuseSelfCopy(context: Context, source: Source): void {
  const { request, bucket } = context;
  const same = source.bucketName === bucket.name && source.version.key === request.key && source.versionId === undefined;
  const changing = ['x-amz-storage-class', 'x-amz-website-redirect-location', 'x-amz-server-side-encryption', 'x-amz-checksum-algorithm'];
  if (same && directive(context, 'x-amz-metadata-directive') === 'COPY' && !changing.some((name) => request.headers.has(name))) {
    throw invalidRequest("This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.");
  }
}

async function* tee(body: Body, start: number, end: number, digests: readonly Digest[]): AsyncGenerator<Buffer> {
  for await (const piece of body.read(start, end)) {
    for (const digest of digests) digest.update(piece);
    yield piece;
  }
}

/** Copies bytes and computes what the new body needs. */
async function duplicate(context: Context, from: Body, start: number, end: number, algorithm: Algorithm | undefined): Promise<{ body: Body; md5: Buffer; digests: Map<Algorithm, Buffer> }> {
  const md5 = startDigest('MD5');
  const wanted = algorithm === undefined ? [] : [[algorithm, startDigest(algorithm)] as const];
  const body = await context.layout.write(tee(from, start, end, [md5, ...wanted.map(([, digest]) => digest)]));
  return { body, md5: md5.digest(), digests: new Map(wanted.map(([name, digest]) => [name, digest.digest()])) };
}

const checksumXml = (checksum: Checksum | undefined): XmlContent =>
  (checksum === undefined ? undefined : [el(checksumElement(checksum.algorithm), checksum.value), el('ChecksumType', checksum.type)]);

function readAlgorithm(name: string): Algorithm {
  const algorithm = parseAlgorithm(name);
  if (algorithm === undefined) throw invalidRequest(`Checksum algorithm provided is unsupported. Please try again with any of the valid types: [${algorithms.join(', ')}]`);
  return algorithm;
}

function copyAlgorithm(context: Context, source: ObjectVersion): Algorithm | undefined {
  const asked = context.request.headers.get('x-amz-checksum-algorithm');
  const fallback = context.behaviours.defaultChecksum === 'none' ? undefined : context.behaviours.defaultChecksum;
  return (asked === undefined ? source.checksum?.algorithm : readAlgorithm(asked)) ?? fallback;
}

export async function copyObject(context: Context): Promise<Reply> {
  const { request, bucket, clock, limits } = context;
  const guard = writeGuard(request.headers, request.key);
  directive(context, 'x-amz-metadata-directive');
  directive(context, 'x-amz-tagging-directive');
  await context.layout.accepts?.(bucket.name, request.key);
  const source = await findSource(context);
  refuseSelfCopy(context, source);
  const { size } = source.version.body;
  if (size > limits.maxPutBytes) throw invalidRequest(`The specified copy source is larger than the maximum allowable size for a copy source: ${limits.maxPutBytes}`);
  const attributes = copiedAttributes(context, source.version);
  const algorithm = copyAlgorithm(context, source.version);
  const { body, md5, digests } = await duplicate(context, source.version.body, 0, size, algorithm);
  const version: ObjectVersion = {
    ...attributes, key: request.key, versionId: newVersionId(bucket), deleteMarker: false, modified: clock.now(),
    etag: opaqueETag(attributes) ? randomBytes(16).toString('hex') : md5.toString('hex'),
    checksum: fullChecksum(digests, algorithm), parts: undefined, restore: undefined, body,
  };
  await store(context, version, guard);
  const document = xmlDocument('CopyObjectResult', el('LastModified', isoTime(version.modified)), el('ETag', quoted(version.etag)), checksumXml(version.checksum));
  return xmlReply(document, { ...source.headers, ...writtenHeaders(bucket, version) });
}

/** Both ends must be given and lie inside the source. */
function copyRange(context: Context, size: number): { start: number; end: number } {
  const text = context.request.headers.get('x-amz-copy-source-range');
  if (text === undefined) return { start: 0, end: size };
  const m = /^bytes=(\d+)-(\d+)$/.exec(text);
  if (m === null) throw invalidArgument('x-amz-copy-source-range', text, 'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy');
  const [start, last] = [Number(m[1]), Number(m[2])];
  if (start > last || last >= size) throw invalidArgument('x-amz-copy-source-range', text, `Range specified is not valid for source object of size: ${size}`);
  return { start, end: last + 1 };
}

export async function uploadPartCopy(context: Context): Promise<Reply> {
  const number = readPartNumber(context);
  parseSource(context.request.headers.get('x-amz-copy-source') ?? '');
  const upload = await findUpload(context);
  const source = await findSource(context);
  const { start, end } = copyRange(context, source.version.body.size);
  if (end - start > context.limits.maxPutBytes) throw invalidRequest(`The specified copy source is larger than the maximum allowable size for a copy source: ${context.limits.maxPutBytes}`);
  const made = await duplicate(context, source.version.body, start, end, upload.algorithm);
  const part = await storePart(context, upload, { number, ...made, given: undefined });
  const checksum = part.checksum === undefined ? undefined : el(checksumElement(part.checksum.algorithm), part.checksum.value);
  return xmlReply(xmlDocument('CopyPartResult', el('LastModified', isoTime(part.modified)), el('ETag', quoted(part.etag)), checksum), source.headers);
}
