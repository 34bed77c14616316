/** What was read of a journal, for people and programs. */
import { oneLine } from '../core/errors.ts';
import type { Folded } from '../journal/index.ts';
import type { Damage } from '../ports/journal.ts';
import { countOf } from './summary.ts';

export function foldedLine({ plans, reports, strangers, damages }: Folded): string {
  const odd = [
    ...(strangers === 0 ? [] : [`${countOf(strangers, 'report')} of tasks that no longer count`]),
    ...(damages.length === 0 ? [] : [`${damages.length} damaged: their tasks are in doubt, and done again`]),
  ];
  return [`${countOf(plans, 'segment')} and ${countOf(reports, 'report')}`, ...odd].join('; ');
}

export function damageLine({ key, kind, message, fix }: Damage): string {
  return oneLine(`${kind}  ${key}: ${message}; ${fix}`);
}

export function foldedJson({ plans, reports, strangers, damages }: Folded): object {
  return { segments: plans, reports, strangers, damages };
}
