/** What every driver refuses before it asks the queue, in the same words. */
import { BrigadeError, oneLine, usageError } from '../core/errors.ts';
import type { OutgoingMessage, SendResult } from '../ports/message-queue.ts';

const ID = /^[A-Za-z0-9_-]{1,128}$/;
/** XML 1.0 § 2.2, the characters that SQS takes (API reference, SendMessage); of surrogates only pairs. */
const FOREIGN = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u;
const LONGEST_REASON = 500;

export const byteLength = (text: string): number => Buffer.byteLength(text, 'utf8');

/** Why this message cannot be sent, or undefined. */
export function refusal(message: OutgoingMessage, largestBytes: number, location: string): BrigadeError | undefined {
  if (!ID.test(message.id)) return usageError('E_MESSAGE_ID', `a message id is 1–128 of A–Z a–z 0–9 _ -, not ${JSON.stringify(message.id).slice(0, 80)}`, undefined, location);
  if (message.body === '') return unfit('E_MESSAGE_TEXT', 'a message is not empty', location);
  const bytes = byteLength(message.body);
  if (bytes > largestBytes) return tooLarge(bytes, largestBytes, location);
  if (FOREIGN.test(message.body)) return unfit('E_MESSAGE_TEXT', 'the message has a character that queues do not take', location);
  return undefined;
}

export function tooLarge(bytes: number, largestBytes: number, location: string): BrigadeError {
  return unfit('E_MESSAGE_TOO_LARGE', `the message has ${bytes} bytes, the queue takes ${largestBytes}`, location, 'send it by reference to the journal, or fewer objects per task');
}

function unfit(code: string, message: string, location: string, hint?: string): BrigadeError {
  return new BrigadeError({ code, kind: 'object', op: 'send', message, location, ...(hint === undefined ? {} : { hint }) });
}

/** One printable line that any queue carries beside the message. */
export function reasonLine(reason: string): string {
  const line = oneLine(reason.toWellFormed(), LONGEST_REASON).replaceAll(/[\ufffe\uffff]/g, ' ');
  return line === '' ? 'no reason given' : line;
}

export const overReceived = (most: number): string => `delivered ${most} times and never acknowledged`;

/** @throws what `refusal` answers */
export function mustFit(message: OutgoingMessage, largestBytes: number, location: string): void {
  const error = refusal(message, largestBytes, location);
  if (error !== undefined) throw error;
}

/** Sends the fit ones with `deliver` and puts all results into the order of the messages. */
export async function sendFit(
  messages: readonly OutgoingMessage[], largestBytes: number, location: string,
  deliver: (fit: readonly OutgoingMessage[]) => Promise<readonly (BrigadeError | undefined)[]>,
): Promise<readonly SendResult[]> {
  const refused = messages.map((message) => refusal(message, largestBytes, location));
  const errors = await deliver(messages.filter((_, i) => refused[i] === undefined));
  let next = 0;
  return messages.map(({ id }, i) => {
    const error = refused[i] ?? errors[next++];
    return error === undefined ? { id } : { id, error };
  });
}
