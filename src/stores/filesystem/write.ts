/** One object in one go: a temporary in the same directory, fsync, then the final name. */
import { constants } from 'node:fs';
import { BrigadeError, cancelled } from '../../core/errors.ts';
import { isHole, isZero, runs } from '../../core/holes.ts';
import type { Attributes } from '../../core/object.ts';
import { KiB } from '../../core/units.ts';
import type { Body, WriteRequest, Written } from '../../ports/storage.ts';
import { commitFile, createdMode, finalMode } from './commit.ts';
import { classified, errno, fsError } from './failures.ts';
import type { Dir, Jail } from './jail.ts';
import { indexOfData, isIndex, keyOf, temporaryName, type Place, type Raw } from './names.ts';
import { close, fchmod, fstat, ftruncate, futimes, open, readAt, rmdir, unlink, writeAt } from './syscalls.ts';
import { secondsOf, tokenOf } from './token.ts';

export const CREATE = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR | constants.O_NOFOLLOW;

export interface Desk {
  readonly jail: Jail;
  readonly durable: boolean;
  /** 16 characters that never come again. */
  newId(): string;
  location(key: string): string;
}

export async function writeFile(desk: Desk, request: WriteRequest, place: Place): Promise<Written> {
  const location = desk.location(request.key);
  if (request.signal?.aborted === true) throw cancelled('write');
  if (place.directory) return makeDirectory(desk, request, place, location);
  const dir = await desk.jail.acquire(place.segments.slice(0, -1), true, 'write');
  try {
    return await writeInto(desk, dir, place.segments.at(-1) as Raw, request, location);
  } finally {
    await desk.jail.release(dir);
  }
}

async function writeInto(desk: Desk, dir: Dir, name: Raw, request: WriteRequest, location: string): Promise<Written> {
  const { body, attributes, guard } = request;
  const temporary = temporaryName(name, desk.newId());
  const fd = await classified('create', location, async () => open(dir.at(temporary), CREATE, finalMode(attributes)), body.size);
  let opened = true;
  try {
    await writeBody(fd, body, 0, location, request.signal);
    const token = await classified('commit', location, async () => {
      const made = await commitFile({ dir, fd, temporary, createdMode: createdMode(attributes), name, attributes, guard, durable: desk.durable, location });
      opened = false;
      // Some file systems tell of a failed write only here (F060).
      await close(fd);
      return made;
    }, body.size);
    return { token };
  } catch (error) {
    if (opened) await close(fd).catch(() => undefined); // the first error is the one to tell
    await removeTemporary(dir, temporary);
    throw error;
  }
}

/** Exactly the declared bytes, from `start` on, long runs of zeros as holes (F056); errors of the body pass as they are. */
export async function writeBody(fd: number, body: Body, start: number, location: string, signal: AbortSignal | undefined, see?: (chunk: Uint8Array) => void): Promise<void> {
  let done = 0;
  let hole = false;
  for await (const chunk of body.bytes === undefined ? body.open() : [body.bytes]) {
    if (signal?.aborted === true) throw cancelled('write');
    if (chunk.length === 0) continue;
    if (done + chunk.length > body.size) throw wrongSize(location, body.size, 'more');
    see?.(chunk);
    const at = start + done;
    hole = await classified('write', location, async () => writeSparse(fd, chunk, at), body.size);
    done += chunk.length;
  }
  if (done !== body.size) throw wrongSize(location, body.size, String(done));
  if (hole) await classified('write', location, async () => reachTo(fd, start + done), body.size);
}

/** Whether it ended in a hole. */
async function writeSparse(fd: number, chunk: Uint8Array, start: number): Promise<boolean> {
  let at = start;
  let hole = false;
  for (const run of runs(chunk)) {
    hole = isHole(run) && await standsZero(fd, at, run.length);
    if (!hole) await writeAt(fd, run, at);
    at += run.length;
  }
  return hole;
}

const LOOK = 512 * KiB;

/** Whether zeros stand there already, or nothing: an earlier try of another hand may have left bytes where the hole belongs. */
async function standsZero(fd: number, start: number, length: number): Promise<boolean> {
  const buffer = Buffer.allocUnsafe(Math.min(LOOK, length));
  for (let at = start; at < start + length;) {
    const bytes = await readAt(fd, buffer, Math.min(buffer.length, start + length - at), at);
    if (bytes === 0) return true;
    if (!isZero(buffer.subarray(0, bytes))) return false;
    at += bytes;
  }
  return true;
}

/** A hole at the end is there only once the file is that long. */
async function reachTo(fd: number, size: number): Promise<void> {
  if ((await fstat(fd)).size < BigInt(size)) await ftruncate(fd, size);
}

function wrongSize(location: string, declared: number, given: string): BrigadeError {
  return new BrigadeError({ code: 'E_BODY_SIZE', kind: 'transient', message: `the body declared ${declared} bytes and gave ${given}`, op: 'write', location });
}

/** After a failure only: what cannot be removed now is recognised by its name later, and the failure itself is what must be told. */
async function removeTemporary(dir: Dir, temporary: Raw): Promise<void> {
  await unlink(dir.at(temporary)).catch(() => undefined);
}

/** A key that ends with a slash: the directory itself (F042). */
async function makeDirectory(desk: Desk, request: WriteRequest, place: Place, location: string): Promise<Written> {
  if (request.guard.kind !== 'none') await checkMarker(desk, request, place, location);
  await writeBody(-1, request.body, 0, location, request.signal);
  const dir = await desk.jail.acquire(place.segments, true, 'mkdir');
  try {
    return await classified('mkdir', location, async () => {
      await giveMode(dir.fd, request.attributes.mode);
      return { token: tokenOf(await fstat(dir.fd)) };
    });
  } finally {
    await desk.jail.release(dir);
  }
}

/** Permission bits alone: setgid and sticky, which a directory has from where it was made, stay (F058). */
async function giveMode(fd: number, mode: number | undefined): Promise<void> {
  if (mode === undefined) return;
  const now = Number((await fstat(fd)).mode & 0o7777n);
  if ((now & 0o777) !== (mode & 0o777)) await fchmod(fd, (now & 0o7000) | (mode & 0o777));
}

export async function setDirectory(desk: Desk, key: string, place: Place, attributes: Pick<Attributes, 'mode' | 'mtimeNs'>): Promise<void> {
  const dir = await desk.jail.acquire(place.segments, false, 'setDirectory');
  try {
    await classified('setDirectory', desk.location(key), async () => {
      await giveMode(dir.fd, attributes.mode);
      if (attributes.mtimeNs === undefined) return;
      const seconds = secondsOf(attributes.mtimeNs);
      if (secondsOf((await fstat(dir.fd)).mtimeNs.toString()) !== seconds) await futimes(dir.fd, seconds, seconds);
    });
  } finally {
    await desk.jail.release(dir);
  }
}

/** Making a directory that is there is no harm: only a guard on another version refuses. */
async function checkMarker(desk: Desk, request: WriteRequest, place: Place, location: string): Promise<void> {
  const found = await desk.jail.find(place.segments, 'mkdir');
  if (found === undefined) {
    if (request.guard.kind === 'absent') return;
    throw new BrigadeError({ code: 'E_PRECONDITION', kind: 'conflict', message: 'the directory is gone', op: 'mkdir', location });
  }
  await desk.jail.release(found);
}

/** Removes leftovers of killed writers; ctime, which nobody can set, tells their age. Those with an index beside are uploads, and stay. */
export async function sweep(desk: Desk, found: AsyncIterable<{ readonly segments: readonly Raw[]; readonly name: Raw }>, beforeMs: number): Promise<number> {
  let removed = 0;
  for await (const { segments, name } of found) {
    const dir = await desk.jail.acquire(segments, false, 'sweep');
    try {
      removed += await classified('sweep', desk.location(keyOf([...segments, name].join('/'))), async () => removeStale(dir, name, beforeMs));
    } finally {
      await desk.jail.release(dir);
    }
  }
  return removed;
}

async function removeStale(dir: Dir, name: Raw, beforeMs: number): Promise<number> {
  if (isIndex(name) || (await dir.present(indexOfData(name))) !== undefined) return 0;
  const stats = await dir.present(name);
  if (stats === undefined || !stats.isFile() || Number(stats.ctimeMs) >= beforeMs) return 0;
  await unlink(dir.at(name));
  return 1;
}

/** Only for what is ours. A directory goes only when it is empty. */
export async function removeFile(desk: Desk, key: string, place: Place): Promise<void> {
  const location = desk.location(key);
  const dir = await desk.jail.find(place.segments.slice(0, -1), 'remove');
  if (dir === undefined) return;
  try {
    const path = dir.at(place.segments.at(-1) as Raw);
    if (place.directory) await rmdir(path);
    else await unlink(path);
    if (desk.durable) await dir.sync();
  } catch (error) {
    if (errno(error) !== 'ENOENT') throw fsError(error, 'remove', location);
  } finally {
    await desk.jail.release(dir);
  }
}
