/** A worker of a simulated fleet: the product's, in a process that can be killed. */
import { copying } from '../../src/app/fleet/open-migration.ts';
import { readSpec } from '../../src/app/fleet/spec.ts';
import { runFleetWorker } from '../../src/fleet/worker/worker.ts';
import type { SimulatedProcess } from './process.ts';
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
    queue: world.bug.workerQueue(world.queue(process)), codec: world.codec, journals: async () => journal, worker: name, host: 'here', version: '1', drainMs: DRAIN_MS, clock, random, events,
    open: async (document: Buffer) => copying(readSpec(document), storesOf(world, process), { clock, random, events }),
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
