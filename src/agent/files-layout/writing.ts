/**
 * From bytes in the staging folder to a file in the tree, under guard:
 * 1. the bytes are on disk; 2. a record of them is committed, without the ctime; 3. the file gets its name, the directory is synced;
 * 4. the record is completed. Killed before 3, the old file stands there and the new record matches nothing; killed after, the new file
 * stands there whole and its record speaks for it.
 */
import { constants, type BigIntStats } from 'node:fs';
import { NO_LINKS } from '../../stores/filesystem/commit.ts';
import { absent, errno } from '../../stores/filesystem/failures.ts';
import type { Dir } from '../../stores/filesystem/jail.ts';
import { temporaryName, type Place, type Raw } from '../../stores/filesystem/names.ts';
import { close, fstat, fsync, futimes, link, open, rename, unlink } from '../../stores/filesystem/syscalls.ts';
import type { FolderBody } from '../bodies/folder.ts';
import { readRange } from '../bodies/read.ts';
import { FileWriter } from '../bodies/write.ts';
import type { Guard, ObjectVersion } from '../layout.ts';
import { isDirectory, isSpecial } from './refusals.ts';
import type { FilesRooms } from './rooms.ts';

const EDIT = constants.O_RDWR | constants.O_NOFOLLOW;
const CREATE = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR | constants.O_NOFOLLOW;
/** A directory that is removed, or a file that appears, each time just when it is our turn. */
const MOST_TRIES = 100;

export interface Writing {
  readonly bucket: string;
  readonly place: Place;
  readonly version: ObjectVersion;
  readonly guard: Guard;
  readonly upload: string | undefined;
  /** What a client would see at the key now. */
  readonly standing: (stats: BigIntStats) => ObjectVersion;
}

/** A file that is to get a name: in the staging folder, or beside its target where that is on another file system. */
interface Staged {
  readonly dir: Dir;
  readonly name: Raw;
}

const tryAgain = Symbol('try again');
type Outcome = BigIntStats | typeof tryAgain | 'another file system';

/** Resolves when a power cut cannot undo it any more. Called by one at a time for each key. */
export async function writeFile(rooms: FilesRooms, body: FolderBody, writing: Writing): Promise<void> {
  const { folder, jail } = rooms;
  const id = body.pieces[0]?.id as Raw;
  const from = await folder.acquireIncoming();
  try {
    await settle(rooms, { dir: from, name: id }, writing);
  } finally {
    await jail.release(from);
  }
  folder.keep(body.pieces);
  await folder.remove(id); // still there when it was linked or copied
}

async function settle(rooms: FilesRooms, staged: Staged, writing: Writing): Promise<void> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const dir = await rooms.tree.acquireParent(writing.place, true);
    try {
      const outcome = await attempt(rooms, staged, dir, writing);
      if (outcome === tryAgain) continue;
      if (outcome === 'another file system') return await settleCopy(rooms, staged, dir, writing);
      return await finish(rooms, writing, outcome);
    } finally {
      await rooms.jail.release(dir);
    }
  }
  throw new Error('the directory did not keep still');
}

async function attempt({ db, records, uploads }: FilesRooms, staged: Staged, dir: Dir, writing: Writing): Promise<Outcome> {
  const { bucket, place, version, guard, upload } = writing;
  const name = place.segments.at(-1) as Raw;
  const before = await standingAt(dir, name, version.key);
  guard(before === undefined ? undefined : writing.standing(before));
  const stats = await prepare(staged, version.modified);
  await db.commit(() => {
    if (upload !== undefined) uploads.expect(bucket, upload);
    records.begin(bucket, version, stats);
  });
  try {
    await moveIn(staged, dir, name, before === undefined);
  } catch (error) {
    await db.commit(() => records.drop(bucket, version.key));
    if (errno(error) === 'EXDEV') return 'another file system';
    if (errno(error) === 'EEXIST' || errno(error) === 'ENOENT') return tryAgain; // a file came, or the directory went, meanwhile
    throw error;
  }
  await dir.sync();
  return (await dir.present(name)) ?? stats; // another program may have taken it away at once
}

async function standingAt(dir: Dir, name: Raw, key: string): Promise<BigIntStats | undefined> {
  const stats = await dir.present(name);
  if (stats?.isDirectory() === true) throw isDirectory(key);
  if (stats?.isFile() === false) throw isSpecial(key);
  return stats;
}

/** The time that is told as Last-Modified; synced, because the record is bound to it. */
async function prepare({ dir, name }: Staged, modified: number): Promise<BigIntStats> {
  const fd = await open(dir.at(name), EDIT);
  try {
    await futimes(fd, modified / 1000, modified / 1000);
    await fsync(fd);
    return await fstat(fd);
  } finally {
    await close(fd);
  }
}

/** Where nothing stood, nothing is replaced: link() fails where a rename would overwrite what another program just made. */
async function moveIn(staged: Staged, dir: Dir, name: Raw, absent: boolean): Promise<void> {
  if (!absent) return rename(staged.dir.at(staged.name), dir.at(name));
  try {
    await link(staged.dir.at(staged.name), dir.at(name));
  } catch (error) {
    if (!NO_LINKS.has(errno(error) ?? '')) throw error;
    // A file system without hard links (FAT, some FUSE): looked at just before, which is the best it can do.
    return rename(staged.dir.at(staged.name), dir.at(name));
  }
  await unlink(staged.dir.at(staged.name));
}

/** The directory is a mount of its own: the bytes are copied beside their name, under one that is kept for unfinished files. */
async function settleCopy(rooms: FilesRooms, staged: Staged, dir: Dir, writing: Writing): Promise<void> {
  const { db } = rooms;
  const copy: Staged = { dir, name: temporaryName(writing.place.segments.at(-1) as Raw, staged.name.slice(0, 16)) };
  const where = [writing.place.segments.slice(0, -1).join('/'), copy.name] as const;
  await db.commit(() => db.sql('INSERT OR IGNORE INTO copies (directory, name) VALUES (?, ?)').run(...where));
  try {
    await copyFile(staged, copy);
    const outcome = await attempt(rooms, copy, dir, writing);
    if (typeof outcome !== 'object') throw new Error('the directory did not keep still');
    await finish(rooms, writing, outcome);
  } finally {
    await unlink(dir.at(copy.name)).catch(absent);
    await db.commit(() => db.sql('DELETE FROM copies WHERE directory = ? AND name = ?').run(...where));
  }
}

async function copyFile(from: Staged, to: Staged): Promise<void> {
  const [source, target] = [await open(from.dir.at(from.name), EDIT), await open(to.dir.at(to.name), CREATE, 0o666)];
  const writer = new FileWriter(target);
  try {
    for await (const piece of readRange(source, 0, Number((await fstat(source)).size))) await writer.add(piece);
    await writer.finish();
  } finally {
    await writer.abandon();
    await close(target);
    await close(source);
  }
}

/** Only the end of an upload is waited for: a record that is completed later, or at the next start, speaks for its file all the same. */
async function finish(rooms: FilesRooms, { bucket, version, upload }: Writing, stats: BigIntStats): Promise<void> {
  const { db, records, uploads, folder, options } = rooms;
  const ended = db.commit(() => {
    records.finish(bucket, version.key, stats);
    return upload === undefined ? [] : uploads.end(bucket, upload);
  });
  if (upload === undefined) {
    ended.catch((error: unknown) => options.failed?.(error));
    return;
  }
  for (const { id } of await ended) await folder.remove(id);
}
