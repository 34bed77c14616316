import { resolve } from 'node:path';
import { loadMigration } from '../../config/index.ts';
import { isFleet } from '../open-fleet.ts';
import type { Invocation } from '../invocation.ts';
import { move } from '../moving.ts';
import { isFolder, migrationFiles } from '../targets.ts';
import { execute as plan } from './plan.ts';

/** A coordinator outlasts what fails: nobody sits beside it to start it again (design truth 11). */
export async function execute(asked: Invocation): Promise<number> {
  isFleet(asked, true);
  const invocation = asked.options.has('on-pause') ? asked : { ...asked, options: asked.options.with('on-pause', 'wait') };
  const { io, args, options } = invocation;
  const files = migrationFiles(io.cwd, args);
  const [only] = files;
  if (files.length > 1 || only === undefined || isFolder(resolve(io.cwd, args[0] ?? ''))) {
    const { runSeveral } = await import('../several.ts');
    return runSeveral(invocation, files, 'coordinator');
  }
  return options.has('dry-run') ? plan({ ...invocation, args: [only] }) : move(invocation, loadMigration(only, io.env));
}
