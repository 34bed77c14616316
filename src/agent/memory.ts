/** Everything in memory: for tests and demonstrations. */
import { s3Error } from './errors.ts';
import type { Body, Bucket, Guard, KeyEntry, Layout, ObjectVersion, Upload, UploadPart } from './layout.ts';
import { OrderedMap } from './ordered.ts';

/** A body as a list of buffers. */
export function memoryBody(pieces: readonly Buffer[]): Body {
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return {
    size,
    *read(start, end) {
      let at = 0;
      for (const piece of pieces) {
        const slice = piece.subarray(Math.max(0, start - at), Math.max(0, end - at));
        if (slice.length > 0) yield slice;
        at += piece.length;
      }
    },
    discard: () => undefined,
  };
}

interface Shelf {
  readonly bucket: Bucket;
  readonly objects: OrderedMap<KeyEntry>;
  readonly uploads: Map<string, Upload & { readonly parts: Map<number, UploadPart> }>;
}

const byKeyThenStart = (a: Upload, b: Upload): number =>
  Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) || a.started - b.started || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id));

class MemoryLayout implements Layout {
  private readonly shelves = new Map<string, Shelf>();

  private shelf(name: string): Shelf {
    const shelf = this.shelves.get(name);
    if (shelf === undefined) throw new Error(`no bucket ${name}`);
    return shelf;
  }

  buckets(): readonly Bucket[] {
    return [...this.shelves.values()].map((s) => s.bucket).sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  }

  bucket(name: string): Bucket | undefined {
    return this.shelves.get(name)?.bucket;
  }

  addBucket(bucket: Bucket): void {
    this.shelves.set(bucket.name, { bucket, objects: new OrderedMap(), uploads: new Map() });
  }

  /** The bucket that callers hold is the one kept here. */
  changeBucket(bucket: Bucket): void {
    Object.assign(this.shelf(bucket.name).bucket, bucket);
  }

  removeBucket(name: string): void {
    if (this.shelf(name).objects.size > 0) throw s3Error('BucketNotEmpty', { details: { BucketName: name } });
    this.shelves.delete(name);
  }

  entry(bucket: string, key: string): KeyEntry | undefined {
    return this.shelf(bucket).objects.get(key);
  }

  scan(bucket: string, from: Buffer): Generator<KeyEntry, void, Buffer | undefined> {
    return this.shelf(bucket).objects.from(from);
  }

  put(bucket: string, version: ObjectVersion, guard: Guard, upload?: string): void {
    const { objects, uploads } = this.shelf(bucket);
    const before = objects.get(version.key)?.versions ?? [];
    guard(before[0]);
    if (upload !== undefined && !uploads.delete(upload)) throw s3Error('NoSuchUpload', { details: { UploadId: upload } });
    const kept = before.filter((v) => v.versionId !== version.versionId);
    objects.set(version.key, { key: version.key, versions: [version, ...kept] });
  }

  replace(bucket: string, version: ObjectVersion): void {
    const { objects } = this.shelf(bucket);
    const versions = objects.get(version.key)?.versions ?? [];
    objects.set(version.key, { key: version.key, versions: versions.map((v) => (v.versionId === version.versionId ? version : v)) });
  }

  remove(bucket: string, key: string, versionId: string, guard: Guard): ObjectVersion | undefined {
    const { objects } = this.shelf(bucket);
    const versions = objects.get(key)?.versions ?? [];
    guard(versions[0]);
    const kept = versions.filter((v) => v.versionId !== versionId);
    if (kept.length > 0) objects.set(key, { key, versions: kept });
    else objects.delete(key);
    return versions.find((v) => v.versionId === versionId);
  }

  async write(source: AsyncIterable<Buffer>): Promise<Body> {
    const pieces: Buffer[] = [];
    for await (const piece of source) pieces.push(piece);
    return memoryBody(pieces);
  }

  concat(parts: readonly Body[]): Body {
    const pieces = parts.flatMap((part) => [...(part.read(0, part.size) as Iterable<Buffer>)]);
    return memoryBody(pieces);
  }

  addUpload(bucket: string, upload: Upload): void {
    this.shelf(bucket).uploads.set(upload.id, { ...upload, parts: new Map(upload.parts) });
  }

  putPart(bucket: string, id: string, part: UploadPart): void {
    const upload = this.shelf(bucket).uploads.get(id);
    if (upload === undefined) throw s3Error('NoSuchUpload', { details: { UploadId: id } });
    upload.parts.set(part.number, part);
  }

  upload(bucket: string, id: string): Upload | undefined {
    return this.shelf(bucket).uploads.get(id);
  }

  uploads(bucket: string): readonly Upload[] {
    return [...this.shelf(bucket).uploads.values()].sort(byKeyThenStart);
  }

  removeUpload(bucket: string, id: string): void {
    this.shelf(bucket).uploads.delete(id);
  }
}

/** A fresh, empty layout in memory. Its buckets' flags may be changed in place by tests. */
export const memoryLayout = (): MemoryLayout => new MemoryLayout();
export type { MemoryLayout };
