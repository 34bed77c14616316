/**
 * What the tree cannot keep: ETag, checksum, headers, tags. A record is bound to one state of one file: device, inode, size, mtime and
 * ctime. If any of them differs the file was changed behind our back, and the record speaks of it no more.
 *
 * A rename changes the ctime, so a record is first written without it, before the rename, and completed after. Between the two, and
 * after a crash, device, inode, size and mtime decide; there can be at most one record of the file that stands there.
 */
import type { BigIntStats } from 'node:fs';
import type { Algorithm, Checksum, ChecksumType } from '../checksums.ts';
import type { Attributes, ObjectVersion, StoredPart } from '../layout.ts';
import type { Database } from '../metadata/database.ts';
import { loadAttributes, loadPart, saveAttributes, savePart, textOf } from '../metadata/encoding.ts';
import type { Row, SavedAttributes, SavedPart } from '../metadata/encoding.ts';

export const recordsSchema = `
  CREATE TABLE IF NOT EXISTS records (
    bucket TEXT NOT NULL, key BLOB NOT NULL, bound TEXT NOT NULL, changed TEXT, etag TEXT NOT NULL, algorithm TEXT, kind TEXT, class TEXT NOT NULL, restore TEXT,
    checksum TEXT, attributes TEXT NOT NULL, parts TEXT, PRIMARY KEY (bucket, key, bound)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS unfinished ON records (bucket, key) WHERE changed IS NULL;`;

const light = 'SELECT bound, changed, etag, algorithm, kind, class, restore FROM records WHERE bucket = ? AND key = ?';

/** What a listing shows of a record. */
export interface LightRecord {
  readonly etag: string;
  readonly checksum: Pick<Checksum, 'algorithm' | 'type'> | undefined;
  readonly storageClass: string;
  readonly restore: string | undefined;
}

export interface FullRecord extends Attributes {
  readonly etag: string;
  readonly checksum: Checksum | undefined;
  readonly restore: string | undefined;
  readonly parts: readonly StoredPart[] | undefined;
}

export class Records {
  readonly #db: Database;
  /** A mount may come back under another device number: files of the root's own device are bound without it. */
  readonly #rootDevice: bigint;

  constructor(db: Database, rootDevice: bigint) {
    this.#db = db;
    this.#rootDevice = rootDevice;
  }

  /** Whether the bucket has any: a tree that was never written through us needs no look per key. */
  any(bucket: string): boolean {
    return this.#db.sql('SELECT 1 FROM records WHERE bucket = ? LIMIT 1').get(bucket) !== undefined;
  }

  light(bucket: string, key: string, stats: BigIntStats): LightRecord | undefined {
    const row = this.#matching(light, bucket, key, stats);
    if (row === undefined) return undefined;
    const algorithm = row['algorithm'] as Algorithm | null;
    return {
      etag: textOf(row, 'etag'), storageClass: textOf(row, 'class'), restore: (row['restore'] ?? undefined) as string | undefined,
      checksum: algorithm === null ? undefined : { algorithm, type: row['kind'] as ChecksumType },
    };
  }

  full(bucket: string, key: string, stats: BigIntStats): FullRecord | undefined {
    const row = this.#matching('SELECT * FROM records WHERE bucket = ? AND key = ?', bucket, key, stats);
    return row === undefined ? undefined : recordOf(row);
  }

  /** Inside a commit: before the file gets its name. */
  begin(bucket: string, version: Omit<ObjectVersion, 'body'>, stats: BigIntStats): void {
    this.#write(bucket, version, this.boundOf(stats), stats.isDirectory() ? '' : null);
  }

  /** Inside a commit: the file stands there. Records of what stood there before go. */
  finish(bucket: string, key: string, stats: BigIntStats): void {
    const [bytes, bound] = [Buffer.from(key), this.boundOf(stats)];
    this.#db.sql('UPDATE records SET changed = ? WHERE bucket = ? AND key = ? AND bound = ? AND changed IS NULL').run(changedOf(stats), bucket, bytes, bound);
    this.#db.sql('DELETE FROM records WHERE bucket = ? AND key = ? AND bound <> ?').run(bucket, bytes, bound);
  }

  /** Inside a commit: for the file as it stands there. */
  replace(bucket: string, version: Omit<ObjectVersion, 'body'>, stats: BigIntStats): void {
    this.remove(bucket, version.key);
    this.#write(bucket, version, this.boundOf(stats), changedOf(stats));
  }

  remove(bucket: string, key: string): void {
    this.#db.sql('DELETE FROM records WHERE bucket = ? AND key = ?').run(bucket, Buffer.from(key));
  }

  /** Inside a commit: writes of this key came to nothing. */
  drop(bucket: string, key: string): void {
    this.#db.sql('DELETE FROM records WHERE bucket = ? AND key = ? AND changed IS NULL').run(bucket, Buffer.from(key));
  }

  removeBound(bucket: string, key: string, bound: string): void {
    this.#db.sql('DELETE FROM records WHERE bucket = ? AND key = ? AND bound = ?').run(bucket, Buffer.from(key), bound);
  }

  removeBucket(bucket: string): void {
    this.#db.sql('DELETE FROM records WHERE bucket = ?').run(bucket);
  }

  /** Keys whose writing was cut off between the two steps. */
  unfinished(): { readonly bucket: string; readonly key: string }[] {
    return this.#db.sql('SELECT DISTINCT bucket, CAST(key AS TEXT) AS name FROM records WHERE changed IS NULL').all().map((row) => ({ bucket: textOf(row, 'bucket'), key: textOf(row, 'name') }));
  }

  /** Inside a commit: a name of this file goes, which changes its ctime. */
  loosen(stats: BigIntStats): void {
    this.#db.sql('UPDATE records SET changed = NULL WHERE bound = ?').run(this.boundOf(stats));
  }

  /** Every record, some at a time: they may be removed while this goes on. */
  *all(): Generator<{ readonly bucket: string; readonly key: string; readonly bound: string }> {
    const page = this.#db.sql('SELECT bucket, key, CAST(key AS TEXT) AS name, bound FROM records WHERE (bucket, key, bound) > (?, ?, ?) ORDER BY bucket, key, bound LIMIT 1000');
    for (let [bucket, bytes, bound] = ['', new Uint8Array(), '']; ;) {
      const rows = page.all(bucket, bytes, bound);
      const last = rows.at(-1);
      if (last === undefined) return;
      for (const row of rows) yield { bucket: textOf(row, 'bucket'), key: textOf(row, 'name'), bound: textOf(row, 'bound') };
      [bucket, bytes, bound] = [textOf(last, 'bucket'), last['key'] as Uint8Array<ArrayBuffer>, textOf(last, 'bound')];
    }
  }

  /** Directories change whenever something in them does: they are bound by what they are alone. */
  boundOf(stats: BigIntStats): string {
    const device = stats.dev === this.#rootDevice ? 0n : stats.dev;
    const parts = stats.isDirectory() ? [device, stats.ino] : [device, stats.ino, stats.size, stats.mtimeNs];
    return parts.map((part) => part.toString(36)).join('-');
  }

  #write(bucket: string, version: Omit<ObjectVersion, 'body'>, bound: string, changed: string | null): void {
    const { checksum, parts } = version;
    this.#db.sql('INSERT OR REPLACE INTO records (bucket, key, bound, changed, etag, algorithm, kind, class, restore, checksum, attributes, parts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
      bucket, Buffer.from(version.key), bound, changed, version.etag, checksum?.algorithm ?? null, checksum?.type ?? null, version.storageClass, version.restore ?? null,
      checksum?.value ?? null, JSON.stringify(saveAttributes(version)), parts === undefined ? null : JSON.stringify(parts.map(savePart)));
  }

  #matching(query: string, bucket: string, key: string, stats: BigIntStats): Row | undefined {
    const rows = this.#db.sql(query).all(bucket, Buffer.from(key));
    if (rows.length === 0) return undefined;
    const [bound, changed] = [this.boundOf(stats), changedOf(stats)];
    return rows.find((row) => row['bound'] === bound && (row['changed'] === changed || row['changed'] === null));
  }
}

const changedOf = (stats: BigIntStats): string => (stats.isDirectory() ? '' : stats.ctimeNs.toString(36));

function recordOf(row: Row): FullRecord {
  const parts = row['parts'] as string | null;
  return {
    ...loadAttributes(JSON.parse(textOf(row, 'attributes')) as SavedAttributes, textOf(row, 'class')),
    etag: textOf(row, 'etag'), restore: (row['restore'] ?? undefined) as string | undefined,
    checksum: row['algorithm'] === null ? undefined : { algorithm: row['algorithm'] as Algorithm, type: row['kind'] as ChecksumType, value: textOf(row, 'checksum') },
    parts: parts === null ? undefined : (JSON.parse(parts) as SavedPart[]).map(loadPart),
  };
}
