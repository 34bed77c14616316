/** What the tests of this folder stand on: a fresh directory, a store on it, and system calls that need root. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { NO_ATTRIBUTES, type Attributes, type ObjectEntry } from '../../core/object.ts';
import type { Body, Guard, ListRequest, Store, Written } from '../../ports/storage.ts';
import { createFilesystemStore, type FilesystemOptions, type FilesystemStore } from './index.ts';

export const random = { next: (): number => randomBytes(4).readUInt32BE() / 2 ** 32 };
export const isRoot = process.getuid?.() === 0;

export async function freshRoot(t: TestContext): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'brigade-fs-'));
  t.after(() => rm(root, { recursive: true, force: true }));
  return root;
}

export function storeOn(t: TestContext, root: string, more: Partial<FilesystemOptions> = {}): FilesystemStore {
  const store = createFilesystemStore({ root, names: 'escaped', random, ...more });
  t.after(() => store.close());
  return store;
}

export async function entriesOf(store: Store, request: ListRequest = {}): Promise<ObjectEntry[]> {
  const all: ObjectEntry[] = [];
  for await (const page of store.list(request)) all.push(...page.entries);
  return all;
}

export async function keysOf(store: Store, request: ListRequest = {}): Promise<string[]> {
  return (await entriesOf(store, request)).map((entry) => entry.key);
}

export function body(bytes: Uint8Array | string): Body {
  const buffer = Buffer.from(bytes);
  return { size: buffer.length, bytes: buffer, async *open() { yield buffer; } };
}

export async function put(store: Store, key: string, bytes: Uint8Array | string, attributes: Attributes = NO_ATTRIBUTES, guard: Guard = { kind: 'none' }): Promise<Written> {
  return store.write({ key, body: body(bytes), attributes, guard });
}

export async function get(store: Store, key: string, expectedSize: number): Promise<Buffer> {
  const kept: Buffer[] = [];
  for await (const chunk of (await store.read({ key, expectedSize })).chunks) kept.push(Buffer.from(chunk));
  return Buffer.concat(kept);
}

/** Names of a directory, unfinished files included. */
export async function names(directory: string): Promise<string[]> {
  return (await readdir(directory)).sort((a, b) => (a < b ? -1 : 1));
}

/** Runs a module of ours as another process; as root, as nobody, who is denied what we are not. Its standard output is JSON. */
export function asNobody(source: string): unknown {
  const child = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', source], { encoding: 'utf8', cwd: '/', ...(isRoot ? { uid: 65534, gid: 65534 } : {}) });
  if (child.status !== 0) throw new Error(`child ended with ${child.status}: ${child.stderr}`);
  return JSON.parse(child.stdout);
}

/** These stand in /usr/sbin, which is not on everybody's PATH. False: not installed here, and the test is skipped by name. */
export function makeFileSystem(t: TestContext, program: string, args: readonly string[]): boolean {
  try {
    execFileSync(program, args, { stdio: 'pipe', env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` } });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    t.skip(`${program} is not installed`);
    return false;
  }
}

/** Mounts on a fresh directory, or says why it cannot: then the caller skips by name. */
export async function mounted(t: TestContext, ...options: readonly string[]): Promise<string | undefined> {
  const point = await mkdtemp(join(tmpdir(), 'brigade-mount-'));
  try {
    execFileSync('mount', [...options, point], { stdio: 'pipe' });
  } catch {
    // Without root, or in a container: nothing of ours is wrong.
    await rm(point, { recursive: true });
    t.skip('mounting is not permitted here');
    return undefined;
  }
  t.after(async () => {
    execFileSync('umount', ['-l', point]);
    await rm(point, { recursive: true });
  });
  return point;
}
