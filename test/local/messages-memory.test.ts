import { systemClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { describeMessages, MOST_RECEIVES } from '../../src/queues/conformance/messages.ts';
import { type MemoryFaults, MemoryBroker, openMemoryQueue } from '../../src/queues/memory/index.ts';

function subject(name: string, faults: MemoryFaults) {
  describeMessages({
    name,
    create: async () => {
      const broker = new MemoryBroker({ clock: systemClock(), random: seededRandom(7), leaseMs: 400, mostReceives: MOST_RECEIVES, faults });
      return {
        queue: openMemoryQueue(broker), leaseMs: 400,
        another: async () => openMemoryQueue(broker),
        purge: async () => broker.purge(),
        cut: async () => broker.setDown(true),
        mend: async () => broker.setDown(false),
        cleanup: async () => undefined,
      };
    },
  });
}

subject('memory', {});
subject('memory that reorders', { reorder: 0.5 });
