/** Runs that are not over, for commands that say how one goes on. */
import { isUnfinished } from '../app/unfinished.ts';
import { usageError } from '../core/errors.ts';
import type { Invocation } from './invocation.ts';
import { type OpenedRun, openRun } from './targets.ts';

/** The caller closes `view`. `fix`: what to do where it is over. Throws E_NOT_AT_WORK, and as `openRun`. */
export async function openUnfinished(invocation: Invocation, { what, fix }: { readonly what: string; readonly fix: string }): Promise<OpenedRun> {
  const opened = await openRun(invocation, invocation.args[0] ?? '');
  const { view, run } = opened;
  if (view.run()?.number === run.number && isUnfinished(run)) return opened;
  await view.close();
  throw usageError('E_NOT_AT_WORK', `run ${run.number} is over: there is nothing to ${what}`, fix, 'RUN');
}
