/**
 * The conformance suite of the queue port: what a worker may rely on, whatever carries the tasks. A driver's test file is one call. It says
 * nothing of order or of how often a task comes: deliveries may be repeated, and that must be harmless.
 */
import assert from 'node:assert/strict';
import type { Outcome } from '../../core/item.ts';
import type { Delivery, Recorder, TaskQueue } from '../../ports/queue.ts';
import type { Upload } from '../../ports/storage.ts';
import { type Checks, describeChecks } from './checks.ts';

export interface OpenedQueue {
  /** As one worker sees it. */
  readonly queue: TaskQueue;
  readonly recorder: Recorder;
  /** Another worker on the same queue. */
  another(): { readonly queue: TaskQueue; readonly recorder: Recorder };
  /** Makes tasks of these keys; one task each. */
  offer(tasks: readonly (readonly string[])[]): void;
  /** Keys that are recorded as copied. */
  copied(): readonly string[];
  cleanup(): Promise<void>;
}

export interface QueueSubject {
  readonly name: string;
  create(): Promise<OpenedQueue>;
}

const copiedOutcome = (key: string): Outcome => ({ key, state: 'copied', destination: 'd', evidence: 'in flight', attempts: 1, bytesSent: 1, ms: 1 });
const keysOf = (delivery: Delivery): readonly string[] => delivery.task.items.map(({ key }) => key);
const forever = (): AbortSignal => new AbortController().signal;

async function receiveOne(queue: TaskQueue): Promise<Delivery> {
  for (let turn = 0; turn < 10; turn++) {
    const [delivery] = await queue.receive(1, forever());
    if (delivery !== undefined) return delivery;
  }
  throw new Error('no delivery came');
}

async function finish(recorder: Recorder, delivery: Delivery): Promise<void> {
  await recorder.record(delivery.task.id, keysOf(delivery).map(copiedOutcome), true);
  await delivery.ack();
}

const CHECKS: Checks<OpenedQueue> = {
  'every task comes, with all its items, and none when all are done': async ({ queue, recorder, offer, copied }) => {
    offer([['a', 'b'], ['c'], ['d', 'e']]);
    for (let i = 0; i < 3; i++) await finish(recorder, await receiveOne(queue));
    assert.deepEqual(copied(), ['a', 'b', 'c', 'd', 'e']);
    assert.deepEqual(await queue.receive(1, forever()), []);
  },

  'a worker that waits is served when work arrives': async ({ queue, offer }) => {
    const waiting = receiveOne(queue);
    setTimeout(() => offer([['late']]), 20);
    assert.deepEqual(keysOf(await waiting), ['late']);
  },

  'receive stops as cancelled on the signal': async ({ queue }) => {
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 20);
    await assert.rejects(queue.receive(1, stop.signal), { kind: 'cancelled' });
  },

  'two workers never hold the same task at once': async ({ queue, another, offer }) => {
    offer([['a'], ['b'], ['c'], ['d']]);
    const other = another();
    const all = [...(await queue.receive(2, forever())), ...(await other.queue.receive(4, forever()))].flatMap(keysOf);
    assert.equal(new Set(all).size, all.length);
  },

  'a released task comes again, in doubt, with what was recorded left out': async ({ queue, recorder, another, offer }) => {
    offer([['a', 'b', 'c']]);
    const first = await receiveOne(queue);
    assert.equal(first.task.inDoubt, false);
    await recorder.record(first.task.id, [copiedOutcome('a')], false);
    await first.release(0);
    const second = await receiveOne(another().queue);
    assert.deepEqual([keysOf(second), second.task.inDoubt], [['b', 'c'], true]);
  },

  'a task that is released goes back alone: what its worker holds besides stays with it until it leaves': async ({ queue, another, offer }) => {
    offer([['a'], ['b'], ['c']]);
    const held: Delivery[] = [];
    while (held.length < 2) held.push(await receiveOne(queue));
    const [first, second] = held as [Delivery, Delivery];
    await first.release(0);
    const other = another();
    const theirs = [await receiveOne(other.queue), await receiveOne(other.queue)].flatMap(keysOf);
    const untaken = ['a', 'b', 'c'].filter((key) => !held.flatMap(keysOf).includes(key));
    assert.deepEqual(new Set(theirs), new Set([...keysOf(first), ...untaken]));
    assert.deepEqual(await other.queue.receive(1, forever()), [], 'the second one is still at work');
    await queue.close();
    assert.deepEqual(keysOf(await receiveOne(other.queue)), keysOf(second));
  },

  'tasks of a worker that leaves come to another one': async ({ queue, another, offer }) => {
    offer([['a']]);
    await receiveOne(queue);
    const other = another();
    await queue.close();
    assert.deepEqual(keysOf(await receiveOne(other.queue)), ['a']);
  },

  'recording twice is harmless': async ({ queue, recorder, offer, copied }) => {
    offer([['a', 'b']]);
    const delivery = await receiveOne(queue);
    for (let i = 0; i < 3; i++) await recorder.record(delivery.task.id, [copiedOutcome('a')], false);
    await finish(recorder, delivery);
    assert.deepEqual(copied(), ['a', 'b']);
  },

  'a heartbeat is accepted while the work goes on': async ({ queue, offer }) => {
    offer([['a']]);
    const delivery = await receiveOne(queue);
    await delivery.extend();
  },

  'an upload and its parts are known to this holder of the task and to the next one': async ({ queue, recorder, another, offer }) => {
    offer([['big']]);
    const delivery = await receiveOne(queue);
    const upload: Upload = { key: 'big', id: 'u1', size: 10, partSize: 5 };
    await recorder.recordUpload(delivery.task.id, upload, 'source-token');
    await recorder.recordPart(delivery.task.id, 'u1', { number: 1, size: 5, token: 'p1', checksum: { algorithm: 'crc32', hex: '00000000' } });
    const recorded = [{ upload, sourceToken: 'source-token', parts: [{ number: 1, size: 5, token: 'p1', checksum: { algorithm: 'crc32', hex: '00000000' } }] }];
    assert.deepEqual(await recorder.uploads(delivery.task.id), recorded);
    await delivery.release(0);
    const other = another();
    const next = await receiveOne(other.queue);
    assert.deepEqual(await other.recorder.uploads(next.task.id), recorded);
    await recorder.forgetUpload(next.task.id, 'u1');
    assert.deepEqual(await other.recorder.uploads(next.task.id), []);
  },

  'an error of the recorder reaches the worker as it was': async ({ queue, recorder, offer }) => {
    offer([['a']]);
    await receiveOne(queue);
    await assert.rejects(recorder.record(999_999, [copiedOutcome('nobody')], true), (error: { code?: string }) => typeof error.code === 'string' && error.code.startsWith('E_'));
  },
};

export function describeQueue(subject: QueueSubject): void {
  describeChecks(`queue ${subject.name}`, CHECKS, () => subject.create());
}
