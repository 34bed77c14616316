// What the tests of this folder share: an endpoint, the AWS SDK as a client, and a signer of our own for what the SDK refuses to send.
import { createHash, createHmac } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { S3ClientConfig } from '@aws-sdk/client-s3';
import { startEndpoint } from './endpoint.ts';
import type { Endpoint, EndpointOptions } from './endpoint.ts';
import { memoryLayout } from './memory.ts';
import type { MemoryLayout } from './memory.ts';
import { openObjectsLayout } from './objects-layout/index.ts';

export const credentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'secret/with+signs' };
export const bucketName = 'bucket-one';

/** The layout under the endpoint: in memory, or `objects` on a fresh directory where the file that runs these tests asks for it. */
async function freshLayout(): Promise<{ layout: MemoryLayout; done: () => Promise<void> }> {
  if (process.env['BRIGADE_TEST_LAYOUT'] !== 'objects') return { layout: memoryLayout(), done: async () => undefined };
  const root = await mkdtemp(join(tmpdir(), 'brigade-objects-'));
  const layout = await openObjectsLayout({ root, failed: (error) => { throw error; } });
  const done = async (): Promise<void> => {
    await layout.close();
    await rm(root, { recursive: true });
  };
  return { layout: layout as unknown as MemoryLayout, done }; // what the tests call of it answers at once in both
}

export interface Bench extends AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly layout: MemoryLayout;
  readonly client: S3Client;
}

export const sdkClient = (url: string, more: S3ClientConfig = {}): S3Client =>
  new S3Client({ endpoint: url, region: 'us-east-1', forcePathStyle: true, credentials, maxAttempts: 1, ...more });

/** An endpoint with one bucket, and a client of it. */
export async function startBench(options: Partial<EndpointOptions> = {}): Promise<Bench> {
  const { layout, done } = await freshLayout();
  const endpoint = await startEndpoint({ storage: layout, accessKeys: [{ id: credentials.accessKeyId, secret: credentials.secretAccessKey }], ...options });
  const client = sdkClient(endpoint.url);
  await client.send(new CreateBucketCommand({ Bucket: bucketName }));
  endpoint.stats.reset();
  return {
    endpoint, layout, client,
    async [Symbol.asyncDispose]() {
      client.destroy();
      await endpoint.close();
      await done();
    },
  };
}

/** The name of the error an SDK call fails with. */
export async function failure(call: Promise<unknown>): Promise<{ name: string; status: number }> {
  try {
    await call;
  } catch (error) {
    const seen = error as { name: string; $metadata?: { httpStatusCode?: number } };
    return { name: seen.name, status: seen.$metadata?.httpStatusCode ?? 0 };
  }
  return { name: 'no error', status: 0 };
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text, 'latin1').digest();

export interface RawRequest {
  readonly method: string;
  /** As it goes on the wire. */
  readonly path: string;
  /** Already encoded and sorted; on the wire and under the signature alike. */
  readonly query?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer | string;
  /** x-amz-content-sha256; default UNSIGNED-PAYLOAD. */
  readonly payload?: string;
  /** Default: now. */
  readonly date?: Date;
  readonly secret?: string;
  readonly unsignedHeaders?: Record<string, string>;
}

export interface RawAnswer { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: string }

/** Header form of SigV4, written from the specification. Returns the headers to send and what chunks are signed with. */
export function sign(url: string, raw: RawRequest): { headers: Record<string, string>; signature: string; key: Buffer; scope: string; amzDate: string } {
  const amzDate = `${(raw.date ?? new Date()).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
  const date = amzDate.slice(0, 8);
  const scope = `${date}/us-east-1/s3/aws4_request`;
  const headers: Record<string, string> = { ...raw.headers, host: new URL(url).host, 'x-amz-date': amzDate, 'x-amz-content-sha256': raw.payload ?? 'UNSIGNED-PAYLOAD' };
  const names = Object.keys(headers).sort((a, b) => (a < b ? -1 : 1));
  const canonical = [raw.method, raw.path, raw.query ?? '', ...names.map((n) => `${n}:${headers[n] ?? ''}`), '', names.join(';'), headers['x-amz-content-sha256']].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', amzDate, scope, createHash('sha256').update(canonical, 'latin1').digest('hex')].join('\n');
  const key = hmac(hmac(hmac(hmac(`AWS4${raw.secret ?? credentials.secretAccessKey}`, date), 'us-east-1'), 's3'), 'aws4_request');
  const signature = hmac(key, toSign).toString('hex');
  headers['authorization'] = `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope},SignedHeaders=${names.join(';')},Signature=${signature}`;
  return { headers, signature, key, scope, amzDate };
}

/** Sends bytes as they are: no path is normalised on the way. */
export function send(url: string, method: string, target: string, headers: Record<string, string>, body: Buffer | string = ''): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const call = httpRequest({ hostname, port, method, path: target, headers, agent: false }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on('data', (piece: Buffer) => pieces.push(piece));
      answer.on('error', reject);
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(pieces).toString() }));
    });
    call.on('error', reject);
    call.end(body);
  });
}

export function sendSigned(url: string, raw: RawRequest): Promise<RawAnswer> {
  const { headers } = sign(url, raw);
  const all = { ...headers, ...raw.unsignedHeaders, ...(raw.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(raw.body)) }) };
  return send(url, raw.method, raw.query === undefined ? raw.path : `${raw.path}?${raw.query}`, all, raw.body);
}
