import { readSaid, writeSaid } from '../../app/limits.ts';
import { isCoordinated } from '../../ledger/sqlite/index.ts';
import { format, type Invocation, nextCommand } from '../invocation.ts';
import { openUnfinished } from '../unfinished.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { out } = invocation.io;
  const { view, run } = await openUnfinished(invocation, { what: 'pause', fix: 'the next run begins with brigade run' });
  try {
    const { migration: name } = view.binding;
    writeSaid(view.path, run.number, { ...readSaid(view.path, run.number), paused: true });
    const atWork = isCoordinated(view.path);
    if (format(invocation) !== 'table') out.line(JSON.stringify({ v: 1, migration: name, run: run.number, atWork, paused: true }));
    else out.line(`${name}@${run.number}: paused${atWork ? '' : '; nobody is at work on it now, and whoever takes it up keeps it so'}; ${nextCommand(invocation, `resume ${name}`)} goes on`);
    return 0;
  } finally {
    await view.close();
  }
}
