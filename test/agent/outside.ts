/** Watches what lies beside a served root: contents, names, times. A read shows in the atime, a write in the ctime, which nobody can set back. */
import { execFileSync } from 'node:child_process';
import type { BigIntStats } from 'node:fs';
import { lstat as lstatOf, mkdir, readFile, readdir, readlink, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Outside {
  /** A directory beside the root that links in it lead to. */
  readonly path: string;
  /** In the content of every canary, and in a name that no request holds: neither may ever be answered. */
  readonly token: string;
}

const DAY = 86_400;
const lstat = (path: string): Promise<BigIntStats> => lstatOf(path, { bigint: true });

/** Canaries one level above the root, and a tree full of ways out of it. */
export async function plant(base: string, token: string): Promise<Outside> {
  const path = join(base, 'secret');
  await mkdir(join(path, 'sub'), { recursive: true });
  const canaries = [join(base, 'canary'), join(path, 'canary'), join(path, `name-${token}`), join(path, 'sub', 'canary')];
  for (const canary of canaries) await writeFile(canary, `canary ${token}`);
  const root = join(base, 'root');
  for (const directory of ['bucket/deep', 'bucket/inner', 'bucket/swap/sub', 'swapbucket/swap']) await mkdir(join(root, directory), { recursive: true });
  for (const file of ['bucket/a', 'bucket/deep/file', 'bucket/inner/canary', 'bucket/swap/canary', 'bucket/swapfile', 'swapbucket/canary']) await writeFile(join(root, file), 'inside');
  const links: readonly (readonly [target: string, at: string])[] = [
    [path, 'bucket/out'], [join(base, 'canary'), 'bucket/filelink'], ['../..', 'bucket/up'], ['loop', 'bucket/loop'], ['../../nowhere', 'bucket/dangling'], [path, 'bucket/deep/out'], ['/etc', 'bucket/abs'], [path, 'linkbucket'],
  ];
  for (const [target, at] of links) await symlink(target, join(root, at));
  execFileSync('mkfifo', [join(root, 'bucket/fifo')]);
  // Read long before they were written: the next read sets the atime, also where only such reads do (relatime).
  const now = Date.now() / 1000;
  for (const canary of canaries) await utimes(canary, now - DAY, now);
  return { path, token };
}

/** Every file and directory below `base` but the root and the state, with all that a read or write would change. */
export async function snapshot(base: string): Promise<Map<string, string>> {
  const seen = new Map<string, string>();
  const visit = async (path: string, name: string): Promise<void> => {
    const stats = await lstat(path);
    const times = stats.isDirectory() ? [stats.mtimeNs, stats.ctimeNs] : [stats.atimeNs, stats.mtimeNs, stats.ctimeNs];
    seen.set(name, [stats.ino, stats.size, stats.mode, stats.nlink, ...times, stats.isSymbolicLink() ? await readlink(path) : ''].join(' '));
    if (!stats.isDirectory()) return;
    for (const child of (await readdir(path)).sort((a, b) => (a < b ? -1 : 1))) {
      if (name !== '' || (child !== 'root' && child !== 'state')) await visit(join(path, child), `${name}/${child}`);
    }
  };
  await visit(base, '');
  return seen;
}

/** What of the outside is not as it was. The base itself may have lost or won only what it lists. */
export function differences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name)).map((name) => `${name === '' ? '(base)' : name}: ${before.get(name) ?? 'was not there'} → ${after.get(name) ?? 'is gone'}`);
}

/** Whether a read of a file beside the root would be seen at all on this mount (not with noatime). */
export async function readsAreSeen(base: string): Promise<boolean> {
  const probe = join(base, 'probe');
  await writeFile(probe, 'probe');
  const now = Date.now() / 1000;
  await utimes(probe, now - DAY, now);
  const before = (await lstat(probe)).atimeNs;
  await readFile(probe);
  return (await lstat(probe)).atimeNs !== before;
}
