/**
 * A queue is closed behind the answers that are under way, whoever waits for them. Cut off in between, what is parked would stand among the dead letters and in the
 * queue: it would be done after all.
 */
import type { Clock } from '../ports/clock.ts';
import type { MessageDelivery, MessageQueue } from '../ports/message-queue.ts';

/** Whoever leaves waits no longer for an engine that says nothing: a lease that is not given back ends by itself. */
const MOST_MS = 5_000;

export function heardOut(queue: MessageQueue, clock: Clock): MessageQueue {
  const underWay = new Set<Promise<unknown>>();
  const watched = <T>(answer: Promise<T>): Promise<T> => {
    underWay.add(answer);
    const over = (): void => { underWay.delete(answer); };
    answer.then(over, over);
    return answer;
  };
  const delivery = (one: MessageDelivery): MessageDelivery => ({
    ...one,
    ack: () => watched(one.ack()),
    release: (delayMs) => watched(one.release(delayMs)),
    park: (reason) => watched(one.park(reason)),
  });
  return {
    describe: queue.describe,
    get limits() { return queue.limits; },
    get notes() { return queue.notes; },
    send: (messages, signal) => queue.send(messages, signal),
    receive: async (most, waitMs, signal) => (await queue.receive(most, waitMs, signal)).map(delivery),
    counts: (signal) => queue.counts(signal),
    bury: (letter, reason) => queue.bury(letter, reason),
    deadLetters: (most, signal) => queue.deadLetters(most, signal),
    close: async () => {
      await unlessLonger(allOf(underWay), MOST_MS, clock);
      await queue.close();
    },
  };
}

/** Also of those that are begun meanwhile. */
async function allOf(underWay: ReadonlySet<Promise<unknown>>): Promise<void> {
  while (underWay.size > 0) await Promise.allSettled(underWay);
}

async function unlessLonger(work: Promise<unknown>, mostMs: number, clock: Clock): Promise<void> {
  const done = new AbortController();
  const asleep = clock.sleep(mostMs, done.signal).catch(() => undefined);
  try {
    await Promise.race([work, asleep]);
  } finally {
    done.abort();
  }
}
