/**
 * A letter for the operator: objects of a task that are `failed`, as its worker sends it to the dead letters, so that an alarm on those tells the truth. It
 * informs and asks for nothing: the ledger is what says which objects failed, and a retry is made from there. Sealed as all messages are, without secrets.
 */
import { zstdDecompressSync } from 'node:zlib';
import { BrigadeError, oneLine } from '../core/errors.ts';
import type { Outcome, Problem } from '../core/item.ts';
import { type Key, showKey } from '../core/key.ts';
import { compress } from '../core/zstd.ts';
import type { Journal, TaskName } from '../ports/journal.ts';
import { type Content, isContent, isFields, isTaskId, keptIfLarge, taskId } from './content.ts';
import type { Codec, Envelope, Json, SpecReference } from './messages.ts';

export interface FailedObject {
  readonly key: Key;
  readonly attempts: number;
  readonly problem: Problem;
}

export interface FailureLetter {
  readonly name: TaskName;
  readonly spec: SpecReference;
  readonly run: number;
  readonly worker: string;
  /** By the worker's wall clock, milliseconds since 1970. */
  readonly atMs: number;
  /** At least one, in whatever order. */
  readonly failed: readonly FailedObject[];
}

export type FailureBody = {
  readonly run: number;
  readonly worker: string;
  readonly atMs: number;
  readonly objects: number;
  /** Base64 of zstd of JSON, or a document that holds the same bytes. */
  readonly failed: Content;
};

type Told = { readonly problems: readonly Problem[]; readonly objects: readonly (readonly [key: Key, problem: number, attempts: number])[] };

const MOST_BYTES = 64 * 1024 * 1024;
const LONGEST_MESSAGE = 500;

/** Those that failed, of these outcomes. */
export function failedOf(outcomes: Iterable<Outcome>): readonly FailedObject[] {
  return [...outcomes].filter(({ state }) => state === 'failed').map(({ key, attempts, problem = { code: 'E_INTERNAL', message: 'no reason was given' } }) => ({ key, attempts, problem }));
}

/** One line for those who look at a queue with other tools. */
export function reasonOf({ failed }: Pick<FailureLetter, 'failed'>): string {
  const [{ key, problem }] = failed as [FailedObject];
  return `${failed.length} ${failed.length === 1 ? 'object' : 'objects'} failed, ${showKey(key)}: ${oneLine(problem.message, 200)} [${problem.code}]`;
}

/** By reference where it would be larger than `largestBytes`. */
export function sealFailures(codec: Pick<Codec<{ readonly failed: FailureBody }>, 'seal'>, letter: FailureLetter, largestBytes: number, keep: Journal['keep'], signal?: AbortSignal): Promise<string> {
  const { name, spec, run, worker, atMs, failed } = letter;
  const packed = compress(Buffer.from(JSON.stringify(contentOf(failed)), 'utf8'));
  return keptIfLarge(packed, largestBytes, (content) => codec.seal({ kind: 'failed', id: taskId(name), spec, body: { run, worker, atMs, objects: failed.length, failed: content } }), keep, signal);
}

function contentOf(failed: readonly FailedObject[]): Told {
  const numbers = new Map<string, number>();
  const problems: Problem[] = [];
  const objects = failed.map(({ key, problem: { code, kind, message, hint }, attempts }) => {
    const problem = { code, ...(kind === undefined ? {} : { kind }), message: oneLine(message, LONGEST_MESSAGE), ...(hint === undefined ? {} : { hint: oneLine(hint, LONGEST_MESSAGE) }) };
    const text = JSON.stringify(problem);
    const number = numbers.get(text) ?? problems.push(problem) - 1;
    numbers.set(text, number);
    return [key, number, attempts] as const;
  });
  return { problems, objects };
}

/** Undefined: the objects stand in a journal that does not show them. @throws BrigadeError object E_MESSAGE_SHAPE */
export async function failuresOf({ id, body: { failed } }: Envelope<'failed', FailureBody>, document: Journal['document'], signal?: AbortSignal): Promise<readonly FailedObject[] | undefined> {
  const packed = typeof failed === 'string' ? Buffer.from(failed, 'base64') : await document(failed.document, signal);
  if (packed === undefined) return undefined;
  try {
    const { problems, objects } = JSON.parse(zstdDecompressSync(packed, { maxOutputLength: MOST_BYTES }).toString('utf8')) as Told;
    return objects.map(([key, number, attempts]) => ({ key, attempts, problem: problems[number] as Problem }));
  } catch (cause) {
    throw new BrigadeError({ code: 'E_MESSAGE_SHAPE', kind: 'object', op: 'open message', message: `what failed of task ${id} cannot be read`, hint: 'run coordinator and workers of the same release', cause });
  }
}

export function wrongFailures(body: Json, id: string): string | undefined {
  if (!isTaskId(id)) return 'its id names no task';
  if (!isFields(body)) return 'its body is no object';
  const { run, worker, atMs, objects, failed } = body;
  if (![run, atMs, objects].every((count) => typeof count === 'number' && Number.isSafeInteger(count) && count >= 0) || typeof worker !== 'string') return 'it does not say who failed, when, and in which run';
  return isContent(failed) ? undefined : 'it has no objects';
}
