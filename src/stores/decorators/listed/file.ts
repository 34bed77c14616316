/** A file of a listing: where it is told to be, and its bytes, in order or from any place. */
import { createHash } from 'node:crypto';
import { createReadStream, type ReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { usageError } from '../../../core/errors.ts';

/** Bytes in order, from the first on. */
export interface Readable {
  /** For messages: a path, or `s3://bucket/key`. */
  readonly name: string;
  open(): ReadStream;
}

/** An open file, read through one descriptor: what was proven is what is read, whatever is put in its place. */
export interface OpenFile extends Readable {
  readonly size: number;
  /** Bytes [from, to). */
  slice(from: number, to: number): Promise<ArrayBuffer>;
  close(): Promise<void>;
}

/** What a manifest says of a file. */
export interface Proof {
  /** Bytes; absent where it does not say. */
  readonly size?: number;
  /** Lower-case hex. */
  readonly md5: string;
}

const SLICE = 256 * 1024;

export function readable(path: string): Readable {
  return { name: path, open: () => createReadStream(path) };
}

export function openFile(name: string, handle: FileHandle, size: number): OpenFile {
  return {
    name, size,
    open: () => createReadStream('', { fd: handle, start: 0, autoClose: false, highWaterMark: SLICE }),
    slice: (from, to) => sliceOf(name, handle, from, to),
    close: () => handle.close(),
  };
}

async function sliceOf(name: string, handle: FileHandle, from: number, to: number): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(to - from);
  for (let done = 0; done < bytes.length;) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, from + done);
    if (bytesRead === 0) throw broken(name, 'became shorter while it was read', 'fetch it again, and leave it alone');
    done += bytesRead;
  }
  return bytes.buffer;
}

/** @throws usage E_LISTING_FILE: it is not the file that the manifest names. */
export async function openProven(path: string, proof: Proof): Promise<OpenFile> {
  const handle = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw broken(path, `cannot be read: ${error.code ?? 'error'}`);
  });
  try {
    const file = openFile(path, handle, (await handle.stat()).size);
    const hash = createHash('md5');
    for await (const chunk of file.open()) hash.update(chunk as Buffer);
    prove(file, hash.digest('hex'), proof);
    return file;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Half a file, or another one, must never look like a shorter listing (truth 2). */
export function prove({ name, size }: Pick<OpenFile, 'name' | 'size'>, md5: string, proof: Proof): void {
  const says = proof.size !== undefined && proof.size !== size ? `it has ${size} bytes, not ${proof.size}` : md5 === proof.md5 ? undefined : 'its MD5 differs';
  if (says !== undefined) throw broken(name, `is not the file that the manifest names: ${says}`, 'fetch it again');
}

export function broken(location: string, why: string, hint = 'check source.listing'): Error {
  return usageError('E_LISTING_FILE', why, hint, location);
}
