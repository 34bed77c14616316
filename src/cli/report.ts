/** The report of a run in its four forms. csv and ndjson are streamed: one row per object. */
import { accountOf } from '../app/account.ts';
import { showKey } from '../core/key.ts';
import type { LedgerView } from '../ledger/sqlite/index.ts';
import type { ObjectRow, Run } from '../ports/ledger.ts';
import { accountJson, NOT_PROMISED, objectJson } from './account-json.ts';
import { csvLine } from './csv.ts';
import { renderSummary, type SummaryOptions } from './summary.ts';

export type ReportFormat = 'text' | 'json' | 'csv' | 'ndjson';

const MOST_FINDINGS = 10_000;
/** Text handed over at a time. */
const CHUNK = 64 * 1024;

const COLUMNS: readonly (readonly [title: string, of: (row: ObjectRow) => string | number | undefined])[] = [
  ['key', ({ key }) => showKey(key).slice(1, -1)], ['kind', ({ kind }) => kind], ['size', ({ size }) => size], ['state', ({ state }) => state],
  ['code', ({ code, problem }) => problem?.code ?? code], ['message', ({ problem }) => problem?.message], ['evidence', ({ evidence }) => evidence],
  ['algorithm', ({ checksum }) => checksum?.algorithm], ['checksum', ({ checksum }) => checksum?.hex], ['source_version', ({ source }) => source.token],
  ['destination_version', ({ destination }) => destination], ['attempts', ({ attempts }) => attempts], ['storage_class', ({ storageClass }) => storageClass],
  ['not_carried', ({ lost }) => lost?.join(' ')],
];

export function* renderReport(view: LedgerView, run: Run, format: ReportFormat, options: SummaryOptions): Generator<string> {
  switch (format) {
    case 'text': yield textReport(view, run, options); return;
    case 'json': yield `${JSON.stringify(accountJson(accountOf(view, run, { findings: MOST_FINDINGS }), options.ends), null, 2)}\n`; return;
    case 'csv': yield* chunks(csvLine(COLUMNS.map(([title]) => title)), view, run, (row) => csvLine(COLUMNS.map(([, of]) => of(row)))); return;
    case 'ndjson': yield* chunks('', view, run, (row) => `${JSON.stringify(objectJson(row))}\n`);
  }
}

function textReport(view: LedgerView, run: Run, options: SummaryOptions): string {
  return `${renderSummary(accountOf(view, run), options)}\nnot promised\n${NOT_PROMISED.map((line) => `  ${line}`).join('\n')}\n`;
}

function* chunks(head: string, view: LedgerView, run: Run, render: (row: ObjectRow) => string): Generator<string> {
  let text = head;
  for (const row of view.objects(run.number, {})) {
    text += render(row);
    if (text.length < CHUNK) continue;
    yield text;
    text = '';
  }
  yield text;
}
