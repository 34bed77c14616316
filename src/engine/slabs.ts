/**
 * Buffers for whole parts, used again. A fresh one per part is a fresh mapping per part, freed whenever the garbage collector comes to it:
 * at a gigabyte per second hundreds of megabytes stand in the way of memory limits meanwhile.
 *
 * What is lent is covered by the memory budget; what lies ready and what is lent stay within it together. A buffer comes back only after
 * its bytes are stored: after an error a socket may still be sending them, so such a one is left to the garbage collector.
 */
import { MiB } from '../core/units.ts';
import type { Budget } from './budget.ts';

/** Smaller ones are cheap to make. Larger ones are of this size or a multiple, so that few sizes fit many. */
const STEP = 1 * MiB;

export class Slabs {
  readonly #budget: Budget;
  /** The one that was used last is at the end: its pages are the warmest. */
  readonly #ready: Buffer[] = [];
  readonly #lent = new WeakMap<Uint8Array, Buffer>();
  #readyBytes = 0;
  #soon: NodeJS.Immediate | undefined;

  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** For who has taken `size` bytes from the budget; undefined for little ones. */
  lend(size: number): Uint8Array | undefined {
    if (size < STEP) return undefined;
    const wanted = Math.ceil(size / STEP) * STEP;
    const found = this.#ready.findLastIndex((slab) => slab.length === wanted);
    const slab = found < 0 ? Buffer.allocUnsafeSlow(wanted) : this.#ready.splice(found, 1)[0] as Buffer;
    if (found >= 0) this.#readyBytes -= wanted;
    else this.#trim();
    const view = slab.subarray(0, size);
    this.#lent.set(view, slab);
    return view;
  }

  /** Nothing reads these bytes any more. Others than lent ones are none of ours, and a second time is none. */
  giveBack(view: Uint8Array): void {
    const slab = this.#lent.get(view);
    if (slab === undefined) return;
    this.#lent.delete(view);
    this.#ready.push(slab);
    this.#readyBytes += slab.length;
    this.#trimSoon();
  }

  /**
   * Not at once: others were granted their bytes in this turn of the event loop and come for their buffers at its end. To drop what they would
   * have taken makes them allocate it anew, and each new mapping brings the garbage collector of the whole heap nearer: a third of what an
   * executor did (docs/adr/012).
   */
  #trimSoon(): void {
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.#trim();
    }).unref();
  }

  #trim(): void {
    while (this.#ready.length > 0 && this.#readyBytes + this.#budget.used > this.#budget.most) this.#readyBytes -= (this.#ready.shift() as Buffer).length;
  }

  get readyBytes(): number {
    return this.#readyBytes;
  }
}

const all = new WeakMap<Budget, Slabs>();

/** Those that share one budget share its buffers. */
export function slabsOf(budget: Budget): Slabs {
  let slabs = all.get(budget);
  if (slabs === undefined) all.set(budget, slabs = new Slabs(budget));
  return slabs;
}
