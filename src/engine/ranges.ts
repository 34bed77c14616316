/**
 * Ranges of the key space, worked on by several lanes at once. A lane that runs out of ranges takes the upper half of one that runs: between
 * how far that has come and its end. So nobody needs to know beforehand how keys are spread; only stores that list in key order are cut.
 */
import type { KeyRange } from '../core/shard.ts';
import { Alphabet, estimateRest, type Seen, splitPoint } from '../core/split.ts';
import { compareKeys, type Key } from '../core/key.ts';
import type { Clock } from '../ports/clock.ts';
import type { StoreFacts } from '../ports/storage.ts';
import { LaneCount } from './lane-count.ts';

/** How far one side of a range has come. */
interface Progress {
  first: Key;
  last: Key;
  count: number;
}

/** A range to be listed, `from`: after this key of it. */
export interface Begun extends KeyRange { readonly from?: Key | undefined }

/** A range that is being listed; its end may come nearer while it is. */
export class Range implements KeyRange {
  readonly after: Key | undefined;
  /** Where listing begins: behind the checkpoint of a range that was begun before. */
  readonly from: Key | undefined;
  readonly #sides = new Map<string, Progress | 'ended'>();
  readonly #expected: number;
  #upTo: Key | undefined;
  /** Cuts in a row behind which there was nothing. */
  misses: number;
  /** How much was listed of it when it was last cut. */
  cutAt = 0;
  /** The range that this one was cut from, until it is known whether it holds anything. */
  parent: Range | undefined;

  constructor(range: Begun, sides: number, misses: number) {
    this.after = range.after;
    this.from = range.from ?? range.after;
    this.#upTo = range.upTo;
    this.#expected = sides;
    this.misses = misses;
  }

  get upTo(): Key | undefined {
    return this.#upTo;
  }

  /** The rest belongs to another range from now on. */
  endAt(upTo: Key): void {
    this.#upTo = upTo;
  }

  holds(key: Key): boolean {
    return this.#upTo === undefined || compareKeys(key, this.#upTo) <= 0;
  }

  saw(side: string, first: Key, last: Key, count: number): void {
    const seen = this.#sides.get(side);
    if (seen === 'ended') return;
    if (seen === undefined) this.#sides.set(side, { first, last, count });
    else {
      seen.last = last;
      seen.count += count;
    }
  }

  ended(side: string): void {
    this.#sides.set(side, 'ended');
  }

  /** Of the side that is furthest behind; undefined while a side has not answered, and when all have come to their end. */
  get seen(): Progress | undefined {
    if (this.#sides.size < this.#expected) return undefined;
    let behind: Progress | undefined;
    for (const side of this.#sides.values()) {
      if (side !== 'ended' && (behind === undefined || compareKeys(side.last, behind.last) < 0)) behind = side;
    }
    return behind;
  }
}

export interface RangesOptions {
  /** Sides that are listed in each range: a range is only cut once all have answered. */
  readonly sides: number;
  /** Lanes at once, at most. */
  readonly lanes: number;
  /** Ranges may be cut while they run. */
  readonly divisible: boolean;
  readonly prefix: Key;
  readonly clock: Clock;
  /** A range was cut: called before anything is done in the upper one. */
  readonly onSplit: (lower: Range, upper: Range) => void;
}

/** Of a range that holds less than this many more pages the rest is not worth a cut. */
const WORTH_PAGES = 11;
/** Pages of a range of which nothing else is known, before it is cut; and between two cuts, once several found nothing. */
const FIRST_PAGES = 2;
const MANY_MISSES = 3;

function pagesBefore({ misses, cutAt }: Range): number {
  if (misses > MANY_MISSES) return misses;
  return misses > 0 && cutAt === 0 ? FIRST_PAGES : 0;
}
/** Listings that find nothing are allowed: more at first, when least is known, later a small share of those that found something. */
const MISSES_PER_PAGE = 0.02;
const MISSES_PER_FIRST_PAGE = 0.25;
const MISSES_AT_FIRST = 80;

/** Only where keys come in their order, and where a key says nothing of what lies beside it: a walk of directories is one stream (F054). */
export function isDivisible(facts: StoreFacts): boolean {
  return facts.ordered && facts.names === 'opaque';
}

/** Works on all ranges, and on those cut from them, until all are done. The first error stops the others and is thrown. */
export function inRanges(ranges: readonly Begun[], options: RangesOptions, work: (range: Range, pool: Ranges, signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
  return new Ranges(ranges, options, work).run(signal);
}

export class Ranges {
  readonly #options: RangesOptions;
  readonly #work: (range: Range, pool: Ranges, signal: AbortSignal) => Promise<void>;
  readonly #waiting: Range[];
  readonly #running = new Set<Range>();
  readonly #alphabet = new Alphabet();
  readonly #lanes: LaneCount;
  readonly #stop = new AbortController();
  #failed: { readonly error: unknown } | undefined;
  #finish: () => void = () => undefined;
  #largestPage = 1;
  #pages = 0;
  #misses = 0;
  #most = 0;

  constructor(ranges: readonly Begun[], options: RangesOptions, work: (range: Range, pool: Ranges, signal: AbortSignal) => Promise<void>) {
    this.#options = options;
    this.#work = work;
    // Nothing is known of a first range: its cuts begin with those that find out most.
    this.#waiting = ranges.map((range) => new Range(range, options.sides, 1)).reverse();
    this.#lanes = new LaneCount(options.lanes, options.clock);
  }

  /** Listings that found something, and those that found nothing. */
  get counts(): { readonly pages: number; readonly misses: number } {
    return { pages: this.#pages, misses: this.#misses };
  }

  /** Ranges that were at work at the same time, at most. */
  get most(): number {
    return this.#most;
  }

  async run(signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.#stop.signal]);
    await new Promise<void>((resolve) => {
      this.#finish = resolve;
      this.#refill = () => this.#fill(stop);
      this.#fill(stop);
    });
    if (this.#failed !== undefined) throw this.#failed.error;
  }

  #refill: () => void = () => undefined;

  /** A page of this range has arrived; `first` and `last` of its keys. */
  saw(range: Range, side: string, first: Key, last: Key, count: number): void {
    range.saw(side, first, last, count);
    this.#pages++;
    this.#largestPage = Math.max(this.#largestPage, count);
    this.#alphabet.learn(last);
    this.#alphabet.learnDifference(first, last);
    if (range.parent?.seen !== undefined) this.#alphabet.learnDifference(range.parent.seen.last, first);
    this.#lanes.add(count, this.#running.size);
    this.#tellParent(range, true);
    this.#refill();
  }

  /** A side of this range has come to its end; `empty`: with a listing that found nothing. */
  ended(range: Range, side: string, empty: boolean): void {
    range.ended(side);
    if (empty) this.#misses++;
    this.#refill();
  }

  #tellParent(range: Range, found: boolean): void {
    const { parent } = range;
    if (parent === undefined) return;
    range.parent = undefined;
    parent.misses = found ? 0 : parent.misses + 1;
  }

  #fill(signal: AbortSignal): void {
    while (this.#failed === undefined && this.#running.size < this.#lanes.allowed) {
      const range = this.#waiting.pop() ?? this.#steal();
      if (range === undefined) break;
      void this.#start(range, signal);
    }
    if (this.#running.size === 0) this.#finish();
  }

  async #start(range: Range, signal: AbortSignal): Promise<void> {
    this.#running.add(range);
    this.#most = Math.max(this.#most, this.#running.size);
    try {
      await this.#work(range, this, signal);
      this.#tellParent(range, false);
    } catch (error) {
      this.#failed ??= { error };
      this.#stop.abort();
    }
    this.#running.delete(range);
    this.#fill(signal);
  }

  /** The upper half of what looks like the longest rest. */
  #steal(): Range | undefined {
    const { divisible, sides, onSplit } = this.#options;
    if (!divisible || this.#misses > Math.min(MISSES_AT_FIRST, this.#pages * MISSES_PER_FIRST_PAGE) + this.#pages * MISSES_PER_PAGE) return undefined;
    const victim = this.#longest();
    const cut = victim === undefined ? undefined : splitPoint(victim.seen, this.#alphabet);
    if (victim === undefined || cut === undefined) return undefined;
    const upper = new Range({ after: cut, upTo: victim.range.upTo }, sides, 0);
    upper.parent = victim.range;
    victim.range.cutAt = victim.seen.count;
    victim.range.endAt(cut);
    onSplit(victim.range, upper);
    return upper;
  }

  #longest(): { readonly range: Range; readonly seen: Seen } | undefined {
    let longest: { readonly range: Range; readonly seen: Seen } | undefined;
    let most = this.#largestPage * WORTH_PAGES;
    for (const range of this.#running) {
      const progress = range.seen;
      if (progress === undefined || progress.count < range.cutAt + this.#largestPage * pagesBefore(range)) continue;
      const seen = { ...progress, upTo: range.upTo, misses: range.misses, prefix: this.#options.prefix };
      const rest = estimateRest(seen, this.#alphabet);
      if (rest <= most) continue;
      most = rest;
      longest = { range, seen };
    }
    return longest;
  }
}
