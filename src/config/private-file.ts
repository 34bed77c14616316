/** Files that only their owner may read. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import type { BrigadeError } from '../core/errors.ts';

const MAX_FILE_BYTES = 64 * 1024;

/** Makes the error: what is wrong with the file, what to do about it. */
export type Refusal = (what: string, fix: string, cause?: unknown) => BrigadeError;

/** A small text file that nobody but its owner can read. @throws what `refuse` makes */
export function readPrivateFile(path: string, refuse: Refusal): string {
  let handle: number;
  try {
    // Without O_NONBLOCK, opening a FIFO that nobody writes to would stop this process for ever.
    handle = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (thrown) {
    throw refuse(`cannot be read (${(thrown as NodeJS.ErrnoException).code ?? 'unknown error'})`, 'check the path and its owner', thrown);
  }
  try {
    // Asked of the open file, so that what is checked is what is read.
    const stat = fstatSync(handle);
    if (!stat.isFile()) throw refuse('is not a regular file', 'name the file that holds the credential');
    if (process.platform !== 'win32' && (stat.mode & 0o077) !== 0) throw refuse('can be read by others than its owner', `chmod 600 ${path}`);
    if (stat.size > MAX_FILE_BYTES) throw refuse('is larger than 64 KiB', 'name the file that holds the credential');
    return readFileSync(handle, 'utf8');
  } finally {
    closeSync(handle);
  }
}
