/** What a storage layout under the endpoint keeps. Layouts differ in where; the endpoint alone knows S3's rules. */
import type { Algorithm, Checksum, ChecksumType } from './checksums.ts';

export type Maybe<T> = T | Promise<T>;

/** Bytes at rest. */
export interface Body {
  readonly size: number;
  /** Bytes `start` to `end`, end excluded. `lent`: each piece is done with when the next is asked for, the last when the iteration is ended,
   * so that buffers may be used again; a layout that gives them for good is still right. */
  read(start: number, end: number, lent?: boolean): AsyncIterable<Buffer> | Iterable<Buffer>;
  /** Whether the range is likely to hold holes that reading it would only show as zeros. */
  isSparse?(start: number, end: number): Maybe<boolean>;
  /** Frees the bytes; called once nothing refers to them. */
  discard(): Maybe<void>;
}

export interface StoredPart {
  readonly number: number;
  readonly size: number;
  /** Hex MD5. */
  readonly etag: string;
  /** Epoch milliseconds. */
  readonly modified: number;
  readonly checksum: Checksum | undefined;
}

/** What a client says about an object at PUT, Copy or Create. */
export interface Attributes {
  /** content-type, cache-control, … by lower-case header name. */
  readonly system: ReadonlyMap<string, string>;
  /** User metadata without the `x-amz-meta-` prefix, lower case. */
  readonly meta: ReadonlyMap<string, string>;
  readonly tags: readonly (readonly [name: string, value: string])[];
  readonly storageClass: string;
  /** Encryption and Object Lock headers, echoed. */
  readonly echoed: ReadonlyMap<string, string>;
}

export interface ObjectVersion extends Attributes {
  readonly key: string;
  /** 'null' where the bucket was not versioned. */
  readonly versionId: string;
  readonly deleteMarker: boolean;
  /** Epoch milliseconds. */
  readonly modified: number;
  /** Without quotes. */
  readonly etag: string;
  readonly checksum: Checksum | undefined;
  /** Only of multipart uploads. */
  readonly parts: readonly StoredPart[] | undefined;
  /** The x-amz-restore header of an archived object. */
  readonly restore: string | undefined;
  readonly body: Body;
}

export interface KeyEntry {
  readonly key: string;
  /** Newest first; never empty. */
  readonly versions: readonly ObjectVersion[];
}

/** What a listing shows of a version: a layout need not look up the rest. */
export interface ListedVersion extends Pick<ObjectVersion, 'key' | 'versionId' | 'deleteMarker' | 'modified' | 'etag' | 'storageClass' | 'restore'> {
  readonly checksum: Pick<Checksum, 'algorithm' | 'type'> | undefined;
  readonly body: Pick<Body, 'size'>;
}

export interface ListedEntry {
  readonly key: string;
  /** Newest first; never empty. */
  readonly versions: readonly ListedVersion[];
}

/** What the reader of a scan does not need. A layout that gives more is still right. */
export interface ScanHints {
  /** Keys that do not begin so are of no use. */
  readonly prefix?: string;
  /** Keys that share a common prefix are told as one: any of them, or a stand-in that has the common prefix, will do. */
  readonly delimiter?: string;
  /** Only the newest version of each key is looked at. */
  readonly newestOnly?: boolean;
  /** After about so many entries the reader will stop. */
  readonly expected?: number;
}

/** Entries in byte order; `next(to)` skips those with key bytes below `to`. Left early, it may be kept for a scan that goes on there. */
export type Scan = Generator<ListedEntry, void, Buffer | undefined> | AsyncGenerator<ListedEntry, void, Buffer | undefined>;

export interface UploadPart extends StoredPart {
  readonly body: Body;
  /** The raw CRC, when the object's checksum is made of the parts'. */
  readonly raw: Buffer | undefined;
}

export interface Upload extends Attributes {
  readonly id: string;
  readonly key: string;
  readonly started: number;
  readonly algorithm: Algorithm | undefined;
  /** Whether the client chose the algorithm; else it is the server's own and parts may bring another. */
  readonly declared: boolean;
  readonly checksumType: ChecksumType;
  /** By number. */
  readonly parts: ReadonlyMap<number, UploadPart>;
}

export interface Bucket {
  readonly name: string;
  readonly created: number;
  region: string;
  versioning: 'Enabled' | 'Suspended' | undefined;
  requestPayment: 'BucketOwner' | 'Requester';
  objectLock: boolean;
  /** Account id that x-amz-expected-bucket-owner is compared with. */
  owner: string;
  /** Whether ACLs are refused (BucketOwnerEnforced). */
  ownershipEnforced: boolean;
}

export const newBucket = (name: string, created: number, region: string): Bucket => ({
  name, created, region, versioning: undefined, requestPayment: 'BucketOwner', objectLock: false, owner: '111122223333', ownershipEnforced: true,
});

/** Looks at the newest version before a write and throws to refuse it; runs in the same step as the write. */
export type Guard = (newest: ObjectVersion | undefined) => void;

export interface Layout {
  buckets(): Maybe<readonly Bucket[]>;
  bucket(name: string): Maybe<Bucket | undefined>;
  addBucket(bucket: Bucket): Maybe<void>;
  /** Keeps changed settings of a bucket. */
  changeBucket(bucket: Bucket): Maybe<void>;
  /** Throws BucketNotEmpty. Unfinished uploads go with the bucket. */
  removeBucket(name: string): Maybe<void>;

  /** Throws where the layout cannot hold an object of this key; asked before its bytes are read. */
  accepts?(bucket: string, key: string): Maybe<void>;
  /** The newest version of a key; absent: entry() is asked. */
  newest?(bucket: string, key: string): Maybe<ObjectVersion | undefined>;
  /** All versions of a key. */
  entry(bucket: string, key: string): Maybe<KeyEntry | undefined>;
  /** Entries with UTF-8 key bytes ≥ `from`, in byte order. */
  scan(bucket: string, from: Buffer, hints?: ScanHints): Scan;
  /** Writes a version; a version with the same id is replaced. `upload`: the upload it completes, which ends in the same step, with
   * all of its parts that the version is not made of. Throws NoSuchUpload where another ended it, InvalidPart where a part was replaced. */
  put(bucket: string, version: ObjectVersion, guard: Guard, upload?: string): Maybe<void>;
  /** Changes the tags or restore state of a version where it stands in the order. */
  replace(bucket: string, version: ObjectVersion): Maybe<void>;
  /** Removes one version. Returns it, or undefined when there was none. */
  remove(bucket: string, key: string, versionId: string, guard: Guard): Maybe<ObjectVersion | undefined>;

  /** Stores bytes; they belong to nothing yet. On an error of the source nothing stays. */
  write(source: AsyncIterable<Buffer>): Promise<Body>;
  /** One body made of others, in order. They are the caller's until a version of the result is put; on an error there they still are. */
  concat(parts: readonly Body[]): Maybe<Body>;

  addUpload(bucket: string, upload: Upload): Maybe<void>;
  upload(bucket: string, id: string): Maybe<Upload | undefined>;
  /** Files a part; the one that had its number is freed. Throws NoSuchUpload. */
  putPart(bucket: string, id: string, part: UploadPart): Maybe<void>;
  /** In key order, then by start. */
  uploads(bucket: string): Maybe<readonly Upload[]>;
  /** Ends an upload and frees its parts. */
  removeUpload(bucket: string, id: string): Maybe<void>;

  /** Lets go of files and locks. */
  close?(): Maybe<void>;
}
