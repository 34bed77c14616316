/** Checked input → Migration: names looked up, paths made absolute, defaults of connections filled in, contradictions refused. */
import { resolve as resolvePath } from 'node:path';
import { checkBucket, checkKeyPrefix, parseManifest, parsePath, parsePlace, type Place } from './location.ts';
import type {
  AssumeRoleRef, Connection, CredentialRef, Destination, Fidelity, Limits, Location, Migration, Select, Transfer, ValueRef,
} from './migration.ts';
import { nearestWord } from './nearest.ts';
import { fail, Findings, Problem } from './problem.ts';
import type { ConnectionInput, CredentialsInput, LocationInput } from './schema/location.ts';
import { NAME_RULE, type MigrationInput } from './schema/migration.ts';

type Path = readonly PropertyKey[];
type Input<K extends keyof MigrationInput> = MigrationInput[K];

export interface Origin {
  /** Absolute; absent for an ad-hoc copy. */
  readonly file?: string;
  /** Where relative paths start. */
  readonly base: string;
  /** Used when the file gives no name. */
  readonly name: string;
  /** An ad-hoc URL may be one object. */
  readonly mayBeObject?: boolean;
}

/** Throws Findings. */
export function resolveMigration(input: MigrationInput, origin: Origin): Migration {
  const name = input.name ?? origin.name;
  if (!NAME_RULE.pattern.test(name)) fail(['name'], 'is missing, and the file\'s name cannot serve: it is not a name', `add name: and ${NAME_RULE.fix}`);
  const destination = resolveDestination(input, origin);
  return deepFreeze({
    name,
    ...optional('file', origin.file),
    source: resolveSource(input, origin),
    ...optional('sourceListing', resolveListing(input, origin)),
    destination,
    select: resolveSelect(input.select),
    transform: resolveTransform(input.transform, destination),
    fidelity: resolveFidelity(input.fidelity),
    compare: input.compare,
    onConflict: input.on_conflict,
    sourceGone: input.source_gone,
    allowArchived: input.allow_archived,
    createBucket: input.create_bucket,
    requesterPays: input.requester_pays,
    limits: resolveLimits(input.limits),
    batch: input.batch,
    transfer: resolveTransfer(input.transfer),
    filesystem: input.filesystem,
    verify: input.verify,
    report: { ...optional('file', input.report.file === undefined ? undefined : resolvePath(origin.base, input.report.file)), format: input.report.format },
    executors: input.executors,
  });
}

function resolveSource(input: MigrationInput, origin: Origin): Location {
  const location = resolveLocation(input.source as string | LocationInput, 'source', input.connections, origin);
  if (input.requester_pays && location.kind !== 's3') fail(['requester_pays'], 'has no meaning: the source is not a bucket', 'remove it');
  return location;
}

function resolveListing(input: MigrationInput, origin: Origin): Migration['sourceListing'] {
  if (typeof input.source === 'string') return undefined;
  const { listing, listing_connection: name } = input.source;
  const isInBucket = listing?.startsWith('s3://') === true;
  if (name !== undefined && !isInBucket) fail(['source', 'listing_connection'], 'has no meaning: the listing is not in a bucket', 'remove it');
  if (listing === undefined) return undefined;
  const source = resolveSource(input, origin);
  if (source.kind !== 's3') fail(['source', 'listing'], 'has no meaning: the source is not a bucket', 'remove it');
  if (!isInBucket) return resolvePath(origin.base, listing);
  const { bucket, key } = placeOf(['source', 'listing'], () => parseManifest(listing));
  const connection = name === undefined ? source.connection : namedConnection(name, ['source', 'listing_connection'], input.connections, origin);
  return { location: { kind: 's3', bucket, prefix: '', connection }, manifest: key };
}

function resolveDestination(input: MigrationInput, origin: Origin): Destination {
  const given = input.destination;
  const location = resolveLocation(given, 'destination', input.connections, origin);
  if (location.kind === 'synthetic') fail(['destination'], 'is a synthetic store, which is read-only', 'write s3://bucket/prefix or a path');
  if (input.create_bucket && location.kind !== 's3') fail(['create_bucket'], 'has no meaning: the destination is not a bucket', 'remove it');
  if (typeof given === 'string') return { ...location, sse: 'none' };
  const bucketOnly = given.sse !== 'none' ? 'sse' : given.kms_key_id !== undefined ? 'kms_key_id' : given.storage_class !== undefined ? 'storage_class' : undefined;
  if (location.kind !== 's3' && bucketOnly !== undefined) fail(['destination', bucketOnly], 'has no meaning: the destination is not a bucket', 'remove it');
  if (given.kms_key_id !== undefined && given.sse !== 'aws:kms') fail(['destination', 'kms_key_id'], 'is set without sse: aws:kms', 'add sse: aws:kms, or remove it');
  return { ...location, sse: given.sse, ...optional('kmsKeyId', given.kms_key_id), ...optional('storageClass', given.storage_class) };
}

function resolveLocation(given: string | LocationInput, where: string, connections: Input<'connections'>, origin: Origin): Location {
  if (typeof given === 'string') return withConnection(placeOf([where], () => parsePlace(given, origin.base)), {}, [where], connections, origin);
  const named = (['s3', 'path', 'url'] as const).filter((key) => given[key] !== undefined);
  if (named.length === 0) fail([where], 'says no place', 'add s3: BUCKET, path: DIR or url: URL');
  if (named.length > 1) fail([where, named[1] ?? ''], `stands beside ${named[0]}`, `keep one of ${named.join(', ')}`);
  if (given.prefix !== undefined && given.s3 === undefined) fail([where, 'prefix'], `stands beside ${named[0]}`, given.url === undefined ? 'add it to the path' : 'add it to the URL, or write s3: BUCKET');
  const { s3, path, url, prefix } = given;
  const place: Place = s3 !== undefined ? placeOf([where, 's3'], (): Place => ({ kind: 's3', bucket: checkBucket(s3), prefix: prefix ?? '' }))
    : path !== undefined ? placeOf([where, 'path'], () => pathOnly(path, origin.base))
      : placeOf([where, 'url'], () => parsePlace(url ?? '', origin.base));
  return withConnection(place, given, [where], connections, origin);
}

function pathOnly(text: string, base: string): Place {
  if (/^[a-z0-9]+:\/\//i.test(text)) throw new Problem('is a URL', 'write it under url:');
  return parsePath(text, base);
}

function placeOf<T>(path: Path, parse: () => T): T {
  try {
    return parse();
  } catch (thrown) {
    if (thrown instanceof Problem) throw new Findings([{ path, problem: thrown }]);
    throw thrown;
  }
}

const CONNECTION_KEYS = ['endpoint', 'region', 'provider', 'path_style', 'ca_file', 'insecure_tls', 'proxy', 'payload_signing', 'compression', 'checksum', 'lanes', 'credentials'] as const;

function withConnection(place: Place, given: Partial<LocationInput>, path: Path, connections: Input<'connections'>, origin: Origin): Location {
  const inline = CONNECTION_KEYS.filter((key) => given[key] !== undefined);
  const first = given.connection === undefined ? inline[0] : 'connection';
  if (place.kind !== 's3') {
    if (first !== undefined) fail([...path, first], 'has no meaning: this is not a bucket', 'remove it');
    return place;
  }
  const { maybeObject, ...bucket } = place;
  const object = origin.mayBeObject === true ? optional('maybeObject', maybeObject) : {};
  if (given.connection === undefined) return { ...bucket, ...object, connection: resolveConnection(given, path, origin) };
  if (inline[0] !== undefined) fail([...path, inline[0]], `stands beside connection: ${given.connection}`, 'write it under connections:, or drop the connection: line');
  return { ...bucket, ...object, connection: namedConnection(given.connection, [...path, 'connection'], connections, origin) };
}

function namedConnection(name: string, path: Path, connections: Input<'connections'>, origin: Origin): Connection {
  const names = Object.keys(connections);
  const found = Object.hasOwn(connections, name) ? connections[name] : undefined;
  if (found === undefined) {
    const near = nearestWord(name, names);
    const fix = near !== undefined ? `did you mean ${near}?` : names.length > 0 ? `known: ${names.join(', ')}` : 'add it under connections:';
    fail(path, 'names no entry under connections', fix, 'value');
  }
  return { name, ...resolveConnection(found, ['connections', name], origin) };
}

function resolveConnection(given: Partial<ConnectionInput>, path: Path, origin: Origin): Connection {
  return {
    ...optional('endpoint', given.endpoint),
    ...optional('region', given.region),
    provider: given.provider ?? 'auto',
    pathStyle: given.path_style ?? 'auto',
    ...optional('caFile', given.ca_file === undefined ? undefined : resolvePath(origin.base, given.ca_file)),
    insecureTls: given.insecure_tls ?? false,
    ...optional('proxy', given.proxy),
    payloadSigning: given.payload_signing ?? 'auto',
    compression: given.compression ?? 'off',
    checksum: given.checksum ?? 'auto',
    lanes: given.lanes ?? 'auto',
    credentials: given.credentials === undefined ? { kind: 'default' } : resolveCredentials(given.credentials, [...path, 'credentials'], origin.base),
  };
}

function resolveCredentials(given: CredentialsInput, path: Path, base: string): CredentialRef {
  if ('kind' in given) return given.kind === 'document' ? { kind: 'document', ref: absolute(given.ref, base) } : given;
  const { access_key_id: id, secret_access_key: secret, session_token: token, assume_role: role } = given;
  if (role !== undefined) {
    const part = id !== undefined ? 'access_key_id' : secret !== undefined ? 'secret_access_key' : token !== undefined ? 'session_token' : undefined;
    if (part !== undefined) fail([...path, part], 'stands beside assume_role', 'move it below assume_role: base:');
    return assumedRole(role, [...path, 'assume_role'], base);
  }
  if (id === undefined) fail([...path, 'access_key_id'], 'is missing', 'add access_key_id: env:NAME, or write credentials: profile:NAME or default');
  if (secret === undefined) fail([...path, 'secret_access_key'], 'is missing', 'add secret_access_key: env:NAME');
  return {
    kind: 'keys',
    accessKeyId: absolute(id, base),
    secretAccessKey: absolute(secret, base),
    ...optional('sessionToken', token === undefined ? undefined : absolute(token, base)),
  };
}

type RoleInput = NonNullable<Exclude<CredentialsInput, CredentialRef>['assume_role']>;

function assumedRole(role: RoleInput, path: Path, base: string): AssumeRoleRef {
  const under: CredentialRef = role.base === undefined ? { kind: 'default' } : resolveCredentials(role.base, [...path, 'base'], base);
  if (under.kind === 'anonymous') fail([...path, 'base'], 'is anonymous, and nobody can assume a role', 'write default, profile:NAME or env:PREFIX');
  // STS grants at most one hour when a role assumes a role ("role chaining", IAM User Guide; S3.6).
  if (under.kind === 'assume-role' && role.duration > 3600e3) fail([...path, 'duration'], 'is more than the hour that STS grants when a role assumes a role', 'write 1h', 'value');
  return {
    kind: 'assume-role', roleArn: role.role_arn, ...optional('externalId', role.external_id), sessionName: role.session_name, durationMs: role.duration, base: under,
  };
}

/** A relative file is taken from `base`. */
export function absolute(ref: ValueRef, base: string): ValueRef {
  return ref.from === 'file' ? { from: 'file', path: resolvePath(base, ref.path) } : ref;
}

function resolveSelect(given: Input<'select'>): Select {
  const { min_size: minSize, max_size: maxSize, modified_after: after, modified_before: before } = given;
  if (minSize !== undefined && maxSize !== undefined && minSize > maxSize) fail(['select', 'max_size'], 'is less than min_size: nothing would be selected', 'exchange the two');
  if (after?.kind === before?.kind && after !== undefined && before !== undefined && emptySpan(after.kind, after.ms, before.ms)) {
    fail(['select', 'modified_before'], 'lies before modified_after: nothing would be selected', 'exchange the two');
  }
  return {
    include: given.include, exclude: given.exclude, ...optional('minSize', minSize), ...optional('maxSize', maxSize),
    ...optional('modifiedAfter', after), ...optional('modifiedBefore', before), minAgeMs: given.min_age,
  };
}

/** Instants grow with time, ages shrink. */
function emptySpan(kind: 'instant' | 'age', after: number, before: number): boolean {
  return kind === 'instant' ? before <= after : before >= after;
}

function resolveTransform(given: Input<'transform'>, destination: Location): Migration['transform'] {
  const bytes = Object.entries(given.metadata.set).reduce((sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value), 0);
  // Amazon S3 User Guide, "Working with object metadata": 2 KB of user metadata.
  if (bytes > 2048) fail(['transform', 'metadata', 'set'], `takes ${bytes} bytes, more than the 2,048 that stores keep`, 'shorten it');
  return { tags: given.tags, metadata: given.metadata, ...optional('storageClass', given.storage_class), keyPrefix: placeOf(['transform', 'key_prefix'], () => checkKeyPrefix(given.key_prefix, destination.kind)) };
}

function resolveFidelity(given: Input<'fidelity'>): Fidelity {
  return {
    contentHeaders: given.content_headers, userMetadata: given.user_metadata, tags: given.tags,
    storageClass: given.storage_class, mtime: given.mtime, mode: given.mode,
  };
}

function resolveLimits(given: Input<'limits'>): Limits {
  const schedule = given.schedule.map(({ days, from, to, bandwidth, requests }, index) => {
    const path = ['limits', 'schedule', index];
    if (from === to) fail([...path, 'to'], 'is the same as from: such a window has no minute', 'write 00:00 and 24:00 for the whole day', 'value');
    if (bandwidth === undefined && requests === undefined) fail(path, 'limits nothing', 'add bandwidth: or requests:');
    return { days, from, to, ...optional('bandwidth', bandwidth), ...optional('requests', requests) };
  });
  const memory = { concurrency: given.concurrency, listings: given.listings, largeObjects: given.large_objects, memory: given.memory };
  return { ...optional('bandwidth', given.bandwidth), ...optional('requests', given.requests), ...memory, schedule, ...optional('timezone', given.timezone) };
}

function resolveTransfer(given: Input<'transfer'>): Transfer {
  return {
    partSize: given.part_size, partConcurrency: given.part_concurrency, serverSideCopy: given.server_side_copy,
    multipartThreshold: given.multipart_threshold, singleCopyLimit: given.single_copy_limit, stallTimeoutMs: given.stall_timeout, stallRate: given.stall_rate,
    hedgeReads: given.hedge_reads,
  };
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : { [key]: value } as { [P in K]?: V };
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
