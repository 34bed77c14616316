/** Numbered migrations: the position in the list is the schema version (`PRAGMA user_version`). Append only; never edit one that shipped. */
import { usageError } from '../../../core/errors.ts';
import { initial } from './001-initial.ts';
import { destinationReRead } from './002-destination-re-read.ts';
import { shards } from './003-shards.ts';
import { claims } from './004-claims.ts';
import { journal } from './005-journal.ts';
import type { DatabaseSync } from 'node:sqlite';

const MIGRATIONS: readonly string[] = [initial, destinationReRead, shards, claims, journal];

export const SCHEMA_VERSION = MIGRATIONS.length;

/** "BRGD": tells a ledger from any other SQLite file. */
export const APPLICATION_ID = 0x42524744;

/** Brings the schema to this build's version, inside the caller's transaction. A newer one is refused: this build would misread it. */
export function migrate(db: DatabaseSync, path: string): void {
  const from = refuseForeign(db, path);
  for (const sql of MIGRATIONS.slice(from)) db.exec(sql);
  if (from < SCHEMA_VERSION) db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${SCHEMA_VERSION}`);
}

/** The schema version found, once it is sure that this is a ledger we can read. */
export function refuseForeign(db: DatabaseSync, path: string): number {
  const application = pragma(db, 'application_id');
  const version = pragma(db, 'user_version');
  const empty = application === 0 && version === 0 && db.prepare('SELECT count(*) AS n FROM sqlite_schema').get()?.['n'] === 0;
  if (!empty && application !== APPLICATION_ID) throw usageError('E_NOT_A_LEDGER', 'this SQLite file is not a ledger of brigade', 'name another state folder with --state', path);
  if (version > SCHEMA_VERSION) {
    throw usageError('E_LEDGER_NEWER', `the ledger has schema ${version}, this build knows ${SCHEMA_VERSION}`, 'use the newer brigade, or another --state folder', path);
  }
  return version;
}

function pragma(db: DatabaseSync, name: string): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
}
