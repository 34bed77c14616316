/** How a worker opens what its messages name: the two stores of a migration, with what its coordinator found out about them. */
import { BrigadeError } from '../../core/errors.ts';
import type { FleetWorkerOptions, OpenMigration } from '../../fleet/worker/worker.ts';
import type { Meter } from '../../telemetry/meter.ts';
import { lookInto } from '../../engine/look.ts';
import { copyTasks, probeStores } from '../copying.ts';
import { fanOut } from '../events.ts';
import { planOptions } from '../options.ts';
import { openStores, type OpenStores, type StoreDeps } from '../stores.ts';
import { Places } from './places.ts';
import { readSpec, type Spec } from './spec.ts';

export type WorkerSurroundings = Pick<StoreDeps, 'env' | 'clock' | 'random' | 'events'>;

/** Credentials are resolved here, by their references: a reference that means nothing on this machine is a premise that fails. */
export function migrationOpener(around: WorkerSurroundings, meter?: Meter): FleetWorkerOptions['open'] {
  return async (document, _, { id }) => {
    const spec = readSpec(document);
    if (spec.migration.name !== id) throw new BrigadeError({ code: 'E_SPEC_SHAPE', kind: 'premise', op: 'open migration', message: `messages of ${id} name the migration ${spec.migration.name}`, hint: 'run coordinator and workers of the same release' });
    const places = new Places(spec.migration, around.clock);
    const here = { ...around, events: fanOut([around.events, places, ...(meter === undefined ? [] : [meter.events({ migration: id })])]) };
    const stores = await openStores(spec.migration, { ...here, share: 1, facts: spec.facts });
    const { source, destination } = stores;
    return {
      ...copying(spec, stores, here), places: places.all, blame: (error) => places.blame(error), probe: (signal) => probeStores(source, destination, signal),
      looking: () => lookInto(source, destination, planOptions(spec.migration, around.clock.now(), stores.mtimeStepMs)),
    };
  };
}

/** What a file system holds of an unfinished object is on the machine that began it. */
function spansOf({ batch }: Spec['migration'], { facts, multipart }: OpenStores['destination']): { readonly spanBytes?: number } {
  return multipart === undefined || facts.names === 'posix' ? {} : { spanBytes: batch.span };
}

/** Copies between stores that are open. `close` closes them. */
export function copying({ migration }: Pick<Spec, 'migration'>, stores: Pick<OpenStores, 'source' | 'destination' | 'setShare' | 'setRates' | 'close'>, { events, clock, random }: Omit<WorkerSurroundings, 'env'>): OpenMigration {
  const { source, destination } = stores;
  let share = 1;
  return {
    copy: (queue, recorder, signal) => copyTasks({ migration, share, source, destination, queue, recorder, events, clock, random, ...spansOf(migration, destination) }, signal),
    setShare: (processes) => {
      share = processes;
      stores.setShare(processes);
    },
    setRates: (rates) => stores.setRates(rates),
    close: () => stores.close(),
  };
}
