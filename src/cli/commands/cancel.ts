import { cancelAlone } from '../../app/cancel.ts';
import { readSaid, writeSaid } from '../../app/limits.ts';
import { lastSaved } from '../../app/saved-migration.ts';
import { isUnfinished } from '../../app/unfinished.ts';
import { BrigadeError, oneLine, usageError } from '../../core/errors.ts';
import type { Tally } from '../../core/item.ts';
import { isCoordinated, type LedgerView } from '../../ledger/sqlite/index.ts';
import type { RunEvent } from '../../ports/events.ts';
import type { Run } from '../../ports/ledger.ts';
import { untilStopped } from '../fleet.ts';
import { format, type Invocation, stateDir } from '../invocation.ts';
import { cancelledText } from '../summary.ts';
import { openUnfinished } from '../unfinished.ts';

const LOOK_MS = 200;

export async function execute(invocation: Invocation): Promise<number> {
  const { view, run } = await openUnfinished(invocation, { what: 'cancel', fix: 'brigade report tells what became of it' });
  try {
    await confirm(invocation, view, run);
    return await untilStopped(invocation, async (signal) => tell(invocation, view, await end(invocation, view, run, signal)));
  } finally {
    await view.close();
  }
}

/** On a terminal somebody is asked; a script says what it means. */
async function confirm({ io, options }: Invocation, view: LedgerView, { number }: Run): Promise<void> {
  if (options.has('yes') || io.ask === undefined) return;
  const { pending } = view.tally(number);
  const answer = await io.ask(`End ${view.binding.migration}@${number} for good, with ${pending.objects} objects not copied? [y/N] `);
  if (!/^y(?:es)?$/i.test(answer.trim())) throw usageError('E_NOT_CONFIRMED', 'nothing was cancelled', 'answer y, or write --yes');
}

/** By whoever is at work on it; else here. Who comes or goes meanwhile changes which of the two it is. */
async function end(invocation: Invocation, view: LedgerView, run: Run, signal: AbortSignal): Promise<Run> {
  const { io } = invocation;
  const now = (): Run => view.run(run.number) ?? run;
  while (isUnfinished(now())) {
    if (isCoordinated(view.path)) writeSaid(view.path, run.number, { ...readSaid(view.path, run.number), cancelled: true });
    else await endHere(invocation, view, signal).catch((thrown: unknown) => unlessTaken(view, thrown));
    while (isUnfinished(now()) && isCoordinated(view.path)) await io.clock.sleep(LOOK_MS, signal);
  }
  return now();
}

/** Somebody took it up here in that moment: it is theirs to end. Who coordinates it on another machine is only to be told there. */
function unlessTaken({ path }: LedgerView, thrown: unknown): void {
  const code = thrown instanceof BrigadeError ? thrown.code : undefined;
  if (code === 'E_LEDGER_FLEET') throw usageError(code, 'nobody coordinates this run here, and workers go on with what is in the queue', 'give --journal, as for the coordinator: then it ends now', path);
  if (code !== 'E_LOCKED_RUN' || !isCoordinated(path)) throw thrown;
}

async function endHere(invocation: Invocation, { binding: { migration: name } }: LedgerView, signal: AbortSignal): Promise<void> {
  const { io, options } = invocation;
  const state = stateDir(invocation);
  const events = { emit: (event: RunEvent) => { if (event.type === 'note' && event.level !== 'info') io.err.line(`warning: ${oneLine(event.text)}`); } };
  const around = { env: io.env, clock: io.clock, random: io.random, events, signal };
  const alone = { ...around, stateDir: state, migration: lastSaved(state, name) };
  const reference = options.text('journal');
  if (reference === undefined) return void await cancelAlone(name, alone);
  const { openJournals } = await import('../../app/fleet/journal.ts');
  const { journalClosing } = await import('../../app/fleet/cancel.ts');
  const { productVersion } = await import('../product.ts');
  const journals = openJournals(reference, { ...around, cwd: io.cwd });
  try {
    const journal = await journals.open(name);
    await cancelAlone(name, { ...alone, open: journalClosing(journal, productVersion()) });
  } finally {
    await journals.close();
  }
}

function tell(invocation: Invocation, view: LedgerView, { number, state }: Run): number {
  const { out } = invocation.io;
  const { migration: name } = view.binding;
  const { byCode: _, evidence: __, ...tally }: Tally = view.tally(number);
  const cancelled = state === 'abandoned';
  if (format(invocation) !== 'table') out.line(JSON.stringify({ v: 1, migration: name, run: number, cancelled, state, tally }));
  else out.line(`${name}@${number}: ${cancelled ? cancelledText(tally) : 'it was done before it could be cancelled'}`);
  return 0;
}
