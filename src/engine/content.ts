/** Content as evidence: reading an object to its checksum, and comparing two objects by what their stores vouch for, else by reading. */
import { createHasher, type Hasher } from '../core/checksum.ts';
import { BrigadeError } from '../core/errors.ts';
import { isHole } from '../core/holes.ts';
import type { Evidence } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import type { Checksum, ChecksumAlgorithm, ObjectInfo, Pin } from '../core/object.ts';
import { isInPlace, type Body, type ObjectRead, type Store } from '../ports/storage.ts';

export interface Version {
  readonly key: Key;
  readonly size: number;
  readonly pin: Pin;
}

/** Reads one version to its end and returns its checksum. */
export async function readChecksum(store: Store, version: Version, algorithm: ChecksumAlgorithm, signal?: AbortSignal, onBytes?: (bytes: number) => void): Promise<Checksum> {
  const hasher = createHasher(algorithm);
  const read = await store.read({ key: version.key, pin: version.pin, expectedSize: version.size, ...(signal === undefined ? {} : { signal }) });
  const take = (bytes: Uint8Array): void => {
    hasher.update(bytes);
    onBytes?.(bytes.length);
  };
  if (read.bytes !== undefined) take(read.bytes);
  else for await (const chunk of read.chunks) take(chunk);
  return hasher.checksum();
}

/**
 * The whole body in one buffer of exactly `size` bytes: the driver's own, or `into`, which the driver may have filled already. Each piece
 * is shown to `hasher` as it comes, while it is still in the processor's cache.
 */
export async function collect(read: ObjectRead, size: number, into: Uint8Array | undefined, hasher: Pick<Hasher, 'update'>): Promise<Uint8Array> {
  if (read.bytes !== undefined) return wholeOf(read.bytes, size, hasher);
  const bytes = into ?? Buffer.allocUnsafe(size);
  let at = 0;
  for await (const chunk of read.chunks) {
    if (chunk.length === size && isHole(chunk)) {
      hasher.update(chunk);
      return chunk;
    }
    if (at + chunk.length > size) throw shortRead(at + chunk.length, size);
    if (!isInPlace(chunk, bytes, at)) bytes.set(chunk, at);
    hasher.update(bytes.subarray(at, at + chunk.length));
    at += chunk.length;
  }
  if (at !== size) throw shortRead(at, size);
  return bytes;
}

/** The same, of a body that is in memory already. */
export function wholeOf(bytes: Uint8Array, size: number, hasher: Pick<Hasher, 'update'>): Uint8Array {
  if (bytes.length !== size) throw shortRead(bytes.length, size);
  hasher.update(bytes);
  return bytes;
}

export function bytesBody(bytes: Uint8Array, checksum?: Checksum): Body {
  return { size: bytes.length, bytes, ...(checksum === undefined ? {} : { checksum }), open: () => once(bytes) };
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

export interface Equality {
  readonly equal: boolean;
  readonly evidence: Evidence;
  readonly checksum?: Checksum;
}

/**
 * Whether two objects of equal size hold the same bytes. What both vouch for decides; else `known` (a checksum of the source computed by
 * us) against the destination's; else, if `readable`, the side or sides that do not vouch are read. `undefined`: cannot tell without reading.
 */
export async function sameContent(source: Store, a: ObjectInfo, destination: Store, b: ObjectInfo, how: { readonly read: 'never' | 'if needed'; readonly known?: Checksum; readonly signal?: AbortSignal }): Promise<Equality | undefined> {
  if (a.size !== b.size) return { equal: false, evidence: 'none' };
  const vouched = a.checksum ?? how.known;
  if (vouched !== undefined && b.checksum?.algorithm === vouched.algorithm) return { equal: vouched.hex === b.checksum.hex, evidence: 'store checksum', checksum: b.checksum };
  if (how.read === 'never') return undefined;
  return compareByReading(source, a, destination, b, how.known, how.signal);
}

async function compareByReading(source: Store, a: ObjectInfo, destination: Store, b: ObjectInfo, known: Checksum | undefined, signal: AbortSignal | undefined): Promise<Equality> {
  const algorithm = known?.algorithm ?? b.checksum?.algorithm ?? a.checksum?.algorithm ?? 'crc32';
  const [told, toldThere] = [vouchedBy(known ?? a.checksum, algorithm), vouchedBy(b.checksum, algorithm)];
  const ours = told ?? (await readChecksum(source, versionOf(a), algorithm, signal));
  const theirs = toldThere ?? (await readChecksum(destination, versionOf(b), algorithm, signal));
  return { equal: ours.hex === theirs.hex, evidence: evidenceOf(told === undefined, toldThere === undefined), checksum: theirs };
}

function vouchedBy(checksum: Checksum | undefined, algorithm: ChecksumAlgorithm): Checksum | undefined {
  return checksum?.algorithm === algorithm ? checksum : undefined;
}

/** What a comparison of checksums proves, by which ends were read for it; the other is vouched for. */
export function evidenceOf(sourceRead: boolean, destinationRead: boolean): Evidence {
  if (!destinationRead) return 'store checksum';
  return sourceRead ? 'both ends re-read' : 'destination re-read';
}

export function versionOf(info: ObjectInfo): Version {
  return { key: info.key, size: info.size, pin: { token: info.token, ...(info.versionId === undefined ? {} : { versionId: info.versionId }) } };
}

function shortRead(got: number, wanted: number): BrigadeError {
  return new BrigadeError({ code: 'E_SHORT_READ', kind: 'transient', op: 'read', message: `${got} bytes arrived of ${wanted}` });
}
