import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { MemoryBroker, openMemoryQueue } from './memory/index.ts';
import { heardOut } from './heard-out.ts';
import type { Clock } from '../ports/clock.ts';
import type { MessageQueue } from '../ports/message-queue.ts';

/** What `answer` makes of an ack of the one message, and when the queue below is closed. */
async function closing(answer: () => Promise<'acknowledged'>, sleep: (ms: number) => Promise<void>): Promise<readonly string[]> {
  const clock: Clock = { now: () => 0, monotonic: () => 0, sleep };
  const below = openMemoryQueue(new MemoryBroker({ clock, random: { next: () => 0.5 } }));
  const said: string[] = [];
  const queue: MessageQueue = heardOut({
    ...below,
    receive: async (...given) => (await below.receive(...given)).map((one) => ({ ...one, ack: () => answer().finally(() => said.push('answered')) })),
    close: async () => { said.push('closed'); },
  }, clock);
  await queue.send([{ id: 'a', body: 'a' }]);
  const [delivery] = await queue.receive(1, 0, new AbortController().signal);
  delivery?.ack().catch(() => undefined);
  await queue.close();
  return said;
}

const never = (): Promise<never> => new Promise(() => undefined);

test('a queue is closed behind answers that are under way, also behind one that fails', async () => {
  assert.deepEqual(await closing(async () => 'acknowledged', never), ['answered', 'closed']);
  assert.deepEqual(await closing(async () => { throw new Error('no answer'); }, never), ['answered', 'closed']);
});

test('an answer that is begun while another one is waited for is waited for, too', async () => {
  const said: string[] = [];
  const clock: Clock = { now: () => 0, monotonic: () => 0, sleep: never };
  const below = openMemoryQueue(new MemoryBroker({ clock, random: { next: () => 0.5 } }));
  const slow = async (what: string): Promise<void> => { await setImmediate(); said.push(what); };
  const queue = heardOut({
    ...below,
    receive: async (...given) => (await below.receive(...given)).map((one) => ({ ...one, release: () => slow('released'), park: () => slow('parked') })),
    close: async () => { said.push('closed'); },
  }, clock);
  await queue.send([{ id: 'a', body: 'a' }, { id: 'b', body: 'b' }]);
  const [first, second] = await queue.receive(2, 0, new AbortController().signal);
  void first?.release(0).then(() => second?.park('no use'));
  await queue.close();
  assert.deepEqual(said, ['released', 'parked', 'closed']);
});

test('an engine that says nothing keeps nobody: a queue is closed after five seconds', async () => {
  const slept: number[] = [];
  assert.deepEqual(await closing(never, async (ms) => { slept.push(ms); }), ['closed']);
  assert.deepEqual(slept, [5000]);
});
