/** Reads a range of an open file, one piece ahead of the reader. */
import type { BigIntStats } from 'node:fs';
import { readAt } from '../../stores/filesystem/syscalls.ts';
import { borrowSlab, returnSlab } from './slabs.ts';

/** Bytes per system call. */
const PIECE = 256 << 10;
/** Below this a buffer of the right size is cheaper than two slabs. */
const WORTH_SLABS = 64 << 10;

/** Bytes `start` to `end`, end excluded; `lent` as in layout.ts. A file that ends earlier is an error, never a short answer. */
export function readRange(fd: number, start: number, end: number, lent = false): AsyncGenerator<Buffer> {
  return lent && end - start > WORTH_SLABS ? readLent(fd, start, end) : readAhead(start, end, (at) => readPiece(fd, Buffer.allocUnsafe(Math.min(PIECE, end - at)), at, end));
}

/**
 * Less on disk than in the file. A hint, never proof that there are holes: compressing file systems, tapes behind a file (HSM) and blocks
 * that are not allocated yet look the same, so what is read is what counts.
 */
export const isSparse = (stats: BigIntStats): boolean => stats.blocks * 512n < stats.size - stats.size / 10n;

/** One slab is with the reader while the other is filled. */
async function* readLent(fd: number, start: number, end: number): AsyncGenerator<Buffer> {
  const slabs = [borrowSlab(), borrowSlab()] as const;
  let turn = 0;
  try {
    yield* readAhead(start, end, (at) => {
      turn ^= 1;
      return readPiece(fd, slabs[turn as 0 | 1].subarray(0, Math.min(slabs[turn as 0 | 1].length, end - at)), at, end);
    });
  } finally {
    for (const slab of slabs) returnSlab(slab);
  }
}

async function* readAhead(start: number, end: number, readFrom: (at: number) => Promise<Buffer>): AsyncGenerator<Buffer> {
  let ahead: Promise<Buffer> | undefined = start < end ? readFrom(start) : undefined;
  try {
    for (let at = start; ahead !== undefined;) {
      const piece: Buffer = await ahead;
      at += piece.length;
      ahead = at < end ? readFrom(at) : undefined;
      ahead?.catch(() => undefined); // told when its turn comes
      yield piece;
    }
  } finally {
    await ahead?.catch(() => undefined); // the caller closes the file next
  }
}

async function readPiece(fd: number, buffer: Buffer, at: number, end: number): Promise<Buffer> {
  const bytes = await readAt(fd, buffer, buffer.length, at);
  if (bytes === 0) throw new Error(`a body ended at byte ${at}, before ${end}`);
  return bytes === buffer.length ? buffer : buffer.subarray(0, bytes);
}
