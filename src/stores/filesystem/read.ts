/** Reading files: pinned by what fstat says before the first byte and behind the last (F026). */
import { constants, type BigIntStats } from 'node:fs';
import { BrigadeError, cancelled } from '../../core/errors.ts';
import { hole, isZero } from '../../core/holes.ts';
import type { ObjectInfo } from '../../core/object.ts';
import { MiB } from '../../core/units.ts';
import type { ObjectRead, ReadRequest } from '../../ports/storage.ts';
import { classified } from './failures.ts';
import type { Jail } from './jail.ts';
import type { Place } from './names.ts';
import { close, fstat, lstat, open, readAt, stat } from './syscalls.ts';
import { infoOf, sameVersion, tokenOf } from './token.ts';

/** Bytes per system call: large enough that calls do not count, small enough for many reads at once. */
const CHUNK = MiB / 2;
/** A pipe put in place of the file must not block us, nor become our terminal. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

export interface Sight {
  readonly jail: Jail;
  readonly follow: boolean;
  location(key: string): string;
}

export async function headFile(sight: Sight, key: string, place: Place): Promise<ObjectInfo> {
  const location = sight.location(key);
  const dir = await sight.jail.acquire(place.segments.slice(0, -1), false, 'head');
  try {
    const path = dir.at(place.segments.at(-1) as string);
    const stats = await classified('head', location, async () => (sight.follow ? stat(path) : lstat(path)));
    expectKind(stats, place, 'head', location);
    return infoOf(key, stats);
  } finally {
    await sight.jail.release(dir);
  }
}

export async function readFile(sight: Sight, request: ReadRequest, place: Place): Promise<ObjectRead> {
  const location = sight.location(request.key);
  const fd = await openFile(sight, place, location);
  try {
    const stats = await classified('read', location, async () => fstat(fd));
    expectKind(stats, place, 'read', location);
    expectVersion(stats, request, location);
    return new FileRead(fd, stats, request, location);
  } catch (error) {
    await close(fd);
    throw error;
  }
}

async function openFile(sight: Sight, place: Place, location: string): Promise<number> {
  const dir = await sight.jail.acquire(place.segments.slice(0, -1), false, 'read');
  try {
    const path = dir.at(place.segments.at(-1) as string);
    return await classified('read', location, async () => open(path, sight.follow ? FLAGS : FLAGS | constants.O_NOFOLLOW));
  } finally {
    await sight.jail.release(dir);
  }
}

/** A key with a slash is a directory, one without is a regular file; a pipe, device or link can neither be read nor taken for absent. */
function expectKind(stats: BigIntStats, place: Place, op: string, location: string): void {
  if (place.directory ? stats.isDirectory() : stats.isFile()) return;
  if (stats.isDirectory() || stats.isFile()) throw new BrigadeError({ code: 'E_NOT_FOUND', kind: 'gone', message: 'no such file', op, location });
  throw new BrigadeError({ code: 'E_SPECIAL_FILE', kind: 'object', message: 'it is not a regular file', op, location });
}

function expectVersion(stats: BigIntStats, request: ReadRequest, location: string): void {
  const size = stats.isDirectory() ? 0 : Number(stats.size);
  if (request.pin !== undefined && request.pin.token !== tokenOf(stats)) throw changed(location, 'the file is not the version that was listed');
  if (size !== request.expectedSize) throw changed(location, `listed with ${request.expectedSize} bytes, but it has ${size}`);
  const { range } = request;
  if (range !== undefined && (range.length <= 0 || range.offset < 0 || range.offset + range.length > size)) {
    throw new BrigadeError({ code: 'E_RANGE', kind: 'internal', message: `no bytes ${range.offset}+${range.length} in a file of ${size}`, op: 'read', location });
  }
}

function changed(location: string, message: string): BrigadeError {
  return new BrigadeError({ code: 'E_SRC_CHANGED', kind: 'changed', message, op: 'read', location });
}

/** Whoever comes next need not touch zeros, and makes a hole of them again (F056). */
const asHole = (chunk: Buffer): Buffer => (chunk.length === CHUNK && isZero(chunk) ? hole(chunk.length) : chunk);

class FileRead implements ObjectRead {
  readonly info: ObjectInfo;
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly #location: string;
  readonly #stats: BigIntStats;
  #fd: number | undefined;
  #started = false;

  constructor(fd: number, stats: BigIntStats, request: ReadRequest, location: string) {
    this.#fd = fd;
    this.#stats = stats;
    this.#location = location;
    this.info = infoOf(request.key, stats);
    const { offset, length } = request.range ?? { offset: 0, length: request.expectedSize };
    this.chunks = this.#read(offset, offset + length, request.signal);
  }

  discard(): void {
    if (this.#started) return;
    this.#started = true;
    // Nothing was written through it: a failed close loses nothing.
    void this.#close().catch(() => undefined);
  }

  async *#read(from: number, end: number, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    // An empty sequence would look like an empty object.
    if (this.#started) throw new BrigadeError({ code: 'E_INTERNAL', kind: 'internal', message: 'a read was discarded or begun before', op: 'read', location: this.#location });
    this.#started = true;
    const buffer = Buffer.allocUnsafe(Math.min(CHUNK, end - from));
    try {
      for (let at = from; at < end;) {
        if (signal?.aborted === true) throw cancelled('read');
        const bytes = await this.#fill(buffer, Math.min(buffer.length, end - at), at);
        at += bytes;
        // The last chunk is handed out only when the file is still the one that was opened: a torn read never looks whole.
        if (at === end) await this.#unchanged();
        yield asHole(buffer.subarray(0, bytes));
      }
      if (from === end) await this.#unchanged();
    } finally {
      await this.#close();
    }
  }

  async #fill(buffer: Buffer, wanted: number, at: number): Promise<number> {
    const fd = this.#fd as number;
    const bytes = await classified('read', this.#location, async () => readAt(fd, buffer, wanted, at));
    if (bytes > 0) return bytes;
    const kind = sameVersion(await fstat(fd), this.#stats) ? 'transient' : 'changed';
    throw new BrigadeError({ code: 'E_SHORT_READ', kind, message: `the file ended at ${at} of ${this.#stats.size} bytes`, op: 'read', location: this.#location });
  }

  async #unchanged(): Promise<void> {
    const fd = this.#fd as number;
    const now = await classified('read', this.#location, async () => fstat(fd));
    if (!sameVersion(now, this.#stats)) throw changed(this.#location, 'the file changed while it was read');
  }

  async #close(): Promise<void> {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) await close(fd);
  }
}

