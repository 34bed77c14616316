/** What is too large for a message stands in the journal, and the message names it. */
import type { Journal, TaskName } from '../ports/journal.ts';
import type { Json } from './messages.ts';

/** Bytes in base64, or the name of a document that holds the same bytes. */
export type Content = string | { readonly document: string };

const HEX_SHA256 = /^[0-9a-f]{64}$/;
const TASK_ID = /^(?:0|[1-9]\d*)\/\d+\/\d+$/;
/** For what stands around the content, escapes included. */
const ROOM = 2048;

export const taskId = ({ epoch, seq, task }: TaskName): string => `${epoch}/${seq}/${task}`;
/** Of an id that is one. */
export function taskNamed(id: string): TaskName {
  const [epoch, seq, task] = id.split('/').map(Number) as [number, number, number];
  return { epoch, seq, task };
}

export const isTaskId = (text: string): boolean => TASK_ID.test(text);

/** The message with this in it, or with the name of the document that holds it. */
export async function keptIfLarge(packed: Buffer, largestBytes: number, seal: (content: Content) => string, keep: Journal['keep'], signal?: AbortSignal): Promise<string> {
  if (packed.length * 4 / 3 < largestBytes - ROOM) {
    const text = seal(packed.toString('base64'));
    if (Buffer.byteLength(text) <= largestBytes) return text;
  }
  return seal({ document: await keep(packed, signal) });
}

export function isFields(value: Json | undefined): value is { readonly [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Bytes as text, or the name of the document that holds them. */
export function isContent(value: Json | undefined): boolean {
  const document = isFields(value) ? value['document'] : undefined;
  return typeof value === 'string' || (typeof document === 'string' && HEX_SHA256.test(document));
}
