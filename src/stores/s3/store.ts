/** The S3 driver: one bucket, or a prefix of one, behind the storage port. */
import { BrigadeError, isKind } from '../../core/errors.ts';
import { keyLength } from '../../core/key.ts';
import type { ChecksumAlgorithm } from '../../core/object.ts';
import type { Clock, Random } from '../../ports/clock.ts';
import type { CredentialSource } from '../../ports/credentials.ts';
import type { Multipart, ServerCopy, Store, StoreFacts } from '../../ports/storage.ts';
import { S3Client, unaddressable } from './client.ts';
import { createControl } from './control.ts';
import type { S3Control } from './control.ts';
import { createServerCopy } from './copy.ts';
import { listPages } from './listing.ts';
import type { ListingState } from './listing.ts';
import type { Encryption } from './metadata.ts';
import { headObject, putTags, readObject, readTags, removeObject, writeObject } from './objects.ts';
import type { ChecksumChoice } from './objects.ts';
import { probe } from './probe.ts';
import { detectProfile, profileOf, withProbed } from './profiles.ts';
import type { ProbedFacts, ProviderProfile } from './profiles.ts';
import type { Way } from '../../core/tuning.ts';
import { DEFAULT_TIMEOUTS } from './transport.ts';
import type { Timeouts, Transport } from './transport.ts';
import { createMultipart } from './uploads.ts';
import { createTransport } from './wire.ts';
import type { WireTransport } from './wire.ts';

export interface S3Options {
  /** `http(s)://host[:port]`; absent: Amazon S3 in `region`. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  readonly bucket: string;
  /** The root of the store, verbatim: `a/` to mean a folder. */
  readonly prefix?: string | undefined;
  readonly pathStyle?: 'auto' | boolean | undefined;
  readonly profile: ProviderProfile;
  readonly credentials: CredentialSource;
  /** `auto`: signed on plain HTTP, unsigned on TLS. */
  readonly payloadSigning?: 'auto' | 'signed' | 'unsigned' | undefined;
  /** `auto`: the profile's best. One that is named is trusted to work. */
  readonly checksum?: 'auto' | ChecksumAlgorithm | 'none' | undefined;
  readonly requesterPays?: boolean | undefined;
  readonly sse?: Encryption | undefined;
  /** For objects that bring no class of their own. */
  readonly storageClass?: string | undefined;
  /** PEM text, trusted beside the public authorities. */
  readonly ca?: string | undefined;
  readonly insecureTls?: boolean | undefined;
  readonly proxy?: string | undefined;
  /** Most sockets per host. */
  readonly connections?: number | undefined;
  readonly clock: Clock;
  readonly timeouts?: Partial<Timeouts> | undefined;
  /** Names that are not UTF-8: refuse them, or escape each such byte as %XX. */
  readonly nonUtf8?: 'refuse' | 'escape' | undefined;
  /** To and from our own endpoint data goes compressed where that helps. */
  readonly compress?: boolean | undefined;
  /** Which bodies go over our own sockets. Default `auto`: those from 1 MiB on. */
  readonly lanes?: 'auto' | 'always' | 'never' | undefined;
  /** Another way to the wire. */
  readonly transport?: Transport | undefined;
}

const DEFAULT_CONNECTIONS = 64;

interface Driver {
  readonly options: S3Options;
  readonly client: S3Client;
  /** Absent where another way to the wire was given. */
  readonly wire: WireTransport | undefined;
  readonly listing: ListingState;
}

const drivers = new WeakMap<Store, Driver>();

export function createS3Store(options: S3Options): Store {
  const profile = withChosen(options.profile, options.checksum ?? 'auto');
  const wire = options.transport === undefined ? transportOf(options) : undefined;
  const client = new S3Client({
    ...options, profile, transport: (options.transport ?? wire) as Transport,
    defaults: { storageClass: options.storageClass, sse: options.sse, requesterPays: options.requesterPays },
  });
  const listing: ListingState = { ordered: profile.listing.ordered };
  const choice = (): ChecksumChoice => chooseChecksum(client, options.checksum ?? 'auto');
  const facts = factsFor(client, listing, choice);
  const store: Store = {
    address: client.address,
    get facts() { return facts(); },
    identity: () => Promise.resolve(`${hostOf(options.endpoint)}/${options.bucket}`),
    list: (request) => listPages(client, request, listing),
    head: (key, asked) => headObject(client, key, asked),
    read: (request) => readObject(client, request),
    write: async (request) => writeObject(client, held(client, request, request.body.size), choice()),
    remove: async (key, signal) => removeObject(client, held(client, { key }, 0).key, signal),
    ...(profile.maxTags > 0 ? { readTags: (key, pin, signal) => readTags(client, key, pin, signal) } : {}),
    ...(profile.maxTags > 0 && profile.tagsAfter !== undefined ? { writeTags: (key, tags, signal) => putTags(client, key, tags, signal) } : {}),
    refuses: ({ key, size }) => refusal(client, key, size),
    multipart: guardedUploads(client, createMultipart(client, choice)),
    ...(profile.serverCopy ? { serverCopy: guardedCopies(client, createServerCopy(client, (other) => drivers.get(other)?.client, choice)) } : {}),
    close: () => client.close(),
  };
  drivers.set(store, { options, client, wire, listing });
  return store;
}

/** Questions about the bucket, for stores made by createS3Store (undecorated). */
export function controlOf(store: Store): S3Control | undefined {
  const driver = drivers.get(store);
  return driver === undefined ? undefined : createControl(driver.client);
}

/** How such a store was spoken to so far (undecorated). */
export function wayOf(store: Store): Way | undefined {
  const driver = drivers.get(store);
  if (driver?.wire === undefined) return undefined;
  const { options, client, wire } = driver;
  const compression = options.compress !== true ? 'off' : client.speaksFrames ? 'on' : 'no peer';
  return { mode: options.proxy === undefined ? options.lanes ?? 'auto' : 'proxy', ...wire.counts, tls: client.tls, signedPayloads: client.signsPayloads, compression };
}

/**
 * The profile for `provider: auto`: by the endpoint's host, else by what the server calls itself, else the careful one. One HEAD of the
 * bucket where the host says nothing; a refused one leaves the careful profile.
 */
export async function findProfile(options: Omit<S3Options, 'profile'>, signal?: AbortSignal): Promise<ProviderProfile> {
  const host = options.endpoint === undefined ? undefined : new URL(options.endpoint).host;
  const known = detectProfile(host);
  if (known !== undefined) return known;
  const careful = profileOf('generic');
  const store = createS3Store({ ...options, profile: careful });
  try {
    const facts = await controlOf(store)?.headBucket(signal);
    return detectProfile(host, facts?.server) ?? careful;
  } catch (thrown) {
    if (isKind(thrown, 'cancelled')) throw thrown;
    return careful; // what is wrong shows at the first real request, with its own words
  } finally {
    if (options.transport === undefined) await store.close();
  }
}

/** Measures a destination and lets what was found override its profile. Writes and removes canaries below `.brigade/`. */
export async function probeStore(store: Store, random: Random, signal?: AbortSignal): Promise<ProbedFacts | undefined> {
  const driver = drivers.get(store);
  if (driver === undefined) return undefined;
  const found = await probe(driver.client, random, signal);
  applyProbed(store, found);
  return found;
}

/** The same from an earlier probe, as another process found it. */
export function applyProbed(store: Store, found: ProbedFacts): void {
  const driver = drivers.get(store);
  if (driver === undefined) return;
  driver.client.profile = withProbed(driver.client.profile, found);
  driver.listing.ordered = driver.client.profile.listing.ordered;
}

function transportOf(options: S3Options): WireTransport {
  const { ca, insecureTls, proxy } = options;
  return createTransport({
    lanes: options.lanes ?? 'auto',
    connections: options.connections ?? DEFAULT_CONNECTIONS,
    timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
    ...(ca === undefined ? {} : { ca }),
    ...(insecureTls === undefined ? {} : { insecureTls }),
    ...(proxy === undefined ? {} : { proxy }),
  });
}

/** A checksum that the operator names is one the store has, and goes first; `none` and `md5` mean that the store vouches for nothing. */
function withChosen(profile: ProviderProfile, chosen: 'auto' | ChecksumChoice): ProviderProfile {
  if (chosen === 'auto') return profile;
  if (chosen === 'none' || chosen === 'md5') return { ...profile, checksums: { ...profile.checksums, headers: [] } };
  const headers = [chosen, ...profile.checksums.headers.filter((algorithm) => algorithm !== chosen)];
  return { ...profile, checksums: { ...profile.checksums, headers } };
}

function chooseChecksum(client: S3Client, chosen: 'auto' | ChecksumChoice): ChecksumChoice {
  if (chosen !== 'auto') return chosen;
  const { headers, md5 } = client.profile.checksums;
  // A signed payload is verified already: no second, dearer digest.
  return headers[0] ?? (md5 && !client.signsPayloads ? 'md5' : 'none');
}

/** Facts follow the profile, which a probe may replace, and the order, which a listing may disprove. */
function factsFor(client: S3Client, listing: ListingState, choice: () => ChecksumChoice): () => StoreFacts {
  let made: { readonly profile: ProviderProfile; readonly ordered: boolean; readonly facts: StoreFacts } | undefined;
  return () => {
    if (made?.profile !== client.profile || made.ordered !== listing.ordered) made = { profile: client.profile, ordered: listing.ordered, facts: factsOf(client, listing.ordered, choice()) };
    return made.facts;
  };
}

function factsOf(client: S3Client, ordered: boolean, choice: ChecksumChoice): StoreFacts {
  const { profile } = client;
  const { absent, matches, onComplete } = profile.guards;
  return {
    names: 'opaque', ordered, provider: profile.name,
    maxKeyBytes: profile.maxKeyBytes - keyLength(client.prefix),
    maxObjectSize: profile.maxObjectSize, maxSingleWrite: profile.maxSingleWrite, maxSingleCopy: profile.maxSingleCopy,
    minPartSize: profile.minPartSize, maxPartSize: profile.maxPartSize, maxParts: profile.maxParts,
    guards: { absent, matches, onComplete },
    checksums: choice === 'none' ? [] : profile.checksums.headers,
    fullObjectChecksum: choice !== 'none' && profile.checksums.fullObject,
    verifiesOnWrite: choice !== 'none' || client.signsPayloads,
    attributes: { contentHeaders: true, userMetadata: true, tags: profile.maxTags > 0, storageClass: profile.storageClasses, mtime: true, mode: true },
    maxUserMetadataBytes: profile.maxUserMetadataBytes, maxTags: profile.maxTags,
    ...(profile.exclusivePrefixes === true ? { exclusivePrefixes: true } : {}),
    ...(profile.lostHeaders === undefined ? {} : { lostHeaders: profile.lostHeaders }),
    ...(profile.foldsUnderscores === true ? { foldsUnderscores: true } : {}),
    ...(profile.ownClasses === true ? { ownClasses: true } : {}),
  };
}

/**
 * What the store cannot hold never reaches it: some fold a name into another one, and the object there would be overwritten or removed (F034).
 * @throws E_NAME_…, E_KEY_…, E_DIR_MARKER_HAS_DATA, E_TOO_LARGE (kind `object`).
 */
function held<R extends { readonly key: string }>(client: S3Client, request: R, size: number): R {
  const why = refusal(client, request.key, size);
  if (why !== undefined) throw new BrigadeError({ ...why, kind: 'object', op: 'refuses', location: client.locate(request.key) });
  return request;
}

function guardedUploads(client: S3Client, multipart: Multipart): Multipart {
  return { ...multipart, create: async (request) => multipart.create(held(client, request, request.size)) };
}

function guardedCopies(client: S3Client, serverCopy: ServerCopy): ServerCopy {
  return { ...serverCopy, copy: async (request) => serverCopy.copy(held(client, request, request.size)) };
}

function refusal(client: S3Client, key: string, size: number): { readonly code: string; readonly message: string } | undefined {
  const { profile } = client;
  const absolute = client.absolute(key);
  const never = unaddressable(key, absolute, profile);
  if (never !== undefined) return never;
  const length = keyLength(absolute);
  if (length > profile.maxKeyBytes) return { code: 'E_NAME_TOO_LONG', message: `the key takes ${length} bytes, ${profile.name} holds ${profile.maxKeyBytes}` };
  if (size > profile.maxObjectSize) return { code: 'E_TOO_LARGE', message: `the object takes ${size} bytes, ${profile.name} holds ${profile.maxObjectSize}` };
  if (profile.maxSegmentBytes !== undefined && hasLongSegment(absolute, profile.maxSegmentBytes)) return { code: 'E_NAME_TOO_LONG', message: `a name between two slashes takes more than the ${profile.maxSegmentBytes} bytes that ${profile.name} holds` };
  if (profile.emptyMarkers === true && size > 0 && key.endsWith('/')) return { code: 'E_DIR_MARKER_HAS_DATA', message: `a key that ends with a slash is a folder at ${profile.name} and holds no bytes` };
  if (absolute.includes('\u0000')) return { code: 'E_NAME_FORBIDDEN', message: 'keys may not hold U+0000: no S3 store can list it' };
  const rule = profile.forbids.find(({ pattern }) => pattern.test(absolute));
  return rule === undefined ? undefined : { code: 'E_NAME_FORBIDDEN', message: `keys at ${profile.name} ${rule.rule}` };
}

function hasLongSegment(key: string, most: number): boolean {
  return key.length * 4 > most && key.split('/').some((segment) => keyLength(segment) > most);
}

function hostOf(endpoint: string | undefined): string {
  return endpoint === undefined ? 's3.amazonaws.com' : new URL(endpoint).host;
}
