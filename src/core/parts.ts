/** How one object is cut (F062–F064): decided from the destination's facts before byte 0. */
import { BrigadeError } from './errors.ts';
import { MiB, showBytes } from './units.ts';

export interface PartLimits {
  readonly minPartSize: number;
  readonly maxPartSize: number;
  readonly maxParts: number;
  readonly maxObjectSize: number;
  readonly maxSingleWrite: number;
}

export interface CutOptions {
  /** Up to here one buffer and one request (bytes). */
  readonly bufferUpTo: number;
  /** Up to here one streamed request; above, multipart. */
  readonly streamUpTo: number;
  /** Wanted part size; `undefined`: 8 MiB, growing with the object. */
  readonly partSize?: number;
}

export type Cut =
  | { readonly way: 'buffer' }
  | { readonly way: 'stream' }
  | { readonly way: 'parts'; readonly partSize: number; readonly parts: number };

const SMALLEST = 8 * MiB;

export function cutObject(size: number, limits: PartLimits, options: CutOptions, multipart: boolean): Cut {
  if (size > limits.maxObjectSize) throw tooLarge(size, limits.maxObjectSize);
  if (size <= Math.min(options.bufferUpTo, limits.maxSingleWrite)) return { way: 'buffer' };
  if (size <= Math.min(options.streamUpTo, limits.maxSingleWrite) || (!multipart && size <= limits.maxSingleWrite)) return { way: 'stream' };
  if (!multipart) throw tooLarge(size, limits.maxSingleWrite);
  const partSize = planPartSize(size, limits, options.partSize);
  return { way: 'parts', partSize, parts: Math.ceil(size / partSize) };
}

/** max(wanted, ⌈size / maxParts⌉ rounded up to 1 MiB), inside the provider's bounds. */
export function planPartSize(size: number, limits: PartLimits, wanted = SMALLEST): number {
  const needed = Math.ceil(Math.ceil(size / limits.maxParts) / MiB) * MiB;
  const partSize = Math.max(wanted, limits.minPartSize, size > wanted * limits.maxParts ? needed : 0);
  if (partSize > limits.maxPartSize) throw tooLarge(size, limits.maxPartSize * limits.maxParts);
  return partSize;
}

/** Parts of one object that follow one another: what one worker of a fleet takes at a time. */
export interface PartSpan {
  /** From 1. */
  readonly first: number;
  readonly count: number;
}

/** Spans of one object, about: each is claimed by a write, and all of them are listed now and then. */
const MOST_SPANS = 256;

/** An object's parts in spans of `bytes` each, or more where that would be too many. Whoever asks gets the same ones. */
export function partSpans(size: number, partSize: number, bytes: number): readonly PartSpan[] {
  const parts = Math.ceil(size / partSize);
  const count = Math.max(1, Math.ceil(Math.max(bytes, size / MOST_SPANS) / partSize));
  return Array.from({ length: Math.ceil(parts / count) }, (_, i) => ({ first: i * count + 1, count: Math.min(count, parts - i * count) }));
}

/** Offset and length of part `number` (from 1). */
export function partRange(number: number, size: number, partSize: number): { readonly offset: number; readonly length: number } {
  const offset = (number - 1) * partSize;
  return { offset, length: Math.min(partSize, size - offset) };
}

function tooLarge(size: number, limit: number): BrigadeError {
  return new BrigadeError({
    code: 'E_TOO_LARGE', kind: 'object', message: `${showBytes(size)} is more than the ${showBytes(limit)} that the destination takes in one object`,
    hint: 'exclude it (select.exclude), or choose another destination',
  });
}
