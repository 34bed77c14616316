/**
 * A migration as the rest of the product sees it: checked, complete, frozen, plain data (it crosses processes as JSON). Sizes are bytes,
 * times milliseconds, rates bytes or requests per second; an absent optional field means "no limit" or "not set". The file that an
 * operator writes is described by the schema in schema/; docs/migration-file.md is made from it.
 */
import type { Window } from '../core/timetable.ts';

export interface Migration {
  /** Letters, digits, `.`, `_`, `-`. Names the ledger: RUN is `name` or `name@N`. */
  readonly name: string;
  /** Absolute path of the migration file; absent for an ad-hoc copy. */
  readonly file?: string;
  readonly source: Location;
  /** What lists the source instead of the store: the absolute path of a file, or an inventory in a bucket. */
  readonly sourceListing?: string | S3Listing;
  readonly destination: Destination;
  readonly select: Select;
  readonly transform: Transform;
  readonly fidelity: Fidelity;
  readonly compare: Compare;
  readonly onConflict: OnConflict;
  /** What becomes of an object that was listed and is definitely gone when it is read (F028). */
  readonly sourceGone: 'skip' | 'fail';
  /** Skipped archived objects are allowed: they do not make the run end with exit 1 (F073). */
  readonly allowArchived: boolean;
  readonly createBucket: boolean;
  readonly requesterPays: boolean;
  readonly limits: Limits;
  readonly batch: Batch;
  readonly transfer: Transfer;
  readonly filesystem: FilesystemOptions;
  readonly verify: Verify;
  readonly report: Report;
  /** Forked copier processes; `auto` = about one per core, 0 = none, copy in the coordinator's own process. */
  readonly executors: 'auto' | number;
}

export type Location = S3Location | FileLocation | SyntheticLocation | MemoryLocation;

export interface S3Location {
  readonly kind: 's3';
  readonly bucket: string;
  /** Empty, or ends with `/`: `logs` in the file means everything below `logs/`, never `logs-archive/`. */
  readonly prefix: string;
  /**
   * Only in an ad-hoc copy, when the URL does not end in `/`: `s3://bucket/a/b` may be one object. If a HEAD of this key finds it, the
   * copy is of that one object; else of everything below `prefix`.
   */
  readonly maybeObject?: string;
  readonly connection: Connection;
}

/** An S3 Inventory where it was written. */
export interface S3Listing {
  /** The whole bucket that holds it. */
  readonly location: S3Location;
  /** Key of its manifest.json. */
  readonly manifest: string;
}

export interface FileLocation {
  readonly kind: 'file';
  /** Absolute, normalised; links are not resolved. */
  readonly path: string;
}

/** A made-up, read-only store of any size, for scale tests: `synthetic://?count=1000000&seed=1&size=4096`. */
export interface SyntheticLocation {
  readonly kind: 'synthetic';
  readonly count: number;
  readonly seed: number;
  /** Bytes of each object. */
  readonly size: number;
}

/** A store in this process's memory, for tests: `memory://name`. */
export interface MemoryLocation {
  readonly kind: 'memory';
  readonly name: string;
}

export type Destination = Location & {
  readonly sse: 'none' | 'AES256' | 'aws:kms';
  readonly kmsKeyId?: string;
  /** For objects whose source says no storage class, or one that the destination does not know. */
  readonly storageClass?: string;
};

export const PROVIDERS = [
  'auto', 'aws', 'ceph', 'minio', 'versitygw', 'seaweedfs', 'ibm-cos', 'r2', 'wasabi', 'b2', 'gcs-interop', 'scaleway', 'generic',
] as const;
export type Provider = (typeof PROVIDERS)[number];

/** Which bodies go over lanes: those from 1 MiB on, all of them, or none. */
export const LANE_MODES = ['auto', 'always', 'never'] as const;
export type LaneMode = (typeof LANE_MODES)[number];
export const CHECKSUM_MODES = ['auto', 'crc64nvme', 'crc32c', 'crc32', 'sha256', 'sha1', 'md5', 'none'] as const;
export type ChecksumMode = (typeof CHECKSUM_MODES)[number];

/** How to reach an S3-compatible store. */
export interface Connection {
  /** Its name under `connections:`, if it was named. */
  readonly name?: string;
  /** `http(s)://host[:port]` without a trailing slash; absent = AWS in `region`. */
  readonly endpoint?: string;
  readonly region?: string;
  readonly provider: Provider;
  readonly pathStyle: 'auto' | boolean;
  /** Absolute path of a PEM file. */
  readonly caFile?: string;
  readonly insecureTls: boolean;
  readonly proxy?: string;
  readonly payloadSigning: 'auto' | 'signed' | 'unsigned';
  /** To and from our own endpoint. */
  readonly compression: 'off' | 'auto';
  readonly lanes: LaneMode;
  readonly checksum: ChecksumMode;
  readonly credentials: CredentialRef;
}

/** Where one secret value stands. */
export type ValueRef =
  | { readonly from: 'env'; readonly name: string; readonly optional?: boolean }
  | { readonly from: 'file'; readonly path: string }
  | { readonly from: 'aws-sm'; readonly name: string; readonly jsonKey?: string }
  | { readonly from: 'aws-ssm'; readonly name: string };

/** Where credentials come from: a reference, never the credentials (truth 13). */
export type CredentialRef =
  | { readonly kind: 'default' }
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'profile'; readonly name: string }
  | { readonly kind: 'document'; readonly ref: ValueRef }
  | KeysRef
  | AssumeRoleRef;

export interface KeysRef {
  readonly kind: 'keys';
  readonly accessKeyId: ValueRef;
  readonly secretAccessKey: ValueRef;
  readonly sessionToken?: ValueRef;
}

export interface AssumeRoleRef {
  readonly kind: 'assume-role';
  readonly roleArn: string;
  readonly externalId?: string;
  readonly sessionName: string;
  readonly durationMs: number;
  readonly base: CredentialRef;
}

/** A point in time, or an age counted back from the start of the run. */
export type Moment =
  | { readonly kind: 'instant'; readonly ms: number }
  | { readonly kind: 'age'; readonly ms: number };

export interface Select {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly minSize?: number;
  readonly maxSize?: number;
  readonly modifiedAfter?: Moment;
  readonly modifiedBefore?: Moment;
  /** Objects younger than this are left for a later run: they may still be written (F031). 0 = take all. */
  readonly minAgeMs: number;
}

export interface Transform {
  readonly tags: { readonly copy: boolean; readonly set: Readonly<Record<string, string>> };
  readonly metadata: { readonly set: Readonly<Record<string, string>> };
  /** Overrides the source's storage class. */
  readonly storageClass?: string;
  /** Written before every destination key. */
  readonly keyPrefix: string;
}

export const FIDELITY_ATTRIBUTES = ['contentHeaders', 'userMetadata', 'tags', 'storageClass', 'mtime', 'mode'] as const;
/** `strict`: an object that loses it fails · `report`: copied, and the loss is counted and listed · `ignore`: not even asked for. */
export type FidelityLevel = 'strict' | 'report' | 'ignore';
export type Fidelity = Readonly<Record<(typeof FIDELITY_ATTRIBUTES)[number], FidelityLevel>>;

export type Compare = 'auto' | 'size-mtime' | 'checksum';
export type OnConflict = 'overwrite' | 'skip-newer' | 'fail';
export type Verify = 'none' | 'inline' | 'checksum' | 'full';

export interface Limits {
  /** Bytes per second, read plus nothing else: each byte counts once. Absent = no limit. */
  readonly bandwidth?: number;
  /** Requests per second against each store. Absent = no limit. */
  readonly requests?: number;
  /** Objects (or parts) in flight over all executors. */
  readonly concurrency: 'auto' | number;
  readonly listings: 'auto' | number;
  /** Objects above 64 MiB in flight over all executors, at least one each. */
  readonly largeObjects: 'auto' | number;
  /** Bytes of buffers per process. */
  readonly memory: number;
  /** Limits at times of the week. */
  readonly schedule: readonly Window[];
  /** Of the wall clock that the schedule is read from; absent: the machine's. */
  readonly timezone?: string;
}

export interface Batch {
  readonly objects: number;
  readonly bytes: number;
  /** Of one large object, that a worker of a fleet takes at a time. */
  readonly span: number;
  readonly seconds: number;
}

export interface Transfer {
  readonly partSize: 'auto' | number;
  readonly partConcurrency: 'auto' | number;
  readonly serverSideCopy: 'auto' | 'never';
  /** Objects larger than this go as multipart. */
  readonly multipartThreshold: number;
  /** Objects larger than this are copied server-side in parts. */
  readonly singleCopyLimit: number;
  /** No byte for this long: the connection is given up and the read resumed (F002). */
  readonly stallTimeoutMs: number;
  /** Bytes per second: a body slower than this for as long, and than others, is given up likewise; 0: none is. Absent in what older builds saved. */
  readonly stallRate?: number;
  /** A read that is far slower than others is asked for a second time. Absent in what older builds saved: `auto`. */
  readonly hedgeReads?: 'auto' | 'never';
}

export interface FilesystemOptions {
  /** `escaped`: a source's file names are decoded where an earlier store → file system run escaped them. */
  readonly names: 'verbatim' | 'escaped';
  readonly symlinks: 'skip' | 'follow';
}

export interface Report {
  /** Absolute path of a report to write when the run ends; absent = none. */
  readonly file?: string;
  readonly format: 'text' | 'json' | 'csv' | 'ndjson';
}
