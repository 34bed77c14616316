/** Bodies for the checks: bytes that differ at every offset, whole, streamed, cut short, too long, or failing half-way. */
import type { Body, ObjectRead } from '../../ports/storage.ts';

/** Bytes that tell their own place: two ranges of equal length never look alike by chance. */
export function patterned(size: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let i = 0; i < size; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state & 0xff;
  }
  return bytes;
}

/** A streamed body; `chunk` bytes at a time. */
export function bodyOf(bytes: Uint8Array, chunk = 40_000): Body {
  return { size: bytes.length, open: () => pieces(bytes, chunk) };
}

/** A body that is whole in memory. */
export function wholeBody(bytes: Uint8Array): Body {
  return { size: bytes.length, bytes, open: () => pieces(bytes, Math.max(1, bytes.length)) };
}

/** Declares one size and yields other bytes (F012). */
export function lyingBody(declared: number, bytes: Uint8Array): Body {
  return { size: declared, open: () => pieces(bytes, 40_000) };
}

/** Yields some bytes, then throws. */
export function failingBody(declared: number, bytes: Uint8Array, error: Error): Body {
  return {
    size: declared,
    async *open() {
      yield* pieces(bytes, 40_000);
      throw error;
    },
  };
}

/** All bytes of a read. Each chunk is copied: it is ours only until the next one. */
export async function collect(read: ObjectRead): Promise<Buffer> {
  const kept: Buffer[] = [];
  for await (const chunk of read.chunks) kept.push(Buffer.from(chunk));
  return Buffer.concat(kept);
}

async function* pieces(bytes: Uint8Array, chunk: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, Math.min(bytes.length, at + chunk));
}
