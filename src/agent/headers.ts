/** Object attributes between HTTP headers and storage. Source: S3 API Reference, PutObject and GetObject. */
import type { Context } from './context.ts';
import { httpTime, quoted } from './context.ts';
import { checksumHeader } from './checksums.ts';
import { invalidArgument, invalidRequest, s3Error } from './errors.ts';
import type { Attributes, Bucket, ObjectVersion } from './layout.ts';
import { parseTagQuery } from './tags.ts';

type Headers = ReadonlyMap<string, string>;

const systemNames = ['cache-control', 'content-disposition', 'content-language', 'expires', 'x-amz-website-redirect-location'];
const encryption = 'x-amz-server-side-encryption';
const echoedNames = [
  encryption, `${encryption}-aws-kms-key-id`, `${encryption}-bucket-key-enabled`, `${encryption}-customer-algorithm`, `${encryption}-customer-key-md5`,
  'x-amz-object-lock-mode', 'x-amz-object-lock-retain-until-date', 'x-amz-object-lock-legal-hold',
];
const storageClasses = ['STANDARD', 'REDUCED_REDUNDANCY', 'STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING', 'GLACIER', 'GLACIER_IR', 'DEEP_ARCHIVE', 'OUTPOSTS', 'SNOW', 'EXPRESS_ONEZONE'];
const archives = ['GLACIER', 'DEEP_ARCHIVE'];
const metaPrefix = 'x-amz-meta-';
const maxMetaBytes = 2048;

/** `aws-chunked` names the transfer, not the object. */
const contentEncoding = (value: string): string =>
  value.split(',').map((token) => token.trim()).filter((token) => token !== '' && token !== 'aws-chunked').join(',');

function pick(headers: Headers, names: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const name of names) {
    const value = headers.get(name);
    if (value !== undefined) found.set(name, value);
  }
  return found;
}

function readSystem(headers: Headers): Map<string, string> {
  const system = pick(headers, systemNames);
  const redirect = system.get('x-amz-website-redirect-location');
  if (redirect !== undefined && !/^(\/|https?:\/\/)/.test(redirect)) throw s3Error('InvalidRedirectLocation');
  system.set('content-type', headers.get('content-type') || 'binary/octet-stream');
  const encoding = contentEncoding(headers.get('content-encoding') ?? '');
  if (encoding !== '') system.set('content-encoding', encoding);
  return system;
}

function readMeta(headers: Headers): Map<string, string> {
  const meta = new Map<string, string>();
  let size = 0;
  for (const [name, value] of headers) {
    if (!name.startsWith(metaPrefix)) continue;
    meta.set(name.slice(metaPrefix.length), value);
    size += name.length - metaPrefix.length + value.length;
  }
  if (size > maxMetaBytes) throw s3Error('MetadataTooLarge', { details: { Size: String(size), MaxSizeAllowed: String(maxMetaBytes) } });
  return meta;
}

function readStorageClass(headers: Headers, pretends: boolean): string {
  const storageClass = headers.get('x-amz-storage-class') ?? 'STANDARD';
  if (!storageClasses.includes(storageClass) || (!pretends && archives.includes(storageClass))) throw s3Error('InvalidStorageClass', { details: { StorageClassRequested: storageClass } });
  return storageClass;
}

/** Without ACLs an object belongs to its bucket's owner alone, which two of them say, too. */
function refuseAcl(headers: Headers, { bucket, behaviours }: Context): void {
  const grants = [...headers.keys()].some((name) => name.startsWith('x-amz-grant-'));
  const acl = headers.get('x-amz-acl') ?? 'bucket-owner-full-control';
  const harmless = acl === 'bucket-owner-full-control' || (acl === 'private' && !behaviours.pretends);
  if (bucket.ownershipEnforced && (grants || !harmless)) throw s3Error('AccessControlListNotSupported');
}

function refuseLock(headers: Headers, bucket: Bucket): void {
  if (!bucket.objectLock && [...headers.keys()].some((name) => name.startsWith('x-amz-object-lock-'))) throw invalidRequest('Bucket is missing ObjectLockConfiguration');
}

function readEchoed(headers: Headers, pretends: boolean): Map<string, string> {
  const echoed = pick(headers, echoedNames);
  if (!pretends) {
    if (echoed.size > 0) throw s3Error('NotImplemented', { message: 'This endpoint encrypts and locks nothing.' });
    return echoed;
  }
  const asked = echoed.get(encryption);
  if (asked !== undefined && !['AES256', 'aws:kms', 'aws:kms:dsse'].includes(asked)) throw invalidArgument(encryption, asked, 'The encryption method specified is not supported');
  if (!echoed.has(`${encryption}-customer-algorithm`) && asked === undefined) echoed.set(encryption, 'AES256');
  return echoed;
}

/** The attributes a PUT, Create or replacing Copy asks for. */
export function readAttributes(context: Context): Attributes {
  const { request: { headers }, bucket, behaviours: { pretends } } = context;
  refuseAcl(headers, context);
  refuseLock(headers, bucket);
  const tagging = headers.get('x-amz-tagging');
  return {
    system: readSystem(headers),
    meta: readMeta(headers),
    tags: tagging === undefined ? [] : parseTagQuery(tagging),
    storageClass: readStorageClass(headers, pretends),
    echoed: readEchoed(headers, pretends),
  };
}

/** With a KMS or customer key the ETag is not the MD5 of the data. */
export const opaqueETag = (attributes: Attributes): boolean =>
  (attributes.echoed.get(encryption) ?? '').startsWith('aws:kms') || attributes.echoed.has(`${encryption}-customer-algorithm`);

/** A read of an object under a customer key must bring the key. */
export function checkCustomerKey(version: ObjectVersion, headers: Headers, prefix = 'x-amz-server-side-encryption'): void {
  const stored = version.echoed.get(`${encryption}-customer-key-md5`);
  if (stored === undefined) return;
  const given = headers.get(`${prefix}-customer-key-md5`);
  if (given === undefined) throw s3Error('InvalidRequest', { message: 'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.' });
  if (given !== stored) throw s3Error('AccessDenied');
}

/** Values that are not US-ASCII go out in RFC 2047 form (S3 User Guide, "Working with object metadata"). */
const metaValue = (value: string): string => (/^[\x00-\x7f]*$/.test(value) ? value : `=?UTF-8?B?${Buffer.from(value, 'latin1').toString('base64')}?=`);

/** Version, encryption: what every answer about a written object carries. */
export function writtenHeaders(bucket: Bucket, version: ObjectVersion): Record<string, string> {
  const out: Record<string, string> = Object.fromEntries(version.echoed);
  if (bucket.versioning !== undefined) out['x-amz-version-id'] = version.versionId;
  return out;
}

export const checksumHeaders = (version: Pick<ObjectVersion, 'checksum'>): Record<string, string> =>
  version.checksum === undefined ? {} : { [checksumHeader(version.checksum.algorithm)]: version.checksum.value, 'x-amz-checksum-type': version.checksum.type };

/** The headers of HeadObject and GetObject, without length and range. */
export function objectHeaders(bucket: Bucket, version: ObjectVersion): Record<string, string> {
  const out: Record<string, string> = {
    ...Object.fromEntries(version.system), ...writtenHeaders(bucket, version),
    etag: quoted(version.etag), 'last-modified': httpTime(version.modified), 'accept-ranges': 'bytes',
  };
  for (const [name, value] of version.meta) out[`${metaPrefix}${name}`] = metaValue(value);
  if (version.storageClass !== 'STANDARD') out['x-amz-storage-class'] = version.storageClass;
  if (version.restore !== undefined) out['x-amz-restore'] = version.restore;
  if (version.tags.length > 0) out['x-amz-tagging-count'] = String(version.tags.length);
  return out;
}

const overridable = ['content-type', 'content-language', 'expires', 'cache-control', 'content-disposition', 'content-encoding'];

/** The response-* query parameters replace headers of the answer. */
export const overrides = (query: Headers): Record<string, string> =>
  Object.fromEntries(overridable.flatMap((name) => {
    const value = query.get(`response-${name}`);
    return value === undefined ? [] : [[name, value]];
  }));
