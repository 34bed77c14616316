/** Settings of buckets and objects that this endpoint does not keep: what S3 answers where none was ever made. Source: S3 API Reference. */
import { xmlReply } from './context.ts';
import type { Context, Reply } from './context.ts';
import { s3Error } from './errors.ts';
import { owner, ownerFields } from './listing.ts';
import { currentVersion } from './versions.ts';
import { xmlDocument } from './xml.ts';
import type { Xml } from './xml.ts';

type Handler = (context: Context) => Reply | Promise<Reply>;

/** Bucket settings whose absence is an error of its own. */
const absentCodes: Readonly<Record<string, string>> = {
  cors: 'NoSuchCORSConfiguration', encryption: 'ServerSideEncryptionConfigurationNotFoundError', lifecycle: 'NoSuchLifecycleConfiguration', policy: 'NoSuchBucketPolicy',
  policyStatus: 'NoSuchBucketPolicy', publicAccessBlock: 'NoSuchPublicAccessBlockConfiguration', replication: 'ReplicationConfigurationNotFoundError',
  tagging: 'NoSuchTagSet', website: 'NoSuchWebsiteConfiguration',
};

/** Bucket settings whose absence is an empty document. */
const emptyDocuments: Readonly<Record<string, string>> = { accelerate: 'AccelerateConfiguration', logging: 'BucketLoggingStatus', notification: 'NotificationConfiguration' };

const absent = (code: string): Handler => ({ bucket }) => {
  throw s3Error(code, { details: { BucketName: bucket.name } });
};

export const absentSettings: readonly (readonly [name: string, read: Handler])[] = [
  ...Object.entries(absentCodes).map(([name, code]) => [name, absent(code)] as const),
  ...Object.entries(emptyDocuments).map(([name, root]) => [name, () => xmlReply(xmlDocument(root))] as const),
];

/** Deleting what is not there succeeds. */
export const deleteAbsent: Handler = () => ({ status: 204 });

/** What was asked for is known to S3 and not done here. Never answered as if it were something else. */
export const notImplemented = (name: string): Handler => ({ request }) => {
  throw s3Error('NotImplemented', { message: `This endpoint does not implement ?${name} for ${request.method}.` });
};

const grants = (): Xml => ({
  markup: `<AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">${ownerFields().markup}</Grantee>`
    + '<Permission>FULL_CONTROL</Permission></Grant></AccessControlList>',
});

const aclReply = (): Reply => xmlReply(xmlDocument('AccessControlPolicy', owner(), grants()));

/** Every bucket and object belongs to the one owner, and to nobody else. */
export const getBucketAcl: Handler = () => aclReply();

export const getObjectAcl: Handler = async (context) => {
  await currentVersion(context);
  return aclReply();
};

export const putAcl: Handler = () => {
  throw s3Error('AccessControlListNotSupported');
};

export const noObjectLock: Handler = async (context) => {
  await currentVersion(context);
  throw s3Error(context.bucket.objectLock ? 'NoSuchObjectLockConfiguration' : 'InvalidRequest', context.bucket.objectLock ? {} : { message: 'Bucket is missing ObjectLockConfiguration' });
};
