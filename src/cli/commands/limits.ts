import { limitsNow, readSaid, type Said, writeSaid } from '../../app/limits.ts';
import { lastSaved } from '../../app/saved-migration.ts';
import { Problem } from '../../config/problem.ts';
import { parseBandwidth, parseRequests } from '../../config/units.ts';
import { usageError } from '../../core/errors.ts';
import type { RateChange } from '../../core/timetable.ts';
import { isCoordinated } from '../../ledger/sqlite/index.ts';
import { format, type Invocation, stateDir } from '../invocation.ts';
import { openUnfinished } from '../unfinished.ts';

export async function execute(invocation: Invocation): Promise<number> {
  const { io, options } = invocation;
  const asked = askedFor(invocation);
  if (asked !== undefined && options.has('reset')) throw usageError('E_USAGE', '--reset stands beside another limit', 'write one of them', '--reset');
  const { view, run } = await openUnfinished(invocation, { what: 'limit', fix: 'change limits: in the migration file for the next run' });
  try {
    const { migration: name } = view.binding;
    const saved = lastSaved(stateDir(invocation), name);
    if (saved === undefined) throw usageError('E_NO_MIGRATION', 'the state folder does not say what the limits of this run are', 'run it again, then set them', 'RUN');
    if (options.has('reset') || asked !== undefined) writeSaid(view.path, run.number, changed(readSaid(view.path, run.number), asked));
    const { now, text } = limitsNow(saved.limits, view.path, run.number, io.clock.now());
    const atWork = isCoordinated(view.path);
    if (format(invocation) === 'table') io.out.line(`${name}@${run.number}: ${text ?? 'no limit'}${atWork ? '' : '; nobody is at work on it now'}`);
    else io.out.line(JSON.stringify({ v: 1, migration: name, run: run.number, atWork, limits: now }));
    return 0;
  } finally {
    await view.close();
  }
}

/** Limits alone: a run that is paused stays so. */
function changed({ bandwidth, requests, ...rest }: Said = {}, asked: RateChange | undefined): Said {
  if (asked === undefined) return rest;
  return { ...rest, ...(bandwidth === undefined ? {} : { bandwidth }), ...(requests === undefined ? {} : { requests }), ...asked };
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
