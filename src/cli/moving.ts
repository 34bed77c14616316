/** One run in this process, watched and summed up: `run`, `copy` and `retry` end here. */
import { writeFileSync } from 'node:fs';
import { accountOf } from '../app/account.ts';
import { fanOut } from '../app/events.ts';
import { runMigration, runOverFleet, type RunFlags, type RunResult, type Surroundings } from '../app/migrate.ts';
import { ledgerPath } from '../app/state.ts';
import { type Migration, showLocation } from '../config/index.ts';
import { parseDuration } from '../config/units.ts';
import { BrigadeError, errorLine, oneLine } from '../core/errors.ts';
import { EXIT } from '../core/exit-code.ts';
import type { Problem } from '../core/item.ts';
import { inspectLedger, type LedgerView } from '../ledger/sqlite/index.ts';
import { accountJson } from './account-json.ts';
import { renderExplanation } from './explain.ts';
import { format, type Invocation, nextCommand, paintFor, shellWord, stateDir } from './invocation.ts';
import { logging } from './logging.ts';
import type { RunMetrics } from './metrics.ts';
import { createScreen, kindOf } from './progress/screen.ts';
import { type Watch, watch } from './progress/watch.ts';
import { renderReport } from './report.ts';
import { type Stopping, stopOnSignals } from './stopping.ts';
import { cancelledText, renderSummary, type SummaryOptions } from './summary.ts';

const DRAIN_MS = 15_000;

export function runFlags(invocation: Invocation): RunFlags {
  const { options } = invocation;
  const drain = options.text('drain');
  return {
    stateDir: stateDir(invocation), fresh: options.has('new'), adopt: options.has('adopt'), requireObjects: options.has('require-objects'),
    onPause: (options.text('on-pause') ?? 'auto') as RunFlags['onPause'], drainMs: drain === undefined ? DRAIN_MS : parseDuration(drain),
  };
}

/** Shows `work` while it goes on. */
export async function watched<T>(invocation: Invocation, migration: Migration, drainMs: number | undefined, work: (watching: Watch, stopping: Stopping) => Promise<T>): Promise<T> {
  const { io, options } = invocation;
  const screen = await createScreen(kindOf(options.text('progress'), io.err, io.env), { err: io.err, clock: io.clock, paint: paintFor(invocation, io.err), migration: migration.name });
  const watching = watch({ migration: migration.name, ledger: ledgerPath(stateDir(invocation), migration.name), screen, clock: io.clock, verbose: options.has('verbose') });
  const stopping = stopOnSignals(io, { ...(drainMs === undefined ? {} : { drainMs }), say: (text) => watching.say('warn', text), beforeDeath: () => screen.end() });
  try {
    return await work(watching, stopping);
  } finally {
    stopping.end();
    await watching.end();
  }
}

/** Returns the exit code. Throws BrigadeError before anything moved. */
export async function move(invocation: Invocation, migration: Migration, more: Pick<RunFlags, 'reopen'> = {}): Promise<number> {
  const flags = { ...runFlags(invocation), ...more };
  const { io } = invocation;
  using log = logging(invocation, migration.name);
  const metrics = await metricsOf(invocation, migration);
  try {
    const result = await watched(invocation, migration, flags.drainMs, (watching, stopping) => {
      const events = fanOut([watching, log, ...(metrics === undefined ? [] : [metrics.events])]);
      return runHere(invocation, migration, flags, { env: io.env, clock: io.clock, random: io.random, events, signal: stopping.signal }, metrics);
    });
    log.ended(result.exit);
    await showResult(invocation, migration, result);
    return result.exit;
  } finally {
    await metrics?.end();
  }
}

async function metricsOf(invocation: Invocation, migration: Migration): Promise<RunMetrics | undefined> {
  if (!invocation.options.has('metrics')) return undefined;
  const { runMetrics } = await import('./metrics.ts');
  return runMetrics(invocation, migration.name, ledgerPath(stateDir(invocation), migration.name));
}

/** On this machine; or, where the command line names a fleet, over that. */
async function runHere(invocation: Invocation, migration: Migration, flags: RunFlags, around: Surroundings, metrics: RunMetrics | undefined): Promise<RunResult> {
  if (invocation.options.text('queue') === undefined && invocation.options.text('journal') === undefined) return runMigration(migration, flags, around);
  const { isFleet, openFleet } = await import('./open-fleet.ts');
  isFleet(invocation);
  return runOverFleet(migration, flags, around, () => openFleet(invocation, migration, around.events, around.signal, metrics));
}

async function showResult(invocation: Invocation, migration: Migration, result: RunResult): Promise<void> {
  const { io } = invocation;
  const view = inspectLedger(result.ledger);
  try {
    const run = view.run(result.run.number) ?? result.run;
    const account = accountOf(view, run);
    const options = summaryOptions(invocation, migration);
    const explain = invocation.options.has('explain') ? result.explanation : undefined;
    if (format(invocation) === 'table') io.out.write(renderSummary(account, options));
    else io.out.line(JSON.stringify(accountJson(account, { exit: result.exit, ...options.ends, ...(explain === undefined ? {} : { explain }) })));
    if (format(invocation) === 'table' && explain !== undefined) io.err.write(`\n${renderExplanation(`${migration.name}@${run.number}`, explain, paintFor(invocation, io.err))}`);
    tellRemarks(invocation, migration, result);
    writeReport(invocation, migration, view, result);
  } finally {
    await view.close();
  }
}

function tellRemarks({ io }: Invocation, migration: Migration, { tally, pause, stopped, cancelled, exit }: RunResult): void {
  const { name } = migration;
  if (cancelled === true) io.err.line(`brigade: ${name}: ${cancelledText(tally)} [E_RUN_CANCELLED]`);
  else if (pause !== undefined) io.err.line(`brigade: ${name}: paused: ${problemLine(pause)}`);
  else if (stopped === true) io.err.line(`brigade: ${name}: stopped before it was done; run it again to go on [E_STOPPED]`);
  // A listing that failed never comes here: this one was proven complete (F089).
  else if (tally.listed.objects === 0) io.err.line(`brigade: ${name}: there was no object to migrate at ${oneLine(showLocation(migration.source))}; check the prefix and select${exit === EXIT.clean ? ' (--require-objects makes this exit 1)' : ''} [E_NO_OBJECTS]`);
}

function problemLine({ code, message, hint }: Problem): string {
  return errorLine(new BrigadeError({ code, kind: 'premise', message, hint: hint === undefined ? 'run it again to go on' : `${hint}; then run it again to go on` }));
}

export function summaryOptions(invocation: Invocation, migration: Migration | undefined): SummaryOptions {
  const base = { paint: paintFor(invocation, invocation.io.out), command: (words: string) => nextCommand(invocation, words) };
  if (migration === undefined) return base;
  const resume = migration.file === undefined ? undefined : `run ${shellWord(migration.file)}`;
  return { ...base, ends: { source: showLocation(migration.source), destination: showLocation(migration.destination) }, ...(resume === undefined ? {} : { resume }) };
}

/** `report.file` of the migration file. */
function writeReport(invocation: Invocation, migration: Migration, view: LedgerView, result: RunResult): void {
  const { file, format: form } = migration.report;
  if (file === undefined) return;
  try {
    writeFileSync(file, '');
    for (const text of renderReport(view, result.run, form, { ...summaryOptions(invocation, migration), paint: (_, text) => text })) writeFileSync(file, text, { flag: 'a' });
  } catch (thrown) {
    if (thrown instanceof BrigadeError) throw thrown;
    // The run is done and its ledger is whole: a report can be had again, so its file decides nothing.
    invocation.io.err.line(`brigade: ${oneLine(file)}: the report could not be written (${(thrown as NodeJS.ErrnoException).code ?? 'unknown error'}); run ${nextCommand(invocation, `report ${migration.name} -o ${form}`)} [E_REPORT_FILE]`);
  }
}
