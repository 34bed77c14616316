/** A destination folder: writable, large enough, and what its file system makes of names and times. */
import { access, constants, mkdir, open, rm, rmdir, stat, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FileLocation, Migration } from '../config/index.ts';
import { showBytes, showDuration } from '../core/units.ts';
import { inspectLedger, ledgerExists } from '../ledger/sqlite/index.ts';
import { type Examination, fail, type Findings, ok, settle, warn } from './doctor-lines.ts';
import { ledgerPath } from './state.ts';

export async function* examineDestinationFolder(exam: Examination, location: FileLocation): Findings {
  const { path } = location;
  const there = await nearestFolder(path);
  if (there === undefined) {
    yield fail('destination: folder', `${path} or something above it is not a folder`, 'choose another path');
    return;
  }
  const refused = there === path ? await tryWriting(exam, path) : await mayWrite(there);
  if (refused !== undefined) {
    yield fail('destination: folder', refused, refused.includes('ENOSPC') || refused.includes('EDQUOT') ? 'free space or raise the quota' : `give the user of this process the right to write in ${there}`);
    return;
  }
  yield ok('destination: folder', there === path ? `${path} takes files` : `${path} will be made in ${there}`);
  yield* examineSpace(exam, there);
  yield* examineFileSystem(exam, there, there === path);
}

/** The folder itself, or the first one above it that exists. */
export async function nearestFolder(path: string): Promise<string | undefined> {
  for (let here = path; ; here = dirname(here)) {
    try {
      return (await stat(here)).isDirectory() ? here : undefined;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || dirname(here) === here) return errnoOf(error) === 'ENOTDIR' ? undefined : here;
    }
  }
}

/** A file in `.brigade/` and away again: the folder is asked, not its permission bits. */
async function tryWriting(exam: Examination, path: string): Promise<string | undefined> {
  const folder = join(path, '.brigade');
  const file = join(folder, `canary-${Math.floor(exam.around.random.next() * 2 ** 48).toString(16)}`);
  let made: string | undefined;
  try {
    made = await mkdir(folder, { recursive: true });
    const handle = await open(file, 'wx');
    try {
      await handle.write(Buffer.alloc(4096, 'canary '));
      await handle.sync();
    } finally {
      await handle.close();
      await unlink(file);
    }
    return undefined;
  } catch (error) {
    return `writing in ${path} failed: ${reason(error)}`;
  } finally {
    if (made !== undefined) await removeOurs(folder);
  }
}

/** Only when we made it and nobody has put anything in since. */
async function removeOurs(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'ENOENT') await rm(folder, { force: true });
  }
}

async function mayWrite(folder: string): Promise<string | undefined> {
  try {
    await access(folder, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return `nothing can be made in ${folder}: ${reason(error)}`;
  }
}

async function* examineSpace(exam: Examination, folder: string): Findings {
  const free = await freeBytes(folder);
  const needed = pendingBytes(exam.migration, exam.around.stateDir);
  if (free === undefined) return;
  if (needed !== undefined && needed > free) yield fail('destination: space', `${showBytes(free)} free, ${showBytes(needed)} still to come`, 'free space, or choose another folder');
  else yield ok('destination: space', `${showBytes(free)} free${needed === undefined ? '; brigade plan tells how much is needed' : `, ${showBytes(needed)} still to come`}`);
}

/** For a user without privileges; undefined where the file system does not tell. */
export async function freeBytes(folder: string): Promise<number | undefined> {
  const { value } = await settleFs(statfs(folder));
  return value === undefined || value.blocks === 0 ? undefined : value.bavail * value.bsize;
}

/** What an unfinished run has still to copy; undefined where nothing was planned. */
function pendingBytes(migration: Migration, stateDir: string): number | undefined {
  const path = ledgerPath(stateDir, migration.name);
  if (!ledgerExists(path)) return undefined;
  const ledger = inspectLedger(path);
  try {
    const run = ledger.run();
    return run === undefined || run.state === 'finished' ? undefined : ledger.tally(run.number).pending.bytes;
  } finally {
    void ledger.close();
  }
}

async function* examineFileSystem(exam: Examination, folder: string, exists: boolean): Findings {
  const { filesystemType, probeGranularity, probeNames } = await import('../stores/filesystem/index.ts');
  const type = await settle(filesystemType(folder));
  if (type.value !== undefined) yield ok('destination: file system', `${type.value.type}${type.value.network ? ', on the network: each file is made safe by the server' : ''}`);
  if (!exists) return;
  const id = Math.floor(exam.around.random.next() * 2 ** 48).toString(36);
  const names = await settle(probeNames(folder, id));
  if (names.value?.foldsCase === true) yield warn('destination: names', 'this file system takes `A` and `a` for one name', 'rename such objects, or choose another file system; keys that fall together are not both written');
  if (names.value?.normalises === true) yield warn('destination: names', 'this file system takes NFC and NFD forms for one name', 'rename such objects, or choose another file system; keys that fall together are not both written');
  if (names.value !== undefined && !names.value.foldsCase && !names.value.normalises) yield ok('destination: names', 'kept apart by case and by Unicode form');
  const step = await settle(probeGranularity(folder, id));
  if (step.value === undefined) return;
  yield step.value > 1e9 ? warn('destination: times', `kept in steps of ${showDuration(step.value / 1e6)}`, 'expected on FAT: times are compared with that much slack') : ok('destination: times', `kept in steps of ${showStep(step.value)}`);
}

function showStep(nanoseconds: number): string {
  if (nanoseconds <= 1000) return 'a microsecond or finer';
  return nanoseconds < 1e6 ? `${nanoseconds / 1000} µs` : `${nanoseconds / 1e6} ms`;
}

async function settleFs<T>(work: Promise<T>): Promise<{ readonly value?: T }> {
  try {
    return { value: await work };
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return {};
  }
}

export function errnoOf(thrown: unknown): string | undefined {
  return thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
}

function reason(thrown: unknown): string {
  const code = errnoOf(thrown);
  if (code === undefined) throw thrown;
  const words: Readonly<Record<string, string>> = { EACCES: 'permission denied', EPERM: 'not permitted', EROFS: 'mounted read-only', ENOSPC: 'no space is left', EDQUOT: 'the quota is used up', ENOENT: 'no such folder', ENOTDIR: 'not a folder' };
  return `${words[code] ?? 'the system call failed'} (${code})`;
}
