/** Opens the two stores of a migration and makes them dependable. Here the migration file meets the drivers. */
import { createHash } from 'node:crypto';
import { credentialSource } from '../config/credentials.ts'; // not by its index: executors need no YAML and no schema, which take as long to load as all the rest
import type { Environment, Migration, S3Location } from '../config/index.ts';
import { createKeySelector, literalPrefix } from '../core/select.ts';
import { isKind } from '../core/errors.ts';
import type { Rates } from '../core/timetable.ts';
import type { EndpointTuning, Tuning, Way } from '../core/tuning.ts';
import type { Clock, Random } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Store } from '../ports/storage.ts';
import { type Counters, createCounters } from '../stores/decorators/instrumented.ts';
import { createGovernor } from '../stores/decorators/governor.ts';
import { createHedging } from '../stores/decorators/hedging.ts';
import { createLimiter, type Limiter, type Limits } from '../stores/decorators/limited.ts';
import { createRetryBudget, type RetryBudget } from '../stores/decorators/retrying.ts';
import { openStore } from '../stores/registry.ts';
import type { NameProbe } from '../stores/filesystem/index.ts';
import type { ProbedFacts, ProviderProfile } from '../stores/s3/index.ts';
import { stack } from '../stores/stack.ts';
import { readCa } from './ca-file.ts';
import { makeFolder } from './folder.ts';

export interface StoreDeps {
  readonly env: Environment;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Events;
  /** Processes that share the migration's limits. */
  readonly share: number;
  /** What the coordinator measured, for an executor; absent: measure. */
  readonly facts?: unknown;
  /** What preflight measured of the destination bucket, maybe days ago: it is not measured again. */
  readonly measured?: ProbedSide;
  /** A listing proved that a store does not keep key order: both are taken as unordered and sorted here (F050). */
  readonly unordered?: boolean;
}

/** What was found out about the two stores once, for every process of the run. Plain data. */
export interface Probed {
  readonly source?: ProbedSide;
  readonly destination?: ProbedSide;
  /** Coarsest step of modification times on the two sides, milliseconds. */
  readonly mtimeStepMs: number;
  /** How the destination folder treats names that differ little (F040, F041). */
  readonly names?: NameProbe;
}

export interface ProbedSide {
  readonly provider: string;
  readonly region?: string;
  readonly facts?: ProbedFacts;
}

export interface OpenStores {
  readonly source: Store;
  readonly destination: Store;
  /** Without the decorators: for doctor's own questions. */
  readonly raw: { readonly source: Store; readonly destination: Store };
  readonly counters: { readonly source: Counters; readonly destination: Counters };
  readonly probed: Probed;
  readonly mtimeStepMs: number;
  /** What this process has found out about them so far. */
  tuning(): Tuning;
  /** So many processes share the limits from now on. */
  setShare(share: number): void;
  /** What holds from now on, for all processes together. */
  setRates(rates: Rates): void;
  close(): Promise<void>;
}

type Side = 'source' | 'destination';

/** Requests at once per endpoint: where the governor begins and ends. */
const GATE = { initial: 16, min: 1, max: 64 };
/** A network that is away for longer is the run's matter: it waits or pauses, as the operator chose. */
const SILENT_NETWORK_MS = 60_000;

export async function openStores(migration: Migration, deps: StoreDeps): Promise<OpenStores> {
  const known = deps.facts as Probed | undefined;
  const source = await openRaw('source', migration, deps, known?.source);
  const destination = await openRaw('destination', migration, deps, known?.destination ?? deps.measured);
  const probed = known ?? { ...optionalSide('source', source.probed), ...optionalSide('destination', destination.probed), ...(await probeFolder(migration, deps)) };
  if (deps.unordered === true) await forgetOrder(source.store, destination.store);
  const counters = { source: createCounters(), destination: createCounters() };
  const budget = createRetryBudget(deps.clock);
  const limits = sharedLimits(migration.limits, deps);
  const from = dependable('source', source, migration, deps, counters.source, budget, limits.source);
  const to = dependable('destination', destination, migration, deps, counters.destination, budget, limits.destination);
  const inventory = async (location: S3Location): Promise<Store> => dependable('source', await openBucket('source', location, migration, deps, undefined), migration, deps, counters.source, budget, limits.source).store;
  return {
    source: await listedBy(migration, from.store, inventory), destination: to.store,
    tuning: () => ({ source: from.tuning(), destination: to.tuning() }),
    raw: { source: source.store, destination: destination.store },
    counters, probed, mtimeStepMs: probed.mtimeStepMs,
    setShare: limits.setShare, setRates: limits.setRates,
    close: async () => { await Promise.all([source.store.close(), destination.store.close()]); },
  };
}

/** What a file lists is asked of the file; all else of the store. The bucket of an inventory is opened when it is listed, by one process. */
async function listedBy({ source, sourceListing }: Migration, store: Store, open: (location: S3Location) => Promise<Store>): Promise<Store> {
  if (sourceListing === undefined || source.kind !== 's3') return store;
  const { listedFrom } = await import('../stores/decorators/listed/index.ts');
  const at = typeof sourceListing === 'string' ? sourceListing : { manifest: sourceListing.manifest, open: () => open(sourceListing.location) };
  return listedFrom(store, { at, bucket: source.bucket, prefix: source.prefix });
}

async function forgetOrder(...stores: readonly Store[]): Promise<void> {
  const { applyProbed } = await import('../stores/s3/index.ts');
  for (const store of stores) applyProbed(store, { listing: { ordered: false } });
}

function optionalSide<S extends Side>(side: S, probed: ProbedSide | undefined): { readonly [K in S]?: ProbedSide } {
  return (probed === undefined ? {} : { [side]: probed }) as { readonly [K in S]?: ProbedSide };
}

/** The limiters of both sides, each with this process's share of what holds. */
function sharedLimits(rates: Rates, { clock, share }: Pick<StoreDeps, 'clock' | 'share'>) {
  const now = { rates, share };
  const limiters = { source: createLimiter(clock, limitsOf('source', rates, share)), destination: createLimiter(clock, limitsOf('destination', rates, share)) };
  const change = (next: Partial<typeof now>): void => {
    Object.assign(now, next);
    for (const side of ['source', 'destination'] as const) limiters[side].setLimits(limitsOf(side, now.rates, now.share));
  };
  return { ...limiters, setShare: (next: number) => change({ share: next }), setRates: (next: Rates) => change({ rates: next }) };
}

/** Bandwidth is counted once, where the bytes are read; requests on each side. Limits are shared out evenly. In a pause no request goes out. */
function limitsOf(side: Side, { bandwidth, requests }: Rates, share: number): Limits {
  if (bandwidth === 0) return { requestsPerSecond: 0, ...(side === 'source' ? { bytesPerSecond: 0 } : {}) };
  return {
    ...(bandwidth === undefined || side === 'destination' ? {} : { bytesPerSecond: bandwidth / share }),
    ...(requests === undefined ? {} : { requestsPerSecond: requests / share }),
  };
}

function dependable(side: Side, { store, way }: Raw, migration: Migration, deps: StoreDeps, counters: Counters, budget: RetryBudget, limiter: Limiter): { readonly store: Store; tuning(): EndpointTuning } {
  let openedAt = 0;
  const onCircuit = (open: boolean): void => {
    if (open) openedAt = deps.clock.monotonic();
    deps.events.emit(open ? { type: 'waiting', problem: { code: 'E_NETWORK', message: `${store.address} does not answer` }, sinceMs: 0 } : { type: 'resumed' });
    if (!open) deps.events.emit({ type: 'note', level: 'info', text: `${store.address} answers again after ${Math.round((deps.clock.monotonic() - openedAt) / 1000)} s` });
  };
  const governor = createGovernor({ clock: deps.clock, ...GATE, onCircuit, patienceMs: SILENT_NETWORK_MS });
  // A disk has one way to its bytes; a second request would only take it from the first.
  const hedging = migration[side].kind === 's3' && migration.transfer.hedgeReads !== 'never' ? createHedging(deps.clock) : undefined;
  const stacked = stack(store, { ...(hedging === undefined ? {} : { hedging }), side, clock: deps.clock, random: deps.random, events: deps.events, counters, limiter, governor, budget, idleMs: migration.transfer.stallTimeoutMs, leastBytesPerSecond: migration.transfer.stallRate ?? 0 });
  return {
    store: stacked,
    tuning() {
      const spoken = way?.();
      return { atOnce: governor.atOnce, hedges: hedging?.counts ?? { sent: 0, won: 0 }, ...(spoken === undefined ? {} : { way: spoken }) };
    },
  };
}

interface Raw {
  readonly store: Store;
  readonly probed?: ProbedSide;
  /** Where there is a network in between. */
  way?(): Way | undefined;
}

async function openRaw(side: Side, migration: Migration, deps: StoreDeps, known: ProbedSide | undefined): Promise<Raw> {
  const location = migration[side];
  switch (location.kind) {
    case 'file': return { store: await openFolder(side, location.path, migration, deps) };
    case 'memory': return { store: await openStore('memory', { name: location.name }) };
    case 'synthetic': return { store: await openStore('synthetic', { count: location.count, seed: location.seed, size: location.size }) };
    case 's3': return openBucket(side, location, migration, deps, known);
  }
}

/** File → file keeps names as they are; from an object store, names are escaped where a file system cannot hold them. */
function openFolder(side: Side, root: string, migration: Migration, deps: StoreDeps): Promise<Store> {
  const names = side === 'destination' && migration.source.kind !== 'file' ? 'escaped' : migration.filesystem.names;
  const wanted = side === 'source' ? { wanted: wantedBy(migration), temporaries: 'tell' as const } : {};
  const directories = isBetweenFolders(migration) && migration.fidelity.mode !== 'ignore' ? 'private' : 'plain';
  return openStore('filesystem', { root, ...(side === 'destination' ? { below: migration.transform.keyPrefix, directories } as const : {}), names, links: migration.filesystem.symlinks, random: deps.random, create: side === 'destination', ...wanted });
}

/** Directories have a mode and a time on both sides; into a folder from elsewhere they are made as the umask says. */
export function isBetweenFolders({ source, destination }: Migration): boolean {
  return source.kind === 'file' && destination.kind === 'file';
}

/** Excluded files are not even looked at (F053); a directory is, where it may hold something that is wanted. */
function wantedBy(migration: Migration): (key: string, isDirectory: boolean) => boolean {
  const takes = createKeySelector(migration.select);
  const prefix = literalPrefix(migration.select.include);
  return (key, isDirectory) => (isDirectory ? key.startsWith(prefix) || prefix.startsWith(key) : takes(key));
}

async function openBucket(side: Side, location: S3Location, migration: Migration, deps: StoreDeps, known: ProbedSide | undefined): Promise<Raw> {
  const { applyProbed, probeStore, profileOf, wayOf } = await import('../stores/s3/index.ts');
  const make = (profile: ProviderProfile, region: string | undefined): Promise<Store> => openStore('s3', bucketOptions(side, location, migration, deps, profile, region));
  const found = known ?? (await patiently(deps, () => askBucket(side, location, migration, make)));
  const store = await make(profileOf(found.provider), found.region);
  if (found.facts !== undefined) applyProbed(store, found.facts);
  const opened = { store, way: () => wayOf(store) };
  if (known !== undefined || side === 'source') return { ...opened, probed: found };
  // Measured only where we may write; a source is taken at its profile's word, which every page and answer is checked against.
  const facts = await patiently(deps, () => probeStore(store, deps.random));
  return { ...opened, probed: { ...found, ...(facts === undefined ? {} : { facts }) } };
}

/** Somebody has a bucket of this name. Some stores say so of our own too: whether it is ours shows when it is looked at. */
function onlyConflict(thrown: unknown): void {
  if (!isKind(thrown, 'conflict')) throw thrown;
}

const FIRST_TRIES = 4;

/** The first questions go to the bare driver, before there is a stack that retries. */
async function patiently<T>(deps: StoreDeps, ask: () => Promise<T>): Promise<T> {
  for (let turn = 1; ; turn++) {
    try {
      return await ask();
    } catch (error) {
      if (turn >= FIRST_TRIES || !isKind(error, 'transient', 'throttled')) throw error;
      await deps.clock.sleep(500 * 2 ** turn * (0.5 + deps.random.next() / 2));
    }
  }
}

/** Who answers there, and for which region: from the host's name, else from the first answer. */
async function askBucket(side: Side, location: S3Location, migration: Migration, make: (profile: ProviderProfile, region: string | undefined) => Promise<Store>): Promise<ProbedSide> {
  const { controlOf, detectProfile, profileOf } = await import('../stores/s3/index.ts');
  const { connection } = location;
  const host = connection.endpoint === undefined ? undefined : new URL(connection.endpoint).host;
  const named = connection.provider === 'auto' ? undefined : profileOf(connection.provider);
  const first = await make(named ?? detectProfile(host) ?? profileOf('generic'), connection.region);
  try {
    const control = controlOf(first);
    if (side === 'destination' && migration.createBucket) await control?.createBucket().catch(onlyConflict);
    const bucket = await control?.headBucket();
    const region = connection.region ?? bucket?.region;
    const profile = named ?? detectProfile(host, bucket?.server) ?? profileOf('generic');
    return { provider: profile.name, ...(region === undefined ? {} : { region }) };
  } finally {
    await first.close();
  }
}

function bucketOptions(side: Side, location: S3Location, migration: Migration, deps: StoreDeps, profile: ProviderProfile, region: string | undefined) {
  const { connection, bucket, prefix } = location;
  const { destination } = migration;
  const ours = side === 'destination' ? {
    prefix: `${prefix}${migration.transform.keyPrefix}`, storageClass: destination.storageClass,
    ...(destination.sse === 'none' ? {} : { sse: { algorithm: destination.sse, ...(destination.kmsKeyId === undefined ? {} : { kmsKeyId: destination.kmsKeyId }) } }),
  } : { prefix };
  return {
    bucket, profile, region, endpoint: connection.endpoint, pathStyle: connection.pathStyle, payloadSigning: connection.payloadSigning,
    compress: connection.compression === 'auto', checksum: connection.checksum, lanes: connection.lanes, insecureTls: connection.insecureTls, proxy: connection.proxy, requesterPays: migration.requesterPays,
    ...(connection.caFile === undefined ? {} : { ca: readCa(connection.caFile, 'ca_file') }),
    clock: deps.clock, credentials: credentialSource(connection.credentials, { env: deps.env, clock: deps.clock }), ...ours,
  };
}

/** Of a folder the mount itself is asked how finely it keeps times (F057) and names; object stores keep seconds in listings. */
async function probeFolder(migration: Migration, deps: StoreDeps): Promise<Pick<Probed, 'mtimeStepMs' | 'names'>> {
  const { destination } = migration;
  const seconds = migration.source.kind === 's3' || destination.kind === 's3';
  if (destination.kind !== 'file') return { mtimeStepMs: seconds ? 1000 : 0 };
  const { probeGranularity, probeNames } = await import('../stores/filesystem/index.ts');
  makeFolder(destination.path);
  const id = createHash('sha256').update(String(deps.random.next())).digest('hex').slice(0, 12);
  const names = await probeNames(destination.path, id);
  const stepMs = (await probeGranularity(destination.path, id)) / 1e6;
  return { names, mtimeStepMs: seconds ? Math.max(1000, stepMs) : stepMs };
}
