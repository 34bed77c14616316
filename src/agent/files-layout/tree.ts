/** The served tree: where a key stands, what stands there, and its bytes. Every directory is opened from its parent, links never followed. */
import { constants, type BigIntStats } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { isCanary } from '../../core/canary.ts';
import { errno } from '../../stores/filesystem/failures.ts';
import type { Dir, Jail } from '../../stores/filesystem/jail.ts';
import { isRefusal, isTemporary, OWN_FOLDER, placeOf, type Place, type Raw, type Refusal } from '../../stores/filesystem/names.ts';
import { closeNow, fstat, fstatNow, lstat, lstatNow, open, rmdir } from '../../stores/filesystem/syscalls.ts';
import { sameVersion } from '../../stores/filesystem/token.ts';
import { Direct } from '../bodies/direct.ts';
import { isSparse, readRange } from '../bodies/read.ts';
import { s3Error } from '../errors.ts';
import type { Body } from '../layout.ts';
import { isAbsence, keyRefused, refusalOf } from './refusals.ts';

/** Bytes that readRange takes in one call, unless the file is cut short meanwhile. */
const ONE_PIECE = 64 << 10;
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

export interface Found {
  readonly stats: BigIntStats;
  /** Of a directory: nothing in it but what is never listed. */
  readonly empty: boolean;
}

export class Tree {
  readonly jail: Jail;
  readonly #direct: Direct;
  readonly #bucket: (name: string) => readonly Raw[];
  readonly #rootBytes: number;

  /** `bucket`: the directory of a bucket, from the jail's root. */
  constructor(jail: Jail, root: string, bucket: (name: string) => readonly Raw[]) {
    this.jail = jail;
    this.#direct = new Direct(jail);
    this.#bucket = bucket;
    this.#rootBytes = Buffer.byteLength(root);
  }

  bucketSegments(bucket: string): readonly Raw[] {
    return this.#bucket(bucket);
  }

  /** Where the key stands. Throws KeyTooLongError, InvalidArgument. */
  place(bucket: string, key: string): Place {
    const found = this.#locate(bucket, key);
    if (isRefusal(found)) throw keyRefused(key, found);
    return found;
  }

  /** As place(); undefined for a key that cannot stand here, and so does not. */
  lookup(bucket: string, key: string): Place | undefined {
    const found = this.#locate(bucket, key);
    return isRefusal(found) ? undefined : found;
  }

  /** The file that the key names, where that can be told on the spot; undefined: find() will tell. */
  findNow(place: Place): Found | undefined {
    if (place.directory) return undefined;
    const stats = this.#direct.try(place.segments.slice(0, -1), (dir) => lstatNow(dir.at(place.segments.at(-1) as Raw)));
    return stats?.isFile() === true ? { stats, empty: false } : undefined;
  }

  /** The file or directory that the key names, or undefined. */
  async find(place: Place, key: string): Promise<Found | undefined> {
    try {
      return place.directory ? await this.#findDirectory(place.segments) : await this.#findFile(place.segments);
    } catch (error) {
      if (isAbsence(error)) return undefined;
      throw refusalOf(error, key);
    }
  }

  /** Holds the directory that the key's file is in. */
  acquireParent(place: Place, create: boolean): Promise<Dir> {
    return this.jail.acquire(place.segments.slice(0, -1), create, 'write');
  }

  body(place: Place, stats: BigIntStats): Body {
    const read = (start: number, end: number, lent = false): AsyncIterable<Buffer> | Iterable<Buffer> => this.#readNow(place, stats, [start, end]) ?? this.#read(place, stats, [start, end], lent);
    return { size: Number(stats.size), read, isSparse: () => isSparse(stats), discard: () => undefined };
  }

  /** Removes the directories above the key that hold nothing any more, up to one that is `kept`. */
  async prune(bucket: string, place: Place, kept: (key: string, stats: BigIntStats) => boolean): Promise<void> {
    const top = this.#bucket(bucket).length;
    for (let segments = place.segments.slice(0, -1); segments.length > top; segments = segments.slice(0, -1)) {
      const key = `${Buffer.from(segments.slice(top).join('/'), 'latin1').toString()}/`;
      const found = await this.find({ segments, directory: true }, key);
      if (found === undefined || !found.empty || kept(key, found.stats) || !(await this.removeDirectory(segments))) return;
    }
  }

  /** False: something is in it, or it is not there any more. */
  async removeDirectory(segments: readonly Raw[]): Promise<boolean> {
    const dir = await this.jail.acquire(segments.slice(0, -1), false, 'remove').catch((error: unknown) => {
      if (isAbsence(error)) return undefined; // what it stood in was moved away meanwhile
      throw error;
    });
    if (dir === undefined) return false;
    try {
      await rmdir(dir.at(segments.at(-1) as Raw));
      await dir.sync();
      return true;
    } catch (error) {
      if (['ENOTEMPTY', 'EEXIST', 'ENOENT', 'EBUSY', 'ENOTDIR'].includes(errno(error) ?? '')) return false;
      throw error;
    } finally {
      await this.jail.release(dir);
    }
  }

  #locate(bucket: string, key: string): Place | Refusal {
    const above = this.#bucket(bucket);
    // Our own folder is nobody else's, and the canaries in it are what it is for.
    const own = isCanary(key) ? [OWN_FOLDER] : [];
    const rest = own.length === 0 ? key : key.slice(OWN_FOLDER.length + 1);
    const found = placeOf(rest, 'verbatim', [...above, ...own].reduce((sum, name) => sum + name.length + 1, this.#rootBytes));
    return isRefusal(found) ? found : { segments: [...above, ...own, ...found.segments], directory: found.directory };
  }

  async #findFile(segments: readonly Raw[]): Promise<Found | undefined> {
    const dir = await this.jail.acquire(segments.slice(0, -1), false, 'head');
    try {
      const stats = await lstat(dir.at(segments.at(-1) as Raw));
      return stats.isFile() ? { stats, empty: false } : undefined;
    } finally {
      await this.jail.release(dir);
    }
  }

  async #findDirectory(segments: readonly Raw[]): Promise<Found> {
    const dir = await this.jail.acquire(segments, false, 'head');
    try {
      return { stats: await fstat(dir.fd), empty: await isEmpty(dir) };
    } finally {
      await this.jail.release(dir);
    }
  }

  #readNow(place: Place, stats: BigIntStats, range: readonly [number, number]): [Buffer] | undefined {
    if (place.directory) return undefined;
    return this.#direct.read(place.segments.slice(0, -1), place.segments.at(-1) as Raw, READ, range, (fd) => sameVersion(fstatNow(fd), stats));
  }

  /** The last piece is given out only when the file is still the one that was looked at: a torn read never looks whole. */
  async *#read(place: Place, stats: BigIntStats, [start, end]: readonly [number, number], lent: boolean): AsyncGenerator<Buffer> {
    if (place.directory || start >= end) return;
    const fd = await this.#open(place);
    try {
      // What is read in one piece is looked at once, afterwards.
      const brief = end - start <= ONE_PIECE;
      if (!brief && !sameVersion(fstatNow(fd), stats)) throw changed();
      let at = start;
      for await (const piece of readRange(fd, start, end, lent)) {
        at += piece.length;
        if (at === end && brief && !sameVersion(fstatNow(fd), stats)) throw changed();
        if (at === end && !brief) sameBytes(await fstat(fd), stats);
        yield piece;
      }
    } finally {
      closeNow(fd);
    }
  }

  async #open(place: Place): Promise<number> {
    let dir: Dir | undefined;
    try {
      dir = await this.acquireParent(place, false);
      return await open(dir.at(place.segments.at(-1) as Raw), READ);
    } catch (error) {
      throw isAbsence(error) ? s3Error('NoSuchKey') : refusalOf(error, '');
    } finally {
      if (dir !== undefined) await this.jail.release(dir);
    }
  }
}

/** The client tries again and gets the new file. */
const changed = (): Error => s3Error('OperationAborted', { message: 'The file was replaced or changed by another program while it was read. Try again.' });

/** A rename or a new link changes the ctime, but no byte. */
function sameBytes(now: BigIntStats, stats: BigIntStats): void {
  if (now.size !== stats.size || now.mtimeNs !== stats.mtimeNs) throw changed();
}

async function isEmpty(dir: Dir): Promise<boolean> {
  for await (const { name } of await opendir(dir.at('.'), { encoding: 'latin1' })) if (!isTemporary(name) && name !== OWN_FOLDER) return false;
  return true;
}

