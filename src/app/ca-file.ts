/** Certificate authorities that are trusted beside the built-in ones, as PEM. */
import { readFileSync } from 'node:fs';
import { usageError } from '../core/errors.ts';

/** `option`: what named the file, for the fix. @throws usage E_CA_FILE */
export function readCa(path: string, option: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw usageError('E_CA_FILE', `the CA file cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'}`, `check ${option}`, path);
  }
}
