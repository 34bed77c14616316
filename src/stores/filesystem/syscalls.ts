/** The system calls used here, as promises over plain descriptors: a FileHandle per file costs more than the call itself. */
import fs, { type BigIntStats, type Dirent } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { promisify } from 'node:util';

export type FsPath = string | Buffer;

export const open = promisify(fs.open) as (path: FsPath, flags: number, mode?: number) => Promise<number>;
export const close = promisify(fs.close) as (fd: number) => Promise<void>;
export const fsync = promisify(fs.fsync);
export const fdatasync = promisify(fs.fdatasync);
export const ftruncate = promisify(fs.ftruncate);
export const fchmod = promisify(fs.fchmod);
export const futimes = promisify(fs.futimes);
export const link = promisify(fs.link);
export const unlink = promisify(fs.unlink);
export const rename = promisify(fs.rename);
export const mkdir = promisify(fs.mkdir) as (path: FsPath, mode: number) => Promise<void>;
export const rmdir = promisify(fs.rmdir) as (path: FsPath) => Promise<void>;

const fstatBig = promisify(fs.fstat) as unknown as (fd: number, options: { bigint: true }) => Promise<BigIntStats>;
const lstatBig = promisify(fs.lstat) as unknown as (path: FsPath, options: { bigint: true }) => Promise<BigIntStats>;
const statBig = promisify(fs.stat) as unknown as (path: FsPath, options: { bigint: true }) => Promise<BigIntStats>;
const readlinkAs = promisify(fs.readlink) as unknown as (path: FsPath, encoding: 'latin1') => Promise<string>;

export const fstat = (fd: number): Promise<BigIntStats> => fstatBig(fd, { bigint: true });
export const lstat = (path: FsPath): Promise<BigIntStats> => lstatBig(path, { bigint: true });
export const stat = (path: FsPath): Promise<BigIntStats> => statBig(path, { bigint: true });
/** The link's target, one character per byte. */
export const readlink = (path: FsPath): Promise<string> => readlinkAs(path, 'latin1');

/** What a walk asks of a tree; across a network each is a round trip. */
export interface LookCalls {
  open(path: FsPath, flags: number): Promise<number>;
  lstat(path: FsPath): Promise<BigIntStats>;
  stat(path: FsPath): Promise<BigIntStats>;
  /** Names come as one character per byte. */
  opendir(path: FsPath): Promise<AsyncIterable<Dirent>>;
}

export const lookCalls: LookCalls = { open, lstat, stat, opendir: (path) => opendir(path, { encoding: 'latin1', bufferSize: 1024 }) };

/** Where an open descriptor stands now, in the kernel's own words: no disk and no server is asked, so it is not worth a thread. Linux. */
export const placeOfDescriptor = (fd: number): string => fs.readlinkSync(`/proc/self/fd/${fd}`, 'latin1');

/** Of a descriptor that was opened a moment ago: the kernel has the answer, and handing it to a thread and back costs ten times the call. */
export const fstatNow = (fd: number): BigIntStats => fs.fstatSync(fd, { bigint: true });
/** Of a descriptor that nothing was written through: there is nothing to wait for. */
export const closeNow = (fd: number): void => fs.closeSync(fd);
/** On this thread, as the next two: for what the kernel has in memory, in most cases. Undefined: nothing stands there. */
export const lstatNow = (path: FsPath): BigIntStats | undefined => fs.lstatSync(path, { bigint: true, throwIfNoEntry: false });
export const openNow = (path: FsPath, flags: number): number => fs.openSync(path, flags);
/** Bytes read; fewer than the buffer has room for at the end of the file. */
export const readNow = (fd: number, buffer: Uint8Array, position: number): number => fs.readSync(fd, buffer, 0, buffer.length, position);

/** Bytes read; 0 at the end of the file. */
export function readAt(fd: number, buffer: Uint8Array, length: number, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, buffer, 0, length, position, (error, bytes) => (error === null ? resolve(bytes) : reject(error)));
  });
}

/** Writes all of it: the kernel may take less at a time. */
export async function writeAt(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await writeSome(fd, bytes, done, position + done);
}

/** At the end of a file that was opened to append; processes never mix their lines. */
export async function append(fd: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += await writeSome(fd, bytes, done, null);
}

function writeSome(fd: number, bytes: Uint8Array, from: number, position: number | null): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, bytes, from, bytes.length - from, position, (error, written) => (error === null ? resolve(written) : reject(error)));
  });
}
