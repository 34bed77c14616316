/**
 * The planner: lists both sides, walks them in lock step with what the ledger knows, decides each key, packs decisions into tasks and
 * hands them over page by page with the checkpoint that makes them final. Nothing is held but the packer's current task; the first
 * tasks are copied while the listing goes on (S1.4), and a planner that dies goes on after its last checkpoint (S1.7).
 */
import { isCanary } from '../core/canary.ts';
import { type Decision, decide, isDirectory } from '../core/decide.ts';
import type { Item, Problem } from '../core/item.ts';
import type { Key } from '../core/key.ts';
import { type Merged, merge, NO_STREAM } from '../core/merge.ts';
import type { EntryReason, ObjectEntry } from '../core/object.ts';
import { Packer } from '../core/pack.ts';
import { createSelector, literalPrefix, type Selector } from '../core/select.ts';
import type { Clock } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Listing, PlannedPage, PlannedTask } from '../ports/ledger.ts';
import type { EntrySorter } from '../ports/sorter.ts';
import type { Store, StoreFacts } from '../ports/storage.ts';
import { CollisionGuard } from './collisions.ts';
import { listInOrder } from './lister.ts';
import { type PlanOptions, SIZE_IN_DOUBT } from './options.ts';

export interface PlanContext {
  readonly source: Store;
  readonly destination: Store;
  readonly options: PlanOptions;
  readonly sorter: () => EntrySorter;
  readonly events: Events;
  readonly clock: Clock;
  /** Keys that would be one name at the destination (names.ts); none of them is written. */
  readonly clashes?: ReadonlySet<Key>;
  /** What earlier runs left at the destination under a key: what "as we left it" means. Asked in key order. */
  readonly left: (key: Key) => Item | undefined;
  /** Makes one page durable. */
  readonly save: (page: PlannedPage) => void;
}

interface Draft { readonly item: Item; readonly problem?: Problem }
type Row = Merged<ObjectEntry, ObjectEntry, never>;

/** Save at least this often, so that copying starts with the first page and a crash loses little listing. */
const SAVE_EVERY_MS = 1000;
const SAVE_TASKS = 8;

/** Plans on from the checkpoint to the sealed end of both listings. */
export async function plan(context: PlanContext, from: Listing, signal: AbortSignal): Promise<Listing> {
  return new Planner(context, from, signal).run();
}

class Planner {
  readonly #context: PlanContext;
  readonly #signal: AbortSignal;
  readonly #select: Selector;
  /** What every included key begins with: the rest of the stores need not be listed. */
  readonly #prefix: Key;
  readonly #packer: Packer;
  readonly #collisions: CollisionGuard<Draft> | undefined;
  readonly #problems = new Map<Key, Problem>();
  #listing: Listing;
  #tasks: PlannedTask[] = [];
  #savedAt: number;
  /** Subtrees of the destination that could not be seen: nothing below is `extra` (F054). */
  #blind: Key | undefined;

  constructor(context: PlanContext, from: Listing, signal: AbortSignal) {
    this.#context = context;
    this.#listing = from;
    this.#signal = signal;
    this.#select = createSelector(context.options.selection);
    this.#prefix = literalPrefix(context.options.selection.include);
    this.#packer = new Packer(context.options.batch);
    this.#savedAt = context.clock.monotonic();
    this.#collisions = mayCollide(context.source.facts, context.destination.facts) ? new CollisionGuard((prefix) => this.#sourceHas(prefix)) : undefined;
  }

  async run(): Promise<Listing> {
    const after = this.#listing.lastKey;
    const rows = merge(this.#list('source', after), this.#list('destination', after), NO_STREAM);
    for await (const row of rows) {
      this.#signal.throwIfAborted();
      const draft = this.#draft(row);
      if (draft !== undefined) await this.#pass(draft, row.a !== undefined);
    }
    for (const held of this.#collisions?.end() ?? []) this.#pack(held.collides ? collided(held.value) : held.value);
    const rest = this.#packer.take();
    if (rest !== undefined) this.#finishTask(rest);
    this.#listing = { ...this.#listing, sealed: true };
    this.#save();
    return this.#listing;
  }

  #list(side: 'source' | 'destination', startAfter: Key | undefined): AsyncGenerator<ObjectEntry, void, undefined> {
    const { events, sorter } = this.#context;
    const onPage = (objects: number, bytes: number): void => events.emit({ type: 'listed', side, objects, bytes, done: false });
    return listInOrder(this.#context[side], { signal: this.#signal, sorter, onPage, prefix: this.#prefix, ...(startAfter === undefined ? {} : { startAfter }) });
  }

  #draft(row: Row): Draft | undefined {
    if (row.a === undefined) return row.b === undefined ? undefined : this.#draftExtra(row.b);
    const source = row.a;
    if (source.reason?.subtree) this.#blind = source.key;
    // A directory that holds something is made by what it holds; only an empty one is an item of its own.
    if (source.kind === 'directory' && !source.empty) return undefined;
    if (!this.#select(source)) return undefined;
    const left = row.b === undefined ? undefined : this.#context.left(source.key);
    const draft = draftOf(source, row.b, this.#decide(source, row.b, left), this.#context.destination.facts.names === 'posix');
    return draft.item.state === 'pending' ? { ...draft, item: withSizeDoubt(draft.item, left) } : draft;
  }

  #decide(source: ObjectEntry, destination: ObjectEntry | undefined, left: Item | undefined): Decision {
    if (source.reason !== undefined) return reasonDecision(source.reason);
    const { facts } = this.#context.destination;
    if (source.kind === 'directory' && facts.names === 'opaque') return { action: 'skip', code: 'empty_directory', message: 'an object store has no empty directories' };
    if (this.#context.clashes?.has(source.key)) return clash();
    const refusal = this.#context.destination.refuses(source);
    if (refusal !== undefined) return { action: 'fail', ...refusal, hint: 'exclude it (select.exclude), rename it at the source, or choose another destination' };
    if (source.size > facts.maxObjectSize) return { action: 'fail', code: 'E_TOO_LARGE', message: `${source.size} bytes, the destination takes ${facts.maxObjectSize} in one object`, hint: 'exclude it, or choose another destination' };
    return decide(source, destination, left, this.#context.options);
  }

  #draftExtra(destination: ObjectEntry): Draft | undefined {
    const hidden = this.#blind !== undefined && destination.key.startsWith(this.#blind);
    if (hidden || destination.kind !== 'object' || isCanary(destination.key) || !this.#select(destination)) return undefined;
    return { item: { key: destination.key, kind: 'object', size: destination.size, state: 'extra', source: { token: '' }, destination: destination.token, evidence: 'none', attempts: 0 } };
  }

  async #pass(draft: Draft, fromSource: boolean): Promise<void> {
    if (this.#collisions === undefined) return this.#pack(draft);
    const waits = fromSource && draft.item.state !== 'extra' && !draft.item.key.endsWith('/');
    for (const held of await this.#collisions.add(draft.item.key, draft, waits)) this.#pack(held.collides ? collided(held.value) : held.value);
  }

  #pack(draft: Draft): void {
    if (draft.problem !== undefined) this.#problems.set(draft.item.key, draft.problem);
    const full = this.#packer.add(draft.item);
    if (full !== undefined) this.#finishTask(full);
    const due = this.#context.clock.monotonic() - this.#savedAt >= SAVE_EVERY_MS;
    if (due && this.#tasks.length === 0) this.#finishTask(this.#packer.take() ?? []);
    if (due || this.#tasks.length >= SAVE_TASKS) this.#save();
  }

  #finishTask(items: readonly Item[]): void {
    const last = items.at(-1);
    if (last === undefined) return;
    this.#tasks.push({ items, problems: this.#takeProblems(items) });
    this.#listing = countItems(this.#listing, items, last.key);
  }

  #takeProblems(items: readonly Item[]): ReadonlyMap<Key, Problem> {
    const problems = new Map<Key, Problem>();
    // Almost always there is none, and looking up a million fresh keys means hashing each.
    if (this.#problems.size === 0) return problems;
    for (const { key } of items) {
      const problem = this.#problems.get(key);
      if (problem === undefined) continue;
      problems.set(key, problem);
      this.#problems.delete(key);
    }
    return problems;
  }

  #save(): void {
    this.#savedAt = this.#context.clock.monotonic();
    this.#context.save({ tasks: this.#tasks, listing: this.#listing });
    this.#tasks = [];
  }

  async #sourceHas(prefix: Key): Promise<boolean> {
    for await (const page of this.#context.source.list({ prefix, signal: this.#signal })) if (page.entries.length > 0) return true;
    return false;
  }
}

/** A source whose names nest holds no such pair itself, but the destination may hold the other half, and only file systems are sure to say so. */
function mayCollide(source: StoreFacts, destination: StoreFacts): boolean {
  return isExclusive(destination) && (!isExclusive(source) || destination.names === 'opaque');
}

/** Keys nest like folders: `a` and `a/b` cannot both exist. */
function isExclusive(facts: StoreFacts): boolean {
  return facts.names === 'posix' || facts.exclusivePrefixes === true;
}

/** The checkpoint counts what is in tasks, so that a resumed listing counts nothing twice. */
function countItems(listing: Listing, items: readonly Item[], lastKey: Key): Listing {
  let { sourceObjects, sourceBytes, destinationObjects } = listing;
  for (const item of items) {
    if (item.destination !== undefined) destinationObjects++;
    if (item.state === 'extra') continue;
    sourceObjects++;
    sourceBytes += item.size;
  }
  return { sealed: false, lastKey, sourceObjects, sourceBytes, destinationObjects };
}

function draftOf(source: ObjectEntry, destination: ObjectEntry | undefined, decision: Decision, posix: boolean): Draft {
  const base = {
    key: source.key, kind: source.kind === 'directory' || (posix && isDirectory(source)) ? 'directory' : 'object', size: source.size, source: { token: source.token }, attempts: 0,
    ...(source.storageClass === undefined ? {} : { storageClass: source.storageClass }),
  } as const;
  const there = destination === undefined ? {} : { destination: destination.token };
  switch (decision.action) {
    case 'copy': return { item: { ...base, ...there, state: 'pending', evidence: 'none' } };
    case 'compare': return { item: { ...base, ...there, state: 'pending', evidence: 'none', code: 'compare' } };
    case 'unchanged': return { item: { ...base, ...there, state: 'unchanged', evidence: decision.previous?.evidence ?? 'none', ...(decision.previous?.checksum === undefined ? {} : { checksum: decision.previous.checksum }) } };
    case 'skip': return { item: { ...base, ...there, state: 'skipped', evidence: 'none', code: decision.code }, problem: { code: decision.code, message: decision.message } };
    case 'fail': return { item: { ...base, ...there, state: 'failed', evidence: 'none', code: decision.code }, problem: { code: decision.code, kind: 'object', message: decision.message, hint: decision.hint } };
  }
}

/** Both ends show the versions that were copied, under another size: the copier asks the objects themselves (F022). */
function withSizeDoubt(item: Item, previous: Item | undefined): Item {
  const sameVersions = previous !== undefined && item.source.token !== '' && previous.source.token === item.source.token && previous.destination !== undefined && previous.destination === item.destination;
  if (!sameVersions || previous.size === item.size || (previous.state !== 'copied' && previous.state !== 'unchanged')) return item;
  return { ...item, code: SIZE_IN_DOUBT, evidence: previous.evidence, ...(previous.checksum === undefined ? {} : { checksum: previous.checksum }) };
}

function clash(): Decision {
  return { action: 'fail', code: 'E_NAME_COLLISION', message: 'the destination takes this name and another one of the source for the same', hint: 'rename one of them at the source, or choose a destination that tells them apart' };
}

function reasonDecision(reason: EntryReason): Decision {
  if (reason.state === 'skipped') return { action: 'skip', code: reason.code, message: reason.message };
  return { action: 'fail', code: reason.code, message: reason.message, hint: reason.hint ?? 'exclude it (select.exclude)' };
}

function collided(draft: Draft): Draft {
  if (draft.item.state === 'extra') return draft;
  const code = 'E_NAME_COLLISION';
  return {
    item: { ...draft.item, state: 'failed', code },
    problem: { code, kind: 'object', message: 'a directory of this name is needed for longer keys: a file system cannot hold both', hint: 'rename one of them at the source, or choose an object store' },
  };
}
