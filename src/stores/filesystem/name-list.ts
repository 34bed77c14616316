/** The names of one directory, sorted: their bytes end to end in one block, so that a million of them take tens of megabytes, not hundreds. */
import type { Raw } from './names.ts';

export class NameList {
  #bytes = Buffer.allocUnsafeSlow(1024);
  /** Where each name ends; it starts where the one before ends. */
  #ends = new Uint32Array(32);
  #count = 0;
  #order = new Uint32Array(0);
  #taken = 0;

  push(name: Raw): void {
    const start = this.#endOf(this.#count - 1);
    if (start + name.length > this.#bytes.length) this.#bytes = grown(this.#bytes, start, Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, start + name.length)));
    if (this.#count === this.#ends.length) this.#ends = grown(this.#ends, this.#count, new Uint32Array(this.#count * 2));
    this.#bytes.write(name, start, 'latin1');
    this.#ends[this.#count++] = start + name.length;
  }

  /** Once, behind the last push. */
  sort(): void {
    this.#order = Uint32Array.from({ length: this.#count }, (_, i) => i).sort((a, b) => this.#compare(a, b));
  }

  /** The next names in byte order, at most so many. */
  take(most: number): Raw[] {
    const names = Array.from(this.#order.subarray(this.#taken, this.#taken + most), (i) => this.#bytes.toString('latin1', this.#endOf(i - 1), this.#endOf(i)));
    this.#taken += names.length;
    return names;
  }

  #endOf(index: number): number {
    return index < 0 ? 0 : (this.#ends[index] as number);
  }

  #compare(a: number, b: number): number {
    const bytes = this.#bytes;
    let [i, j] = [this.#endOf(a - 1), this.#endOf(b - 1)];
    const [endA, endB] = [this.#endOf(a), this.#endOf(b)];
    for (; i < endA && j < endB; i++, j++) {
      const difference = (bytes[i] as number) - (bytes[j] as number);
      if (difference !== 0) return difference;
    }
    return (endA - i) - (endB - j);
  }
}

function grown<T extends Uint8Array | Uint32Array>(old: T, used: number, larger: T): T {
  larger.set(old.subarray(0, used));
  return larger;
}
