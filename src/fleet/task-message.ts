/**
 * A task as it travels: everything that a worker must know of it but the stores and the migration, which it finds by the message's reference. Items go
 * as columns (core/lines.ts), compressed: a task of 1,000 objects takes some 20–40 KiB. What does not fit into the queue's message goes into the
 * journal as a document, and the message names it.
 */
import { createHash } from 'node:crypto';
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { BrigadeError } from '../core/errors.ts';
import type { Item } from '../core/item.ts';
import { packLines, unpackLines } from '../core/lines.ts';
import type { SizeClass } from '../core/pack.ts';
import type { Journal, TaskName } from '../ports/journal.ts';
import { type CallBody, wrongCall } from './call-message.ts';
import type { AnyEnvelope, Codec, Envelope, Json, SpecReference } from './messages.ts';

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
  readonly items: string | { readonly document: string };
};
export type FleetBodies = { readonly task: TaskBody; readonly call: CallBody };
export type TaskCodec = Codec<FleetBodies>;

const MOST_BYTES = 64 * 1024 * 1024;
const HEX_SHA256 = /^[0-9a-f]{64}$/;
const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 3 } };

/** What `messageCodec` needs to know of the messages of a fleet. */
export const FLEET_CHECKS = { task: wrongTask, call: wrongCall };

/** Of an id that `FLEET_CHECKS` found right. */
export function taskNamed(id: string): TaskName {
  const [epoch, seq, task] = id.split('/').map(Number) as [number, number, number];
  return { epoch, seq, task };
}

export const taskId = ({ epoch, seq, task }: TaskName): string => `${epoch}/${seq}/${task}`;
/** Of one sending of one migration's task. Names may be longer than an id leaves room for, and have characters that it may not: so they are told apart by their hash. */
export function messageId(migration: string, name: TaskName, sending: number): string {
  const hash = createHash('sha256').update(migration).digest('hex').slice(0, 16);
  return `${migration.replaceAll(/[^A-Za-z0-9_-]/g, '-').slice(0, 40)}-${hash}-${sendingId(name, sending)}`;
}

/** Of one sending: the same task sent again is another message. */
export const sendingId = ({ epoch, seq, task }: TaskName, sending: number): string => `${epoch}-${seq}-${task}-${sending}`;

/** The sealed message. By reference where it would be larger than `largestBytes`. */
export async function sealTask(codec: TaskCodec, task: FleetTask, largestBytes: number, keep: Journal['keep'], signal?: AbortSignal): Promise<string> {
  const packed = zstdCompressSync(packLines(task.items.map((item) => ({ item }))), LEVEL);
  const { spec, run, size, sending } = task;
  const after = task.after === undefined || task.after === 0 ? {} : { after: task.after };
  const envelope = (items: TaskBody['items']): Envelope<'task', TaskBody> => ({ kind: 'task', id: taskId(task.name), spec, body: { run, size, sending, ...after, items } });
  if (packed.length * 4 / 3 < largestBytes - ROOM) {
    const text = codec.seal(envelope(packed.toString('base64')));
    if (Buffer.byteLength(text) <= largestBytes) return text;
  }
  return codec.seal(envelope({ document: await keep(packed, signal) }));
}

/** For what stands around the items, escapes included. */
const ROOM = 2048;

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
  if (!/^[1-9]\d*\/\d+\/\d+$/.test(id)) return 'its id names no task';
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return 'its body is no object';
  const { run, size, sending, after = 0, items } = body as { readonly [name: string]: Json };
  if (![run, sending, after].every(isCount)) return 'it has no run or no number of sending';
  if (size !== 'small' && size !== 'large') return 'its size class is unknown';
  const document = typeof items === 'object' && items !== null && 'document' in items ? items['document'] : undefined;
  return typeof items === 'string' || (typeof document === 'string' && HEX_SHA256.test(document)) ? undefined : 'it has no items';
}

function isCount(value: Json | undefined): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
