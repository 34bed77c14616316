/** Packs planned items into tasks: contiguous key ranges by count and bytes and predicted seconds (design §5, D3, S0.12, S0.18). */
import type { Item } from './item.ts';

export interface BatchLimits {
  readonly objects: number;
  readonly bytes: number;
  readonly seconds: number;
}

/**
 * Objects above this take so long that small ones must not wait behind them, nor they behind many small ones (F086): they are tasks of their
 * own, handed out apart. The ledger's indexes have the same figure.
 */
export const LARGE_BYTES = 64 * 1024 * 1024;

export type SizeClass = 'small' | 'large';

export function sizeClass(size: number): SizeClass {
  return size > LARGE_BYTES ? 'large' : 'small';
}

/** Rough cost of one object for packing only; what was measured later moves the feeding, not the packing. */
const SECONDS_PER_OBJECT = 0.02;
export const BYTES_PER_SECOND = 50 * 1024 * 1024;
/** What packing takes a task for, at this rate (bytes per second). */
export function predictedSeconds(objects: number, bytes: number, bytesPerSecond = BYTES_PER_SECOND): number {
  return objects * SECONDS_PER_OBJECT + bytes / bytesPerSecond;
}

/** Items that need no work still take room in a task's block. */
const MOST_ITEMS = 4000;

type Measure = Pick<Item, 'state' | 'size'>;

/** Where a task ends; it holds no items itself. */
export class Packer {
  readonly #limits: BatchLimits;
  #items = 0;
  #pending = 0;
  #bytes = 0;
  #class: SizeClass | undefined;

  constructor(limits: BatchLimits) {
    this.#limits = limits;
  }

  /** The next item: whether the task ends before it, which is then the first of the next one, or with it. */
  add(item: Measure): 'before' | 'with' | undefined {
    if (item.state === 'pending' && this.#pending > 0 && (this.#class !== sizeClass(item.size) || this.#wouldOverflow(item))) {
      this.end();
      this.#push(item);
      return 'before';
    }
    this.#push(item);
    if (!this.#isFull()) return undefined;
    this.end();
    return 'with';
  }

  /** The task ends here, whatever there is room for: by the will of who fills it, not by what add() said. */
  end(): void {
    this.#items = this.#pending = this.#bytes = 0;
  }

  #push(item: Measure): void {
    this.#items++;
    if (item.state !== 'pending') return;
    this.#pending++;
    this.#class = sizeClass(item.size);
    this.#bytes += item.size;
  }

  #wouldOverflow(item: Measure): boolean {
    const objects = this.#pending + 1;
    const bytes = this.#bytes + item.size;
    return bytes > this.#limits.bytes || predictedSeconds(objects, bytes) > this.#limits.seconds;
  }

  #isFull(): boolean {
    return this.#pending >= this.#limits.objects || this.#items >= Math.max(MOST_ITEMS, this.#limits.objects);
  }
}
