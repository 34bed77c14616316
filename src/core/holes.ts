/**
 * Holes: long runs of zeros, as sparse files have them. A hole is handed about as a view of one shared buffer of zeros: whoever knows
 * nothing of it sees zeros, which is right, and whoever looks at the buffer's identity need not touch them (F056). Nobody writes into it.
 */
import { KiB, MiB } from './units.ts';

/** Never written, so the kernel never gives it memory of its own. As large as the largest part that is held whole. */
const ZEROS = Buffer.alloc(16 * MiB);
/** Runs of zeros are looked for in blocks of this size: a shorter hole would save nothing. */
const BLOCK = 16 * KiB;

/** All zeros, known without looking. `length` ≤ 16 MiB. */
export function hole(length: number): Buffer {
  if (length > ZEROS.length) throw new RangeError(`a hole of ${length} bytes in one piece`);
  return ZEROS.subarray(0, length);
}

export function isHole(bytes: Uint8Array): boolean {
  return bytes.buffer === ZEROS.buffer && bytes.byteOffset >= ZEROS.byteOffset && bytes.byteOffset + bytes.length <= ZEROS.byteOffset + ZEROS.length && bytes.length > 0;
}

/** A hole of any length, piece by piece. */
export function* holes(length: number): Generator<Buffer, void, undefined> {
  for (let left = length; left > 0; left -= ZEROS.length) yield hole(Math.min(left, ZEROS.length));
}

/** Whether all of it is zero; data is told by its first or last byte nearly always. */
export function isZero(bytes: Uint8Array): boolean {
  if (isHole(bytes)) return true;
  if (bytes[0] !== 0 || bytes[bytes.length - 1] !== 0) return bytes.length === 0;
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const piece = bytes.subarray(at, at + ZEROS.length);
    if (Buffer.compare(piece, ZEROS.subarray(0, piece.length)) !== 0) return false;
  }
  return true;
}

/** The same bytes in order, runs of zeros (16 KiB and more) as holes, the rest as views of `bytes`. */
export function* runs(bytes: Uint8Array): Generator<Uint8Array, void, undefined> {
  if (bytes.length <= ZEROS.length && bytes.length >= BLOCK && isZero(bytes)) {
    yield hole(bytes.length);
    return;
  }
  let [start, zero] = [0, false];
  for (let at = 0; at < bytes.length; at += BLOCK) {
    const block = bytes.subarray(at, at + BLOCK);
    const found = block.length === BLOCK && isZero(block);
    if (found === zero) continue;
    yield* run(bytes, start, at, zero);
    [start, zero] = [at, found];
  }
  yield* run(bytes, start, bytes.length, zero);
}

function* run(bytes: Uint8Array, start: number, end: number, zero: boolean): Generator<Uint8Array, void, undefined> {
  if (start === end) return;
  if (zero) yield* holes(end - start);
  else yield bytes.subarray(start, end);
}
