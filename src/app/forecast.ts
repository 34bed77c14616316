/** `plan`: what a run would do, by the planner's own decisions, told instead of recorded. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkOverlap, type Migration, showLocation } from '../config/index.ts';
import { asBrigadeError, BrigadeError } from '../core/errors.ts';
import { showBytes, showCount } from '../core/units.ts';
import { plan } from '../engine/planner.ts';
import { createEntrySorter } from '../ledger/sqlite/index.ts';
import type { Store } from '../ports/storage.ts';
import { freeBytes, nearestFolder } from './doctor-folder.ts';
import { ARCHIVE_CLASSES } from './doctor-source.ts';
import { CountingSink } from './forecast-counting.ts';
import { Estimate } from './forecast-estimate.ts';
import { openForLook, openRecord, refused } from './forecast-open.ts';
import type { Forecast, ForecastAround, Forecaster } from './forecast-types.ts';
import { listingLanes, planOptions } from './options.ts';
import { keepOldGenerationSmall } from './heap.ts';
import { narrowToObject } from './single.ts';
import type { OpenStores } from './stores.ts';
import { threadsFor } from './threads.ts';

/** @throws BrigadeError `usage`: a side cannot be listed, or the places overlap. */
export const forecast: Forecaster = async (asked, around) => {
  threadsFor(asked);
  keepOldGenerationSmall();
  checkOverlap(asked, around.stateDir);
  try {
    const migration = await narrowToObject(asked, { ...around, share: 1 });
    return await lookThrough(migration, around, false).catch((thrown: unknown) => {
      // A listing that turned out to be in no order is sorted on disk instead (F050).
      if (!(thrown instanceof BrigadeError) || thrown.code !== 'E_LIST_ORDER') throw thrown;
      return lookThrough(migration, around, true);
    });
  } catch (thrown) {
    throw refused(asBrigadeError(thrown, 'plan'));
  }
};

type Opened = Awaited<ReturnType<typeof openForLook>>;

async function lookThrough(migration: Migration, around: ForecastAround, unordered: boolean): Promise<Forecast> {
  const stores = await openForLook(migration, around, unordered);
  const dir = mkdtempSync(join(tmpdir(), 'brigade-plan-'));
  try {
    return await countAll(migration, around, stores, dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
    await stores.close();
  }
}

async function countAll(migration: Migration, around: ForecastAround, stores: Opened, dir: string): Promise<Forecast> {
  const record = await openRecord(migration, around, stores);
  try {
    const [source, destination] = [watched(stores.source), watched(stores.destination)];
    const estimate = new Estimate({
      migration, source: stores.source.facts, destination: stores.destination.facts, multipart: stores.destination.multipart !== undefined, serverSide: copiesByItself(migration, stores),
    });
    const sink = new CountingSink(estimate);
    await plan({
      source: source.store, destination: destination.store, options: planOptions(migration, around.clock.now(), stores.mtimeStepMs), sorter: () => createEntrySorter({ dir }),
      events: around.events, clock: around.clock, left: record.left, lanes: listingLanes(migration), save: () => undefined, each: ({ item, problem }) => sink.add(item, problem),
    }, [], around.signal);
    const counted = sink.counted();
    const requests = estimate.requests({ sourcePages: source.seen.pages, destinationPages: destination.seen.pages, arriving: counted.copy.objects });
    const duration = estimate.duration(requests);
    return {
      migration: migration.name, source: showLocation(migration.source), destination: showLocation(migration.destination), ...counted, requests,
      ...(duration === undefined ? {} : { duration }),
      warnings: [...record.warnings, ...(await warningsOf(migration, stores, counted, source.seen.objects))],
    };
  } finally {
    await record.close();
  }
}

function copiesByItself(migration: Migration, { raw }: OpenStores): boolean {
  return migration.transfer.serverSideCopy === 'auto' && raw.destination.serverCopy?.canCopyFrom(raw.source) === true;
}

interface Seen { pages: number; objects: number }

/** Counts pages and objects as they go by, also those that the selection leaves out. */
function watched(store: Store): { readonly store: Store; readonly seen: Seen } {
  const seen: Seen = { pages: 0, objects: 0 };
  const list: Store['list'] = async function* (request) {
    for await (const page of store.list(request)) {
      seen.pages++;
      for (const { kind } of page.entries) if (kind !== 'directory') seen.objects++;
      yield page;
    }
  };
  return { store: { ...store, list }, seen };
}

type Counted = ReturnType<CountingSink['counted']>;

async function warningsOf(migration: Migration, stores: Opened, counted: Counted, seen: number): Promise<string[]> {
  return [...emptyWarnings(migration, counted, seen), ...sizeWarnings(stores, counted), ...archiveWarnings(migration, counted), ...(await spaceWarnings(migration, counted))];
}

/** F089: nothing to do is said aloud. */
function emptyWarnings(migration: Migration, { listed }: Counted, seen: number): string[] {
  if (listed.objects > 0) return seen > listed.objects ? [`${showCount(seen - listed.objects)} objects of the source are left out by select`] : [];
  if (seen > 0) return [`0 objects: all ${showCount(seen)} of the source are left out by select`];
  return [`0 objects in ${showLocation(migration.source)}: check the bucket, prefix or path`];
}

/** F064, with both figures. */
function sizeWarnings({ destination }: Opened, { refused: codes, largest }: Counted): string[] {
  const tooLarge = codes.find(({ code }) => code === 'E_TOO_LARGE');
  if (tooLarge === undefined) return [];
  return [`${showCount(tooLarge.objects)} objects are larger than the ${showBytes(destination.facts.maxObjectSize)} that the destination takes, the largest ${showBytes(largest[0]?.size ?? 0)}`];
}

function archiveWarnings(migration: Migration, { storageClasses }: Counted): string[] {
  const archived = storageClasses.filter(({ name }) => ARCHIVE_CLASSES.has(name));
  const objects = archived.reduce((sum, one) => sum + one.objects, 0);
  if (objects === 0) return [];
  return [`${showCount(objects)} objects are archived; those not restored will be skipped${migration.allowArchived ? '' : ', and the run then ends with exit 1'}`];
}

async function spaceWarnings({ destination }: Migration, { copy }: Counted): Promise<string[]> {
  if (destination.kind !== 'file') return [];
  const folder = await nearestFolder(destination.path);
  const free = folder === undefined ? undefined : await freeBytes(folder);
  return free !== undefined && free < copy.bytes ? [`${showBytes(copy.bytes)} are to be copied, ${showBytes(free)} are free at ${destination.path}`] : [];
}
