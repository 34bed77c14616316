/**
 * Bytes of any object at any offset, for next to nothing: views into one block of noise, entered at a place of the object's own. The
 * block's length is prime, so that no two parts of a usual size look alike, and the first bytes name the object.
 */
import { mix } from './keys.ts';

const BLOCK = 1_048_573;
const CHUNK = 512 * 1024;
const STAMP = 16;

export type Size = number | { readonly min: number; readonly max: number } | 'mixed';

export function makeBlock(seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(BLOCK / 4));
  for (let i = 0; i < words.length; i++) words[i] = mix(seed, i);
  return Buffer.from(words.buffer, 0, BLOCK);
}

export function sizeAt(size: Size, seed: number, index: number): number {
  if (typeof size === 'number') return size;
  const part = mix(seed ^ 0x5151, index) / 2 ** 32;
  if (size !== 'mixed') return Math.floor(size.min + part * (size.max - size.min + 1));
  if (part < 0.02) return 0;
  // From 256 bytes to 1 GiB, each doubling rarer than the one before: half are below 2 KiB, one in twenty is above 100 MiB.
  return Math.floor(2 ** (8 + 22 * ((part - 0.02) / 0.98) ** 3));
}

/** Bytes [from, end) of object `index`. Chunks are views that must not be changed. */
export function* bytesOf(block: Buffer, seed: number, index: number, from: number, end: number): Generator<Uint8Array> {
  const entry = mix(seed ^ 0xc0de, index) % BLOCK;
  for (let at = from; at < end;) {
    const place = (entry + at) % BLOCK;
    const length = Math.min(CHUNK, end - at, BLOCK - place);
    const view = block.subarray(place, place + length);
    yield at < STAMP ? stamped(view, at, seed, index) : view;
    at += length;
  }
}

function stamped(view: Buffer, at: number, seed: number, index: number): Buffer {
  const copy = Buffer.from(view);
  const stamp = Buffer.alloc(STAMP);
  stamp.writeUInt32BE(seed >>> 0, 0);
  stamp.writeDoubleBE(index, 4);
  stamp.writeUInt32BE(mix(seed, index), 12);
  stamp.copy(copy, 0, at, STAMP);
  return copy;
}
