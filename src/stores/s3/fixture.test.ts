// What the tests of this folder share: our own S3 endpoint in this process, the AWS SDK as a stranger, and stores of this driver.
import { CreateBucketCommand, S3Client as Sdk } from '@aws-sdk/client-s3';
// eslint-disable-next-line import-x/no-restricted-paths -- the endpoint is the other side of the wire here, not a part of the driver
import { startEndpoint } from '../../agent/endpoint.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- as above
import type { Endpoint, EndpointOptions } from '../../agent/endpoint.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- as above
import { memoryLayout } from '../../agent/memory.ts';
import { Secret } from '../../core/secret.ts';
import { KiB } from '../../core/units.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Credentials, CredentialSource } from '../../ports/credentials.ts';
import type { Body, Store } from '../../ports/storage.ts';
import { profileOf } from './profiles.ts';
import type { ProviderProfile } from './profiles.ts';
import { createS3Store } from './store.ts';
import type { S3Options } from './store.ts';

export const keys = { accessKeyId: 'AKIATEST', secretAccessKey: 'secret/with+signs' };

export const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

export interface CountingSource extends CredentialSource {
  invalidated: number;
}

/** Gives these credentials one after the other, the next one after each invalidate(). */
export function credentialsInTurn(...all: readonly { readonly accessKeyId: string; readonly secretAccessKey: string }[]): CountingSource {
  const list: Credentials[] = all.map(({ accessKeyId, secretAccessKey }) => ({ accessKeyId, secretAccessKey: new Secret(secretAccessKey) }));
  return {
    describe: 'test', invalidated: 0,
    resolve() { return Promise.resolve(list[Math.min(this.invalidated, list.length - 1)]); },
    invalidate() { this.invalidated++; },
  };
}

/** Parts of 64 KiB, so that uploads of a few parts stay small. */
export function smallParts(name: string, over: Partial<ProviderProfile> = {}): ProviderProfile {
  return { ...profileOf(name), pathStyle: true, minPartSize: 64 * KiB, ...over };
}

export interface Bench extends AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly sdk: Sdk;
  store(options?: Partial<S3Options>): Store;
}

/** An endpoint with the bucket `bucket`. */
export async function startBench(options: Partial<EndpointOptions> = {}): Promise<Bench> {
  const endpoint = await startEndpoint({
    storage: memoryLayout(), accessKeys: [{ id: keys.accessKeyId, secret: keys.secretAccessKey }], limits: { minPartBytes: 64 * KiB }, ...options,
  });
  const sdk = new Sdk({ endpoint: endpoint.url, region: 'us-east-1', forcePathStyle: true, credentials: keys, maxAttempts: 1 });
  await sdk.send(new CreateBucketCommand({ Bucket: 'bucket' }));
  endpoint.stats.reset();
  const stores: Store[] = [];
  return {
    endpoint, sdk,
    store(over = {}) {
      const store = createS3Store({ endpoint: endpoint.url, bucket: 'bucket', profile: smallParts('aws'), credentials: credentialsInTurn(keys), clock, ...over });
      stores.push(store);
      return store;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(stores.map((store) => store.close()));
      sdk.destroy();
      await endpoint.close();
    },
  };
}

/** In one piece. */
export function bodyOf(content: string | Uint8Array): Body {
  const bytes = Buffer.from(content as string);
  return { size: bytes.length, bytes, open: () => pieces(bytes) };
}

/** In pieces, not whole in memory. */
export function streamOf(bytes: Uint8Array, declared = bytes.length): Body {
  return { size: declared, open: () => pieces(bytes) };
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 10_007) yield bytes.subarray(at, at + 10_007);
}

export async function gather(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}
