/** How long tasks and the largest object will take, from what the last run listed: what a lease and an abort rule are held against (S1.11, S1.40). */
import type { Migration } from '../../config/index.ts';
import { BYTES_PER_SECOND, Packer, predictedSeconds } from '../../core/pack.ts';
import { inspectLedger, ledgerExists } from '../../ledger/sqlite/index.ts';
import type { Ledger, Run } from '../../ports/ledger.ts';
import { ledgerPath } from '../state.ts';

export interface Foreseen {
  /** Bytes per second that one object is assumed to go with. */
  readonly rate: number;
  /** Of the tasks that the last plan's objects are packed to; without a plan, the most that packing allows. */
  readonly taskMs: number;
  /** Absent: nothing was planned here yet. */
  readonly largest?: { readonly bytes: number; readonly ms: number };
}

/** Objects looked at: a larger listing is judged by its beginning. */
const MOST_OBJECTS = 2_000_000;
const SHARE = 0.95;

/** Reads the ledger that the state folder has of this migration, if it has one. */
export async function foresee(migration: Migration, stateDir: string): Promise<Foreseen> {
  const path = ledgerPath(stateDir, migration.name);
  const unknown: Foreseen = { rate: rateOf(migration), taskMs: migration.batch.seconds * 1000 };
  if (!ledgerExists(path)) return unknown;
  const view = inspectLedger(path);
  try {
    const run = view.runs().findLast(({ listing }) => listing.sourceObjects > 0);
    return run === undefined ? unknown : fromListing(migration, view, run, unknown);
  } finally {
    await view.close();
  }
}

/** What the operator allows at most; what was measured for many objects at once says nothing of one. */
function rateOf({ limits }: Migration): number {
  return Math.min(limits.bandwidth ?? Infinity, BYTES_PER_SECOND);
}

function fromListing(migration: Migration, view: Pick<Ledger, 'items'>, run: Run, unknown: Foreseen): Foreseen {
  const { rate } = unknown;
  const packer = new Packer(migration.batch);
  const seconds: number[] = [];
  let [objects, largest] = [0, 0];
  let task = { objects: 0, bytes: 0 };
  const end = (): void => {
    if (task.objects > 0) seconds.push(predictedSeconds(task.objects, task.bytes, rate));
    task = { objects: 0, bytes: 0 };
  };
  for (const item of view.items(run.number)) {
    if (item.kind !== 'object' || item.state === 'extra') continue;
    if (++objects > MOST_OBJECTS) break;
    largest = Math.max(largest, item.size);
    const ends = packer.add({ size: item.size, state: 'pending' });
    if (ends === 'before') end();
    task.objects++;
    task.bytes += item.size;
    if (ends === 'with') end();
  }
  end();
  if (objects === 0) return unknown;
  seconds.sort((a, b) => a - b);
  const p95 = seconds[Math.min(seconds.length - 1, Math.floor(seconds.length * SHARE))] ?? 0;
  return { rate, taskMs: p95 * 1000, largest: { bytes: largest, ms: predictedSeconds(1, largest, rate) * 1000 } };
}
