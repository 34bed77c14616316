/**
 * Where to cut a range of keys in two while it is being listed. Keys are points between two byte strings; nothing is assumed of their
 * alphabet, depth or distribution: what was seen of them makes a better guess, and a bad guess costs one listing that finds nothing.
 * Worked on code points, whose order is the order of UTF-8 bytes, so that every cut is valid UTF-8.
 */
import { compareKeys, type Key } from './key.ts';

type Points = readonly number[];

/** What is known of a range that is being listed. */
export interface Seen {
  /** The first and the last key that were listed, and how many lie between. */
  readonly first: Key;
  readonly last: Key;
  readonly count: number;
  /** The end of the range; absent: the end of all keys. */
  readonly upTo?: Key | undefined;
  /** Cuts in a row behind which nothing was found. */
  readonly misses: number;
  /** Everything listed begins with this. */
  readonly prefix?: Key;
}

/** What keys were seen to be made of: code points, as candidates for cuts, and the places where keys differ. */
export class Alphabet {
  readonly #points = new Set<number>();
  readonly #varied = new Set<number>();
  #sorted: number[] | undefined;

  learn(key: Key): void {
    if (this.#points.size >= MOST_LEARNT) return;
    for (const character of key) {
      const point = character.codePointAt(0) as number;
      if (this.#points.has(point)) continue;
      this.#points.add(point);
      this.#sorted = undefined;
    }
  }

  /** Two keys of the listing are the same up to where they differ: there others may, too. */
  learnDifference(a: Key, b: Key): void {
    let at = 0;
    for (const character of a) {
      if (!b.startsWith(character, at)) break;
      at += character.length;
    }
    this.#varied.add([...a.slice(0, at)].length);
  }

  varies(level: number): boolean {
    return this.#varied.has(level);
  }

  /** Learnt points strictly between two that can be part of a cut, ascending. */
  between(low: number, high: number): readonly number[] {
    return this.#inOrder.filter((point) => point > low && point < high && isSafe(point));
  }

  /** Of the learnt points from `start` to `end`: how many, and how many of them are before a point. */
  ranks(start: number, end: number): { readonly size: number; readonly of: (point: number) => number } {
    const kin = this.#inOrder.filter((learnt) => learnt >= start && learnt <= end);
    return { size: kin.length, of: (point) => kin.filter((learnt) => learnt < point).length };
  }

  get #inOrder(): readonly number[] {
    return (this.#sorted ??= [...this.#points].sort((a, b) => a - b));
  }
}

const MOST_LEARNT = 4096;
/** Beyond the last code point. */
const END = 0x110000;
/** After so many middles behind which nothing was: the very next point, which misses only where there is no other. */
const GUESSES = 2;
const DEEPER = 2;
/** Levels that an estimate looks at. */
const DIGITS = 6;

/** A key strictly between `last` and `upTo` that may share the rest out well; undefined: there is none worth trying. */
export function splitPoint(seen: Seen, alphabet: Alphabet): Key | undefined {
  const last = pointsOf(seen.last);
  const upTo = pointsOf(endOf(seen));
  const shared = sharedLevel(last, upTo);
  const varies = Math.max(shared, commonLength(pointsOf(seen.first), last));
  // Blind within many unknown levels: halve the levels first, as jumping behind a whole subtree finds something or rules all of it out.
  const level = seen.misses > 0 && varies > shared ? (shared + varies) >> 1 : shared;
  const ways = seen.misses > 0 ? WAYS.slice(2) : WAYS.slice(varies - shared > 1 ? 0 : 1);
  for (const way of ways) {
    // Behind the last of its kind most likely nothing comes: there a little deeper.
    const levels = levelsOf(level, Math.min(varies + (way === 'any' ? 0 : DEEPER), last.length - 1), way, alphabet);
    for (const at of levels) {
      const next = seen.misses > GUESSES || (seen.misses > 0 && at < varies);
      const cut = cutAt(last, upTo, at, next ? 'next' : way, alphabet);
      if (cut !== undefined && isBetween(seen.last, cut, seen.upTo)) return cut;
    }
  }
  return undefined;
}

function levelsOf(from: number, to: number, way: Way, alphabet: Alphabet): readonly number[] {
  const levels = ascending(from, to);
  return way === 'varied' ? levels.filter((at) => alphabet.varies(at)) : levels;
}

/** Where several levels may be the one, those at which keys were seen to differ come first: many are laid out alike. */
const WAYS = ['varied', 'kin', 'any'] as const;
type Way = (typeof WAYS)[number];

/** Which later point: the very next, or a middle one, of the same kind or of any. */
type Choice = 'next' | Way;

/** Roughly how many keys the range still holds: as dense as what was listed of it. */
export function estimateRest(seen: Seen, alphabet: Alphabet): number {
  const [first, last, end] = [pointsOf(seen.first), pointsOf(seen.last), pointsOf(endOf(seen))];
  const shared = sharedLevel(last, end);
  // An end that is just the end of a subtree is, within that subtree, no bound at all.
  const upTo = shared > commonLength(last, end) ? [] : end;
  const from = Math.min(commonLength(first, last), shared);
  const value = (points: Points): number => valueOf(points, from, last, alphabet);
  const done = value(last) - value(first);
  const rest = value(upTo) - value(last);
  if (rest <= 0) return 0;
  return done <= 0 ? Infinity : (seen.count * rest) / done;
}

function isBetween(low: Key, cut: Key, high: Key | undefined): boolean {
  return compareKeys(low, cut) < 0 && (high === undefined || compareKeys(cut, high) < 0);
}

/** The end of the range, or the end of the prefix where that comes first. */
function endOf({ upTo, prefix }: Seen): Key | undefined {
  const end = prefix === undefined ? undefined : subtreeEnd(pointsOf(prefix));
  if (end === undefined || (upTo !== undefined && compareKeys(upTo, end) < 0)) return upTo;
  return end;
}

function subtreeEnd(prefix: Points): Key | undefined {
  for (let at = prefix.length - 1; at >= 0; at--) {
    const next = after(prefix[at] as number);
    if (next < END) return text([...prefix.slice(0, at), next]);
  }
  return undefined;
}

/** How many leading points all keys between the two must have in common. */
function sharedLevel(last: Points, upTo: Points): number {
  const common = commonLength(last, upTo);
  const isNext = upTo.length === common + 1 && common < last.length && upTo[common] === after(last[common] as number);
  return isNext ? common + 1 : common;
}

function commonLength(a: Points, b: Points): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return at;
}

/** The head of `last` up to this level, and there a later point: the very next, or one in the middle of what may come. */
function cutAt(last: Points, upTo: Points, level: number, choice: Choice, alphabet: Alphabet): Key | undefined {
  const point = last[level];
  if (point === undefined || last.slice(0, level + 1).some((each) => !isValid(each))) return undefined;
  const bounded = commonLength(last, upTo) === level && level < upTo.length;
  // A longer bound leaves room for a cut that equals its head.
  const high = bounded ? (upTo[level] as number) + (upTo.length > level + 1 ? 1 : 0) : END;
  const cut = choice === 'next' ? after(point) : middle(point, high, choice !== 'any', alphabet);
  return cut === undefined || cut >= END || cut > high ? undefined : text([...last.slice(0, level), cut]);
}

/** Of the same kind first: after a digit come digits, and after a nine most likely nothing. Then whatever was met, then whatever there is. */
function middle(low: number, high: number, onlyKin: boolean, alphabet: Alphabet): number | undefined {
  const [start, end] = kindOf(low);
  const kin = start === 0 ? alphabet.between(low, high) : isDigit(low) ? ascending(low + 1, Math.min(end, high - 1)) : alphabet.between(low, Math.min(end + 1, high));
  const candidates = kin.length > 0 || onlyKin ? kin : alphabet.between(low, high);
  if (candidates.length > 0 || onlyKin) return candidates[candidates.length >> 1];
  const next = after(low);
  if (next >= high) return undefined;
  return high === END ? next : safeAtLeast((low + high) >> 1, next, high);
}

function safeAtLeast(wanted: number, fallback: number, high: number): number {
  const safe = after(wanted - 1);
  return safe < high ? safe : fallback;
}

function ascending(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}

const KINDS: readonly (readonly [start: number, end: number])[] = [[0x30, 0x39], [0x41, 0x5a], [0x61, 0x7a]];
const NO_KIND = [0, END] as const;

function kindOf(point: number): readonly [start: number, end: number] {
  return KINDS.find(([start, end]) => point >= start && point <= end) ?? NO_KIND;
}

function isDigit(point: number): boolean {
  return point >= 0x30 && point <= 0x39;
}

/** A place on a line from 0 to 1 from this level on, in digits of the kind that `like` has there. Rough: for guesses only. */
function valueOf(points: Points, from: number, like: Points, alphabet: Alphabet): number {
  let value = 0;
  let scale = 1;
  for (let at = from; at < from + DIGITS; at++) {
    const [start, end] = kindOf(like[at] ?? 0x30);
    const counted = start === 0x30 ? undefined : alphabet.ranks(start, end);
    const width = counted === undefined ? end - start + 1 : counted.size + 1;
    const point = points[at];
    // What ends here comes before all that goes on; an end of all keys behind all of them.
    const digit = point === undefined ? (points.length === 0 ? width : 0) : counted === undefined ? Math.min(Math.max(point - start, 0), width) : counted.of(point);
    value += digit * (scale /= width);
    if (digit === width || point === undefined) break;
  }
  return value;
}

function pointsOf(key: Key | undefined): Points {
  return key === undefined ? [] : Array.from(key, (character) => character.codePointAt(0) as number);
}

function text(points: Points): Key {
  let key = '';
  for (const point of points) key += String.fromCodePoint(point);
  return key;
}

/** Part of valid UTF-8: not one of the lone surrogates that stand for other bytes. */
function isValid(point: number): boolean {
  return point < 0xd800 || point > 0xdfff;
}

/** Can be in a request and in the XML of its answer: no control character, no surrogate, no noncharacter. */
function isSafe(point: number): boolean {
  return point >= 0x20 && !(point >= 0x7f && point <= 0x9f) && isValid(point) && !(point >= 0xfdd0 && point <= 0xfdef) && (point & 0xfffe) !== 0xfffe;
}

/** The next point that can be part of a cut; END where there is none. */
function after(point: number): number {
  let next = point + 1;
  while (next < END && !isSafe(next)) next = next < 0x20 ? 0x20 : next >= 0xd800 && next <= 0xdfff ? 0xe000 : next + 1;
  return next;
}
