/**
 * What several runs left at the destination, asked key by key in their order: the newest run that copied a key or found it unchanged
 * answers. A run is only looked into where no newer one knows the key, and holds one block of it in memory.
 */
import { compareKeys } from '../../core/key.ts';
import type { Item } from '../../core/item.ts';
import type { Key } from '../../core/key.ts';
import type { Line } from './block.ts';

/** A stretch of one run's keys. */
export interface Span {
  readonly from: Key;
  /** The first key beyond it; absent: the end. */
  readonly until?: Key;
  readonly lines: ReadonlyMap<Key, Line>;
}

/** Of all runs together; beyond it the block that was read longest ago goes and is read again when it is asked for. */
const MOST_LINES = 100_000;

export class LeftItems {
  readonly #runs: readonly number[];
  readonly #read: (run: number, key: Key) => Span;
  readonly #most: number;
  readonly #spans = new Map<number, Span>();
  #held = 0;

  /** `runs`: newest first. `read`: the stretch of a run from a key on. `cursors`: so many like this share the memory. */
  constructor(runs: readonly number[], read: (run: number, key: Key) => Span, cursors = 1) {
    this.#most = MOST_LINES / cursors;
    this.#runs = runs;
    this.#read = read;
  }

  find(key: Key): Item | undefined {
    for (const run of this.#runs) {
      const item = this.#spanOf(run, key).lines.get(key)?.item;
      if (item?.destination !== undefined && (item.state === 'copied' || item.state === 'unchanged')) return item;
    }
    return undefined;
  }

  #spanOf(run: number, key: Key): Span {
    const known = this.#spans.get(run);
    if (known !== undefined && covers(known, key)) return known;
    this.#drop(run);
    const span = this.#read(run, key);
    this.#spans.set(run, span);
    this.#held += span.lines.size;
    for (const oldest of this.#spans.keys()) {
      if (this.#held <= this.#most || oldest === run) break;
      this.#drop(oldest);
    }
    return span;
  }

  #drop(run: number): void {
    this.#held -= this.#spans.get(run)?.lines.size ?? 0;
    this.#spans.delete(run);
  }
}

function covers({ from, until }: Span, key: Key): boolean {
  return compareKeys(from, key) <= 0 && (until === undefined || compareKeys(key, until) < 0);
}
