/**
 * The list of an upload's durable parts: a file of lines beside the data. A line is added only when the part's bytes are on the disk,
 * and taken back by a line of its own before the bytes change again; each line carries its checksum, and one that was torn by a crash
 * counts as not written. So whatever it claims after a kill -9 is there.
 */
import { constants } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { Part } from '../../ports/storage.ts';
import { append, close, fdatasync, fstat, open, readAt, type FsPath } from './syscalls.ts';

export interface IndexHead {
  readonly key: string;
  readonly size: number;
  readonly partSize: number;
}

export interface PartIndex {
  readonly head: IndexHead;
  readonly parts: ReadonlyMap<number, Part>;
}

export async function createIndex(path: FsPath, head: IndexHead): Promise<void> {
  const fd = await open(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW, 0o600);
  await appendTo(fd, JSON.stringify(head));
}

export async function addPart(path: FsPath, part: Part): Promise<void> {
  await addLine(path, `${part.number} ${part.size} ${part.token}`);
}

export async function takeBack(path: FsPath, number: number): Promise<void> {
  await addLine(path, `${number} -`);
}

/** Undefined where the head line itself is torn: the upload was never told to anybody. */
export async function readIndex(path: FsPath): Promise<PartIndex | undefined> {
  const lines = (await readWhole(path)).split('\n').map(checkedLine);
  const head = lines[0];
  if (head === undefined) return undefined;
  const parts = new Map<number, Part>();
  for (const line of lines.slice(1)) {
    if (line === undefined) continue;
    const [number, size, token] = line.split(' ') as [string, string, string | undefined];
    if (size === '-' || token === undefined) parts.delete(Number(number));
    else parts.set(Number(number), partOf(Number(number), Number(size), token));
  }
  return { head: JSON.parse(head) as IndexHead, parts };
}

/** The token is the part's CRC32 with its number: the same bytes sent twice are the same part. */
export function partOf(number: number, size: number, token: string): Part {
  return { number, size, token, checksum: { algorithm: 'crc32', hex: token.slice(-8) } };
}

/** One write() each: lines of two processes never mix. A line break comes first, so that a torn line before spoils only itself. */
async function addLine(path: FsPath, text: string): Promise<void> {
  await appendTo(await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW), text, '\n');
}

async function appendTo(fd: number, text: string, before = ''): Promise<void> {
  try {
    await append(fd, Buffer.from(`${before}${text} ${sumOf(text)}`));
    await fdatasync(fd);
  } finally {
    await close(fd);
  }
}

function checkedLine(line: string): string | undefined {
  const text = line.slice(0, -9);
  return line.at(-9) === ' ' && line.slice(-8) === sumOf(text) ? text : undefined;
}

function sumOf(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

async function readWhole(path: FsPath): Promise<string> {
  const fd = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const buffer = Buffer.alloc(Number((await fstat(fd)).size));
    let length = 0;
    for (let bytes = 1; bytes > 0 && length < buffer.length; length += bytes) bytes = await readAt(fd, buffer.subarray(length), buffer.length - length, length);
    return buffer.toString('utf8', 0, length);
  } finally {
    await close(fd);
  }
}
