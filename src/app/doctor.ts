/** `doctor`: everything that can be known to be wrong before a run, each with its fix. `preflight`: the same for `run`, at most once a day. */
import { BrigadeError } from '../core/errors.ts';
import { examineDestination } from './doctor-destination.ts';
import type { Examination, Findings } from './doctor-lines.ts';
import { examineMachine } from './doctor-machine.ts';
import { DoctorCache } from './doctor-cache.ts';
import { examineSource } from './doctor-source.ts';
import type { Doctor, DoctorAround, DoctorLine } from './doctor-types.ts';
import type { Migration } from '../config/index.ts';

/** Lines in the order of the checks; what cannot be checked any more has none. */
export const doctor: Doctor = async function* (migration, around) {
  const exam: Examination = { migration, around };
  if (!(yield* examineMachine(exam))) return;
  yield* examineSource(exam);
  yield* examineDestination(exam);
};

export interface Preflight {
  /** Lines worth showing before a run: warnings. */
  readonly warnings: readonly DoctorLine[];
  /** Whether the stores were asked, or answered within the last 24 hours. */
  readonly cached: boolean;
}

/**
 * The same checks before a run. Buckets that passed are not asked again for 24 hours, unless what is asked of them changed.
 * @throws BrigadeError E_PREFLIGHT (usage): something blocks the run; nothing was moved.
 */
export async function preflight(migration: Migration, around: DoctorAround): Promise<Preflight> {
  const exam: Examination = { migration, around };
  const cache = new DoctorCache(around.stateDir, around.clock);
  const lines = await collect(examineMachine(exam));
  refuse(lines);
  let cached = true;
  for (const [side, examine] of [['source', examineSource], ['destination', examineDestination]] as const) {
    const key = cache.keyOf(migration, side);
    const known = key === undefined ? undefined : cache.get(key);
    const found = known ?? await collect(examine(exam));
    refuse(found);
    lines.push(...found);
    if (known !== undefined) continue;
    cached = false;
    if (key !== undefined) cache.put(key, found);
  }
  return { warnings: lines.filter(({ status }) => status === 'WARN'), cached };
}

async function collect(findings: Findings<unknown>): Promise<DoctorLine[]> {
  const lines: DoctorLine[] = [];
  for await (const line of findings) lines.push(line);
  return lines;
}

function refuse(lines: readonly DoctorLine[]): void {
  const [first, ...more] = lines.filter(({ status }) => status === 'FAIL');
  if (first === undefined) return;
  const others = more.length === 0 ? '' : ` (and ${more.length} more: brigade doctor shows all)`;
  throw new BrigadeError({ code: 'E_PREFLIGHT', kind: 'usage', message: `${first.name}: ${first.message}${others}`, ...(first.fix === undefined ? {} : { hint: first.fix }) });
}
