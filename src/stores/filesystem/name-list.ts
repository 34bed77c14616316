/** The names of one directory, sorted: their bytes end to end in blocks, so that a million of them take tens of megabytes, not hundreds. */
import type { Raw } from './names.ts';

/** Blocks are never moved: a list that grows by copying itself would hold its names twice for a while. */
const BLOCK = 1 << 20;
/** Before each name: its length, two bytes. */
const HEAD = 2;

export class NameList {
  readonly #blocks: Buffer[] = [];
  /** Bytes used of the last block. */
  #used = BLOCK;
  /** Where each name stands: block × BLOCK + place. */
  #places: Uint32Array = new Uint32Array(32);
  #count = 0;
  #taken = 0;

  /** Memory it takes. */
  get bytes(): number {
    return this.#places.byteLength + (this.#blocks.length === 0 ? 0 : (this.#blocks.length - 1) * BLOCK + (this.#blocks.at(-1) as Buffer).length);
  }

  /** At most 65,535 bytes; no file system has longer names. */
  push(name: Raw): void {
    const size = HEAD + name.length;
    if (this.#used + size > BLOCK) {
      this.#blocks.push(Buffer.allocUnsafeSlow(this.#blocks.length === 0 ? Math.min(BLOCK, size + 1024) : BLOCK));
      this.#used = 0;
    }
    const block = this.#roomFor(size);
    block.writeUInt16LE(name.length, this.#used);
    block.write(name, this.#used + HEAD, 'latin1');
    if (this.#count === this.#places.length) this.#places = grown(this.#places);
    this.#places[this.#count++] = (this.#blocks.length - 1) * BLOCK + this.#used;
    this.#used += size;
  }

  /** Once, behind the last push. */
  sort(): void {
    this.#places = mergeSorted(this.#places, this.#count, (a, b) => this.#compare(a, b));
  }

  /** The next names in byte order, at most so many. */
  take(most: number): Raw[] {
    const names = Array.from(this.#places.subarray(this.#taken, Math.min(this.#count, this.#taken + most)), (place) => this.#name(place));
    this.#taken += names.length;
    return names;
  }

  /** The last block, which begins small: most directories hold few names. */
  #roomFor(size: number): Buffer {
    const last = this.#blocks.at(-1) as Buffer;
    if (this.#used + size <= last.length) return last;
    const larger = Buffer.allocUnsafeSlow(Math.min(BLOCK, Math.max(last.length * 2, this.#used + size)));
    larger.set(last.subarray(0, this.#used));
    this.#blocks[this.#blocks.length - 1] = larger;
    return larger;
  }

  #name(place: number): Raw {
    const block = this.#blocks[Math.floor(place / BLOCK)] as Buffer;
    const start = (place % BLOCK) + HEAD;
    return block.toString('latin1', start, start + block.readUInt16LE(start - HEAD));
  }

  #compare(a: number, b: number): number {
    const [one, other] = [this.#blocks[Math.floor(a / BLOCK)] as Buffer, this.#blocks[Math.floor(b / BLOCK)] as Buffer];
    let [i, j] = [(a % BLOCK) + HEAD, (b % BLOCK) + HEAD];
    const [endA, endB] = [i + one.readUInt16LE(i - HEAD), j + other.readUInt16LE(j - HEAD)];
    for (; i < endA && j < endB; i++, j++) {
      const difference = (one[i] as number) - (other[j] as number);
      if (difference !== 0) return difference;
    }
    return (endA - i) - (endB - j);
  }
}

function grown(old: Uint32Array): Uint32Array {
  const larger = new Uint32Array(old.length * 2);
  larger.set(old);
  return larger;
}

/** The first `count` of them, sorted. `Uint32Array.sort` with a comparison of one's own goes through lists of boxed numbers, five times the size. */
function mergeSorted(values: Uint32Array, count: number, compare: (a: number, b: number) => number): Uint32Array {
  let [from, to]: [Uint32Array, Uint32Array] = [values, new Uint32Array(count)];
  for (let width = 1; width < count; width *= 2) {
    for (let start = 0; start < count; start += 2 * width) mergeRuns(from, to, start, Math.min(start + width, count), Math.min(start + 2 * width, count), compare);
    [from, to] = [to, from];
  }
  return from;
}

/** Two sorted runs that stand side by side, into one. */
function mergeRuns(from: Uint32Array, to: Uint32Array, start: number, middle: number, end: number, compare: (a: number, b: number) => number): void {
  let [left, right] = [start, middle];
  for (let at = start; at < end; at++) {
    const takeLeft = left < middle && (right >= end || compare(from[left] as number, from[right] as number) <= 0);
    to[at] = from[takeLeft ? left++ : right++] as number;
  }
}
