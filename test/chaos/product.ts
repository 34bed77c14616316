// The product as an operator runs it: the real command line in a process of its own, its executors found among its children.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspectLedger } from '../../src/ledger/sqlite/index.ts';
import type { Tally } from '../../src/core/item.ts';
import { ledgerPath } from '../../src/app/state.ts';
import type { Place } from './judge.ts';

const bin = fileURLToPath(new URL('../../bin/brigade.cjs', import.meta.url));
const impatient = fileURLToPath(new URL('impatient.ts', import.meta.url));

export interface Migration {
  readonly name: string;
  readonly file: string;
  readonly state: string;
  /** Output of all its processes goes here. */
  readonly log: string;
  readonly env: NodeJS.ProcessEnv;
}

/** One end of a migration file. `endpoint`: another than the place's own, such as a proxy's. */
const endOf = (place: Place, endpoint: string | undefined, credentials: string): Record<string, unknown> => (place.kind === 'folder'
  ? { path: place.path }
  : { s3: place.bucket, endpoint: endpoint ?? place.endpoint, region: place.region, credentials });

export interface MigrationSpec {
  readonly dir: string;
  readonly name: string;
  readonly source: Place;
  readonly destination: Place;
  readonly sourceEndpoint?: string | undefined;
  readonly destinationEndpoint?: string | undefined;
  /** Default env:CHAOS. */
  readonly credentials?: string | undefined;
  /** Further keys of the migration file. */
  readonly options?: Readonly<Record<string, unknown>>;
}

/** Writes the migration file (JSON is YAML). */
export function writeMigration(spec: MigrationSpec): Migration {
  const { dir, name, source, destination, credentials = 'env:CHAOS' } = spec;
  const file = join(dir, `${name}.yml`);
  const document = { name, source: endOf(source, spec.sourceEndpoint, credentials), destination: endOf(destination, spec.destinationEndpoint, credentials), ...spec.options };
  writeFileSync(file, `${JSON.stringify(document, null, 2)}\n`);
  const bucket = [source, destination].find((place) => place.kind === 'bucket');
  const keys = bucket?.kind === 'bucket' ? { CHAOS_ACCESS_KEY_ID: bucket.access_key_id, CHAOS_SECRET_ACCESS_KEY: bucket.secret_access_key } : {};
  return { name, file, state: join(dir, `${name}.state`), log: join(dir, `${name}.log`), env: { ...process.env, ...keys } };
}

export interface Ended { readonly code: number | null; readonly signal: NodeJS.Signals | null }

export interface Coordinator {
  readonly pid: number;
  /** Undefined while it runs. */
  readonly state: () => Ended | undefined;
  readonly ended: Promise<Ended>;
  /** Process ids of its living executors. */
  executors(): number[];
}

/** `brigade run`. */
export const startRun = (migration: Migration, ...flags: string[]): Coordinator =>
  start(migration, bin, 'run', migration.file, '--state', migration.state, '--progress', 'none', ...flags);

/** The same by a coordinator that takes an executor for frozen after `silenceMs`. */
export const startImpatient = (migration: Migration, silenceMs: number): Coordinator => start(migration, impatient, migration.file, migration.state, String(silenceMs));

function start(migration: Migration, script: string, ...args: string[]): Coordinator {
  const log = openSync(migration.log, 'a');
  const child = spawn(process.execPath, [script, ...args], { env: migration.env, stdio: ['ignore', log, log] });
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error('brigade did not start');
  let state: Ended | undefined;
  const ended = new Promise<Ended>((resolve) => {
    child.once('exit', (code, signal) => resolve(state = { code, signal }));
  });
  return { pid, ended, state: () => state, executors: () => executorsOf(pid) };
}

/** Ends with what it says within `ms`. @throws Error with the end of its log. */
export async function runToEnd(migration: Migration, ms: number, ...flags: string[]): Promise<Ended> {
  return endsWithin(startRun(migration, ...flags), migration, ms);
}

export async function endsWithin(run: Coordinator, migration: Migration, ms: number): Promise<Ended> {
  let late = false;
  const timer = setTimeout(() => { late = true; kill(run.pid, 'SIGKILL'); }, ms);
  const ended = await run.ended;
  clearTimeout(timer);
  if (late) throw new Error(`the run did not end within ${ms / 1000} s\n${logTail(migration)}`);
  return ended;
}

export const logTail = (migration: Migration, bytes = 3000): string => readFileSync(migration.log).subarray(-bytes).toString();

/** False when it is gone already. */
export function kill(pid: number, signal: NodeJS.Signals): boolean {
  // To the system these are whole groups of processes, this one among them.
  if (pid <= 0) throw new RangeError(`no such process: ${pid}`);
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    return false;
  }
}

/** Children of a process that run executor.ts, by /proc. */
function executorsOf(parent: number): number[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(ppid) === parent && state !== 'Z' && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('executor');
    } catch {
      return false; // it ended between the two looks
    }
  });
}

export interface Claim {
  readonly tally: Tally;
  readonly finished: boolean;
  /** State of each object. */
  readonly states: Readonly<Record<string, string>>;
  /** Objects by number of attempts. */
  readonly attempts: Readonly<Record<string, number>>;
  readonly requests: Readonly<Record<string, number>>;
  readonly resumes: number;
}

/** What the ledger says of the latest run. */
export async function claimOf(migration: Migration): Promise<Claim> {
  const view = inspectLedger(ledgerPath(migration.state, migration.name));
  try {
    const run = view.run();
    if (run === undefined) throw new Error('the ledger has no run');
    const states: Record<string, string> = {};
    const attempts: Record<string, number> = {};
    for (const item of view.items(run.number)) {
      if (item.kind === 'directory') continue;
      states[item.key] = item.state;
      attempts[item.attempts] = (attempts[item.attempts] ?? 0) + 1;
    }
    return { tally: view.tally(run.number), finished: run.state === 'finished', states, attempts, requests: view.totals(run.number).requests, resumes: run.resumes };
  } finally {
    await view.close();
  }
}
