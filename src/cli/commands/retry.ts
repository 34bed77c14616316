import { reopenFailed } from '../../app/retry.ts';
import { oneLine } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-code.ts';
import { showCount } from '../../core/units.ts';
import { format, type Invocation, nextCommand, stateDir } from '../invocation.ts';
import { move } from '../moving.ts';
import { migrationOf } from '../targets.ts';
import { filterOf } from './objects.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const { migration, number } = migrationOf(invocation, args[0] ?? '');
  const { run, objects } = await reopenFailed(migration, number, filterOf(options), { stateDir: stateDir(invocation), clock: io.clock, signal: new AbortController().signal });
  const unfinished = run.state === 'active' || run.state === 'paused';
  if (objects > 0 || unfinished) {
    io.err.line(`${oneLine(migration.name)}@${run.number}: ${showCount(objects)} failed ${objects === 1 ? 'object is' : 'objects are'} tried again`);
    return move(invocation, migration);
  }
  if (format(invocation) === 'table') io.out.line(`${migration.name}@${run.number}: no failed object ${options.has('class') || options.has('code') || options.has('prefix') ? `is like that; see ${nextCommand(invocation, `objects ${migration.name} --state failed`)}` : 'to try again'}`);
  else io.out.line(JSON.stringify({ v: 1, migration: migration.name, run: run.number, retried: 0 }));
  return EXIT.clean;
}
