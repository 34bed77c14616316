/**
 * A message as somebody else's program writes it, without a seal (S0.21): which keys of one bucket belong into another one.
 *
 *   {"source_bucket":"media","dest_bucket":"media-copy","keys":["a/1.jpg","a/2.jpg"]}
 *
 * It names no credentials, no options and no migration; those stand in what an operator has offered (offer-message.ts). What else it holds is passed over.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import { BrigadeError, oneLine } from '../core/errors.ts';
import { compareKeys, isUtf8Key, type Key, keyLength } from '../core/key.ts';
import { PLAIN_EPOCH, type TaskName } from '../ports/journal.ts';

export interface PlainMessage {
  readonly source: string;
  readonly destination: string;
  /** Of the whole bucket, in key order, each once. */
  readonly keys: readonly Key[];
}

/** What any queue carries: SQS takes 1 MiB, and so does NATS unless its operator chose otherwise. */
const MOST_BYTES = 1024 * 1024;
const MOST_KEYS = 10_000;
/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html */
const LONGEST_KEY = 1024;

const bucket = z.string().min(1).max(255);
const key = z.string().min(1).refine(isUtf8Key, 'is no text').refine((text) => keyLength(text) <= LONGEST_KEY, `has more than ${LONGEST_KEY} bytes`);
const plain = z.object({ source_bucket: bucket, dest_bucket: bucket, keys: z.array(key).min(1).max(MOST_KEYS) });

/** Whether it means to be one: a JSON object that says `source_bucket` and has no seal. */
export function looksPlain(body: string): boolean {
  if (!body.includes('"source_bucket"')) return false;
  const fields = fieldsOf(body);
  return fields !== undefined && 'source_bucket' in fields && !('mac' in fields);
}

/** @throws BrigadeError object E_PLAIN_SHAPE */
export function readPlain(body: string): PlainMessage {
  if (Buffer.byteLength(body, 'utf8') > MOST_BYTES) throw wrong(`it has more than ${MOST_BYTES} bytes`);
  const read = plain.safeParse(fieldsOf(body));
  if (!read.success) throw wrong(read.error.issues.slice(0, 3).map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  const { source_bucket: source, dest_bucket: destination, keys } = read.data;
  return { source, destination, keys: [...new Set(keys)].sort(compareKeys) };
}

/** What its reports are of: this message of this queue, however often it is delivered. The same text sent again is another message. */
export function plainName(queue: string, id: string, body: string): TaskName {
  const hash = createHash('sha256').update(JSON.stringify([queue, id, body])).digest();
  return { epoch: PLAIN_EPOCH, seq: Number(hash.readBigUInt64BE(0) % 10_000_000_000n), task: Number(hash.readBigUInt64BE(8) % 1_000_000_000n) };
}

function fieldsOf(body: string): object | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined; // Not JSON: it is not ours, and no plain message either.
  }
}

function wrong(why: string): BrigadeError {
  return new BrigadeError({ code: 'E_PLAIN_SHAPE', kind: 'object', op: 'message', message: `the plain message is not as it should be: ${oneLine(why, 300)}`, hint: 'it is a JSON object with source_bucket, dest_bucket and keys: see docs/fleet.md' });
}
