/** A whole store in memory: every ability of the port, no faults of its own. For tests and simulations. */
import type { Key } from '../../core/key.ts';
import { NO_ATTRIBUTES, type Attributes, type ObjectEntry, type ObjectInfo, type Pin, type Token } from '../../core/object.ts';
import { GiB, KiB, TiB } from '../../core/units.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ListPage, ListRequest, Multipart, ObjectRead, Part, ReadRequest, ServerCopy, Store, StoreFacts, WriteRequest, Written } from '../../ports/storage.ts';
import { MemoryMultipart } from './multipart.ts';
import { MemoryState, stopIfAborted, type Held } from './state.ts';

export interface MemoryOptions {
  /** Name in the address and the identity. Default `memory`. */
  readonly name?: string;
  /** Facts to change: an ability that is declared away is away. */
  readonly facts?: Partial<StoreFacts>;
  /** Entries per page of a listing. Default 1,000. */
  readonly pageSize?: number;
  /** Without one, modification times are a sequence: 1, 2, 3 …, and nobody knows when an upload was begun. */
  readonly clock?: Clock;
  /** Copies from other memory stores by itself. Default false. */
  readonly serverCopy?: boolean;
  /** Takes parts. Default true. */
  readonly multipart?: boolean;
  /** Bytes per chunk of a read. Default 64 KiB. */
  readonly chunkSize?: number;
}

export interface MemoryStore extends Store {
  /** Lays an object down at once, past all guards. */
  put(key: Key, bytes: Uint8Array | string, attributes?: Attributes): Token;
  /** The bytes that stand at the key now; not a copy. */
  bytes(key: Key): Buffer | undefined;
  /** Objects held. */
  readonly count: number;
}

const FACTS: StoreFacts = {
  names: 'opaque', ordered: true, maxKeyBytes: 1024, maxObjectSize: 50 * TiB, maxSingleWrite: 5 * GiB, maxSingleCopy: 5 * GiB,
  minPartSize: 1, maxPartSize: 5 * GiB, maxParts: 10_000, guards: { absent: true, matches: true, onComplete: true },
  checksums: ['crc32', 'sha256'], fullObjectChecksum: true, verifiesOnWrite: true,
  attributes: { contentHeaders: true, userMetadata: true, tags: true, storageClass: true, mtime: false, mode: false },
  maxUserMetadataBytes: 2 * KiB, maxTags: 10, provider: 'memory',
};

/** By which a memory store knows another one it can copy from. */
const states = new WeakMap<Store, MemoryState>();

export function createMemoryStore(options: MemoryOptions = {}): MemoryStore {
  const state = new MemoryState({ ...FACTS, ...options.facts }, `memory://${options.name ?? 'memory'}`, options.clock);
  const multipart = new MemoryMultipart(state);
  const store: MemoryStore = {
    address: state.address,
    facts: state.facts,
    identity: async () => state.address,
    list: (request) => list(state, request, options.pageSize ?? 1000),
    head: async (key, more) => head(state, key, more),
    read: async (request) => read(state, request, options.chunkSize ?? 64 * KiB),
    write: (request) => write(state, request),
    remove: async (key, signal) => {
      stopIfAborted(signal, 'remove');
      state.objects.delete(key);
    },
    ...(state.facts.attributes.tags ? { readTags: async (key: Key, pin?: Pin) => new Map(state.pinned(key, pin, 'readTags').attributes.tags ?? []) } : {}),
    refuses: ({ key }) => state.refuses(key),
    ...(options.multipart === false ? {} : { multipart: multipart as Multipart }),
    ...(options.serverCopy === true ? { serverCopy: serverCopy(state, multipart) } : {}),
    close: async () => {},
    put: (key, bytes, attributes) => state.commit(key, Buffer.from(bytes), attributes ?? NO_ATTRIBUTES, undefined, 'put').token,
    bytes: (key) => state.objects.get(key)?.bytes,
    get count() {
      return state.objects.size;
    },
  };
  states.set(store, state);
  return store;
}

async function* list(state: MemoryState, request: ListRequest, pageSize: number): AsyncGenerator<ListPage> {
  let after = request.startAfter;
  for (;;) {
    stopIfAborted(request.signal, 'list');
    const slice = state.objects.slice(request.prefix ?? '', after, pageSize);
    if (slice.length > 0) yield { entries: slice.map(([key, held]) => entryOf(key, held)) };
    if (slice.length < pageSize) return;
    after = slice.at(-1)?.[0];
  }
}

function entryOf(key: Key, held: Held): ObjectEntry {
  const { storageClass } = held.attributes;
  return { key, size: held.bytes.length, token: held.token, modifiedMs: held.modifiedMs, kind: 'object', ...(storageClass === undefined ? {} : { storageClass }) };
}

function head(state: MemoryState, key: Key, more: { readonly checksum?: boolean; readonly signal?: AbortSignal } | undefined): ObjectInfo {
  stopIfAborted(more?.signal, 'head');
  return state.info(key, state.held(key, 'head'), more?.checksum === true);
}

function read(state: MemoryState, request: ReadRequest, chunkSize: number): ObjectRead {
  const { key, range, expectedSize, signal } = request;
  stopIfAborted(signal, 'read');
  const held = state.pinned(key, request.pin, 'read');
  if (held.bytes.length !== expectedSize) {
    throw state.error('E_SIZE_LIST_MISMATCH', 'transient', 'read', key, `listed with ${expectedSize} bytes, but it has ${held.bytes.length}`);
  }
  if (range !== undefined && (range.length <= 0 || range.offset < 0 || range.offset + range.length > held.bytes.length)) {
    throw state.error('E_RANGE', 'internal', 'read', key, `no bytes ${range.offset}+${range.length} in an object of ${held.bytes.length}`);
  }
  const bytes = range === undefined ? held.bytes : held.bytes.subarray(range.offset, range.offset + range.length);
  return { info: state.info(key, held, false), chunks: chunksOf(bytes, chunkSize, signal), discard: () => {} };
}

/** Each chunk is a copy that is spoiled when the next one is asked for: a consumer that keeps chunks shows at once. */
async function* chunksOf(bytes: Buffer, chunkSize: number, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(Math.min(chunkSize, bytes.length));
  for (let at = 0; at < bytes.length; at += chunkSize) {
    stopIfAborted(signal, 'read');
    const length = bytes.copy(buffer, 0, at, Math.min(bytes.length, at + chunkSize));
    yield buffer.subarray(0, length);
    buffer.fill(0xdd);
  }
}

async function write(state: MemoryState, request: WriteRequest): Promise<Written> {
  const { key, body, attributes, guard, signal } = request;
  state.admit(key, body.size, attributes, 'write');
  if (body.size > state.facts.maxSingleWrite) throw state.error('E_TOO_LARGE', 'object', 'write', key, `one write takes ${state.facts.maxSingleWrite} bytes`);
  const bytes = await state.take(key, body, 'write', signal);
  state.checkGuard(key, guard, 'write');
  return state.commit(key, bytes, attributes, body.checksum, 'write');
}

function serverCopy(state: MemoryState, multipart: MemoryMultipart): ServerCopy {
  const source = (from: Store, key: Key, pin: Pin): Held => {
    const other = states.get(from);
    if (other === undefined) throw state.error('E_NO_SERVER_COPY', 'unsupported', 'copy', key, `cannot copy from ${from.address}`);
    return other.pinned(key, pin, 'copy');
  };
  return {
    canCopyFrom: (from) => states.has(from),
    copy: async (request) => {
      const held = source(request.source, request.key, request.pin);
      state.admit(request.key, held.bytes.length, request.attributes, 'copy');
      state.checkGuard(request.key, request.guard, 'copy');
      return state.commit(request.key, held.bytes, request.attributes, held.checksum, 'copy');
    },
    copyPart: async (upload, number, request): Promise<Part> => {
      const { bytes } = source(request.source, request.key, request.pin);
      return multipart.keep(upload, number, bytes.subarray(request.range.offset, request.range.offset + request.range.length));
    },
  };
}
