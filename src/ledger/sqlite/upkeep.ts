/** `ledger backup` and `ledger prune`. */
import { randomUUID } from 'node:crypto';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { backup } from 'node:sqlite';
import { usageError } from '../../core/errors.ts';
import { Connection } from './connection.ts';
import { ledgerFault } from './faults.ts';
import { markCopy } from './wal.ts';
import type { Run } from '../../ports/ledger.ts';

/** A whole copy of a ledger, also while its coordinator writes (F105). The copy appears under its name only when it is complete. */
export async function backupLedger(path: string, target: string): Promise<void> {
  if (existsSync(target)) throw usageError('E_EXISTS', 'a file of this name exists', 'name another', target);
  const source = new Connection(path, { readOnly: true });
  const draft = `${target}.partial`;
  rmSync(draft, { force: true });
  try {
    // All pages in one step: in several, each commit of the coordinator would start it over.
    await backup(source.db, draft, { rate: 2 ** 31 - 1 });
    closeCleanly(draft);
    renameSync(draft, target);
  } catch (error) {
    rmSync(draft, { force: true });
    throw ledgerFault(error, 'backup', target);
  } finally {
    source.close();
  }
}

function closeCleanly(path: string): void {
  const copy = new Connection(path);
  try {
    markCopy(copy, randomUUID());
  } finally {
    copy.close();
  }
}

/** The runs whose objects may go: ended, not among the newest `keep`, and not the newest finished one, which the next delta plan reads. */
export function prunable(runs: readonly Run[], keep: number): readonly Run[] {
  const newestFinished = runs.findLast((run) => run.state === 'finished');
  return runs.slice(0, Math.max(0, runs.length - keep)).filter((run) => (run.state === 'finished' || run.state === 'abandoned') && run !== newestFinished);
}

/** Drops the objects of a run and says whether there were any; its sums, verification and line in `runs` stay. In small transactions, so that the WAL stays small. */
export function pruneRun(connection: Connection, run: number): boolean {
  connection.transaction('prune', () => {
    connection.sql('setPruned').run(run);
    connection.sql('dropObjects').run(run);
    connection.sql('dropShards').run(run);
    connection.sql('clearFindings').run(run);
  });
  let any = false;
  while (pruneSome(connection, run) > 0) any = true;
  return any;
}

/** Gives free pages back to the file system. */
export function shrink(connection: Connection): void {
  connection.read('prune', () => {
    connection.sql('dropProblems').run();
    connection.db.prepare('PRAGMA incremental_vacuum').all();
    connection.db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').all();
  });
}

function pruneSome(connection: Connection, run: number): number {
  return connection.transaction('prune', () => {
    const tasks = connection.sql('tasksToPrune').all(run);
    for (const { id } of tasks) {
      connection.sql('dropBlock').run(Number(id));
      connection.sql('clearOutcomes').run(Number(id));
      connection.sql('dropReports').run(Number(id));
      // Numbers may be given again: what a segment planned must not be taken for what has them then.
      connection.sql('forgetSegment').run(Number(id));
      connection.sql('dropTask').run(Number(id));
    }
    return tasks.length;
  });
}
