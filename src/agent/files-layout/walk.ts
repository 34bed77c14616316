/**
 * A tree as one sequence of keys in byte order: a directory sorts as its name with the slash, so `a-b` comes before `a/b`. It only goes
 * forward, can skip, and can be laid aside between two pages of a listing: directories are read once and not for every page again.
 * Links are not followed and neither they nor pipes, sockets and devices are told; a name that is not UTF-8 cannot be a key.
 */
import type { BigIntStats, Dirent } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { CANARY_PREFIX } from '../../core/canary.ts';
import { BrigadeError } from '../../core/errors.ts';
import { isUtf8Key } from '../../core/key.ts';
import { errno } from '../../stores/filesystem/failures.ts';
import type { Dir, Jail } from '../../stores/filesystem/jail.ts';
import { isTemporary, keyOf, OWN_FOLDER, rawOf } from '../../stores/filesystem/names.ts';
import type { Raw } from '../../stores/filesystem/names.ts';
import { fstat } from '../../stores/filesystem/syscalls.ts';
import { SortedNames } from './sorted-names.ts';
import type { SpillOptions } from './sorted-names.ts';

/** Files looked at together. */
const WINDOW = 64;
const LONGEST_KEY = 1024;

export interface WalkOptions {
  readonly jail: Jail;
  /** The directory whose keys these are, from the jail's root. */
  readonly bucket: readonly Raw[];
  readonly prefix: string;
  /** `/`: a directory below the prefix is told as one stand-in and not entered. */
  readonly delimiter: string;
  readonly spill: SpillOptions;
  /** What a directory that may not be read does to the listing. */
  readonly unreadable: 'refuse' | 'skip';
}

export interface Step {
  readonly key: string;
  readonly raw: Raw;
  /** Absent: a stand-in for everything below a common prefix. */
  readonly stats: BigIntStats | undefined;
  /** A directory that holds nothing. */
  readonly empty: boolean;
}

interface Level {
  readonly dir: Dir;
  readonly segments: readonly Raw[];
  /** Raw key so far, ending with `/`; empty at the top. */
  readonly raw: Raw;
  readonly names: SortedNames;
  readonly stats: BigIntStats;
  readonly empty: boolean;
  /** Looked at already, last first. */
  ready: { readonly name: Raw; readonly stats: BigIntStats | undefined }[];
  /** The directory itself is still to be told. */
  untold: boolean;
}

export class Walk {
  readonly #options: WalkOptions;
  readonly #prefix: Raw;
  readonly #levels: Level[] = [];
  #from: Raw;
  #last: Step | undefined;
  /** Everything below this was told or skipped. */
  #passed: Raw | undefined;

  constructor(options: WalkOptions, from: Raw) {
    this.#options = options;
    this.#prefix = rawOf(options.prefix);
    this.#from = from;
  }

  async open(): Promise<void> {
    await this.#enter([], '');
  }

  /** The next key in order that is not below `to`; undefined at the end. */
  async next(to?: Raw): Promise<Step | undefined> {
    this.#passed = this.#last?.raw ?? this.#passed;
    if (to !== undefined && (this.#last === undefined || to > this.#last.raw)) await this.#skip(to);
    this.#last = await this.#find();
    return this.#last;
  }

  /** Whether it can go on at `from`: the last key told may be told again, those before it not. */
  covers(from: Raw): boolean {
    return this.#last !== undefined && (this.#passed === undefined || from > this.#passed);
  }

  /** Takes back the last key and goes to `from`. False: a directory changed meanwhile, and the walk is of no use. */
  async resume(from: Raw): Promise<boolean> {
    for (const { dir, stats } of this.#levels) {
      const now = await fstat(dir.fd);
      if (now.mtimeNs !== stats.mtimeNs || now.ctimeNs !== stats.ctimeNs) return false;
    }
    const [level, last] = [this.#levels.at(-1), this.#last];
    if (level === undefined || last === undefined) return false;
    level.ready = [];
    if (last.raw === level.raw) level.untold = true;
    else level.names.seek(last.raw.slice(level.raw.length));
    this.#last = undefined;
    await this.#skip(from);
    return true;
  }

  async close(): Promise<void> {
    for (const level of this.#levels.splice(0)) await this.#leave(level);
  }

  async #leave({ dir, names }: Level): Promise<void> {
    names.close();
    await this.#options.jail.release(dir);
  }

  async #skip(to: Raw): Promise<void> {
    if (to <= this.#from) return;
    this.#from = to;
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      if (to.startsWith(level.raw) || to < level.raw) break;
      this.#levels.pop();
      await this.#leave(level);
    }
    const level = this.#levels.at(-1);
    if (level?.raw === undefined || !to.startsWith(level.raw)) return;
    level.ready = [];
    seekIn(level.names, to.slice(level.raw.length));
  }

  async #find(): Promise<Step | undefined> {
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      const step = level.untold ? this.#itself(level) : await this.#child(level);
      if (step !== undefined) return step;
    }
    return undefined;
  }

  #itself(level: Level): Step | undefined {
    level.untold = false;
    return this.#told(level.raw) ? { key: keyOf(level.raw), raw: level.raw, stats: level.stats, empty: level.empty } : undefined;
  }

  async #child(level: Level): Promise<Step | undefined> {
    if (level.ready.length === 0) await this.#look(level);
    const found = level.ready.pop();
    if (found === undefined) {
      this.#levels.pop();
      await this.#leave(level);
      return undefined;
    }
    const raw = level.raw + found.name;
    if (found.name.endsWith('/')) return this.#directory(level, found.name, raw);
    if (found.stats?.isFile() !== true || !this.#told(raw)) return undefined;
    return { key: keyOf(raw), raw, stats: found.stats, empty: false };
  }

  async #directory(level: Level, name: Raw, raw: Raw): Promise<Step | undefined> {
    const rolledUp = this.#options.delimiter === '/' && raw.length > this.#prefix.length && raw.startsWith(this.#prefix) && raw >= this.#from;
    if (rolledUp) return { key: keyOf(raw), raw, stats: undefined, empty: false };
    await this.#enter([...level.segments, name.slice(0, -1)], raw);
    return undefined;
  }

  /** Whether this very key is wanted. */
  #told(raw: Raw): boolean {
    return raw >= this.#from && raw.startsWith(this.#prefix);
  }

  /** Whether it, or anything below it, can be wanted. */
  #matters(raw: Raw): boolean {
    const directory = raw.endsWith('/');
    if (!raw.startsWith(this.#prefix) && !(directory && this.#prefix.startsWith(raw))) return false;
    if (raw < this.#from && !(directory && this.#from.startsWith(raw))) return false;
    return raw.length <= LONGEST_KEY && isUtf8Key(keyOf(raw));
  }

  async #look(level: Level): Promise<void> {
    const names = level.names.take(WINDOW).reverse();
    level.ready = await Promise.all(names.map(async (name) => ({ name, stats: name.endsWith('/') ? undefined : await level.dir.present(name) })));
  }

  /** Reads a directory. One that is gone, or a link by now, is passed over. */
  async #enter(segments: readonly Raw[], raw: Raw): Promise<void> {
    const { jail, bucket, spill } = this.#options;
    const names = new SortedNames(spill);
    let dir: Dir | undefined;
    try {
      dir = await jail.acquire([...bucket, ...segments], false, 'list');
      // Looked at before it is read: what changes meanwhile changes the times, too.
      const stats = await fstat(dir.fd);
      const empty = await this.#read(dir, raw, names);
      this.#levels.push({ dir, segments, raw, names, stats, empty, ready: [], untold: raw !== '' });
    } catch (error) {
      names.close();
      if (dir !== undefined) await jail.release(dir);
      if (raw === '' || !this.#passes(error)) throw error;
    }
  }

  #passes(error: unknown): boolean {
    const code = error instanceof BrigadeError ? error.code : errno(error);
    if (code === 'E_NOT_FOUND' || code === 'E_LINK_IN_PATH' || code === 'ENOENT' || code === 'ENOTDIR') return true;
    return this.#options.unreadable === 'skip' && (code === 'E_ACCES' || code === 'EACCES' || code === 'EPERM');
  }

  async #read(dir: Dir, raw: Raw, names: SortedNames): Promise<boolean> {
    let empty = true;
    for await (const found of await opendir(dir.at('.'), { encoding: 'latin1', bufferSize: 1024 })) {
      if (isTemporary(found.name) || (raw === '' && found.name === OWN_FOLDER && !this.#prefix.startsWith(CANARY_PREFIX))) continue;
      empty = false;
      const name = await isDirectory(dir, found) ? `${found.name}/` : found.name;
      if (this.#matters(raw + name)) names.push(name);
    }
    names.sort();
    return empty;
  }
}

/** To the name that is `rest`, or holds it. */
function seekIn(names: SortedNames, rest: Raw): void {
  const slash = rest.indexOf('/');
  names.seek(slash < 0 ? rest : rest.slice(0, slash + 1));
}

/** Some file systems do not tell the type with the name. */
async function isDirectory(dir: Dir, found: Dirent): Promise<boolean> {
  if (found.isDirectory()) return true;
  if (found.isFile() || found.isSymbolicLink() || found.isFIFO() || found.isSocket() || found.isBlockDevice() || found.isCharacterDevice()) return false;
  return (await dir.present(found.name))?.isDirectory() === true;
}
