/**
 * The frame of every segment. It is bound to the name under which it stands, so that a copy under another name is found out, too.
 *
 *   bytes 0–2    'BBJ'
 *   byte 3       version
 *   byte 4       what it is: 'E' epoch, 'P' plan, 'C' control, 'R' report, 'S' seal, 'B' binding, 'D' document, 'W' worker, 'Q' of a shelf
 *   bytes 5–8    length of what follows after the header, little-endian: tells a torn segment from a changed one
 *   bytes 9–24   first 16 bytes of SHA-256 over the name, bytes 0–8 and the rest
 *   bytes 25–    zstd( content )
 */
import { createHash } from 'node:crypto';
import { keyToBytes, type Key } from '../core/key.ts';
import { compress, decompress } from '../core/zstd.ts';
import type { Damage } from '../ports/journal.ts';

export type SegmentKind = 'E' | 'P' | 'C' | 'R' | 'S' | 'B' | 'D' | 'W' | 'Q';

export interface Segment {
  readonly kind: SegmentKind;
  readonly content: Buffer;
}

const MAGIC = Buffer.from('BBJ');
/** 2: the items of each planned task stand by themselves. */
const VERSION = 2;
const SUMMED = 9;
const SUM = 16;
const HEADER = SUMMED + SUM;
const KINDS = 'EPCRSBDWQ';

export function encodeSegment(key: Key, { kind, content }: Segment): Buffer {
  const packed = compress(content);
  const header = Buffer.alloc(HEADER);
  MAGIC.copy(header);
  header[3] = VERSION;
  header[4] = kind.charCodeAt(0);
  header.writeUInt32LE(packed.length, 5);
  sumOf(key, header, packed).copy(header, SUMMED);
  return Buffer.concat([header, packed]);
}

/** The segment, or why these bytes are none. */
export function decodeSegment(key: Key, bytes: Buffer): Segment | Damage {
  if (bytes.length < HEADER) return damage(key, 'torn', `it has ${bytes.length} bytes, fewer than a header`);
  if (!bytes.subarray(0, 3).equals(MAGIC)) return damage(key, 'changed', 'it does not begin as a segment');
  const packed = bytes.subarray(HEADER);
  const length = bytes.readUInt32LE(5);
  if (packed.length < length) return damage(key, 'torn', `it has ${packed.length} bytes of ${length}`);
  if (!sumOf(key, bytes, packed).equals(bytes.subarray(SUMMED, HEADER))) return damage(key, 'changed', 'its checksum does not match its name and bytes');
  if (bytes[3] !== VERSION) return damage(key, 'newer', `it has version ${bytes[3]}, this build knows ${VERSION}`, 'read it with the brigade that wrote it');
  const kind = String.fromCharCode(bytes[4] as number);
  if (!KINDS.includes(kind)) return damage(key, 'newer', `it is of kind ${JSON.stringify(kind)}, which this build does not know`, 'use the newer brigade');
  return { kind: kind as SegmentKind, content: decompress(packed) };
}

export function isDamage(read: Segment | Damage): read is Damage {
  return 'fix' in read;
}

const FIX = 'put an intact version of this object back, if the store keeps versions';

export function damage(key: Key, kind: Damage['kind'], why: string, fix = FIX): Damage {
  return { key, kind, message: `segment ${key} of the journal cannot be believed: ${why}`, fix };
}

function sumOf(key: Key, header: Buffer, packed: Buffer): Buffer {
  return createHash('sha256').update(keyToBytes(key)).update('\0').update(header.subarray(0, SUMMED)).update(packed).digest().subarray(0, SUM);
}
