/**
 * Tables of the layout `objects`. A listing reads `newest` alone, in key order and without a look at anything heavy; versions behind the
 * newest lie in `older`, and what only a HEAD or GET needs in `details`. `trash` names files that no record refers to any more: it is
 * filled by the commit that lets go of them, so that a crash leaves none behind unnoticed. `arrivals` names those that a commit took in
 * and that may still lie where they came in.
 */
import { factsSchema } from '../metadata/facts.ts';
import { uploadsSchema } from '../metadata/uploads.ts';

/** What a listing shows. `id`: the version id. `seq`: the order of writing, and the key of the details. */
const light = 'bucket TEXT NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL, id TEXT NOT NULL, marker INTEGER NOT NULL, modified INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, algorithm TEXT, kind TEXT, class TEXT NOT NULL, restore TEXT';

export const schema = `
  ${factsSchema}
  CREATE TABLE IF NOT EXISTS buckets (name TEXT PRIMARY KEY, settings TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS newest (${light}, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS older (${light}, PRIMARY KEY (bucket, key, seq DESC)) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS details (seq INTEGER PRIMARY KEY, checksum TEXT, attributes TEXT NOT NULL, parts TEXT, pieces TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS trash (id TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS arrivals (id TEXT PRIMARY KEY) WITHOUT ROWID;
  ${uploadsSchema}`;

export const columns = 'bucket, key, seq, id, marker, modified, size, etag, algorithm, kind, class, restore';
