/**
 * Makes a folder and those above it, one by one. Node's recursive mkdir never returns where a parent exists that cannot hold folders and says
 * ENOENT for it (seen on /proc with Node 24).
 */
import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { usageError } from '../core/errors.ts';

/** @throws usage error E_FOLDER. */
export function makeFolder(path: string): void {
  const missing: string[] = [];
  let at = resolve(path);
  for (; statSync(at, { throwIfNoEntry: false }) === undefined; at = dirname(at)) missing.unshift(at);
  for (const folder of missing) {
    try {
      mkdirSync(folder);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'EEXIST') throw usageError('E_FOLDER', `the folder cannot be made (${code ?? 'error'})`, 'choose another place, or make it by hand', folder);
    }
  }
}
