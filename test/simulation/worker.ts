/** A worker of a simulated fleet: the product's, in a process that can be killed. */
import { copying } from '../../src/app/fleet/open-migration.ts';
import { readSpec } from '../../src/app/fleet/spec.ts';
import { planOptions } from '../../src/app/options.ts';
import { lookInto } from '../../src/engine/look.ts';
import { runFleetWorker } from '../../src/fleet/worker/worker.ts';
import { offersOf } from './plain.ts';
import type { SimulatedProcess } from './process.ts';
import type { Store } from '../../src/ports/storage.ts';
import { instead } from '../../src/stores/decorators/layer.ts';
import { journalOf, storesOf } from './stores.ts';
import { codeOf, type World } from './world.ts';

export interface RunningWorker {
  readonly process: SimulatedProcess;
  ended: boolean;
}

const DRAIN_MS = 10_000;

export function startWorker(world: World, name: string): RunningWorker {
  const process = world.process(name);
  const { clock, random, events, stop } = process;
  const worker: RunningWorker = { process, ended: false };
  const journal = world.bug.workerJournal(journalOf(world, process));
  const options = {
    queue: world.bug.workerQueue(world.queue(process)), codec: world.codec, journals: async () => journal, offers: async () => offersOf(world), worker: name, host: 'here', version: '1', drainMs: DRAIN_MS, clock, random, events,
    open: async (document: Buffer) => {
      const stores = storesOf(world, process);
      const source = poisoned(world, process, stores.source);
      const spec = readSpec(document);
      return { ...copying(spec, { ...stores, source }, { clock, random, events }), looking: () => lookInto(source, stores.destination, planOptions(spec.migration, clock.now(), 0)) };
    },
  };
  runFleetWorker(options, stop.signal).then(
    () => { worker.ended = true; },
    (thrown: unknown) => {
      worker.ended = true;
      world.violate(`worker ${name} ended with ${codeOf(thrown)}`);
    },
  );
  return worker;
}

function poisoned(world: World, process: SimulatedProcess, source: Store): Store {
  const { poison } = world.scenario;
  if (poison === undefined) return source;
  return instead(source, {
    read: async (request) => {
      if (request.key !== poison) return source.read(request);
      world.trace(`${process.name} reads poison`);
      process.kill();
      world.poisoned();
      return new Promise(() => undefined);
    },
  });
}
