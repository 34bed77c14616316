/**
 * What lies among the dead letters, and whether anything is lost by it: a queue is a hint (truth 8), so the journal says whether a task is done. What
 * is not done is sent again by the coordinator in any case; a redrive only makes it quicker.
 */
import type { Outcome } from '../../core/item.ts';
import { asBrigadeError, BrigadeError, isKind, oneLine } from '../../core/errors.ts';
import type { Key } from '../../core/key.ts';
import { type FailedObject, type FailureBody, failuresOf } from '../../fleet/failure-letter.ts';
import { type FleetBodies, type FleetTask, type TaskBody, type TaskCodec, taskId, taskNamed, taskOf } from '../../fleet/task-message.ts';
import type { AnyEnvelope, Envelope } from '../../fleet/messages.ts';
import { looksPlain } from '../../fleet/plain-message.ts';
import { type Journal, PLAIN_EPOCH, type TaskName } from '../../ports/journal.ts';
import type { DeadLetter, MessageQueue } from '../../ports/message-queue.ts';
import type { Journals } from './journal.ts';

/**
 * - `done`: a report that came after it was sent closes what it asks for, or none of the objects that it tells of is failed any more; nothing is lost with it;
 * - `failed`: it tells of objects that failed for good, and some of them are failed still;
 * - `open`: that is not done;
 * - `unproven`: it is a task of ours, and there is no journal here that says more;
 * - `unopened`: it cannot be opened, or no key was given.
 */
export const LETTER_STATES = ['done', 'failed', 'open', 'unproven', 'unopened'] as const;
export type LetterState = (typeof LETTER_STATES)[number];

export interface LetterTask {
  readonly migration: string;
  readonly run: number;
  /** `<epoch>/<seq>/<task>` */
  readonly task: string;
  /** Absent: it asks for no work, but tells of objects that failed. */
  readonly sending?: number;
  /** Absent: they stand in a journal that was not asked, or does not show them. */
  readonly items?: { readonly objects: number; readonly bytes: number; readonly first: Key; readonly last: Key };
}

export interface Failures {
  readonly code: string;
  readonly objects: number;
  /** Of the first of them. */
  readonly key: Key;
  readonly message: string;
}

/** Who told of failed objects, when by its clock, and which they are. */
export interface Told {
  readonly worker: string;
  readonly atMs: number;
  readonly objects: number;
  /** Absent: they stand in a journal that was not asked, or does not show them. `still`: as the reports of the task say now; absent: nobody knows. */
  readonly failed?: readonly (FailedObject & { readonly still?: boolean })[];
}

export interface ExplainedLetter {
  readonly letter: DeadLetter;
  readonly state: LetterState;
  /** One line: how that is known. */
  readonly why: string;
  /** Proven by its seal. */
  readonly task?: LetterTask;
  /** What it says of itself, without proof. */
  readonly claim?: { readonly migration: string; readonly task: string };
  /** What its reports say went wrong, most objects first. */
  readonly failures: readonly Failures[];
  /** A letter that informs: it is never sent as a task. */
  readonly told?: Told;
}

export interface Explaining {
  /** Absent: nothing can be opened. */
  readonly codec?: TaskCodec;
  readonly journals?: Journals;
  /** Letters looked at. */
  readonly most: number;
  readonly signal: AbortSignal;
}

/** Letters stay where they are; each may then be redriven or discarded. @throws BrigadeError as the queue and the journal's store do */
export async function* explainDeadLetters(queue: MessageQueue, how: Explaining): AsyncGenerator<ExplainedLetter> {
  for (const letter of await queue.deadLetters(how.most, how.signal)) yield explain(letter, how);
}

async function explain(letter: DeadLetter, { codec, journals, signal }: Explaining): Promise<ExplainedLetter> {
  const claim = claimOf(letter.body);
  const unopened = (why: string): ExplainedLetter => ({ letter, state: 'unopened', why, failures: [], ...(claim === undefined ? {} : { claim }) });
  if (looksPlain(letter.body)) return unopened('a plain message, which nobody sealed and no coordinator sends again: once its reason is mended, --only unopened --redrive');
  if (codec === undefined) return unopened('no --message-key was given, so nothing in it is proven');
  let envelope: AnyEnvelope<FleetBodies>;
  try {
    envelope = codec.open(letter.body);
  } catch (thrown) {
    const { message, code, kind } = asBrigadeError(thrown);
    if (kind === 'internal') throw thrown;
    return unopened(`${message} [${code}]`);
  }
  if (envelope.kind === 'call') return { letter, state: 'done', why: `it asked for help with an object of task ${envelope.id} of ${envelope.spec.id}: nothing is lost with it`, failures: [], ...(claim === undefined ? {} : { claim }) };
  if (envelope.kind === 'offer') return unopened('it is the offer of a migration, and no message');
  const explained = envelope.kind === 'task' ? await standing(envelope, journals, signal) : await toldBy(envelope, journals, signal);
  return { letter, ...explained };
}

type Standing = Omit<ExplainedLetter, 'letter' | 'claim'>;

/** What failed, and whether it is failed still. */
async function toldBy(envelope: Envelope<'failed', FailureBody>, journals: Journals | undefined, signal: AbortSignal): Promise<Standing> {
  const { id, spec, body: { run, worker, atMs, objects } } = envelope;
  const journal = await journalOf(spec.id, journals, signal, taskNamed(id).epoch === PLAIN_EPOCH);
  const failed = await failuresOf(envelope, documentsOf(journal), signal);
  const task = { migration: spec.id, run, task: id };
  const told = { worker, atMs, objects };
  const failures = failuresIn(failed ?? []);
  if (journal === undefined || failed === undefined) return { state: 'unproven', why: `it tells of ${counted(objects)}; ${journal === undefined ? unknownTo(spec.id, journals) : 'the journal does not show which'}`, task, failures, told: { ...told, ...(failed === undefined ? {} : { failed }) } };
  const { outcomes } = await reportsOf(journal, taskNamed(id), 0, signal);
  const now = failed.map((one) => ({ ...one, still: outcomes.get(one.key)?.state === 'failed' }));
  const still = now.filter((one) => one.still).length;
  const why = still === 0 ? 'none of its objects is failed any more: nothing is lost with it' : `${still} of ${counted(objects)} ${still === 1 ? 'is' : 'are'} failed still, as its task was reported last`;
  return { state: still === 0 ? 'done' : 'failed', why, task, failures, told: { ...told, failed: now } };
}

const counted = (objects: number): string => `${objects} ${objects === 1 ? 'object' : 'objects'}`;

function unknownTo(migration: string, journals: Journals | undefined): string {
  return journals === undefined ? 'without --journal it is not known what became of them' : `there is no journal of ${migration} at ${journals.describe}`;
}

async function standing(envelope: Envelope<'task', TaskBody>, journals: Journals | undefined, signal: AbortSignal): Promise<Standing> {
  const journal = await journalOf(envelope.spec.id, journals, signal);
  const { task, name } = await describe(envelope, journal, signal);
  if (journal === undefined) return { state: 'unproven', why: journals === undefined ? 'without --journal it is not known whether its task is done' : `there is no journal of ${task.migration} at ${journals.describe}`, task, failures: [] };
  const { reports, damaged, closed, outcomes } = await reportsOf(journal, name, envelope.body.after ?? 0, signal);
  const failures = failuresIn(outcomes.values());
  const told = `${reports} ${reports === 1 ? 'report' : 'reports'}${damaged === 0 ? '' : `, ${damaged} of them damaged`}`;
  if (closed) return { state: 'done', why: `its task is done (${told}): nothing is lost with it`, task, failures };
  return { state: 'open', why: reports === 0 ? 'nobody reported anything of its task; the coordinator sends it again' : `its task is not done (${told}); the coordinator sends it again`, task, failures };
}

/** Undefined: none of this migration here. `unclaimed`: also where no coordinator ever was. */
async function journalOf(migration: string, journals: Journals | undefined, signal: AbortSignal, unclaimed = false): Promise<Journal | undefined> {
  if (journals === undefined) return undefined;
  try {
    const journal = await journals.open(migration, 'read');
    return !unclaimed && await journal.current(signal) === undefined ? undefined : journal;
  } catch (thrown) {
    if (thrown instanceof BrigadeError && (thrown.code === 'E_NO_ROOT' || thrown.code === 'E_CONFIG')) return undefined;
    throw thrown;
  }
}

async function describe(envelope: Envelope<'task', TaskBody>, journal: Journal | undefined, signal: AbortSignal): Promise<{ readonly task: LetterTask; readonly name: TaskName }> {
  const { id, spec, body } = envelope;
  const name = taskNamed(id);
  const known = { migration: spec.id, run: body.run, task: taskId(name), sending: body.sending };
  const items = await itemsOf(envelope, journal, signal);
  const [first, last] = [items?.at(0), items?.at(-1)];
  if (items === undefined || first === undefined || last === undefined) return { task: known, name };
  return { task: { ...known, items: { objects: items.length, bytes: items.reduce((sum, { size }) => sum + size, 0), first: first.key, last: last.key } }, name };
}

/** Undefined where they stand in a journal that does not show them. */
async function itemsOf(envelope: Envelope<'task', TaskBody>, journal: Journal | undefined, signal: AbortSignal): Promise<FleetTask['items'] | undefined> {
  try {
    return (await taskOf(envelope, documentsOf(journal), signal)).items;
  } catch (thrown) {
    if (thrown instanceof BrigadeError && (thrown.code === 'E_MESSAGE_DOCUMENT' || thrown.code === 'E_MESSAGE_SHAPE')) return undefined;
    throw thrown;
  }
}

function documentsOf(journal: Journal | undefined): Journal['document'] {
  return (sha256, signal) => (journal === undefined ? Promise.resolve(undefined) : journal.document(sha256, signal));
}

interface Reported {
  readonly reports: number;
  readonly damaged: number;
  readonly closed: boolean;
  /** The last word on each object. */
  readonly outcomes: ReadonlyMap<Key, Outcome>;
}

/** `after`: of reports that were folded when it was sent, none ends what it asks for; the task was amended since. */
async function reportsOf(journal: Journal, work: TaskName, after: number, signal: AbortSignal): Promise<Reported> {
  const outcomes = new Map<Key, Outcome>();
  let [closed, damaged] = [false, 0];
  for (let nth = 0; ; nth++) {
    const read = await journal.readReport({ work, nth }, signal);
    if (read === undefined) return { reports: nth, damaged, closed, outcomes };
    if (read.report === undefined) damaged++;
    closed ||= read.report?.close === true && nth >= after;
    for (const outcome of read.report?.outcomes ?? []) outcomes.set(outcome.key, outcome);
  }
}

function failuresIn(outcomes: Iterable<Pick<Outcome, 'key' | 'problem'>>): readonly Failures[] {
  const byCode = new Map<string, { -readonly [K in keyof Failures]: Failures[K] }>();
  for (const { key, problem } of outcomes) {
    if (problem === undefined) continue;
    const found = byCode.get(problem.code);
    if (found === undefined) byCode.set(problem.code, { code: problem.code, objects: 1, key, message: problem.message });
    else found.objects++;
  }
  return [...byCode.values()].sort((a, b) => b.objects - a.objects);
}

const MIGRATION = /"spec":\{"id":"([A-Za-z0-9._-]{1,63})"/;
const TASK = /"kind":"task","id":"(\d{1,9}\/\d{1,10}\/\d{1,9})"/;

/** Names are all that is taken of a message that nothing vouches for. */
function claimOf(body: string): ExplainedLetter['claim'] {
  const [head, migration, task] = [body.slice(0, 1024), MIGRATION.exec(body.slice(0, 1024))?.[1], TASK.exec(body.slice(0, 1024))?.[1]];
  return head.startsWith('{"v":') && migration !== undefined && task !== undefined ? { migration, task } : undefined;
}

export interface Sorted {
  readonly acted: boolean;
  /** The letter is where it was. */
  readonly error?: BrigadeError;
}

/** Redrives or discards one. What the queue refuses is told, and the others go on; anything else is thrown. */
export async function sortOut({ letter }: ExplainedLetter, action: 'redrive' | 'discard'): Promise<Sorted> {
  try {
    await letter[action]();
    return { acted: true };
  } catch (thrown) {
    if (!isKind(thrown, 'transient', 'throttled', 'object', 'conflict')) throw thrown;
    return { acted: false, error: thrown };
  }
}

/** One line of the reason it was parked for. */
export const reasonOf = ({ letter }: ExplainedLetter): string => oneLine(letter.reason, 300);

