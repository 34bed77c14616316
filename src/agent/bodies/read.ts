/** Reads a range of an open file, one piece ahead of the reader. */
import { readAt } from '../../stores/filesystem/syscalls.ts';

/** Bytes per system call. */
const PIECE = 256 << 10;

/** Bytes `start` to `end`, end excluded. A file that ends earlier is an error, never a short answer. */
export async function* readRange(fd: number, start: number, end: number): AsyncGenerator<Buffer> {
  let ahead: Promise<Buffer> | undefined = start < end ? readPiece(fd, start, end) : undefined;
  try {
    for (let at = start; ahead !== undefined;) {
      const piece: Buffer = await ahead;
      at += piece.length;
      ahead = at < end ? readPiece(fd, at, end) : undefined;
      ahead?.catch(() => undefined); // told when its turn comes
      yield piece;
    }
  } finally {
    await ahead?.catch(() => undefined); // the caller closes the file next
  }
}

async function readPiece(fd: number, at: number, end: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(Math.min(PIECE, end - at));
  const bytes = await readAt(fd, buffer, buffer.length, at);
  if (bytes === 0) throw new Error(`a body ended at byte ${at}, before ${end}`);
  return bytes === buffer.length ? buffer : buffer.subarray(0, bytes);
}
