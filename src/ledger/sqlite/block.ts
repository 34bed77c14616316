/**
 * A block holds the items of one task, in key order, as columns (core/lines.ts), zstd-compressed.
 *
 *   byte 0      'B'
 *   byte 1      version
 *   bytes 2–5   CRC-32 of what follows, little-endian: a flipped byte is found before anything is believed
 *   bytes 6–    zstd( lines )
 */
import { crc32 } from 'node:zlib';
import { BrigadeError } from '../../core/errors.ts';
import { eachLine, packLines, unpackLines } from '../../core/lines.ts';
import type { Line } from '../../core/lines.ts';
import { compress, decompress } from '../../core/zstd.ts';

export { EVIDENCES, STATES } from '../../core/line-columns.ts';
export type { Line } from '../../core/lines.ts';

const MAGIC = 0x42;
const VERSION = 1;
const HEADER = 6;

export function encodeBlock(lines: readonly Line[]): Buffer {
  return seal(packLines(lines));
}

/** Of lines that are packed. */
export function seal(plain: Buffer): Buffer {
  const packed = compress(plain);
  const header = Buffer.alloc(HEADER);
  header[0] = MAGIC;
  header[1] = VERSION;
  header.writeUInt32LE(crc32(packed), 2);
  return Buffer.concat([header, packed]);
}

/** Throws E_LEDGER_CORRUPT when a byte is not as it was written, E_LEDGER_NEWER for a version this build does not know. */
export function decodeBlock(block: Uint8Array): Line[] {
  return unpack(unseal(block));
}

/** Of what stands in a block behind its header. */
export function unpack(packed: Uint8Array): Line[] {
  return unpackLines(decompress(packed));
}

/** One by one. Throws as decodeBlock. */
export function linesOf(block: Uint8Array): Generator<Line, void, undefined> {
  return eachLine(plainBlock(block));
}

/** As they were packed. Throws as decodeBlock. */
export function plainBlock(block: Uint8Array): Buffer {
  return decompress(unseal(block));
}

/** The lines, still compressed. Throws as decodeBlock. */
export function unseal(block: Uint8Array): Buffer {
  const buffer = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  if (buffer.length < HEADER || buffer[0] !== MAGIC) throw corrupt('a block does not start as one');
  if (buffer[1] !== VERSION) {
    throw new BrigadeError({ code: 'E_LEDGER_NEWER', kind: 'usage', message: `the ledger holds blocks of version ${buffer[1]}, this build knows ${VERSION}`, hint: 'use the newer brigade' });
  }
  const packed = buffer.subarray(HEADER);
  if (crc32(packed) !== buffer.readUInt32LE(2)) throw corrupt('a block does not match its checksum');
  return packed;
}

function corrupt(message: string): BrigadeError {
  return new BrigadeError({ code: 'E_LEDGER_CORRUPT', kind: 'internal', message: `the ledger is damaged: ${message}`, hint: 'run --new --adopt' });
}
