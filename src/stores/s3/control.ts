/** What doctor asks about a bucket. Questions that a store does not understand are answered `undefined`: unknown, not "no". */
import { BrigadeError, isKind } from '../../core/errors.ts';
import { KiB } from '../../core/units.ts';
import type { S3Call, S3Client } from './client.ts';
import { askHead } from './head.ts';
import { pays } from './objects.ts';
import { childInner, children, childText, escapeText, rootOf } from './xml.ts';
import { header } from './transport.ts';

const ANSWER = 256 * KiB;

export interface BucketFacts {
  /** Region of the bucket, where the store says it (F078). */
  readonly region: string | undefined;
  /** What the server calls itself. */
  readonly server: string | undefined;
  /** The store's clock minus ours, milliseconds (F083); resolution one second, half the round trip taken off. */
  readonly skewMs: number | undefined;
}

export interface S3Control {
  /** @throws {BrigadeError} E_BUCKET_MISSING, E_ACCESS_DENIED, E_CREDENTIALS, E_REGION (premise). */
  headBucket(signal?: AbortSignal): Promise<BucketFacts>;
  /** Ours already is no error; somebody else's is kind `conflict`. */
  createBucket(signal?: AbortSignal): Promise<void>;
  versioning(signal?: AbortSignal): Promise<'Enabled' | 'Suspended' | 'Off' | undefined>;
  objectLock(signal?: AbortSignal): Promise<boolean | undefined>;
  requesterPays(signal?: AbortSignal): Promise<boolean | undefined>;
  /** `BucketOwnerEnforced`: ACLs are off (F075). */
  ownership(signal?: AbortSignal): Promise<string | undefined>;
  /** Rules in force that abort unfinished uploads; none: they stay for ever. @throws {BrigadeError} E_ACCESS_DENIED (s3:GetLifecycleConfiguration) */
  abortRules(signal?: AbortSignal): Promise<readonly AbortRule[] | undefined>;
}

export interface AbortRule {
  /** Of the keys that it holds for; empty: all. */
  readonly prefix: string;
  /** After the beginning of an upload. */
  readonly days: number;
}

export function createControl(client: S3Client): S3Control {
  const ask = (op: string, question: string, signal?: AbortSignal): Promise<string | undefined> => askBucket(client, op, question, signal);
  return {
    headBucket: (signal) => headBucket(client, signal),
    createBucket: (signal) => createBucket(client, signal),
    async versioning(signal) {
      const inner = await ask('GetBucketVersioning', 'versioning', signal);
      if (inner === undefined) return undefined;
      const status = childText(inner, 'Status');
      return status === 'Enabled' || status === 'Suspended' ? status : 'Off';
    },
    async objectLock(signal) {
      const inner = await ask('GetObjectLockConfiguration', 'object-lock', signal);
      return inner === undefined ? undefined : childText(inner, 'ObjectLockEnabled') === 'Enabled';
    },
    async requesterPays(signal) {
      const inner = await ask('GetBucketRequestPayment', 'requestPayment', signal);
      return inner === undefined ? undefined : childText(inner, 'Payer') === 'Requester';
    },
    async ownership(signal) {
      const inner = await ask('GetBucketOwnershipControls', 'ownershipControls', signal);
      return inner === undefined ? undefined : childText(childText(inner, 'Rule') ?? inner, 'ObjectOwnership') ?? /<ObjectOwnership>([A-Za-z]+)</.exec(inner)?.[1];
    },
    async abortRules(signal) {
      const inner = await ask('GetBucketLifecycleConfiguration', 'lifecycle', signal);
      return inner === undefined ? undefined : [...children(inner)].flatMap(({ name, inner: rule }) => (name === 'Rule' ? abortRule(rule) : []));
    },
  };
}

/** The prefix stands in the rule (the old form), in its filter, or in an `And` of that; a rule for tags or sizes cannot abort uploads (Amazon S3 API Reference, LifecycleRule). */
function abortRule(rule: string): readonly AbortRule[] {
  const abort = childInner(rule, 'AbortIncompleteMultipartUpload');
  const days = Number(abort === undefined ? undefined : childText(abort, 'DaysAfterInitiation'));
  if (childText(rule, 'Status') !== 'Enabled' || !(days > 0)) return [];
  const filter = childInner(rule, 'Filter') ?? '';
  const prefix = childText(rule, 'Prefix') ?? childText(filter, 'Prefix') ?? childText(childInner(filter, 'And') ?? '', 'Prefix') ?? '';
  return [{ prefix, days }];
}

async function headBucket(client: S3Client, signal?: AbortSignal): Promise<BucketFacts> {
  const { clock } = client.options;
  const before = clock.now();
  const response = await askHead(client, { op: 'HeadBucket', headers: pays(client), scope: 'bucket', signal });
  response.body.discard();
  const date = Date.parse(header(response.headers, 'date') ?? '');
  const middle = (before + clock.now()) / 2;
  return {
    region: header(response.headers, 'x-amz-bucket-region'),
    server: header(response.headers, 'server') ?? serverOfRequestId(header(response.headers, 'x-amz-request-id')),
    skewMs: Number.isNaN(date) ? undefined : Math.round(date + 500 - middle),
  };
}

/** radosgw says no Server; its request ids are transactions: `tx000…-<time>-<host>-<zone>`. */
function serverOfRequestId(id: string | undefined): string | undefined {
  return id !== undefined && /^tx0[0-9a-f]+-/.test(id) ? 'ceph' : undefined;
}

async function createBucket(client: S3Client, signal?: AbortSignal): Promise<void> {
  const constraint = client.profile.name === 'aws' && client.region !== 'us-east-1'
    ? Buffer.from(`<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>${escapeText(client.region)}</LocationConstraint></CreateBucketConfiguration>`)
    : Buffer.alloc(0);
  const body = { size: constraint.length, bytes: constraint, open: () => { throw new TypeError('bytes are at hand'); } };
  try {
    (await client.send({ op: 'CreateBucket', method: 'PUT', body, scope: 'bucket', signal })).body.discard();
  } catch (thrown) {
    if (!(thrown instanceof BrigadeError && thrown.message.includes('BucketAlreadyOwnedByYou'))) throw thrown;
  }
}

/** The inside of the answer's root; `undefined` when the store does not know the question, '' when nothing is configured. */
async function askBucket(client: S3Client, op: string, question: string, signal?: AbortSignal): Promise<string | undefined> {
  const call: S3Call = { op, method: 'GET', query: `${question}=`, headers: pays(client), scope: 'bucket', signal };
  try {
    const response = await client.send(call);
    return rootOf((await client.collect(call, response, ANSWER)).toString('utf8'))?.inner ?? '';
  } catch (thrown) {
    if (thrown instanceof BrigadeError && /NotFoundError|NoSuch(?!Bucket)\w*Configuration/.test(thrown.message)) return '';
    if (isKind(thrown, 'unsupported')) return undefined;
    throw thrown;
  }
}
