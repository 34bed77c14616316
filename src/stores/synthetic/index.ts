/** A store that holds any number of objects and no memory: read-only, the same for the same seed. For tests of scale. */
import { setImmediate } from 'node:timers/promises';
import { BrigadeError, cancelled, type ErrorKind } from '../../core/errors.ts';
import { compareKeys, showKey, type Key } from '../../core/key.ts';
import type { ObjectEntry, ObjectInfo, Token } from '../../core/object.ts';
import type { ListPage, ListRequest, ObjectRead, ReadRequest, Store, StoreFacts } from '../../ports/storage.ts';
import { bytesOf, makeBlock, sizeAt, type Size } from './content.ts';
import { firstIndex, indexOf, keyAt, mix, type KeyPlan, type Shape } from './keys.ts';

export type { Size } from './content.ts';
export type { Shape } from './keys.ts';

export interface SyntheticOptions {
  /** Objects; 1e9 costs no more than 10. */
  readonly count: number;
  readonly seed: number;
  /** Bytes per object: all alike, between two bounds, or as real buckets are. Default `mixed`. */
  readonly size?: Size;
  /** Default `flat`. */
  readonly shape?: Shape;
  /** Bytes per key, about. Default 60. */
  readonly keyLength?: number;
  /** Entries per page of a listing. Default 1,000. */
  readonly pageSize?: number;
}

const FACTS: StoreFacts = {
  names: 'opaque', ordered: true, maxKeyBytes: 1024, maxObjectSize: Infinity, maxSingleWrite: Infinity, maxSingleCopy: 0, minPartSize: 1, maxPartSize: Infinity, maxParts: 10_000,
  guards: { absent: false, matches: false, onComplete: false }, checksums: [], fullObjectChecksum: false, verifiesOnWrite: false,
  attributes: { contentHeaders: false, userMetadata: false, tags: false, storageClass: false, mtime: false, mode: false }, maxUserMetadataBytes: 0, maxTags: 0, provider: 'synthetic',
};
/** 2020-09-13, so that times are plausible. */
const EPOCH_MS = 1_600_000_000_000;

export function createSyntheticStore(options: SyntheticOptions): Store {
  const store = new SyntheticStore(options);
  const refuse = async (op: string, key: Key): Promise<never> => {
    throw store.error('E_READ_ONLY', 'unsupported', op, key, 'a synthetic store cannot be written');
  };
  return {
    address: store.address,
    facts: FACTS,
    identity: async () => store.address,
    list: (request) => store.list(request),
    head: async (key, more) => {
      if (more?.signal?.aborted === true) throw cancelled('head');
      return store.info(key, store.find(key, 'head'));
    },
    read: async (request) => store.read(request),
    write: async ({ key }) => refuse('write', key),
    remove: async (key) => refuse('remove', key),
    refuses: () => ({ code: 'E_READ_ONLY', message: 'a synthetic store cannot be written' }),
    close: async () => {},
  };
}

class SyntheticStore {
  readonly address: string;
  readonly #plan: KeyPlan;
  readonly #size: Size;
  readonly #pageSize: number;
  #block: Buffer | undefined;

  constructor({ count, seed, size = 'mixed', shape = 'flat', keyLength = 60, pageSize = 1000 }: SyntheticOptions) {
    this.#plan = { count, seed, shape, keyLength };
    this.#size = size;
    this.#pageSize = pageSize;
    const sizes = typeof size === 'object' ? `${size.min}-${size.max}` : String(size);
    this.address = `synthetic://${shape}-${count}-${sizes}-${keyLength}-${seed}`;
  }

  error(code: string, kind: ErrorKind, op: string, key: Key, message: string): BrigadeError {
    return new BrigadeError({ code, kind, op, message, location: `${this.address}/${showKey(key)}` });
  }

  find(key: Key, op: string): number {
    const index = indexOf(this.#plan, key);
    if (index === undefined) throw this.error('E_NOT_FOUND', 'gone', op, key, 'no such object');
    return index;
  }

  info(key: Key, index: number): ObjectInfo {
    const { size, token, modifiedMs } = this.#facts(index);
    return { key, size, token, modifiedMs, headers: {}, userMetadata: new Map() };
  }

  async *list({ prefix = '', startAfter, signal }: ListRequest): AsyncGenerator<ListPage> {
    const plan = this.#plan;
    const fromPrefix = firstIndex(plan, (key) => compareKeys(key, prefix) >= 0);
    let index = startAfter === undefined ? fromPrefix : Math.max(fromPrefix, firstIndex(plan, (key) => compareKeys(key, startAfter) > 0));
    for (;;) {
      // As a real store would: between two pages others have their turn.
      await setImmediate();
      if (signal?.aborted === true) throw cancelled('list');
      const entries = this.#page(index, prefix);
      index += entries.length;
      if (entries.length > 0) yield { entries };
      if (entries.length < this.#pageSize) return;
    }
  }

  #page(start: number, prefix: Key): readonly ObjectEntry[] {
    const entries: ObjectEntry[] = [];
    for (let index = start; index < this.#plan.count && entries.length < this.#pageSize; index++) {
      const key = keyAt(this.#plan, index);
      if (!key.startsWith(prefix)) break;
      entries.push({ key, kind: 'object', ...this.#facts(index) });
    }
    return entries;
  }

  #facts(index: number): { readonly size: number; readonly token: Token; readonly modifiedMs: number } {
    const { seed } = this.#plan;
    const size = sizeAt(this.#size, seed, index);
    const hash = mix(seed ^ 0x70ce, index);
    return { size, token: `s${hash.toString(36)}-${size.toString(36)}`, modifiedMs: EPOCH_MS + hash };
  }

  read(request: ReadRequest): ObjectRead {
    const { key, range, expectedSize, signal, pin } = request;
    if (signal?.aborted === true) throw cancelled('read');
    const index = this.find(key, 'read');
    const info = this.info(key, index);
    if (pin !== undefined && pin.token !== info.token) throw this.error('E_SRC_CHANGED', 'changed', 'read', key, 'the object is not the version that was listed');
    if (expectedSize !== info.size) throw this.error('E_SIZE_LIST_MISMATCH', 'transient', 'read', key, `listed with ${expectedSize} bytes, but it has ${info.size}`);
    const { offset, length } = range ?? { offset: 0, length: info.size };
    if (offset < 0 || length < 0 || offset + length > info.size) throw this.error('E_RANGE', 'internal', 'read', key, `no bytes ${offset}+${length} in an object of ${info.size}`);
    return { info, chunks: this.#chunks(index, offset, offset + length, signal), discard: () => {} };
  }

  async *#chunks(index: number, from: number, end: number, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
    this.#block ??= makeBlock(this.#plan.seed);
    for (const chunk of bytesOf(this.#block, this.#plan.seed, index, from, end)) {
      if (signal?.aborted === true) throw cancelled('read');
      yield chunk;
    }
  }
}
