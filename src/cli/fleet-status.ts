/** What a coordinator said last of its fleet, for `brigade status`. */
import type { Published } from '../app/fleet/published.ts';
import { showCount, showDuration } from '../core/units.ts';
import { countOf } from './summary.ts';

/** As the metrics say it. Durations are milliseconds. Nothing where there is no fleet. */
export function fleetStatus(published: Published | undefined): { readonly json: { readonly fleet?: object }; readonly text: string } {
  return published === undefined ? { json: {}, text: '' } : { json: { fleet: jsonOf(published) }, text: textOf(published) };
}

function jsonOf({ atMs, run: _, perWorker, wanted, targetMs, ...signals }: Published): object {
  return { at: new Date(atMs).toISOString(), ...signals, backlogPerWorker: perWorker, workersWanted: wanted, ...(targetMs === undefined ? {} : { drainTargetMs: targetMs }) };
}

/** `fleet: 6 workers, 1,204 tasks to do (201 each), done in about 12 min; 9 workers would do it in 8 min`, and what hinders them. */
function textOf({ workers, backlog, perWorker, drainMs, wanted, targetMs, trouble }: Published): string {
  const each = workers === 0 || backlog === 0 ? '' : ` (${showCount(Math.ceil(perWorker))} each)`;
  const drain = drainMs === undefined || backlog === 0 ? '' : `, done in about ${showDuration(drainMs)}`;
  const target = targetMs === undefined || backlog === 0 ? '' : `; ${countOf(wanted, 'worker')} would do it in ${showDuration(targetMs)}`;
  const hindrance = trouble === undefined ? '' : `trouble: ${trouble.message}${trouble.hint === undefined ? '' : `; ${trouble.hint}`} [${trouble.code}]\n`;
  return `fleet: ${countOf(workers, 'worker')}, ${countOf(backlog, 'task')} to do${each}${drain}${target}\n${hindrance}`;
}
