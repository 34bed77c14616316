/**
 * The conformance suite of the message-queue port: what coordinator and worker may rely on, whatever engine carries the messages, and nothing
 * more. A driver's test file is one call. Order, and that a message comes only once, is promised by nobody.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKind } from '../../core/errors.ts';
import type { DeadLetter, MessageDelivery, MessageQueue, OutgoingMessage } from '../../ports/message-queue.ts';
import { type Checks, describeChecks } from './checks.ts';

export interface OpenedMessages {
  /** A queue of its own for this test, with leases of `leaseMs` and three receives at most. */
  readonly queue: MessageQueue;
  readonly leaseMs: number;
  /** Another process's view. */
  another(): Promise<MessageQueue>;
  /** Only `queue` receives: there is nobody beside it who could get its messages. */
  readonly alone?: boolean;
  /** By another hand. */
  purge(): Promise<void>;
  /** Nobody reaches the engine; then again. What it held, it still holds. */
  cut(): Promise<void>;
  mend(): Promise<void>;
  cleanup(): Promise<void>;
}

export interface MessagesSubject {
  readonly name: string;
  create(): Promise<OpenedMessages>;
}

export const MOST_RECEIVES = 3;
const forever = (): AbortSignal => new AbortController().signal;
const message = (id: string, body = `{"task":"${id}"}`): OutgoingMessage => ({ id, body });
const numbered = (count: number): OutgoingMessage[] => Array.from({ length: count }, (_, i) => message(`m-${i}`));
const DEADLINE_MS = 30_000;

/** Several polls, as a worker does: none of them promises anything. Network trouble is waited out. */
async function receiveOne(queue: MessageQueue, waitMs = DEADLINE_MS): Promise<MessageDelivery> {
  const until = performance.now() + waitMs;
  while (performance.now() < until) {
    const got = await receivePatiently(queue);
    if (got.length > 0) return got[0] as MessageDelivery;
  }
  throw new Error(`no delivery came within ${waitMs} ms`);
}

async function receivePatiently(queue: MessageQueue): Promise<readonly MessageDelivery[]> {
  try {
    return await queue.receive(1, 1000, forever());
  } catch (thrown) {
    if (!isKind(thrown, 'transient')) throw thrown;
    await sleep(50);
    return [];
  }
}

async function sendAll(queue: MessageQueue, messages: readonly OutgoingMessage[]): Promise<void> {
  assert.deepEqual(await queue.send(messages), messages.map(({ id }) => ({ id })));
}

/** Another one who receives, where there may be one. */
async function rival({ queue, another, alone = false }: OpenedMessages): Promise<MessageQueue> {
  return alone ? queue : another();
}

/** Nothing is delivered while `ms` pass. */
async function assertQuiet(queue: MessageQueue, ms: number): Promise<void> {
  const got = await queue.receive(10, ms, forever());
  assert.deepEqual(got.map(({ body }) => body), []);
}

async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + DEADLINE_MS;
  while (!await check()) {
    if (performance.now() > until) assert.fail(`not within ${DEADLINE_MS} ms: ${what}`);
    await sleep(100);
  }
}

async function firstDead(queue: MessageQueue): Promise<DeadLetter> {
  let found: readonly DeadLetter[] = [];
  await eventually('a dead letter', async () => {
    found = await queue.deadLetters(10);
    return found.length > 0;
  });
  return found[0] as DeadLetter;
}

const nothingLeft = (queue: MessageQueue) => async (): Promise<boolean> => {
  const { waiting, inFlight, delayed } = await queue.counts();
  return waiting + inFlight + delayed === 0;
};

/** Receives, acknowledges and counts until `enough`. */
async function consume(queue: MessageQueue, seen: Map<string, number>, enough: () => boolean): Promise<void> {
  while (!enough()) {
    const deliveries = await queue.receive(10, 500, forever());
    for (const { body } of deliveries) seen.set(body, (seen.get(body) ?? 0) + 1);
    await Promise.all(deliveries.map((delivery) => delivery.ack()));
  }
}

/** JSON as it may be in a task: escapes, all planes, every kind of space. */
const AWKWARD = JSON.stringify({ key: 'a//b/../%41+\u0001\u00e9e\u0301\u{1f4a7}\ufffd', text: ' "\\\n\t\r ' });


const DELIVERY: Checks<OpenedMessages> = {
  'a message arrives byte for byte, is acknowledged and is gone': async ({ queue }) => {
    await sendAll(queue, [message('a', AWKWARD)]);
    const delivery = await receiveOne(queue);
    assert.equal(delivery.body, AWKWARD);
    assert.equal(delivery.receives, 1);
    assert.ok(delivery.leaseLeftMs() > 0);
    assert.equal(await delivery.ack(), 'acknowledged');
    assert.equal(delivery.leaseLeftMs(), 0);
    await eventually('empty', nothingLeft(queue));
  },

  'what cannot be sent is told per message, and the others arrive': async ({ queue }) => {
    const large = 'x'.repeat(queue.limits.largestMessageBytes);
    const results = await queue.send([message('a', 'fits'), message('b', `${large}x`), message('c', ''), message('d', 'bad \u0000'), message('e', 'bad \ud800'), message('bad id'), message('f', large)]);
    assert.deepEqual(results.map(({ id, error }) => [id, error?.code]), [
      ['a', undefined], ['b', 'E_MESSAGE_TOO_LARGE'], ['c', 'E_MESSAGE_TEXT'], ['d', 'E_MESSAGE_TEXT'], ['e', 'E_MESSAGE_TEXT'], ['bad id', 'E_MESSAGE_ID'], ['f', undefined],
    ]);
    const seen = new Map<string, number>();
    await consume(queue, seen, () => seen.size === 2);
    assert.deepEqual(new Set(seen.keys()), new Set(['fits', large]));
  },

  'a batch that is larger than one request of the engine arrives whole': async ({ queue }) => {
    const body = (i: number): string => `${i}:${'x'.repeat(200_000)}`;
    await sendAll(queue, Array.from({ length: 12 }, (_, i) => message(`l-${i}`, body(i))));
    const seen = new Map<string, number>();
    await consume(queue, seen, () => seen.size === 12);
  },

  'F094: the same message sent twice comes at least once, and each delivery can be acknowledged': async ({ queue }) => {
    await sendAll(queue, [message('same'), message('same')]);
    await sendAll(queue, [message('same')]);
    const seen = new Map<string, number>();
    await consume(queue, seen, () => seen.size === 1);
    await consume(queue, seen, () => true);
    await eventually('empty', async () => {
      for (const delivery of await queue.receive(10, 100, forever())) await delivery.ack();
      return nothingLeft(queue)();
    });
  },

  'an empty queue answers empty after the wait': async ({ queue }) => {
    await assertQuiet(queue, 300);
  },

  'a receiver that waits is served when a message arrives': async ({ queue, another }) => {
    const other = await another();
    const waiting = queue.receive(1, DEADLINE_MS, forever());
    await sleep(200);
    await sendAll(other, [message('late')]);
    assert.deepEqual((await waiting).map(({ body }) => body), ['{"task":"late"}']);
  },

  'the signal ends a long poll within 100 ms, and a later message is not lost in it': async ({ queue }) => {
    const stop = new AbortController();
    const waiting = queue.receive(10, 20_000, stop.signal);
    waiting.catch(() => undefined);
    await sleep(300);
    const asked = performance.now();
    stop.abort();
    await assert.rejects(waiting, { kind: 'cancelled' });
    const took = performance.now() - asked;
    assert.ok(took < 100, `${took} ms`);
    await assert.rejects(queue.receive(1, 1000, AbortSignal.abort()), { kind: 'cancelled' });
    await sendAll(queue, [message('after')]);
    assert.equal((await receiveOne(queue)).body, '{"task":"after"}');
  },

  '1,000 messages reach 3 receivers, each at least once': async (opened) => {
    const { queue } = opened;
    const messages = numbered(1000);
    await sendAll(queue, messages);
    const seen = new Map<string, number>();
    const receivers = [queue, await rival(opened), await rival(opened)];
    await Promise.all(receivers.map((receiver) => consume(receiver, seen, () => seen.size >= 1000)));
    assert.deepEqual(new Set(seen.keys()), new Set(messages.map(({ body }) => body)));
    await eventually('empty', nothingLeft(queue));
  },
};

const LEASES: Checks<OpenedMessages> = {
  'F095: when a lease ends the message comes again, to anybody, with one more receive': async (opened) => {
    const { queue, leaseMs } = opened;
    await sendAll(queue, [message('a')]);
    const first = await receiveOne(queue);
    const other = await rival(opened);
    await assertQuiet(other, leaseMs / 4);
    const second = await receiveOne(other);
    assert.deepEqual([second.body, second.receives], [first.body, 2]);
    assert.equal(first.leaseLeftMs(), 0);
  },

  'F095: heartbeats keep it for several leases; one that comes too late is refused and takes nothing away': async (opened) => {
    const { queue, leaseMs } = opened;
    await sendAll(queue, [message('a')]);
    const delivery = await receiveOne(queue);
    const other = await rival(opened);
    for (let beat = 0; beat < 6; beat++) {
      await assertQuiet(other, leaseMs / 3);
      assert.ok(await delivery.extend(leaseMs) > 0);
    }
    const second = await receiveOne(other);
    await assert.rejects(delivery.extend(leaseMs), { code: 'E_LEASE_LOST', kind: 'conflict' });
    assert.equal(await second.ack(), 'acknowledged');
    await eventually('empty', nothingLeft(queue));
  },

  'F099: an ack after the end of the lease is told as late, and harms nobody': async (opened) => {
    const { queue, leaseMs } = opened;
    await sendAll(queue, [message('a')]);
    const first = await receiveOne(queue);
    const other = await rival(opened);
    await sleep(leaseMs);
    const second = await receiveOne(other);
    assert.equal(await first.ack(), 'late');
    await second.ack();
    await first.release(0);
    await eventually('empty', async () => {
      for (const again of await other.receive(10, 100, forever())) await again.ack();
      return nothingLeft(queue)();
    });
  },

  'a release without delay brings it back at once, with delay not before': async ({ queue, leaseMs }) => {
    await sendAll(queue, [message('a')]);
    const first = await receiveOne(queue);
    await first.release(0);
    const second = await receiveOne(queue, leaseMs + DEADLINE_MS);
    assert.equal(second.body, first.body);
    const released = performance.now();
    await second.release(2000);
    const third = await receiveOne(queue);
    assert.ok(performance.now() - released >= 1900, 'it came before its time');
    assert.equal(third.receives, 3);
  },
};

const DEAD: Checks<OpenedMessages> = {
  'what is parked keeps its bytes and its reason, is looked at without being lost, and is redriven': async (opened) => {
    const { queue } = opened;
    await sendAll(queue, [message('a', AWKWARD)]);
    const delivery = await receiveOne(queue);
    await delivery.park('E_POISON: the source says\n403 — é\u0000');
    await eventually('only the dead letter is left', async () => (await queue.counts()).dead === 1 && await nothingLeft(queue)());
    const letter = await firstDead(queue);
    assert.deepEqual([letter.body, letter.reason, letter.receives], [AWKWARD, 'E_POISON: the source says 403 — é', 1]);
    assert.equal((await queue.counts()).dead, 1);
    await letter.redrive();
    const again = await receiveOne(await rival(opened));
    assert.equal(again.body, AWKWARD);
    await again.ack();
    await eventually('no dead letter', async () => (await queue.counts()).dead === 0);
  },

  'a letter of our own lies among the dead, byte for byte with its reason, and is never delivered; what cannot be sent is refused': async ({ queue }) => {
    await queue.bury({ id: 'letter-1', body: AWKWARD }, 'two objects failed: \u{1f4a7}\nE_X');
    const letter = await firstDead(queue);
    assert.deepEqual([letter.body, letter.reason, letter.receives], [AWKWARD, 'two objects failed: \u{1f4a7} E_X', 0]);
    await assertQuiet(queue, 500);
    assert.deepEqual({ ...(await queue.counts()) }, { waiting: 0, inFlight: 0, delayed: 0, dead: 1 });
    await assert.rejects(queue.bury({ id: 'letter-2', body: 'x'.repeat(queue.limits.largestMessageBytes + 1) }, 'x'), { code: 'E_MESSAGE_TOO_LARGE' });
    await assert.rejects(queue.bury({ id: 'letter-3', body: '' }, 'x'), { code: 'E_MESSAGE_TEXT' });
    await letter.discard();
    await eventually('no dead letter', async () => (await queue.counts()).dead === 0);
  },

  'what is being answered while the queue is closed is answered: what was parked is a dead letter and nothing else': async ({ queue, another }) => {
    const other = await another();
    await sendAll(other, [message('parked'), message('done')]);
    const [first, second] = [await receiveOne(queue), await receiveOne(queue)];
    const answers = Promise.all([first.park('no use'), second.ack()]);
    await queue.close();
    assert.deepEqual(await answers, [undefined, 'acknowledged']);
    await eventually('one dead letter and no message', async () => (await other.counts()).dead === 1 && await nothingLeft(other)());
    assert.equal((await firstDead(other)).body, first.body);
  },

  'a dead letter that is discarded is gone': async ({ queue }) => {
    await sendAll(queue, [message('a'), message('b')]);
    for (let i = 0; i < 2; i++) await (await receiveOne(queue)).park('no use');
    await eventually('two dead letters', async () => (await queue.counts()).dead === 2);
    await (await firstDead(queue)).discard();
    await eventually('one dead letter', async () => (await queue.counts()).dead === 1);
  },

  'F098: what is delivered again and again ends among the dead letters by itself, byte for byte': async ({ queue }) => {
    await sendAll(queue, [message('poison', AWKWARD)]);
    for (let i = 1; i <= MOST_RECEIVES; i++) {
      const delivery = await receiveOne(queue);
      assert.equal(delivery.receives, i);
      await delivery.release(0);
    }
    await assertQuiet(queue, 1000);
    const letter = await firstDead(queue);
    assert.equal(letter.body, AWKWARD);
    assert.match(letter.reason, /delivered 3 times/);
    assert.equal((await queue.counts()).dead, 1);
  },
};

const TROUBLE: Checks<OpenedMessages> = {
  'counts: what waits, what is in flight': async ({ queue }) => {
    await sendAll(queue, numbered(5));
    await receiveOne(queue);
    await eventually('4 wait, 1 is in flight', async () => {
      const { waiting, inFlight, delayed, dead } = await queue.counts();
      return waiting === 4 && inFlight === 1 && delayed === 0 && dead === 0;
    });
  },

  'F097: a purge shows as counts of 0, and what is sent afterwards arrives': async ({ queue, purge }) => {
    await sendAll(queue, numbered(25));
    await purge();
    await eventually('empty', nothingLeft(queue));
    await sendAll(queue, [message('after')]);
    assert.equal((await receiveOne(queue)).body, '{"task":"after"}');
  },

  'F097: an ack of what was purged meanwhile does not fail': async ({ queue, purge }) => {
    await sendAll(queue, [message('a')]);
    const delivery = await receiveOne(queue);
    await purge();
    await delivery.ack();
  },

  'a connection that breaks in the middle of a receive comes back, and nothing is lost': async ({ queue, cut, mend }) => {
    await sendAll(queue, [message('before')]);
    const held = await receiveOne(queue);
    const waiting = receiveOne(queue, 2 * DEADLINE_MS);
    waiting.catch(() => undefined);
    await sleep(300);
    await cut();
    const [result] = await queue.send([message('meanwhile')], AbortSignal.timeout(60_000));
    assert.equal(result?.error?.kind, 'transient');
    await mend();
    await eventually('the queue takes messages again', async () => (await queue.send([message('after')]))[0]?.error === undefined);
    const bodies = new Set([(await waiting).body]);
    while (!bodies.has('{"task":"before"}') || !bodies.has('{"task":"after"}')) bodies.add((await receiveOne(queue)).body);
    assert.equal(held.body, '{"task":"before"}');
  },
};

export function describeMessages(subject: MessagesSubject): void {
  describeChecks(`messages over ${subject.name}`, { ...DELIVERY, ...LEASES, ...DEAD, ...TROUBLE }, () => subject.create());
}
