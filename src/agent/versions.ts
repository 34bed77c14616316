/** Which version a request means. */
import { randomBytes } from 'node:crypto';
import type { Context } from './context.ts';
import { httpTime } from './context.ts';
import { s3Error } from './errors.ts';
import type { Bucket, Layout, ObjectVersion } from './layout.ts';

/** The id a new version gets in this bucket. */
export const newVersionId = (bucket: Bucket): string =>
  (bucket.versioning === 'Enabled' ? randomBytes(24).toString('base64').replaceAll('+', '.').replaceAll('/', '_') : 'null');

function checkVersionId(id: string): void {
  if (id !== 'null' && id.length !== 32) throw s3Error('InvalidArgument', { message: 'Invalid version id specified', details: { ArgumentName: 'versionId', ArgumentValue: id } });
}

const markerHeaders = (bucket: Bucket, version: ObjectVersion): Record<string, string> => ({
  'x-amz-delete-marker': 'true',
  ...(bucket.versioning === undefined ? {} : { 'x-amz-version-id': version.versionId }),
});

const newestOf = async (layout: Layout, bucket: string, key: string): Promise<ObjectVersion | undefined> =>
  (layout.newest === undefined ? (await layout.entry(bucket, key))?.versions[0] : layout.newest(bucket, key));

/** One version of one key, by id or the newest.
 * @throws S3Error NoSuchKey, NoSuchVersion, MethodNotAllowed (a delete marker asked for by its id) */
export async function findVersion(context: Pick<Context, 'layout'>, bucket: Bucket, key: string, versionId: string | undefined): Promise<ObjectVersion> {
  if (versionId !== undefined) checkVersionId(versionId);
  const version = versionId === undefined ? await newestOf(context.layout, bucket.name, key) : (await context.layout.entry(bucket.name, key))?.versions.find((v) => v.versionId === versionId);
  if (version === undefined) {
    throw versionId === undefined ? s3Error('NoSuchKey', { details: { Key: key } }) : s3Error('NoSuchVersion', { details: { Key: key, VersionId: versionId } });
  }
  if (!version.deleteMarker) return version;
  if (versionId === undefined) throw s3Error('NoSuchKey', { details: { Key: key }, headers: markerHeaders(bucket, version) });
  const headers = { ...markerHeaders(bucket, version), allow: 'DELETE', 'last-modified': httpTime(version.modified) };
  throw s3Error('MethodNotAllowed', { details: { Method: 'GET', ResourceType: 'DeleteMarker' }, headers });
}

/** The version named by the request's key and versionId. */
export const currentVersion = (context: Context): Promise<ObjectVersion> =>
  findVersion(context, context.bucket, context.request.key, context.request.query.get('versionId'));
