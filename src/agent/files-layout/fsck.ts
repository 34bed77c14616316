/** Proves a state of layout `files` against its tree: records speak of files that are there, parts have their bytes. The tree itself is right as it is. */
import { showKey } from '../../core/key.ts';
import { compareBytes, compareMd5 } from '../fsck/bytes.ts';
import { Tally } from '../fsck/report.ts';
import type { FsckOptions, FsckReport } from '../fsck/report.ts';
import { recover } from './recover.ts';
import { closeFilesRooms, openFilesRooms } from './rooms.ts';
import type { FilesLayoutOptions, FilesRooms } from './rooms.ts';

/** @throws BrigadeError as openFilesLayout */
export async function fsckFiles(layout: FilesLayoutOptions, options: FsckOptions = {}): Promise<FsckReport> {
  const rooms = await openFilesRooms(layout);
  const tally = new Tally(options);
  try {
    for (const row of rooms.db.sql(options.deep === true ? 'PRAGMA integrity_check' : 'PRAGMA quick_check').all()) {
      const text = String(Object.values(row)[0]);
      if (text !== 'ok') tally.tell('database', rooms.db.path, text);
    }
    for (const { bucket, key } of rooms.records.unfinished()) tally.tell('unfinished_record', `${bucket}/${showKey(key)}`, 'a write that was cut off; settled at the next start');
    await checkParts(rooms, tally, options.deep === true);
    if (options.repair === true) await recover(rooms);
    await checkRecords(rooms, tally, options);
    return tally.report();
  } finally {
    await closeFilesRooms(rooms);
  }
}

async function checkParts({ folder, uploads }: FilesRooms, tally: Tally, deep: boolean): Promise<void> {
  const known = new Set<string>();
  for (const { where, piece, md5 } of [...uploads.pieces()]) {
    known.add(piece.id);
    tally.parts++;
    tally.bytes += piece.size;
    const found = await folder.sizeOf(piece.id);
    if (found === undefined) tally.tell('missing_body', where, `the file ${piece.id} is missing`);
    else if (found !== piece.size) tally.tell('wrong_size', where, `the file ${piece.id} has ${found} bytes, not ${piece.size}`);
    else {
      const wrong = deep && md5 !== undefined ? await compareMd5(folder.bodyOf([piece]), md5) : undefined;
      if (wrong !== undefined) tally.tell('wrong_bytes', where, wrong);
    }
  }
  for (const id of await folder.arrivals()) if (!known.has(id)) tally.tell('leftover', id, 'bytes of an upload that never ended; removed at the next start');
}

/** Sizes and times of a matching record are right by that very match; its bytes are compared when asked. */
async function checkRecords({ db, tree, records }: FilesRooms, tally: Tally, { deep, repair }: FsckOptions): Promise<void> {
  for (const { bucket, key, bound } of records.all()) {
    const where = `${bucket}/${showKey(key)}`;
    const place = tree.lookup(bucket, key);
    const found = place === undefined ? undefined : await tree.find(place, key);
    const record = found === undefined ? undefined : records.full(bucket, key, found.stats);
    if (place === undefined || found === undefined || record === undefined || records.boundOf(found.stats) !== bound) {
      tally.tell('stale_record', where, 'the file was changed or removed by another program; it is served as it is now');
      if (repair !== true) continue;
      db.commitNow(() => records.removeBound(bucket, key, bound));
      tally.repaired++;
      continue;
    }
    tally.objects++;
    if (place.directory) continue;
    const body = tree.body(place, found.stats);
    tally.bytes += body.size;
    const wrong = deep === true ? await compareBytes({ ...record, key, versionId: 'null', deleteMarker: false, modified: 0, body }) : undefined;
    if (wrong !== undefined) tally.tell('wrong_bytes', where, wrong);
  }
}
