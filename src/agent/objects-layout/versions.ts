/** Versions of keys in the tables. Calls that change something run inside a commit of the caller's. */
import type { Algorithm, Checksum, ChecksumType } from '../checksums.ts';
import type { Body, KeyEntry, ListedEntry, ListedVersion, ObjectVersion, ScanHints } from '../layout.ts';
import type { Database } from '../metadata/database.ts';
import { loadAttributes, loadPart, loadPieces, numberOf, saveAttributes, savePart, savePieces, textOf } from '../metadata/encoding.ts';
import type { Piece, Row, SavedAttributes, SavedPart } from '../metadata/encoding.ts';
import { columns } from './schema.ts';

const withDetails = (table: string): string =>
  `SELECT v.*, d.checksum, d.attributes, d.parts, d.pieces, CAST(v.key AS TEXT) AS name FROM ${table} v JOIN details d USING (seq) WHERE v.bucket = ? AND v.key = ?`;

const sql = {
  newest: withDetails('newest'),
  older: `${withDetails('older')} ORDER BY v.seq DESC`,
  lightNewest: 'SELECT seq, id FROM newest WHERE bucket = ? AND key = ?',
  insert: `INSERT INTO newest (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  details: 'INSERT INTO details (seq, checksum, attributes, parts, pieces) VALUES (?, ?, ?, ?, ?)',
  demote: `INSERT INTO older (${columns}) SELECT ${columns} FROM newest WHERE bucket = ? AND key = ?`,
  dropNewest: 'DELETE FROM newest WHERE bucket = ? AND key = ?',
  promote: `INSERT INTO newest (${columns}) SELECT ${columns} FROM older WHERE bucket = ? AND key = ? ORDER BY seq DESC LIMIT 1`,
  findOlder: 'SELECT seq FROM older WHERE bucket = ? AND key = ? AND id = ?',
  dropOlder: 'DELETE FROM older WHERE bucket = ? AND key = ? AND seq = ?',
  pieces: 'SELECT pieces FROM details WHERE seq = ?',
  dropDetails: 'DELETE FROM details WHERE seq = ?',
  lastSeq: 'SELECT max(seq) AS seq FROM details',
  page: 'SELECT CAST(key AS TEXT) AS name, id, marker, modified, size, etag, algorithm, kind, class, restore FROM newest WHERE bucket = ? AND key >= ? ORDER BY key LIMIT ?',
  olderOf: 'SELECT CAST(key AS TEXT) AS name, id, marker, modified, size, etag, algorithm, kind, class, restore FROM older WHERE bucket = ? AND key = ? ORDER BY seq DESC',
};

/** Rows read together. Where there will be skips, a few first and then more. Not all of a page at once: what waits outlives the young
 * generation, and a million keys were listed at 30 MiB more (bench/agent.ts). */
const SMALLEST_PAGE = 4;
const LARGEST_PAGE = 64;
const firstPage = (hints: ScanHints): number => (hints.delimiter ? SMALLEST_PAGE : Math.min(LARGEST_PAGE, hints.expected ?? LARGEST_PAGE));

export class Versions {
  readonly #db: Database;
  readonly #bodyOf: (pieces: readonly Piece[]) => Body;
  #seq: number;

  constructor(db: Database, bodyOf: (pieces: readonly Piece[]) => Body) {
    this.#db = db;
    this.#bodyOf = bodyOf;
    this.#seq = (db.sql(sql.lastSeq).get()?.['seq'] ?? 0) as number;
  }

  newest(bucket: string, key: string): ObjectVersion | undefined {
    const row = this.#db.sql(sql.newest).get(bucket, Buffer.from(key));
    return row === undefined ? undefined : this.#version(row);
  }

  entry(bucket: string, key: string): KeyEntry | undefined {
    const newest = this.newest(bucket, key);
    if (newest === undefined) return undefined;
    const older = this.#db.sql(sql.older).all(bucket, Buffer.from(key)).map((row) => this.#version(row));
    return { key, versions: [newest, ...older] };
  }

  isEmpty(bucket: string): boolean {
    return this.#db.sql('SELECT 1 FROM newest WHERE bucket = ? LIMIT 1').get(bucket) === undefined;
  }

  /** Makes it the newest of its key; answers the pieces of the version with the same id that it replaces. */
  put(bucket: string, version: ObjectVersion, pieces: readonly Piece[]): Piece[] {
    const replaced = this.remove(bucket, version.key, version.versionId);
    const key = Buffer.from(version.key);
    if (this.#db.sql(sql.lightNewest).get(bucket, key) !== undefined) {
      this.#db.sql(sql.demote).run(bucket, key);
      this.#db.sql(sql.dropNewest).run(bucket, key);
    }
    const seq = ++this.#seq;
    const { checksum } = version;
    this.#db.sql(sql.insert).run(bucket, key, seq, version.versionId, version.deleteMarker ? 1 : 0, version.modified, version.body.size, version.etag,
      checksum?.algorithm ?? null, checksum?.type ?? null, version.storageClass, version.restore ?? null);
    this.#db.sql(sql.details).run(seq, checksum?.value ?? null, JSON.stringify(saveAttributes(version)), version.parts === undefined ? null : JSON.stringify(version.parts.map(savePart)), savePieces(pieces));
    return replaced;
  }

  /** Changes tags and restore state. */
  replace(bucket: string, version: ObjectVersion): void {
    const key = Buffer.from(version.key);
    for (const table of ['newest', 'older']) {
      const found = this.#db.sql(`SELECT seq FROM ${table} WHERE bucket = ? AND key = ? AND id = ?`).get(bucket, key, version.versionId);
      if (found === undefined) continue;
      this.#db.sql(`UPDATE ${table} SET restore = ? WHERE bucket = ? AND key = ? AND id = ?`).run(version.restore ?? null, bucket, key, version.versionId);
      this.#db.sql('UPDATE details SET attributes = ? WHERE seq = ?').run(JSON.stringify(saveAttributes(version)), numberOf(found, 'seq'));
    }
  }

  /** Removes one version; the one behind the newest takes its place. Answers the pieces of its body. */
  remove(bucket: string, key: string, id: string): Piece[] {
    const bytes = Buffer.from(key);
    const newest = this.#db.sql(sql.lightNewest).get(bucket, bytes);
    if (newest === undefined) return [];
    if (newest['id'] === id) {
      this.#db.sql(sql.dropNewest).run(bucket, bytes);
      if (this.#db.sql(sql.promote).run(bucket, bytes).changes !== 0) this.#db.sql('DELETE FROM older WHERE bucket = ? AND key = ? AND seq = (SELECT seq FROM newest WHERE bucket = ? AND key = ?)').run(bucket, bytes, bucket, bytes);
      return this.#dropDetails(numberOf(newest, 'seq'));
    }
    const older = this.#db.sql(sql.findOlder).get(bucket, bytes, id);
    if (older === undefined) return [];
    this.#db.sql(sql.dropOlder).run(bucket, bytes, numberOf(older, 'seq'));
    return this.#dropDetails(numberOf(older, 'seq'));
  }

  *scan(bucket: string, from: Buffer, hints: ScanHints): Generator<ListedEntry, void, Buffer | undefined> {
    let [at, size] = [from, firstPage(hints)];
    for (;;) {
      const rows = this.#db.sql(sql.page).all(bucket, at, size);
      let skipTo: Buffer | undefined;
      for (const row of rows) {
        const to = yield this.#listed(bucket, row, hints);
        if (to === undefined || Buffer.compare(to, Buffer.from(textOf(row, 'name'))) <= 0) continue;
        skipTo = to;
        break;
      }
      if (skipTo === undefined && rows.length < size) return;
      at = skipTo ?? Buffer.from(`${textOf(rows.at(-1) as Row, 'name')}\0`);
      size = skipTo === undefined ? Math.min(LARGEST_PAGE, size * 4) : SMALLEST_PAGE;
    }
  }

  #listed(bucket: string, row: Row, hints: ScanHints): ListedEntry {
    const newest = listedOf(row);
    if (hints.newestOnly === true) return { key: newest.key, versions: [newest] };
    return { key: newest.key, versions: [newest, ...this.#db.sql(sql.olderOf).all(bucket, Buffer.from(newest.key)).map(listedOf)] };
  }

  #dropDetails(seq: number): Piece[] {
    const row = this.#db.sql(sql.pieces).get(seq);
    this.#db.sql(sql.dropDetails).run(seq);
    return row === undefined ? [] : loadPieces(textOf(row, 'pieces'));
  }

  #version(row: Row): ObjectVersion {
    const { checksum: _, body: __, ...listed } = listedOf(row);
    const parts = row['parts'] as string | null;
    return {
      ...listed, ...loadAttributes(JSON.parse(textOf(row, 'attributes')) as SavedAttributes, listed.storageClass),
      checksum: checksumOf(row), parts: parts === null ? undefined : (JSON.parse(parts) as SavedPart[]).map(loadPart), body: this.#bodyOf(loadPieces(textOf(row, 'pieces'))),
    };
  }
}

function checksumOf(row: Row): Checksum | undefined {
  if (row['algorithm'] === null) return undefined;
  return { algorithm: row['algorithm'] as Algorithm, type: row['kind'] as ChecksumType, value: textOf(row, 'checksum') };
}

const listedOf = (row: Row): ListedVersion => ({
  key: textOf(row, 'name'), versionId: textOf(row, 'id'), deleteMarker: row['marker'] === 1, modified: numberOf(row, 'modified'), etag: textOf(row, 'etag'),
  storageClass: textOf(row, 'class'), restore: (row['restore'] ?? undefined) as string | undefined,
  checksum: row['algorithm'] === null ? undefined : { algorithm: row['algorithm'] as Algorithm, type: row['kind'] as ChecksumType },
  body: { size: numberOf(row, 'size') },
});
