/**
 * A task as it travels: everything that a worker must know of it but the stores and the migration, which it finds by the message's reference. Items go
 * as columns (core/lines.ts), compressed: a task of 1,000 objects takes some 20–40 KiB. What does not fit into the queue's message goes into the
 * journal as a document, and the message names it.
 */
import { createHash } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import { BrigadeError } from '../core/errors.ts';
import type { Item } from '../core/item.ts';
import { packLines, unpackLines } from '../core/lines.ts';
import type { SizeClass } from '../core/pack.ts';
import { compress } from '../core/zstd.ts';
import type { Journal, TaskName } from '../ports/journal.ts';
import type { LeasedTask } from '../ports/ledger.ts';
import { type CallBody, wrongCall } from './call-message.ts';
import { type Content, isContent, isFields, isTaskId, keptIfLarge, taskId, taskNamed } from './content.ts';
import { type FailureBody, wrongFailures } from './failure-letter.ts';
import type { AnyEnvelope, Codec, Json, SpecReference } from './messages.ts';
import { type OfferBody, wrongOffer } from './offer-message.ts';

export interface FleetTask {
  readonly name: TaskName;
  readonly spec: SpecReference;
  readonly run: number;
  readonly size: SizeClass;
  /** 0 the first time; later ones look first what became of the ones before. */
  readonly sending: number;
  /** Reports of the task that were folded when it was sent: its items say what they said, none of them ends it any more. Absent: none. */
  readonly after?: number;
  /** Pending when the task was sent, in key order. */
  readonly items: readonly Item[];
}

export type TaskBody = {
  readonly run: number;
  readonly size: string;
  readonly sending: number;
  readonly after?: number;
  /** Base64 of zstd of columns, or a document that holds the same bytes. */
  readonly items: Content;
};
/**
 * `task` asks for work, `call` for help with a large object; `failed` tells an operator, among the dead letters, of objects that failed (failure-letter.ts);
 * `offer` lies in the journal's place, for plain messages (offer-message.ts).
 */
export type FleetBodies = { readonly task: TaskBody; readonly call: CallBody; readonly failed: FailureBody; readonly offer: OfferBody };
export type WorkBodies = Omit<FleetBodies, 'failed' | 'offer'>;
export type TaskCodec = Codec<FleetBodies>;

export { taskId, taskNamed };

/** What asks for work. @throws object E_MESSAGE_SHAPE for what does not */
export function asWork(envelope: AnyEnvelope<FleetBodies>): AnyEnvelope<WorkBodies> {
  if (envelope.kind === 'task' || envelope.kind === 'call') return envelope;
  if (envelope.kind === 'offer') throw new BrigadeError({ code: 'E_MESSAGE_SHAPE', kind: 'object', op: 'open message', message: 'this is no task: it offers a migration to plain messages, and has its place at the journal', hint: 'look who copies it into the queue' });
  throw new BrigadeError({ code: 'E_MESSAGE_SHAPE', kind: 'object', op: 'open message', message: 'this is no task: it tells of objects that failed, among the dead letters', hint: 'look what sends dead letters back to the queue; a failed object is tried again by brigade retry' });
}

const MOST_BYTES = 64 * 1024 * 1024;

/** What `messageCodec` needs to know of the messages of a fleet. */
export const FLEET_CHECKS = { task: wrongTask, call: wrongCall, failed: wrongFailures, offer: wrongOffer };

/** Of one sending of one migration's task. Names may be longer than an id leaves room for, and have characters that it may not: so they are told apart by their hash. */
export function messageId(migration: string, name: TaskName, sending: number): string {
  const hash = createHash('sha256').update(migration).digest('hex').slice(0, 16);
  return `${migration.replaceAll(/[^A-Za-z0-9_-]/g, '-').slice(0, 40)}-${hash}-${sendingId(name, sending)}`;
}

/** Of one sending: the same task sent again is another message. */
export const sendingId = ({ epoch, seq, task }: TaskName, sending: number): string => `${epoch}-${seq}-${task}-${sending}`;

/** The sealed message, of items that are packed if they are not already. By reference where it would be larger than `largestBytes`. */
export async function sealTask(codec: TaskCodec, task: Omit<FleetTask, 'items'>, work: Pick<LeasedTask, 'items' | 'packed'>, largestBytes: number, keep: Journal['keep'], signal?: AbortSignal): Promise<string> {
  const packed = work.packed === undefined ? compress(packLines(work.items.map((item) => ({ item })))) : Buffer.from(work.packed);
  const { spec, run, size, sending } = task;
  const after = task.after === undefined || task.after === 0 ? {} : { after: task.after };
  return keptIfLarge(packed, largestBytes, (items) => codec.seal({ kind: 'task', id: taskId(task.name), spec, body: { run, size, sending, ...after, items } }), keep, signal);
}

/** @throws BrigadeError object E_MESSAGE_SHAPE; transient E_MESSAGE_DOCUMENT where the journal does not show the document (yet) */
export async function taskOf(envelope: AnyEnvelope<FleetBodies>, document: Journal['document'], signal?: AbortSignal): Promise<FleetTask> {
  if (envelope.kind !== 'task') throw new BrigadeError({ code: 'E_MESSAGE_SHAPE', kind: 'object', op: 'open message', message: `the message is a ${envelope.kind}, no task` });
  const { id, spec, body: { run, size, sending, after, items } } = envelope;
  const packed = typeof items === 'string' ? Buffer.from(items, 'base64') : await document(items.document, signal);
  if (packed === undefined) throw new BrigadeError({ code: 'E_MESSAGE_DOCUMENT', kind: 'transient', op: 'open message', message: `the items of task ${id} are not in the journal`, hint: 'look whether coordinator and workers name the same --journal' });
  return { name: taskNamed(id), spec, run, size: size as SizeClass, sending, ...(after === undefined ? {} : { after }), items: itemsOf(packed, id) };
}

function itemsOf(packed: Buffer, id: string): readonly Item[] {
  try {
    return unpackLines(zstdDecompressSync(packed, { maxOutputLength: MOST_BYTES })).map(({ item }) => item);
  } catch (cause) {
    throw new BrigadeError({ code: 'E_MESSAGE_SHAPE', kind: 'object', op: 'open message', message: `the items of task ${id} cannot be read`, hint: 'run coordinator and workers of the same release', cause });
  }
}

function wrongTask(body: Json, id: string): string | undefined {
  if (!isTaskId(id)) return 'its id names no task';
  if (!isFields(body)) return 'its body is no object';
  const { run, size, sending, after = 0, items } = body;
  if (![run, sending, after].every(isCount)) return 'it has no run or no number of sending';
  if (size !== 'small' && size !== 'large') return 'its size class is unknown';
  return isContent(items) ? undefined : 'it has no items';
}

function isCount(value: Json | undefined): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
