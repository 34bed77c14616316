/** Puts buckets and objects into a layout without HTTP: for tests that need many, or states no request can make. */
import { digestOf } from './checksums.ts';
import { noGuard } from './conditions.ts';
import { newBucket } from './layout.ts';
import type { Bucket, Layout, ObjectVersion } from './layout.ts';
import { memoryBody } from './memory.ts';

/** Adds a bucket; returns it, its flags may be changed in place. */
export async function seedBucket(layout: Layout, name: string, flags: Partial<Bucket> = {}): Promise<Bucket> {
  const bucket: Bucket = { ...newBucket(name, 0, 'us-east-1'), ...flags };
  await layout.addBucket(bucket);
  return bucket;
}

export interface SeedObject extends Partial<Omit<ObjectVersion, 'body'>> { readonly key: string }

/** Adds an object with a full CRC64NVME checksum, as S3 gives to uploads that bring none. */
export async function seedObject(layout: Layout, bucket: string, object: SeedObject, content: string | Buffer = ''): Promise<ObjectVersion> {
  const bytes = Buffer.from(content);
  const version: ObjectVersion = {
    versionId: 'null', deleteMarker: false, modified: 0, etag: digestOf('MD5', bytes).toString('hex'), parts: undefined, restore: undefined,
    checksum: { algorithm: 'CRC64NVME', value: digestOf('CRC64NVME', bytes).toString('base64'), type: 'FULL_OBJECT' },
    system: new Map([['content-type', 'binary/octet-stream']]), meta: new Map(), tags: [], storageClass: 'STANDARD', echoed: new Map(),
    ...object, body: memoryBody([bytes]),
  };
  await layout.put(bucket, version, noGuard);
  return version;
}
