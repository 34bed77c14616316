/** RUN and FILE arguments: which ledger, which run, which migration. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadMigration, type Migration } from '../config/index.ts';
import { nearestWord } from '../config/nearest.ts';
import { runOf } from '../app/open-run.ts';
import { savedMigration } from '../app/saved-migration.ts';
import { ledgerPath } from '../app/state.ts';
import { usageError } from '../core/errors.ts';
import { inspectLedger, ledgerExists, type LedgerView } from '../ledger/sqlite/index.ts';
import type { Run } from '../ports/ledger.ts';
import { type Invocation, stateDir } from './invocation.ts';

export interface RunName {
  readonly name: string;
  readonly number?: number;
}

const RUN = /^([A-Za-z0-9][A-Za-z0-9._-]{0,62})(?:@([1-9]\d{0,8}))?$/;

/** `name` or `name@N`. Throws E_USAGE. */
export function parseRun(text: string): RunName {
  const [, name, number] = RUN.exec(text) ?? [];
  if (name === undefined) throw usageError('E_USAGE', `${JSON.stringify(text.slice(0, 80))} does not name a run`, 'write NAME for its latest run, or NAME@N', 'RUN');
  return { name, ...(number === undefined ? {} : { number: Number(number) }) };
}

export interface OpenedRun {
  readonly view: LedgerView;
  readonly run: Run;
}

/** The ledger of a run, to look at. The caller closes `view`. Throws E_NO_LEDGER, E_NO_RUN. */
export async function openRun(invocation: Invocation, text: string): Promise<OpenedRun> {
  const { name, number } = parseRun(text);
  const view = openLedgerOf(stateDir(invocation), name);
  try {
    return { view, run: runOf(view, number) };
  } catch (error) {
    await view.close();
    throw error;
  }
}

export function openLedgerOf(state: string, name: string): LedgerView {
  mustExist(state, name);
  return inspectLedger(ledgerPath(state, name));
}

export function mustExist(state: string, name: string): void {
  if (ledgerExists(ledgerPath(state, name))) return;
  const known = ledgersIn(state);
  const near = nearestWord(name, known);
  const fix = near !== undefined ? `did you mean ${near}` : known.length > 0 ? `known: ${known.slice(0, 10).join(', ')}` : 'start one with brigade run, or name the folder with --state';
  throw usageError('E_NO_LEDGER', `there is no run of "${name}" in ${state}`, fix, 'RUN');
}

/** Names of the migrations that have a ledger here. */
export function ledgersIn(state: string): string[] {
  if (!existsSync(state)) return [];
  return readdirSync(state, { withFileTypes: true }).filter((entry) => entry.isDirectory() && ledgerExists(ledgerPath(state, entry.name))).map(({ name }) => name).sort((a, b) => (a < b ? -1 : 1));
}

export interface Target extends RunName {
  readonly migration: Migration;
}

/** RUN or FILE, for commands that need the stores. A name with a ledger is a run, else what exists as a file is one. */
export function migrationOf(invocation: Invocation, text: string): Target {
  const { io } = invocation;
  const state = stateDir(invocation);
  const path = resolve(io.cwd, text);
  const isRun = RUN.test(text) && ledgerExists(ledgerPath(state, parseRun(text).name));
  if (!isRun && (existsSync(path) || /\.(?:ya?ml|json)$|\//i.test(text))) {
    const migration = loadMigration(path, io.env);
    mustExist(state, migration.name);
    return { migration, name: migration.name };
  }
  const run = parseRun(text);
  mustExist(state, run.name);
  return { ...run, migration: savedMigration(state, run.name, io.env) };
}

/** Files as they are, folders as the migration files in them. Throws E_NO_FILES when there is none. */
export function migrationFiles(cwd: string, paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    const full = resolve(cwd, path);
    if (!isFolder(full)) return [full];
    const files = readdirSync(full).filter((name) => /\.ya?ml$/i.test(name) && !name.startsWith('.')).sort((a, b) => (a < b ? -1 : 1));
    if (files.length === 0) throw usageError('E_NO_FILES', `no migration file found in ${path}`, 'put one *.yml per source and destination into it, or write one with brigade init');
    return files.map((name) => join(full, name));
  });
}

export function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
