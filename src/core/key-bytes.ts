/** The bytes of one key after another in the same memory: front-coded keys are written and read without a buffer for each. */
import type { ByteReader, ByteWriter } from './bytes.ts';
import { isUtf8Key, type Key, keyFromBytes, keyToBytes } from './key.ts';

/** Of S3; a path may be longer. */
const USUAL = 1024;

export class KeyBytes {
  #buffer = Buffer.allocUnsafe(USUAL);
  #length = 0;
  /** So many bytes from the first on are known to be ASCII: they need no decoder. */
  #plain = 0;

  /** Valid until the next change. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  get length(): number {
    return this.#length;
  }

  set(key: Key): void {
    this.#reserve(key.length * 3, 0);
    this.#length = this.#buffer.write(key, 0, 'utf8');
    this.#plain = 0;
    // One byte for each unit: it is all ASCII.
    if (this.#length === key.length || isUtf8Key(key)) return;
    const bytes = keyToBytes(key);
    this.#buffer.set(bytes);
    this.#length = bytes.length;
  }

  /** With how many bytes both begin. */
  shared(other: KeyBytes): number {
    const most = Math.min(this.#length, other.#length);
    let at = 0;
    while (at < most && this.#buffer[at] === other.#buffer[at]) at++;
    return at;
  }

  /** Writes what stands behind the first bytes. */
  writeFrom(from: number, to: ByteWriter): void {
    to.part(this.#buffer, from, this.#length);
  }

  /** The key that begins with the first `kept` bytes of this one, with so many more behind them. Answers whether it comes after this one. @throws RangeError */
  follow(kept: number, suffix: ByteReader, more: number): boolean {
    const before = this.#length;
    if (kept > before) throw new RangeError('a key begins with more than there is');
    this.#reserve(kept + more, before);
    const was = this.#buffer[kept] as number;
    suffix.copy(more, this.#buffer, kept);
    this.#length = kept + more;
    this.#plain = Math.min(this.#plain, kept);
    while (this.#plain < this.#length && (this.#buffer[this.#plain] as number) < 0x80) this.#plain++;
    return more > 0 && (kept === before || (this.#buffer[kept] as number) > was);
  }

  /** As compareKeys: of this key and that one. */
  compare(key: Key): number {
    const most = Math.min(this.#length, key.length);
    for (let at = 0; at < most; at++) {
      const [mine, other] = [this.#buffer[at] as number, key.charCodeAt(at)];
      // As long as all is ASCII a byte is a character.
      if (mine >= 0x80 || other >= 0x80) return Math.sign(Buffer.compare(this.view(), keyToBytes(key)));
      if (mine !== other) return mine - other;
    }
    return this.#length - key.length;
  }

  text(): Key {
    return this.#plain === this.#length ? this.#buffer.toString('latin1', 0, this.#length) : keyFromBytes(this.view());
  }

  #reserve(bytes: number, kept: number): void {
    if (bytes <= this.#buffer.length) return;
    const bigger = Buffer.allocUnsafe(bytes * 2);
    this.#buffer.copy(bigger, 0, 0, kept);
    this.#buffer = bigger;
  }
}
