import { limitsNow, readChange, writeChange } from '../../app/limits.ts';
import { lastSaved } from '../../app/saved-migration.ts';
import { Problem } from '../../config/problem.ts';
import { parseBandwidth, parseRequests } from '../../config/units.ts';
import { usageError } from '../../core/errors.ts';
import type { RateChange } from '../../core/timetable.ts';
import { isCoordinated } from '../../ledger/sqlite/index.ts';
import { format, type Invocation, stateDir } from '../invocation.ts';
import { openRun } from '../targets.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, args, options } = invocation;
  const asked = askedFor(invocation);
  if (asked !== undefined && options.has('reset')) throw usageError('E_USAGE', '--reset stands beside another limit', 'write one of them', '--reset');
  const { view, run } = await openRun(invocation, args[0] ?? '');
  try {
    const { migration: name } = view.binding;
    const unfinished = view.run()?.number === run.number && (run.state === 'active' || run.state === 'paused');
    if (!unfinished) throw usageError('E_NOT_AT_WORK', `run ${run.number} is over: there is nothing to limit`, 'change limits: in the migration file for the next run', 'RUN');
    const saved = lastSaved(stateDir(invocation), name);
    if (saved === undefined) throw usageError('E_NO_MIGRATION', 'the state folder does not say what the limits of this run are', 'run it again, then set them', 'RUN');
    if (options.has('reset')) writeChange(view.path, run.number, undefined);
    else if (asked !== undefined) writeChange(view.path, run.number, { ...readChange(view.path, run.number), ...asked });
    const { now, text } = limitsNow(saved.limits, view.path, run.number, io.clock.now());
    const atWork = isCoordinated(view.path);
    if (format(invocation) === 'table') io.out.line(`${name}@${run.number}: ${text ?? 'no limit'}${atWork ? '' : '; nobody is at work on it now'}`);
    else io.out.line(JSON.stringify({ v: 1, migration: name, run: run.number, atWork, limits: now }));
    return 0;
  } finally {
    await view.close();
  }
}

function askedFor({ options }: Invocation): RateChange | undefined {
  const [bandwidth, requests] = [options.text('bandwidth'), options.text('requests')];
  if (bandwidth === undefined && requests === undefined) return undefined;
  return {
    ...(bandwidth === undefined ? {} : { bandwidth: bandwidth === 'pause' ? 0 : bandwidth === 'unlimited' ? null : parsed('--bandwidth', bandwidth, parseBandwidth) }),
    ...(requests === undefined ? {} : { requests: requests === 'unlimited' ? null : parsed('--requests', requests, parseRequests) }),
  };
}

function parsed(flag: string, text: string, parse: (text: string) => number): number {
  try {
    return parse(text);
  } catch (thrown) {
    if (!(thrown instanceof Problem)) throw thrown;
    throw usageError('E_USAGE', `${JSON.stringify(text.slice(0, 40))} ${thrown.what}`, thrown.fix, flag);
  }
}
