/** What a state knows of itself, each set once; first of all, which root it belongs to. */
import { BrigadeError } from '../../core/errors.ts';
import type { Database } from './database.ts';
import { textOf } from './encoding.ts';

export const factsSchema = 'CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;';

/** The fact as it was first set; `first`, where it was not. */
export function factOf(db: Database, name: string, first: string): string {
  db.sql('INSERT OR IGNORE INTO facts (name, value) VALUES (?, ?)').run(name, first);
  return textOf(db.sql('SELECT value FROM facts WHERE name = ?').get(name) ?? {}, 'value');
}

/** A state serves one root for ever: with another's rows every object would be missing. @throws BrigadeError E_STATE_OF_ANOTHER_ROOT */
export function bindToRoot(db: Database, root: string, location: string, hint: string): void {
  if (factOf(db, 'root', root) === root) return;
  throw new BrigadeError({ code: 'E_STATE_OF_ANOTHER_ROOT', kind: 'usage', message: 'the state belongs to another root', op: 'open', location, hint });
}
