/** What the source of the lab holds: four buckets of the sizes that people know from their own, and one of keys that break tools. The same on every machine. */
import { createCipheriv, createHash } from 'node:crypto';
import { KiB, MiB } from '../../core/units.ts';

export interface LabObject {
  readonly key: string;
  readonly size: number;
}

export interface LabBucket {
  readonly name: string;
  /** For people. */
  readonly about: string;
  readonly contentType: string;
  /** How many the whole exercise has. */
  readonly count: number;
  object(batch: number, index: number): LabObject;
}

const pad = (number: number, digits = 4): string => String(number).padStart(digits, '0');

/** A bucket pair each (S2.31). Objects of a later batch are new ones. */
export const LAB_BUCKETS: readonly LabBucket[] = [
  {
    name: 'app-data', about: '100 objects of 64 KiB', contentType: 'application/json', count: 100,
    object: (batch, index) => ({ key: `orders/day-${pad(batch, 2)}/order-${pad(index)}.json`, size: 64 * KiB }),
  },
  {
    name: 'ml-models', about: '50 objects of 1 MiB', contentType: 'application/octet-stream', count: 50,
    object: (batch, index) => ({ key: `checkpoints/run-${pad(batch, 2)}/epoch-${pad(index)}.bin`, size: MiB }),
  },
  {
    name: 'logs-archive', about: '80 objects of 128 KiB', contentType: 'application/gzip', count: 80,
    object: (batch, index) => ({ key: `web-${index % 4}/day-${pad(batch, 2)}/${pad(index)}.log.gz`, size: 128 * KiB }),
  },
  {
    name: 'user-uploads', about: '120 objects of 64 to 512 KiB', contentType: 'image/jpeg', count: 120,
    object: (batch, index) => {
      const key = `${index % 4 === 3 ? 'private' : 'public'}/day-${pad(batch, 2)}/photo-${pad(index)}.jpg`;
      return { key, size: 64 * KiB + digest(key).readUInt32BE(0) % (448 * KiB + 1) };
    },
  },
];

/** Keys that file systems, URLs, XML and shells stumble over, each legal in S3. */
const AWKWARD_KEYS = [
  'a', 'a/b', 'a//b', '/leading', 'trailing/', '..', '../up', 'x/../y', '.', './here', 'plus+sign', 'per%cent', 'per%2Fcent', '#hash', 'ques?tion=1&b=2', 'star*', ' lead', 'trail ',
  'back\\slash', '"quoted"', "apo'strophe", '<tag>&amp;', 'caf\u00e9', 'cafe\u0301', '\u{1F600}', '\uFFFDreplacement', 'CASE', 'case', 'new\nline', 'tab\there', '-rf', 'con.txt', 'a'.repeat(1024),
];

export const AWKWARD_BUCKET = {
  name: 'awkward-keys', about: `${AWKWARD_KEYS.length} keys that break tools`, contentType: 'text/plain',
  objects: AWKWARD_KEYS.map((key, index): LabObject => ({ key, size: 16 + index })),
};

/** The first batch is the whole bucket, each later one a fifth of it. Never less than four. */
export function objectsOf(bucket: LabBucket, batch: number, scale: number): LabObject[] {
  const share = batch === 1 ? scale : scale / 5;
  return Array.from({ length: Math.max(4, Math.round(bucket.count * share)) }, (_, index) => bucket.object(batch, index));
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Bytes that look random and come from the name alone. */
export function bytesOf(bucket: string, { key, size }: LabObject): Buffer {
  const seed = digest(`${bucket}\0${key}`);
  return createCipheriv('aes-128-ctr', seed.subarray(0, 16), seed.subarray(16)).update(Buffer.alloc(size));
}
