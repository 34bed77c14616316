/**
 * Plans one shard: lists its range on both sides, walks them in lock step with what the ledger knows, and packs what was decided into tasks.
 * Nothing is held but two pages of each side, what may still collide, and the bytes of the current task: as objects, the items of all shards that
 * are at work would outlive the young generation, each with the page that its key is a piece of.
 */
import { columnTask } from '../core/columns.ts';
import type { Item, Problem } from '../core/item.ts';
import { compareKeys, type Key, ownKey } from '../core/key.ts';
import { LineWriter } from '../core/lines.ts';
import type { ObjectEntry } from '../core/object.ts';
import { type BatchLimits, Packer } from '../core/pack.ts';
import { newShard, rangeOf, SetDigest, type Shard } from '../core/shard.ts';
import type { PlannedTask } from '../ports/ledger.ts';
import { CollisionGuard } from './collisions.ts';
import { collided, type Draft, type Drafts, type Left } from './drafts.ts';
import type { EntryCursor, Seed } from './lister.ts';
import type { Range } from './ranges.ts';

export type Side = 'source' | 'destination';

/** What the shards of a run have in common. */
export interface ShardContext {
  readonly drafts: Drafts;
  readonly batch: BatchLimits;
  /** `a` and `a/b` cannot both be written. */
  readonly exclusive: boolean;
  /** Takes each item instead of their tasks. */
  readonly each: ((draft: Draft) => void) | undefined;
  open(side: Side, range: Range, seed: Seed | undefined): EntryCursor;
  /** Takes a task that is full, and with it the shard's checkpoint. */
  finish(task: PlannedTask, shard: ShardPlanner): void;
  /** Whether a shard that waits for more of a listing should finish its task first, so that a slow one is copied and saved, too. */
  isDue(): boolean;
  /** What was planned so far is not held up: more may come. */
  room(): Promise<void> | undefined;
  /** Whether either side has an item whose key begins with this and comes after that. */
  anyItem(prefix: Key, after: Key): Promise<boolean>;
}

export class ShardPlanner {
  readonly range: Range;
  readonly #context: ShardContext;
  readonly #left: Left;
  readonly #packer: Packer;
  readonly #lines = new LineWriter();
  readonly #collisions: CollisionGuard<Draft> | undefined;
  #problems = new Map<Key, Problem>();
  readonly #cursors: { readonly [S in Side]?: EntryCursor } = {};
  readonly #sum: Sum;
  readonly #number: number;
  readonly #seeds: { readonly [S in Side]?: Seed };
  #sealed = false;
  /** Subtree that could not be seen: nothing below is `extra` (F054). */
  #blind: Key | undefined;

  /** `shard`: as it was left by an earlier process, or new. `seeds`: what the shard it was cut from has read of it. */
  constructor(context: ShardContext, range: Range, shard: Shard, left: Left, seeds: { readonly [S in Side]?: Seed } = {}) {
    this.#context = context;
    this.range = range;
    this.#number = shard.number;
    this.#sum = new Sum(shard);
    this.#left = left;
    this.#seeds = seeds;
    this.#packer = new Packer(context.batch);
    if (context.exclusive) this.#collisions = new CollisionGuard((prefix) => context.anyItem(prefix, prefix.slice(0, -1)));
  }

  /** The upper part of the range is another shard's from now on: it takes what was read of it. */
  cut(upper: Range, number: number, left: Left): ShardPlanner {
    const from = upper.after as Key;
    const seeds: { [S in Side]?: Seed } = {};
    for (const side of ['source', 'destination'] as const) {
      const seed = this.#cursors[side]?.handOver(from);
      if (seed !== undefined) seeds[side] = seed;
    }
    return new ShardPlanner(this.#context, upper, newShard(number, upper), left, seeds);
  }

  get record(): Shard {
    return { number: this.#number, ...rangeOf(this.range), ...this.#sum.record, sealed: this.#sealed };
  }

  async run(signal: AbortSignal): Promise<void> {
    const cursors = { source: this.#open('source'), destination: this.#open('destination') };
    Object.assign(this.#cursors, cursors);
    try {
      await this.#walk(cursors.source, cursors.destination, signal);
    } finally {
      await Promise.all([cursors.source.close(), cursors.destination.close()]);
    }
    await this.#endCollisions();
    this.#finish();
    this.#sealed = true;
  }

  #open(side: Side): EntryCursor {
    return this.#context.open(side, this.range, this.#seeds[side]);
  }

  async #walk(source: EntryCursor, destination: EntryCursor, signal: AbortSignal): Promise<void> {
    for (;;) {
      const ours = source.peek();
      const theirs = destination.peek();
      if ((ours === undefined && !source.isOver) || (theirs === undefined && !destination.isOver)) {
        this.#finishIfDue();
        // Read once there is room for it: what is read and then waits outlives the young generation.
        await Promise.all([source.arrival, destination.arrival, this.#context.room()]);
        await Promise.all([source.more(), destination.more()]);
        signal.throwIfAborted();
        continue;
      }
      if (ours === undefined && theirs === undefined) return;
      const order = compareEntries(ours, theirs);
      if (order <= 0) source.take();
      if (order >= 0) destination.take();
      const waiting = this.#pass(order <= 0 ? ours : undefined, order >= 0 ? theirs : undefined);
      if (waiting !== undefined) await waiting;
    }
  }

  #pass(source: ObjectEntry | undefined, destination: ObjectEntry | undefined): Promise<void> | undefined {
    if (source?.reason?.subtree === true) this.#blind = source.key;
    const draft = this.#context.drafts.of(source, destination, this.#left, this.#blind);
    if (draft === undefined) return undefined;
    if (this.#collisions !== undefined) return this.#hold(this.#collisions, draft, source !== undefined);
    this.#pack(draft);
    return undefined;
  }

  async #hold(collisions: CollisionGuard<Draft>, draft: Draft, fromSource: boolean): Promise<void> {
    const waits = fromSource && draft.item.state !== 'extra' && !draft.item.key.endsWith('/');
    for (const held of await collisions.add(draft.item.key, draft, waits)) this.#pack(held.collides ? collided(held.value) : held.value);
    this.#finishIfDue();
  }

  /** Keys `a/…` may lie beyond the end of this shard, where another one finds them: whether there is one is asked here (F043). */
  async #endCollisions(): Promise<void> {
    const { upTo } = this.range;
    for (const held of this.#collisions?.end() ?? []) {
      const { item } = held.value;
      const open = upTo !== undefined && !held.collides && item.state !== 'extra' && compareKeys(upTo, `${item.key}0`) < 0;
      const collides = held.collides || (open && (await this.#context.anyItem(`${item.key}/`, upTo)));
      this.#pack(collides ? collided(held.value) : held.value);
    }
  }

  #pack(draft: Draft): void {
    if (this.#context.each !== undefined) return this.#context.each(draft);
    const { item, problem } = draft;
    const end = this.#packer.add(item);
    if (end === 'before') this.#finish();
    if (problem !== undefined) this.#problems.set(ownKey(item.key), problem);
    this.#lines.add(draft);
    this.#sum.add(item);
    if (end === 'with') this.#finish();
  }

  #finishIfDue(): void {
    if (!this.#context.isDue()) return;
    this.#packer.end();
    this.#finish();
  }

  #finish(): void {
    if (this.#lines.count === 0) return;
    const task = columnTask(this.#lines.take(), this.#problems);
    this.#problems = new Map();
    this.#sum.commit();
    this.#context.finish(task, this);
  }
}

/** Nothing comes behind everything. */
function compareEntries(a: ObjectEntry | undefined, b: ObjectEntry | undefined): number {
  if (a === undefined) return 1;
  return b === undefined ? -1 : compareKeys(a.key, b.key);
}

type Summed = Pick<Shard, 'firstKey' | 'lastKey' | 'items' | 'source' | 'destination'>;

/** The checkpoint counts what is in tasks, so that a resumed listing counts nothing twice. */
class Sum {
  readonly #source: { objects: number; bytes: number; readonly digest: SetDigest };
  readonly #destination: { objects: number; readonly digest: SetDigest };
  #firstKey: Key | undefined;
  #lastKey: Key | undefined;
  #items: number;
  #committed: Summed;

  constructor({ source, destination, firstKey, lastKey, items }: Shard) {
    this.#source = { ...source, digest: new SetDigest(source.digest) };
    this.#destination = { ...destination, digest: new SetDigest(destination.digest) };
    this.#firstKey = firstKey;
    this.#lastKey = lastKey;
    this.#items = items;
    this.#committed = this.#now();
  }

  add(item: Item): void {
    this.#firstKey ??= ownKey(item.key);
    this.#lastKey = item.key;
    this.#items++;
    if (item.destination !== undefined) {
      this.#destination.objects++;
      this.#destination.digest.add(item.key, 0, item.destination);
    }
    if (item.state === 'extra') return;
    this.#source.objects++;
    this.#source.bytes += item.size;
    this.#source.digest.add(item.key, item.size, item.source.token);
  }

  /** All so far is in tasks. */
  commit(): void {
    if (this.#lastKey !== undefined) this.#lastKey = ownKey(this.#lastKey);
    this.#committed = this.#now();
  }

  get record(): Summed {
    return this.#committed;
  }

  #now(): Summed {
    const [source, destination] = [this.#source, this.#destination];
    return {
      ...(this.#firstKey === undefined ? {} : { firstKey: this.#firstKey }), ...(this.#lastKey === undefined ? {} : { lastKey: this.#lastKey }), items: this.#items,
      source: { ...source, digest: source.digest.hex }, destination: { ...destination, digest: destination.digest.hex },
    };
  }
}
