/** Proves a root of layout `objects`: each row has its bodies, whole, and each body its row. Nobody else may have it open. */
import { readdir } from 'node:fs/promises';
import { BrigadeError } from '../../core/errors.ts';
import { showKey } from '../../core/key.ts';
import { FolderBody } from '../bodies/folder.ts';
import { compareBytes, compareMd5 } from '../fsck/bytes.ts';
import { Tally } from '../fsck/report.ts';
import type { FsckOptions, FsckReport } from '../fsck/report.ts';
import type { ObjectVersion } from '../layout.ts';
import { numberOf, textOf } from '../metadata/encoding.ts';
import type { Piece } from '../metadata/encoding.ts';
import { closeRooms, openRooms } from './index.ts';
import type { ObjectsLayoutOptions, Rooms } from './index.ts';

/** @throws BrigadeError as openObjectsLayout */
export async function fsckObjects(layout: ObjectsLayoutOptions, options: FsckOptions = {}): Promise<FsckReport> {
  const rooms = await openRooms(layout);
  const tally = new Tally(options);
  try {
    rooms.db.exec('CREATE TEMP TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID');
    checkDatabase(rooms, tally, options.deep === true);
    await checkVersions(rooms, tally, options.deep === true);
    await checkParts(rooms, tally, options.deep === true);
    await checkArrivals(rooms, tally);
    await checkBodies(rooms, tally, options.repair === true);
    if (options.repair === true) {
      await rooms.trash.empty(true);
      await rooms.arrivals.recover();
    }
    return tally.report();
  } finally {
    await closeRooms(rooms);
  }
}

function checkDatabase({ db }: Rooms, tally: Tally, deep: boolean): void {
  for (const row of db.sql(deep ? 'PRAGMA integrity_check' : 'PRAGMA quick_check').all()) {
    const text = String(Object.values(row)[0]);
    if (text !== 'ok') tally.tell('database', db.path, text);
  }
  const lost = db.sql('SELECT (SELECT count(*) FROM details) - (SELECT count(*) FROM newest JOIN details USING (seq)) - (SELECT count(*) FROM older JOIN details USING (seq)) AS details, (SELECT count(*) FROM newest LEFT JOIN details USING (seq) WHERE details.seq IS NULL) + (SELECT count(*) FROM older LEFT JOIN details USING (seq) WHERE details.seq IS NULL) AS versions').get() ?? {};
  if (numberOf(lost, 'details') !== 0) tally.tell('orphan_row', db.path, `${numberOf(lost, 'details')} details belong to no version`);
  if (numberOf(lost, 'versions') !== 0) tally.tell('orphan_row', db.path, `${numberOf(lost, 'versions')} versions have no details`);
  for (const row of db.sql('SELECT DISTINCT bucket FROM newest EXCEPT SELECT name FROM buckets').all()) tally.tell('orphan_row', textOf(row, 'bucket'), 'objects of a bucket that is not there');
  db.exec('INSERT INTO seen SELECT id FROM trash');
}

async function checkVersions({ db, folder, versions }: Rooms, tally: Tally, deep: boolean): Promise<void> {
  const buckets = db.sql('SELECT DISTINCT bucket FROM newest').all().map((row) => textOf(row, 'bucket'));
  for (const bucket of buckets) {
    for (const { key } of versions.scan(bucket, Buffer.alloc(0), { newestOnly: true })) {
      for (const version of versions.entry(bucket, key)?.versions ?? []) {
        const where = `${bucket}/${showKey(key)} version ${version.versionId}`;
        tally.objects++;
        tally.bytes += version.body.size;
        const whole = await checkPieces({ db, folder }, tally, where, version.body instanceof FolderBody ? version.body.pieces : []);
        checkSize(db.sql('SELECT size FROM newest WHERE bucket = ? AND key = ? AND id = ?').get(bucket, Buffer.from(key), version.versionId), version, where, tally);
        const wrong = deep && whole ? await compareBytes(version) : undefined;
        if (wrong !== undefined) tally.tell('wrong_bytes', where, wrong);
      }
    }
  }
}

function checkSize(row: Readonly<Record<string, unknown>> | undefined, version: ObjectVersion, where: string, tally: Tally): void {
  if (row !== undefined && numberOf(row, 'size') !== version.body.size) tally.tell('wrong_size', where, `listed with ${numberOf(row, 'size')} bytes, its bodies have ${version.body.size}`);
}

/** Whether all files are there with their sizes. */
async function checkPieces({ db, folder }: Pick<Rooms, 'db' | 'folder'>, tally: Tally, where: string, pieces: readonly Piece[]): Promise<boolean> {
  let whole = true;
  for (const { id, size } of pieces) {
    if (db.sql('INSERT OR IGNORE INTO seen (id) VALUES (?)').run(id).changes === 0) tally.tell('orphan_row', where, `the body ${id} belongs to another object, too, or is in the trash`);
    const found = await folder.sizeOf(id);
    if (found === size) continue;
    whole = false;
    if (found === undefined) tally.tell('missing_body', where, `the body ${id} is missing`);
    else tally.tell('wrong_size', where, `the body ${id} has ${found} bytes, not ${size}`);
  }
  return whole;
}

async function checkParts({ db, folder, uploads }: Rooms, tally: Tally, deep: boolean): Promise<void> {
  for (const { where, piece, md5 } of [...uploads.pieces()]) {
    tally.parts++;
    tally.bytes += piece.size;
    const whole = await checkPieces({ db, folder }, tally, where, [piece]);
    const wrong = deep && whole && md5 !== undefined ? await compareMd5(folder.bodyOf([piece]), md5) : undefined;
    if (wrong !== undefined) tally.tell('wrong_bytes', where, wrong);
  }
}

async function checkArrivals({ db, folder }: Rooms, tally: Tally): Promise<void> {
  for (const id of await folder.arrivals()) {
    if (db.sql('SELECT 1 FROM arrivals WHERE id = ?').get(id) === undefined) tally.tell('leftover', `incoming/${id}`, 'bytes of an upload that never ended; removed at the next start');
  }
}

/** A file at home came with a row, and goes before the row of the trash does: without one it was never ours. */
async function checkBodies({ db, jail, folder }: Rooms, tally: Tally, repair: boolean): Promise<void> {
  const names = async (segments: readonly string[]): Promise<string[]> => {
    try {
      const dir = await jail.acquire(segments, false, 'fsck');
      const found = await readdir(dir.at('.'), { encoding: 'latin1' }) as string[];
      await jail.release(dir);
      return found;
    } catch (error) {
      if (error instanceof BrigadeError && error.kind === 'gone') return [];
      throw error;
    }
  };
  for (const fan of await names(['bodies'])) {
    for (const id of await names(['bodies', fan])) {
      if (db.sql('SELECT 1 FROM seen WHERE id = ?').get(id) !== undefined) continue;
      tally.tell('orphan_body', `bodies/${fan}/${id}`, 'no object refers to it');
      if (!repair || !/^[0-9a-f]{32}$/.test(id) || !id.startsWith(fan)) continue;
      await folder.remove(id);
      tally.repaired++;
    }
  }
}
