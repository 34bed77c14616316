// A small migration of files into a bucket of our own endpoint, run by the real command line: what the quick chaos tests start from.
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEndpoint, type Endpoint, type HookAnswer, type RequestHook, type RequestInfo } from '../../src/agent/endpoint.ts';
import { memoryLayout, type MemoryLayout } from '../../src/agent/memory.ts';
import type { AccessKey } from '../../src/agent/sigv4.ts';
import { type Coordinator, kill, type Migration, startImpatient, startRun, writeMigration } from './product.ts';
import type { Place } from './judge.ts';

const BUCKET = 'destination';

export interface SiteOptions {
  readonly objects?: number;
  /** Further keys of the migration file. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Puts something between client and endpoint; gives the address to use. */
  readonly through?: (url: string) => Promise<string>;
  /** Another reference than env:CHAOS. */
  readonly credentials?: string;
}

/** Slow enough that faults come in the middle of it. */
export const SITE_LIMITS = { limits: { requests: '150/s' }, executors: 2, batch: { objects: 20 } };

export class Site implements AsyncDisposable {
  readonly dir: string;
  readonly layout: MemoryLayout;
  /** What the endpoint accepts; may be changed while it runs. */
  readonly keys: AccessKey[];
  readonly endpoint: Endpoint;
  readonly migration: Migration;
  readonly objects: number;
  /** Of objects, as the endpoint saw them. */
  written = 0;
  #hook: RequestHook | undefined;
  readonly #runs: Coordinator[] = [];

  constructor(parts: Pick<Site, 'dir' | 'layout' | 'keys' | 'endpoint' | 'migration' | 'objects'>) {
    this.dir = parts.dir;
    this.layout = parts.layout;
    this.keys = parts.keys;
    this.endpoint = parts.endpoint;
    this.migration = parts.migration;
    this.objects = parts.objects;
    this.endpoint.setHook((info) => this.#answer(info));
  }

  /** Asked before every request is performed. */
  set hook(hook: RequestHook | undefined) {
    this.#hook = hook;
  }

  /** `brigade run`; killed with the site, if need be. */
  run(...flags: string[]): Coordinator {
    return this.#keep(startRun(this.migration, ...flags));
  }

  /** The same by a coordinator that takes an executor for frozen after `silenceMs`. */
  runImpatiently(silenceMs: number): Coordinator {
    return this.#keep(startImpatient(this.migration, silenceMs));
  }

  /** Resolves when so many objects were written. @throws Error after `ms`. */
  async until(written: number, ms = 60_000): Promise<void> {
    const end = performance.now() + ms;
    while (this.written < written) {
      if (performance.now() > end) throw new Error(`only ${this.written} objects were written in ${ms} ms\n${readFileSync(this.migration.log, 'utf8')}`);
      await sleep(10);
    }
  }

  get log(): string {
    return readFileSync(this.migration.log, 'utf8');
  }

  /** Keys whose content at the destination is not that of the source; destination keys that the source lacks are among them. */
  async differing(): Promise<string[]> {
    const root = join(this.dir, 'source');
    const wanted = new Map(readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
      .map((entry): [string, string] => [join(entry.parentPath, entry.name).slice(root.length + 1), hashOf(readFileSync(join(entry.parentPath, entry.name)))]));
    const wrong: string[] = [];
    for (const { key, versions: [version] } of this.layout.scan(BUCKET, Buffer.alloc(0))) {
      if (key.startsWith('.brigade/')) continue;
      const pieces: Buffer[] = [];
      if (version !== undefined) for await (const piece of version.body.read(0, version.body.size)) pieces.push(piece);
      if (wanted.get(key) !== hashOf(Buffer.concat(pieces))) wrong.push(key);
      wanted.delete(key);
    }
    return [...wrong, ...wanted.keys()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const run of this.#runs) {
      if (run.state() !== undefined) continue;
      kill(run.pid, 'SIGCONT');
      kill(run.pid, 'SIGKILL');
      await run.ended;
    }
    await this.endpoint.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  #keep(run: Coordinator): Coordinator {
    this.#runs.push(run);
    return run;
  }

  async #answer(info: RequestInfo): Promise<HookAnswer | undefined> {
    const answer = await this.#hook?.(info) ?? undefined;
    if (answer === undefined && info.operation === 'PutObject' && !info.key.startsWith('.brigade/')) this.written++;
    return answer;
  }
}

const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

export async function openSite({ objects = 200, options = SITE_LIMITS, through, credentials }: SiteOptions = {}): Promise<Site> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-site-'));
  for (let i = 0; i < objects; i++) {
    const path = join(dir, 'source', `dir-${i % 5}`, `file-${i}`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.alloc((i * 97) % 9000, `content of ${i} `));
  }
  const layout = memoryLayout();
  const key: AccessKey = { id: 'AKIACHAOS', secret: 'chaos-secret' };
  const keys = [key];
  const endpoint = await startEndpoint({ storage: layout, accessKeys: keys });
  const place: Place = { kind: 'bucket', endpoint: endpoint.url, region: 'us-east-1', access_key_id: key.id, secret_access_key: key.secret, bucket: BUCKET, versioned: false };
  const migration = writeMigration({
    dir, name: 'site', source: { kind: 'folder', path: join(dir, 'source') }, destination: place, options: { create_bucket: true, ...options },
    destinationEndpoint: await through?.(endpoint.url), credentials,
  });
  return new Site({ dir, layout, keys, endpoint, migration, objects });
}
