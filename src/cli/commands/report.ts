import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { lastSaved } from '../../app/saved-migration.ts';
import { usageError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-code.ts';
import { plainText } from '../colours.ts';
import { untilStopped } from '../fleet.ts';
import { type Invocation, stateDir } from '../invocation.ts';
import { summaryOptions } from '../moving.ts';
import { renderReport, type ReportFormat } from '../report.ts';
import { openRun } from '../targets.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const form = (options.text('format') ?? 'text') as ReportFormat;
  const file = options.text('output');
  if (options.has('plain')) return plainReport(invocation, form, file);
  if (options.has('journal')) throw usageError('E_USAGE', 'stands without --plain', 'leave it out: the report of a run is made from its ledger', '--journal');
  const { view, run } = await openRun(invocation, args[0] ?? '');
  try {
    const shown = summaryOptions(invocation, lastSaved(stateDir(invocation), view.binding.migration));
    if (file !== undefined) await writeAll(resolve(io.cwd, file), renderReport(view, run, form, { ...shown, paint: plainText }));
    else for (const text of renderReport(view, run, form, shown)) if (!io.out.closed) await io.out.send(text);
    return 0;
  } finally {
    await view.close();
  }
}

async function plainReport(invocation: Invocation, form: ReportFormat, file: string | undefined): Promise<number> {
  const { io } = invocation;
  const { renderPlainReport } = await import('../plain-report.ts');
  return untilStopped(invocation, async (signal) => {
    const texts = renderPlainReport(invocation, form, signal);
    if (file !== undefined) await writeAll(resolve(io.cwd, file), texts);
    else for await (const text of texts) if (!io.out.closed) await io.out.send(text);
    return EXIT.clean;
  });
}

/** The file appears under its name only when it is whole. */
async function writeAll(path: string, texts: Iterable<string> | AsyncIterable<string>): Promise<void> {
  const draft = `${path}.partial`;
  try {
    const file = openSync(draft, 'w');
    try {
      for await (const text of texts) writeSync(file, text);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } catch (thrown) {
    rmSync(draft, { force: true });
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === undefined || !/^E[A-Z]+$/.test(code)) throw thrown;
    throw usageError('E_REPORT_FILE', `the report cannot be written (${code})`, 'name a file in a folder that exists and can be written', path);
  }
}
