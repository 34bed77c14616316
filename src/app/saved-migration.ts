/**
 * What `retry RUN` and `verify RUN` work from: beside each ledger stands `migration.json`, which names the migration file or, for an
 * ad-hoc copy, holds the whole migration. It has no secrets: credentials are references (design truth 13).
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Environment, loadMigration, type Migration } from '../config/index.ts';
import { usageError } from '../core/errors.ts';
import { makeFolder } from './folder.ts';
import { ledgerPath } from './state.ts';
import { writeWhole } from './whole-file.ts';

interface Saved {
  readonly v: 1;
  readonly migration: Migration;
}

function savedPath(stateDir: string, name: string): string {
  return join(dirname(ledgerPath(stateDir, name)), 'migration.json');
}

/** Called when a run starts; appears whole or not at all. */
export function saveMigration(stateDir: string, migration: Migration): void {
  const path = savedPath(stateDir, migration.name);
  makeFolder(dirname(path));
  writeWhole(path, { v: 1, migration } satisfies Saved, 0o600);
}

/** As it was at the start of the latest run; undefined where none was saved or it cannot be read as one. */
export function lastSaved(stateDir: string, name: string): Migration | undefined {
  const path = savedPath(stateDir, name);
  if (!existsSync(path)) return undefined;
  try {
    const saved = JSON.parse(readFileSync(path, 'utf8')) as Partial<Saved>;
    return saved.v === 1 ? saved.migration : undefined;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return undefined;
    throw thrown;
  }
}

/** The migration of a run: its file as it is now, so that changed limits count, or the saved copy of an ad-hoc one. Errors: E_NO_MIGRATION, E_CONFIG. */
export function savedMigration(stateDir: string, name: string, env: Environment): Migration {
  const saved = lastSaved(stateDir, name);
  if (saved === undefined) throw usageError('E_NO_MIGRATION', 'the state folder does not say which migration file this run came from', 'name the FILE instead of the run', savedPath(stateDir, name));
  if (saved.file === undefined) return saved;
  const now = loadMigration(saved.file, env);
  if (now.name !== name) throw usageError('E_NO_MIGRATION', `this file now names the migration "${now.name}", not "${name}"`, 'name the right FILE instead of the run', saved.file);
  return now;
}
