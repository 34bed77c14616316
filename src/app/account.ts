/** The account of one run, read from its ledger: what the summary, `status` and `report` show, and nothing else (truth 14, F090). */
import type { ErrorKind } from '../core/errors.ts';
import { EXIT, type ExitCode, exitCodeOf } from '../core/exit-code.ts';
import { failedInPlan, type Problem, type Tally } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import type { LedgerView } from '../ledger/sqlite/index.ts';
import type { Finding, Ledger, Run, RunTotals, VerifySummary } from '../ports/ledger.ts';

/** Objects of one state that have one reason. */
export interface CodeGroup {
  readonly state: 'skipped' | 'failed';
  readonly code: string;
  readonly objects: number;
  readonly bytes: number;
  readonly kind?: ErrorKind;
  readonly message: string;
  readonly hint?: string;
  /** Found by the listing or the plan, as far as the first of them tells: the next run settles it, `retry` does not. */
  readonly inPlan?: boolean;
}

export interface FailedObject {
  readonly key: Key;
  readonly size: number;
  readonly problem: Problem;
}

export interface Account {
  readonly migration: string;
  readonly run: Run;
  readonly tally: Tally;
  readonly totals: RunTotals;
  readonly groups: readonly CodeGroup[];
  /** The first failed objects in key order, at most `FIRST_FAILURES`. */
  readonly failures: readonly FailedObject[];
  readonly verify?: VerifySummary;
  readonly findings: readonly Finding[];
}

export const FIRST_FAILURES = 10;
const FIRST_FINDINGS = 10;

export function accountOf(view: LedgerView | Ledger, run: Run, most: { readonly findings?: number } = {}): Account {
  const tally = view.tally(run.number);
  const verify = view.verifySummary(run.number);
  const pruned = isPruned(view, run.number);
  return {
    migration: view.binding.migration, run, tally, totals: view.totals(run.number),
    groups: tally.byCode.filter(({ objects }) => objects > 0).map((group) => ({ ...group, ...(pruned ? { message: '' } : sample(view, run.number, group)) })),
    failures: pruned ? [] : [...failuresOf(view, run.number)],
    findings: view.findings(run.number, most.findings ?? FIRST_FINDINGS),
    ...(verify === undefined ? {} : { verify }),
  };
}

/** What the run's exit code says of it now. `allowArchived` and the like are the migration's word. */
export function exitOfAccount({ run, tally, verify }: Account, allowArchived: boolean): ExitCode {
  if (run.state === 'abandoned') return EXIT.paused;
  return exitCodeOf({ tally, finished: run.state === 'finished', allowArchived, requireObjects: false, ...(verify === undefined ? {} : { findings: verify.findings }) });
}

/** The sums of a pruned run remain, its objects are gone. */
function isPruned(view: LedgerView | Ledger, run: number): boolean {
  try {
    view.objects(run, { states: ['failed'], limit: 1 })[Symbol.iterator]().next();
    return false;
  } catch (thrown) {
    if ((thrown as { code?: string }).code === 'E_RUN_PRUNED') return true;
    throw thrown;
  }
}

function sample(view: LedgerView | Ledger, run: number, { state, code }: { state: 'skipped' | 'failed'; code: string }): Pick<CodeGroup, 'message' | 'hint' | 'kind' | 'inPlan'> {
  for (const row of view.objects(run, { states: [state], codes: [code], limit: 1 })) {
    const { problem } = row;
    if (problem !== undefined) return { ...(failedInPlan(row) ? { inPlan: true } : {}), message: problem.message, ...(problem.hint === undefined ? {} : { hint: problem.hint }), ...(problem.kind === undefined ? {} : { kind: problem.kind }) };
  }
  return { message: '' };
}

function* failuresOf(view: LedgerView | Ledger, run: number): Generator<FailedObject> {
  for (const { key, size, problem, code } of view.objects(run, { states: ['failed'], limit: FIRST_FAILURES })) {
    yield { key, size, problem: problem ?? { code: code ?? '', message: '' } };
  }
}
