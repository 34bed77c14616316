import { limitsNow, readSaid, writeSaid } from '../../app/limits.ts';
import { lastSaved } from '../../app/saved-migration.ts';
import { isCoordinated } from '../../ledger/sqlite/index.ts';
import { format, type Invocation, nextCommand, shellWord, stateDir } from '../invocation.ts';
import { openUnfinished } from '../unfinished.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io: { out, clock } } = invocation;
  const { view, run } = await openUnfinished(invocation, { what: 'go on with', fix: 'the next run begins with brigade run' });
  try {
    const { migration: name } = view.binding;
    const { paused: wasPaused = false, ...said } = readSaid(view.path, run.number) ?? {};
    const atWork = isCoordinated(view.path);
    // Whoever takes it up next may find the pause in the journal of a fleet, too.
    writeSaid(view.path, run.number, atWork ? said : { ...said, paused: false });
    const saved = lastSaved(stateDir(invocation), name);
    const limits = limitsNow(saved?.limits ?? {}, view.path, run.number, clock.now());
    if (format(invocation) !== 'table') out.line(JSON.stringify({ v: 1, migration: name, run: run.number, atWork, paused: false, wasPaused, limits: limits.now }));
    else {
      const held = limits.now.bandwidth === 0 ? `; its limits still hold it: ${limits.text ?? ''}` : '';
      const next = atWork ? '' : `; nobody is at work on it now: ${saved?.file === undefined ? 'the same command again' : nextCommand(invocation, `run ${shellWord(saved.file)}`)} goes on`;
      out.line(`${name}@${run.number}: ${wasPaused ? 'paused no more' : 'nobody had paused it'}${held}${next}`);
    }
    return 0;
  } finally {
    await view.close();
  }
}
