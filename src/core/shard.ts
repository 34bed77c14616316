/**
 * A shard is one range of the key space in which both sides are listed: (after, upTo]. Shards may be listed at the same time and split
 * while they are; together they hold each key exactly once, which `proveTiling` proves before a listing may be called complete (truth 2).
 * An exclusive start and an inclusive end, because "keys after this one" is what a store can be asked for.
 */
import { BrigadeError } from './errors.ts';
import { compareKeys, type Key, showKey } from './key.ts';

/** Keys after `after` (absent: from the first one), up to and including `upTo` (absent: to the last one). */
export interface KeyRange {
  readonly after?: Key | undefined;
  readonly upTo?: Key | undefined;
}

export interface SourceSum {
  readonly objects: number;
  readonly bytes: number;
  /** Over key, size and token of each object (`SetDigest`). */
  readonly digest: string;
}

export interface DestinationSum {
  readonly objects: number;
  /** Over key and token. */
  readonly digest: string;
}

export interface Shard extends KeyRange {
  /** From 0, in the order in which the shards of a run came to be. */
  readonly number: number;
  /** Of its items: the first, and the last one that is in a task. Listing goes on after it. */
  readonly firstKey?: Key;
  readonly lastKey?: Key;
  /** Items in tasks. */
  readonly items: number;
  readonly source: SourceSum;
  readonly destination: DestinationSum;
  /** Both sides of this range were listed to their end. */
  readonly sealed: boolean;
}

export function newShard(number: number, range: KeyRange): Shard {
  const digest = new SetDigest().hex;
  return { number, ...rangeOf(range), items: 0, source: { objects: 0, bytes: 0, digest }, destination: { objects: 0, digest }, sealed: false };
}

export function rangeOf({ after, upTo }: KeyRange): KeyRange {
  return { ...(after === undefined ? {} : { after }), ...(upTo === undefined ? {} : { upTo }) };
}

export function inRange({ after, upTo }: KeyRange, key: Key): boolean {
  return (after === undefined || compareKeys(key, after) > 0) && (upTo === undefined || compareKeys(key, upTo) <= 0);
}

/** Shards in the order of their keys. */
export function inKeyOrder<R extends KeyRange>(shards: readonly R[]): readonly R[] {
  return [...shards].sort((a, b) => (a.after === undefined ? -1 : b.after === undefined ? 1 : compareKeys(a.after, b.after)));
}

/**
 * That these shards hold every key once: the first begins at the beginning, each begins where the one before it ends, the last has no end;
 * each was listed to its end, and its items lie within it.
 * @throws BrigadeError internal E_LIST_GAP.
 */
export function proveTiling(shards: readonly Shard[]): void {
  const ordered = inKeyOrder(shards);
  let end: Key | undefined;
  for (const [at, shard] of ordered.entries()) {
    if (shard.after !== end || (at > 0 && end === undefined)) throw gap(`shard ${shard.number} begins after ${show(shard.after)}, the one before it ends at ${show(end)}`);
    if (!shard.sealed) throw gap(`shard ${shard.number} was not listed to its end`);
    proveInside(shard);
    end = shard.upTo;
  }
  if (ordered.length === 0 || end !== undefined) throw gap(`nothing was listed after ${show(end)}`);
}

function proveInside(shard: Shard): void {
  const { number, firstKey, lastKey, items, after, upTo } = shard;
  if ((firstKey === undefined) !== (items === 0) || (lastKey === undefined) !== (items === 0)) throw gap(`shard ${number} has ${items} items and no keys that bound them`);
  if (after !== undefined && upTo !== undefined && compareKeys(after, upTo) >= 0) throw gap(`shard ${number} ends before it begins`);
  for (const key of [firstKey, lastKey]) if (key !== undefined && !inRange(shard, key)) throw gap(`shard ${number} holds ${showKey(key)}, which is outside`);
}

function show(key: Key | undefined): string {
  return key === undefined ? 'nothing' : showKey(key);
}

function gap(why: string): BrigadeError {
  return new BrigadeError({ code: 'E_LIST_GAP', kind: 'internal', op: 'list', message: `the listing is not proven complete: ${why}`, hint: 'run --new lists again' });
}

/**
 * A digest over a set: 64 bits that do not depend on the order in which its members came, nor on how they were shared out over shards and
 * resumes. It tells two listings apart that differ by accident; it is no defence against somebody who means it.
 */
export class SetDigest {
  #high: number;
  #low: number;

  constructor(hex = '0000000000000000') {
    this.#high = parseInt(hex.slice(0, 8), 16);
    this.#low = parseInt(hex.slice(8), 16);
  }

  add(key: Key, size: number, token: string): void {
    let high = 0x9e3779b9 ^ size;
    let low = 0x85ebca6b ^ Math.floor(size / 2 ** 32);
    for (let i = 0; i < key.length; i++) {
      const unit = key.charCodeAt(i);
      high = Math.imul(high ^ unit, 0x01000193);
      low = Math.imul(low + unit, 0x27d4eb2f);
    }
    for (let i = 0; i < token.length; i++) {
      const unit = token.charCodeAt(i);
      high = Math.imul(high + unit, 0xc2b2ae35);
      low = Math.imul(low ^ unit, 0x01000193);
    }
    this.#high = (this.#high + mixed(high, low)) >>> 0;
    this.#low = (this.#low + mixed(low, high)) >>> 0;
  }

  get hex(): string {
    return this.#high.toString(16).padStart(8, '0') + this.#low.toString(16).padStart(8, '0');
  }
}

function mixed(a: number, b: number): number {
  let h = a ^ (b >>> 15);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
