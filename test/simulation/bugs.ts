/** Bugs that can be planted: each is one promise of the product broken at a port, never in the product. A simulation that does not find them is worth nothing. */
import { NO_ATTRIBUTES } from '../../src/core/object.ts';
import type { Journal, ReadReport, Report } from '../../src/ports/journal.ts';
import type { MessageQueue } from '../../src/ports/message-queue.ts';
import type { Store } from '../../src/ports/storage.ts';
import { instead } from '../../src/stores/decorators/layer.ts';

export interface Bug {
  readonly what: string;
  /** At the driver, below all faults. */
  readonly source: (store: Store) => Store;
  readonly destination: (store: Store) => Store;
  /** As coordinators write to it. */
  readonly coordinatorStore: (store: Store) => Store;
  readonly workerJournal: (journal: Journal) => Journal;
  readonly workerQueue: (queue: MessageQueue) => MessageQueue;
  readonly coordinatorQueue: (queue: MessageQueue) => MessageQueue;
  readonly sweptDestination: (store: Store) => Store;
}

const same = <T>(of: T): T => of;

export const NO_BUG: Bug = {
  what: 'none', source: same, destination: same, coordinatorStore: same, workerJournal: same, workerQueue: same, coordinatorQueue: same, sweptDestination: same,
};

const bug = (what: string, parts: Partial<Bug>): Bug => ({ ...NO_BUG, what, ...parts });

export const BUGS = {
  'ack-first': bug('a worker acknowledges what it has only begun', {
    workerQueue: (queue) => ({
      ...queue,
      receive: async (...given) => {
        const deliveries = await queue.receive(...given);
        for (const delivery of deliveries) await delivery.ack();
        return deliveries;
      },
    }),
  }),
  'no-guard': bug('the destination takes every write, whatever stands there', { destination: unguarded }),
  'no-pin': bug('the source answers with whatever version stands there', {
    source: (store) => instead(store, {
      read: ({ pin: _, ...request }) => store.read(request),
    }),
  }),
  'looks-done': bug('who looks up a task that came again finds it done, though nobody said so', {
    workerJournal: (journal) => withReports(journal, async ({ work, nth }, signal) => (await journal.readReport({ work, nth }, signal)) ?? (nth === 0 ? { work, nth, report: DONE } : undefined)),
  }),
  'no-lookup': bug('who gets a task again does not look up what became of it', { workerJournal: (journal) => withReports(journal, async () => undefined) }),
  'no-fence': bug('segments of the journal are written over whatever stands there: whoever was replaced writes on', { coordinatorStore: (store) => unguardedBelow(store, /^(plan|control|epochs)\//) }),
  'no-resend': bug('what was sent once is never sent again', {
    coordinatorQueue: (queue) => ({
      ...queue,
      send: async (messages, signal) => {
        const first = messages.filter(({ id }) => /-0$/.test(id));
        await queue.send(first, signal);
        return messages.map(({ id }) => ({ id }));
      },
    }),
  }),
  'no-trace': bug('nobody tells that a task that came often is begun, so that what kills its workers is never found', { workerJournal: (journal) => withReports(journal, async (...given) => withoutBegun(await journal.readReport(...given))) }),
  'no-sweep': bug('uploads that nobody finished are not looked for', {
    sweptDestination: (store) => (store.multipart === undefined ? store : instead(store, { multipart: { ...bound(store.multipart), listUploads: () => none(), abort: async () => undefined } })),
  }),
} as const satisfies Readonly<Record<string, Bug>>;

export type BugName = keyof typeof BUGS;

const DONE: Report = { worker: 'nobody', outcomes: [], close: true, parts: [] };

function withReports(journal: Journal, readReport: Journal['readReport']): Journal {
  return new Proxy(journal, {
    get(target, name) {
      if (name === 'readReport') return readReport;
      if (name === 'hasReport') return async (...given: Parameters<Journal['readReport']>) => (await readReport(...given)) !== undefined;
      const member: unknown = Reflect.get(target, name);
      return typeof member === 'function' ? member.bind(target) as unknown : member;
    },
  });
}

function withoutBegun(read: ReadReport | undefined): ReadReport | undefined {
  if (read?.report?.begun === undefined) return read;
  const { begun: _, ...report } = read.report;
  return { ...read, report };
}

function unguarded(store: Store): Store {
  const { multipart } = store;
  return instead(store, {
    write: (request) => store.write({ ...request, guard: { kind: 'none' } }),
    ...(multipart === undefined ? {} : { multipart: { ...bound(multipart), complete: (request) => multipart.complete({ ...request, guard: { kind: 'none' } }) } }),
  });
}

function unguardedBelow(store: Store, keys: RegExp): Store {
  return instead(store, { write: (request) => store.write(keys.test(request.key) ? { ...request, guard: { kind: 'none' }, attributes: NO_ATTRIBUTES } : request) });
}

function bound(multipart: NonNullable<Store['multipart']>): NonNullable<Store['multipart']> {
  return {
    create: (request) => multipart.create(request), putPart: (...given) => multipart.putPart(...given), complete: (request) => multipart.complete(request),
    abort: (...given) => multipart.abort(...given), listParts: (...given) => multipart.listParts(...given), listUploads: (signal) => multipart.listUploads(signal),
  };
}

async function* none(): AsyncGenerator<never> {}
