/** A map whose keys come out in byte order. New keys wait unsorted until somebody lists: writing stays cheap, a listing merges once. */
import { compareKeys, type Key } from '../../core/key.ts';

export class OrderedMap<V> {
  readonly #values = new Map<Key, V>();
  #sorted: Key[] = [];
  /** Keys written or removed since `#sorted` was made. */
  readonly #touched = new Set<Key>();

  get size(): number {
    return this.#values.size;
  }

  get(key: Key): V | undefined {
    return this.#values.get(key);
  }

  set(key: Key, value: V): void {
    if (!this.#values.has(key)) this.#touched.add(key);
    this.#values.set(key, value);
  }

  delete(key: Key): void {
    if (this.#values.delete(key)) this.#touched.add(key);
  }

  /** At most `most` entries with the prefix, after `after`, in byte order. */
  slice(prefix: Key, after: Key | undefined, most: number): readonly (readonly [Key, V])[] {
    this.#settle();
    const found: (readonly [Key, V])[] = [];
    for (let at = this.#start(prefix, after); at < this.#sorted.length && found.length < most; at++) {
      const key = this.#sorted[at] as Key;
      if (!key.startsWith(prefix)) break;
      found.push([key, this.#values.get(key) as V]);
    }
    return found;
  }

  /** Index of the first key that is ≥ prefix and > after. */
  #start(prefix: Key, after: Key | undefined): number {
    const fromPrefix = this.#search((key) => compareKeys(key, prefix) >= 0);
    return after === undefined ? fromPrefix : Math.max(fromPrefix, this.#search((key) => compareKeys(key, after) > 0));
  }

  #search(fits: (key: Key) => boolean): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (fits(this.#sorted[middle] as Key)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #settle(): void {
    if (this.#touched.size === 0) return;
    const old = this.#sorted.filter((key) => !this.#touched.has(key));
    const fresh = [...this.#touched].filter((key) => this.#values.has(key)).sort(compareKeys);
    this.#touched.clear();
    this.#sorted = merge(old, fresh);
  }
}

function merge(a: readonly Key[], b: readonly Key[]): Key[] {
  if (b.length === 0) return [...a];
  const merged: Key[] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) merged.push(compareKeys(a[i] as Key, b[j] as Key) < 0 ? (a[i++] as Key) : (b[j++] as Key));
  for (; i < a.length; i++) merged.push(a[i] as Key);
  for (; j < b.length; j++) merged.push(b[j] as Key);
  return merged;
}
