/** Names the S3 operation of a request from its method, path and query. */
import type { IncomingMessage } from 'node:http';
import type { Facts } from './rules.ts';

type Named = readonly [method: string, present: string, operation: string];

const onBucket: readonly Named[] = [
  ['GET', 'location', 'GetBucketLocation'], ['GET', 'versioning', 'GetBucketVersioning'], ['GET', 'object-lock', 'GetObjectLockConfiguration'],
  ['GET', 'uploads', 'ListMultipartUploads'], ['GET', 'versions', 'ListObjectVersions'], ['GET', 'list-type', 'ListObjectsV2'], ['GET', '', 'ListObjects'],
  ['HEAD', '', 'HeadBucket'], ['POST', 'delete', 'DeleteObjects'], ['PUT', 'versioning', 'PutBucketVersioning'], ['PUT', '', 'CreateBucket'], ['DELETE', '', 'DeleteBucket'],
];

const onObject: readonly Named[] = [
  ['GET', 'tagging', 'GetObjectTagging'], ['GET', 'attributes', 'GetObjectAttributes'], ['GET', 'uploadId', 'ListParts'], ['GET', '', 'GetObject'], ['HEAD', '', 'HeadObject'],
  ['PUT', 'uploadId', 'UploadPart'], ['PUT', 'tagging', 'PutObjectTagging'], ['PUT', '', 'PutObject'], ['POST', 'uploads', 'CreateMultipartUpload'],
  ['POST', 'uploadId', 'CompleteMultipartUpload'], ['POST', 'restore', 'RestoreObject'], ['DELETE', 'uploadId', 'AbortMultipartUpload'], ['DELETE', '', 'DeleteObject'],
];

const copies: Record<string, string> = { PutObject: 'CopyObject', UploadPart: 'UploadPartCopy' };

/** Every name that `classify` gives. */
export const OPERATIONS: readonly string[] = ['ListBuckets', ...onBucket.map(([, , name]) => name), ...onObject.map(([, , name]) => name), ...Object.values(copies)];

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not UTF-8: rules then see the escapes
  }
}

export function classify(request: IncomingMessage): Facts {
  const [path = '/', search = ''] = (request.url ?? '/').split('?');
  const query = new URLSearchParams(search);
  const slash = path.indexOf('/', 1);
  const bucket = decode(slash < 0 ? path.slice(1) : path.slice(1, slash));
  const key = slash < 0 ? '' : decode(path.slice(slash + 1));
  const method = request.method ?? 'GET';
  const table = bucket === '' ? [['GET', '', 'ListBuckets'] as const] : key === '' ? onBucket : onObject;
  const plain = table.find((row) => row[0] === method && (row[1] === '' || query.has(row[1])))?.[2] ?? 'Unknown';
  const operation = request.headers['x-amz-copy-source'] === undefined ? plain : copies[plain] ?? plain;
  return { method, operation, bucket, key, query, headers: request.headers };
}
