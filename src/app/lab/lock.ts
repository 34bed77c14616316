/** One `brigade lab up`, `down` or `reset` at a time per lab: a transaction that the kernel ends with its process, however that ends. */
import { DatabaseSync } from 'node:sqlite';
import { usageError } from '../../core/errors.ts';
import type { LabFolder } from './folder.ts';

/** @throws usage error E_LAB_BUSY */
export function holdLab({ lock, dir }: LabFolder): Disposable {
  const db = new DatabaseSync(lock, { timeout: 0 });
  try {
    db.exec('BEGIN EXCLUSIVE');
  } catch {
    // Whatever SQLite calls it, somebody else holds it or the folder cannot be written.
    db.close();
    throw usageError('E_LAB_BUSY', 'another brigade lab command is at work here', 'wait for its end and try again', dir);
  }
  return { [Symbol.dispose]: () => db.close() };
}
