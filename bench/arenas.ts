/** The servers that the subjects are compared at. Both ends of a copy are the same one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startAgent } from '../test/servers/harness/agent.ts';
import { selfSigned } from '../test/servers/harness/certificate.ts';
import { version } from '../test/servers/harness/binaries.ts';
import { type Server, startSeaweedfs, startVersitygw } from '../test/servers/harness/index.ts';
import { credentials } from '../test/servers/harness/process.ts';
import { type Command, measure } from './measure.ts';
import { type Counts, type NullServer, startNullServer } from './null-server.ts';
import { brigade, type Job, rclone } from './subjects.ts';

export interface Arena {
  readonly name: string;
  readonly endpoint: string;
  readonly ca?: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Makes the source bucket `source` of so many objects. */
  fill(count: number, size: number): Promise<void>;
  /** An empty bucket of this name, counts at zero. */
  fresh(bucket: string): Promise<void>;
  drop(bucket: string): Promise<void>;
  counts(): Promise<Counts | undefined>;
  stop(): Promise<void>;
}

/** An empty folder, removed afterwards: in BENCH_DIR, else among the temporary files. */
export async function inScratch<T>(work: (dir: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'brigade-bench-'));
  try {
    return await work(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Who a subject says it is at the null server, which takes everybody. */
const NULL_USER = { region: 'us-east-1', accessKeyId: 'null', secretAccessKey: 'null-null-null' } as const;

/** A null server with `objects` of `size` bytes in `source`, an empty `target`, and a folder, for as long as the work takes. */
export async function withNullServer<T>(latencyMs: number, objects: number, size: number, work: (server: NullServer, dir: string) => Promise<T>): Promise<T> {
  const server = await startNullServer({ latencyMs });
  try {
    await server.fill('source', objects, size);
    await server.empty('target');
    await server.reset();
    return await inScratch((dir) => work(server, dir));
  } finally {
    await server.stop();
  }
}

/** From bucket `source` to bucket `target` of one null server. */
export function nullJob(server: { readonly endpoint: string }, dir: string): Job {
  return { from: server.endpoint, to: server.endpoint, fromBucket: 'source', toBucket: 'target', ...NULL_USER, dir, server: 'null', large: false };
}

/** `tls`: a folder for the certificate. */
export async function nullArena(tls?: string): Promise<Arena> {
  const certificate = tls === undefined ? undefined : await selfSigned(tls);
  const server = await startNullServer(certificate === undefined ? {} : { tls: certificate });
  return {
    name: 'null', endpoint: server.secureEndpoint ?? server.endpoint, ...(certificate === undefined ? {} : { ca: certificate.cert }), ...NULL_USER,
    fill: (count, size) => server.fill('source', count, size),
    fresh: async (bucket) => { await server.empty(bucket); await server.reset(); },
    drop: (bucket) => server.empty(bucket),
    counts: () => server.counts(), stop: () => server.stop(),
  };
}

/** A real server over a real disk. Its objects come from the null server, through our own program. */
async function realArena(bin: string, name: string, start: () => Promise<Server>): Promise<Arena> {
  const server = await start();
  const { accessKeyId, secretAccessKey, region } = credentials;
  const arena = { name, endpoint: server.endpoint, region, accessKeyId, secretAccessKey };
  const bucket = (what: string, of: string) => measure(bucketCommand(what, of, arena));
  return {
    ...arena,
    fill: async (count, size) => {
      const made = await nullArena();
      await made.fill(count, size);
      await bucket('mkdir', 'source');
      await inScratch(async (dir) => {
        const job: Job = { ...arena, from: made.endpoint, to: arena.endpoint, fromBucket: 'source', toBucket: 'source', dir, server: name, large: false };
        for (const command of brigade(bin, 'fill').commands(job)) await measure(command);
      });
      await made.stop();
    },
    fresh: async (of) => { await bucket('mkdir', of); },
    drop: async (of) => { await bucket('purge', of); },
    counts: async () => undefined,
    stop: () => server.stop(),
  };
}

function bucketCommand(what: string, bucket: string, arena: Pick<Arena, 'endpoint' | 'region' | 'accessKeyId' | 'secretAccessKey'>): Command {
  const [command] = rclone().commands({ ...arena, from: arena.endpoint, to: arena.endpoint, fromBucket: bucket, toBucket: bucket, dir: '', server: 'any', large: false });
  const argv = command?.argv ?? [];
  return { argv: [argv[0] as string, '--config', '/dev/null', what, `A:${bucket}`], env: command?.env ?? {} };
}

const REAL: Readonly<Record<string, (bin: string) => Promise<Server>>> = {
  versitygw: () => startVersitygw(),
  seaweedfs: () => startSeaweedfs(),
  'agent-files': (program) => startAgent({ layout: 'files', program }),
  'agent-objects': (program) => startAgent({ layout: 'objects', program }),
};

export const ARENAS = ['null', ...Object.keys(REAL)];

/** Of a server that is not ours. */
export function versionOf(name: string): string[] {
  return name === 'versitygw' || name === 'seaweedfs' ? [`${name} ${version(name.toUpperCase())}`] : [];
}

/** `bin`: the built program. @throws Error on an unknown name, or where the server does not come up */
export function openArena(name: string, bin: string): Promise<Arena> {
  if (name === 'null') return nullArena();
  const start = REAL[name];
  if (start === undefined) throw new Error(`no server "${name}"; there are ${ARENAS.join(', ')}`);
  return realArena(bin, name, () => start(bin));
}
