/** What an errno means for the run. One table, so that the same failure never has two names. */
import { BrigadeError, asBrigadeError, type ErrorKind } from '../../core/errors.ts';
import { showBytes } from '../../core/units.ts';

interface Meaning {
  readonly code: string;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint?: string;
}

const FULL: Meaning = { code: 'E_DISK_FULL', kind: 'premise', message: 'no space is left', hint: 'free space or raise the quota, then run again' };
const BUSY: Meaning = { code: 'E_TOO_MANY_FILES', kind: 'transient', message: 'too many files are open', hint: 'raise ulimit -n or lower the concurrency' };
const IO: Meaning = { code: 'E_IO', kind: 'transient', message: 'the device or file server reported an input/output error' };
const DENIED: Meaning = { code: 'E_ACCES', kind: 'object', message: 'permission denied' };
export const COLLISION_HINT = 'rename one of the two at the source, or remove what stands at the destination if it is not of this migration';
const COLLISION: Meaning = { code: 'E_NAME_COLLISION', kind: 'object', message: 'a file stands where a directory must be, or a directory where the file must be', hint: COLLISION_HINT };
const NAME: Meaning = { code: 'E_NAME_FORBIDDEN', kind: 'object', message: 'the file system does not take this name' };

const MEANINGS: ReadonlyMap<string, Meaning> = new Map<string, Meaning>([
  ['ENOSPC', FULL], ['EDQUOT', { ...FULL, message: 'the disk quota is used up' }],
  ['EROFS', { code: 'E_READ_ONLY', kind: 'premise', message: 'the file system is mounted read-only', hint: 'mount it writable, then run again' }],
  ['EMFILE', BUSY], ['ENFILE', BUSY], ['ENOMEM', { ...BUSY, code: 'E_NO_MEMORY', message: 'the kernel is out of memory', hint: 'lower the concurrency' }],
  ['EIO', IO], ['ESTALE', IO], ['ENOTCONN', IO], ['ETIMEDOUT', IO], ['EAGAIN', IO], ['EHOSTDOWN', IO], ['EBUSY', IO], ['EINTR', IO], ['EREMOTEIO', IO],
  ['EACCES', DENIED], ['EPERM', DENIED],
  ['EISDIR', COLLISION], ['ENOTDIR', COLLISION], ['ENOTEMPTY', COLLISION],
  ['ELOOP', { code: 'E_LINK_IN_PATH', kind: 'object', message: 'a symbolic link stands in the path' }],
  ['ENAMETOOLONG', { code: 'E_NAME_TOO_LONG', kind: 'object', message: 'the name is too long for the file system' }],
  ['EILSEQ', NAME], ['EINVAL', NAME],
  ['EFBIG', { code: 'E_TOO_LARGE', kind: 'object', message: 'the file is too large for the file system' }],
  ['ENOENT', { code: 'E_NOT_FOUND', kind: 'gone', message: 'no such file' }],
]);

/** Where a missing name means a missing object; anywhere else a directory was taken away under our hands. */
const LOOKUPS: ReadonlySet<string> = new Set(['head', 'read', 'putPart', 'complete', 'listParts']);
const TAKEN: Meaning = { code: 'E_DIRECTORY_GONE', kind: 'transient', message: 'the directory was removed meanwhile' };

export function errno(thrown: unknown): string | undefined {
  return thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
}

/** For `catch`: undefined where there was nothing of that name. */
export function absent(thrown: unknown): undefined {
  if (errno(thrown) !== 'ENOENT') throw thrown;
  return undefined;
}

/** A failed system call as a BrigadeError; what is one already stays as it is. `needed`: bytes that were to be stored. */
export function fsError(thrown: unknown, op: string, location: string, needed?: number): BrigadeError {
  const code = errno(thrown);
  if (thrown instanceof BrigadeError || code === undefined || !/^E[A-Z0-9]+$/.test(code)) return asBrigadeError(thrown, op);
  const meaning = (code === 'ENOENT' && !LOOKUPS.has(op) ? TAKEN : MEANINGS.get(code)) ?? { code: 'E_FILE_SYSTEM', kind: 'object' as const, message: `the system call failed with ${code}` };
  const bytes = meaning.code === 'E_DISK_FULL' && needed !== undefined ? ` for ${showBytes(needed)} (${needed} bytes)` : '';
  const hint = meaning.hint === undefined ? {} : { hint: meaning.hint };
  return new BrigadeError({ code: meaning.code, kind: meaning.kind, message: `${meaning.message}${bytes}`, op, location, cause: thrown, ...hint });
}

/** Runs file system calls; whatever they throw comes out classified. */
export async function classified<T>(op: string, location: string, calls: () => Promise<T>, needed?: number): Promise<T> {
  try {
    return await calls();
  } catch (thrown) {
    throw fsError(thrown, op, location, needed);
  }
}
