/** What doctor asks for a fleet: its queue, its journal, its key, and what must be the same on every machine. Nothing is sent, and no message is taken. */
import { checkJournal, type Location, type Migration, showLocation, specHash, usesEnvironment } from '../../config/index.ts';
import { showBandwidth, showBytes, showCount, showDuration } from '../../core/units.ts';
import { leaseFor } from '../../fleet/leases.ts';
import type { Journal } from '../../ports/journal.ts';
import type { MessageQueue } from '../../ports/message-queue.ts';
import type { AbortRule } from '../../stores/s3/index.ts';
import { controlFor } from '../doctor-bucket.ts';
import { type Examination, fail, failure, type Findings, ok, settle, warn } from '../doctor-lines.ts';
import { openRawSide, type ProbedSide } from '../doctor-open.ts';
import type { DoctorLine, FleetAround } from '../doctor-types.ts';
import { foresee, type Foreseen } from './foresee.ts';
import { type Journals, openJournals } from './journal.ts';
import { messageKeys } from './message-key.ts';
import { openQueue } from './queue.ts';

const DAY_MS = 86_400_000;
/** Unfinished uploads of a fleet that ended long ago. */
const ABORT_DAYS = 7;
const HEARTBEATS = 3;
const SHORTEST_LEASE_MS = 10_000;
const LONGEST_LEASE_MS = 10 * 60_000;

export async function* examineFleet(exam: Examination, fleet: FleetAround, probed: ProbedSide | undefined): Findings {
  const { migration, around } = exam;
  const foreseen = await settle(foresee(migration, around.stateDir));
  if (foreseen.error !== undefined) yield failure('fleet: last plan', foreseen.error);
  const expected = foreseen.value ?? { rate: 0, taskMs: migration.batch.seconds * 1000 };
  yield* examineMachines(migration);
  if (fleet.messageKeys !== undefined) yield* examineKeys(exam, fleet, fleet.messageKeys);
  if (fleet.queue !== undefined) yield* examineQueue(exam, fleet, fleet.queue, expected);
  if (fleet.journal !== undefined) yield* examineJournal(exam, fleet, fleet.journal);
  yield* examineAbortRule(exam, probed, expected);
}

/** What this machine has and another may not (D14). */
function* examineMachines({ source, destination }: Migration): Generator<DoctorLine> {
  for (const [side, location] of [['source', source], ['destination', destination]] as const) {
    if (location.kind === 'file') yield warn(`fleet: ${side}`, `${showLocation(location)} is a directory: every worker must see the same one under this path`, 'mount it on all of them, or serve it with brigade agent');
    if (location.kind === 's3' && usesEnvironment(location.connection.credentials)) yield warn(`fleet: ${side}`, 'the credentials come from the environment of each worker', 'use a secret store (aws-sm:, aws-ssm:) or a role');
  }
}

async function* examineKeys({ around }: Examination, { cwd }: FleetAround, references: readonly string[]): Findings {
  if (references.length === 0) {
    yield warn('message key', 'none is named here, so it is not checked', 'give --message-key, as to coordinator and workers');
    return;
  }
  const keys = await settle(messageKeys(references, { env: around.env, cwd, clock: around.clock }));
  if (keys.error !== undefined) yield failure('message key', keys.error);
  else yield ok('message key', `${keys.value.describe}: ${references.length === 1 ? 'seals and opens' : 'the first seals, both open'}`);
}

async function* examineQueue(exam: Examination, fleet: FleetAround, text: string, foreseen: Foreseen): Findings {
  const { around: { env, clock, random } } = exam;
  const { cwd, journal } = fleet;
  // Of a journal that cannot be opened another line tells.
  const journals = journal === undefined ? undefined : (await settle((async () => openJournals(journal, { env, cwd, clock, random }))())).value;
  try {
    yield* examineOpenQueue(exam, fleet, text, foreseen, journals);
  } finally {
    await journals?.close();
  }
}

async function* examineOpenQueue({ around }: Examination, { cwd }: FleetAround, text: string, foreseen: Foreseen, journals: Journals | undefined): Findings {
  const { env, clock, random, signal } = around;
  // Looking makes nothing: whether it is to be made is the coordinator's matter.
  const opened = await settle(openQueue(text, { env, cwd, clock, random, create: false, ...(journals === undefined ? {} : { journals }) }));
  if (opened.error !== undefined) {
    yield failure('queue: reach', opened.error, 'check --queue, or let it be created with create=true');
    return;
  }
  const queue = opened.value;
  try {
    yield ok('queue: reach', `${queue.describe}; messages up to ${showBytes(queue.limits.largestMessageBytes)}, parked after ${queue.limits.mostReceives} deliveries`);
    for (const note of queue.notes) yield warn('queue: setup', note, 'set the queue up so, or know what it means');
    yield leaseLine(queue, foreseen);
    const counts = await settle(queue.counts(signal));
    if (counts.error !== undefined) yield failure('queue: messages', counts.error);
    else yield countsLine(counts.value);
  } finally {
    await queue.close();
  }
}

/** A lease only has to outlast a missed heartbeat; how long the work takes matters where heartbeats cannot prolong it for ever. */
export function leaseLine({ limits }: Pick<MessageQueue, 'limits'>, { taskMs, largest, rate }: Foreseen): DoctorLine {
  const name = 'queue: lease';
  const takes = largest === undefined ? `tasks take ${showDuration(taskMs)} at most, as batch.seconds says; the largest object is not known before the first plan` : `tasks take ${showDuration(taskMs)} (p95), the largest object (${showBytes(largest.bytes)}) ${showDuration(largest.ms)} at ${showBandwidth(rate)}`;
  // Before a plan it is only known what tasks take at most.
  const asked = largest === undefined ? limits.leaseMs : leaseFor(limits, taskMs);
  const grows = asked > limits.leaseMs ? `, then ${showDuration(asked)} at a time as tasks take so long` : '';
  const says = `${showDuration(limits.leaseMs)}, prolonged every ${showDuration(limits.leaseMs / HEARTBEATS)}${grows}; ${takes}`;
  const longest = Math.max(taskMs, largest?.ms ?? 0);
  if (longest > limits.longestLeaseMs) return warn(name, `${says}: longer than the ${showDuration(limits.longestLeaseMs)} for which this queue lets one worker hold a message, so another one begins on it, too`, 'use a queue without a ceiling (nats), or allow more limits.bandwidth');
  if (limits.leaseMs < SHORTEST_LEASE_MS) return warn(name, `${says}: a worker that stops for ${showDuration(limits.leaseMs)} loses its task`, 'make it 30 s: lease=30s');
  if (asked > Math.max(LONGEST_LEASE_MS, 2 * taskMs)) return warn(name, `${says}: the tasks of a worker that dies wait so long`, 'make it 30 s: heartbeats prolong it while somebody works');
  return ok(name, says);
}

function countsLine({ waiting, inFlight, delayed, dead }: Awaited<ReturnType<MessageQueue['counts']>>): DoctorLine {
  const says = `about ${showCount(waiting)} waiting, ${showCount(inFlight)} in flight${delayed === 0 ? '' : `, ${showCount(delayed)} delayed`}`;
  return dead === 0 ? ok('queue: messages', says) : warn('queue: messages', `${says}; ${showCount(dead)} dead ${dead === 1 ? 'letter' : 'letters'}`, 'brigade dead-letters explains them');
}

async function* examineJournal(exam: Examination, { cwd }: FleetAround, text: string): Findings {
  const { migration, around: { env, clock, random, signal } } = exam;
  let journals: Journals;
  try {
    journals = openJournals(text, { env, cwd, clock, random });
  } catch (thrown) {
    yield failure('journal: reach', thrown);
    return;
  }
  try {
    checkJournal(migration, journals.place(migration.name));
  } catch (thrown) {
    await journals.close();
    yield failure('journal: reach', thrown);
    return;
  }
  try {
    const opened = await settle(journals.open(migration.name));
    if (opened.error !== undefined) {
      yield failure(opened.error.code === 'E_JOURNAL_GUARDS' ? 'journal: conditional writes' : 'journal: reach', opened.error);
      return;
    }
    yield ok('journal: reach', `${journals.describe}, in its folder ${migration.name}/`);
    const proof = await settle(journals.prove(migration.name, signal));
    if (proof.error !== undefined) yield failure('journal: conditional writes', proof.error);
    else yield ok('journal: conditional writes', 'of writers that raced for one name exactly one won, each time');
    yield* examineContent(migration, opened.value, signal);
  } finally {
    await journals.close();
  }
}

async function* examineContent(migration: Migration, journal: Journal, signal: AbortSignal): Findings {
  const binding = await settle(journal.binding(signal));
  if (binding.error !== undefined) {
    yield failure('journal: whose', binding.error);
    return;
  }
  if (binding.value === undefined) yield ok('journal: whose', 'nobody’s yet');
  else if (binding.value.migration === migration.name && binding.value.specHash === specHash(migration)) yield ok('journal: whose', `of ${migration.name}, as the file has it now`);
  else yield fail('journal: whose', 'it is of another migration, or of this one with another source, destination, selection, transformation or fidelity', 'undo the change, or give it another name: or journal');
  const claim = await settle(journal.current(signal));
  if (claim.error !== undefined) yield failure('journal: coordinator', claim.error);
  else if (claim.value !== undefined) yield ok('journal: coordinator', `${claim.value.holder} since ${new Date(claim.value.sinceMs).toISOString()} (epoch ${claim.value.epoch})`);
  const beats = await settle(journal.beats(signal));
  for (const { worker, unread } of beats.value ?? []) if (unread !== undefined) yield warn('journal: workers', `what ${worker} says cannot be read: ${unread}`, 'look which release it runs; what was torn is written anew by it, or goes with it');
  for (const { worker, host, trouble } of beats.value ?? []) if (trouble !== undefined) yield warn('journal: workers', `${worker} on ${host} cannot work on it: ${trouble.message}`, trouble.hint ?? 'put it right there; the worker looks again by itself');
}

/** Uploads that nobody finishes are paid for; those that somebody works on must not be aborted under them. */
async function* examineAbortRule({ migration, around }: Examination, probed: ProbedSide | undefined, { largest }: Foreseen): Findings {
  const { destination } = migration;
  if (destination.kind !== 's3' || probed === undefined) return;
  const store = await openRawSide(migration, 'destination', around, probed);
  try {
    const control = await controlFor(store);
    const rules = await settle(control.abortRules(around.signal));
    if (rules.error !== undefined) yield warn('destination: abort rule', `the bucket does not say what it does with unfinished uploads: ${rules.error.message}`, 'allow s3:GetLifecycleConfiguration to have it checked');
    else if (rules.value !== undefined) yield abortLine(rules.value, prefixOf(destination, migration), largest?.ms);
  } finally {
    await store.close();
  }
}

function prefixOf(destination: Extract<Location, { kind: 's3' }>, { transform }: Migration): string {
  return destination.prefix + transform.keyPrefix;
}

export function abortLine(rules: readonly AbortRule[], prefix: string, longestMs: number | undefined): DoctorLine {
  const name = 'destination: abort rule';
  const wanted = Math.max(ABORT_DAYS, Math.ceil(2 * (longestMs ?? 0) / DAY_MS));
  const shortest = rules.filter((rule) => rule.prefix.startsWith(prefix) || prefix.startsWith(rule.prefix)).reduce((least, { days }) => Math.min(least, days), Infinity);
  const fix = `set AbortIncompleteMultipartUpload to ${wanted} days`;
  if (longestMs !== undefined && shortest * DAY_MS < longestMs) return fail(name, `uploads are aborted after ${days(shortest)}; the largest object takes ${showDuration(longestMs)}`, fix);
  if (shortest < wanted) return warn(name, `uploads are aborted after ${days(shortest)}; a fleet that pauses for so long begins its large objects anew`, fix);
  const whole = rules.some((rule) => prefix.startsWith(rule.prefix));
  return whole ? ok(name, `unfinished uploads are aborted after ${days(shortest)}`) : warn(name, 'the bucket keeps unfinished uploads for ever: what a fleet leaves that never comes back is paid for', fix);
}

const days = (count: number): string => `${count} ${count === 1 ? 'day' : 'days'}`;

