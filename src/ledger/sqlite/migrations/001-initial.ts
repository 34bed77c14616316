/**
 * The first schema. Sums that a query needs are kept beside what they sum, in the same transaction, so that the account of ten million
 * objects is one row; the start checks them against each other.
 *
 * tasks     one row per task: its range of keys, who holds it, and its account by state
 * blocks    the items of a task, compressed (block.ts), apart from `tasks` so that walking tasks never reads them
 * outcomes  items that changed while their task is open, as small blocks; folded into the block when it closes
 * objects   only items with something to say: skipped, failed, or pending with a last error
 * tallies, codes, totals  the account of a run
 */
const counts = `
  pending INTEGER NOT NULL DEFAULT 0, pending_bytes INTEGER NOT NULL DEFAULT 0,
  copied INTEGER NOT NULL DEFAULT 0, copied_bytes INTEGER NOT NULL DEFAULT 0,
  unchanged INTEGER NOT NULL DEFAULT 0, unchanged_bytes INTEGER NOT NULL DEFAULT 0,
  skipped INTEGER NOT NULL DEFAULT 0, skipped_bytes INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0, failed_bytes INTEGER NOT NULL DEFAULT 0,
  extra INTEGER NOT NULL DEFAULT 0, extra_bytes INTEGER NOT NULL DEFAULT 0,
  evidence0 INTEGER NOT NULL DEFAULT 0, evidence1 INTEGER NOT NULL DEFAULT 0,
  evidence2 INTEGER NOT NULL DEFAULT 0, evidence3 INTEGER NOT NULL DEFAULT 0`;

export const initial = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE runs (
  number INTEGER PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, stage TEXT NOT NULL,
  started_ms REAL NOT NULL, ended_ms REAL, pause TEXT,
  sealed INTEGER NOT NULL DEFAULT 0, last_key BLOB,
  source_objects INTEGER NOT NULL DEFAULT 0, source_bytes INTEGER NOT NULL DEFAULT 0, destination_objects INTEGER NOT NULL DEFAULT 0,
  active_ms REAL NOT NULL DEFAULT 0, resumes INTEGER NOT NULL DEFAULT 0, pruned INTEGER NOT NULL DEFAULT 0);

CREATE TABLE tasks (
  id INTEGER PRIMARY KEY, run INTEGER NOT NULL, state TEXT NOT NULL, holder TEXT,
  in_doubt INTEGER NOT NULL DEFAULT 0, deliveries INTEGER NOT NULL DEFAULT 0,
  first_key BLOB NOT NULL, last_key BLOB NOT NULL, ${counts});
CREATE UNIQUE INDEX tasks_by_key ON tasks (run, first_key);
CREATE INDEX tasks_open ON tasks (run, state) WHERE state <> 'done';

CREATE TABLE blocks (task INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE outcomes (id INTEGER PRIMARY KEY, task INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX outcomes_by_task ON outcomes (task);

CREATE TABLE problems (
  id INTEGER PRIMARY KEY, code TEXT NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, hint TEXT NOT NULL,
  UNIQUE (code, kind, message, hint));
CREATE TABLE objects (
  run INTEGER NOT NULL, key BLOB NOT NULL, task INTEGER NOT NULL, state TEXT NOT NULL, problem INTEGER NOT NULL,
  PRIMARY KEY (run, key)) WITHOUT ROWID;

CREATE TABLE tallies (run INTEGER PRIMARY KEY, ${counts});
CREATE TABLE codes (
  run INTEGER NOT NULL, state TEXT NOT NULL, code TEXT NOT NULL, objects INTEGER NOT NULL, bytes INTEGER NOT NULL,
  PRIMARY KEY (run, state, code)) WITHOUT ROWID;
CREATE TABLE totals (run INTEGER NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (run, name)) WITHOUT ROWID;

CREATE TABLE uploads (
  task INTEGER NOT NULL, upload TEXT NOT NULL, run INTEGER NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL,
  part_size INTEGER NOT NULL, algorithm TEXT, source_token TEXT NOT NULL,
  PRIMARY KEY (task, upload)) WITHOUT ROWID;
CREATE TABLE parts (
  task INTEGER NOT NULL, upload TEXT NOT NULL, number INTEGER NOT NULL, size INTEGER NOT NULL, token TEXT NOT NULL, algorithm TEXT, hex TEXT,
  PRIMARY KEY (task, upload, number)) WITHOUT ROWID;

CREATE TABLE verify (run INTEGER PRIMARY KEY, summary TEXT NOT NULL);
CREATE TABLE findings (
  run INTEGER NOT NULL, key BLOB NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, source TEXT, destination TEXT,
  PRIMARY KEY (run, key, kind)) WITHOUT ROWID;
`;
