/** The stores of a simulated process, made dependable as those of a real one are (src/app/stores.ts). */
import type { Rates } from '../../src/core/timetable.ts';
import { openJournal } from '../../src/journal/index.ts';
import type { Journal } from '../../src/ports/journal.ts';
import type { Store } from '../../src/ports/storage.ts';
import { createGovernor } from '../../src/stores/decorators/governor.ts';
import { createCounters } from '../../src/stores/decorators/instrumented.ts';
import { createLimiter } from '../../src/stores/decorators/limited.ts';
import { createRetryBudget } from '../../src/stores/decorators/retrying.ts';
import { stack } from '../../src/stores/stack.ts';
import type { SimulatedProcess } from './process.ts';
import type { World } from './world.ts';

export interface ProcessStores {
  readonly source: Store;
  readonly destination: Store;
  setShare(processes: number): void;
  setRates(rates: Rates): void;
  close(): Promise<void>;
}

const GATE = { initial: 16, min: 1, max: 64, patienceMs: 60_000 };

export function storesOf(world: World, process: SimulatedProcess): ProcessStores {
  return {
    source: dependable('source', world.store(process, 'source'), process),
    destination: dependable('destination', world.store(process, 'destination'), process),
    setShare: () => undefined, setRates: () => undefined, close: async () => undefined,
  };
}

export function journalOf(world: World, process: SimulatedProcess): Journal {
  return openJournal({ store: dependable('destination', world.store(process, 'journal'), process), clock: process.clock, random: process.random });
}

function dependable(side: 'source' | 'destination', raw: Store, { clock, random, events }: SimulatedProcess): Store {
  return stack(raw, { side, clock, random, events, counters: createCounters(), limiter: createLimiter(clock), governor: createGovernor({ clock, ...GATE }), budget: createRetryBudget(clock) });
}
