// The two Python judges: the oracle that recomputes everything from raw storage, and the reader that looks while a run is being killed.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { binaries } from '../servers/harness/index.ts';
import type { Server } from '../servers/harness/index.ts';

/** A store as the judges know it. */
export type Place =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'bucket'; readonly endpoint: string; readonly region: string; readonly access_key_id: string; readonly secret_access_key: string; readonly bucket: string; readonly versioned: boolean };

/** [size, sha256] of every object. */
export type Manifest = Readonly<Record<string, readonly [number, string]>>;

export interface Some { readonly count: number; readonly first: readonly string[] }

export interface Verdict {
  readonly source: { readonly objects: number; readonly bytes: number };
  readonly destination: { readonly objects: number; readonly bytes: number };
  readonly lost: Some;
  readonly corrupt: Some;
  /** At the destination, but never at the source. */
  readonly foreign: Some;
  /** Open uploads, and temporaries of the file system. */
  readonly unfinished: Some;
  /** Canaries of probes that were killed. */
  readonly canaries: Some;
  readonly versions: { readonly extra: number; readonly differing: number; readonly markers: number; readonly first: readonly string[] };
  /** Keys of which the ledger says something else than the stores. */
  readonly account: Some;
}

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Runs the oracle; resolves with what it printed, whatever its exit code, if that is a document. */
function ask(...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(binaries().python, [here('oracle.py'), ...args], { maxBuffer: 256 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error !== null && !stdout.startsWith('{')) reject(new Error(`oracle.py ${args[0]}: ${stderr.trim() || error.message}`));
      else resolve(stdout);
    });
  });
}

export const bucketAt = (server: Server, bucket: string, versioned = false): Place => ({
  kind: 'bucket', endpoint: server.endpoint, region: server.region, access_key_id: server.accessKeyId, secret_access_key: server.secretAccessKey, bucket, versioned,
});

export async function makeBucket(place: Place): Promise<void> {
  await ask('bucket', JSON.stringify(place));
}

export interface SeedSpec { readonly seed: number; readonly objects: number; readonly large: number }

/** Makes the source; the bucket too. */
export async function seedSource(place: Place, spec: SeedSpec): Promise<Manifest> {
  return JSON.parse(await ask('seed', JSON.stringify(place), JSON.stringify(spec))) as Manifest;
}

/** `account`: state of each key as the ledger says; passed through a file in `dir`. */
export async function reconcile(source: Place, destination: Place, account: Readonly<Record<string, string>>, dir: string): Promise<Verdict> {
  const file = join(dir, 'account.json');
  writeFileSync(file, JSON.stringify(account));
  return JSON.parse(await ask('check', JSON.stringify(source), JSON.stringify(destination), `@${file}`)) as Verdict;
}

/** What a verdict holds against the product; empty when it holds nothing. */
export function violations(verdict: Verdict): string[] {
  const counts = (['lost', 'corrupt', 'foreign', 'unfinished', 'account'] as const).filter((name) => verdict[name].count > 0);
  const differing = verdict.versions.differing > 0 ? [`${verdict.versions.differing} extra versions differ in content`] : [];
  return [...counts.map((name) => `${verdict[name].count} ${name}: ${verdict[name].first.slice(0, 5).join(', ')}`), ...differing];
}

export interface Looks {
  readonly looks: number;
  readonly absent: number;
  readonly whole: number;
  readonly large_whole: number;
  readonly unreachable: number;
  readonly wrong: readonly { readonly key: string; readonly found: readonly [number, string] }[];
}

export interface Reader { stop(): Promise<Looks> }

/** `versions`: all whole versions of each key. */
export function startReader(place: Place, versions: Readonly<Record<string, readonly (readonly [number, string])[]>>, dir: string): Reader {
  const file = join(dir, 'versions.json');
  writeFileSync(file, JSON.stringify(versions));
  const child = spawn(binaries().python, [here('reader.py'), JSON.stringify(place), `@${file}`], { stdio: ['pipe', 'pipe', 'inherit'] });
  const printed = text(child.stdout);
  const ended = once(child, 'exit');
  return {
    stop: async () => {
      child.stdin.end();
      await ended;
      return JSON.parse(await printed) as Looks;
    },
  };
}
