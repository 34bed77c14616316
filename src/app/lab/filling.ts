/** Puts objects into the source of the lab, past the faults, as any client would: over S3. What stands there already is left alone. */
import type { Environment } from '../../config/index.ts';
import { credentialSource } from '../../config/credentials.ts';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Store } from '../../ports/storage.ts';
import { controlOf, createS3Store, profileOf } from '../../stores/s3/index.ts';
import { AWKWARD_BUCKET, bytesOf, LAB_BUCKETS, type LabObject, objectsOf } from './content.ts';
import type { LabFolder } from './folder.ts';

export interface FillOptions {
  /** Address of the endpoint itself. */
  readonly url: string;
  /** All batches up to this one. */
  readonly batches: number;
  readonly clock: Clock;
  readonly env: Environment;
}

export interface Filled { readonly objects: number; readonly bytes: number }

const AT_ONCE = 8;

/** Answers what was put. */
export async function fillSource(lab: LabFolder, options: FillOptions): Promise<Filled> {
  const { scale } = lab.facts();
  const batches = Array.from({ length: options.batches }, (_, index) => index + 1);
  const buckets = [
    ...LAB_BUCKETS.map((bucket) => ({ ...bucket, objects: batches.flatMap((batch) => objectsOf(bucket, batch, scale)) })),
    AWKWARD_BUCKET,
  ];
  let objects = 0;
  let bytes = 0;
  for (const { name, contentType, objects: wanted } of buckets) {
    const put = await fillBucket(storeOf(lab, name, options), name, contentType, wanted);
    objects += put.length;
    bytes += put.reduce((sum, { size }) => sum + size, 0);
  }
  return { objects, bytes };
}

function storeOf(lab: LabFolder, bucket: string, { url, clock, env }: FillOptions): Store {
  const credentials = credentialSource({ kind: 'document', ref: { from: 'file', path: lab.key('source') } }, { env, clock });
  return createS3Store({ endpoint: url, bucket, region: 'us-east-1', profile: { ...profileOf('generic'), pathStyle: true }, credentials, clock });
}

async function fillBucket(store: Store, bucket: string, contentType: string, wanted: readonly LabObject[]): Promise<LabObject[]> {
  try {
    await controlOf(store)?.createBucket();
    const known = new Set<string>();
    for await (const page of store.list({})) for (const { key } of page.entries) known.add(key);
    const missing = wanted.filter(({ key }) => !known.has(key));
    const queue = [...missing];
    const attributes = { ...NO_ATTRIBUTES, headers: { contentType }, userMetadata: new Map([['made-by', 'brigade lab']]) };
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      for (let object = queue.shift(); object !== undefined; object = queue.shift()) {
        const bytes = bytesOf(bucket, object);
        await store.write({ key: object.key, attributes, guard: { kind: 'none' }, body: { size: bytes.length, bytes, async *open() { yield bytes; } } });
      }
    }));
    return missing;
  } finally {
    await store.close();
  }
}
