/** From a finished temporary to the final name: whole or not at all, under guard, durable before it is told (truths 4, 6). */
import { BrigadeError } from '../../core/errors.ts';
import type { Attributes, Token } from '../../core/object.ts';
import type { Guard } from '../../ports/storage.ts';
import { absent, COLLISION_HINT, errno } from './failures.ts';
import type { Dir } from './jail.ts';
import type { Raw } from './names.ts';
import { fchmod, fstat, fsync, futimes, link, rename, unlink } from './syscalls.ts';
import { secondsOf, tokenOf } from './token.ts';

export interface Commit {
  readonly dir: Dir;
  /** Descriptor of the temporary, its bytes written. */
  readonly fd: number;
  readonly temporary: Raw;
  /** Permission bits with which it was made. */
  readonly createdMode: number;
  readonly name: Raw;
  readonly attributes: Attributes;
  readonly guard: Guard;
  readonly durable: boolean;
  readonly location: string;
}

/** Gives the file its attributes and its final name. The descriptor stays open; a temporary that is left is the caller's to remove. */
export async function commitFile(commit: Commit): Promise<Token> {
  await setAttributes(commit);
  if (commit.durable) await fsync(commit.fd);
  await moveIn(commit);
  if (commit.durable) await commit.dir.sync();
  return tokenOf(await fstat(commit.fd));
}

/** Never setuid, setgid or sticky: they come from metadata that anybody could have written (F058). */
async function setAttributes({ fd, attributes, createdMode }: Commit): Promise<void> {
  const mode = finalMode(attributes);
  if (mode !== createdMode) await fchmod(fd, mode);
  if (attributes.mtimeNs === undefined) return;
  const seconds = secondsOf(attributes.mtimeNs);
  await futimes(fd, seconds, seconds);
}

let mask: number | undefined;

/** Permission bits that the finished file has. */
export function finalMode(attributes: Attributes): number {
  mask ??= process.umask();
  return attributes.mode === undefined ? 0o666 & ~mask : attributes.mode & 0o777;
}

/** What open() makes of it: the umask takes bits away, chmod does not. */
export function createdMode(attributes: Attributes): number {
  return finalMode(attributes) & ~(mask ?? 0);
}

async function moveIn(commit: Commit): Promise<void> {
  if (commit.guard.kind === 'absent') return linkIn(commit);
  const { dir, temporary, name, guard } = commit;
  if (guard.kind === 'matches') {
    const now = await dir.present(name);
    if (now?.isDirectory() === true) throw collision(commit);
    if (now === undefined || tokenOf(now) !== guard.token) throw conflict(commit, now === undefined ? 'the file that was to be replaced is gone' : 'another version stands there');
  }
  await rename(dir.at(temporary), dir.at(name));
}

/** link() never replaces: of two writers one gets EEXIST, whatever the timing. */
async function linkIn(commit: Commit): Promise<void> {
  const { dir, temporary, name } = commit;
  try {
    await link(dir.at(temporary), dir.at(name));
  } catch (error) {
    if (errno(error) === 'EEXIST') throw await occupied(commit);
    if (!NO_LINKS.has(errno(error) ?? '')) throw error;
    // A file system without hard links (FAT, some FUSE): looked at just before the rename, which is the best it can do.
    if ((await dir.present(name)) !== undefined) throw await occupied(commit);
    await rename(dir.at(temporary), dir.at(name));
    return;
  }
  // Whoever took us for dead and adopted the file has taken the temporary away (untie.ts).
  await unlink(dir.at(temporary)).catch(absent);
}

/** Errors by which a file system says that it has no hard links. */
export const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK', 'ENOSYS']);

async function occupied(commit: Commit): Promise<BrigadeError> {
  return (await commit.dir.present(commit.name))?.isDirectory() === true ? collision(commit) : conflict(commit, 'another object stands there');
}

function conflict(commit: Commit, message: string): BrigadeError {
  return new BrigadeError({ code: 'E_PRECONDITION', kind: 'conflict', message, op: 'rename', location: commit.location });
}

function collision(commit: Commit): BrigadeError {
  return new BrigadeError({ code: 'E_NAME_COLLISION', kind: 'object', message: 'a directory stands where the file must be', hint: COLLISION_HINT, op: 'rename', location: commit.location });
}
