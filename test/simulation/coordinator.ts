/**
 * A coordinator of a simulated fleet: the product's pieces, put together as src/app/fleet/coordinator.ts and src/app/migrate.ts do, in a process that can
 * be killed. Its ledger is a real one; a kill leaves of it what stood in its files at that moment.
 */
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { planOptions } from '../../src/app/options.ts';
import { probeStores } from '../../src/app/copying.ts';
import { specDocument } from '../../src/app/fleet/spec.ts';
import { endForGood } from '../../src/app/cancel.ts';
import { isUnfinished } from '../../src/app/unfinished.ts';
import { isKind } from '../../src/core/errors.ts';
import { coordinate, type RunEnd } from '../../src/engine/coordinator.ts';
import { FleetCrew } from '../../src/fleet/coordinator/crew.ts';
import { Pulse, takeEpoch } from '../../src/fleet/coordinator/epoch.ts';
import { mostLeaseMs } from '../../src/fleet/leases.ts';
import { JournalledLedger } from '../../src/fleet/coordinator/journalled-ledger.ts';
import { fold } from '../../src/journal/index.ts';
import { createEntrySorter, openLedger, type SqliteLedger } from '../../src/ledger/sqlite/index.ts';
import type { Binding, Run } from '../../src/ports/ledger.ts';
import type { SimulatedProcess } from './process.ts';
import { journalOf, storesOf } from './stores.ts';
import { NAME, type World } from './world.ts';

export const BINDING: Binding = { migration: NAME, specHash: 'x', source: 'memory://source', destination: 'memory://destination' };

/** As brigade pause has it. */
export const PAUSED = { bandwidth: 0, paused: true } as const;

export interface RunningCoordinator {
  readonly process: SimulatedProcess;
  /** The file of its ledger. */
  readonly path: string;
  index?: SqliteLedger;
  /** At work on this run. */
  crew?: FleetCrew;
  /** Somebody cancels it. */
  readonly cancel: AbortController;
  end?: RunEnd | Cancelled;
  /** Which run it brought to its end. */
  run?: number;
  failure?: unknown;
  over: boolean;
}

interface Cancelled { readonly state: 'cancelled' }

/** Another host each time: whether a claim's process is gone is known of those on the same one. */
export interface Start {
  readonly name: string;
  readonly path: string;
  readonly isGone: (holder: string) => boolean;
}

export function startCoordinator(world: World, { name, path, isGone }: Start): RunningCoordinator {
  const process = world.process(name);
  const coordinator: RunningCoordinator = { process, path, over: false, cancel: new AbortController() };
  work(world, coordinator, isGone).then(
    (end) => Object.assign(coordinator, { end, run: coordinator.index?.run()?.number, over: true }),
    (failure: unknown) => {
      world.trace(`${name} failed`);
      Object.assign(coordinator, { failure, over: true });
    },
  );
  return coordinator;
}

/** As kill -9: its ledger is what stands in the files now, under another name; the old files stay with the dead. */
export function killCoordinator(coordinator: RunningCoordinator, dir: string, image: string): string {
  coordinator.process.kill();
  const path = join(dir, `${image}.db`);
  for (const suffix of ['', '-wal']) if (existsSync(coordinator.path + suffix)) copyFileSync(coordinator.path + suffix, path + suffix);
  return path;
}

async function work(world: World, coordinator: RunningCoordinator, isGone: Start['isGone']): Promise<RunEnd | Cancelled> {
  const { clock, stop: { signal } } = coordinator.process;
  const index = await openLedger({ path: coordinator.path, binding: BINDING, clock, mode: 'create', holder: { pid: 1, host: coordinator.process.name }, signal });
  coordinator.index = index;
  try {
    const end = await lead(world, coordinator, index, isGone);
    await index.flush();
    return end;
  } catch (thrown) {
    delete coordinator.index;
    await index.close();
    throw thrown;
  }
}

async function lead(world: World, coordinator: RunningCoordinator, index: SqliteLedger, isGone: Start['isGone']): Promise<RunEnd | Cancelled> {
  const { process } = coordinator;
  const { clock, events, stop: { signal } } = process;
  const { migration, bug } = world;
  const journal = journalOf(world, process);
  await journal.bind(BINDING, signal);
  const epoch = { journal, holder: process.name, host: process.name, version: '1', standby: true, isGone, clock, events };
  const pen = await takeEpoch(epoch, signal);
  const pulse = new Pulse(epoch, pen);
  try {
    await fold(journal, index, { all: true, signal });
    const spec = { id: migration.name, sha256: await journal.keep(specDocument(migration, { mtimeStepMs: 0 }), signal) };
    let crew: FleetCrew | undefined;
    const ledger = new JournalledLedger({ ledger: index, pen, clock, events, signal, onFailure: (error) => crew?.fail(error) });
    try {
      const run = await beginRun(ledger, index, world.run);
      crew = new FleetCrew({
        run: run.number, ledger: index, journalled: ledger, journal, pen, queue: bug.coordinatorQueue(world.queue(process)), codec: () => world.codec, spec, window: world.scenario.window, events, clock,
        fold: (into, all = false) => fold(journal, into, { all, reportsOnly: true, signal }), quietMs: world.scenario.guarded ? 0 : mostLeaseMs(world.queue(process).limits) + migration.transfer.stallTimeoutMs,
      });
      const leading = crew;
      world.crews.push(() => leading.signals());
      crew.limit(world.paused ? PAUSED : {});
      coordinator.crew = crew;
      return await drive(world, coordinator, ledger, run, crew);
    } finally {
      delete coordinator.crew;
      await ledger.close();
    }
  } finally {
    await pulse.end();
  }
}

/** An unfinished run is resumed, or given up where another one is wanted (`--new`); behind a finished one another is begun, where one is wanted. */
async function beginRun(ledger: JournalledLedger, index: SqliteLedger, wanted: number): Promise<Run> {
  const last = ledger.run();
  const unfinished = last !== undefined && isUnfinished(last);
  const isWanted = last !== undefined && last.number >= wanted;
  if (unfinished) ledger.updateRun(last.number, isWanted ? { state: 'active', pause: null, resumed: true } : { state: 'abandoned' });
  const run = isWanted ? last : ledger.beginRun(last === undefined ? 'initial' : 'delta');
  await ledger.flush();
  return index.run(run.number) ?? run;
}

async function drive(world: World, { process, cancel }: RunningCoordinator, ledger: JournalledLedger, run: Run, crew: FleetCrew): Promise<RunEnd | Cancelled> {
  const { clock, random, events, stop: { signal } } = process;
  const { migration, scenario } = world;
  const { source, destination } = storesOf(world, process);
  try {
    if (run.state === 'finished') return { state: 'finished', tally: ledger.tally(run.number) };
    const end = await coordinate({
      ledger, run, crew, source, destination: world.bug.sweptDestination(destination), verify: scenario.verify, onPause: 'wait', verifyConcurrency: 4, events, clock, random, lanes: 4,
      plan: planOptions(migration, run.startedMs, 0), sorter: () => createEntrySorter({ dir: '/tmp' }), probe: (stop) => probeStores(source, destination, stop),
    }, AbortSignal.any([signal, cancel.signal]));
    await ledger.flush();
    return end;
  } catch (thrown) {
    if (signal.aborted || !cancel.signal.aborted || !isKind(thrown, 'cancelled')) throw thrown;
    await crew.giveUp();
    await endForGood({ ledger, settle: () => ledger.flush(), run, stores: { destination, setRates: () => undefined }, atWorkSinceMs: clock.now(), events, clock, signal });
    return { state: 'cancelled' };
  } finally {
    await crew.close();
  }
}
