// What the tests of this folder share: our own S3 endpoint in this process, the AWS SDK as a stranger, and stores of this driver.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CreateBucketCommand, S3Client as Sdk } from '@aws-sdk/client-s3';
// eslint-disable-next-line import-x/no-restricted-paths -- the endpoint is the other side of the wire here, not a part of the driver
import { startEndpoint } from '../../agent/endpoint.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- as above
import type { Endpoint, EndpointOptions } from '../../agent/endpoint.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- as above
import { memoryLayout } from '../../agent/memory.ts';
import { BrigadeError } from '../../core/errors.ts';
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

export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Send only this many bytes of the body, then hang up. */
  readonly cutAt?: number;
  /** No Content-Length: the end of the connection is the end of the body. */
  readonly unframed?: boolean;
}

export interface Scripted extends AsyncDisposable {
  readonly asked: Asked[];
  readonly url: string;
  store(options?: Partial<S3Options>): Store;
}

/** A server that answers as it is told, also wrongly. */
export async function startScripted(answer: (asked: Asked, count: number) => Answer): Promise<Scripted> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => {
      const one: Asked = { method: request.method ?? '', url: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks) };
      asked.push(one);
      reply(response, answer(one, asked.length));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stores: Store[] = [];
  return {
    asked, url,
    store(over = {}) {
      const store = createS3Store({ endpoint: url, bucket: 'bucket', profile: smallParts('aws'), credentials: credentialsInTurn(keys), clock, ...over });
      stores.push(store);
      return store;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(stores.map((store) => store.close()));
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function reply(response: ServerResponse, { status = 200, headers = {}, body = '', cutAt, unframed }: Answer): void {
  const bytes = Buffer.from(body as string);
  response.sendDate = headers['date'] === undefined;
  if (unframed === true) {
    response.useChunkedEncodingByDefault = false;
    response.writeHead(status, { connection: 'close', ...headers });
  } else {
    response.writeHead(status, { 'content-length': String(bytes.length), ...headers });
  }
  if (cutAt === undefined) response.end(bytes);
  else response.write(bytes.subarray(0, cutAt), () => response.socket?.destroy());
}

export const errorXml = (code: string, more = ''): string => `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>m</Message>${more}</Error>`;

export interface PageLine { readonly key: string; readonly size?: number }

export function listXml(lines: readonly PageLine[], more: { readonly truncated?: boolean; readonly token?: string } = {}): string {
  const contents = lines.map(({ key, size = 1 }) => `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>2026-11-21T09:00:00.000Z</LastModified><ETag>"e"</ETag><Size>${size}</Size></Contents>`);
  const token = more.token === undefined ? '' : `<NextContinuationToken>${more.token}</NextContinuationToken>`;
  return `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${String(more.truncated === true)}</IsTruncated>${token}${contents.join('')}</ListBucketResult>`;
}

/** The error of a call that must fail. */
export async function errorOf(attempt: Promise<unknown>): Promise<BrigadeError> {
  const thrown: unknown = await attempt.then(() => undefined, (error: unknown) => error);
  assert.ok(thrown instanceof BrigadeError, `must fail with a BrigadeError, not ${String(thrown)}`);
  return thrown;
}
