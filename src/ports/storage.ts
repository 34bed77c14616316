/**
 * The storage port: what a store can do, small enough that a driver is one folder. Keys are relative to the store's root (bucket +
 * prefix, or directory). A driver performs one request per call: it never retries, logs, counts or throttles; decorators do
 * (stores/stack.ts). It classifies every failure as a BrigadeError; the engine decides.
 */
import type { Attributes, Checksum, ChecksumAlgorithm, ContentHeaders, ObjectEntry, ObjectInfo, Pin, Token } from '../core/object.ts';
import type { Key } from '../core/key.ts';

/** Declared facts, never discovered by failing. Sizes in bytes; `Infinity` where there is no limit. */
export interface StoreFacts {
  /** `posix`: names are paths, directories exist. `opaque`: any UTF-8 key. */
  readonly names: 'opaque' | 'posix';
  /** list() yields keys in ascending byte order, checked page by page; otherwise the planner sorts through SQLite. */
  readonly ordered: boolean;
  /** `a` and `a/b` cannot both exist here, as on a file system (F043). */
  readonly exclusivePrefixes?: boolean;
  readonly maxKeyBytes: number;
  readonly maxObjectSize: number;
  /** Largest object in one write(). */
  readonly maxSingleWrite: number;
  /** Largest object in one serverCopy.copy(). */
  readonly maxSingleCopy: number;
  readonly minPartSize: number;
  readonly maxPartSize: number;
  readonly maxParts: number;
  /** Guards that the store enforces atomically; a guard it lacks is checked just before the write and said so in the report. */
  readonly guards: { readonly absent: boolean; readonly matches: boolean; readonly onComplete: boolean };
  /** Checksums that the store verifies on write and vouches for afterwards, best first. Empty: computed in flight, re-read on verify. */
  readonly checksums: readonly ChecksumAlgorithm[];
  /** The checksum of a multipart object can be sent and stored as one over the whole object (FULL_OBJECT). */
  readonly fullObjectChecksum: boolean;
  /** The bytes are verified by the store on write (checksum, MD5 or signed payload), even where no checksum can be asked for later. */
  readonly verifiesOnWrite: boolean;
  readonly attributes: {
    readonly contentHeaders: boolean;
    readonly userMetadata: boolean;
    readonly tags: boolean;
    readonly storageClass: boolean;
    readonly mtime: boolean;
    readonly mode: boolean;
  };
  /** Content headers that the store drops although it takes the others. */
  readonly lostHeaders?: LostHeaders;
  /** `_` in the name of a metadata entry comes back as `-`. */
  readonly foldsUnderscores?: boolean;
  /** Storage classes are its operator's own: those of other providers are refused, so they are only sent when the migration names one. */
  readonly ownClasses?: boolean;
  readonly maxUserMetadataBytes: number;
  readonly maxTags: number;
  /** Lower-case provider or file system name, for messages: `aws`, `ceph`, `ext4`. */
  readonly provider: string;
}

export interface LostHeaders {
  readonly always: readonly (keyof ContentHeaders)[];
  /** Besides, of objects that were written in parts. */
  readonly inParts: readonly (keyof ContentHeaders)[];
}

export interface ListPage {
  /**
   * Of a page with `reach` they are read from the answer when they are first looked at. What is wrong with it is thrown then, and again by
   * the step of the listing that is taken after it: no listing goes on behind a page that is not proven.
   */
  readonly entries: readonly ObjectEntry[];
  /** The store said that nothing comes behind this page; absent: only the end of the pages tells. */
  readonly last?: boolean;
  /** Of a page that is handed out unread: its last key as the answer shows it, proven by nothing. It tells whether more will be wanted. */
  readonly reach?: Key;
  /** Its entries were taken and will not be looked at here again. Promises that brought the page may stay in memory, and it with them: empty from now on. */
  release?(): void;
}

export interface ListRequest {
  /** Only keys with this prefix. */
  readonly prefix?: Key;
  /** Only keys after this one: how a listing goes on from a checkpoint. */
  readonly startAfter?: Key;
  /** Only directories are wanted: a store that has them need not look at anything else. */
  readonly directories?: boolean;
  /** Pages that are not the last may come unread (ListPage.reach): who asks for the next one first does not let it wait for the reading. */
  readonly ahead?: boolean;
  readonly signal?: AbortSignal;
}

export interface ReadRequest {
  readonly key: Key;
  /** The version to read; anything else is kind `changed`. */
  readonly pin?: Pin;
  /** Bytes [offset, offset + length); absent: the whole object. length > 0. */
  readonly range?: { readonly offset: number; readonly length: number };
  /** Size from the listing. Authoritative: an answer that disagrees is E_SHORT_READ, E_TRANSCODED or E_SIZE_LIST_MISMATCH (truth 5). */
  readonly expectedSize: number;
  /**
   * A buffer of exactly the size that is asked for. A driver may let the bytes land there: its chunks are then pieces of it, each in its
   * place, and need not be copied (isInPlace). It may as well ignore it. Nobody else writes to it while the read is open.
   */
  readonly into?: Uint8Array;
  readonly signal?: AbortSignal;
}

/** Whether a chunk that was read is the piece of `into` that begins at `at`. */
export function isInPlace(chunk: Uint8Array, into: Uint8Array, at: number): boolean {
  return chunk.buffer === into.buffer && chunk.byteOffset === into.byteOffset + at;
}

/** An open read. Exactly one of: iterate `chunks` to the end (or break out), or call discard(). */
export interface ObjectRead {
  /** What the answer said of the object: attributes and token. `size` is that of the whole object. */
  readonly info: ObjectInfo;
  /** Bytes in order. A chunk belongs to the consumer until it asks for the next one. Leaving the loop frees the socket or file. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** The whole body, proven to be of the right length, where the driver has it in memory already: `chunks` then yields just this, and there is nothing to free. */
  readonly bytes?: Uint8Array;
  /** Frees the connection when the body is not wanted (F004). Safe to call twice. */
  discard(): void;
}

/** Bytes to write; open() may be called again for a retry and then starts from the first byte. */
export interface Body {
  readonly size: number;
  /** The bytes, where they are whole in memory: drivers then send them in one write. */
  readonly bytes?: Uint8Array;
  open(): AsyncIterable<Uint8Array>;
  /** Checksum over the bytes, where it is known before the first byte is sent. */
  readonly checksum?: Checksum;
  /** A checksum that the body computes itself while it is read, so that nobody need compute it again; told when the last pass has come to its end. */
  readonly inFlight?: { readonly algorithm: ChecksumAlgorithm; computed(): Checksum | undefined };
}

/** What must be true of the destination for the write to happen (truth 4). A refusal is kind `conflict`. */
export type Guard =
  | { readonly kind: 'absent' }
  | { readonly kind: 'matches'; readonly token: Token }
  | { readonly kind: 'none' };

export interface WriteRequest {
  readonly key: Key;
  readonly body: Body;
  readonly attributes: Attributes;
  readonly guard: Guard;
  readonly signal?: AbortSignal;
}

export interface Written {
  /** The token that a listing will show for it. */
  readonly token: Token;
  /** Present only when the store vouches for it (it computed or verified it). */
  readonly checksum?: Checksum;
  /** Our own checksum over the bytes sent, when a streamed body was computed in flight. */
  readonly sent?: Checksum;
}

export interface UploadRequest {
  readonly key: Key;
  readonly size: number;
  readonly partSize: number;
  readonly attributes: Attributes;
  readonly checksumAlgorithm?: ChecksumAlgorithm;
  /** The parts will come from serverCopy.copyPart(). */
  readonly copied?: boolean;
  readonly signal?: AbortSignal;
}

/** One upload in progress. Everything needed to go on from another process. */
export interface Upload {
  readonly key: Key;
  readonly id: string;
  readonly size: number;
  readonly partSize: number;
  readonly checksumAlgorithm?: ChecksumAlgorithm;
}

export interface Part {
  /** From 1, contiguous. */
  readonly number: number;
  readonly size: number;
  readonly token: Token;
  readonly checksum?: Checksum;
}

export interface CompleteRequest {
  readonly upload: Upload;
  readonly parts: readonly Part[];
  readonly attributes: Attributes;
  readonly guard: Guard;
  /** Checksum of the whole object, combined from the parts' where the algorithm is linear. */
  readonly checksum?: Checksum;
  readonly signal?: AbortSignal;
}

export interface OpenUpload {
  readonly key: Key;
  readonly id: string;
  /** When it was begun by the store's clock, milliseconds since 1970; absent where the store does not say. */
  readonly initiatedMs?: number;
}

/** Large objects in parts. A store without it takes any size in one write(). */
export interface Multipart {
  create(request: UploadRequest): Promise<Upload>;
  /** Writing the same number again replaces the part. */
  putPart(upload: Upload, number: number, body: Body, signal?: AbortSignal): Promise<Part>;
  complete(request: CompleteRequest): Promise<Written>;
  /** Idempotent; repeated until the store shows no part (F072). */
  abort(upload: Upload, signal?: AbortSignal): Promise<void>;
  /** Parts the store holds, in order; kind `gone` when the upload is unknown. */
  listParts(upload: Upload, signal?: AbortSignal): Promise<readonly Part[]>;
  /** Unfinished uploads under the root, ours and others'. */
  listUploads(signal?: AbortSignal): AsyncIterable<OpenUpload>;
}

/** The store copies by itself from another store it can read. Always checked after (F009, F010). */
export interface ServerCopy {
  /** Whether this pair can work at all (same endpoint, same provider); permissions show only by trying. */
  canCopyFrom(source: Store): boolean;
  copy(request: { readonly source: Store; readonly key: Key; readonly size: number; readonly pin: Pin; readonly attributes: Attributes; readonly guard: Guard; readonly signal?: AbortSignal }): Promise<Written>;
  copyPart(upload: Upload, number: number, request: { readonly source: Store; readonly key: Key; readonly pin: Pin; readonly range: { readonly offset: number; readonly length: number }; readonly signal?: AbortSignal }): Promise<Part>;
}

export interface Store {
  /** For messages and for binding a ledger: `s3://bucket/prefix`, `/dir`. No secrets, no query. */
  readonly address: string;
  readonly facts: StoreFacts;
  /** Who this is, so that a ledger is never used with another store (F032): endpoint + bucket, or directory's device and inode. */
  identity(signal?: AbortSignal): Promise<string>;
  /** Pages in listing order, one step at a time. A page that cannot be proven good is an error, never "no objects" (truth 2). */
  list(request: ListRequest): AsyncIterable<ListPage>;
  /** Facts of one object; kind `gone` when there is definitively none. `checksum: true` asks for the vouched checksum too. */
  head(key: Key, options?: { readonly checksum?: boolean; readonly signal?: AbortSignal }): Promise<ObjectInfo>;
  read(request: ReadRequest): Promise<ObjectRead>;
  /** Whole or not at all (truth 6). */
  write(request: WriteRequest): Promise<Written>;
  /** Only for objects we know to be ours: canaries and, later, deletions behind their own gates. */
  remove(key: Key, signal?: AbortSignal): Promise<void>;
  /** Tags of one version; absent where the store has none. */
  readTags?(key: Key, pin?: Pin, signal?: AbortSignal): Promise<ReadonlyMap<string, string>>;
  /** Sets all tags of an object that stands. Present only where a write does this as a second request, which a crash may have cut off. */
  writeTags?(key: Key, tags: ReadonlyMap<string, string>, signal?: AbortSignal): Promise<void>;
  /** Gives a directory that stands its mode and time; kind `gone` where there is none. Present only where directories have them. */
  setDirectory?(key: Key, attributes: Pick<Attributes, 'mode' | 'mtimeNs'>, signal?: AbortSignal): Promise<void>;
  /** Removes what killed writers left unfinished, last changed before this moment (milliseconds since 1970); uploads stay. Answers how many. */
  sweep?(beforeMs: number, signal?: AbortSignal): Promise<number>;
  /**
   * Takes away what a killed writer of ours left tied to the object that stands at this key, so that its token changes no more. Called before
   * an object in doubt is looked at. Present only where a write has such a moment.
   */
  untie?(key: Key, signal?: AbortSignal): Promise<void>;
  /** Why this key cannot be held here, or undefined. Pure, no request (F045, F046, F051). */
  refuses(entry: { readonly key: Key; readonly size: number }): { readonly code: string; readonly message: string } | undefined;
  readonly multipart?: Multipart;
  readonly serverCopy?: ServerCopy;
  close(): Promise<void>;
}
