/** GetObject, HeadObject, PutObject, DeleteObject, DeleteObjects, RestoreObject. */
import { randomBytes } from 'node:crypto';
import { digestOf } from './checksums.ts';
import { checkRead, noGuard, writeGuard } from './conditions.ts';
import { quoted, unquoted, xmlReply } from './context.ts';
import type { Context, Reply } from './context.ts';
import { S3Error, invalidRequest, s3Error } from './errors.ts';
import { checkCustomerKey, checksumHeaders, objectHeaders, opaqueETag, overrides, readAttributes, writtenHeaders } from './headers.ts';
import { anyETag, askedChecksum, needsMd5, sentBody } from './framing.ts';
import type { Guard, ObjectVersion } from './layout.ts';
import { memoryBody } from './memory.ts';
import { readSmall } from './payload.ts';
import { checkPicking, pickRange } from './ranges.ts';
import { fullChecksum, givenAlgorithm, receive } from './receiving.ts';
import { currentVersion, newVersionId } from './versions.ts';
import { childText, childrenNamed, el, optional, parseXml, xmlDocument } from './xml.ts';
import type { Xml } from './xml.ts';

export const isArchived = (version: ObjectVersion): boolean =>
  ['GLACIER', 'DEEP_ARCHIVE'].includes(version.storageClass) && !/ongoing-request="false"/.test(version.restore ?? '');

/** The version, its headers and the bytes a read may have; the body only when `bytes` is asked. */
async function read(context: Context, bytes: boolean): Promise<Reply> {
  const { request, bucket } = context;
  checkPicking(request);
  const version = await currentVersion(context);
  checkCustomerKey(version, request.headers);
  const notModified = checkRead(version, request.headers);
  if (notModified !== undefined) return notModified;
  if (bytes && isArchived(version)) throw s3Error('InvalidObjectState', { details: { StorageClass: version.storageClass } });
  const range = pickRange(version, request);
  const checksum = request.headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED' ? checksumHeaders({ checksum: range.checksum }) : {};
  const headers = { ...objectHeaders(bucket, version), ...checksum, ...range.headers, ...overrides(request.query) };
  if (!bytes) return { status: range.status, headers, length: range.end - range.start };
  const sent = await sentBody(request, version.body, range.start, range.end);
  return { ...sent, status: range.status, headers: { ...headers, ...sent.headers } };
}

export const getObject = (context: Context): Promise<Reply> => read(context, true);
export const headObject = (context: Context): Promise<Reply> => read(context, false);

function checkLockDigest(context: Context): void {
  const { headers } = context.request;
  const locked = [...headers.keys()].some((name) => name.startsWith('x-amz-object-lock-'));
  if (!locked) return;
  if (!headers.has('content-md5') && givenAlgorithm(context.request) === undefined) {
    throw invalidRequest('Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters');
  }
}

/** Stores a version, which may complete an upload; frees its bytes when the guard refuses. */
export async function store(context: Context, version: ObjectVersion, guard: Guard, upload?: string): Promise<void> {
  try {
    await context.layout.put(context.bucket.name, version, guard, upload);
  } catch (error) {
    await version.body.discard();
    throw error;
  }
}

export async function putObject(context: Context): Promise<Reply> {
  const { request, bucket, behaviours, clock } = context;
  const attributes = readAttributes(context);
  const guard = writeGuard(request.headers, request.key);
  await context.layout.accepts?.(bucket.name, request.key);
  checkLockDigest(context);
  const fallback = behaviours.defaultChecksum === 'none' ? undefined : behaviours.defaultChecksum;
  const algorithm = givenAlgorithm(request) ?? askedChecksum(request) ?? fallback;
  const { body, md5, digests } = await receive(context, algorithm === undefined ? [] : [algorithm]);
  const etag = !needsMd5(request) ? anyETag() : opaqueETag(attributes) ? randomBytes(16).toString('hex') : md5.toString('hex');
  const version: ObjectVersion = {
    ...attributes, key: request.key, versionId: newVersionId(bucket), deleteMarker: false, modified: clock.now(), etag,
    checksum: fullChecksum(digests, algorithm), parts: undefined, restore: undefined, body,
  };
  await store(context, version, guard);
  return { status: 200, headers: { etag: quoted(etag), 'x-amz-object-size': String(body.size), ...checksumHeaders(version), ...writtenHeaders(bucket, version) } };
}

const marker = (key: string, versionId: string, modified: number): ObjectVersion => ({
  key, versionId, deleteMarker: true, modified, etag: '', checksum: undefined, parts: undefined, restore: undefined, body: memoryBody([]),
  system: new Map(), meta: new Map(), tags: [], storageClass: 'STANDARD', echoed: new Map(),
});

interface Deleted { readonly versionId: string | undefined; readonly marker: boolean; readonly markerId: string | undefined }

async function deleteOne(context: Context, key: string, versionId: string | undefined, guard: Guard): Promise<Deleted> {
  const { bucket, layout } = context;
  if (versionId !== undefined || bucket.versioning === undefined) {
    const gone = await layout.remove(bucket.name, key, versionId ?? 'null', guard);
    await gone?.body.discard();
    return { versionId, marker: gone?.deleteMarker === true, markerId: gone?.deleteMarker === true ? gone.versionId : undefined };
  }
  const made = marker(key, newVersionId(bucket), context.clock.now());
  await layout.put(bucket.name, made, guard);
  return { versionId: undefined, marker: true, markerId: made.versionId };
}

/** If-Match of a delete; a missing object is not an error without it. */
function deleteGuard(etag: string | undefined, key: string): Guard {
  return etag === undefined ? noGuard : writeGuard(new Map([['if-match', etag]]), key);
}

export async function deleteObject(context: Context): Promise<Reply> {
  const { request } = context;
  const deleted = await deleteOne(context, request.key, request.query.get('versionId'), deleteGuard(request.headers.get('if-match'), request.key));
  const id = deleted.versionId ?? deleted.markerId;
  return {
    status: 204,
    headers: {
      ...(deleted.marker ? { 'x-amz-delete-marker': 'true' } : {}),
      ...(context.bucket.versioning !== undefined && id !== undefined ? { 'x-amz-version-id': id } : {}),
    },
  };
}

async function deleteListed(context: Context, key: string, versionId: string | undefined, etag: string | undefined, quiet: boolean): Promise<Xml | undefined> {
  try {
    const gone = await deleteOne(context, key, versionId, deleteGuard(etag, key));
    if (quiet) return undefined;
    return el('Deleted', el('Key', key), optional('VersionId', versionId), gone.marker ? [el('DeleteMarker', true), optional('DeleteMarkerVersionId', gone.markerId)] : undefined);
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    return el('Error', el('Key', key), optional('VersionId', versionId), el('Code', error.code), el('Message', error.message));
  }
}

function checkBodyDigest(context: Context, bytes: Buffer): void {
  const { request } = context;
  const given = givenAlgorithm(request);
  const md5 = request.headers.get('content-md5');
  if (given === undefined && md5 === undefined) throw invalidRequest('Missing required header for this request: Content-MD5');
  if (md5 !== undefined && md5 !== digestOf('MD5', bytes).toString('base64')) throw s3Error('BadDigest');
  const header = given === undefined ? undefined : request.headers.get(`x-amz-checksum-${given.toLowerCase()}`);
  if (given !== undefined && header !== undefined && header !== digestOf(given, bytes).toString('base64')) throw s3Error('BadDigest');
}

export async function deleteObjects(context: Context): Promise<Reply> {
  const bytes = await readSmall(context.payload(), context.limits.maxXmlBytes);
  checkBodyDigest(context, bytes);
  const root = parseXml(bytes.toString(), 'Delete');
  const wanted = childrenNamed(root, 'Object');
  if (wanted.length === 0 || wanted.length > 1000) throw s3Error('MalformedXML');
  const quiet = childText(root, 'Quiet') === 'true';
  const results: (Xml | undefined)[] = [];
  for (const object of wanted) {
    const etag = childText(object, 'ETag');
    results.push(await deleteListed(context, childText(object, 'Key') ?? '', childText(object, 'VersionId'), etag === undefined ? undefined : unquoted(etag), quiet));
  }
  return xmlReply(xmlDocument('DeleteResult', results));
}

/** Restores at once: tests need the state after, not the hours between. */
export async function restoreObject(context: Context): Promise<Reply> {
  const version = await currentVersion(context);
  if (!['GLACIER', 'DEEP_ARCHIVE'].includes(version.storageClass)) throw s3Error('InvalidObjectState', { details: { StorageClass: version.storageClass } });
  const root = parseXml((await readSmall(context.payload(), context.limits.maxXmlBytes)).toString(), 'RestoreRequest');
  const days = Number(childText(root, 'Days') ?? '1');
  const expiry = new Date(context.clock.now() + days * 86_400_000).toUTCString();
  await context.layout.replace(context.bucket.name, { ...version, restore: `ongoing-request="false", expiry-date="${expiry}"` });
  return { status: version.restore === undefined ? 202 : 200 };
}
