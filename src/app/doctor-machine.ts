/** This machine and its state folder: what a run needs besides the two stores. */
import { readFileSync } from 'node:fs';
import { access, constants } from 'node:fs/promises';
import { checkOverlap } from '../config/index.ts';
import { showBytes, showCount } from '../core/units.ts';
import { concurrencyOf, executorsOf } from './copying.ts';
import { errnoOf, nearestFolder } from './doctor-folder.ts';
import { type Examination, fail, failure, type Findings, ok, settle, warn } from './doctor-lines.ts';

/** What a process takes besides its buffers: V8, code, sockets. */
const PROCESS_BYTES = 120 * 1024 * 1024;
/** Sockets to both stores, kept directories, ledger, logs. */
const OTHER_FILES = 300;

/** False when source, destination and state folder overlap: then nothing may be written, not even a canary. */
export async function* examineMachine(exam: Examination): Findings<boolean> {
  const configuration = examineConfiguration(exam);
  yield configuration;
  yield* examineState(exam);
  yield examineFiles(exam, openFilesLimit());
  yield examineMemory(exam, process.availableMemory());
  return configuration.status !== 'FAIL';
}

/** The file was read and checked before doctor began; left are the places it names (truth 16). */
function examineConfiguration({ migration, around }: Examination) {
  try {
    checkOverlap(migration, around.stateDir);
    return ok('configuration', `${migration.file ?? 'from the command line'}: ${migration.name}`);
  } catch (thrown) {
    return failure('configuration', thrown);
  }
}

async function* examineState({ around }: Examination): Findings {
  const { stateDir } = around;
  const folder = await nearestFolder(stateDir);
  const refused = folder === undefined ? 'ENOTDIR' : await access(folder, constants.W_OK | constants.X_OK).then(() => undefined, (error: unknown) => errnoOf(error) ?? 'EACCES');
  if (refused !== undefined) {
    yield fail('state folder', `${stateDir} cannot be written (${refused})`, 'choose another folder with --state');
    return;
  }
  const { filesystemType } = await import('../stores/filesystem/index.ts');
  const type = await settle(filesystemType(folder as string));
  if (type.value?.network === true) yield fail('state folder', `${stateDir} lies on ${type.value.type}, where a database is not safe`, 'choose a local folder with --state');
  else yield ok('state folder', `${stateDir}${type.value === undefined ? '' : ` on ${type.value.type}`}`);
}

/** The soft limit; Node raises it to the hard one at its start. Infinity where there is none, undefined where it is not told. */
function openFilesLimit(): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return soft === undefined ? undefined : soft === 'unlimited' ? Infinity : Number(soft);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined; // no /proc here: macOS, Windows
  }
}

/** Two files per object in flight, in each process. */
export function examineFiles({ migration }: Examination, limit: number | undefined) {
  const needed = 2 * concurrencyOf(migration, Math.max(1, executorsOf(migration))) + OTHER_FILES;
  if (limit === undefined) return ok('open files', 'the limit is not told here');
  if (limit < needed) return warn('open files', `at most ${showCount(limit)} in a process, up to ${showCount(needed)} may be needed`, `ulimit -n ${needed}, or lower limits.concurrency`);
  return ok('open files', `${limit === Infinity ? 'unlimited' : `${showCount(limit)} in a process`}, up to ${showCount(needed)} may be needed`);
}

export function examineMemory({ migration }: Examination, available: number) {
  const processes = executorsOf(migration) + 1;
  const needed = processes * (migration.limits.memory + PROCESS_BYTES);
  const says = `${showBytes(available)} available, up to ${showBytes(needed)} may be used (${processes} processes)`;
  return available < needed ? warn('memory', says, 'lower limits.memory or executors') : ok('memory', says);
}
