/** Unfinished multipart uploads, the same in both layouts. Every call that changes something runs inside a commit of the caller's. */
import type { Algorithm, Checksum, ChecksumType } from '../checksums.ts';
import { s3Error } from '../errors.ts';
import type { Body, Upload, UploadPart } from '../layout.ts';
import type { Database } from './database.ts';
import { loadAttributes, loadPieces, numberOf, saveAttributes, savePieces, textOf } from './encoding.ts';
import type { Piece, Row, SavedAttributes } from './encoding.ts';

export const uploadsSchema = `
  CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, started INTEGER NOT NULL, class TEXT NOT NULL, algorithm TEXT, declared INTEGER NOT NULL,
    kind TEXT NOT NULL, attributes TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS uploads_in_order ON uploads (bucket, key, started, id);
  CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL, checksum TEXT, raw BLOB, pieces TEXT NOT NULL,
    PRIMARY KEY (upload, number)) WITHOUT ROWID;`;

const noSuchUpload = (id: string): Error => s3Error('NoSuchUpload', { details: { UploadId: id } });

export class Uploads {
  readonly #db: Database;
  readonly #bodyOf: (pieces: readonly Piece[]) => Body;

  /** `bodyOf` makes the bytes of a part readable. */
  constructor(db: Database, bodyOf: (pieces: readonly Piece[]) => Body) {
    this.#db = db;
    this.#bodyOf = bodyOf;
  }

  add(bucket: string, upload: Upload): void {
    this.#db.sql('INSERT INTO uploads (id, bucket, key, started, class, algorithm, declared, kind, attributes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
      upload.id, bucket, Buffer.from(upload.key), upload.started, upload.storageClass, upload.algorithm ?? null, upload.declared ? 1 : 0, upload.checksumType, JSON.stringify(saveAttributes(upload)));
  }

  get(bucket: string, id: string): Upload | undefined {
    const row = this.#db.sql('SELECT *, CAST(key AS TEXT) AS name FROM uploads WHERE id = ? AND bucket = ?').get(id, bucket);
    return row === undefined ? undefined : this.#upload(row);
  }

  list(bucket: string): Upload[] {
    return this.#db.sql('SELECT *, CAST(key AS TEXT) AS name FROM uploads WHERE bucket = ? ORDER BY key, started, id').all(bucket).map((row) => this.#upload(row));
  }

  /** Answers the pieces of the part that had the number. */
  putPart(bucket: string, id: string, part: UploadPart, pieces: readonly Piece[]): Piece[] {
    this.expect(bucket, id);
    const before = this.#db.sql('SELECT pieces FROM parts WHERE upload = ? AND number = ?').get(id, part.number);
    this.#db.sql('INSERT OR REPLACE INTO parts (upload, number, size, etag, modified, checksum, raw, pieces) VALUES (?, ?, ?, ?, ?, ?, ?, ?)').run(
      id, part.number, part.size, part.etag, part.modified, part.checksum === undefined ? null : JSON.stringify(part.checksum), part.raw ?? null, savePieces(pieces));
    return before === undefined ? [] : loadPieces(textOf(before, 'pieces'));
  }

  /** Ends an upload; answers all pieces of its parts. Throws NoSuchUpload. */
  end(bucket: string, id: string): Piece[] {
    this.expect(bucket, id);
    const pieces = this.#db.sql('SELECT pieces FROM parts WHERE upload = ?').all(id).flatMap((row) => loadPieces(textOf(row, 'pieces')));
    this.#db.sql('DELETE FROM parts WHERE upload = ?').run(id);
    this.#db.sql('DELETE FROM uploads WHERE id = ?').run(id);
    return pieces;
  }

  /** Ends all uploads of a bucket that goes. */
  endAll(bucket: string): Piece[] {
    return this.list(bucket).flatMap((upload) => this.end(bucket, upload.id));
  }

  /** Every piece that a part refers to, an upload at a time. */
  *pieces(): Generator<{ readonly where: string; readonly piece: Piece; readonly md5: string | undefined }> {
    for (const row of this.#db.sql('SELECT upload, number, etag, pieces FROM parts').iterate()) {
      const pieces = loadPieces(textOf(row, 'pieces'));
      for (const piece of pieces) yield { where: `part ${numberOf(row, 'number')} of upload ${textOf(row, 'upload')}`, piece, md5: pieces.length === 1 ? textOf(row, 'etag') : undefined };
    }
  }

  /** Throws NoSuchUpload. */
  expect(bucket: string, id: string): void {
    if (this.#db.sql('SELECT 1 FROM uploads WHERE id = ? AND bucket = ?').get(id, bucket) === undefined) throw noSuchUpload(id);
  }

  /** Parts are looked up when they are asked for: a PUT of one part of ten thousand has no use for the others. */
  #upload(row: Row): Upload {
    const id = textOf(row, 'id');
    const load = (): Map<number, UploadPart> => this.#parts(id);
    let parts: Map<number, UploadPart> | undefined;
    return {
      ...loadAttributes(JSON.parse(textOf(row, 'attributes')) as SavedAttributes, textOf(row, 'class')),
      id, key: textOf(row, 'name'), started: numberOf(row, 'started'), algorithm: (row['algorithm'] ?? undefined) as Algorithm | undefined,
      declared: row['declared'] === 1, checksumType: row['kind'] as ChecksumType,
      get parts() {
        return (parts ??= load());
      },
    };
  }

  #parts(id: string): Map<number, UploadPart> {
    const rows = this.#db.sql('SELECT number, size, etag, modified, checksum, raw, pieces FROM parts WHERE upload = ? ORDER BY number').all(id);
    return new Map(rows.map((row) => [numberOf(row, 'number'), {
      number: numberOf(row, 'number'), size: numberOf(row, 'size'), etag: textOf(row, 'etag'), modified: numberOf(row, 'modified'),
      checksum: row['checksum'] === null ? undefined : JSON.parse(textOf(row, 'checksum')) as Checksum,
      raw: row['raw'] === null ? undefined : Buffer.from(row['raw'] as Uint8Array), body: this.#bodyOf(loadPieces(textOf(row, 'pieces'))),
    }]));
  }
}
