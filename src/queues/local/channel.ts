/**
 * The local queue between processes: calls and answers over the IPC of a forked executor. One side serves (coordinator), the other
 * connects (executor). When the channel closes, every open call rejects: an executor without its coordinator stops (design §5).
 */
import { asBrigadeError, BrigadeError, cancelled, type ErrorFacts, errorFacts } from '../../core/errors.ts';
import type { Outcome } from '../../core/item.ts';
import type { SizeClass } from '../../core/pack.ts';
import type { Rates } from '../../core/timetable.ts';
import type { RunEvent } from '../../ports/events.ts';
import type { Delivery, PartRange, RangeQueue, Recorder, Spread, Task, TaskQueue } from '../../ports/queue.ts';
import type { Part, Upload } from '../../ports/storage.ts';
import { type LocalQueue, unlessCancelled } from './local-queue.ts';

/** What both ends of a fork have; child_process and process fit. */
export interface Wire {
  send(message: unknown): void;
  onMessage(listener: (message: unknown) => void): void;
  onClose(listener: () => void): void;
}

type Call =
  | { readonly op: 'receive'; readonly most: number; readonly size?: SizeClass | undefined }
  | { readonly op: 'record'; readonly task: number; readonly outcomes: readonly Outcome[]; readonly close: boolean }
  | { readonly op: 'uploads'; readonly task: number }
  | { readonly op: 'recordUpload'; readonly task: number; readonly upload: Upload; readonly token: string }
  | { readonly op: 'recordPart'; readonly task: number; readonly id: string; readonly part: Part }
  | { readonly op: 'forgetUpload'; readonly task: number; readonly id: string }
  | { readonly op: 'spread'; readonly spread: Spread }
  | { readonly op: 'receiveRanges'; readonly most: number }
  | { readonly op: 'endRange'; readonly range: Pick<PartRange, 'upload' | 'id'>; readonly error?: ErrorFacts }
  | { readonly op: 'ack'; readonly task: number }
  | { readonly op: 'release'; readonly task: number }
  | { readonly op: 'close' };

/** What an executor says without being asked. */
export type Report =
  | { readonly type: 'ready' }
  | { readonly type: 'beat' }
  | { readonly type: 'events'; readonly events: readonly RunEvent[] }
  | { readonly type: 'trouble'; readonly error: ErrorFacts }
  | { readonly type: 'held' };

/** What a coordinator tells an executor. */
export type Order<Spec> =
  | { readonly type: 'start'; readonly spec: Spec }
  | { readonly type: 'go' }
  /** So many executors share the migration's limits now. */
  | { readonly type: 'share'; readonly share: number }
  /** What all of them together must stay below from now on. */
  | { readonly type: 'limits'; readonly rates: Rates }
  | { readonly type: 'hold' }
  | { readonly type: 'stop' };

type Message<Spec> =
  | { readonly call: number; readonly what: Call }
  | { readonly answer: number; readonly value?: unknown; readonly error?: ErrorFacts }
  | { readonly report: Report }
  | { readonly order: Order<Spec> };

/** Serves one executor from the queue; its reports go to `onReport`. Returns how to give it orders. */
export function serveExecutor<Spec>(wire: Wire, queue: LocalQueue, holder: string, onReport: (report: Report) => void): (order: Order<Spec>) => void {
  const gone = new AbortController();
  const recorder = queue.recorder();
  queue.join(holder);
  wire.onClose(() => { gone.abort(); queue.leave(holder); });
  wire.onMessage((raw) => {
    const message = raw as Message<Spec>;
    if ('report' in message) onReport(message.report);
    if (!('call' in message)) return;
    perform(message.what, queue, recorder, holder, gone.signal).then(
      (value) => wire.send({ answer: message.call, value } satisfies Message<Spec>),
      (error: unknown) => wire.send({ answer: message.call, error: errorFacts(asBrigadeError(error)) } satisfies Message<Spec>),
    ).catch(() => undefined); // The executor is gone: onClose has seen to its tasks.
  });
  return (order) => wire.send({ order } satisfies Message<Spec>);
}

async function perform(call: Call, queue: LocalQueue, recorder: Recorder, holder: string, gone: AbortSignal): Promise<unknown> {
  switch (call.op) {
    case 'receive': return queue.lease(call.most, holder, gone, call.size);
    case 'record': return recorder.record(call.task, call.outcomes, call.close);
    case 'uploads': return recorder.uploads(call.task);
    case 'recordUpload': return recorder.recordUpload(call.task, call.upload, call.token);
    case 'recordPart': return recorder.recordPart(call.task, call.id, call.part);
    case 'forgetUpload': return recorder.forgetUpload(call.task, call.id);
    case 'spread': return queue.spread(holder, call.spread);
    case 'receiveRanges': return queue.leaseRanges(call.most, holder, gone);
    case 'endRange': return queue.endRange(holder, call.range, call.error === undefined ? undefined : new BrigadeError(call.error));
    case 'ack': return queue.done(holder, call.task);
    case 'release': return queue.giveBack(holder, call.task);
    case 'close': return queue.forfeit(holder);
  }
}

export interface Connection {
  readonly queue: TaskQueue;
  readonly recorder: Recorder;
  report(report: Report): void;
}

/** The executor's end. `onOrder` hears the coordinator; after `onClose` nothing can be recorded any more. */
export function connectCoordinator<Spec>(wire: Wire, onOrder: (order: Order<Spec>) => void): Connection {
  const open = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let next = 1;
  wire.onClose(() => { for (const { reject } of open.values()) reject(cancelled('ipc')); open.clear(); });
  wire.onMessage((raw) => {
    const message = raw as Message<Spec>;
    if ('order' in message) onOrder(message.order);
    if (!('answer' in message)) return;
    const waiting = open.get(message.answer);
    open.delete(message.answer);
    if (message.error === undefined) waiting?.resolve(message.value);
    else waiting?.reject(new BrigadeError(message.error));
  });
  const call = <T>(what: Call): Promise<T> => new Promise((resolve, reject) => {
    open.set(next, { resolve: resolve as (value: unknown) => void, reject });
    wire.send({ call: next++, what } satisfies Message<Spec>);
  });
  return { queue: remoteQueue(call), recorder: remoteRecorder(call), report: (report) => wire.send({ report } satisfies Message<Spec>) };
}

type Caller = <T>(what: Call) => Promise<T>;

function remoteQueue(call: Caller): TaskQueue {
  const deliver = (task: Task): Delivery => ({
    task,
    extend: async () => {}, // The process's own beat stands for all its tasks.
    ack: () => call({ op: 'ack', task: task.id }),
    release: () => call({ op: 'release', task: task.id }),
  });
  return {
    ranges: remoteRanges(call),
    receive: async (most, signal, size) => {
      const tasks = await call<readonly Task[]>({ op: 'receive', most, size });
      if (!signal.aborted) return tasks.map(deliver);
      for (const { id } of tasks) await call({ op: 'release', task: id });
      throw cancelled('receive');
    },
    close: () => call({ op: 'close' }),
  };
}

function remoteRanges(call: Caller): RangeQueue {
  const end = (range: PartRange, error?: BrigadeError): Promise<void> =>
    call({ op: 'endRange', range: { upload: range.upload, id: range.id }, ...(error === undefined ? {} : { error: errorFacts(error) }) });
  return {
    spread: (spread, signal) => unlessCancelled(call({ op: 'spread', spread }), signal),
    receive: async (most, signal) => {
      const ranges = await call<readonly PartRange[]>({ op: 'receiveRanges', most });
      if (!signal.aborted) return ranges;
      for (const range of ranges) await end(range, cancelled('receive'));
      throw cancelled('receive');
    },
    end,
  };
}

function remoteRecorder(call: Caller): Recorder {
  return {
    uploads: (task) => call({ op: 'uploads', task }),
    record: (task, outcomes, close) => call({ op: 'record', task, outcomes, close }),
    recordUpload: (task, upload, token) => call({ op: 'recordUpload', task, upload, token }),
    recordPart: (task, id, part) => call({ op: 'recordPart', task, id, part }),
    forgetUpload: (task, id) => call({ op: 'forgetUpload', task, id }),
  };
}
