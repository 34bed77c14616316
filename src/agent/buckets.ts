/** Buckets and their settings. */
import { isoTime, xmlReply } from './context.ts';
import type { Context, Reply, ServiceContext } from './context.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { newBucket } from './layout.ts';
import type { Bucket } from './layout.ts';
import { owner } from './listing.ts';
import { readSmall } from './payload.ts';
import { mayUse } from './sigv4.ts';
import { childText, el, optional, parseXml, xmlDocument } from './xml.ts';

function readMaxBuckets(text: string | undefined): number {
  if (text === undefined || text === '') return 10_000;
  const max = Number(text);
  if (!/^\d+$/.test(text) || max < 1 || max > 10_000) throw invalidArgument('max-buckets', text, 'Argument max-buckets must be an integer between 1 and 10000');
  return max;
}

export async function listBuckets(context: ServiceContext): Promise<Reply> {
  const { verified: { accessKey }, request: { query } } = context;
  const [prefix, token, region] = [query.get('prefix') ?? '', query.get('continuation-token') ?? '', query.get('bucket-region')];
  const max = readMaxBuckets(query.get('max-buckets'));
  const after = token === '' ? '' : Buffer.from(token, 'base64url').toString();
  const shown = ({ name, region: own }: Bucket): boolean => mayUse(accessKey, name) && name.startsWith(prefix) && Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0 && (region === undefined || region === own);
  const found = (await context.layout.buckets()).filter(shown);
  const buckets = found.slice(0, max);
  const next = buckets.length < found.length ? Buffer.from(buckets.at(-1)?.name ?? '').toString('base64url') : undefined;
  return xmlReply(xmlDocument('ListAllMyBucketsResult', owner(), optional('Prefix', prefix === '' ? undefined : prefix), optional('ContinuationToken', next),
    el('Buckets', buckets.map((bucket) => el('Bucket', el('Name', bucket.name), el('CreationDate', isoTime(bucket.created)), el('BucketRegion', bucket.region))))));
}

/** General purpose bucket naming rules of the S3 User Guide. */
const validName = (name: string): boolean => /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) && !name.includes('..') && !/^\d+\.\d+\.\d+\.\d+$/.test(name);

async function readLocation(context: ServiceContext): Promise<string> {
  const text = (await readSmall(context.payload(true), context.limits.maxXmlBytes)).toString();
  const wishes = text === '' ? undefined : parseXml(text, 'CreateBucketConfiguration');
  if (wishes?.children.some(({ name }) => name !== 'LocationConstraint') === true) throw s3Error('NotImplemented', { message: 'This endpoint keeps no tags of buckets, and has neither directory buckets nor locations of its own.' });
  const asked = wishes === undefined ? '' : childText(wishes, 'LocationConstraint') ?? '';
  const region = asked === '' ? context.region : asked;
  if (region === context.region) return region;
  if (!/^[a-z]{2}(-[a-z]+)+-\d+$|^EU$/.test(region)) throw s3Error('InvalidLocationConstraint', { details: { LocationConstraint: region } });
  throw s3Error('IllegalLocationConstraintException', { message: `The ${region} location constraint is incompatible for the region specific endpoint this request was sent to.` });
}

const ownerships = ['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'];

/** Who owns what is written, and whether there can be ACLs: those are not kept here, so that only harmless wishes pass. */
function readOwnership(headers: ReadonlyMap<string, string>): boolean {
  const ownership = headers.get('x-amz-object-ownership') ?? 'BucketOwnerEnforced';
  if (!ownerships.includes(ownership)) throw invalidArgument('x-amz-object-ownership', ownership, `Invalid x-amz-object-ownership header: ${ownership}`);
  const acl = headers.get('x-amz-acl') ?? 'private';
  const open = acl !== 'private' || [...headers.keys()].some((name) => name.startsWith('x-amz-grant-'));
  if (open && ownership === 'BucketOwnerEnforced') throw s3Error('InvalidBucketAclWithObjectOwnership');
  return ownership === 'BucketOwnerEnforced';
}

export async function createBucket(context: ServiceContext): Promise<Reply> {
  const { request, layout, clock, behaviours } = context;
  if (!validName(request.bucket)) throw s3Error('InvalidBucketName', { details: { BucketName: request.bucket } });
  const ownershipEnforced = readOwnership(request.headers);
  const region = await readLocation(context);
  if ((await layout.bucket(request.bucket)) !== undefined) throw s3Error('BucketAlreadyOwnedByYou', { details: { BucketName: request.bucket } });
  const bucket = newBucket(request.bucket, clock.now(), region);
  if (!behaviours.pretends && request.headers.get('x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true') throw s3Error('NotImplemented', { message: 'This endpoint locks nothing.' });
  bucket.objectLock = request.headers.get('x-amz-bucket-object-lock-enabled')?.toLowerCase() === 'true';
  bucket.versioning = bucket.objectLock ? 'Enabled' : undefined;
  bucket.ownershipEnforced = ownershipEnforced;
  await layout.addBucket(bucket);
  return { status: 200, headers: { location: `/${bucket.name}`, 'x-amz-bucket-arn': `arn:aws:s3:::${bucket.name}` } };
}

export const headBucket = (context: Context): Reply => ({ status: 200, headers: { 'x-amz-bucket-region': context.bucket.region, 'content-type': 'application/xml' } });

export async function deleteBucket(context: Context): Promise<Reply> {
  const { layout, bucket } = context;
  await layout.removeBucket(bucket.name);
  return { status: 204 };
}

/** us-east-1 is told as an empty constraint. */
export const getLocation = ({ bucket }: Context): Reply =>
  xmlReply(xmlDocument('LocationConstraint', bucket.region === 'us-east-1' ? '' : bucket.region));

export const getVersioning = ({ bucket }: Context): Reply => xmlReply(xmlDocument('VersioningConfiguration', optional('Status', bucket.versioning)));

export async function putVersioning(context: Context): Promise<Reply> {
  const text = (await readSmall(context.payload(), context.limits.maxXmlBytes)).toString();
  const status = childText(parseXml(text, 'VersioningConfiguration'), 'Status');
  if (status !== 'Enabled' && status !== 'Suspended') throw s3Error('IllegalVersioningConfigurationException');
  context.bucket.versioning = status;
  await context.layout.changeBucket(context.bucket);
  return { status: 200 };
}

export function getObjectLock({ bucket }: Context): Reply {
  if (!bucket.objectLock) throw s3Error('ObjectLockConfigurationNotFoundError', { details: { BucketName: bucket.name } });
  return xmlReply(xmlDocument('ObjectLockConfiguration', el('ObjectLockEnabled', 'Enabled')));
}

export const getRequestPayment = ({ bucket }: Context): Reply => xmlReply(xmlDocument('RequestPaymentConfiguration', el('Payer', bucket.requestPayment)));

export async function putRequestPayment(context: Context): Promise<Reply> {
  const text = (await readSmall(context.payload(), context.limits.maxXmlBytes)).toString();
  const payer = childText(parseXml(text, 'RequestPaymentConfiguration'), 'Payer');
  if (payer !== 'BucketOwner' && payer !== 'Requester') throw s3Error('MalformedXML');
  context.bucket.requestPayment = payer;
  await context.layout.changeBucket(context.bucket);
  return { status: 200 };
}

export function getOwnership({ bucket }: Context): Reply {
  const value = bucket.ownershipEnforced ? 'BucketOwnerEnforced' : 'BucketOwnerPreferred';
  return xmlReply(xmlDocument('OwnershipControls', el('Rule', el('ObjectOwnership', value))));
}
