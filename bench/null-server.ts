/** Builds (once) and starts the null S3 server of bench/null-server. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('./null-server', import.meta.url));

export interface Counts {
  /** Bucket → operation → requests. */
  readonly requests: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface NullServer {
  readonly endpoint: string;
  /** The same server over TLS, where a certificate was given. */
  readonly secureEndpoint?: string;
  readonly pid: number;
  /** A bucket of made-up objects. */
  fill(bucket: string, count: number, size: number, shape?: string): Promise<void>;
  /** An empty bucket; one of that name is emptied. */
  empty(bucket: string): Promise<void>;
  /** Per second, from now on: requests to a bucket, or to all; bytes of one connection. Absent: no limit. */
  limit(most: { readonly requests?: number; readonly bucket?: string; readonly connectionBytes?: number }): Promise<void>;
  counts(): Promise<Counts>;
  reset(): Promise<void>;
  stop(): Promise<void>;
}

/** Outside the tree, by the hash of its source. @throws Error when Go is missing. */
export function nullServerBinary(): string {
  const cache = join(process.env['BRIGADE_TEST_CACHE'] ?? join(homedir(), '.cache', 'brigade-test'));
  const hash = createHash('sha256');
  for (const name of readdirSync(SOURCE).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) hash.update(readFileSync(join(SOURCE, name)));
  const path = join(cache, `null-server-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  execFileSync('go', ['build', '-o', `${path}.${process.pid}`, '.'], { cwd: SOURCE, env: { ...process.env, GOFLAGS: '-buildvcs=false', PATH: `${process.env['PATH']}:/usr/local/go/bin` }, stdio: 'inherit' });
  renameSync(`${path}.${process.pid}`, path);
  return path;
}

/** `tls`: paths of PEM files. */
export async function startNullServer(options: { readonly latencyMs?: number; readonly tls?: { readonly cert: string; readonly key: string } } = {}): Promise<NullServer> {
  const { tls } = options;
  // It ends with its standard input: with this process, however that ends.
  const child = spawn(nullServerBinary(), ['-latency', `${options.latencyMs ?? 0}ms`, ...(tls === undefined ? [] : ['-cert', tls.cert, '-key', tls.key])], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const addresses = line.replace('listening ', '').split(' ');
  const endpoint = `http://${addresses.at(-1) as string}`;
  const ask = async (method: string, path: string): Promise<string> => {
    const response = await fetch(endpoint + path, { method });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text;
  };
  return {
    endpoint, pid: child.pid as number, ...(tls === undefined ? {} : { secureEndpoint: `https://${addresses[0] as string}` }),
    fill: async (bucket, count, size, shape) => { await ask('PUT', `/_bucket/${bucket}?count=${count}&size=${size}${shape === undefined ? '' : `&shape=${shape}`}`); },
    empty: async (bucket) => { await ask('PUT', `/_bucket/${bucket}`); },
    limit: async ({ requests = 0, bucket = '', connectionBytes = 0 }) => { await ask('PUT', `/_limits?requests=${requests}&connection=${connectionBytes}&bucket=${bucket}`); },
    counts: async () => JSON.parse(await ask('GET', '/_counts')) as Counts,
    reset: async () => { await ask('POST', '/_reset'); },
    stop: async () => { const gone = once(child, 'exit'); child.stdin.end(); await gone; },
  };
}
