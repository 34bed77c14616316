/** What `brigade lab run` lets go wrong, and what to do about it. */
import type { FaultOrder } from '../../faults/catalogue.ts';
import { LAB_BUCKETS, objectsOf } from './content.ts';
import { clearFaults, addFault } from './processes.ts';
import type { LabFolder } from './folder.ts';

export const EXERCISES = ['permission', 'missing-bucket', 'none'] as const;
export type ExerciseName = (typeof EXERCISES)[number];

export interface Exercise {
  /** The pair that fails. */
  readonly pair: string;
  readonly story: string;
  order(lab: LabFolder): Omit<FaultOrder, 'name'>;
  /** How the pair goes on once the cause is gone: the words after `brigade`. `file` is its migration file. */
  readonly goOn: (file: string) => string;
  readonly why: string;
}

const FAULT = 'exercise';
const DETAILS: Readonly<Record<Exclude<ExerciseName, 'none'>, Exercise>> = {
  permission: {
    pair: 'user-uploads',
    story: 'its destination denies PutObject below private/, as a bucket policy with a gap does',
    order: () => ({ kind: 'denied', bucket: 'user-uploads', prefix: 'private/', operations: ['PutObject'] }),
    goOn: () => 'retry user-uploads --class E_ACCESS_DENIED',
    why: 'what failed is tried again, and nothing else',
  },
  'missing-bucket': {
    pair: 'logs-archive',
    story: 'its bucket at the destination vanished while it was written',
    order: (lab) => {
      const bucket = LAB_BUCKETS.find(({ name }) => name === 'logs-archive');
      const { scale, batches } = lab.facts();
      const objects = bucket === undefined ? 0 : objectsOf(bucket, Math.max(1, batches), scale).length;
      // Only what is migrated counts: the checks before the run still find everything in order.
      return { kind: 'missing-bucket', bucket: 'logs-archive', prefix: 'web-', operations: ['PutObject'], after: Math.floor(objects / 4) };
    },
    goOn: (file) => `run ${file}`,
    why: 'the run was paused, no object has failed: it goes on where it was',
  },
};

export function exerciseOf(name: ExerciseName): Exercise | undefined {
  return name === 'none' ? undefined : DETAILS[name];
}

/** Puts the cause in force at the destination; that of an earlier exercise is taken back. */
export async function prepare(lab: LabFolder, exercise: Exercise | undefined): Promise<void> {
  await clearFaults(lab, 'destination', FAULT);
  if (exercise !== undefined) await addFault(lab, 'destination', { name: FAULT, ...exercise.order(lab) });
}
