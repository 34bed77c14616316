/** What the engine knows of one object. Everything here is plain data: it crosses processes and lands in the ledger. */
import type { Key } from './key.ts';

/** Opaque version of an object as its store names it (ETag, generation; files: size + mtime + inode + ctime). Never a checksum (F017). */
export type Token = string;

/** What a read is nailed to: the token of the listing and, in a versioned store, the version. */
export interface Pin {
  readonly token: Token;
  readonly versionId?: string;
}

export type ChecksumAlgorithm = 'crc32' | 'crc32c' | 'crc64nvme' | 'sha1' | 'sha256' | 'md5';

export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  /** Raw digest as lower-case hex, big-endian for CRCs. */
  readonly hex: string;
}

/** One line of a listing. */
export interface ObjectEntry {
  readonly key: Key;
  /** Bytes. For a directory 0. */
  readonly size: number;
  readonly token: Token;
  /** Modification time, milliseconds since 1970 (file systems: fraction included); absent where the store says none. */
  readonly modifiedMs?: number;
  readonly storageClass?: string;
  /**
   * `object`: an object or regular file. `directory`: a directory of a file system, key with trailing `/` (`empty` when nothing lies below).
   * `special`: exists but cannot be carried; `reason` says why and becomes the outcome.
   */
  readonly kind: 'object' | 'directory' | 'special';
  readonly empty?: boolean;
  readonly reason?: EntryReason;
}

/** Why an entry ends without a copy before any try: a skip (allowed or not) or a failure of its own. */
export interface EntryReason {
  readonly state: 'skipped' | 'failed';
  /** `special_file`, `symlink`, `symlink_loop`, `archived` … or an error code such as E_ACCES. */
  readonly code: string;
  readonly message: string;
  /** What an operator can do about a failure. */
  readonly hint?: string;
  /** The whole subtree below the key could not be seen (F054): nothing below may ever be deleted or called extra. */
  readonly subtree?: boolean;
}

/** The six system headers that S3 keeps with an object; values verbatim. */
export interface ContentHeaders {
  readonly contentType?: string;
  readonly cacheControl?: string;
  readonly contentDisposition?: string;
  readonly contentEncoding?: string;
  readonly contentLanguage?: string;
  readonly expires?: string;
}

/** What travels with the bytes. Absent means: the store said nothing, or cannot. */
export interface Attributes {
  readonly headers: ContentHeaders;
  /** Names lower-case, values decoded to Unicode (drivers encode for the wire, F068). A Map: keys are the user's (F118). */
  readonly userMetadata: ReadonlyMap<string, string>;
  /** Empty: none, and a server-side copy keeps none of the source's either. Absent: not said; of a server-side copy the source's are kept. */
  readonly tags?: ReadonlyMap<string, string>;
  readonly storageClass?: string;
  /** Nanoseconds since 1970 as a decimal string, so that no precision is lost (F057). */
  readonly mtimeNs?: string;
  /** Permission bits, 0–0o777 (setuid, setgid and sticky are never carried, F058). */
  readonly mode?: number;
}

export const NO_ATTRIBUTES: Attributes = { headers: {}, userMetadata: new Map() };

export interface ObjectInfo extends Attributes {
  readonly key: Key;
  readonly size: number;
  readonly token: Token;
  readonly versionId?: string;
  readonly modifiedMs?: number;
  /** A checksum over the whole object that the store vouches for. Composite ones (of parts) are left out. */
  readonly checksum?: Checksum;
  /** The same from a store that is not known to verify it: bytes that contradict it are damaged, bytes that agree prove nothing of the store. */
  readonly declared?: Checksum;
  /** Number of tags where the answer says so, else absent (unknown). */
  readonly tagCount?: number;
  /** Restored from archive and readable now. */
  readonly restored?: boolean;
}

export function sameChecksum(a: Checksum, b: Checksum): boolean | 'incomparable' {
  return a.algorithm === b.algorithm ? a.hex === b.hex : 'incomparable';
}
