/**
 * Directories below the root, each opened from its parent without following links, so that nothing planted in the tree leads out of it
 * (F111, F112). On Linux a child is named through its parent's open descriptor (`/proc/self/fd/N/name`); elsewhere by its path, whose
 * real path is compared after every opening. Open directories are kept for reuse, few of them, and checked before each use.
 */
import { type BigIntStats, constants, existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { BrigadeError, isKind } from '../../core/errors.ts';
import { showKey } from '../../core/key.ts';
import { absent, COLLISION_HINT, errno, fsError } from './failures.ts';
import { keyOf, pathOf, rawOf, type Raw } from './names.ts';
import { close, fchmod, fstat, fsync, lstat, mkdir, open, placeOfDescriptor, stat, type FsPath } from './syscalls.ts';

const DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY;
const DEFAULT_CAPACITY = 64;

export interface JailOptions {
  readonly root: string;
  /** The root is the folder of these names in another jail, and entered by its rules; that jail is closed with this one. */
  readonly within?: { readonly jail: Jail; readonly segments: readonly Raw[] };
  /** Makes the root and directories on the way; without it a missing one is `gone`. */
  readonly create: boolean;
  /** Directories that are made are their owner's alone; one that forbids its owner to write is opened for it. */
  readonly privately?: boolean;
  /** fsync a parent in which a directory was made. */
  readonly durable: boolean;
  /** Follow links to directories on the way (reading only). */
  readonly follow?: boolean;
  /** Directories kept open. Default 64. */
  readonly capacity?: number;
  /** Name children through /proc. Default: where it exists. */
  readonly procfs?: boolean;
}

/** An open directory, held until release(). */
export class Dir {
  readonly fd: number;
  readonly id: Raw;
  /** Where it was when it was opened, as the kernel says. */
  readonly origin: Raw;
  readonly #base: Raw;
  users = 1;
  /** Out of the cache: closed when the last user leaves. */
  dropped = false;
  /** Its owner was seen to be let in. */
  writable = false;
  #syncing: Promise<void> | undefined;
  #queued: Promise<void> | undefined;

  constructor(fd: number, id: Raw, origin: Raw, base: Raw) {
    this.fd = fd;
    this.id = id;
    this.origin = origin;
    this.#base = base;
  }

  /** The path by which the kernel finds a child of this very directory. */
  at(name: Raw): FsPath {
    return pathOf(`${this.#base}/${name}`);
  }

  /** What stands under this name, links not followed; undefined: nothing. */
  present(name: Raw): Promise<BigIntStats | undefined> {
    return lstat(this.at(name)).catch(absent);
  }

  /** Resolves after an fsync that began after this call: writers of one directory share it. */
  sync(): Promise<void> {
    if (this.#syncing === undefined) return (this.#syncing = this.#start());
    this.#queued ??= this.#syncing.catch(() => undefined).then(() => {
      this.#queued = undefined;
      return (this.#syncing = this.#start());
    });
    return this.#queued;
  }

  async #start(): Promise<void> {
    try {
      await fsync(this.fd);
    } finally {
      this.#syncing = undefined;
    }
  }
}

export class Jail {
  readonly #options: JailOptions;
  readonly #procfs: boolean;
  readonly #kept = new Map<Raw, Dir>();
  readonly #opening = new Map<Raw, Promise<Dir>>();
  #root: Promise<Dir> | undefined;
  /** The root, once it is open. */
  #top: Dir | undefined;
  #closed = false;

  constructor(options: JailOptions) {
    this.#options = options;
    this.#procfs = options.procfs ?? (process.platform === 'linux' && existsSync('/proc/self/fd'));
  }

  /** The root; it stays open until close(). */
  root(): Promise<Dir> {
    this.#root ??= this.#openRoot().catch((error: unknown) => {
      this.#root = undefined;
      throw error;
    });
    return this.#root;
  }

  /** The directory of these names, held for the caller. `create`: make what is missing. */
  async acquire(segments: readonly Raw[], create: boolean, op: string): Promise<Dir> {
    if (segments.length === 0) {
      const root = await this.root();
      root.users++;
      return root;
    }
    const id = segments.join('/');
    const dir = (await this.#reuse(id)) ?? (await this.#openOnce(segments, id, create, op));
    if (create && this.#options.privately === true && !dir.writable) await makeWritable(dir);
    return dir;
  }

  /** The directory where it is open already and stands where it did, asked of the kernel alone; undefined: acquire() will tell. It is not
   * held: good only until the caller lets others run. */
  now(segments: readonly Raw[]): Dir | undefined {
    const dir = segments.length === 0 ? this.#top : this.#kept.get(segments.join('/'));
    if (dir === undefined || dir.dropped || !this.#procfs) return undefined;
    if (dir === this.#top) return dir;
    try {
      if (placeOfDescriptor(dir.fd) !== dir.origin) return undefined;
    } catch {
      // Whatever it was, opening it anew will tell.
      return undefined;
    }
    this.#touch(dir);
    return dir;
  }

  /** The same where it is there already; undefined: it is not. */
  find(segments: readonly Raw[], op: string): Promise<Dir | undefined> {
    return this.acquire(segments, false, op).catch((error: unknown) => {
      if (isKind(error, 'gone')) return undefined;
      throw error;
    });
  }

  async release(dir: Dir): Promise<void> {
    dir.users--;
    if (dir.users === 0 && dir.dropped) await close(dir.fd);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const dir of [...this.#kept.values()]) await this.#drop(dir);
    const root = await this.#root?.catch(() => undefined);
    this.#root = undefined;
    this.#top = undefined;
    if (root !== undefined) {
      root.dropped = true;
      await this.release(root);
    }
    await this.#options.within?.jail.close();
  }

  location(id: Raw): string {
    return id === '' ? this.#options.root : `${this.#options.root}/${showKey(keyOf(id))}`;
  }

  /** A kept directory that is still where it was when it was opened. */
  async #reuse(id: Raw): Promise<Dir | undefined> {
    const dir = this.#kept.get(id);
    if (dir === undefined) return undefined;
    dir.users++;
    if (await this.#stillThere(dir)) {
      this.#touch(dir);
      return dir;
    }
    await this.#drop(dir);
    await this.release(dir);
    return undefined;
  }

  #touch(dir: Dir): void {
    if (dir.dropped || this.#kept.get(dir.id) !== dir) return;
    this.#kept.delete(dir.id);
    this.#kept.set(dir.id, dir);
  }

  /** The kernel tells the present path of an open directory: one call sees a rename or a link put anywhere above it. */
  async #stillThere(dir: Dir): Promise<boolean> {
    try {
      return (await this.#origin(dir.fd, dir.id)) === dir.origin;
    } catch {
      // Whatever it was, opening it anew will tell.
      return false;
    }
  }

  async #origin(fd: number, id: Raw): Promise<Raw> {
    if (this.#procfs) return placeOfDescriptor(fd);
    const path = await realpath(pathOf(`${rawOf(this.#options.root)}/${id}`), 'buffer');
    const [byPath, byFd] = await Promise.all([stat(path), fstat(fd)]);
    if (byPath.dev !== byFd.dev || byPath.ino !== byFd.ino) throw this.#error('E_LINK_IN_PATH', 'open', id, 'the directory was replaced while it was opened');
    return path.toString('latin1');
  }

  /** Openers of one directory wait for the first of them, then each takes its own hold. */
  async #openOnce(segments: readonly Raw[], id: Raw, create: boolean, op: string): Promise<Dir> {
    const running = this.#opening.get(id);
    if (running !== undefined) {
      // A failure is the other opener's to report: we then try for ourselves.
      await running.catch(() => undefined);
      return this.acquire(segments, create, op);
    }
    const opened = this.#open(segments, id, create, op);
    this.#opening.set(id, opened);
    try {
      return await opened;
    } finally {
      this.#opening.delete(id);
    }
  }

  async #open(segments: readonly Raw[], id: Raw, create: boolean, op: string): Promise<Dir> {
    const parent = await this.acquire(segments.slice(0, -1), create, op);
    try {
      const fd = await this.#openChild(parent, segments.at(-1) as Raw, id, create, op);
      const dir = await this.#made(fd, id, parent);
      await this.#keep(dir);
      return dir;
    } finally {
      await this.release(parent);
    }
  }

  async #made(fd: number, id: Raw, parent: Dir | undefined): Promise<Dir> {
    try {
      const origin = await this.#origin(fd, id);
      if (!this.#procfs && this.#options.follow !== true && parent !== undefined && origin !== `${parent.origin === '/' ? '' : parent.origin}/${id.slice(id.lastIndexOf('/') + 1)}`) {
        throw this.#error('E_LINK_IN_PATH', 'open', id, 'a symbolic link stands in the path');
      }
      return new Dir(fd, id, origin, this.#procfs ? `/proc/self/fd/${fd}` : origin);
    } catch (error) {
      await close(fd);
      throw error;
    }
  }

  async #openChild(parent: Dir, name: Raw, id: Raw, create: boolean, op: string): Promise<number> {
    const path = parent.at(name);
    const flags = this.#options.follow === true ? DIRECTORY : DIRECTORY | constants.O_NOFOLLOW;
    try {
      return await open(path, flags);
    } catch (error) {
      if (errno(error) === 'ENOENT' && create) {
        await this.#make(parent, path, id, op);
        return await open(path, flags).catch(async (again: unknown) => this.#explain(again, path, id, create, op));
      }
      return this.#explain(error, path, id, create, op);
    }
  }

  async #make(parent: Dir, path: FsPath, id: Raw, op: string): Promise<void> {
    try {
      await mkdir(path, this.#options.privately === true ? 0o700 : 0o777);
    } catch (error) {
      if (errno(error) === 'ENOENT') throw this.#error('E_ROOT_GONE', op, id, 'the directory in which it was to be made is gone');
      if (errno(error) !== 'EEXIST') throw fsError(error, op, this.location(id));
    }
    // Also where another made it: its own fsync may still be on the way.
    if (this.#options.durable) await parent.sync();
  }

  /** Why a name on the way did not open as a directory. */
  async #explain(error: unknown, path: FsPath, id: Raw, create: boolean, op: string): Promise<never> {
    const code = errno(error);
    if (code === 'ENOTDIR' || code === 'ELOOP') {
      const found = await lstat(path).catch(() => undefined);
      if (found?.isSymbolicLink() === true) throw this.#error('E_LINK_IN_PATH', op, id, 'a symbolic link stands in the path; links are never followed');
      if (create) throw this.#error('E_NAME_COLLISION', op, id, 'a file stands where a directory is needed', COLLISION_HINT);
      throw new BrigadeError({ code: 'E_NOT_FOUND', kind: 'gone', message: 'no such file', op, location: this.location(id) });
    }
    if (code === 'ENOENT' && !create) throw new BrigadeError({ code: 'E_NOT_FOUND', kind: 'gone', message: 'no such file', op, location: this.location(id) });
    throw fsError(error, op, this.location(id));
  }

  #error(code: string, op: string, id: Raw, message: string, hint?: string): BrigadeError {
    return new BrigadeError({ code, kind: code === 'E_ROOT_GONE' ? 'premise' : 'object', message, op, location: this.location(id), ...(hint === undefined ? {} : { hint }) });
  }

  async #keep(dir: Dir): Promise<void> {
    if (this.#closed) {
      dir.dropped = true;
      return;
    }
    const old = this.#kept.get(dir.id);
    if (old !== undefined) await this.#drop(old);
    this.#kept.set(dir.id, dir);
    for (const oldest of this.#kept.values()) {
      if (this.#kept.size <= (this.#options.capacity ?? DEFAULT_CAPACITY)) break;
      await this.#drop(oldest);
    }
  }

  async #drop(dir: Dir): Promise<void> {
    if (this.#kept.get(dir.id) === dir) this.#kept.delete(dir.id);
    if (dir.dropped) return;
    dir.dropped = true;
    if (dir.users === 0) await close(dir.fd);
  }

  async #openRoot(): Promise<Dir> {
    const { root, create, within } = this.#options;
    try {
      const fd = within === undefined ? await openTop(root, create) : await openWithin(within, create);
      return (this.#top = await this.#made(fd, '', undefined));
    } catch (error) {
      throw rootError(error, root);
    }
  }
}

/** Finished by an earlier run after its source, which its owner may not write to: it is finished again at the end of this one. */
async function makeWritable(dir: Dir): Promise<void> {
  dir.writable = true;
  const { mode, uid } = await fstat(dir.fd);
  if ((mode & 0o300n) === 0o300n || Number(uid) !== process.geteuid?.()) return;
  // Where it is refused, what is to be written there will say so.
  await fchmod(dir.fd, Number(mode & 0o7777n) | 0o700).catch(() => undefined);
}

async function openTop(root: string, create: boolean): Promise<number> {
  return open(root, DIRECTORY).catch(async (error: unknown) => {
    if (errno(error) !== 'ENOENT' || !create) throw error;
    const { mkdir: makeAll } = await import('node:fs/promises');
    await makeAll(root, { recursive: true });
    return open(root, DIRECTORY);
  });
}

/** No link on the way is followed: what was planted at the destination does not lead its prefix elsewhere (F112). */
async function openWithin({ jail, segments }: NonNullable<JailOptions['within']>, create: boolean): Promise<number> {
  const dir = await jail.acquire(segments, create, 'open');
  try {
    return await open(dir.at('.'), DIRECTORY);
  } finally {
    await jail.release(dir);
  }
}

/** Nothing can succeed without the root. */
function rootError(error: unknown, root: string): BrigadeError {
  if (error instanceof BrigadeError && error.kind === 'object') return asPremise(error, root);
  const code = isKind(error, 'gone') ? 'ENOENT' : errno(error);
  const known = code === 'ENOENT' ? ['E_NO_ROOT', 'the directory does not exist'] : code === 'ENOTDIR' ? ['E_NO_ROOT', 'it is not a directory'] : code === 'EACCES' ? ['E_ACCES', 'permission denied'] : undefined;
  if (known === undefined) return fsError(error, 'open', root);
  return new BrigadeError({ code: known[0] as string, kind: 'premise', message: known[1] as string, op: 'open', location: root, cause: error });
}

/** What the jail around said of its folder is here said of every object. */
function asPremise(cause: BrigadeError, root: string): BrigadeError {
  const { code, message, op, location = root, hint } = cause;
  return new BrigadeError({ code, kind: 'premise', message, location, cause, ...(op === undefined ? {} : { op }), ...(hint === undefined ? {} : { hint }) });
}
