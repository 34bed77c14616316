/**
 * Layout `files`: an ordinary tree, served as it is. The directories in the root are the buckets, or the root itself is the only one.
 * A key is a path below its bucket; keys that cannot be one are refused. No versions.
 *
 *     <root>/<bucket>/<key>            the files, which other programs may read and write at any time
 *     <root>/.brigade/agent-<id>/<id>  bytes on their way and parts of uploads; never listed
 *     <state>/files.db                 what files cannot keep: ETags, checksums, headers, tags, uploads
 */
import type { BigIntStats } from 'node:fs';
import { mkdir, opendir } from 'node:fs/promises';
import { BrigadeError } from '../../core/errors.ts';
import { isUtf8Key } from '../../core/key.ts';
import { errno } from '../../stores/filesystem/failures.ts';
import type { Dir } from '../../stores/filesystem/jail.ts';
import { isTemporary, keyOf, rawOf, type Place, type Raw } from '../../stores/filesystem/names.ts';
import { fstat, unlink } from '../../stores/filesystem/syscalls.ts';
import { tokenOf } from '../../stores/filesystem/token.ts';
import type { FolderBody } from '../bodies/folder.ts';
import { s3Error } from '../errors.ts';
import { newBucket } from '../layout.ts';
import type { Body, Bucket, Guard, KeyEntry, Layout, ListedEntry, Maybe, ObjectVersion, ScanHints, Upload, UploadPart } from '../layout.ts';
import { Locks } from './locks.ts';
import { recover } from './recover.ts';
import { isAbsence, isDirectory, noSuchBucket, parentIsFile, refusalOf } from './refusals.ts';
import { closeFilesRooms, openFilesRooms } from './rooms.ts';
import type { FilesLayoutOptions, FilesRooms } from './rooms.ts';
import type { Found } from './tree.ts';
import { Walk } from './walk.ts';
import type { Step } from './walk.ts';
import { Walks } from './walks.ts';
import { writeFile } from './writing.ts';

export type { FilesLayoutOptions } from './rooms.ts';

/** Opens a tree and brings it in order after a crash.
 * @throws BrigadeError E_NO_ROOT, E_STATE_IN_ROOT, E_STATE_OF_ANOTHER_ROOT, E_STATE_LOCKED, E_STATE_UNUSABLE */
export async function openFilesLayout(options: FilesLayoutOptions): Promise<FilesLayout> {
  const rooms = await openFilesRooms(options);
  try {
    await recover(rooms);
    return new FilesLayout(rooms);
  } catch (error) {
    await closeFilesRooms(rooms);
    throw error;
  }
}

const noVersion = 'null';
const DEFAULT_REGION = 'us-east-1';
const entryOf = (key: string, version: ObjectVersion | undefined): KeyEntry | undefined => (version === undefined ? undefined : { key, versions: [version] });
/** Names that a listing of buckets can show; hidden directories are no buckets. */
const isBucketName = (name: Raw): boolean => !/^\.|[\x00-\x1f\x7f]/.test(name) && isUtf8Key(keyOf(name)) && !isTemporary(name);
const milliseconds = (ns: bigint): number => Math.round(Number(ns) / 1e6);

export class FilesLayout implements Layout {
  readonly #rooms: FilesRooms;
  readonly #locks = new Locks();
  readonly #walks = new Walks(() => Date.now());
  /** When the directories of buckets were made, epoch milliseconds: that never changes, so an open one need not be looked at for it again. */
  readonly #born = new WeakMap<Dir, number>();

  constructor(rooms: FilesRooms) {
    this.#rooms = rooms;
  }

  async buckets(): Promise<readonly Bucket[]> {
    const names: Raw[] = [];
    if (this.#rooms.options.bucket !== undefined) names.push(rawOf(this.#rooms.options.bucket));
    else {
      const root = await this.#rooms.jail.root();
      for await (const found of await opendir(root.at('.'), { encoding: 'latin1' })) if (isBucketName(found.name)) names.push(found.name);
    }
    const buckets: Bucket[] = [];
    for (const name of names.sort((a, b) => (a < b ? -1 : 1))) {
      const bucket = await this.bucket(keyOf(name));
      if (bucket !== undefined) buckets.push(bucket);
    }
    return buckets;
  }

  bucket(name: string): Maybe<Bucket | undefined> {
    const { options, jail, tree } = this.#rooms;
    if (options.bucket === undefined ? !this.#couldBe(name) : options.bucket !== name) return undefined;
    const dir = jail.now(tree.bucketSegments(name));
    const born = dir === undefined ? undefined : this.#born.get(dir);
    return born === undefined ? this.#openBucket(name) : newBucket(name, born, options.region ?? DEFAULT_REGION);
  }

  async #openBucket(name: string): Promise<Bucket | undefined> {
    const { options, jail, tree } = this.#rooms;
    try {
      const dir = await jail.acquire(tree.bucketSegments(name), false, 'head');
      try {
        const { birthtimeNs, ctimeNs } = await fstat(dir.fd);
        if (birthtimeNs > 0n) this.#born.set(dir, milliseconds(birthtimeNs));
        return newBucket(name, milliseconds(birthtimeNs > 0n ? birthtimeNs : ctimeNs), options.region ?? DEFAULT_REGION);
      } finally {
        await jail.release(dir);
      }
    } catch (error) {
      if (isAbsence(error)) return undefined;
      throw refusalOf(error, '');
    }
  }

  async addBucket(bucket: Bucket): Promise<void> {
    this.#expectSeveral();
    if (bucket.versioning !== undefined || bucket.objectLock) throw noSettings();
    if (!this.#couldBe(bucket.name)) throw s3Error('InvalidBucketName', { details: { BucketName: bucket.name } });
    const root = await this.#rooms.jail.root();
    try {
      await mkdir(root.at(rawOf(bucket.name)));
      await root.sync();
    } catch (error) {
      if (errno(error) === 'EEXIST') throw s3Error('BucketAlreadyOwnedByYou', { details: { BucketName: bucket.name } });
      throw refusalOf(error, '');
    }
  }

  changeBucket(): void {
    throw noSettings();
  }

  async removeBucket(name: string): Promise<void> {
    this.#expectSeveral();
    const { db, tree, folder, records, uploads } = this.#rooms;
    if ((await this.bucket(name)) === undefined) throw noSuchBucket(name);
    if (!(await tree.removeDirectory(tree.bucketSegments(name)))) throw s3Error('BucketNotEmpty', { details: { BucketName: name } });
    const pieces = await db.commit(() => {
      records.removeBucket(name);
      return uploads.endAll(name);
    });
    for (const { id } of pieces) await folder.remove(id);
  }

  accepts(bucket: string, key: string): void {
    this.#rooms.tree.place(bucket, key);
  }

  entry(bucket: string, key: string): Maybe<KeyEntry | undefined> {
    const place = this.#rooms.tree.lookup(bucket, key);
    if (place === undefined) return undefined;
    const found = this.#rooms.tree.findNow(place);
    if (found === undefined) return this.#current(bucket, key, place).then((version) => entryOf(key, version));
    return entryOf(key, this.#version(bucket, key, place, found));
  }

  async *scan(bucket: string, from: Buffer, hints: ScanHints = {}): AsyncGenerator<ListedEntry, void, Buffer | undefined> {
    const { prefix = '', delimiter = '' } = hints;
    const listing = JSON.stringify([bucket, prefix, delimiter]);
    const start = from.toString('latin1');
    const walk = (await this.#walks.take(listing, start)) ?? await this.#openWalk(bucket, prefix, delimiter, start);
    const recorded = this.#rooms.records.any(bucket);
    let left = false;
    try {
      for (let to: Buffer | undefined; ;) {
        const step = await walk.next(to?.toString('latin1'));
        if (step === undefined) return;
        const entry = this.#listed(bucket, step, recorded);
        left = true;
        to = entry === undefined ? undefined : yield entry;
        left = false;
      }
    } catch (error) {
      throw refusalOf(error, prefix);
    } finally {
      if (left) await this.#walks.lay(listing, walk);
      else await walk.close();
    }
  }

  async put(bucket: string, version: ObjectVersion, guard: Guard, upload?: string): Promise<void> {
    const { tree } = this.#rooms;
    const { key } = version;
    const place = tree.place(bucket, key);
    if (version.deleteMarker || version.versionId !== noVersion) throw noSettings();
    try {
      if ((await this.bucket(bucket)) === undefined) throw noSuchBucket(bucket);
      if (place.directory) await this.#locks.run(lockOf(bucket, key), () => this.#putDirectory(bucket, place, version, guard));
      else await this.#putFile(bucket, place, version, guard, upload);
    } catch (error) {
      throw refusalOf(error, key);
    }
  }

  replace(bucket: string, version: ObjectVersion): Promise<void> {
    const { db, tree, records } = this.#rooms;
    return this.#locks.run(lockOf(bucket, version.key), async () => {
      const found = await tree.find(tree.place(bucket, version.key), version.key);
      if (found !== undefined) await db.commit(() => records.replace(bucket, version, found.stats));
    });
  }

  async remove(bucket: string, key: string, versionId: string, guard: Guard): Promise<ObjectVersion | undefined> {
    const place = this.#rooms.tree.lookup(bucket, key);
    if (place === undefined) {
      guard(undefined);
      return undefined;
    }
    return this.#locks.run(lockOf(bucket, key), async () => {
      const current = await this.#current(bucket, key, place);
      guard(current);
      if (current === undefined || versionId !== noVersion) return undefined;
      await this.#removeAt(bucket, key, place);
      return current;
    });
  }

  write(source: AsyncIterable<Buffer>): Promise<FolderBody> {
    return this.#rooms.folder.write(source);
  }

  /** A file is one piece: the parts are copied one behind the other. */
  concat(parts: readonly Body[]): Promise<FolderBody> {
    return this.write((async function* joined() {
      for (const part of parts) yield* part.read(0, part.size);
    })());
  }

  async addUpload(bucket: string, upload: Upload): Promise<void> {
    const { db, tree, uploads } = this.#rooms;
    if (tree.place(bucket, upload.key).directory) throw s3Error('InvalidArgument', { message: 'A key that ends with a slash is a directory, which holds no bytes.', details: { ArgumentName: 'key', ArgumentValue: upload.key } });
    await db.commit(() => uploads.add(bucket, upload));
    for (const part of upload.parts.values()) await this.putPart(bucket, upload.id, part);
  }

  upload(bucket: string, id: string): Upload | undefined {
    return this.#rooms.uploads.get(bucket, id);
  }

  uploads(bucket: string): readonly Upload[] {
    return this.#rooms.uploads.list(bucket);
  }

  async putPart(bucket: string, id: string, part: UploadPart): Promise<void> {
    const { db, folder, uploads } = this.#rooms;
    const body = await folder.own(part.body);
    const before = await db.commit(() => uploads.putPart(bucket, id, part, body.pieces));
    folder.keep(body.pieces);
    for (const piece of before) await folder.remove(piece.id);
  }

  async removeUpload(bucket: string, id: string): Promise<void> {
    const { db, folder, uploads } = this.#rooms;
    const pieces = await db.commit(() => uploads.end(bucket, id));
    for (const piece of pieces) await folder.remove(piece.id);
  }

  async close(): Promise<void> {
    await this.#walks.close();
    await closeFilesRooms(this.#rooms);
  }

  #couldBe(name: string): boolean {
    return name !== '' && !name.includes('/') && isBucketName(rawOf(name)) && rawOf(name).length <= 255;
  }

  #expectSeveral(): void {
    if (this.#rooms.options.bucket !== undefined) throw s3Error('AccessDenied', { message: `This agent serves one directory as the bucket ${this.#rooms.options.bucket}: none can be added or removed.` });
  }

  async #openWalk(bucket: string, prefix: string, delimiter: string, from: Raw): Promise<Walk> {
    const { jail, tree, options, spillFolder } = this.#rooms;
    const spill = { folder: spillFolder, ...(options.mostNames === undefined ? {} : { most: options.mostNames }) };
    const walk = new Walk({ jail, bucket: tree.bucketSegments(bucket), prefix, delimiter, spill, unreadable: options.unreadable ?? 'refuse' }, from);
    try {
      await walk.open();
    } catch (error) {
      throw isAbsence(error) ? noSuchBucket(bucket) : refusalOf(error, bucket);
    }
    return walk;
  }

  #listed(bucket: string, step: Step, recorded: boolean): ListedEntry | undefined {
    const { key, stats } = step;
    // A stand-in is only asked for its common prefix.
    if (stats === undefined) return { key, versions: [{ key, versionId: noVersion, deleteMarker: false, modified: 0, etag: '', storageClass: 'STANDARD', restore: undefined, checksum: undefined, body: { size: 0 } }] };
    const record = recorded ? this.#rooms.records.light(bucket, key, stats) : undefined;
    if (stats.isDirectory() && record === undefined && !step.empty) return undefined;
    const { etag, checksum, storageClass, restore } = record ?? { etag: statETag(stats), checksum: undefined, storageClass: 'STANDARD', restore: undefined };
    return { key, versions: [{ key, versionId: noVersion, deleteMarker: false, modified: milliseconds(stats.mtimeNs), etag, checksum, storageClass, restore, body: { size: sizeOf(stats) } }] };
  }

  async #current(bucket: string, key: string, place: Place): Promise<ObjectVersion | undefined> {
    const found = await this.#rooms.tree.find(place, key);
    return found === undefined ? undefined : this.#version(bucket, key, place, found);
  }

  /** What stands there as a client sees it. A directory is an object where it was made as one, or holds nothing else. */
  #version(bucket: string, key: string, place: Place, { stats, empty }: Found): ObjectVersion | undefined {
    const record = this.#rooms.records.full(bucket, key, stats);
    if (place.directory && record === undefined && !empty) return undefined;
    const known = record ?? { etag: statETag(stats), checksum: undefined, restore: undefined, parts: undefined, system: new Map([['content-type', 'binary/octet-stream']]), meta: new Map(), tags: [], echoed: new Map(), storageClass: 'STANDARD' };
    return { ...known, key, versionId: noVersion, deleteMarker: false, modified: milliseconds(stats.mtimeNs), body: place.directory ? nothing : this.#rooms.tree.body(place, stats) };
  }

  async #putFile(bucket: string, place: Place, version: ObjectVersion, guard: Guard, upload: string | undefined): Promise<void> {
    const body = await this.#rooms.folder.own(version.body);
    const standing = (stats: BigIntStats): ObjectVersion => this.#version(bucket, version.key, place, { stats, empty: false }) as ObjectVersion;
    try {
      await this.#locks.run(lockOf(bucket, version.key), () => writeFile(this.#rooms, body, { bucket, place, version, guard, upload, standing }));
    } catch (error) {
      if (body !== version.body) await body.discard();
      throw error;
    }
  }

  async #putDirectory(bucket: string, place: Place, version: ObjectVersion, guard: Guard): Promise<void> {
    const { db, jail, records } = this.#rooms;
    if (version.body.size > 0) throw s3Error('InvalidArgument', { message: 'A key that ends with a slash is a directory, which holds no bytes.', details: { ArgumentName: 'key', ArgumentValue: version.key } });
    guard(await this.#current(bucket, version.key, place));
    const dir = await jail.acquire(place.segments, true, 'mkdir').catch((error: unknown) => {
      throw isAbsence(error) && !(error instanceof BrigadeError && error.code === 'E_LINK_IN_PATH') ? parentIsFile(version.key) : error;
    });
    try {
      const stats = await fstat(dir.fd);
      await db.commit(() => records.replace(bucket, version, stats));
    } finally {
      await jail.release(dir);
    }
    await version.body.discard();
  }

  async #removeAt(bucket: string, key: string, place: Place): Promise<void> {
    const { db, jail, tree, records } = this.#rooms;
    try {
      if (place.directory) await tree.removeDirectory(place.segments);
      else {
        const dir = await tree.acquireParent(place, false);
        try {
          await unlink(dir.at(place.segments.at(-1) as Raw));
          await dir.sync();
        } finally {
          await jail.release(dir);
        }
      }
    } catch (error) {
      if (errno(error) === 'EISDIR') throw isDirectory(key);
      if (!isAbsence(error)) throw refusalOf(error, key);
    }
    await db.commit(() => records.remove(bucket, key));
    await tree.prune(bucket, place, (above, stats) => records.light(bucket, above, stats) !== undefined);
  }
}

const nothing: Body = { size: 0, read: () => [], discard: () => undefined };
const sizeOf = (stats: BigIntStats): number => (stats.isDirectory() ? 0 : Number(stats.size));
const lockOf = (bucket: string, key: string): string => `${bucket}/${key}`;

/** What is known without reading the bytes, in a form that no client takes for an MD5. */
const statETag = (stats: BigIntStats): string => `stat-${tokenOf(stats)}`;

const noSettings = (): Error => s3Error('NotImplemented', { message: 'Layout files keeps no versions and no settings of buckets; layout objects does.' });
