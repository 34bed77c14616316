/** Which operation a request is. Operation names are those of the S3 API Reference. */
import { getAttributes } from './attributes.ts';
import * as buckets from './buckets.ts';
import { completeUpload } from './complete.ts';
import type { Context, Reply, ServiceContext } from './context.ts';
import { copyObject, uploadPartCopy } from './copy.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { listObjectVersions, listObjects, listObjectsV2 } from './listing.ts';
import * as multipart from './multipart.ts';
import * as objects from './objects.ts';
import type { S3Request } from './request.ts';
import * as settings from './settings.ts';
import * as tags from './tags.ts';

type Answer = Reply | Promise<Reply>;

export interface Route {
  readonly operation: string;
  readonly method: string;
  readonly level: 'service' | 'bucket' | 'object';
  /** Query parameters that must be present; `name=value` asks for the value. */
  readonly query: readonly string[];
  /** A header that must be present. */
  readonly header?: string;
  /** Needs more than a read-only key. */
  readonly writes: boolean;
  readonly handle: { readonly service: (context: ServiceContext) => Answer } | { readonly bucket: (context: Context) => Answer };
}

type Handler = (context: Context) => Answer;

const bucketRead = (operation: string, method: string, query: readonly string[], handler: Handler): Route =>
  ({ operation, method, level: 'bucket', query, writes: false, handle: { bucket: handler } });
const bucketWrite = (operation: string, method: string, query: readonly string[], handler: Handler): Route =>
  ({ operation, method, level: 'bucket', query, writes: true, handle: { bucket: handler } });
const objectRead = (operation: string, method: string, query: readonly string[], handler: Handler): Route =>
  ({ operation, method, level: 'object', query, writes: false, handle: { bucket: handler } });
const objectWrite = (operation: string, method: string, query: readonly string[], handler: Handler, header?: string): Route =>
  ({ operation, method, level: 'object', query, writes: true, handle: { bucket: handler }, ...(header === undefined ? {} : { header }) });

/** The first that fits wins, so the narrower come first. */
const routes: readonly Route[] = [
  { operation: 'ListBuckets', method: 'GET', level: 'service', query: [], writes: false, handle: { service: buckets.listBuckets } },
  bucketRead('GetBucketLocation', 'GET', ['location'], buckets.getLocation),
  bucketRead('GetBucketVersioning', 'GET', ['versioning'], buckets.getVersioning),
  bucketRead('GetObjectLockConfiguration', 'GET', ['object-lock'], buckets.getObjectLock),
  bucketRead('GetBucketRequestPayment', 'GET', ['requestPayment'], buckets.getRequestPayment),
  bucketRead('GetBucketOwnershipControls', 'GET', ['ownershipControls'], buckets.getOwnership),
  bucketRead('GetBucketAcl', 'GET', ['acl'], settings.getBucketAcl),
  ...settings.absentSettings.map(([name, read]) => bucketRead(`GetBucket?${name}`, 'GET', [name], read)),
  bucketRead('ListMultipartUploads', 'GET', ['uploads'], multipart.listUploads),
  bucketRead('ListObjectVersions', 'GET', ['versions'], listObjectVersions),
  bucketRead('ListObjectsV2', 'GET', ['list-type=2'], listObjectsV2),
  bucketRead('ListObjects', 'GET', [], listObjects),
  bucketRead('HeadBucket', 'HEAD', [], buckets.headBucket),
  bucketWrite('PutBucketVersioning', 'PUT', ['versioning'], buckets.putVersioning),
  bucketWrite('PutBucketRequestPayment', 'PUT', ['requestPayment'], buckets.putRequestPayment),
  bucketWrite('PutBucketAcl', 'PUT', ['acl'], settings.putAcl),
  { operation: 'CreateBucket', method: 'PUT', level: 'bucket', query: [], writes: true, handle: { service: buckets.createBucket } },
  ...['cors', 'lifecycle', 'policy', 'publicAccessBlock', 'replication', 'tagging', 'website'].map((name) => bucketWrite(`DeleteBucket?${name}`, 'DELETE', [name], settings.deleteAbsent)),
  bucketWrite('DeleteBucket', 'DELETE', [], buckets.deleteBucket),
  bucketWrite('DeleteObjects', 'POST', ['delete'], objects.deleteObjects),
  objectRead('GetObjectTagging', 'GET', ['tagging'], tags.getTagging),
  objectRead('GetObjectAttributes', 'GET', ['attributes'], getAttributes),
  objectRead('GetObjectAcl', 'GET', ['acl'], settings.getObjectAcl),
  objectRead('GetObjectRetention', 'GET', ['retention'], settings.noObjectLock),
  objectRead('GetObjectLegalHold', 'GET', ['legal-hold'], settings.noObjectLock),
  objectRead('ListParts', 'GET', ['uploadId'], multipart.listParts),
  objectRead('GetObject', 'GET', [], objects.getObject),
  objectRead('HeadObject', 'HEAD', [], objects.headObject),
  objectWrite('UploadPartCopy', 'PUT', ['uploadId', 'partNumber'], uploadPartCopy, 'x-amz-copy-source'),
  objectWrite('UploadPart', 'PUT', ['uploadId', 'partNumber'], multipart.uploadPart),
  objectWrite('PutObjectTagging', 'PUT', ['tagging'], tags.putTagging),
  objectWrite('PutObjectAcl', 'PUT', ['acl'], settings.putAcl),
  objectWrite('CopyObject', 'PUT', [], copyObject, 'x-amz-copy-source'),
  objectWrite('PutObject', 'PUT', [], objects.putObject),
  objectWrite('CreateMultipartUpload', 'POST', ['uploads'], multipart.createUpload),
  objectWrite('CompleteMultipartUpload', 'POST', ['uploadId'], completeUpload),
  objectWrite('RestoreObject', 'POST', ['restore'], objects.restoreObject),
  objectWrite('AbortMultipartUpload', 'DELETE', ['uploadId'], multipart.abortUpload),
  objectWrite('DeleteObjectTagging', 'DELETE', ['tagging'], tags.deleteTagging),
  objectWrite('DeleteObject', 'DELETE', [], objects.deleteObject),
];

/** Subresources S3 knows and this endpoint does not: a request for one must not be taken for the object or bucket itself. */
const foreign = new Set(['accelerate', 'acl', 'analytics', 'cors', 'encryption', 'intelligent-tiering', 'inventory', 'legal-hold', 'lifecycle', 'logging', 'metrics',
  'notification', 'object-lock', 'ownershipControls', 'policy', 'policyStatus', 'publicAccessBlock', 'replication', 'requestPayment', 'retention', 'select', 'tagging',
  'torrent', 'website', 'location', 'uploads', 'versions', 'delete', 'attributes', 'restore', 'versioning']);

const levelOf = (request: S3Request): Route['level'] => (request.bucket === '' ? 'service' : request.key === '' ? 'bucket' : 'object');

function fits(route: Route, request: S3Request): boolean {
  if (route.header !== undefined && !request.headers.has(route.header)) return false;
  return route.query.every((term) => {
    const [name = '', value] = term.split('=');
    return value === undefined ? request.query.has(name) : request.query.get(name) === value;
  });
}

/** A part whose upload or number is missing must not be taken for the object itself. */
function refuseHalfPart({ method, key, query }: S3Request): void {
  if (method !== 'PUT' || key === '' || query.has('uploadId') === query.has('partNumber')) return;
  if (query.has('partNumber')) throw invalidArgument('partNumber', query.get('partNumber') ?? '', 'This operation does not accept partNumber without uploadId');
  throw s3Error('MethodNotAllowed', { details: { Method: method, ResourceType: 'UPLOAD' } });
}

/** The route of a request; one that only refuses, where S3 knows what is asked for and this endpoint does not. Throws MethodNotAllowed. */
export function findRoute(request: S3Request): Route {
  refuseHalfPart(request);
  const level = levelOf(request);
  const route = routes.find((r) => r.method === request.method && r.level === level && fits(r, request));
  const strange = request.query.size === 0 ? undefined : [...request.query.keys()].find((name) => foreign.has(name) && !route?.query.includes(name));
  if (strange !== undefined && level !== 'service') {
    return { operation: `${request.method}?${strange}`, method: request.method, level, query: [], writes: false, handle: { bucket: settings.notImplemented(strange) } };
  }
  if (route === undefined) throw s3Error('MethodNotAllowed', { details: { Method: request.method, ResourceType: level.toUpperCase() } });
  return route;
}
