import { resolve } from 'node:path';
import { loadMigration } from '../../config/index.ts';
import type { Invocation } from '../invocation.ts';
import { move } from '../moving.ts';
import { isFolder, migrationFiles } from '../targets.ts';
import { execute as plan } from './plan.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const files = migrationFiles(io.cwd, args);
  const [only] = files;
  if (files.length > 1 || only === undefined || isFolder(resolve(io.cwd, args[0] ?? ''))) {
    const { runSeveral } = await import('../several.ts');
    return runSeveral(invocation, files);
  }
  if (options.has('dry-run')) return plan({ ...invocation, args: [only] });
  return move(invocation, loadMigration(only, io.env));
}
