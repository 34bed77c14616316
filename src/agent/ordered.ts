/** A map ordered by the UTF-8 bytes of its keys: blocks of sorted entries, so that an insertion moves at most one block. */
interface Slot<V> { readonly bytes: Buffer; readonly key: string; value: V }

const blockSize = 512;

/** First index in `list` whose bytes are ≥ `bytes`. */
function lowerBound<V>(list: readonly Slot<V>[], bytes: Buffer): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(list[middle]!.bytes, bytes) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class OrderedMap<V> {
  private readonly byKey = new Map<string, Slot<V>>();
  private readonly blocks: Slot<V>[][] = [];

  get size(): number {
    return this.byKey.size;
  }

  get(key: string): V | undefined {
    return this.byKey.get(key)?.value;
  }

  /** The block that holds or should hold the bytes: the first whose last entry is not below them. */
  private blockOf(bytes: Buffer): number {
    let low = 0;
    let high = this.blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (Buffer.compare(this.blocks[middle]!.at(-1)!.bytes, bytes) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  set(key: string, value: V): void {
    const known = this.byKey.get(key);
    if (known !== undefined) {
      known.value = value;
      return;
    }
    const slot: Slot<V> = { bytes: Buffer.from(key), key, value };
    this.byKey.set(key, slot);
    this.insert(slot);
  }

  private insert(slot: Slot<V>): void {
    const at = Math.min(this.blockOf(slot.bytes), this.blocks.length - 1);
    const block = this.blocks[at];
    if (block === undefined) {
      this.blocks.push([slot]);
      return;
    }
    block.splice(lowerBound(block, slot.bytes), 0, slot);
    if (block.length > blockSize) this.blocks.splice(at + 1, 0, block.splice(blockSize / 2));
  }

  delete(key: string): void {
    const slot = this.byKey.get(key);
    if (slot === undefined) return;
    this.byKey.delete(key);
    const at = this.blockOf(slot.bytes);
    const block = this.blocks[at]!;
    block.splice(lowerBound(block, slot.bytes), 1);
    if (block.length === 0) this.blocks.splice(at, 1);
  }

  /** Values with key bytes ≥ `from`, in order; `next(to)` skips those below `to`. Survives changes made while iterating: it seeks again from the last key. */
  *from(from: Buffer): Generator<V, void, Buffer | undefined> {
    let next = from;
    for (;;) {
      const block = this.blocks[this.blockOf(next)];
      if (block === undefined) return;
      const slots = block.slice(lowerBound(block, next));
      next = Buffer.concat([slots.at(-1)!.bytes, Buffer.from([0])]);
      for (const slot of slots) {
        const to = yield slot.value;
        if (to === undefined || Buffer.compare(to, slot.bytes) <= 0) continue;
        next = to;
        break;
      }
    }
  }
}
