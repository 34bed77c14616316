/** The local queue under the suite of its port: in one process, and over the wire of a forked executor. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import { openLedger } from '../../src/ledger/sqlite/index.ts';
import type { Item } from '../../src/core/item.ts';
import { describeQueue, type OpenedQueue } from '../../src/queues/conformance/index.ts';
import { connectCoordinator, serveExecutor, type Wire } from '../../src/queues/local/channel.ts';
import { LocalQueue } from '../../src/queues/local/local-queue.ts';
import { systemClock } from '../../src/telemetry/clock.ts';

const item = (key: string): Item => ({ key, kind: 'object', size: key === 'big' ? 10 : 1, state: 'pending', source: { token: 't' }, evidence: 'none', attempts: 0 });

async function open(worker: (queue: LocalQueue, holder: string) => Pick<OpenedQueue, 'queue' | 'recorder'>): Promise<OpenedQueue> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-queue-'));
  const ledger = await openLedger({ path: join(dir, 'ledger.db'), mode: 'create', clock: systemClock(), groupMs: 1, holder: { pid: process.pid, host: 'test' }, binding: { migration: 'q', specHash: 'x', source: 's', destination: 'd' } });
  const { number } = ledger.beginRun('initial');
  const queue = new LocalQueue(ledger, number);
  let holders = 0;
  const another = (): Pick<OpenedQueue, 'queue' | 'recorder'> => worker(queue, `holder-${++holders}`);
  return {
    ...another(), another,
    offer(tasks) {
      ledger.addPlan(number, { tasks: tasks.map((keys) => ({ items: keys.map(item), problems: new Map() })), shards: [], listing: { sealed: false, sourceObjects: 0, sourceBytes: 0, destinationObjects: 0 } });
      queue.wake();
    },
    copied: () => [...ledger.items(number)].filter(({ state }) => state === 'copied').map(({ key }) => key),
    cleanup: async () => { await ledger.close(); rmSync(dir, { recursive: true, force: true }); },
  };
}

describeQueue({
  name: 'local, in the coordinator',
  create: () => open((queue, holder) => ({ queue: queue.queue(holder), recorder: queue.recorder() })),
});

/** Structured clone between two ports, as between a process and its fork. */
function wires(): [Wire, Wire] {
  const { port1, port2 } = new MessageChannel();
  const wire = (port: typeof port1): Wire => ({
    send: (message) => port.postMessage(message),
    onMessage: (listener) => { port.on('message', listener); port.unref(); },
    onClose: (listener) => { port.on('close', listener); },
  });
  return [wire(port1), wire(port2)];
}

describeQueue({
  name: 'local, over the wire',
  create: () => open((queue, holder) => {
    const [coordinator, executor] = wires();
    serveExecutor(coordinator, queue, holder, () => undefined);
    return connectCoordinator(executor, () => undefined);
  }),
});
