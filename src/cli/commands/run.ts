import { resolve } from 'node:path';
import { loadMigration } from '../../config/index.ts';
import { usageError } from '../../core/errors.ts';
import type { Invocation } from '../invocation.ts';
import { move } from '../moving.ts';
import { isFolder, migrationFiles } from '../targets.ts';
import { execute as plan } from './plan.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { options } = invocation;
  if (!options.has('queue') && !options.has('journal')) {
    if (options.has('accept-plain-messages')) throw usageError('E_USAGE', 'stands without --queue and --journal', 'plain messages come by a queue: give both, or leave it out', '--accept-plain-messages');
    return here(invocation, 'run');
  }
  const [{ isFleet }, { withWorkers }] = await Promise.all([import('../open-fleet.ts'), import('../own-workers.ts')]);
  isFleet(invocation, true);
  // Somebody sits beside it, as with a run of one machine: also where each of several files gets a coordinator of its own.
  const beside = options.has('on-pause') ? invocation : { ...invocation, options: options.with('on-pause', 'auto') };
  // A dry run only lists.
  return options.has('dry-run') ? here(beside, 'coordinator') : withWorkers(beside, (own) => here(own, 'coordinator'));
}

/** `command`: what a process of its own is told to do for each of several files. */
export async function here(invocation: Invocation, command: 'run' | 'coordinator'): Promise<number> {
  const { io, args, options } = invocation;
  const files = migrationFiles(io.cwd, args);
  const [only] = files;
  if (files.length > 1 || only === undefined || isFolder(resolve(io.cwd, args[0] ?? ''))) {
    const { runSeveral } = await import('../several.ts');
    return runSeveral(invocation, files, command);
  }
  if (options.has('dry-run')) return plan({ ...invocation, args: [only] });
  return move(invocation, loadMigration(only, io.env));
}
