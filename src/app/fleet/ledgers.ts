/** A ledger that is made from its journal alone, and what the one that is there says differently. */
import { mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { usageError } from '../../core/errors.ts';
import { differences, type Difference, type Folded, rebuild } from '../../journal/index.ts';
import { inspectLedger, isCoordinated, openLedger, replaceLedger } from '../../ledger/sqlite/index.ts';
import type { Journal } from '../../ports/journal.ts';
import type { Binding, Run } from '../../ports/ledger.ts';
import type { Tally } from '../../core/item.ts';
import { ledgerPath } from '../state.ts';
import { type JournalAround, openJournals } from './journal.ts';

export interface LedgerAround extends JournalAround {
  readonly stateDir: string;
  readonly signal: AbortSignal;
}

export interface RebuiltRun {
  readonly run: Run;
  readonly tally: Tally;
}

export interface Rebuilt {
  readonly path: string;
  readonly journal: string;
  readonly folded: Folded;
  readonly runs: readonly RebuiltRun[];
  /** Where the ledger is that stood there before. */
  readonly aside?: string;
}

/**
 * Reads the journal, and writes nothing to it. Nobody else may be at work on the ledger.
 * @throws usage E_NO_JOURNAL, E_LEDGER_EXISTS, E_LOCKED_RUN; premise E_JOURNAL_DAMAGED: then everything is as it was
 */
export async function rebuildLedger(name: string, journal: string, around: LedgerAround & { readonly force: boolean }): Promise<Rebuilt> {
  return withJournal(name, journal, around, async (opened, binding, describe) => {
    const path = ledgerPath(around.stateDir, name);
    const { value, aside } = await replaceLedger({ path, binding, clock: around.clock, holder: holder(), force: around.force, signal: around.signal }, async (ledger) => {
      const folded = await rebuild(opened, ledger, around.signal);
      return { folded, runs: ledger.runs().map((run) => ({ run, tally: ledger.tally(run.number) })) };
    });
    return { path, journal: describe, ...value, ...(aside === undefined ? {} : { aside }) };
  });
}

export interface Checked {
  readonly path: string;
  readonly journal: string;
  readonly folded: Folded;
  readonly differences: number;
  /** A coordinator is at work: what it has not folded yet is told as a difference. */
  readonly live: boolean;
}

/** Compares; changes neither. `tell` hears of the differences as they are found. @throws usage E_NO_JOURNAL, E_NO_LEDGER; premise E_JOURNAL_DAMAGED */
export async function checkLedger(name: string, journal: string, around: LedgerAround, tell: (difference: Difference) => Promise<void> | void): Promise<Checked> {
  const path = ledgerPath(around.stateDir, name);
  const view = inspectLedger(path);
  try {
    return await withJournal(name, journal, around, (opened, binding, describe) => besides(binding, around, async (made) => {
      const folded = await rebuild(opened, made, around.signal);
      let count = 0;
      for (const difference of withBindings(view.binding, binding, differences(view, made))) {
        around.signal.throwIfAborted();
        count++;
        await tell(difference);
      }
      return { path, journal: describe, folded, differences: count, live: isCoordinated(path) };
    }));
  } finally {
    await view.close();
  }
}

function* withBindings(mine: Binding, other: Binding, more: Iterable<Difference>): Generator<Difference> {
  for (const part of ['source', 'destination', 'specHash'] as const) {
    if (mine[part] !== other[part]) yield { run: 0, about: 'run', message: `${part}: the ledger is bound to ${mine[part]}, the journal to ${other[part]}` };
  }
  yield* more;
}

const holder = () => ({ pid: process.pid, host: hostname() });

async function withJournal<T>(name: string, text: string, around: LedgerAround, work: (journal: Journal, binding: Binding, describe: string) => Promise<T>): Promise<T> {
  const journals = openJournals(text, around);
  try {
    const journal = await journals.open(name, 'read');
    const binding = await bindingOf(journal, around.signal);
    if (binding === undefined) throw usageError('E_NO_JOURNAL', `there is no journal of "${name}" here`, 'look whether --journal names what the coordinator was given', journals.describe);
    return await work(journal, binding, journals.describe);
  } finally {
    await journals.close();
  }
}

/** A directory that was never written to is not there at all. */
async function bindingOf(journal: Journal, signal: AbortSignal): Promise<Binding | undefined> {
  try {
    return await journal.binding(signal);
  } catch (thrown) {
    if (isNoRoot(thrown)) return undefined;
    throw thrown;
  }
}

function isNoRoot(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown as Error & { code?: string }).code === 'E_NO_ROOT';
}

/** A ledger of its own in a temporary folder, as large as the one it is compared with. */
async function besides<T>(binding: Binding, { clock, signal }: LedgerAround, work: (ledger: Awaited<ReturnType<typeof openLedger>>) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'brigade-check-'));
  try {
    const ledger = await openLedger({ path: join(folder, 'ledger.db'), binding, clock, mode: 'create', holder: holder(), signal });
    try {
      return await work(ledger);
    } finally {
      await ledger.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
