/** Whole segments in and out of a store. A segment is written once, by a conditional write; a lost answer is settled by looking. */
import { BrigadeError, isKind } from '../core/errors.ts';
import { NO_ATTRIBUTES, type ObjectEntry, type Token } from '../core/object.ts';
import type { Key } from '../core/key.ts';
import type { Body, Guard, Store } from '../ports/storage.ts';
import type { Damage } from '../ports/journal.ts';
import { damage, decodeSegment, isDamage, type Segment } from './frame.ts';

export interface Standing {
  readonly bytes: Buffer;
  readonly token: Token;
}

/** Looks at a name whose write was in doubt so often before it gives up. */
const TRIES = 4;

/**
 * Writes these bytes under a name that is free. Answers undefined when they stand there, written now or by an earlier try of ours whose answer was
 * lost; else what stands there. Bytes are told apart by what is in them: no two writers ever write the same.
 */
export async function putOnce(store: Store, key: Key, bytes: Buffer, signal?: AbortSignal): Promise<Standing | undefined> {
  return put(store, key, bytes, { kind: 'absent' }, signal);
}

/** The same over a torn segment, which nobody can have relied on; whoever else mends it at the same time either loses or is found. */
export async function mend(store: Store, key: Key, bytes: Buffer, torn: Standing, signal?: AbortSignal): Promise<Standing | undefined> {
  return put(store, key, bytes, { kind: 'matches', token: torn.token }, signal);
}

/** Over whatever stands there: for what one writer says again and again. */
export async function putOver(store: Store, key: Key, bytes: Buffer, signal?: AbortSignal): Promise<void> {
  await store.write({ key, body: bodyOf(bytes), attributes: NO_ATTRIBUTES, guard: { kind: 'none' }, ...(signal === undefined ? {} : { signal }) });
}

function bodyOf(bytes: Buffer): Body {
  return { size: bytes.length, bytes, open: () => once(bytes) };
}

async function put(store: Store, key: Key, bytes: Buffer, guard: Guard, signal: AbortSignal | undefined): Promise<Standing | undefined> {
  for (let left = TRIES; ; left--) {
    try {
      await store.write({ key, body: bodyOf(bytes), attributes: NO_ATTRIBUTES, guard, ...(signal === undefined ? {} : { signal }) });
      return undefined;
    } catch (thrown) {
      if (!isKind(thrown, 'conflict', 'transient')) throw thrown;
      const standing = await get(store, key, signal);
      if (standing?.bytes.equals(bytes) === true) return undefined;
      if (standing !== undefined && !(guard.kind === 'matches' && guard.token === standing.token)) return standing;
      if (left <= 1) throw thrown;
    }
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** What stands under this name; undefined: nothing. */
export async function get(store: Store, key: Key, signal?: AbortSignal): Promise<Standing | undefined> {
  for (let left = TRIES; ; left--) {
    try {
      const { size, token } = await store.head(key, signal === undefined ? {} : { signal });
      return { bytes: await readWhole(store, { key, size, token }, signal), token };
    } catch (thrown) {
      if (isKind(thrown, 'gone')) return undefined;
      if (!isKind(thrown, 'changed', 'transient')) throw thrown;
      if (left <= 1) throw isKind(thrown, 'changed') ? restless(key, thrown) : thrown;
    }
  }
}

/** A beat, by one who has much to say: asked again later, it is found in peace. */
function restless(key: Key, cause: unknown): BrigadeError {
  return new BrigadeError({ code: 'E_JOURNAL_RESTLESS', kind: 'transient', op: 'journal', location: key, message: `it was written anew during each of ${TRIES} looks`, cause });
}

type Listed = Pick<ObjectEntry, 'key' | 'size' | 'token'>;

async function readWhole(store: Store, { key, size, token }: Listed, signal: AbortSignal | undefined): Promise<Buffer> {
  const read = await store.read({ key, pin: { token }, expectedSize: size, ...(signal === undefined ? {} : { signal }) });
  if (read.bytes !== undefined) return Buffer.from(read.bytes);
  const pieces: Buffer[] = [];
  // A chunk is ours only until the next one is asked for.
  for await (const chunk of read.chunks) pieces.push(Buffer.from(chunk));
  return Buffer.concat(pieces);
}

/** A segment that was listed. One that cannot be believed is read once more: it may have suffered on the way. */
export async function readListed(store: Store, listed: Listed, signal?: AbortSignal): Promise<Segment | Damage> {
  try {
    const first = decodeSegment(listed.key, await readWhole(store, listed, signal));
    if (!isDamage(first)) return first;
  } catch (thrown) {
    // Gone, replaced, or a body that broke off: the second look tells what stands there.
    if (!isKind(thrown, 'gone', 'changed', 'transient')) throw thrown;
  }
  return (await readSegment(store, listed.key, signal)) ?? damage(listed.key, 'gone', 'it was listed and is not there');
}

/** The segment under this name; undefined: there is none. */
export async function readSegment(store: Store, key: Key, signal?: AbortSignal): Promise<Segment | Damage | undefined> {
  const standing = await get(store, key, signal);
  return standing === undefined ? undefined : decodeSegment(key, standing.bytes);
}

/** Entries below a prefix in the order of their names. */
export async function* listed(store: Store, prefix: Key, startAfter?: Key, signal?: AbortSignal): AsyncGenerator<Listed> {
  const request = { prefix, ...(startAfter === undefined ? {} : { startAfter }), ...(signal === undefined ? {} : { signal }) };
  const all: Listed[] = [];
  for await (const { entries } of store.list(request)) {
    for (const entry of entries) {
      if (entry.kind !== 'object') continue;
      if (store.facts.ordered) yield entry;
      else all.push(entry);
    }
  }
  // Names of a journal are ASCII: the order of code units is that of bytes.
  yield* all.sort((a, b) => Number(a.key > b.key) - Number(a.key < b.key)); // eslint-disable-line no-restricted-syntax -- as said
}

/** Reads with so many at a time, and tells them in their order. */
export async function* ahead<T, R>(source: AsyncIterable<T>, width: number, read: (one: T) => Promise<R>): AsyncGenerator<R> {
  const waiting: Promise<R>[] = [];
  try {
    for await (const one of source) {
      const reading = read(one);
      // Whoever awaits it hears of its error; nobody does when the reader left before.
      reading.catch(() => undefined);
      waiting.push(reading);
      if (waiting.length >= width) yield await (waiting.shift() as Promise<R>);
    }
    while (waiting.length > 0) yield await (waiting.shift() as Promise<R>);
  } finally {
    await Promise.allSettled(waiting);
  }
}

export function unbelievable({ message, fix, key }: Damage): BrigadeError {
  return new BrigadeError({ code: 'E_JOURNAL_DAMAGED', kind: 'premise', op: 'journal', message, location: key, hint: fix });
}
