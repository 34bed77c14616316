/** An endpoint of ours behind the fault proxy, the AWS SDK, and a plain signed request that tells how it ended. */
import { request as httpRequest } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { startEndpoint } from '../../src/agent/endpoint.ts';
import type { Endpoint } from '../../src/agent/endpoint.ts';
import { memoryLayout } from '../../src/agent/memory.ts';
import type { MemoryLayout } from '../../src/agent/memory.ts';
import type { Fault } from '../../src/faults/kinds.ts';
import { startFaultProxy } from '../../src/faults/proxy.ts';
import type { FaultProxy } from '../../src/faults/proxy.ts';
import type { Match, Rule } from '../../src/faults/rules.ts';
import { authorization } from '../../src/faults/signing.ts';

export const Bucket = 'bucket-one';
export const Key = 'the/key';
export const content = 'The quick brown fox jumps over the lazy dog. '.repeat(20);
export const signer = { id: 'AKIATEST', secret: 'secret', region: 'us-east-1' };

export interface Bench extends AsyncDisposable { readonly endpoint: Endpoint; readonly layout: MemoryLayout; readonly proxy: FaultProxy; readonly client: S3Client }

export async function startBench(rules: readonly Rule[] = []): Promise<Bench> {
  const layout = memoryLayout();
  const endpoint = await startEndpoint({ storage: layout, accessKeys: [signer], limits: { minPartBytes: 1, maxSkewMs: Infinity } });
  const proxy = await startFaultProxy({ target: endpoint.url, key: signer });
  const client = new S3Client({ endpoint: proxy.url, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1, credentials: { accessKeyId: signer.id, secretAccessKey: signer.secret } });
  await client.send(new CreateBucketCommand({ Bucket }));
  await client.send(new PutObjectCommand({ Bucket, Key, Body: content }));
  proxy.setRules(rules);
  return {
    endpoint, layout, proxy, client,
    async [Symbol.asyncDispose]() {
      client.destroy();
      await proxy.close();
      await endpoint.close();
    },
  };
}

/** A bench with one rule that hits a match with a fault. */
export const withFault = (fault: Fault, match: Match = {}): Promise<Bench> => startBench([{ name: 'r', match, fault }]);

export interface Seen { status: number; headers: IncomingHttpHeaders; body: Buffer; end: 'end' | 'aborted' | 'error'; pieces: number; code?: string }

/** A plain signed request through the proxy, telling how it ended. */
export function fetchRaw(bench: Bench, { method = 'GET', target = `/${Bucket}/${Key}`, headers = {}, body, atMs = Date.now() }: { method?: string; target?: string; headers?: Record<string, string>; body?: Buffer; atMs?: number } = {}): Promise<Seen> {
  const own = new Map(Object.entries({ ...headers, host: new URL(bench.proxy.url).host, 'x-amz-date': `${new Date(atMs).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }));
  own.set('authorization', authorization(signer, method, target, own));
  if (body !== undefined) own.set('content-length', String(body.length));
  return new Promise((resolve) => {
    const call = httpRequest({ host: '127.0.0.1', port: bench.proxy.port, method, path: target, headers: Object.fromEntries(own), agent: false }, (answer) => {
      const pieces: Buffer[] = [];
      const done = (end: Seen['end'], code?: string) => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: Buffer.concat(pieces), end, pieces: pieces.length, ...(code === undefined ? {} : { code }) });
      answer.on('data', (piece: Buffer) => pieces.push(piece));
      answer.on('end', () => done('end'));
      answer.on('error', (error: NodeJS.ErrnoException) => done('aborted', error.code));
    });
    call.on('error', (error: NodeJS.ErrnoException) => resolve({ status: 0, headers: {}, body: Buffer.alloc(0), end: 'error', pieces: 0, code: error.code ?? '' }));
    call.end(body);
  });
}

/** What the endpoint holds under a key. */
export const stored = async (layout: MemoryLayout, key: string): Promise<string | undefined> => {
  const version = layout.entry(Bucket, key)?.versions[0];
  if (version === undefined) return undefined;
  const pieces: Buffer[] = [];
  for await (const piece of version.body.read(0, version.body.size)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
};
