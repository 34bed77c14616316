/** What a driver hands to the conformance suite, and the bench on which each check runs. */
import assert from 'node:assert/strict';
import { BrigadeError, type ErrorKind } from '../../core/errors.ts';
import { compareKeys, showKey, type Key } from '../../core/key.ts';
import { NO_ATTRIBUTES, type Attributes, type ObjectEntry, type Pin } from '../../core/object.ts';
import type { Guard, ListRequest, ReadRequest, Store, Written } from '../../ports/storage.ts';
import { bodyOf, collect } from './content.ts';

export interface OpenedStore {
  /** Empty, and shared with no other check. */
  readonly store: Store;
  /** Another handle on the same objects, as a second process would open it; absent where that cannot be. */
  again?(): Promise<Store>;
  cleanup(): Promise<void>;
}

export interface ConformanceOptions {
  /** Objects that surely fill more than one page of a listing. Default 1,050. */
  readonly manyObjects?: number;
  /** Writes in flight while many objects are laid down. Default 16. */
  readonly concurrency?: number;
  /** Part size of multipart checks, bytes. Default: the larger of 64 KiB and the store's smallest. */
  readonly partSize?: number;
  /** What this store was measured to do wrong and answers 200 to: no driver can see it, so the check asserts what is left (docs/stores.md). */
  readonly flaws?: readonly Flaw[];
  /** The store cannot be written: only the read-only checks run, over what create() has put there (at least 10 objects). */
  readonly readOnly?: boolean;
}

/**
 * - `accepts collisions`: of `a` and `a/b` the second is accepted, and one of the two is then listed elsewhere or not at all;
 * - `accepts parts of nothing`: UploadPart of an upload that was aborted answers 200.
 */
export type Flaw = 'accepts collisions' | 'accepts parts of nothing';

export interface Subject {
  readonly name: string;
  /** Called once per check. `prefix` is unique: drivers on a shared bucket root the store there. */
  create(request: { readonly prefix: string }): Promise<OpenedStore>;
  readonly options?: ConformanceOptions;
}

export type Check = (bench: Bench) => Promise<void>;
/** Title → check. The title says what goes wrong in a store that fails it. */
export type Checks = Readonly<Record<string, Check>>;

export class Bench {
  readonly store: Store;
  readonly opened: OpenedStore;
  readonly options: ConformanceOptions;

  constructor(opened: OpenedStore, options: ConformanceOptions) {
    this.store = opened.store;
    this.opened = opened;
    this.options = options;
  }

  has(flaw: Flaw): boolean {
    return this.options.flaws?.includes(flaw) === true;
  }

  /** Of these keys, those that the store says it holds. */
  held(keys: readonly Key[], size = 1): readonly Key[] {
    return keys.filter((key) => this.store.refuses({ key, size }) === undefined);
  }

  get partSize(): number {
    return this.options.partSize ?? Math.max(64 * 1024, this.store.facts.minPartSize);
  }

  /** A second handle where the store offers one, else the same. */
  async again(): Promise<Store> {
    return (await this.opened.again?.()) ?? this.store;
  }

  async write(key: Key, bytes: Uint8Array, more: { readonly attributes?: Attributes; readonly guard?: Guard } = {}): Promise<Written> {
    return this.store.write({ key, body: bodyOf(bytes), attributes: more.attributes ?? NO_ATTRIBUTES, guard: more.guard ?? { kind: 'none' } });
  }

  async entries(request: ListRequest = {}): Promise<readonly ObjectEntry[]> {
    const all: ObjectEntry[] = [];
    for await (const page of this.store.list(request)) all.push(...page.entries);
    return all;
  }

  /** Keys of objects, without the directories of a file system. */
  async keys(request: ListRequest = {}): Promise<readonly Key[]> {
    return (await this.entries(request)).filter((entry) => entry.kind === 'object').map((entry) => entry.key);
  }

  async entry(key: Key): Promise<ObjectEntry | undefined> {
    return (await this.entries()).find((entry) => entry.key === key);
  }

  async content(key: Key, expectedSize: number, more: { readonly pin?: Pin; readonly range?: NonNullable<ReadRequest['range']> } = {}): Promise<Buffer> {
    return collect(await this.store.read({ key, expectedSize, ...more }));
  }

  async expectContent(key: Key, bytes: Uint8Array): Promise<void> {
    const found = await this.content(key, bytes.length);
    assert.ok(Buffer.compare(found, bytes) === 0, `${showKey(key)} holds other bytes than were written (${found.length} of ${bytes.length})`);
  }

  /** Many small objects, several at a time. */
  async writeAll(keys: readonly Key[], bytesOf: (key: Key) => Uint8Array): Promise<void> {
    const waiting = [...keys];
    const lane = async (): Promise<void> => {
      for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) await this.write(key, bytesOf(key));
    };
    await Promise.all(Array.from({ length: this.options.concurrency ?? 16 }, lane));
  }
}

export function inKeyOrder(keys: readonly Key[]): readonly Key[] {
  return [...keys].sort(compareKeys);
}

/** The promise must reject with a BrigadeError of one of these kinds; the error is handed back for more questions. */
export async function refused(attempt: Promise<unknown>, ...kinds: readonly ErrorKind[]): Promise<BrigadeError> {
  const thrown: unknown = await attempt.then(() => undefined, (error: unknown) => error);
  assert.ok(thrown !== undefined, `must be refused (${kinds.join(' or ')}), but it was accepted`);
  assert.ok(thrown instanceof BrigadeError, `must be a BrigadeError, not ${String(thrown)}`);
  if (kinds.length > 0) assert.ok(kinds.includes(thrown.kind), `kind must be ${kinds.join(' or ')}, not ${thrown.kind} (${thrown.code}: ${thrown.message})`);
  return thrown;
}
