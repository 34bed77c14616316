import { reopenFailed, type Reopened } from '../../app/retry.ts';
import { isUnfinished } from '../../app/unfinished.ts';
import { oneLine } from '../../core/errors.ts';
import { showCount } from '../../core/units.ts';
import type { Migration } from '../../config/index.ts';
import { format, type Invocation, nextCommand, shellWord, stateDir } from '../invocation.ts';
import { move } from '../moving.ts';
import { migrationOf } from '../targets.ts';
import { filterOf } from './objects.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const { migration, number } = migrationOf(invocation, args[0] ?? '');
  if (options.has('queue') || options.has('journal')) return overFleet(invocation, migration, number);
  const reopened = await reopenFailed(migration, number, filterOf(options), { stateDir: stateDir(invocation), clock: io.clock, signal: new AbortController().signal });
  const { run, objects } = reopened;
  const unfinished = isUnfinished(run);
  tellOfThePlan(invocation, migration, reopened);
  if (objects > 0 || unfinished) {
    io.err.line(`${oneLine(migration.name)}@${run.number}: ${showCount(objects)} failed ${objects === 1 ? 'object is' : 'objects are'} tried again`);
    return move(invocation, migration);
  }
  if (format(invocation) !== 'table') io.out.line(JSON.stringify({ v: 1, migration: migration.name, run: run.number, retried: 0, failedInPlan: reopened.failedInPlan, exit: reopened.exit }));
  else if (reopened.failedInPlan === 0) io.out.line(`${migration.name}@${run.number}: no failed object ${options.has('class') || options.has('code') || options.has('prefix') ? `is like that; see ${nextCommand(invocation, `objects ${migration.name} --state failed`)}` : 'to try again'}`);
  return reopened.exit;
}

async function overFleet(invocation: Invocation, migration: Migration, number: number | undefined): Promise<number> {
  let reopened: Reopened | undefined;
  const told = (is: Reopened): void => { reopened = is; };
  const exit = await move(invocation, migration, { reopen: { filter: filterOf(invocation.options), told, ...(number === undefined ? {} : { number }) } });
  // At the end: a line in between would be lost on a screen that is drawn anew.
  if (reopened !== undefined) tellOfThePlan(invocation, migration, reopened);
  return exit;
}

/** What the listing or the plan found cannot be mended by a copy: objects below may never have been listed. */
function tellOfThePlan(invocation: Invocation, { name, file }: Migration, { run, failedInPlan: count }: Reopened): void {
  if (count === 0) return;
  const fleet = invocation.options.written(['queue', 'journal', 'message-key']).map((word) => ` ${shellWord(word)}`).join('');
  const again = file === undefined ? 'the same brigade copy again' : nextCommand(invocation, `${fleet === '' ? 'run' : 'coordinator'} ${shellWord(file)}${fleet}`);
  invocation.io.err.line(`${oneLine(name)}@${run.number}: ${showCount(count)} ${count === 1 ? 'stays' : 'stay'} failed, found by the listing and not by a copy; mend the cause, then list again: ${again}`);
}
