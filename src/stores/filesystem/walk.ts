/**
 * The tree as one sequence of keys in byte order: a directory sorts as its name with the slash (F049). One list of names per level is
 * held (name-list.ts); files are looked at a window at a time; a start deep in the tree is reached without reading what lies before.
 *
 * On a file system across a network every look is a round trip. So the next windows are looked at and the next directories opened before
 * their turn (turns.ts), as many as fit into a bounded room; what is told, and in which order, is the same as when each had its turn.
 */
import { constants, type BigIntStats, type Dirent } from 'node:fs';
import { BrigadeError, cancelled } from '../../core/errors.ts';
import type { Key } from '../../core/key.ts';
import type { EntryReason, ObjectEntry } from '../../core/object.ts';
import { errno, fsError } from './failures.ts';
import { decodeSegment, encodeSegment, isTemporary, keyOf, OWN_FOLDER, pathOf, rawOf, type NameMode, type Raw } from './names.ts';
import { NameList } from './name-list.ts';
import { closeNow, fstatNow, lookCalls, type FsPath, type LookCalls } from './syscalls.ts';
import { modifiedMs, tokenOf } from './token.ts';
import { Turns, type Opening } from './turns.ts';

/** Names of a directory that are looked at together. */
const WINDOW = 64;
/** Looks on their way. What really runs at once is as many as the process has threads for them (bin/brigade.cjs). */
const WIDTH = 64;
/** What stands ready before its turn, beside two windows of each level. */
const ROOM = { directories: 32, bytes: 8 << 20 };
/** Names between two looks at how much is ready. */
const NAMES = 1024;
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
  /** Default 64; 1: one after the other. */
  readonly width?: number;
  /** Default: those of the system. */
  readonly calls?: LookCalls;
}

/** A directory, from when its name is seen until all below it is told. */
interface Level extends Opening {
  readonly parent: Level | undefined;
  readonly path: FsPath;
  needed: boolean;
  /** Called when its turn comes, where it waits for that. */
  wake: (() => void) | undefined;
  /** Settles when it stands open and its names are read, or cannot. */
  readonly opened: Promise<Opened>;
  /** From when it stands open. */
  place: Place | undefined;
  /** The next names, being looked at. */
  window: Promise<readonly Looked[]> | undefined;
  /** Looked at, and how many of them are told. */
  ready: readonly Looked[];
  told: number;
}

interface Place {
  readonly fd: number;
  readonly base: Raw;
  readonly dev: bigint;
  readonly ino: bigint;
  /** Sort names still to come: decoded, directories with `/`. */
  readonly names: NameList;
  /** Bytes of them that count as ready before their turn. */
  bytes: number;
}

type Opened =
  | { readonly kind: 'open'; readonly entry: ObjectEntry }
  | { readonly kind: 'loop' }
  | { readonly kind: 'error'; readonly error: unknown };

/** A name with what it is. None of these: nothing to say. */
interface Looked {
  readonly raw: Raw;
  readonly entry?: ObjectEntry | undefined;
  readonly level?: Level;
  readonly error?: unknown;
}

export class Walk {
  readonly #options: WalkOptions;
  readonly #calls: LookCalls;
  readonly #root: string;
  readonly #prefix: Raw;
  readonly #after: Raw | undefined;
  readonly #levels: Level[] = [];
  readonly #turns: Turns;
  /** All that stand open. */
  readonly #places = new Set<Place>();
  /** Opened too early: they wait for their turn. */
  readonly #asleep = new Set<Level>();
  #isOver = false;

  constructor(root: string, options: WalkOptions) {
    this.#root = root;
    this.#options = options;
    this.#calls = options.calls ?? lookCalls;
    this.#turns = new Turns(options.width ?? WIDTH, ROOM);
    this.#prefix = rawOf(options.prefix);
    this.#after = options.startAfter === undefined ? undefined : rawOf(options.startAfter);
  }

  /** All entries, a page at a time. `root`: a descriptor of the root, which stays the caller's. */
  async *pages(rootPath: FsPath, pageSize: number): AsyncGenerator<readonly ObjectEntry[]> {
    let page: ObjectEntry[] = [];
    try {
      const root = await this.#enterRoot(rootPath);
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
      this.#rootStillThere(root);
      if (page.length > 0) yield page;
    } finally {
      await this.#end();
    }
  }

  async #enterRoot(path: FsPath): Promise<Place> {
    const level = this.#level(undefined, '', path);
    level.needed = true;
    this.#turns.open([level]);
    const opened = await level.opened;
    if (opened.kind === 'error') throw opened.error;
    this.#levels.push(level);
    return level.place as Place;
  }

  /** Nothing is left open, and nothing that was asked is on its way. */
  async #end(): Promise<void> {
    this.#isOver = true;
    for (const level of this.#asleep) level.wake?.();
    await Promise.all([...this.#asleep].map((level) => level.opened));
    await this.#turns.end();
    for (const place of this.#places) closeNow(place.fd);
    this.#places.clear();
  }

  /** A tree that was deleted under us lists as empty: that must never look like "no objects" (truth 2). */
  #rootStillThere({ fd }: Place): void {
    if (fstatNow(fd).nlink === 0n) throw new BrigadeError({ code: 'E_ROOT_GONE', kind: 'premise', message: 'the directory was removed while it was listed', op: 'list', location: this.#root });
  }

  #listed(entry: ObjectEntry): boolean {
    if (this.#prefix === '' && this.#after === undefined) return true;
    const raw = rawOf(entry.key);
    return raw.startsWith(this.#prefix) && (this.#after === undefined || raw > this.#after);
  }

  /** One step: an entry, or undefined where the step showed nothing, or the end. The root level stays open until the caller is done. */
  async #next(): Promise<ObjectEntry | undefined | 'end'> {
    const level = this.#levels.at(-1) as Level;
    if (level.told === level.ready.length) await this.#refill(level);
    const looked = level.ready[level.told++];
    if (looked !== undefined) return looked.level === undefined ? this.#told(looked) : this.#enter(looked.level);
    if (this.#levels.length === 1) return 'end';
    this.#levels.pop();
    this.#close(level);
    return undefined;
  }

  /** Its turn has come. */
  async #enter(level: Level): Promise<ObjectEntry | undefined> {
    level.needed = true;
    level.wake?.();
    this.#turns.next();
    const opened = await level.opened;
    this.#turns.keep(-1, -(level.place?.bytes ?? 0));
    this.#turns.next();
    if (opened.kind === 'error') return this.#unseen(opened.error, level.raw);
    if (opened.kind === 'loop') return special(level.raw, { state: 'skipped', code: 'symlink_loop', message: 'a symbolic link to a directory above it' });
    this.#levels.push(level);
    return opened.entry;
  }

  #close({ place }: Level): void {
    if (place === undefined || !this.#places.delete(place)) return;
    closeNow(place.fd);
  }

  /** The window that was begun, and behind it the next one is. */
  async #refill(level: Level): Promise<void> {
    const window = level.window ?? this.#look(level);
    if (window !== undefined) level.window = this.#look(level);
    level.ready = window === undefined ? [] : await window;
    level.told = 0;
  }

  /** Looks at the next names of an open directory, and has the directories among them opened; undefined: there are none. */
  #look(level: Level): Promise<readonly Looked[]> | undefined {
    const place = level.place as Place;
    const names = place.names.take(WINDOW);
    if (names.length === 0) return undefined;
    const window = new Array<Looked>(names.length);
    const openings: Level[] = [];
    const files: number[] = [];
    names.forEach((name, at) => {
      const raw = level.raw + name;
      const isDirectory = name.endsWith('/');
      if (isTemporary(isDirectory ? name.slice(0, -1) : name)) window[at] = { raw, entry: reserved(raw) };
      else if (isDirectory) openings.push((window[at] = { raw, level: this.#level(level, raw, this.#child(place, name)) }).level);
      else files.push(at);
    });
    if (openings.length > 0) this.#turns.open(openings);
    return files.length === 0 ? Promise.resolve(window) : this.#lookAll(level, place, names, window, files);
  }

  #lookAll({ raw }: Level, place: Place, names: readonly Raw[], window: Looked[], files: readonly number[]): Promise<readonly Looked[]> {
    return new Promise((resolve) => {
      let [asked, answered] = [0, 0];
      const answer = (at: number, looked: Looked): void => {
        window[at] = looked;
        if (++answered === files.length) resolve(window);
        this.#turns.done();
      };
      const ask = (): boolean => {
        const at = files[asked++] as number;
        void this.#lookAt(place, raw + names[at], names[at] as Raw, (looked) => answer(at, looked));
        return asked < files.length;
      };
      this.#turns.look({ raw: raw + names[files[0] as number], ask });
    });
  }

  async #lookAt(place: Place, raw: Raw, name: Raw, answer: (looked: Looked) => void): Promise<void> {
    const path = this.#child(place, name);
    let looked: Looked;
    try {
      const stats = await this.#calls.lstat(path);
      looked = { raw, entry: stats.isSymbolicLink() ? await this.#link(path, raw) : entryOf(raw, stats) };
    } catch (error) {
      looked = { raw, error };
    }
    answer(looked);
  }

  #child({ base }: Place, name: Raw): FsPath {
    return pathOf(`${base}/${this.#onDisk(name.endsWith('/') ? name.slice(0, -1) : name)}`);
  }

  #onDisk(name: Raw): Raw {
    return this.#options.names === 'escaped' ? encodeSegment(name) : name;
  }

  #told({ raw, entry, error }: Looked): ObjectEntry | undefined {
    return error === undefined ? entry : this.#unseen(error, raw);
  }

  async #link(path: FsPath, raw: Raw): Promise<ObjectEntry> {
    if (this.#options.links === 'skip') return special(raw, { state: 'skipped', code: 'symlink', message: 'a symbolic link' });
    try {
      const target = await this.#calls.stat(path);
      return target.isFile() ? objectOf(raw, target) : special(raw, { state: 'skipped', code: 'special_file', message: kindOf(target) });
    } catch (error) {
      if (errno(error) === 'ENOENT') return special(raw, { state: 'skipped', code: 'dangling_symlink', message: 'a symbolic link to nothing' });
      if (errno(error) === 'ELOOP') return special(raw, { state: 'skipped', code: 'symlink_loop', message: 'a symbolic link to itself' });
      throw error;
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

  #level(parent: Level | undefined, raw: Raw, path: FsPath): Level {
    const { promise, resolve } = Promise.withResolvers<Opened>();
    const level: Level = {
      parent, raw, path, needed: false, wake: undefined, opened: promise, place: undefined, window: undefined, ready: [], told: 0,
      ask: () => {
        void this.#open(level).then(resolve);
        return false;
      },
    };
    return level;
  }

  async #open(level: Level): Promise<Opened> {
    this.#turns.keep(1, 0);
    try {
      const opened = await this.#read(level);
      if (opened.kind === 'open' && !this.#isOver) level.window = this.#look(level);
      return opened;
    } catch (error) {
      return { kind: 'error', error };
    } finally {
      this.#turns.done();
    }
  }

  /** Opens a directory and reads its names. `loop`: it is one of those it stands in. */
  async #read(level: Level): Promise<Opened> {
    const fd = await this.#descriptor(level);
    try {
      const stats = fstatNow(fd);
      if (isAbove(level.parent, stats)) {
        closeNow(fd);
        return { kind: 'loop' };
      }
      const base = this.#options.procfs ? `/proc/self/fd/${fd}` : Buffer.from(level.path).toString('latin1');
      const place: Place = { fd, base, dev: stats.dev, ino: stats.ino, names: new NameList(), bytes: 0 };
      const empty = await this.#names(level, place);
      this.#places.add(place);
      level.place = place;
      return { kind: 'open', entry: { key: keyOf(level.raw), size: 0, token: tokenOf(stats), modifiedMs: modifiedMs(stats), kind: 'directory', empty } };
    } catch (error) {
      closeNow(fd);
      throw error;
    }
  }

  async #descriptor(level: Level): Promise<number> {
    const follow = level.parent === undefined || this.#options.links === 'follow';
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | (follow ? 0 : constants.O_NOFOLLOW);
    try {
      return await this.#calls.open(level.path, flags);
    } catch (error) {
      // Others may need what is left; when its turn comes, some of them may be done.
      if (level.needed || !['EMFILE', 'ENFILE'].includes(errno(error) ?? '')) throw error;
      await this.#turnOf(level);
      return await this.#calls.open(level.path, flags);
    }
  }

  /** Until the walk has come to this directory. */
  async #turnOf(level: Level): Promise<void> {
    if (!level.needed && !this.#isOver) {
      this.#asleep.add(level);
      const turn = new Promise<void>((resolve) => { level.wake = resolve; });
      this.#turns.done();
      await turn;
      this.#turns.resume();
      this.#asleep.delete(level);
    }
    if (this.#isOver) throw cancelled('list');
  }

  /** Reads the sort names that can matter for prefix and startAfter. True: the directory is empty. */
  async #names(level: Level, place: Place): Promise<boolean> {
    const { raw } = level;
    let seen = 0;
    for await (const found of await this.#calls.opendir(pathOf(place.base))) {
      if (isTemporary(found.name)) this.#options.onTemporary?.(raw, found.name);
      if ((isTemporary(found.name) && this.#options.temporaries === 'hide') || (raw === '' && found.name === OWN_FOLDER)) continue;
      const name = this.#options.names === 'escaped' ? decodeSegment(found.name) : found.name;
      const directory = isDirectory(found) ?? await this.#leadsToDirectory(pathOf(`${place.base}/${found.name}`), found);
      const sortName = directory ? `${name}/` : name;
      if (this.#matters(raw + sortName)) place.names.push(sortName);
      if (++seen % NAMES === 0) await this.#keepWithin(level, place);
    }
    place.names.sort();
    this.#count(place);
    return seen === 0;
  }

  /** Where much is ready already, the rest of the names waits for its turn. */
  async #keepWithin(level: Level, place: Place): Promise<void> {
    this.#count(place);
    if (!level.needed && this.#turns.namesAreMany) await this.#turnOf(level);
  }

  #count(place: Place): void {
    const { bytes } = place.names;
    this.#turns.keep(0, bytes - place.bytes);
    place.bytes = bytes;
  }

  /** Some file systems do not tell the type with the name; a link is a directory when it is followed to one. */
  async #leadsToDirectory(path: FsPath, found: Dirent): Promise<boolean> {
    const follow = this.#options.links === 'follow';
    if (found.isSymbolicLink() && !follow) return false;
    // An error here shows again when the entry's turn comes, and is told then.
    const stats = await (follow ? this.#calls.stat(path) : this.#calls.lstat(path)).catch(() => undefined);
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

function entryOf(raw: Raw, stats: BigIntStats): ObjectEntry {
  if (stats.isFile()) return objectOf(raw, stats);
  if (stats.isDirectory()) return special(raw, { state: 'failed', code: 'E_SRC_CHANGED', message: 'became a directory while it was listed', hint: CHANGED, subtree: true });
  return special(raw, { state: 'skipped', code: 'special_file', message: kindOf(stats) });
}

/** Whether it is one of those that this one stands in. */
function isAbove(level: Level | undefined, { dev, ino }: BigIntStats): boolean {
  for (let above = level; above !== undefined; above = above.parent) if (above.place?.dev === dev && above.place.ino === ino) return true;
  return false;
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
