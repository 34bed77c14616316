/** A directory as a store. Keys become paths by names.ts; nothing planted below the root leads out of it (jail.ts); writes are whole or not at all (commit.ts). */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { BrigadeError, cancelled, usageError } from '../../core/errors.ts';
import { showKey, type Key } from '../../core/key.ts';
import type { Random } from '../../ports/clock.ts';
import type { ListPage, ListRequest, Store, StoreFacts } from '../../ports/storage.ts';
import { Jail } from './jail.ts';
import { fileMultipart, type Workshop } from './multipart.ts';
import { isRefusal, keyOf, markerRefusal, MAX_PATH_BYTES, placeOf, type NameMode, type Place, type Raw, type Refusal } from './names.ts';
import { headFile, readFile, type Sight } from './read.ts';
import { fstat } from './syscalls.ts';
import { untieFile } from './untie.ts';
import { Walk } from './walk.ts';
import { removeFile, setDirectory, sweep, writeFile } from './write.ts';

export { collisionKey, filesystemType, probeGranularity, probeNames, type FilesystemType, type NameProbe } from './probe.ts';
export type { NameMode } from './names.ts';

export interface FilesystemOptions {
  /** The directory; a relative path is taken from where the process is. */
  readonly root: string;
  /** Start of a key, ending with a slash, that stands before every key: folders below the root, made and entered as those of any key. */
  readonly below?: Key;
  /** `verbatim`: names as they are, what cannot be a name is refused. `escaped`: names.ts. */
  readonly names: NameMode;
  /** Symbolic links below the root. Default `skip`. Never followed on writing. */
  readonly links?: 'skip' | 'follow';
  /** For names of temporaries. */
  readonly random: Random;
  /** `fsync` (default): a write that was told survives a power cut. `none`: for tests. */
  readonly durability?: 'fsync' | 'none';
  /** Makes the root on the first use. Directories below it are made by writes in any case. Default false. */
  readonly create?: boolean;
  /** `private`: a directory that is made is its owner's alone until setDirectory(), and one that forbids its owner to write is opened for it. Default `plain`: as the umask says. */
  readonly directories?: 'plain' | 'private';
  /** Entries per page of a listing. Default 1,000. */
  readonly pageSize?: number;
  /** What the listing shall show; asked before a file is even looked at (F053). Directories end with `/`. */
  readonly wanted?: (key: Key, isDirectory: boolean) => boolean;
  /** Names kept for unfinished files: `hide` (default) where they are ours, `tell` where they may be somebody's: then each is listed as skipped. */
  readonly temporaries?: 'hide' | 'tell';
  /** Name children through /proc/self/fd. Default: where it exists. */
  readonly procfs?: boolean;
}

const FACTS: Omit<StoreFacts, 'maxKeyBytes'> = {
  names: 'posix', ordered: true, maxObjectSize: Infinity, maxSingleWrite: Infinity, maxSingleCopy: 0,
  minPartSize: 1, maxPartSize: Infinity, maxParts: 100_000, guards: { absent: true, matches: true, onComplete: true },
  checksums: [], fullObjectChecksum: false, verifiesOnWrite: false,
  attributes: { contentHeaders: false, userMetadata: false, tags: false, storageClass: false, mtime: true, mode: true },
  maxUserMetadataBytes: 0, maxTags: 0, provider: 'filesystem',
};

/** The parts of an open store that its calls share. */
interface Context extends Workshop, Sight {
  readonly options: FilesystemOptions;
  readonly root: string;
  readonly reading: Jail;
  readonly procfs: boolean;
  find(key: Key, size: number): Place | Refusal;
}

export interface FilesystemStore extends Store {
  /** Removes unfinished files of killed writers that last changed before this moment (milliseconds since 1970); answers how many. Uploads stay. */
  sweep(beforeMs: number, signal?: AbortSignal): Promise<number>;
  untie(key: Key, signal?: AbortSignal): Promise<void>;
}

export function createFilesystemStore(options: FilesystemOptions): FilesystemStore {
  const context = contextOf(options);
  const { root, jail, reading } = context;
  const sight: Sight = { jail: reading, follow: context.follow, location: (key) => context.location(key) };
  return {
    address: root,
    facts: { ...FACTS, maxKeyBytes: MAX_PATH_BYTES - rootBytes(root) - 1 },
    identity: async () => identity(jail),
    list: (request) => list(context, request),
    head: async (key, more) => {
      stopIfAborted(more?.signal, 'head');
      return headFile(sight, key, context.lookup(key, 'head'));
    },
    read: async (request) => {
      stopIfAborted(request.signal, 'read');
      return readFile(sight, request, context.lookup(request.key, 'read'));
    },
    write: async (request) => writeFile(context, request, context.place(request.key, request.body.size)),
    remove: async (key, signal) => {
      stopIfAborted(signal, 'remove');
      await removeFile(context, key, context.place(key, 0));
    },
    setDirectory: async (key, attributes, signal) => {
      stopIfAborted(signal, 'setDirectory');
      await setDirectory(context, key, context.lookup(key, 'setDirectory'), attributes);
    },
    refuses: ({ key, size }) => {
      const found = context.find(key, size);
      return isRefusal(found) ? found : undefined;
    },
    multipart: fileMultipart(context),
    sweep: async (beforeMs, signal) => sweep(context, context.temporaries(signal), beforeMs),
    untie: async (key, signal) => {
      stopIfAborted(signal, 'untie');
      await untieFile(context, key, context.place(key, 0));
    },
    close: async () => {
      await jail.close();
      if (reading !== jail) await reading.close();
    },
  };
}

function contextOf(options: FilesystemOptions): Context & { lookup(key: Key, op: string): Place } {
  const top = resolve(options.root);
  const segments = segmentsBelow(options, top);
  const root = segments.length === 0 ? top : resolve(top, segments.map(keyOf).join('/'));
  const durable = options.durability !== 'none';
  const follow = options.links === 'follow';
  const procfs = options.procfs ?? (process.platform === 'linux' && existsSync('/proc/self/fd'));
  const create = options.create ?? false;
  const within = segments.length === 0 ? {} : { within: { jail: new Jail({ root: top, create, durable, procfs }), segments } };
  const jail = new Jail({ root, create, durable, procfs, privately: options.directories === 'private', ...within });
  const location = (key: Key): string => `${root}/${showKey(key)}`;
  const find = (key: Key, size: number): Place | Refusal => {
    const place = placeOf(key, options.names, rootBytes(root));
    return isRefusal(place) ? place : (markerRefusal(place, size) ?? place);
  };
  const base = { options, root, durable, follow, jail, location, find, procfs };
  return {
    ...base,
    reading: follow ? new Jail({ root, create: false, durable, procfs, follow, ...within }) : jail,
    newId: () => Array.from({ length: 16 }, () => Math.floor(options.random.next() * 36).toString(36)).join(''),
    place: (key, size) => {
      const found = find(key, size);
      if (isRefusal(found)) throw new BrigadeError({ ...found, kind: 'object', op: 'write', location: location(key) });
      return found;
    },
    lookup: (key, op) => {
      const found = find(key, 0);
      // What cannot stand here does not stand here.
      if (isRefusal(found)) throw new BrigadeError({ code: 'E_NOT_FOUND', kind: 'gone', message: `no such file: ${found.message}`, op, location: location(key) });
      return found;
    },
    temporaries: (signal) => temporaries(base, signal),
  };
}

/** @throws usage error where the prefix is none of a folder. */
function segmentsBelow({ below = '', names }: FilesystemOptions, top: string): readonly Raw[] {
  if (below === '') return [];
  const place = placeOf(below, names, rootBytes(top));
  if (isRefusal(place)) throw usageError(place.code, `the key prefix cannot stand in a folder: ${place.message}`, 'correct transform.key_prefix', top);
  if (!place.directory) throw usageError('E_NAME_FORBIDDEN', 'the key prefix does not end with a slash', 'correct transform.key_prefix', top);
  return place.segments;
}

type Base = Pick<Context, 'options' | 'root' | 'jail' | 'follow'> & { readonly procfs: boolean };

async function* list(context: Base, request: ListRequest): AsyncGenerator<ListPage> {
  const wanted = request.directories === true ? onlyDirectories(context.options) : context.options.wanted;
  for await (const entries of walk(context, request, wanted === undefined ? {} : { wanted })) yield { entries };
}

function onlyDirectories({ wanted }: FilesystemOptions): (key: Key, isDirectory: boolean) => boolean {
  return (key, isDirectory) => isDirectory && wanted?.(key, true) !== false;
}

/** The walk holds the root open: it sees one tree, whatever is renamed above it. */
async function* walk(context: Base, request: ListRequest, more: Partial<ConstructorParameters<typeof Walk>[1]>): ReturnType<Walk['pages']> {
  const { options, root, jail, follow, procfs } = context;
  stopIfAborted(request.signal, 'list');
  const dir = await jail.acquire([], false, 'list');
  try {
    const links = follow ? 'follow' : 'skip';
    const walker = new Walk(root, { names: options.names, links, temporaries: options.temporaries ?? 'hide', prefix: request.prefix ?? '', startAfter: request.startAfter, signal: request.signal, procfs, ...more });
    yield* walker.pages(procfs ? `/proc/self/fd/${dir.fd}` : root, options.pageSize ?? 1000);
  } finally {
    await jail.release(dir);
  }
}

/** Unfinished files, found on one walk of the tree. */
async function* temporaries(context: Base, signal: AbortSignal | undefined): AsyncGenerator<{ readonly segments: readonly Raw[]; readonly name: Raw }> {
  const found: { readonly directory: Raw; readonly name: Raw }[] = [];
  const onTemporary = (directory: Raw, name: Raw): void => {
    found.push({ directory, name });
  };
  const request = signal === undefined ? {} : { signal };
  const segmentsOf = (directory: Raw): readonly Raw[] => {
    const place = placeOf(keyOf(directory), context.options.names, 0);
    return isRefusal(place) ? [] : place.segments;
  };
  for await (const _ of walk({ ...context, follow: false }, request, { onTemporary })) {
    for (const { directory, name } of found.splice(0)) yield { segments: segmentsOf(directory), name };
  }
  for (const { directory, name } of found) yield { segments: segmentsOf(directory), name };
}

async function identity(jail: Jail): Promise<string> {
  const dir = await jail.acquire([], false, 'identity');
  try {
    const stats = await fstat(dir.fd);
    return `file:${stats.dev}:${stats.ino}`;
  } finally {
    await jail.release(dir);
  }
}

function rootBytes(root: string): number {
  return root === '/' ? 0 : Buffer.byteLength(root);
}

function stopIfAborted(signal: AbortSignal | undefined, op: string): void {
  if (signal?.aborted === true) throw cancelled(op);
}
