import { runJson } from '../account-json.ts';
import type { Run } from '../../ports/ledger.ts';
import type { Tally } from '../../core/item.ts';
import { showBytes, showCount, showDuration } from '../../core/units.ts';
import { format, type Invocation, stateDir } from '../invocation.ts';
import { renderTable } from '../table.ts';
import { ledgersIn, openLedgerOf } from '../targets.ts';

interface Row { readonly migration: string; readonly run: Run; readonly tally: Tally }

export async function execute(invocation: Invocation): Promise<number> {
  const { out, err } = invocation.io;
  const state = stateDir(invocation);
  const rows = await allRuns(state);
  switch (format(invocation)) {
    case 'json': out.line(JSON.stringify(rows.map(rowJson), null, 2)); break;
    case 'ndjson': for (const row of rows) out.line(JSON.stringify(rowJson(row))); break;
    case 'table':
      if (rows.length === 0) err.line(`no run in ${state}; start one with brigade run FILE`);
      else out.line(renderRuns(rows));
  }
  return 0;
}

export async function allRuns(state: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const migration of ledgersIn(state)) rows.push(...await runsOf(state, migration));
  return rows;
}

async function runsOf(state: string, migration: string): Promise<Row[]> {
  const view = openLedgerOf(state, migration);
  try {
    return view.runs().map((run) => ({ migration, run, tally: view.tally(run.number) }));
  } finally {
    await view.close();
  }
}

export function rowJson({ migration, run, tally }: Row): object {
  const { byCode: _, evidence: __, ...counts } = tally;
  return { migration, ...runJson(run), tally: counts };
}

export function renderRuns(rows: readonly Row[]): string {
  const right = (title: string) => ({ title, right: true });
  return renderTable(
    [{ title: 'run' }, { title: 'kind' }, { title: 'state' }, { title: 'started' }, right('at work'), right('listed'), right('bytes'), right('copied'), right('unchanged'), right('skipped'), right('failed'), right('pending')],
    rows.map(({ migration, run, tally }) => [
      `${migration}@${run.number}`, run.kind, run.state, `${new Date(run.startedMs).toISOString().slice(0, 16)}Z`, showDuration(run.activeMs), showCount(tally.listed.objects), showBytes(tally.listed.bytes),
      ...(['copied', 'unchanged', 'skipped', 'failed', 'pending'] as const).map((state) => showCount(tally[state].objects)),
    ]),
  );
}
