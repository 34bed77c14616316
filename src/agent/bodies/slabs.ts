/** Buffers that are used again: a new one of this size costs more than the copying that goes through it. */

const LARGE = 512 << 10;
/** Where many bodies are read at once, memory matters more than speed. */
const SMALL = 64 << 10;
const MOST_LARGE = 64;
const MOST_KEPT = 16;

const free: Buffer[] = [];
let large = 0;

/** Its content is what the last borrower left. */
export function borrowSlab(): Buffer {
  if (large >= MOST_LARGE) return Buffer.allocUnsafeSlow(SMALL);
  large += 1;
  return free.pop() ?? Buffer.allocUnsafeSlow(LARGE);
}

export function returnSlab(slab: Buffer): void {
  if (slab.length !== LARGE) return;
  large -= 1;
  if (free.length < MOST_KEPT) free.push(slab);
}
