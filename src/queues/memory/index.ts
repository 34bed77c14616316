/** One participant's view of a broker in this process. */
import { asBrigadeError, type BrigadeError, cancelled, isKind } from '../../core/errors.ts';
import type { AckResult, DeadLetter, MessageDelivery, MessageQueue } from '../../ports/message-queue.ts';
import { Lease, leaseLost } from '../lease.ts';
import { mustFit, reasonLine, sendFit } from '../outgoing.ts';
import type { Dead, MemoryBroker, Stored } from './broker.ts';

export { MemoryBroker, type BrokerOptions, type MemoryFaults } from './broker.ts';

const LARGEST = 256 * 1024;
const LONGEST_DELAY_MS = 12 * 3_600_000;
const WHERE = 'memory';

export function openMemoryQueue(broker: MemoryBroker): MessageQueue {
  return {
    describe: WHERE,
    limits: {
      largestMessageBytes: LARGEST, longestDelayMs: LONGEST_DELAY_MS, longestLeaseMs: Number.POSITIVE_INFINITY,
      leaseMs: broker.leaseMs, leasesVary: true, mostReceives: broker.mostReceives, countsAll: true, mostPerReceive: 1000,
    },
    notes: ['memory: nothing outlives this process'],
    send: async (messages, signal) => {
      if (signal?.aborted === true) throw cancelled('send');
      return sendFit(messages, LARGEST, WHERE, async (fit) => fit.map(({ body }) => failureOf(() => broker.put(body))));
    },
    receive: (most, waitMs, signal) => receive(broker, most, waitMs, signal),
    counts: async () => broker.counts(),
    bury: async (letter, reason) => {
      mustFit(letter, LARGEST, WHERE);
      broker.buryOnce({ id: letter.id, body: letter.body, receives: 0, reason: reasonLine(reason) });
    },
    deadLetters: async (most) => broker.dead(most).map((dead) => letter(broker, dead)),
    close: async () => undefined,
  };
}

function failureOf(work: () => void): BrigadeError | undefined {
  try {
    work();
    return undefined;
  } catch (thrown) {
    return asBrigadeError(thrown, 'send');
  }
}

async function receive(broker: MemoryBroker, most: number, waitMs: number, signal: AbortSignal): Promise<readonly MessageDelivery[]> {
  const { clock } = broker;
  const until = clock.monotonic() + waitMs;
  for (;;) {
    if (signal.aborted) throw cancelled('receive');
    const taken = takeOrNothing(broker, most);
    const left = until - clock.monotonic();
    if (taken.length > 0 || left <= 0) return taken.map((message) => delivery(broker, message));
    await broker.arrival(left, signal);
  }
}

/** A connection that is lost while waiting is waited for, as the real drivers do. */
function takeOrNothing(broker: MemoryBroker, most: number): readonly Stored[] {
  try {
    return broker.take(most);
  } catch (thrown) {
    if (isKind(thrown, 'transient')) return [];
    throw thrown;
  }
}

function delivery(broker: MemoryBroker, { id, body, receives, holder }: Stored): MessageDelivery {
  const lease = new Lease(broker.clock, broker.clock.monotonic(), broker.leaseMs);
  const ack = async (): Promise<AckResult> => {
    const standing = lease.standing();
    broker.remove(id, 'ack');
    lease.end();
    return standing;
  };
  return {
    id, body, receives, ack,
    leaseLeftMs: () => lease.leftMs(),
    extend: async (leaseMs) => {
      const granted = lease.grant(leaseMs, WHERE);
      const message = broker.held(holder, 'extend');
      if (message === undefined) throw leaseLost(WHERE);
      broker.hideFor(message, granted);
      lease.prolong(broker.clock.monotonic(), granted);
      return granted;
    },
    release: async (delayMs) => {
      const message = broker.held(holder, 'release');
      lease.end();
      if (message === undefined) return;
      message.holder = 0;
      broker.hideFor(message, Math.min(delayMs, LONGEST_DELAY_MS));
    },
    park: async (reason) => {
      broker.bury({ id, body, receives, reason: reasonLine(reason) });
      await ack();
    },
  };
}

function letter(broker: MemoryBroker, dead: Dead): DeadLetter {
  return {
    id: dead.id, body: dead.body, reason: dead.reason, receives: dead.receives,
    redrive: async () => {
      broker.put(dead.body);
      broker.unbury(dead);
    },
    discard: async () => broker.unbury(dead),
  };
}
