/** What a start does after whatever ended the last one. */
import type { BigIntStats } from 'node:fs';
import { BrigadeError } from '../../core/errors.ts';
import { absent } from '../../stores/filesystem/failures.ts';
import type { Dir } from '../../stores/filesystem/jail.ts';
import type { Raw } from '../../stores/filesystem/names.ts';
import { lstat, unlink } from '../../stores/filesystem/syscalls.ts';
import { textOf } from '../metadata/encoding.ts';
import type { FilesRooms } from './rooms.ts';

/** Leftovers go, and records whose writing was cut off are completed or dropped by what stands in the tree. */
export async function recover(rooms: FilesRooms): Promise<void> {
  await removeCopies(rooms);
  await removeArrivals(rooms);
  await finishRecords(rooms);
}

async function removeCopies({ db, jail }: FilesRooms): Promise<void> {
  for (const row of db.sql('SELECT directory, name FROM copies').all()) {
    const [directory, name] = [textOf(row, 'directory'), textOf(row, 'name')];
    const dir = await acquire(jail, directory === '' ? [] : directory.split('/'));
    if (dir !== undefined) {
      try {
        await unlink(dir.at(name)).catch(absent);
      } finally {
        await jail.release(dir);
      }
    }
    db.sql('DELETE FROM copies WHERE directory = ? AND name = ?').run(directory, name);
  }
}

async function acquire(jail: FilesRooms['jail'], segments: readonly Raw[]): Promise<Dir | undefined> {
  try {
    return await jail.acquire(segments, false, 'open');
  } catch (error) {
    if (error instanceof BrigadeError && (error.kind === 'gone' || error.code === 'E_LINK_IN_PATH')) return undefined;
    throw error;
  }
}

/** Bytes that no upload refers to. One that has its name in the tree already loses a link, which changes its ctime: its record is loosened first. */
async function removeArrivals({ db, jail, folder, records, uploads }: FilesRooms): Promise<void> {
  const arrivals = await folder.arrivals();
  if (arrivals.length === 0) return;
  const kept = new Set<string>();
  for (const { piece } of uploads.pieces()) kept.add(piece.id);
  const dir = await folder.acquireIncoming();
  try {
    for (const id of arrivals.filter((name) => !kept.has(name))) {
      const stats = await lstat(dir.at(id));
      if (stats.nlink > 1n) db.commitNow(() => records.loosen(stats));
      await folder.remove(id);
    }
  } finally {
    await jail.release(dir);
  }
}

async function finishRecords({ db, tree, records }: FilesRooms): Promise<void> {
  for (const { bucket, key } of records.unfinished()) {
    const place = tree.lookup(bucket, key);
    const stats: BigIntStats | undefined = place === undefined ? undefined : (await tree.find(place, key))?.stats;
    db.commitNow(() => {
      if (stats !== undefined) records.finish(bucket, key, stats);
      records.drop(bucket, key);
    });
  }
}
