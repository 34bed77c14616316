/** Whether the bytes of an object are those that were stored. */
import { createHash } from 'node:crypto';
import { startDigest } from '../checksums.ts';
import type { Digest } from '../checksums.ts';
import { opaqueETag } from '../headers.ts';
import type { Body, ObjectVersion, StoredPart } from '../layout.ts';

interface Expected {
  readonly name: string;
  readonly value: string;
  readonly digest: Digest;
  readonly encoding: 'hex' | 'base64';
}

/** What is wrong with the bytes, or undefined. Parts are compared one by one, for the ETag of the whole is not a sum of its bytes. */
export async function compareBytes(version: ObjectVersion): Promise<string | undefined> {
  const expected: Expected[] = [];
  if (version.checksum?.type === 'FULL_OBJECT') expected.push({ name: version.checksum.algorithm, value: version.checksum.value, digest: startDigest(version.checksum.algorithm), encoding: 'base64' });
  if (/^[0-9a-f]{32}$/.test(version.etag) && !opaqueETag(version)) expected.push({ name: 'MD5', value: version.etag, digest: startDigest('MD5'), encoding: 'hex' });
  return (await compareWhole(version.body, expected)) ?? (version.parts === undefined ? undefined : compareParts(version.body, version.parts));
}

export async function compareMd5(body: Body, md5: string): Promise<string | undefined> {
  return compareWhole(body, [{ name: 'MD5', value: md5, digest: startDigest('MD5'), encoding: 'hex' }]);
}

async function compareWhole(body: Body, expected: readonly Expected[]): Promise<string | undefined> {
  if (expected.length === 0) return undefined;
  for await (const piece of body.read(0, body.size)) for (const { digest } of expected) digest.update(piece);
  for (const { name, value, digest, encoding } of expected) {
    const found = digest.digest().toString(encoding);
    if (found !== value) return `its ${name} is ${found}, it was stored with ${value}`;
  }
  return undefined;
}

async function compareParts(body: Body, parts: readonly StoredPart[]): Promise<string | undefined> {
  let at = 0;
  for (const { number, size, etag } of parts) {
    const hash = createHash('md5');
    for await (const piece of body.read(at, at + size)) hash.update(piece);
    const found = hash.digest('hex');
    if (found !== etag) return `the MD5 of its part ${number} is ${found}, it was stored with ${etag}`;
    at += size;
  }
  return undefined;
}
