import { explainDeadLetters, type ExplainedLetter, LETTER_STATES, type LetterState, reasonOf, sortOut } from '../../app/fleet/dead-letters.ts';
import { openJournals } from '../../app/fleet/journal.ts';
import { messageKeys } from '../../app/fleet/message-key.ts';
import { openQueue } from '../../app/fleet/queue.ts';
import { errorFacts, oneLine, usageError, type BrigadeError } from '../../core/errors.ts';
import { EXIT } from '../../core/exit-code.ts';
import { showKey } from '../../core/key.ts';
import { showBytes } from '../../core/units.ts';
import { PLAIN_EPOCH } from '../../ports/journal.ts';
import type { MessageQueue } from '../../ports/message-queue.ts';
import { keyReferences, neededQueue, untilStopped } from '../fleet.ts';
import { format, type Invocation, nextCommand, shellWord } from '../invocation.ts';

const MOST = 100;
type Action = 'redrive' | 'discard';
/** What an action takes unless it is told otherwise: nothing that matters is discarded, nothing that would only come back is redriven. */
const TAKES: Readonly<Record<Action, readonly LetterState[]>> = { redrive: ['open', 'unproven'], discard: ['done'] };

interface Told extends ExplainedLetter {
  readonly done?: Action;
  readonly error?: BrigadeError;
}

export async function execute(invocation: Invocation): Promise<number> {
  const { io } = invocation;
  const text = neededQueue(invocation);
  const action = actionOf(invocation);
  return untilStopped(invocation, async (signal) => {
    const { env, cwd, clock, random } = io;
    const around = { env, cwd, clock, random };
    const keys = keyReferences(invocation);
    const codec = keys.length === 0 ? undefined : (await messageKeys(keys, around)).codec;
    const journal = invocation.options.text('journal');
    const journals = journal === undefined ? undefined : openJournals(journal, around);
    const queue = await openQueue(text, { ...around, ...(journals === undefined ? {} : { journals }) });
    try {
      const dead = (await queue.counts(signal)).dead;
      const how = { most: invocation.options.count('limit') ?? MOST, signal, ...(codec === undefined ? {} : { codec }), ...(journals === undefined ? {} : { journals }) };
      const told: Told[] = [];
      for await (const letter of explainDeadLetters(queue, how)) {
        if (!isWanted(invocation, letter)) continue;
        const one = await sorted(letter, action, invocation);
        told.push(one);
        show(invocation, one);
      }
      return conclude(invocation, { queue, dead, told, action });
    } finally {
      await queue.close();
      await journals?.close();
    }
  });
}

function actionOf({ options }: Invocation): Action | undefined {
  if (options.has('redrive') && options.has('discard')) throw usageError('E_USAGE', 'stands beside --discard', 'keep one of them', '--redrive');
  return options.has('redrive') ? 'redrive' : options.has('discard') ? 'discard' : undefined;
}

function isWanted({ options }: Invocation, { state, task, claim }: ExplainedLetter): boolean {
  const migration = options.text('migration');
  const states = options.list('only');
  return (migration === undefined || migration === (task ?? claim)?.migration) && (states === undefined || states.includes(state));
}

async function sorted(letter: ExplainedLetter, action: Action | undefined, { options }: Invocation): Promise<Told> {
  if (action === undefined || !(options.has('only') || TAKES[action].includes(letter.state))) return letter;
  // It asks for nothing: who wants its objects tried again retries them from the ledger.
  if (action === 'redrive' && letter.told !== undefined) return letter;
  const { error } = await sortOut(letter, action);
  return error === undefined ? { ...letter, done: action } : { ...letter, error };
}

function show(invocation: Invocation, letter: Told): void {
  const { out } = invocation.io;
  if (format(invocation) === 'ndjson') out.line(JSON.stringify(json(letter)));
  if (format(invocation) === 'table') for (const line of lines(letter, invocation)) out.line(line);
}

const DONE = { redrive: 'sent again', discard: 'discarded' } as const;

/** Of the objects of one letter, so many are named. */
const MOST_NAMED = 5;

function* lines(letter: Told, invocation: Invocation): Generator<string> {
  const { task, claim, state, why, failures, told, done, error, letter: { receives, id } } = letter;
  const name = task !== undefined && isOfPlain(task) ? `${task.migration} plain message ${task.task}` : task !== undefined ? `${task.migration}@${task.run} task ${task.task}${task.sending === undefined ? '' : `, sending ${task.sending}`}` : claim !== undefined ? `says that it is task ${claim.task} of ${claim.migration}` : `message ${oneLine(id, 100)}`;
  yield `${state.padEnd(8)}  ${name}${receives === undefined || told !== undefined ? '' : `; ${receives} ${receives === 1 ? 'delivery' : 'deliveries'}`}`;
  if (task?.items !== undefined) yield `          ${task.items.objects} objects, ${showBytes(task.items.bytes)}, ${showKey(task.items.first)} to ${showKey(task.items.last)}`;
  yield `          parked: ${reasonOf(letter)}`;
  yield `          ${oneLine(why)}`;
  for (const { code, objects, key, message } of failures) yield `          ${objects} × ${code}: ${showKey(key)}: ${oneLine(message)}`;
  if (told !== undefined) yield* toldLines(letter, told, invocation);
  if (done !== undefined) yield `          ${DONE[done]}`;
  if (error !== undefined) yield `          not done: ${oneLine(error.message)} [${error.code}]`;
}

function* toldLines({ task, state, failures }: Told, { worker, atMs, failed = [] }: NonNullable<Told['told']>, invocation: Invocation): Generator<string> {
  yield `          told by worker ${oneLine(worker)} at ${new Date(atMs).toISOString()}`;
  const named = failed.filter(({ still }) => still !== false);
  for (const { key, attempts, problem } of named.slice(0, MOST_NAMED)) yield `          ${showKey(key)}: ${problem.kind ?? 'object'} ${problem.code}, ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`;
  if (named.length > MOST_NAMED) yield `          and ${named.length - MOST_NAMED} more; all of them with --output json`;
  if (task !== undefined && isOfPlain(task) && state !== 'done') yield '          next: mend the cause, then let its producer send these keys again';
  else if (task !== undefined && state !== 'done') yield `          next: ${retryCommand(invocation, task.migration, failures.map(({ code }) => code))}`;
}

const isOfPlain = ({ task }: NonNullable<Told['task']>): boolean => task.startsWith(`${PLAIN_EPOCH}/`);

/** As it is to be written, with the places that this command was given. */
function retryCommand(invocation: Invocation, migration: string, codes: readonly string[]): string {
  const places = invocation.options.written(['queue', 'journal', 'message-key']).map(shellWord).join(' ');
  return nextCommand(invocation, `retry ${shellWord(migration)}${codes.length === 0 ? '' : ` --class ${codes.map(shellWord).join(',')}`} ${places}`);
}

function json(letter: Told): object {
  const { letter: { id, receives, body }, state, why, task, claim, failures, told, done, error } = letter;
  return {
    id, state, reason: reasonOf(letter), why, ...(receives === undefined ? {} : { deliveries: receives }), bytes: Buffer.byteLength(body),
    ...(task === undefined ? {} : task), ...(claim === undefined ? {} : { claim }), failures, ...(told === undefined ? {} : { told }), ...(done === undefined ? {} : { done }), ...(error === undefined ? {} : { error: errorFacts(error) }),
  };
}

function conclude(invocation: Invocation, { queue, dead, told, action }: { readonly queue: MessageQueue; readonly dead: number; readonly told: readonly Told[]; readonly action: Action | undefined }): number {
  const { out } = invocation.io;
  const counts = Object.fromEntries(LETTER_STATES.map((state) => [state, told.filter((one) => one.state === state).length])) as Record<LetterState, number>;
  const [did, failed] = [told.filter(({ done }) => done !== undefined).length, told.filter(({ error }) => error !== undefined).length];
  if (format(invocation) === 'json') out.line(JSON.stringify({ v: 1, queue: queue.describe, dead, ...counts, ...(action === undefined ? {} : { [action]: did, failed }), letters: told.map(json) }, null, 2));
  if (format(invocation) === 'table') {
    const states = LETTER_STATES.filter((state) => counts[state] > 0).map((state) => `${counts[state]} ${state}`);
    out.line(`${queue.describe}: ${told.length} of about ${dead} dead letters${states.length === 0 ? '' : `: ${states.join(', ')}`}${action === undefined ? '' : `; ${did} ${DONE[action]}${failed === 0 ? '' : `, ${failed} not`}`}`);
    if (action === undefined && counts.open > 0) out.line(`next: ${nextCommand(invocation, 'dead-letters … --redrive')} sends what is open again at once; without it the coordinator does so in time`);
  }
  return failed > 0 ? EXIT.someFailed : EXIT.clean;
}
