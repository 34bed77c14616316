/** Multipart uploads but for their completion: create, parts, part copies, abort, the two listings. */
import { randomBytes } from 'node:crypto';
import { algorithms, checksumElement, checksumHeader, isCrc, parseAlgorithm } from './checksums.ts';
import type { Algorithm, Checksum, ChecksumType } from './checksums.ts';
import { isoTime, quoted, xmlReply } from './context.ts';
import type { Context, Reply } from './context.ts';
import { invalidArgument, invalidRequest, s3Error } from './errors.ts';
import { askedChecksum } from './framing.ts';
import { readAttributes } from './headers.ts';
import type { Body, StoredPart, Upload } from './layout.ts';
import { encoder, owner, pastMarker, prefixesXml, readListQuery, rollUp } from './listing.ts';
import type { ListQuery } from './listing.ts';
import { givenAlgorithm, receive } from './receiving.ts';
import { el, optional, xmlDocument } from './xml.ts';
import type { Xml, XmlContent } from './xml.ts';

interface ChecksumPlan { readonly algorithm: Algorithm | undefined; readonly type: ChecksumType }

/** Algorithm and type from the Create headers. S3 User Guide, "Checking object integrity": SHA is composite only, CRC64NVME full object only. */
function readPlan(context: Context): ChecksumPlan {
  const { headers } = context.request;
  const name = headers.get('x-amz-checksum-algorithm');
  const asked = headers.get('x-amz-checksum-type')?.toUpperCase();
  if (asked !== undefined && asked !== 'COMPOSITE' && asked !== 'FULL_OBJECT') throw invalidRequest('Value for x-amz-checksum-type header is invalid.');
  if (name === undefined) {
    if (asked !== undefined) throw invalidRequest('The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.');
    const fallback = context.behaviours.defaultChecksum;
    return { algorithm: fallback === 'none' ? undefined : fallback, type: 'FULL_OBJECT' };
  }
  const algorithm = parseAlgorithm(name);
  if (algorithm === undefined) throw invalidRequest(`Checksum algorithm provided is unsupported. Please try again with any of the valid types: [${algorithms.join(', ')}]`);
  const type = asked ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE');
  const possible = type === 'COMPOSITE' ? algorithm !== 'CRC64NVME' : isCrc(algorithm);
  if (!possible) throw invalidRequest(`The ${type} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`);
  return { algorithm, type };
}

export async function createUpload(context: Context): Promise<Reply> {
  const { request, bucket, layout, clock } = context;
  const plan = readPlan(context);
  const upload: Upload = {
    ...readAttributes(context), id: randomBytes(32).toString('base64url'), key: request.key, started: clock.now(),
    algorithm: plan.algorithm, declared: request.headers.has('x-amz-checksum-algorithm'), checksumType: plan.type, parts: new Map(),
  };
  await layout.addUpload(bucket.name, upload);
  const told: Record<string, string> = upload.declared && plan.algorithm !== undefined
    ? { 'x-amz-checksum-algorithm': plan.algorithm, 'x-amz-checksum-type': plan.type } : {};
  const document = xmlDocument('InitiateMultipartUploadResult', el('Bucket', bucket.name), el('Key', request.key), el('UploadId', upload.id));
  return xmlReply(document, { ...told, ...Object.fromEntries(upload.echoed) });
}

/** The upload a request names. Throws NoSuchUpload. */
export async function findUpload(context: Context): Promise<Upload> {
  const id = context.request.query.get('uploadId') ?? '';
  const upload = await context.layout.upload(context.bucket.name, id);
  if (upload === undefined || upload.key !== context.request.key) throw s3Error('NoSuchUpload', { details: { UploadId: id } });
  return upload;
}

export function readPartNumber(context: Context): number {
  const text = context.request.query.get('partNumber') ?? '';
  const number = Number(text);
  const max = context.limits.maxParts;
  if (!/^\d+$/.test(text) || number < 1 || number > max) throw invalidArgument('partNumber', text, `Part number must be an integer between 1 and ${max}, inclusive.`);
  return number;
}

export interface NewPart {
  readonly number: number;
  readonly body: Body;
  readonly md5: Buffer;
  readonly digests: ReadonlyMap<Algorithm, Buffer>;
  readonly given: Algorithm | undefined;
}

/** Files a part, replacing an older one of its number. */
export async function storePart(context: Context, upload: Upload, part: NewPart): Promise<StoredPart> {
  const shown = part.given ?? (upload.declared ? upload.algorithm : undefined);
  const value = shown === undefined ? undefined : part.digests.get(shown);
  const checksum: Checksum | undefined = shown === undefined || value === undefined ? undefined : { algorithm: shown, value: value.toString('base64'), type: 'FULL_OBJECT' };
  const stored = {
    number: part.number, size: part.body.size, etag: part.md5.toString('hex'), modified: context.clock.now(), checksum, body: part.body,
    raw: upload.algorithm === undefined ? undefined : part.digests.get(upload.algorithm),
  };
  try {
    await context.layout.putPart(context.bucket.name, upload.id, stored);
  } catch (error) {
    await part.body.discard(); // the upload may have been aborted or completed while the bytes came in
    throw error;
  }
  return stored;
}

/** Parts of a declared algorithm use it; where the object's checksum is made of theirs, each must bring one. */
function partChecksumFits(upload: Upload, given: Algorithm | undefined): boolean {
  if (!upload.declared) return true;
  return given === upload.algorithm || (given === undefined && upload.checksumType === 'FULL_OBJECT');
}

export async function uploadPart(context: Context): Promise<Reply> {
  const number = readPartNumber(context);
  const upload = await findUpload(context);
  const given = givenAlgorithm(context.request) ?? askedChecksum(context.request);
  if (!partChecksumFits(upload, given)) throw invalidRequest(`Checksum Type mismatch occurred, expected checksum Type: ${upload.algorithm ?? 'null'}, actual checksum Type: ${given ?? 'null'}`);
  const received = await receive(context, upload.algorithm === undefined ? [] : [upload.algorithm]);
  const part = await storePart(context, upload, { number, ...received });
  const checksum: Record<string, string> = part.checksum === undefined ? {} : { [checksumHeader(part.checksum.algorithm)]: part.checksum.value };
  return { status: 200, headers: { etag: quoted(part.etag), ...checksum, ...Object.fromEntries(upload.echoed) } };
}

export async function abortUpload(context: Context): Promise<Reply> {
  const upload = await findUpload(context);
  await context.layout.removeUpload(context.bucket.name, upload.id);
  return { status: 204 };
}

const checksumXml = (checksum: Checksum | undefined): XmlContent => (checksum === undefined ? undefined : el(checksumElement(checksum.algorithm), checksum.value));

/** Told only where the client chose it. */
const planXml = (upload: Upload): XmlContent =>
  (upload.algorithm === undefined || !upload.declared ? undefined : [el('ChecksumAlgorithm', upload.algorithm), el('ChecksumType', upload.checksumType)]);

const partXml = (part: StoredPart): Xml =>
  el('Part', el('PartNumber', part.number), el('LastModified', isoTime(part.modified)), el('ETag', quoted(part.etag)), checksumXml(part.checksum), el('Size', part.size));

function readCount(text: string | undefined, name: string, fallback: number): number {
  const value = Number(text || fallback);
  if (!Number.isInteger(value) || value < 0) throw invalidArgument(name, text ?? '', `Argument ${name} must be an integer between 0 and 2147483647`);
  return value;
}

export async function listParts(context: Context): Promise<Reply> {
  const upload = await findUpload(context);
  const { query } = context.request;
  const marker = readCount(query.get('part-number-marker'), 'part-number-marker', 0);
  const max = Math.min(1000, readCount(query.get('max-parts'), 'max-parts', 1000));
  const after = [...upload.parts.values()].filter((part) => part.number > marker).sort((a, b) => a.number - b.number);
  const shown = after.slice(0, max);
  return xmlReply(xmlDocument('ListPartsResult', el('Bucket', context.bucket.name), el('Key', upload.key), el('UploadId', upload.id),
    el('Initiator', el('ID', 'brigade'), el('DisplayName', 'brigade')), owner(), el('StorageClass', upload.storageClass), el('PartNumberMarker', marker),
    optional('NextPartNumberMarker', shown.at(-1)?.number), el('MaxParts', max), el('IsTruncated', shown.length < after.length),
    planXml(upload), shown.map(partXml)));
}

interface UploadMarker { readonly from: Buffer; readonly key: string; readonly id: string | undefined }

/** Whether an upload comes after the markers: a later key, or the same key and, with an id marker, a later place. */
function uploadsAfter(uploads: readonly Upload[], marker: UploadMarker): Upload[] {
  const marked = uploads.findIndex((upload) => upload.key === marker.key && upload.id === marker.id);
  return uploads.filter((upload, index) => (marker.id !== undefined && upload.key === marker.key ? marked >= 0 && index > marked : Buffer.compare(Buffer.from(upload.key), marker.from) >= 0));
}

interface UploadPage { readonly items: readonly Upload[]; readonly prefixes: readonly string[]; readonly truncated: boolean; readonly lastKey: string; readonly lastId: string }

function pageOfUploads(uploads: readonly Upload[], query: ListQuery): UploadPage {
  const items: Upload[] = [];
  const prefixes: string[] = [];
  let [lastKey, lastId] = ['', ''];
  for (const upload of uploads) {
    const prefix = rollUp(upload.key, query);
    if (prefix !== undefined && prefixes.at(-1) === prefix) continue;
    if (items.length + prefixes.length === query.max) return { items, prefixes, truncated: query.max > 0, lastKey, lastId };
    if (prefix === undefined) items.push(upload);
    else prefixes.push(prefix);
    [lastKey, lastId] = prefix === undefined ? [upload.key, upload.id] : [prefix, ''];
  }
  return { items, prefixes, truncated: false, lastKey, lastId };
}

export async function listUploads(context: Context): Promise<Reply> {
  const params = context.request.query;
  const query = readListQuery(context, 'max-uploads');
  const show = encoder(query);
  const keyMarker = params.get('key-marker') ?? '';
  const idMarker = keyMarker === '' ? undefined : params.get('upload-id-marker') || undefined;
  const all = (await context.layout.uploads(context.bucket.name)).filter((upload) => upload.key.startsWith(query.prefix));
  const page = pageOfUploads(uploadsAfter(all, { from: pastMarker(keyMarker, query), key: keyMarker, id: idMarker }), query);
  return xmlReply(xmlDocument('ListMultipartUploadsResult', el('Bucket', context.bucket.name), el('KeyMarker', show(keyMarker)), el('UploadIdMarker', idMarker ?? ''),
    page.truncated ? [el('NextKeyMarker', show(page.lastKey)), el('NextUploadIdMarker', page.lastId)] : undefined, el('Prefix', show(query.prefix)),
    query.delimiter === '' ? undefined : el('Delimiter', show(query.delimiter)), query.encode ? el('EncodingType', 'url') : undefined,
    el('MaxUploads', query.max), el('IsTruncated', page.truncated), page.items.map((upload) => uploadXml(upload, show)), prefixesXml(query, page.prefixes)));
}

const uploadXml = (upload: Upload, show: (text: string) => string): Xml =>
  el('Upload', el('Key', show(upload.key)), el('UploadId', upload.id), el('Initiator', el('ID', 'brigade'), el('DisplayName', 'brigade')), owner(),
    el('StorageClass', upload.storageClass), el('Initiated', isoTime(upload.started)),
    planXml(upload));

