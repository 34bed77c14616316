/** Objects in one request: up to the buffer limit held whole (a retry needs no second read), above it streamed with the checksum in flight. */
import { checksumOf, createHasher, type Hasher } from '../core/checksum.ts';
import type { Checksum, ChecksumAlgorithm } from '../core/object.ts';
import type { Body, ObjectRead, Store } from '../ports/storage.ts';
import { bytesBody, collect, type Version } from './content.ts';
import type { Copied, CopyStep } from './copier.ts';
import { slabsOf } from './slabs.ts';

/** What the destination vouches for, else CRC-32: the cheapest that combines over parts. */
export function algorithmFor(destination: Store): ChecksumAlgorithm {
  return destination.facts.checksums[0] ?? 'crc32';
}

export async function copyBuffered(step: CopyStep): Promise<Copied> {
  const { context, version, guard, signal } = step;
  const giveBack = await context.memory.take(version.size, signal);
  try {
    const read = await openRead(step);
    const slabs = slabsOf(context.memory);
    const bytes = await collect(read, version.size, slabs);
    const carried = await step.carry(read.info);
    const computed = checksumOf(algorithmFor(context.destination), bytes);
    const written = await context.destination.write({ key: version.key, body: bytesBody(bytes, computed), attributes: carried.attributes, guard, signal });
    slabs.giveBack(bytes); // only here: after an error a socket may still be sending them
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
    const body = streamedBody(context.source, version, first, { algorithm: algorithmFor(context.destination), signal, sent: step.sent });
    const written = await context.destination.write({ key: version.key, body, attributes: carried.attributes, guard, signal });
    return { written, ...computedBy(body), carried };
  } finally {
    giveBack();
  }
}

/** What a streamed transfer may hold in socket and stream buffers. */
export const STREAM_BUFFER = 2 * 1024 * 1024;

function openRead(step: CopyStep): Promise<ObjectRead> {
  const { version, signal } = step;
  return step.context.source.read({ key: version.key, pin: version.pin, expectedSize: version.size, signal });
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
  /** Over the bytes of the last complete pass. */
  computed(): Checksum | undefined;
}

export interface StreamOptions {
  readonly algorithm: ChecksumAlgorithm;
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
    for await (const chunk of read.chunks) {
      hasher.update(chunk);
      options.sent(chunk.length);
      yield chunk;
    }
    computed = hasher.checksum();
  }
  return { size, open: pass, computed: () => computed };
}

export function computedBy(body: HashedBody): { readonly computed?: Checksum } {
  const computed = body.computed();
  return computed === undefined ? {} : { computed };
}
