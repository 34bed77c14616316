/**
 * What an answer of a store means. A table: code → kind; then the status where the code says nothing.
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
 *
 * Only a definitive "no such key" is `gone` (F028, F029): a 404 without a code, from a proxy or for the bucket, is something else.
 */
import { BrigadeError, oneLine } from '../../core/errors.ts';
import type { ErrorKind } from '../../core/errors.ts';
import { header } from './transport.ts';
import type { ResponseHeaders } from './transport.ts';
import { childText, rootOf } from './xml.ts';

/** An answer that is not a success, read to its end. */
export interface Failure {
  readonly status: number;
  /** `<Code>` of the body; '' where there is none (HEAD, proxies). */
  readonly code: string;
  readonly message: string;
  readonly headers: ResponseHeaders;
  /** Region the store named, in the header or body. */
  readonly region: string | undefined;
}

export interface Circumstances {
  readonly op: string;
  readonly location: string;
  /** `object` and `upload`: about one key; `bucket`: about all of them. */
  readonly scope: 'object' | 'upload' | 'bucket';
  /** The request carried a pin (If-Match on a read, or on a copy source). */
  readonly pinned?: boolean;
  /** The request is a write under a guard. */
  readonly guarded?: boolean;
  /** For Retry-After dates, milliseconds since 1970. */
  readonly nowMs: number;
}

interface Meaning {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly hint?: string;
}

const meaning = (code: string, kind: ErrorKind, hint?: string): Meaning => (hint === undefined ? { code, kind } : { code, kind, hint });
const credentials = meaning('E_CREDENTIALS', 'premise', 'check the credentials of this connection');
const throttled = meaning('E_THROTTLED', 'throttled');
const server = meaning('E_SERVER', 'transient');
const conflict = meaning('E_CONFLICT', 'conflict');
const bucketMissing = meaning('E_BUCKET_MISSING', 'premise', 'create the bucket, or correct its name or endpoint');
const region = meaning('E_REGION', 'premise', 'set region to that of the bucket');
const invalid = meaning('E_INVALID_REQUEST', 'object');
const unsupported = meaning('E_UNSUPPORTED', 'unsupported');
const collision = meaning('E_NAME_COLLISION', 'object', 'rename one of the two: this store keeps keys as files and folders, where a name is only one of them');
const full = meaning('E_DISK_FULL', 'premise', 'free space or raise the quota at the store');
const kms = meaning('E_KMS', 'premise', 'check the KMS key and the permissions to use it');

const MEANINGS: Readonly<Record<string, Meaning>> = {
  NoSuchVersion: meaning('E_SRC_CHANGED', 'changed'),
  NoSuchBucket: bucketMissing,
  NoSuchUpload: meaning('E_UPLOAD_GONE', 'gone'),
  ExpiredToken: credentials,
  ExpiredTokenException: credentials,
  TokenRefreshRequired: credentials,
  InvalidToken: credentials,
  InvalidAccessKeyId: credentials,
  InvalidClientTokenId: credentials,
  SignatureDoesNotMatch: credentials,
  InvalidSecurity: credentials,
  NotSignedUp: credentials,
  AccountProblem: credentials,
  AllAccessDisabled: credentials,
  RequestTimeTooSkewed: meaning('E_CLOCK_SKEW', 'premise', 'set this machine\'s clock'),
  SlowDown: throttled,
  SlowDownRead: throttled,
  SlowDownWrite: throttled,
  ServiceUnavailable: throttled,
  Throttling: throttled,
  ThrottlingException: throttled,
  RequestLimitExceeded: throttled,
  TooManyRequests: throttled,
  BandwidthLimitExceeded: throttled,
  RequestThrottled: throttled,
  'KMS.ThrottlingException': throttled,
  'KMS.DisabledException': kms,
  'KMS.NotFoundException': kms,
  'KMS.InvalidStateException': kms,
  'KMS.KMSInvalidStateException': kms,
  InternalError: server,
  InternalFailure: server,
  OperationAborted: meaning('E_BUSY', 'transient'),
  RequestTimeout: meaning('E_NETWORK', 'transient'),
  IncompleteBody: meaning('E_NETWORK', 'transient'),
  BadDigest: meaning('E_CHECKSUM_MISMATCH', 'transient'),
  XAmzContentChecksumMismatch: meaning('E_CHECKSUM_MISMATCH', 'transient'),
  XAmzContentSHA256Mismatch: meaning('E_CHECKSUM_MISMATCH', 'transient'),
  InvalidDigest: invalid,
  PreconditionFailed: conflict,
  ConditionalRequestConflict: conflict,
  PermanentRedirect: region,
  TemporaryRedirect: region,
  Redirect: region,
  AuthorizationHeaderMalformed: region,
  IllegalLocationConstraintException: region,
  InvalidObjectState: meaning('E_ARCHIVED', 'object', 'restore the object first, or allow archived objects to be skipped'),
  ObjectAlreadyInActiveTierError: invalid,
  QuotaExceeded: full,
  XMinioStorageFull: full,
  InsufficientCapacity: full,
  InsufficientStorage: full,
  StorageFull: full,
  EntityTooLarge: meaning('E_TOO_LARGE', 'object'),
  EntityTooSmall: meaning('E_PART_TOO_SMALL', 'object'),
  KeyTooLongError: meaning('E_NAME_TOO_LONG', 'object'),
  ObjectParentIsFile: collision,
  ExistingObjectIsDirectory: collision,
  ExistingObjectIsFile: collision,
  XMinioParentIsObject: collision,
  DirectoryObjectContainsData: meaning('E_DIR_MARKER_HAS_DATA', 'object', 'this store keeps a key that ends with a slash as a folder, without bytes'),
  MetadataTooLarge: meaning('E_META_TOO_LARGE', 'object'),
  InvalidTag: meaning('E_TAG_INVALID', 'object'),
  BadRequest: invalid,
  InvalidArgument: invalid,
  InvalidRequest: invalid,
  InvalidURI: meaning('E_NAME_FORBIDDEN', 'object'),
  InvalidObjectName: meaning('E_NAME_FORBIDDEN', 'object'),
  XMinioInvalidObjectName: meaning('E_NAME_FORBIDDEN', 'object'),
  XMinioInvalidResourceName: meaning('E_NAME_FORBIDDEN', 'object'),
  InvalidStorageClass: meaning('E_STORAGE_CLASS', 'object', 'choose a storage class that this store has'),
  InvalidPart: meaning('E_PART_INVALID', 'transient'),
  InvalidPartOrder: meaning('E_PART_INVALID', 'internal'),
  MalformedXML: meaning('E_INVALID_REQUEST', 'object'),
  InvalidRange: meaning('E_RANGE', 'changed'),
  NotImplemented: unsupported,
  MethodNotAllowed: unsupported,
  XNotImplemented: unsupported,
  ObjectLocked: meaning('E_LOCKED', 'object', 'the version at the destination is under retention or legal hold'),
  AccessControlListNotSupported: unsupported,
};

/** Status → meaning where the code is unknown or absent. */
const STATUSES: Readonly<Record<number, Meaning>> = {
  301: region, 302: region, 307: region, 308: region,
  400: invalid,
  401: credentials,
  405: unsupported,
  408: meaning('E_NETWORK', 'transient'),
  409: conflict,
  411: invalid,
  413: meaning('E_TOO_LARGE', 'object'),
  414: meaning('E_NAME_TOO_LONG', 'object'),
  416: meaning('E_RANGE', 'changed'),
  429: throttled,
  431: meaning('E_META_TOO_LARGE', 'object'),
  501: unsupported,
  503: throttled,
  507: full,
};

/** The error for a failed answer. */
export function classify(failure: Failure, where: Circumstances): BrigadeError {
  const what = meaningOf(failure, where);
  const said = [failure.code, failure.message].filter((part) => part !== '').join(': ');
  const retryAfterMs = retryAfter(failure.headers, where.nowMs);
  return new BrigadeError({
    code: what.code, kind: what.kind, op: where.op, location: where.location, status: failure.status,
    message: oneLine(`${where.op} was answered ${failure.status}${said === '' ? '' : ` ${said}`}`, 300),
    ...(what.hint === undefined ? {} : { hint: what.hint }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

function meaningOf(failure: Failure, where: Circumstances): Meaning {
  const { status, code } = failure;
  if (status === 412 || code === 'PreconditionFailed') return where.pinned === true ? meaning('E_SRC_CHANGED', 'changed') : conflict;
  if (code === 'AccessDenied' || code === 'AccessForbidden' || status === 403 && !Object.hasOwn(MEANINGS, code)) return denied(failure, where);
  if (code === 'NoSuchKey') return noSuchKey(status, where);
  if (Object.hasOwn(MEANINGS, code)) return MEANINGS[code] as Meaning;
  if (status === 404) return notFound(where);
  const known = STATUSES[status];
  if (known !== undefined) return known;
  return status >= 500 ? server : meaning('E_UNEXPECTED_ANSWER', status >= 400 ? 'object' : 'transient');
}

/** Definitive only with its own status: a body that contradicts the status line proves nothing. */
function noSuchKey(status: number, where: Circumstances): Meaning {
  if (status !== 404) return meaning('E_UNEXPECTED_ANSWER', 'transient');
  if (where.scope === 'bucket') return bucketMissing;
  return where.guarded === true ? conflict : meaning('E_GONE', 'gone'); // If-Match on a write: the version that was to be replaced is gone
}

/** A 404 without a code that we know: a proxy, a wrong path, a store that is coming up. Never "gone". */
function notFound(where: Circumstances): Meaning {
  if (where.scope === 'bucket') return meaning('E_BUCKET_MISSING', 'premise', 'check the endpoint and the name of the bucket');
  return meaning('E_UNEXPECTED_ANSWER', 'transient', 'a 404 without the code NoSuchKey does not come from an object store: a proxy?');
}

function denied(failure: Failure, where: Circumstances): Meaning {
  if (/request(?:er)?.?pay/i.test(failure.message)) {
    return meaning('E_REQUESTER_PAYS', 'premise', 'the bucket is requester-pays: set requester_pays: true (you will be billed)');
  }
  if (/object lock|worm|retention|legal hold/i.test(failure.message)) return MEANINGS['ObjectLocked'] as Meaning;
  if (/kms/i.test(failure.message)) return meaning('E_ACCESS_DENIED', 'object', 'the key of the encryption (KMS) may not be used: kms:Decrypt to read, kms:GenerateDataKey to write');
  const hint = `these credentials lack ${permissionFor(where.op)}, or the bucket is requester-pays (requester_pays: true)`;
  return meaning('E_ACCESS_DENIED', where.scope === 'bucket' ? 'premise' : 'object', hint);
}

const PERMISSIONS: Readonly<Record<string, string>> = {
  HeadObject: 's3:GetObject', GetObject: 's3:GetObject', PutObject: 's3:PutObject', DeleteObject: 's3:DeleteObject', CopyObject: 's3:PutObject (and s3:GetObject at the source)',
  ListObjects: 's3:ListBucket', GetObjectTagging: 's3:GetObjectTagging', CreateMultipartUpload: 's3:PutObject', UploadPart: 's3:PutObject',
  UploadPartCopy: 's3:PutObject (and s3:GetObject at the source)', CompleteMultipartUpload: 's3:PutObject', AbortMultipartUpload: 's3:AbortMultipartUpload',
  ListParts: 's3:ListMultipartUploadParts', ListMultipartUploads: 's3:ListBucketMultipartUploads', HeadBucket: 's3:ListBucket',
};

function permissionFor(op: string): string {
  return PERMISSIONS[op] ?? `s3:${op}`;
}

/** Reads `<Error>` from a body; anything else is a failure without a code. */
export function failureOf(status: number, headers: ResponseHeaders, body: string): Failure {
  const root = rootOf(body);
  const error = root?.name === 'Error' ? root.inner : root?.name === 'ErrorResponse' ? root.inner : '';
  const code = childText(error, 'Code') ?? header(headers, 'x-minio-error-code') ?? '';
  const named = header(headers, 'x-amz-bucket-region') ?? childText(error, 'Region');
  return { status, code: oneLine(code, 80), message: oneLine(childText(error, 'Message') ?? '', 200), headers, region: validRegion(named) };
}

/** Regions land in host names and signatures: nothing but the characters of one. */
function validRegion(text: string | undefined): string | undefined {
  return text !== undefined && /^[a-z0-9-]{2,40}$/i.test(text) ? text : undefined;
}

/** Retry-After in milliseconds (RFC 9110 §10.2.3): seconds or a date. */
function retryAfter(headers: ResponseHeaders, nowMs: number): number | undefined {
  const text = header(headers, 'retry-after');
  if (text === undefined) return undefined;
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}
