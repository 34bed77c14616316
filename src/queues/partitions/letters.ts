/** A message as it lies on the shelf, and the dead ones among them. */
import { isKind } from '../../core/errors.ts';
import type { Json } from '../../ports/journal.ts';
import type { DeadLetter } from '../../ports/message-queue.ts';
import type { Shelf } from '../../ports/shelf.ts';
import { reasonLine } from '../outgoing.ts';
import { DEAD } from './names.ts';

export type Letter = {
  readonly id: string;
  /** What its partition is taken of. */
  readonly of: string;
  readonly body: string;
  /** How often it may have been delivered before it came to lie here. */
  readonly receives: number;
};

export function letterFrom(said: Json | undefined): Letter | undefined {
  if (typeof said !== 'object' || said === null || Array.isArray(said)) return undefined;
  const { id, of, body, receives } = said as { readonly [name: string]: Json };
  return typeof id === 'string' && typeof of === 'string' && typeof body === 'string' && typeof receives === 'number' ? { id, of, body, receives } : undefined;
}

/** Undefined: there is nothing, or nothing that can be believed. */
export async function believed(shelf: Shelf, name: string, signal?: AbortSignal): Promise<Json | undefined> {
  try {
    return await shelf.read(name, signal);
  } catch (thrown) {
    if (!isKind(thrown, 'premise') || thrown.code !== 'E_JOURNAL_DAMAGED') throw thrown;
    return undefined;
  }
}

/** Under the name that it had: who is killed in the middle and does it again makes one dead letter of it. */
export async function bury(shelf: Shelf, message: string, letter: Letter, receives: number, reason: string): Promise<void> {
  await shelf.replace(DEAD + message, { ...letter, receives, reason: reasonLine(reason) });
}

/** `send`: into the inboxes as they are now. */
export async function deadLetters(shelf: Shelf, most: number, send: (letter: Letter) => Promise<void>, signal?: AbortSignal): Promise<readonly DeadLetter[]> {
  const found: DeadLetter[] = [];
  for await (const name of shelf.names(DEAD, undefined, signal)) {
    if (found.length >= most) break;
    const said = await believed(shelf, name, signal);
    const letter = letterFrom(said);
    if (letter === undefined) continue;
    const { reason } = said as { readonly reason?: Json };
    found.push({
      id: name.slice(DEAD.length), body: letter.body, receives: letter.receives, reason: typeof reason === 'string' ? reason : reasonLine(''),
      redrive: async () => {
        await send({ ...letter, receives: 0 });
        await shelf.remove(name);
      },
      discard: () => shelf.remove(name),
    });
  }
  return found;
}
