/** The partitioned queue by the suite of all queues, over a store in memory and over a directory. Its member is alone at its inbox; what several do is in src/queues/partitions. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BrigadeError } from '../../src/core/errors.ts';
import { openShelf } from '../../src/journal/index.ts';
import type { MessageQueue } from '../../src/ports/message-queue.ts';
import type { Shelf } from '../../src/ports/shelf.ts';
import type { Store } from '../../src/ports/storage.ts';
import { describeMessages, MOST_RECEIVES } from '../../src/queues/conformance/messages.ts';
import { openPartitions, type PartitionsOptions } from '../../src/queues/partitions/index.ts';
import { createFilesystemStore } from '../../src/stores/filesystem/index.ts';
import { createMemoryStore } from '../../src/stores/memory/index.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';

const LEASE_MS = 2000;
const clock = systemClock();

/** The network between a process and the shelf. */
function cuttable(shelf: Shelf): { readonly shelf: Shelf; down: boolean } {
  const line = { down: false, shelf };
  const reach = (): void => {
    if (line.down) throw new BrigadeError({ code: 'E_NETWORK', kind: 'transient', op: 'shelf', message: 'the store does not answer' });
  };
  return Object.assign(line, { shelf: {
    describe: shelf.describe,
    put: async (...args) => { reach(); return shelf.put(...args); },
    replace: async (...args) => { reach(); return shelf.replace(...args); },
    read: async (...args) => { reach(); return shelf.read(...args); },
    names: async function* (...args) { reach(); yield* shelf.names(...args); },
    remove: async (...args) => { reach(); return shelf.remove(...args); },
  } satisfies Shelf });
}

function subject(name: string, place: () => { readonly store: Store; readonly remove: () => Promise<void> }): void {
  describeMessages({
    name,
    create: async () => {
      const { store, remove } = place();
      const plain = openShelf(store);
      const line = cuttable(plain);
      const opened: MessageQueue[] = [];
      const open = async (as: PartitionsOptions['as']): Promise<MessageQueue> => {
        const queue = await openPartitions({ shelf: line.shelf, clock, random: seededRandom(opened.length), holder: `process ${opened.length}`, as, mostReceives: MOST_RECEIVES });
        opened.push(queue);
        return queue;
      };
      const coordinator = await open({ role: 'coordinator', wanted: { members: 1, leaseMs: LEASE_MS } });
      await coordinator.counts();
      return {
        queue: await open({ role: 'member', member: 1, members: 1 }), leaseMs: LEASE_MS, alone: true,
        another: async () => coordinator,
        purge: async () => { for await (const message of plain.names('inbox/')) await plain.remove(message); },
        cut: async () => { line.down = true; },
        mend: async () => { line.down = false; },
        cleanup: async () => {
          line.down = false;
          for (const queue of opened) await queue.close();
          await remove();
        },
      };
    },
  });
}

subject('partitions in memory', () => ({ store: createMemoryStore({ pageSize: 7 }), remove: async () => undefined }));
subject('partitions in a directory', () => {
  const root = mkdtempSync(join(tmpdir(), 'brigade-partitions-'));
  const store = createFilesystemStore({ root, names: 'verbatim', random: seededRandom(1), durability: 'none' });
  return { store, remove: async () => { await store.close(); rmSync(root, { recursive: true, force: true }); } };
});
