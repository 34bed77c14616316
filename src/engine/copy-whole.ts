/** Objects in one request: up to the buffer limit held whole (a retry needs no second read), above it streamed with the checksum in flight. */
import { createHasher, type Hasher } from '../core/checksum.ts';
import { BrigadeError } from '../core/errors.ts';
import type { Checksum, ChecksumAlgorithm, ObjectInfo } from '../core/object.ts';
import type { Body, ObjectRead, Store } from '../ports/storage.ts';
import { bytesBody, collect, type Version, wholeOf } from './content.ts';
import type { Copied, CopyStep } from './copier.ts';
import { slabsOf } from './slabs.ts';

/**
 * One computation for both ends where they can agree: what the source vouches for, if the destination takes it too. Else what the
 * destination vouches for, else CRC-32, the cheapest that combines over parts.
 */
export function algorithmFor(destination: Store, source: Checksum | undefined): ChecksumAlgorithm {
  const taken = destination.facts.checksums;
  if (source !== undefined && (taken.length === 0 || taken.includes(source.algorithm))) return source.algorithm;
  return taken[0] ?? 'crc32';
}

/** What the source says of its bytes. */
export const toldBy = ({ checksum, declared }: ObjectInfo): Checksum | undefined => checksum ?? declared;

/** @throws E_CHECKSUM where what was read is not what the source says it holds (truth 7). */
export function proveRead(computed: Checksum, source: Checksum | undefined): void {
  if (source === undefined || source.algorithm !== computed.algorithm || source.hex === computed.hex) return;
  throw new BrigadeError({
    code: 'E_CHECKSUM', kind: 'transient', op: 'read', message: `the source vouches for ${source.algorithm} ${source.hex}, what was read has ${computed.hex}`,
    hint: 'damaged on the way, and read again; or, if it stays, damaged at the source',
  });
}

export async function copyBuffered(step: CopyStep): Promise<Copied> {
  const { context, version, guard, signal } = step;
  const giveBack = context.memory.tryTake(version.size, signal) ?? await context.memory.take(version.size, signal);
  try {
    const slabs = slabsOf(context.memory);
    const slab = slabs.lend(version.size);
    const read = await openRead(step, slab);
    const told = toldBy(read.info);
    const hasher = createHasher(algorithmFor(context.destination, told));
    const bytes = read.bytes === undefined ? await collect(read, version.size, slab, hasher) : wholeOf(read.bytes, version.size, hasher);
    const carrying = step.carry(read.info);
    const carried = carrying instanceof Promise ? await carrying : carrying;
    const computed = hasher.checksum();
    proveRead(computed, told);
    const written = await context.destination.write({ key: version.key, body: bytesBody(bytes, computed), attributes: carried.attributes, guard, signal });
    if (slab !== undefined) slabs.giveBack(slab); // only here: after an error a socket may still be sending them
    step.sent(version.size);
    return { written, computed, carried };
  } finally {
    giveBack();
  }
}

export async function copyStreamed(step: CopyStep): Promise<Copied> {
  const { context, version, guard, signal } = step;
  const giveBack = await context.memory.take(STREAM_BUFFER, signal);
  try {
    const first = await openRead(step);
    const carried = await carryOrDiscard(step, first);
    const told = toldBy(first.info);
    const body = streamedBody(context.source, version, first, { algorithm: algorithmFor(context.destination, told), source: told, signal, sent: step.sent });
    const written = await context.destination.write({ key: version.key, body, attributes: carried.attributes, guard, signal });
    return { written, ...computedBy(body), carried };
  } finally {
    giveBack();
  }
}

/** What a streamed transfer may hold in socket and stream buffers. */
export const STREAM_BUFFER = 2 * 1024 * 1024;

function openRead(step: CopyStep, into?: Uint8Array): Promise<ObjectRead> {
  const { version, signal } = step;
  return step.context.source.read({ key: version.key, pin: version.pin, expectedSize: version.size, signal, ...(into === undefined ? {} : { into }) });
}

async function carryOrDiscard(step: CopyStep, read: ObjectRead): Promise<Awaited<ReturnType<CopyStep['carry']>>> {
  try {
    return await step.carry(read.info);
  } catch (error) {
    read.discard();
    throw error;
  }
}

export interface HashedBody extends Body {
  readonly inFlight: NonNullable<Body['inFlight']>;
}

export interface StreamOptions {
  readonly algorithm: ChecksumAlgorithm;
  /** What the source vouches for, over all of it: what was read is held against it before the last byte is told to be the last. */
  readonly source?: Checksum | undefined;
  readonly range?: { readonly offset: number; readonly length: number };
  readonly signal: AbortSignal;
  sent(bytes: number): void;
}

/** A body that reads from the source as it is sent; asked again, it opens the same pinned range again. `first` serves the first pass. */
export function streamedBody(source: Store, version: Version, first: ObjectRead | undefined, options: StreamOptions): HashedBody {
  let ready = first;
  let computed: Checksum | undefined;
  const size = options.range?.length ?? version.size;
  async function* pass(): AsyncIterable<Uint8Array> {
    computed = undefined;
    const read = ready ?? (await source.read({ key: version.key, pin: version.pin, expectedSize: version.size, signal: options.signal, ...(options.range === undefined ? {} : { range: options.range }) }));
    ready = undefined;
    const hasher: Hasher = createHasher(options.algorithm);
    let left = size;
    let whole: Checksum | undefined;
    for await (const chunk of read.chunks) {
      hasher.update(chunk);
      left -= chunk.length;
      // Before the last chunk goes out: a request whose declared length was sent is whole to the store, whatever we think of it then.
      if (left === 0) proveRead(whole = hasher.checksum(), options.source);
      options.sent(chunk.length);
      yield chunk;
    }
    computed = whole ?? hasher.checksum();
  }
  return { size, open: pass, inFlight: { algorithm: options.algorithm, computed: () => computed } };
}

export function computedBy(body: HashedBody): { readonly computed?: Checksum } {
  const computed = body.inFlight.computed();
  return computed === undefined ? {} : { computed };
}
