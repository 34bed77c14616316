/** `brigade copy` of one object or one file: the migration is narrowed to its folder and that one name. */
import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Migration, S3Location } from '../config/index.ts';
import { isKind } from '../core/errors.ts';
import { openStores, type StoreDeps } from './stores.ts';

/** The migration as it is, unless its source names a single object that exists. */
export async function narrowToObject(migration: Migration, deps: StoreDeps): Promise<Migration> {
  const { source } = migration;
  if (source.kind === 'file') return narrowToFile(migration, source.path);
  if (source.kind !== 's3' || source.maybeObject === undefined) return migration;
  const slash = source.maybeObject.lastIndexOf('/') + 1;
  const { maybeObject: _, ...rest } = source;
  const parent: S3Location = { ...rest, prefix: source.maybeObject.slice(0, slash) };
  const name = source.maybeObject.slice(slash);
  const narrowed: Migration = { ...migration, source: parent, select: { ...migration.select, include: [quoteGlob(name)] } };
  const stores = await openStores({ ...narrowed, destination: { kind: 'memory', name: 'none', sse: 'none' } }, deps);
  try {
    await stores.source.head(name);
    return narrowed;
  } catch (error) {
    if (isKind(error, 'gone')) return migration;
    throw error;
  } finally {
    await stores.close();
  }
}

function narrowToFile(migration: Migration, path: string): Migration {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return migration;
  return { ...migration, source: { kind: 'file', path: dirname(path) }, select: { ...migration.select, include: [quoteGlob(basename(path))] } };
}

function quoteGlob(name: string): string {
  return [...name].map((character) => (/[\p{L}\p{N}._ -]/u.test(character) ? character : `\\${character}`)).join('');
}
