/** `doctor`: everything that can be known to be wrong before a run, each with its fix. `preflight`: the same for `run`, at most once a day. */
import { BrigadeError } from '../core/errors.ts';
import { examineDestination } from './doctor-destination.ts';
import type { Examination, Findings, Side } from './doctor-lines.ts';
import { examineMachine } from './doctor-machine.ts';
import { DoctorCache } from './doctor-cache.ts';
import type { ProbedSide } from './doctor-open.ts';
import { examineSource } from './doctor-source.ts';
import { together } from '../core/together.ts';
import type { Doctor, DoctorAround, DoctorLine } from './doctor-types.ts';
import { threadsFor } from './threads.ts';
import type { Migration } from '../config/index.ts';

/** Lines in the order of the checks; what cannot be checked any more has none. */
export const doctor: Doctor = async function* (migration, around) {
  const exam: Examination = { migration, around };
  if (!(yield* examineMachine(exam))) return;
  yield* examineSource(exam);
  const probed = yield* examineDestination(exam);
  if (around.fleet !== undefined) yield* (await import('./fleet/doctor.ts')).examineFleet(exam, around.fleet, probed);
};

export interface Preflight {
  /** Lines worth showing before a run: warnings. */
  readonly warnings: readonly DoctorLine[];
  /** Whether the stores were asked, or answered within the last 24 hours. */
  readonly cached: boolean;
  /** What was measured of a destination bucket, so that the run need not measure it again. */
  readonly destination?: ProbedSide;
}

/**
 * The same checks before a run. Buckets that passed are not asked again for 24 hours, unless what is asked of them changed.
 * @throws BrigadeError E_PREFLIGHT (usage): something blocks the run; nothing was moved.
 */
export async function preflight(migration: Migration, around: DoctorAround): Promise<Preflight> {
  threadsFor(migration);
  const exam: Examination = { migration, around };
  const cache = new DoctorCache(around.stateDir, around.clock);
  const lines: DoctorLine[] = [];
  await collect(examineMachine(exam), lines);
  refuse(lines);
  const [source, destination] = await together(once(exam, cache, 'source'), once(exam, cache, 'destination'));
  for (const { found } of [source, destination]) lines.push(...found);
  refuse(lines);
  for (const { keep } of [source, destination]) keep?.();
  return {
    warnings: lines.filter(({ status }) => status === 'WARN'), cached: source.cached && destination.cached,
    ...(destination.probed === undefined ? {} : { destination: destination.probed }),
  };
}

interface Examined {
  readonly found: readonly DoctorLine[];
  readonly cached: boolean;
  readonly probed?: ProbedSide;
  /** Puts it into the cache. */
  keep?(): void;
}

/** One side, from the cache or anew. */
async function once(exam: Examination, cache: DoctorCache, side: Side): Promise<Examined> {
  const key = cache.keyOf(exam.migration, side);
  const known = key === undefined ? undefined : cache.get(key);
  if (known !== undefined) return { found: known.lines, cached: true, ...(known.probed === undefined ? {} : { probed: known.probed }) };
  const found: DoctorLine[] = [];
  const probed = await collect(sideOf(exam, side), found);
  return { found, cached: false, ...(probed === undefined ? {} : { probed }), ...(key === undefined ? {} : { keep: () => cache.put(key, found, probed) }) };
}

async function* sideOf(exam: Examination, side: Side): Findings<ProbedSide | undefined> {
  if (side === 'destination') return yield* examineDestination(exam);
  yield* examineSource(exam);
  return undefined;
}

async function collect<T>(findings: Findings<T>, lines: DoctorLine[]): Promise<T> {
  for (;;) {
    const step = await findings.next();
    if (step.done === true) return step.value;
    lines.push(step.value);
  }
}

function refuse(lines: readonly DoctorLine[]): void {
  const [first, ...more] = lines.filter(({ status }) => status === 'FAIL');
  if (first === undefined) return;
  const others = more.length === 0 ? '' : ` (and ${more.length} more: brigade doctor shows all)`;
  throw new BrigadeError({ code: 'E_PREFLIGHT', kind: 'usage', message: `${first.name}: ${first.message}${others}`, ...(first.fix === undefined ? {} : { hint: first.fix }) });
}
