/**
 * The planner: lists both sides, several shards of the key space at once, decides each key, packs decisions into tasks and hands them over
 * page by page with the checkpoints that make them final. The first tasks are copied while the listing goes on (S1.4); a planner that dies
 * goes on with its unfinished shards, each after its last checkpoint (S1.7); and the listing is complete only when one function has proven
 * that the shards hold every key once (S1.8).
 */
import type { Key } from '../core/key.ts';
import { merge, NO_STREAM } from '../core/merge.ts';
import { literalPrefix } from '../core/select.ts';
import { type KeyRange, newShard, proveTiling, type Shard } from '../core/shard.ts';
import type { Clock } from '../ports/clock.ts';
import type { Events } from '../ports/events.ts';
import type { Listing, PlannedPage, PlannedTask } from '../ports/ledger.ts';
import type { EntrySorter } from '../ports/sorter.ts';
import type { Store, StoreFacts } from '../ports/storage.ts';
import { type Draft, type DraftContext, Drafts, type Left } from './drafts.ts';
import { EntryCursor, listInOrder, type ListingOptions } from './lister.ts';
import { inRanges, isDivisible, type Range, type Ranges } from './ranges.ts';
import { type ShardContext, ShardPlanner, type Side } from './shard-planner.ts';

export interface PlanContext extends DraftContext {
  readonly source: Store;
  readonly destination: Store;
  readonly sorter: () => EntrySorter;
  readonly events: Events;
  readonly clock: Clock;
  /** Ranges of keys that are listed at once, at most; 1: one after the other. */
  readonly lanes: number;
  /** Where a listing that begins is cut from the start, as an earlier one of the same stores was found to be worth it. */
  readonly ranges?: readonly KeyRange[];
  /** One for each shard: what was left under its keys is asked in their order. */
  readonly left: () => Left;
  /** Makes one page durable. */
  readonly save: (page: PlannedPage) => void;
  /** For who only wants to know: is told each item as it is decided, instead of tasks and sums. */
  readonly each?: (draft: Draft) => void;
  /** Waits while too many pages are on their way to be durable. */
  readonly room?: () => Promise<void>;
}

/** Save at least this often, so that copying starts with the first page and a crash loses little listing. */
const SAVE_EVERY_MS = 1000;
/** The first tasks are not held back for others: the pause between two saves begins at nothing, then here, and doubles. */
const FIRST_PAUSE_MS = 50;
const SAVE_TASKS = 8;
const SIDES = 2;

/** Plans on from the checkpoints to the sealed end of both listings. `shards`: those of the run so far; none: it begins. */
export async function plan(context: PlanContext, shards: readonly Shard[], signal: AbortSignal): Promise<Listing> {
  return new Planner(context, shards, signal).run();
}

class Planner implements ShardContext {
  readonly drafts: Drafts;
  readonly exclusive: boolean;
  readonly each: ((draft: Draft) => void) | undefined;
  readonly #context: PlanContext;
  readonly #signal: AbortSignal;
  /** What every included key begins with: the rest of the stores need not be listed. */
  readonly #prefix: Key;
  readonly #shards: Map<number, Shard>;
  readonly #running = new Map<Range, ShardPlanner>();
  /** Shards that are not in the ledger as they are here: worked on, and not yet begun. */
  readonly #changed = new Set<ShardPlanner>();
  readonly #unsaved = new Map<number, Shard>();
  #pool: Ranges | undefined;
  #tasks: PlannedTask[] = [];
  #savedAt: number;
  #pauseMs = 0;

  constructor(context: PlanContext, shards: readonly Shard[], signal: AbortSignal) {
    this.#context = context;
    this.#signal = signal;
    if (shards.length === 0) for (const [number, range] of (context.ranges ?? [{}]).entries()) this.#unsaved.set(number, newShard(number, range));
    this.#shards = new Map([...this.#unsaved, ...shards.map((shard) => [shard.number, shard] as const)]);
    this.drafts = new Drafts(context);
    this.each = context.each;
    this.#prefix = literalPrefix(context.options.selection.include);
    this.#savedAt = context.clock.monotonic();
    this.exclusive = mayCollide(context.source.facts, context.destination.facts);
  }

  get batch(): PlanContext['options']['batch'] {
    return this.#context.options.batch;
  }

  async run(): Promise<Listing> {
    const { source, destination, lanes, clock } = this.#context;
    const open = [...this.#shards.values()].filter(({ sealed }) => !sealed);
    const unfinished = open.map((shard) => ({ after: shard.after, upTo: shard.upTo, from: shard.lastKey }));
    const divisible = lanes > 1 && isDivisible(source.facts) && isDivisible(destination.facts);
    const options = { sides: SIDES, lanes, divisible, clock, prefix: this.#prefix, onSplit: (lower: Range, upper: Range): void => this.#split(lower, upper) };
    await inRanges(unfinished, options, (range, pool, signal) => this.#list(range, pool, signal), this.#signal);
    const listing = this.#seal();
    this.#context.events.emit({ type: 'sharded', atOnce: this.#pool?.most ?? 0, shards: this.#shards.size, divisible });
    return listing;
  }

  async #list(range: Range, pool: Ranges, signal: AbortSignal): Promise<void> {
    this.#pool = pool;
    const shard = this.#running.get(range) ?? this.#resume(range);
    await shard.run(signal);
    this.#running.delete(range);
    this.#changed.add(shard);
    this.#shards.set(shard.record.number, shard.record);
  }

  #resume(range: Range): ShardPlanner {
    const known = [...this.#shards.values()].find(({ after, sealed }) => !sealed && after === range.after) as Shard;
    const shard = new ShardPlanner(this, range, known, this.#context.left());
    this.#running.set(range, shard);
    return shard;
  }

  /** Both halves are saved with the next page of either, in one transaction: no key is ever in two shards of the ledger. */
  #split(lower: Range, upper: Range): void {
    const shard = this.#running.get(lower) as ShardPlanner;
    const other = shard.cut(upper, this.#shards.size, this.#context.left());
    this.#running.set(upper, other);
    this.#shards.set(other.record.number, other.record);
    this.#changed.add(shard).add(other);
  }

  open(side: Side, range: Range, seed: ListingOptions['seed']): EntryCursor {
    const pool = this.#pool as Ranges;
    return new EntryCursor(this.#context[side], {
      ...this.#listing(side), bound: range, startAfter: range.from, seed,
      onKeys: (first, last, count) => pool.saw(range, side, first, last, count),
      onEnd: (wasted) => pool.ended(range, side, wasted),
    });
  }

  #listing(side: Side): ListingOptions {
    const { events, sorter } = this.#context;
    const onPage = (objects: number, bytes: number): void => events.emit({ type: 'listed', side, objects, bytes, done: false });
    return { signal: this.#signal, sorter, onPage, prefix: this.#prefix };
  }

  async anyItem(prefix: Key, after: Key): Promise<boolean> {
    const list = (side: Side) => listInOrder(this.#context[side], { ...this.#listing(side), onPage: () => undefined, prefix, startAfter: after });
    for await (const { a, b } of merge(list('source'), list('destination'), NO_STREAM)) {
      if (this.drafts.of(a, b, () => undefined, undefined) !== undefined) return true;
    }
    return false;
  }

  isDue(): boolean {
    return this.#tasks.length === 0 && this.#sinceSaved() >= SAVE_EVERY_MS;
  }

  room(): Promise<void> | undefined {
    return this.#context.room?.();
  }

  finish(task: PlannedTask, shard: ShardPlanner): void {
    this.#tasks.push(task);
    this.#changed.add(shard);
    if (this.#tasks.length < SAVE_TASKS && this.#sinceSaved() < this.#pauseMs) return;
    this.#pauseMs = Math.min(SAVE_EVERY_MS, Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2));
    this.#save(false);
  }

  #sinceSaved(): number {
    return this.#context.clock.monotonic() - this.#savedAt;
  }

  #seal(): Listing {
    proveTiling([...this.#shards.values()]);
    return this.#save(true);
  }

  #save(sealed: boolean): Listing {
    this.#savedAt = this.#context.clock.monotonic();
    for (const { record } of this.#changed) this.#unsaved.set(record.number, record);
    for (const [number, shard] of this.#unsaved) this.#shards.set(number, shard);
    const listing = { ...sumOf(this.#shards.values()), sealed };
    this.#context.save({ tasks: this.#tasks, shards: [...this.#unsaved.values()], listing });
    this.#tasks = [];
    this.#unsaved.clear();
    this.#changed.clear();
    return listing;
  }
}

function sumOf(shards: Iterable<Shard>): Omit<Listing, 'sealed'> {
  const sum = { sourceObjects: 0, sourceBytes: 0, destinationObjects: 0 };
  for (const { source, destination } of shards) {
    sum.sourceObjects += source.objects;
    sum.sourceBytes += source.bytes;
    sum.destinationObjects += destination.objects;
  }
  return sum;
}

/** A source whose names nest holds no such pair itself, but the destination may hold the other half, and only file systems are sure to say so. */
function mayCollide(source: StoreFacts, destination: StoreFacts): boolean {
  return isExclusive(destination) && (!isExclusive(source) || destination.names === 'opaque');
}

/** Keys nest like folders: `a` and `a/b` cannot both exist. */
function isExclusive(facts: StoreFacts): boolean {
  return facts.names === 'posix' || facts.exclusivePrefixes === true;
}
