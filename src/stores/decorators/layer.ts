/**
 * What all decorators share: a store that calls through to another one, with one function around every request. Optional members stay
 * optional, facts stay what they are, and a server-side copy is handed the driver's own store, since it cannot read a wrapped one.
 */
import type { Key } from '../../core/key.ts';
import type { Body, ListPage, ListRequest, Multipart, ObjectRead, OpenUpload, ReadRequest, ServerCopy, Store } from '../../ports/storage.ts';

export type Op =
  | 'identity' | 'list' | 'head' | 'read' | 'write' | 'remove' | 'readTags' | 'writeTags'
  | 'create' | 'putPart' | 'complete' | 'abort' | 'listParts' | 'listUploads' | 'copy' | 'copyPart';

/** One request on its way to the store. */
export interface Call {
  readonly op: Op;
  readonly key?: Key | undefined;
  /** Bytes that the request carries to the store. */
  readonly bytes?: number;
  readonly signal: AbortSignal | undefined;
}

type Uploads = (signal?: AbortSignal) => AsyncIterable<OpenUpload>;

export interface Layer {
  /** Around every request; for listings around every page. */
  call<T>(call: Call, run: () => Promise<T>): Promise<T>;
  /** Instead of `call` around the opening of a body. */
  read?(request: ReadRequest, open: (request: ReadRequest) => Promise<ObjectRead>): Promise<ObjectRead>;
  /** Changes how a body is read on its way to the store. */
  body?(body: Body, signal: AbortSignal | undefined): Body | Promise<Body>;
  /** Instead of `call` around every page. Needed by who calls `run` twice: an iterator that threw once is over and says `done`. */
  list?(request: ListRequest, open: (request: ListRequest) => AsyncIterable<ListPage>): AsyncIterable<ListPage>;
  uploads?(signal: AbortSignal | undefined, open: Uploads): AsyncIterable<OpenUpload>;
}

const innermost = new WeakMap<Store, Store>();

/** The driver's own store below all decorators. */
export function undecorated(store: Store): Store {
  return innermost.get(store) ?? store;
}

/** The same store with other members, of which `layer` knows nothing. */
export function instead(store: Store, members: Partial<Store>): Store {
  const outer = Object.defineProperties({}, { ...Object.getOwnPropertyDescriptors(store), ...Object.getOwnPropertyDescriptors(members) }) as Store;
  innermost.set(outer, undecorated(store));
  return outer;
}

export function layer(store: Store, layer: Layer): Store {
  const { call } = layer;
  const shape = async (body: Body, signal: AbortSignal | undefined) => (layer.body === undefined ? body : layer.body(body, signal));
  const open = (request: ReadRequest) => store.read(request);
  const readTags = store.readTags?.bind(store);
  const writeTags = store.writeTags?.bind(store);
  const setDirectory = store.setDirectory?.bind(store);
  const sweep = store.sweep?.bind(store);
  const untie = store.untie?.bind(store);
  const driver = undecorated(store);
  const outer: Store = {
    address: store.address,
    get facts() {
      return driver.facts;
    },
    identity: (signal) => call({ op: 'identity', signal }, () => store.identity(signal)),
    list: (request) => {
      const pages = (again: ListRequest) => store.list(again);
      return layer.list === undefined ? eachStep(() => pages(request), { op: 'list', key: request.prefix, signal: request.signal }, call) : layer.list(request, pages);
    },
    head: (key, options) => call({ op: 'head', key, signal: options?.signal }, () => store.head(key, options)),
    read: (request) =>
      layer.read === undefined ? call({ op: 'read', key: request.key, signal: request.signal }, () => open(request)) : layer.read(request, open),
    write: (request) =>
      call({ op: 'write', key: request.key, bytes: request.body.size, signal: request.signal }, async () =>
        store.write({ ...request, body: await shape(request.body, request.signal) })),
    remove: (key, signal) => call({ op: 'remove', key, signal }, () => store.remove(key, signal)),
    ...(readTags === undefined ? {} : { readTags: (key, pin, signal) => call({ op: 'readTags', key, signal }, () => readTags(key, pin, signal)) }),
    ...(writeTags === undefined ? {} : { writeTags: (key, tags, signal) => call({ op: 'writeTags', key, signal }, () => writeTags(key, tags, signal)) }),
    ...(setDirectory === undefined ? {} : { setDirectory }),
    ...(sweep === undefined ? {} : { sweep }),
    ...(untie === undefined ? {} : { untie }),
    refuses: (entry) => store.refuses(entry),
    ...(store.multipart === undefined ? {} : { multipart: layerMultipart(store.multipart, layer, shape) }),
    ...(store.serverCopy === undefined ? {} : { serverCopy: layerCopy(store.serverCopy, layer) }),
    close: () => store.close(),
  };
  innermost.set(outer, driver);
  return outer;
}

function layerMultipart(inner: Multipart, layer: Layer, shape: (body: Body, signal: AbortSignal | undefined) => Promise<Body>): Multipart {
  const { call } = layer;
  return {
    create: (request) => call({ op: 'create', key: request.key, signal: request.signal }, () => inner.create(request)),
    putPart: (upload, number, body, signal) =>
      call({ op: 'putPart', key: upload.key, bytes: body.size, signal }, async () => inner.putPart(upload, number, await shape(body, signal), signal)),
    complete: (request) => call({ op: 'complete', key: request.upload.key, signal: request.signal }, () => inner.complete(request)),
    abort: (upload, signal) => call({ op: 'abort', key: upload.key, signal }, () => inner.abort(upload, signal)),
    listParts: (upload, signal) => call({ op: 'listParts', key: upload.key, signal }, () => inner.listParts(upload, signal)),
    listUploads: (signal) => {
      const uploads: Uploads = (again) => inner.listUploads(again);
      return layer.uploads === undefined ? eachStep(() => uploads(signal), { op: 'listUploads', signal }, call) : layer.uploads(signal, uploads);
    },
  };
}

function layerCopy(inner: ServerCopy, { call }: Layer): ServerCopy {
  return {
    canCopyFrom: (source) => inner.canCopyFrom(undecorated(source)),
    copy: (request) =>
      call({ op: 'copy', key: request.key, signal: request.signal }, () => inner.copy({ ...request, source: undecorated(request.source) })),
    copyPart: (upload, number, request) =>
      call({ op: 'copyPart', key: upload.key, signal: request.signal }, () =>
        inner.copyPart(upload, number, { ...request, source: undecorated(request.source) })),
  };
}

/**
 * One call around each step of an iteration. Leaving early leaves the inner iteration too. No generator: what one has yielded stays
 * reachable from its frame until the next step has come, which for a page of a listing is long enough to grow old.
 */
function eachStep<T>(open: () => AsyncIterable<T>, about: Call, call: Layer['call']): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: () => new Steps(open()[Symbol.asyncIterator](), about, call) };
}

class Steps<T> implements AsyncIterator<T, undefined> {
  readonly #inner: AsyncIterator<T>;
  readonly #about: Call;
  readonly #call: Layer['call'];
  #over = false;

  constructor(inner: AsyncIterator<T>, about: Call, call: Layer['call']) {
    this.#inner = inner;
    this.#about = about;
    this.#call = call;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    if (this.#over) return OVER;
    try {
      const step = await this.#call(this.#about, () => this.#inner.next());
      if (step.done !== true) return step;
    } catch (thrown) {
      await this.return();
      throw thrown;
    }
    this.#over = true;
    return OVER;
  }

  async return(): Promise<IteratorResult<T, undefined>> {
    if (this.#over) return OVER;
    this.#over = true;
    await this.#inner.return?.();
    return OVER;
  }
}

const OVER = { done: true, value: undefined } as const;

/** The same read with its bytes going through `transform`; `ended` is called exactly once, however the read ends. A body in memory has ended; its bytes are not transformed. */
export function throughBody(read: ObjectRead, transform: (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>, ended: (thrown?: unknown) => void): ObjectRead {
  if (read.bytes !== undefined) {
    ended();
    return read;
  }
  let over = false;
  const end = (thrown?: unknown) => {
    if (over) return;
    over = true;
    ended(thrown);
  };
  const chunks = async function* () {
    try {
      yield* transform(read.chunks);
    } catch (thrown) {
      end(thrown);
      throw thrown;
    } finally {
      end();
    }
  };
  return {
    info: read.info,
    chunks: chunks(),
    discard() {
      read.discard();
      end();
    },
  };
}
