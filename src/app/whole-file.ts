/** Small JSON files of the state folder and of labs: each appears whole or not at all. */
import { renameSync, writeFileSync } from 'node:fs';

/** @throws Error as the file system gives it */
export function writeWhole(path: string, value: object, mode: number): void {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(value, null, 2)}\n`, { mode });
  renameSync(draft, path);
}
