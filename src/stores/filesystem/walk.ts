/**
 * The tree as one sequence of keys in byte order: a directory sorts as its name with the slash (F049). One list of names per level is
 * held (name-list.ts); files are looked at a window at a time; a start deep in the tree is reached without reading what lies before.
 */
import { constants, type BigIntStats, type Dirent } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { BrigadeError, cancelled } from '../../core/errors.ts';
import type { Key } from '../../core/key.ts';
import type { EntryReason, ObjectEntry } from '../../core/object.ts';
import { errno, fsError } from './failures.ts';
import { decodeSegment, encodeSegment, isTemporary, keyOf, OWN_FOLDER, pathOf, rawOf, type NameMode, type Raw } from './names.ts';
import { NameList } from './name-list.ts';
import { close, fstat, lstat, open, stat, type FsPath } from './syscalls.ts';
import { modifiedMs, tokenOf } from './token.ts';

const WINDOW = 64;
const CHANGED = 'run again when its writers are quiet: the next run lists it again';

export interface WalkOptions {
  readonly names: NameMode;
  readonly links: 'skip' | 'follow';
  readonly temporaries: 'hide' | 'tell';
  /** Whether the engine wants to hear of this key at all; what it does not want is not even looked at (F053). Directories end with `/`. */
  readonly wanted?: (key: Key, isDirectory: boolean) => boolean;
  readonly prefix: Key;
  readonly startAfter: Key | undefined;
  readonly signal: AbortSignal | undefined;
  /** Names children through the open directory; absent: through its path. */
  readonly procfs: boolean;
  /** Hears of names kept for unfinished files, which are never listed as objects. */
  readonly onTemporary?: (directory: Raw, name: Raw) => void;
}

/** One level: an open directory and what is still to come of it. */
interface Level {
  readonly fd: number;
  readonly base: Raw;
  /** Raw key so far, ending with `/`, or empty at the root. */
  readonly raw: Raw;
  /** Sort names still to come: decoded, directories with `/`. */
  readonly names: NameList;
  /** Looked at already, last first. */
  readonly ready: Looked[];
  readonly dev: bigint;
  readonly ino: bigint;
}

interface Looked {
  readonly name: Raw;
  /** Absent: a directory, looked at when its turn comes. */
  readonly stats?: BigIntStats;
  readonly error?: unknown;
}

export class Walk {
  readonly #options: WalkOptions;
  readonly #root: string;
  readonly #prefix: Raw;
  readonly #after: Raw | undefined;
  readonly #levels: Level[] = [];

  constructor(root: string, options: WalkOptions) {
    this.#root = root;
    this.#options = options;
    this.#prefix = rawOf(options.prefix);
    this.#after = options.startAfter === undefined ? undefined : rawOf(options.startAfter);
  }

  /** All entries, a page at a time. `root`: a descriptor of the root, which stays the caller's. */
  async *pages(rootPath: FsPath, pageSize: number): AsyncGenerator<readonly ObjectEntry[]> {
    let page: ObjectEntry[] = [];
    try {
      await this.#enter(rootPath, '', constants.O_DIRECTORY);
      const root = this.#levels[0] as Level;
      for (;;) {
        if (this.#options.signal?.aborted === true) throw cancelled('list');
        const entry = await this.#next();
        if (entry === 'end') break;
        if (entry === undefined || !this.#listed(entry)) continue;
        page.push(entry);
        if (page.length < pageSize) continue;
        yield page;
        page = [];
      }
      await this.#rootStillThere(root);
      if (page.length > 0) yield page;
    } finally {
      for (const level of this.#levels.splice(0)) await close(level.fd);
    }
  }

  /** A tree that was deleted under us lists as empty: that must never look like "no objects" (truth 2). */
  async #rootStillThere(root: Level): Promise<void> {
    if ((await fstat(root.fd)).nlink === 0n) throw new BrigadeError({ code: 'E_ROOT_GONE', kind: 'premise', message: 'the directory was removed while it was listed', op: 'list', location: this.#root });
  }

  #listed(entry: ObjectEntry): boolean {
    const raw = rawOf(entry.key);
    return raw.startsWith(this.#prefix) && (this.#after === undefined || raw > this.#after);
  }

  /** One step: an entry, or undefined where the step showed nothing, or the end. The root level stays open until the caller is done. */
  async #next(): Promise<ObjectEntry | undefined | 'end'> {
    const level = this.#levels.at(-1) as Level;
    if (level.ready.length === 0) await this.#look(level);
    const looked = level.ready.pop();
    if (looked === undefined) {
      if (this.#levels.length === 1) return 'end';
      this.#levels.pop();
      await close(level.fd);
      return undefined;
    }
    return this.#entry(level, looked);
  }

  async #look(level: Level): Promise<void> {
    const names = level.names.take(WINDOW).reverse();
    level.ready.push(...await Promise.all(names.map((name) => this.#lookAt(level, name))));
  }

  async #lookAt(level: Level, name: Raw): Promise<Looked> {
    if (name.endsWith('/')) return { name };
    try {
      return { name, stats: await lstat(this.#child(level, name)) };
    } catch (error) {
      return { name, error };
    }
  }

  #child(level: Level, name: Raw): FsPath {
    return pathOf(`${level.base}/${this.#onDisk(name.endsWith('/') ? name.slice(0, -1) : name)}`);
  }

  #onDisk(name: Raw): Raw {
    return this.#options.names === 'escaped' ? encodeSegment(name) : name;
  }

  async #entry(level: Level, { name, stats, error }: Looked): Promise<ObjectEntry | undefined> {
    const raw = level.raw + name;
    if (isTemporary(name.endsWith('/') ? name.slice(0, -1) : name)) return reserved(raw);
    if (name.endsWith('/')) return this.#directory(level, name);
    if (error !== undefined) return this.#unseen(error, raw);
    if (stats === undefined) return undefined;
    if (stats.isFile()) return objectOf(raw, stats);
    if (stats.isSymbolicLink()) return this.#link(level, name);
    if (stats.isDirectory()) return special(raw, { state: 'failed', code: 'E_SRC_CHANGED', message: 'became a directory while it was listed', hint: CHANGED, subtree: true });
    return special(raw, { state: 'skipped', code: 'special_file', message: kindOf(stats) });
  }

  async #link(level: Level, name: Raw): Promise<ObjectEntry | undefined> {
    const raw = level.raw + name;
    if (this.#options.links === 'skip') return special(raw, { state: 'skipped', code: 'symlink', message: 'a symbolic link' });
    try {
      const target = await stat(this.#child(level, name));
      return target.isFile() ? objectOf(raw, target) : special(raw, { state: 'skipped', code: 'special_file', message: kindOf(target) });
    } catch (error) {
      if (errno(error) === 'ENOENT') return special(raw, { state: 'skipped', code: 'dangling_symlink', message: 'a symbolic link to nothing' });
      if (errno(error) === 'ELOOP') return special(raw, { state: 'skipped', code: 'symlink_loop', message: 'a symbolic link to itself' });
      return this.#unseen(error, raw);
    }
  }

  async #directory(level: Level, name: Raw): Promise<ObjectEntry | undefined> {
    const raw = level.raw + name;
    const flags = this.#options.links === 'follow' ? constants.O_DIRECTORY : constants.O_DIRECTORY | constants.O_NOFOLLOW;
    try {
      const stats = await this.#enter(this.#child(level, name), raw, flags);
      if (stats === 'loop') return special(raw, { state: 'skipped', code: 'symlink_loop', message: 'a symbolic link to a directory above it' });
      return { key: keyOf(raw), size: 0, token: tokenOf(stats), modifiedMs: modifiedMs(stats), kind: 'directory', empty: stats.empty };
    } catch (error) {
      return this.#unseen(error, raw);
    }
  }

  /** Gone meanwhile: nothing to say. Denied: said, with its subtree. Anything else ends the listing: it cannot be proven good. */
  #unseen(error: unknown, raw: Raw): ObjectEntry | undefined {
    const code = errno(error);
    const subtree = raw.endsWith('/') ? { subtree: true } : {};
    if (code === 'ENOENT') return undefined;
    if (code === 'EACCES' || code === 'EPERM') return special(raw, { state: 'failed', code: 'E_ACCES', message: 'permission denied', hint: 'give the reader access, or exclude it (select.exclude)', ...subtree });
    if (code === 'ENOTDIR' || code === 'ELOOP') return special(raw, { state: 'failed', code: 'E_SRC_CHANGED', message: 'was replaced while it was listed', hint: CHANGED, ...subtree });
    throw fsError(error, 'list', this.#root);
  }

  /** Opens a directory and reads its names. `loop`: it is one of those we are in. */
  async #enter(path: FsPath, raw: Raw, flags: number): Promise<'loop' | (BigIntStats & { empty: boolean })> {
    const fd = await open(path, constants.O_RDONLY | flags);
    try {
      const stats = await fstat(fd);
      if (this.#levels.some((level) => level.dev === stats.dev && level.ino === stats.ino)) {
        await close(fd);
        return 'loop';
      }
      const base = this.#options.procfs ? `/proc/self/fd/${fd}` : Buffer.from(path).toString('latin1');
      const { names, empty } = await this.#names(base, raw);
      this.#levels.push({ fd, base, raw, names, ready: [], dev: stats.dev, ino: stats.ino });
      return Object.assign(stats, { empty });
    } catch (error) {
      await close(fd);
      throw error;
    }
  }

  /** Sort names of a directory that can matter for prefix and startAfter. */
  async #names(base: Raw, raw: Raw): Promise<{ readonly names: NameList; readonly empty: boolean }> {
    const names = new NameList();
    let empty = true;
    for await (const found of await opendir(pathOf(base), { encoding: 'latin1', bufferSize: 1024 })) {
      if (isTemporary(found.name)) this.#options.onTemporary?.(raw, found.name);
      if ((isTemporary(found.name) && this.#options.temporaries === 'hide') || (raw === '' && found.name === OWN_FOLDER)) continue;
      empty = false;
      const name = this.#options.names === 'escaped' ? decodeSegment(found.name) : found.name;
      const directory = isDirectory(found) ?? await this.#leadsToDirectory(pathOf(`${base}/${found.name}`), found);
      const sortName = directory ? `${name}/` : name;
      if (this.#matters(raw + sortName)) names.push(sortName);
    }
    names.sort();
    return { names, empty };
  }

  /** Some file systems do not tell the type with the name; a link is a directory when it is followed to one. */
  async #leadsToDirectory(path: FsPath, found: Dirent): Promise<boolean> {
    const follow = this.#options.links === 'follow';
    if (found.isSymbolicLink() && !follow) return false;
    // An error here shows again when the entry's turn comes, and is told then.
    const stats = await (follow ? stat(path) : lstat(path)).catch(() => undefined);
    return stats?.isDirectory() === true;
  }

  /** Whether this key, or anything below it, can be listed. */
  #matters(raw: Raw): boolean {
    const isDirectory = raw.endsWith('/');
    if (!raw.startsWith(this.#prefix) && !(isDirectory && this.#prefix.startsWith(raw))) return false;
    if (this.#after !== undefined && raw <= this.#after && !(isDirectory && this.#after.startsWith(raw))) return false;
    return this.#options.wanted?.(keyOf(raw), isDirectory) ?? true;
  }
}

/** Undefined where the name alone does not tell. */
function isDirectory(found: Dirent): boolean | undefined {
  if (found.isDirectory()) return true;
  return found.isFile() || found.isFIFO() || found.isSocket() || found.isBlockDevice() || found.isCharacterDevice() ? false : undefined;
}

function objectOf(raw: Raw, stats: BigIntStats): ObjectEntry {
  return { key: keyOf(raw), size: Number(stats.size), token: tokenOf(stats), modifiedMs: modifiedMs(stats), kind: 'object' };
}

function special(raw: Raw, reason: EntryReason): ObjectEntry {
  return { key: keyOf(raw), size: 0, token: '', kind: 'special', reason };
}

/** Somebody's file or a leftover of ours, nobody can tell: it is not copied, and not passed over in silence (I1). */
function reserved(raw: Raw): ObjectEntry {
  const subtree = raw.endsWith('/') ? { subtree: true } : {};
  return special(raw, { state: 'skipped', code: 'reserved_name', message: 'the name is one of those kept for unfinished files', ...subtree });
}

function kindOf(stats: BigIntStats): string {
  if (stats.isFIFO()) return 'a named pipe';
  if (stats.isSocket()) return 'a socket';
  return stats.isBlockDevice() || stats.isCharacterDevice() ? 'a device' : 'not a regular file';
}
