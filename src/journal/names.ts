/**
 * Where things lie in a journal. Numbers have a fixed width, so that the order of names is the order of numbers.
 *
 *   epochs/<epoch>                             who has it
 *   plan/<epoch>/<seq>, control/<epoch>/<seq>  the two logs
 *   reports/<epoch>/<seq>/<task>-<nth>         of a whole task
 *   reports/<epoch>/<seq>/<task>.<part>-<nth>  of the span of parts from this one on
 *   plain/<seq>/<task>-<nth>                   of a plain message: hashes of what its queue calls it
 *   binding                                    whose journal it is
 *   documents/<sha256>                         what segments and messages refer to
 *   workers/<name>                             who is there
 *   canaries/<chance>-<round>                  for the proof of conditional writes, removed again
 */
import type { Key } from '../core/key.ts';
import type { Random } from '../ports/clock.ts';
import { PLAIN_EPOCH, type ReportPlace, type SegmentPlace, type TaskName } from '../ports/journal.ts';

export type LogName = 'plan' | 'control';

const EPOCH = 8;
const SEQ = 10;
const TASK = 6;
const PART = 5;
const NTH = 3;
const REPORT = /^reports\/(\d{8})\/(\d{10})\/(\d{6})(?:\.(\d{5}))?-(\d{3,})$/;
const PLAIN_TASK = 9;
const PLAIN_REPORT = /^plain\/(\d{10})\/(\d{9})(?:\.(\d{5}))?-(\d{3,})$/;
const SEGMENT = /^(?:plan|control)\/(\d{8})\/(\d{10})$/;

export const EPOCHS = 'epochs/';
export const REPORTS = 'reports/';
export const PLAIN = 'plain/';
export const BINDING = 'binding';
export const WORKERS = 'workers/';

export const documentKey = (sha256: string): Key => `documents/${sha256}`;
/** Host names and process ids; whatever else stands in a name becomes a dash. */
export const workerKey = (worker: string): Key => WORKERS + worker.replaceAll(/[^A-Za-z0-9._-]/g, '-');

const digits = (value: number, width: number): string => String(value).padStart(width, '0');

export const epochKey = (epoch: number): Key => EPOCHS + digits(epoch, EPOCH);

export function epochOf(key: Key): number | undefined {
  return /^epochs\/\d{8}$/.test(key) ? Number(key.slice(EPOCHS.length)) : undefined;
}

export const logPrefix = (log: LogName, epoch: number): Key => `${log}/${digits(epoch, EPOCH)}/`;
export const segmentKey = (log: LogName, { epoch, seq }: SegmentPlace): Key => logPrefix(log, epoch) + digits(seq, SEQ);

export function segmentOf(key: Key): SegmentPlace | undefined {
  const found = SEGMENT.exec(key);
  return found === null ? undefined : { epoch: Number(found[1]), seq: Number(found[2]) };
}

/** What every report of the tasks of one segment begins with. */
export const reportFolder = ({ epoch, seq }: SegmentPlace): Key => (epoch === PLAIN_EPOCH ? `${PLAIN}${digits(seq, SEQ)}/` : `${REPORTS}${digits(epoch, EPOCH)}/${digits(seq, SEQ)}/`);

const taskPrefix = (task: TaskName): Key => reportFolder(task) + digits(task.task, task.epoch === PLAIN_EPOCH ? PLAIN_TASK : TASK);

/** What every report of spans of this task begins with. */
export const spanFolder = (task: TaskName): Key => `${taskPrefix(task)}.`;

export function reportKey({ work, nth }: ReportPlace): Key {
  const part = work.firstPart === undefined ? '' : `.${digits(work.firstPart, PART)}`;
  return `${taskPrefix(work)}${part}-${digits(nth, NTH)}`;
}

export function reportOf(key: Key): ReportPlace | undefined {
  const planned = REPORT.exec(key);
  const [epoch, [, seq, task, part, nth]] = planned === null ? [PLAIN_EPOCH, PLAIN_REPORT.exec(key) ?? []] : [Number(planned[1]), planned.slice(1)];
  if (seq === undefined) return undefined;
  const work = { epoch, seq: Number(seq), task: Number(task), ...(part === undefined ? {} : { firstPart: Number(part) }) };
  return { work, nth: Number(nth) };
}

/** Negative: `a` comes first. */
export function comparePlaces(a: SegmentPlace, b: SegmentPlace): number {
  return a.epoch - b.epoch || a.seq - b.seq;
}

export function canaryName(random: Random, round: number): Key {
  return `canaries/${Math.floor(random.next() * 2 ** 48).toString(16).padStart(12, '0')}-${round}`;
}
