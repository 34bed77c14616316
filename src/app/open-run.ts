/** Opening a ledger that exists, as its one coordinator, for a command that changes it without copying. */
import { hostname } from 'node:os';
import { type Migration, specHash } from '../config/index.ts';
import { usageError } from '../core/errors.ts';
import { inspectLedger, openLedger, type SqliteLedger } from '../ledger/sqlite/index.ts';
import type { Clock } from '../ports/clock.ts';
import type { FoldTarget } from '../ports/journal.ts';
import type { Binding, Ledger, Run } from '../ports/ledger.ts';
import type { Store } from '../ports/storage.ts';
import { ledgerPath } from './state.ts';

export interface OpenRunOptions {
  readonly stateDir: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export async function bindingOf(migration: Migration, source: Store, destination: Store, signal: AbortSignal): Promise<Binding> {
  const [from, to] = await Promise.all([source.identity(signal), destination.identity(signal)]);
  return { migration: migration.name, specHash: specHash(migration), source: from, destination: to };
}

/** Waits for nobody: E_LOCKED_RUN when a coordinator is at work, E_LEDGER_OTHER when it is bound to something else. */
export function openForChange(binding: Binding, options: OpenRunOptions): Promise<SqliteLedger> {
  const path = ledgerPath(options.stateDir, binding.migration);
  return openLedger({ path, clock: options.clock, mode: 'resume', holder: { pid: process.pid, host: hostname() }, signal: options.signal, binding });
}

/** A ledger that is folded from a journal is changed through the journal alone: else the two would say different things. @throws usage E_LEDGER_FLEET */
export function refuseFleet(ledger: FoldTarget): void {
  if (ledger.foldedTo() === undefined) return;
  throw usageError('E_LEDGER_FLEET', 'this ledger is the index of a journal: a fleet has worked on the migration', 'give --queue and --journal, or another state folder', ledger.path);
}

/** The run of this number, or the latest. Throws E_NO_RUN. */
export function runOf(ledger: Pick<Ledger, 'run' | 'runs' | 'path'>, number?: number): Run {
  const run = ledger.run(number);
  if (run !== undefined) return run;
  const known = ledger.runs().map((one) => one.number);
  const hint = known.length === 0 ? 'start one with brigade run' : `known: ${known.slice(-10).join(', ')}`;
  throw usageError('E_NO_RUN', number === undefined ? 'the ledger has no run yet' : `the ledger has no run ${number}`, hint, ledger.path);
}

/** What the ledger itself says: whether it is right is only checked by the run that follows, which knows the stores. */
export async function storedBinding(path: string): Promise<Binding> {
  const view = inspectLedger(path);
  try {
    return view.binding;
  } finally {
    await view.close();
  }
}
