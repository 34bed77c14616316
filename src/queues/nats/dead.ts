/** Looking at dead letters: they stand in a stream of their own, which keeps them until they are deleted. */
import type { StoredMsg } from '@nats-io/jetstream';
import type { DeadLetter } from '../../ports/message-queue.ts';
import { oneLine } from '../../core/errors.ts';
import { type NatsContext, REASON, RECEIVES } from './deliveries.ts';
import { isMissing, natsError } from './errors.ts';
import { taskSubject } from './streams.ts';

export async function deadLetters(context: NatsContext, most: number): Promise<readonly DeadLetter[]> {
  const { streams: { jsm, dead }, where } = context;
  try {
    const { state } = await jsm.streams.info(dead);
    if (state.messages === 0) return [];
    const found: DeadLetter[] = [];
    for await (const message of await jsm.direct.getBatch(dead, { seq: state.first_seq, batch: most })) found.push(letter(context, message));
    return found;
  } catch (thrown) {
    throw natsError(thrown, 'deadLetters', where);
  }
}

function letter(context: NatsContext, message: StoredMsg): DeadLetter {
  const { streams: { js, jsm, dead }, queue, where } = context;
  const told = async (op: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (thrown) {
      throw natsError(thrown, op, where);
    }
  };
  const remove = async (): Promise<void> => {
    try {
      await jsm.streams.deleteMessage(dead, message.seq);
    } catch (thrown) {
      // Another hand was faster, which is what was wanted.
      if (!isMissing(thrown)) throw thrown;
    }
  };
  const body = message.string();
  return {
    id: String(message.seq), body,
    reason: readReason(message.header.get(REASON)),
    receives: Number(message.header.get(RECEIVES)),
    discard: () => told('discard', remove),
    redrive: () => told('redrive', async () => {
      // Without a message id: whoever redrives twice within the duplicate window means it.
      await js.publish(taskSubject(queue), body);
      await remove();
    }),
  };
}

function readReason(header: string): string {
  try {
    return oneLine(decodeURIComponent(header));
  } catch {
    // Put there by another program: shown as it stands.
    return oneLine(header);
  }
}
