/** Both stores of a migration for a look: nothing is made, probed or written, also where the run would. */
import { join } from 'node:path';
import { type S3Location, specHash, type Migration } from '../config/index.ts';
import { asBrigadeError, type BrigadeError, isKind, usageError } from '../core/errors.ts';
import type { Item } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import { inspectLedger, ledgerExists, type LedgerView } from '../ledger/sqlite/index.ts';
import type { Store } from '../ports/storage.ts';
import { controlFor } from './doctor-bucket.ts';
import { DoctorCache } from './doctor-cache.ts';
import { nearestFolder } from './doctor-folder.ts';
import { patiently, type Side } from './doctor-lines.ts';
import { openRawSide, type ProbedSide, providerOf } from './doctor-open.ts';
import type { ForecastAround } from './forecast-types.ts';
import { listingLanes } from './options.ts';
import { ledgerPath } from './state.ts';
import { openStores, type OpenStores } from './stores.ts';
import { isUnfinished } from './unfinished.ts';

/** As openStores(), with what is known of the destination by its profile or an earlier doctor. A destination that is not there yet is empty. */
export async function openForLook(migration: Migration, around: ForecastAround, unordered: boolean): Promise<OpenStores & { readonly destinationMissing: boolean }> {
  const source = await look(migration, 'source', around);
  const destination = await look(migration, 'destination', around);
  const seconds = migration.source.kind === 's3' || migration.destination.kind === 's3';
  const facts = { ...(source.probed === undefined ? {} : { source: source.probed }), ...(destination.probed === undefined ? {} : { destination: destination.probed }), mtimeStepMs: seconds ? 1000 : 0 };
  const stores = await openStores(migration, { ...around, share: 1, facts, unordered });
  return { ...stores, destinationMissing: destination.missing, ...(destination.missing ? { destination: emptied(stores.destination) } : {}) };
}

function emptied(store: Store): Store {
  return { ...store, facts: { ...store.facts, ordered: true }, list: async function* () { /* not there yet: nothing is listed */ } };
}

interface Look { readonly missing: boolean; readonly probed?: ProbedSide }

async function look(migration: Migration, side: Side, around: ForecastAround): Promise<Look> {
  const location = migration[side];
  if (location.kind === 's3') return lookAtBucket(migration, side, location, around);
  if (location.kind !== 'file' || side === 'source') return { missing: false };
  const written = join(location.path, migration.transform.keyPrefix, '.');
  return { missing: (await nearestFolder(written)) !== written };
}

async function lookAtBucket(migration: Migration, side: Side, location: S3Location, around: ForecastAround): Promise<Look> {
  const cache = new DoctorCache(around.stateDir, around.clock);
  const known = cache.get(cache.keyOf(migration, side) ?? '')?.probed;
  if (known !== undefined) return { missing: false, probed: known };
  const provider = await providerOf(location);
  const region = location.connection.region;
  const raw = await openRawSide(migration, side, around, { provider, ...(region === undefined ? {} : { region }) });
  try {
    const control = await controlFor(raw);
    const facts = await patiently(around.clock, around.signal, () => control.headBucket(around.signal));
    const found = region ?? facts.region;
    return { missing: false, probed: { provider: await providerOf(location, facts.server), ...(found === undefined ? {} : { region: found }) } };
  } catch (thrown) {
    const error = asBrigadeError(thrown, 'plan');
    if (error.code === 'E_BUCKET_MISSING' && side === 'destination' && migration.createBucket) return { missing: true, probed: { provider } };
    // A bucket that answers only to listings says no more than that here; the listing itself will speak.
    if (error.status !== undefined && error.code !== 'E_BUCKET_MISSING' && !isKind(error, 'internal', 'cancelled')) return { missing: false, probed: { provider, ...(region === undefined ? {} : { region }) } };
    throw refused(error);
  } finally {
    await raw.close();
  }
}

/** Nothing was moved: whatever keeps the plan from being made is a matter of configuration or environment (exit 2). */
export function refused(error: BrigadeError): BrigadeError {
  if (isKind(error, 'internal', 'usage', 'cancelled')) return error;
  return usageError(error.code, error.message, error.hint ?? 'brigade doctor tells more', error.location);
}

/** What earlier runs left, where the ledger is of these very stores, and what there is to say of the ledger. */
export interface Record {
  readonly warnings: readonly string[];
  readonly left: () => (key: Key) => Item | undefined;
  close(): Promise<void>;
}

export async function openRecord(migration: Migration, around: ForecastAround, stores: OpenStores & { readonly destinationMissing: boolean }): Promise<Record> {
  const path = ledgerPath(around.stateDir, migration.name);
  if (!ledgerExists(path) || stores.destinationMissing) return { warnings: [], left: () => () => undefined, close: () => Promise.resolve() };
  const [source, destination] = await Promise.all([stores.source.identity(around.signal), stores.destination.identity(around.signal)]);
  const ledger = inspectLedger(path);
  const { binding } = ledger;
  const foreign = binding.source !== source || binding.destination !== destination;
  const warnings = foreign ? [`the ledger ${path} belongs to other stores: the run asks for --new or --adopt`] : warningsOf(ledger, binding.specHash !== specHash(migration));
  return { warnings, left: () => (foreign ? () => undefined : ledger.leftBefore(Infinity, listingLanes(migration))), close: () => ledger.close() };
}

function warningsOf(ledger: LedgerView, changed: boolean): string[] {
  const run = ledger.run();
  const unfinished = run !== undefined && isUnfinished(run);
  return [
    ...(changed ? ['the options differ from those of the ledger: the run asks for --new or --adopt'] : []),
    ...(unfinished ? [`run ${run.number} is not finished: brigade run goes on with it, this plan is of a new one`] : []),
  ];
}
