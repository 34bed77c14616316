/** Blocks, segments and contents of messages, compressed whole: some ten thousand bytes at a time. */
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** Level 3 makes columns (lines.ts) one or two in a hundred smaller and takes up to twice the time: on a busy machine its tables fit into no cache. */
const LEVEL = { [constants.ZSTD_c_compressionLevel]: 1 };
/** What incompressible bytes need beside themselves, about (ZSTD_COMPRESSBOUND): all of it fits into one buffer. */
const BOUND = 1024;
const MAX_PLAIN = 1 << 30;

export function compress(plain: Uint8Array): Buffer {
  const most = plain.length + (plain.length >> 8) + BOUND;
  // Told how much it is, zstd takes tables of that size, not those of a stream without end: half the time.
  const packed = zstdCompressSync(plain, { params: LEVEL, pledgedSrcSize: plain.length, chunkSize: most });
  // A little of it would keep all of that.
  return packed.length < most / 2 ? Buffer.from(packed) : packed;
}

/** @throws where these bytes are none of compress(), or stand for more than a GiB */
export function decompress(packed: Uint8Array): Buffer {
  return zstdDecompressSync(packed, { maxOutputLength: MAX_PLAIN });
}
