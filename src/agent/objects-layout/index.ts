/**
 * Layout `objects`: every key byte for byte, versions, any number of objects. Keys live in the database only; bodies are files with
 * random names, so no key ever becomes a path. An object is there when its row is committed: its body was on disk before.
 *
 *     <root>/brigade-objects.json   whose root this is
 *     <root>/incoming/<id>          bodies on their way; at a start, what no row refers to is removed
 *     <root>/bodies/<2 hex>/<id>    bodies
 *     <state>/objects.db            everything else; <state> is <root>/state unless it is told
 */
import { join, resolve } from 'node:path';
import { Jail } from '../../stores/filesystem/jail.ts';
import { BodyFolder, type FolderBody } from '../bodies/folder.ts';
import type { Clock } from '../context.ts';
import { s3Error } from '../errors.ts';
import type { Body, Bucket, Guard, KeyEntry, Layout, ObjectVersion, Scan, ScanHints, Upload, UploadPart } from '../layout.ts';
import { Database } from '../metadata/database.ts';
import { textOf } from '../metadata/encoding.ts';
import type { Piece } from '../metadata/encoding.ts';
import { bindToRoot } from '../metadata/facts.ts';
import { Uploads } from '../metadata/uploads.ts';
import { Arrivals } from './arrivals.ts';
import { openHome } from './home.ts';
import { schema } from './schema.ts';
import { Trash } from './trash.ts';
import { Versions } from './versions.ts';

export interface ObjectsLayoutOptions {
  /** An empty directory, or one that this layout made. */
  readonly root: string;
  /** Folder of the database. Default `<root>/state`. */
  readonly state?: string;
  readonly clock?: Clock;
  /** Milliseconds that replaced bodies stay for readers that were told of them. Default 30,000. */
  readonly graceMs?: number;
  /** Hears of failures of work behind the scenes. */
  readonly failed?: (error: unknown) => void;
}

export interface Rooms {
  readonly db: Database;
  readonly jail: Jail;
  readonly folder: BodyFolder;
  readonly versions: Versions;
  readonly uploads: Uploads;
  readonly trash: Trash;
  readonly arrivals: Arrivals;
}

const noSuchBucket = (name: string): Error => s3Error('NoSuchBucket', { details: { BucketName: name } });

/** Opens a root and brings it in order after a crash.
 * @throws BrigadeError E_ROOT_NOT_OURS, E_STATE_OF_ANOTHER_ROOT, E_STATE_LOCKED, E_STATE_UNUSABLE */
export async function openObjectsLayout(options: ObjectsLayoutOptions): Promise<ObjectsLayout> {
  const rooms = await openRooms(options, true);
  try {
    await rooms.trash.empty(true);
    await rooms.arrivals.recover();
    return new ObjectsLayout(rooms);
  } catch (error) {
    await closeRooms(rooms);
    throw error;
  }
}

export const bodyHome = (id: string): readonly string[] => ['bodies', id.slice(0, 2)];

/** Opens all but changes nothing that is there. `make`: an empty root becomes one of ours. */
export async function openRooms(options: ObjectsLayoutOptions, make = false): Promise<Rooms> {
  const { root, id } = await openHome(options.root, make);
  const path = join(options.state === undefined ? join(root, 'state') : resolve(options.state), 'objects.db');
  const db = new Database(path, schema);
  try {
    bindToRoot(db, id, root, 'give the --state that this root was served with');
    const jail = new Jail({ root, create: false, durable: true, capacity: 320 });
    const folder = new BodyFolder({ jail, incoming: ['incoming'], home: bodyHome });
    const bodyOf = (pieces: readonly Piece[]): Body => folder.bodyOf(pieces);
    const trash = new Trash(db, folder, { clock: options.clock ?? { now: () => Date.now() }, graceMs: options.graceMs ?? 30_000, failed: options.failed ?? (() => undefined) });
    return { db, jail, folder, versions: new Versions(db, bodyOf), uploads: new Uploads(db, bodyOf), trash, arrivals: new Arrivals(db, folder) };
  } catch (error) {
    db.close();
    throw error;
  }
}

export async function closeRooms({ db, jail, trash, arrivals }: Rooms): Promise<void> {
  await trash.close();
  await arrivals.close();
  db.close();
  await jail.close();
}

export class ObjectsLayout implements Layout {
  readonly #rooms: Rooms;
  readonly #buckets: Map<string, Bucket>;

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
    this.#buckets = new Map(rooms.db.sql('SELECT name, settings FROM buckets ORDER BY name').all().map((row) => [textOf(row, 'name'), JSON.parse(textOf(row, 'settings')) as Bucket]));
  }

  buckets(): readonly Bucket[] {
    return [...this.#buckets.values()].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  }

  bucket(name: string): Bucket | undefined {
    return this.#buckets.get(name);
  }

  async addBucket(bucket: Bucket): Promise<void> {
    const { db } = this.#rooms;
    await db.commit(() => {
      if (db.sql('SELECT 1 FROM buckets WHERE name = ?').get(bucket.name) !== undefined) throw s3Error('BucketAlreadyOwnedByYou', { details: { BucketName: bucket.name } });
      db.sql('INSERT INTO buckets (name, settings) VALUES (?, ?)').run(bucket.name, JSON.stringify(bucket));
    });
    this.#buckets.set(bucket.name, { ...bucket });
  }

  async changeBucket(bucket: Bucket): Promise<void> {
    const { db } = this.#rooms;
    await db.commit(() => {
      this.#expect(bucket.name);
      db.sql('UPDATE buckets SET settings = ? WHERE name = ?').run(JSON.stringify(bucket), bucket.name);
    });
    Object.assign(this.#buckets.get(bucket.name) ?? {}, bucket);
  }

  async removeBucket(name: string): Promise<void> {
    const { db, versions, uploads, trash } = this.#rooms;
    await db.commit(() => {
      this.#expect(name);
      if (!versions.isEmpty(name)) throw s3Error('BucketNotEmpty', { details: { BucketName: name } });
      trash.add(uploads.endAll(name));
      db.sql('DELETE FROM buckets WHERE name = ?').run(name);
    });
    this.#buckets.delete(name);
  }

  newest(bucket: string, key: string): ObjectVersion | undefined {
    return this.#rooms.versions.newest(bucket, key);
  }

  entry(bucket: string, key: string): KeyEntry | undefined {
    return this.#rooms.versions.entry(bucket, key);
  }

  scan(bucket: string, from: Buffer, hints: ScanHints = {}): Scan {
    return this.#rooms.versions.scan(bucket, from, hints);
  }

  async put(bucket: string, version: ObjectVersion, guard: Guard, upload?: string): Promise<void> {
    const { versions, trash } = this.#rooms;
    await this.#take(version.body, (pieces) => {
      this.#expect(bucket);
      guard(versions.newest(bucket, version.key));
      if (upload !== undefined) trash.add(this.#endWith(bucket, upload, pieces));
      trash.add(versions.put(bucket, version, pieces));
    });
  }

  async replace(bucket: string, version: ObjectVersion): Promise<void> {
    await this.#rooms.db.commit(() => this.#rooms.versions.replace(bucket, version));
  }

  remove(bucket: string, key: string, versionId: string, guard: Guard): Promise<ObjectVersion | undefined> {
    const { db, versions, trash } = this.#rooms;
    return db.commit(() => {
      const entry = versions.entry(bucket, key);
      guard(entry?.versions[0]);
      trash.add(versions.remove(bucket, key, versionId));
      return entry?.versions.find((version) => version.versionId === versionId);
    });
  }

  write(source: AsyncIterable<Buffer>): Promise<FolderBody> {
    return this.#rooms.folder.write(source);
  }

  /** No byte is copied: the result is the list of its parts. */
  async concat(parts: readonly Body[]): Promise<FolderBody> {
    const owned: FolderBody[] = [];
    for (const part of parts) owned.push(await this.#rooms.folder.own(part));
    return this.#rooms.folder.bodyOf(owned.flatMap((part) => part.pieces));
  }

  async addUpload(bucket: string, upload: Upload): Promise<void> {
    await this.#rooms.db.commit(() => {
      this.#expect(bucket);
      this.#rooms.uploads.add(bucket, upload);
    });
    for (const part of upload.parts.values()) await this.putPart(bucket, upload.id, part);
  }

  upload(bucket: string, id: string): Upload | undefined {
    return this.#rooms.uploads.get(bucket, id);
  }

  uploads(bucket: string): readonly Upload[] {
    return this.#rooms.uploads.list(bucket);
  }

  async putPart(bucket: string, id: string, part: UploadPart): Promise<void> {
    const { uploads, trash } = this.#rooms;
    await this.#take(part.body, (pieces) => trash.add(uploads.putPart(bucket, id, part, pieces)));
  }

  async removeUpload(bucket: string, id: string): Promise<void> {
    const { db, uploads, trash } = this.#rooms;
    await db.commit(() => trash.add(uploads.end(bucket, id)));
  }

  async close(): Promise<void> {
    await closeRooms(this.#rooms);
  }

  #expect(bucket: string): void {
    if (this.#rooms.db.sql('SELECT 1 FROM buckets WHERE name = ?').get(bucket) === undefined) throw noSuchBucket(bucket);
  }

  /** Ends the upload whose parts the object is made of; answers the pieces that it is not made of. */
  #endWith(bucket: string, upload: string, used: readonly Piece[]): Piece[] {
    const ended = new Map(this.#rooms.uploads.end(bucket, upload).map((piece) => [piece.id, piece]));
    for (const { id } of used) {
      if (!ended.delete(id)) throw s3Error('InvalidPart', { details: { UploadId: upload } }); // replaced while the others were looked at
    }
    return [...ended.values()];
  }

  /** Commits a record of these bytes together with where they lie. */
  async #take(given: Body, record: (pieces: readonly Piece[]) => void): Promise<void> {
    const { db, folder, arrivals } = this.#rooms;
    const body = await folder.own(given);
    const arrived = body.pieces.filter(({ id }) => folder.isFresh(id));
    try {
      await db.commit(() => {
        record(body.pieces);
        arrivals.record(arrived);
      });
    } catch (error) {
      if (body !== given) await body.discard();
      throw error;
    }
    folder.keep(arrived);
    await arrivals.settle(arrived);
  }
}
