import assert from 'node:assert/strict';
import { copyFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { BINDING, folder, open } from './fixture.test.ts';
import { inspectLedger, ledgerExists } from './index.ts';
import { migrate } from './migrations/index.ts';

/** The files of a ledger whose maker was killed after `steps`; a copy of open files is what a kill leaves. */
function halfMade(dir: string, steps: (db: DatabaseSync) => void): string {
  const made = join(dir, 'made.db');
  const path = join(dir, 'ledger.db');
  const db = new DatabaseSync(made);
  db.exec('PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = wal');
  steps(db);
  for (const suffix of ['', '-wal']) copyFileSync(made + suffix, path + suffix);
  db.close();
  return path;
}

const STATES: Readonly<Record<string, (db: DatabaseSync) => void>> = {
  'before its tables': (db) => db.exec('BEGIN IMMEDIATE; ROLLBACK'),
  'between its tables and its binding': (db) => {
    db.exec('BEGIN IMMEDIATE');
    migrate(db, 'made.db');
    db.exec('COMMIT');
  },
};

for (const [state, steps] of Object.entries(STATES)) {
  test(`I4: a ledger whose maker was killed ${state} is none yet, and the next coordinator finishes it`, async (t) => {
    const path = halfMade(folder(t), steps);
    assert.ok(statSync(path).size > 0);
    assert.equal(ledgerExists(path), false);
    assert.throws(() => inspectLedger(path), { code: 'E_NO_LEDGER' });
    const ledger = await open(path);
    assert.equal(ledger.beginRun('initial').number, 1);
    assert.equal(ledgerExists(path), true);
    await ledger.close();
    const view = inspectLedger(path);
    assert.deepEqual(view.binding, BINDING);
    await view.close();
  });
}
