/** Messages that this process holds: heartbeats, acks and releases of several of them share requests. */
import type { Message } from '@aws-sdk/client-sqs';
import { type BrigadeError, isKind } from '../../core/errors.ts';
import type { Clock } from '../../ports/clock.ts';
import type { MessageDelivery, MessageLimits } from '../../ports/message-queue.ts';
import { Lease } from '../lease.ts';
import { reasonLine } from '../outgoing.ts';
import { Batches } from './batches.ts';
import type { SqsClient } from './client.ts';
import { bury } from './dead.ts';
import { entryError } from './errors.ts';

export interface SqsContext {
  readonly client: SqsClient;
  readonly clock: Clock;
  readonly url: string;
  readonly deadUrl: string;
  /** For messages. */
  readonly where: string;
  readonly limits: MessageLimits;
}

interface Visibility {
  readonly handle: string;
  readonly seconds: number;
}

/** An answer may have been on its way for this long, so the lease is taken to have begun that much earlier. */
const TRANSIT_MS = 1000;

interface Failed {
  readonly Failed?: readonly { readonly Id: string | undefined; readonly Code: string | undefined; readonly Message?: string | undefined; readonly SenderFault: boolean | undefined }[] | undefined;
}

export class SqsHolding {
  readonly #context: SqsContext;
  readonly #acks: Batches<string>;
  readonly #visibilities: Batches<Visibility>;

  constructor(context: SqsContext) {
    const { client, clock, url: QueueUrl, where } = context;
    const perEntry = (op: string, { Failed = [] }: Failed, count: number): readonly (BrigadeError | undefined)[] => {
      const failed = new Map(Failed.map((entry) => [entry.Id, entryError(entry, op, where)]));
      return Array.from({ length: count }, (_, i) => failed.get(String(i)));
    };
    this.#context = context;
    this.#acks = new Batches(clock, async (handles) => {
      const Entries = handles.map((ReceiptHandle, i) => ({ Id: String(i), ReceiptHandle }));
      return perEntry('DeleteMessageBatch', await client.call('DeleteMessageBatch', where, (sqs) => sqs.deleteMessageBatch({ QueueUrl, Entries })), handles.length);
    });
    this.#visibilities = new Batches(clock, async (wanted) => {
      const Entries = wanted.map(({ handle, seconds }, i) => ({ Id: String(i), ReceiptHandle: handle, VisibilityTimeout: seconds }));
      const answer = await client.call('ChangeMessageVisibilityBatch', where, (sqs) => sqs.changeMessageVisibilityBatch({ QueueUrl, Entries }));
      return perEntry('ChangeMessageVisibilityBatch', answer, wanted.length);
    });
  }

  /** `asked`: when the request left; the lease began between that and now. */
  delivery({ MessageId: id = '', Body: body = '', ReceiptHandle: handle = '', Attributes }: Message, asked: number): MessageDelivery {
    const { clock, limits } = this.#context;
    const since = Math.max(asked, clock.monotonic() - Math.min(TRANSIT_MS, limits.leaseMs / 10));
    const lease = new Lease(clock, since, limits.leaseMs, limits.longestLeaseMs);
    const receives = Number(Attributes?.['ApproximateReceiveCount'] ?? 1);
    const ack = () => this.#ack(handle, lease);
    return {
      id, body, receives, ack,
      leaseLeftMs: () => lease.leftMs(),
      extend: (leaseMs) => this.#extend(handle, lease, leaseMs),
      release: (delayMs) => this.#release(handle, lease, delayMs),
      park: async (reason) => {
        await bury(this.#context, body, reasonLine(reason), receives);
        await ack();
      },
    };
  }

  async #extend(handle: string, lease: Lease, leaseMs: number): Promise<number> {
    const since = this.#context.clock.monotonic();
    // Whole seconds, upwards; near the ceiling downwards, since SQS refuses one second too many.
    const granted = lease.grant(Math.ceil(leaseMs / 1000) * 1000, this.#context.where);
    const seconds = Math.floor(granted / 1000);
    await this.#visibilities.add({ handle, seconds });
    lease.prolong(since, seconds * 1000);
    return seconds * 1000;
  }

  async #ack(handle: string, lease: Lease): ReturnType<MessageDelivery['ack']> {
    const standing = lease.standing();
    try {
      await this.#acks.add(handle);
    } catch (thrown) {
      // The receipt handle is of an earlier delivery: what a late ack looks like where the queue tells.
      if (!isKind(thrown, 'conflict')) throw thrown;
      return 'late';
    } finally {
      lease.end();
    }
    return standing;
  }

  async #release(handle: string, lease: Lease, delayMs: number): Promise<void> {
    if (lease.standing() === 'late') return;
    const seconds = Math.floor(lease.grant(Math.ceil(delayMs / 1000) * 1000, this.#context.where) / 1000);
    lease.end();
    try {
      await this.#visibilities.add({ handle, seconds });
    } catch (thrown) {
      // Somebody else has it already, which is what was wanted.
      if (!isKind(thrown, 'conflict')) throw thrown;
    }
  }
}
