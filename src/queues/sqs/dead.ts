/** Looking at dead letters. SQS can only receive: what was looked at is hidden for a while, then stands there again. */
import type { Message } from '@aws-sdk/client-sqs';
import type { DeadLetter } from '../../ports/message-queue.ts';
import { overReceived } from '../outgoing.ts';
import { BATCH } from './batches.ts';
import type { SqsContext } from './deliveries.ts';

/** Message attributes of what we parked ourselves. */
const REASON = 'brigade-reason';
const RECEIVES = 'brigade-receives';
const HIDDEN_S = 30;

/** `receives`: 0 of a letter that was no message. */
export async function bury({ client, deadUrl, where }: SqsContext, body: string, reason: string, receives: number): Promise<void> {
  const MessageAttributes = { [REASON]: { DataType: 'String', StringValue: reason }, [RECEIVES]: { DataType: 'Number', StringValue: String(receives) } };
  await client.call('SendMessage', where, (sqs) => sqs.sendMessage({ QueueUrl: deadUrl, MessageBody: body, MessageAttributes }));
}

export async function deadLetters(context: SqsContext, most: number, signal?: AbortSignal): Promise<readonly DeadLetter[]> {
  const found: DeadLetter[] = [];
  while (found.length < most) {
    const messages = await look(context, Math.min(BATCH, most - found.length), signal);
    if (messages.length === 0) break;
    found.push(...messages.map((message) => letter(context, message)));
  }
  return found;
}

/** One second of waiting asks all of SQS's servers; none asks a sample, which may answer empty though there are some. */
async function look({ client, deadUrl, where }: SqsContext, most: number, signal?: AbortSignal): Promise<readonly Message[]> {
  const request = { QueueUrl: deadUrl, MaxNumberOfMessages: most, VisibilityTimeout: HIDDEN_S, WaitTimeSeconds: 1, MessageAttributeNames: [REASON, RECEIVES] };
  const { Messages = [] } = await client.call('ReceiveMessage', where, (sqs, options) => sqs.receiveMessage(request, options), signal);
  return Messages;
}

function letter({ client, url, deadUrl, where, limits }: SqsContext, { MessageId: id = '', Body: body = '', ReceiptHandle, MessageAttributes }: Message): DeadLetter {
  const discard = async () => {
    await client.call('DeleteMessage', where, (sqs) => sqs.deleteMessage({ QueueUrl: deadUrl, ReceiptHandle }));
  };
  const receives = MessageAttributes?.[RECEIVES]?.StringValue;
  return {
    id, body, discard,
    reason: MessageAttributes?.[REASON]?.StringValue ?? overReceived(limits.mostReceives),
    ...(receives === undefined ? {} : { receives: Number(receives) }),
    redrive: async () => {
      await client.call('SendMessage', where, (sqs) => sqs.sendMessage({ QueueUrl: url, MessageBody: body }));
      await discard();
    },
  };
}
