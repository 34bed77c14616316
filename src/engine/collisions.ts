/**
 * On a file system `a` and `a/b` cannot both exist (F043). Keys arrive in order, so whether `a/…` will come is known once the order has
 * passed `a/`: until then the item waits here. The shorter key fails, the longer ones are written.
 */
import { compareKeys, type Key } from '../core/key.ts';

export interface Held<T> { readonly key: Key; readonly value: T }

/** Enough for any tree that people make; beyond it `look` asks the source. */
const MOST_HELD = 10_000;

export class CollisionGuard<T> {
  readonly #held: (Held<T> & { collides: boolean })[] = [];
  readonly #look: (prefix: Key) => Promise<boolean>;

  /** `look` tells whether the source lists any key with this prefix; asked only when too many items wait. */
  constructor(look: (prefix: Key) => Promise<boolean>) {
    this.#look = look;
  }

  /** Takes the next item in key order and returns those that are decided, in key order. */
  async add(key: Key, value: T, waits: boolean): Promise<readonly (Held<T> & { readonly collides: boolean })[]> {
    for (const held of this.#held) if (key.startsWith(`${held.key}/`)) held.collides = true;
    this.#held.push({ key, value, collides: false });
    if (!waits) this.#decided.add(key);
    if (this.#held.length > MOST_HELD) await this.#askFirst();
    return this.#release(key);
  }

  readonly #decided = new Set<Key>();

  end(): readonly (Held<T> & { readonly collides: boolean })[] {
    this.#decided.clear();
    return this.#held.splice(0);
  }

  /** Everything up to the first item that may still collide. */
  #release(current: Key): readonly (Held<T> & { readonly collides: boolean })[] {
    let ready = 0;
    for (const held of this.#held) {
      if (!held.collides && !this.#decided.has(held.key) && !isPast(current, held.key)) break;
      this.#decided.delete(held.key);
      ready++;
    }
    return this.#held.splice(0, ready);
  }

  async #askFirst(): Promise<void> {
    const first = this.#held[0];
    if (first === undefined) return;
    first.collides = await this.#look(`${first.key}/`);
    this.#decided.add(first.key);
  }
}

/** No later key can start with `key/`: `0` follows `/` in byte order. */
function isPast(current: Key, key: Key): boolean {
  return compareKeys(current, `${key}0`) >= 0;
}
