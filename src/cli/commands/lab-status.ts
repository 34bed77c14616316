import { END_NAMES, type EndName } from '../../app/lab/folder.ts';
import type { FaultInForce } from '../../app/lab/live-faults.ts';
import { type EndState, stateOf } from '../../app/lab/processes.ts';
import { showCount } from '../../core/units.ts';
import { format, type Invocation, stateDir } from '../invocation.ts';
import { labCommand, shown, theLab, withState } from '../lab.ts';
import { renderTable } from '../table.ts';
import { renderFaults } from './lab-fault.ts';
import { allRuns, renderRuns, rowJson } from './runs.ts';

export async function execute(asked: Invocation): Promise<number> {
  const { out } = asked.io;
  const lab = theLab(asked);
  const ends = await Promise.all(END_NAMES.map(async (name) => ({ name, ...(await stateOf(lab, name)) })));
  const runs = await allRuns(stateDir(withState(asked, lab)));
  const faults = ends.flatMap((end) => (end.state === 'up' ? end.status.faults.map((fault) => ({ at: end.name, ...fault })) : []));
  if (format(asked) !== 'table') {
    const json = { v: 1, dir: lab.dir, endpoints: ends.map(endJson), faults, runs: runs.map(rowJson) };
    out.line(format(asked) === 'json' ? JSON.stringify(json, null, 2) : JSON.stringify(json));
    return 0;
  }
  out.line(`${shown(asked, lab.dir)}\n`);
  out.line(renderTable([{ title: 'endpoint' }, { title: 'state' }, { title: 'pid', right: true }, { title: 'address' }, { title: 'requests', right: true }], ends.map(endRow)));
  out.line(faults.length === 0 ? '\nno fault in force' : `\n${renderFaults(faults)}`);
  out.line(runs.length === 0 ? `\nno run yet; ${ends.every(({ state }) => state === 'up') ? labCommand(asked, 'run') : labCommand(asked, 'up')}` : `\n${renderRuns(runs)}`);
  return 0;
}

type Named = EndState & { readonly name: EndName };

function endRow(end: Named): string[] {
  if (end.state === 'up') return [end.name, 'up', String(end.process.pid), end.process.url, showCount(end.status.requests)];
  return [end.name, end.state === 'stuck' ? 'does not answer' : 'down', end.state === 'stuck' ? String(end.pid) : '', '', ''];
}

/** Without the token. */
function endJson(end: Named): object {
  if (end.state !== 'up') return { name: end.name, state: end.state };
  return { name: end.name, state: end.state, pid: end.process.pid, url: end.process.url, requests: end.status.requests };
}

export type FaultAt = FaultInForce & { readonly at: EndName };
