/** Growing and shrinking byte sequences: what blocks are made of. Numbers are LEB128 varints up to 2^53 - 1. */
import { isUtf8Key } from './key.ts';

export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  /** `size`: bytes to begin with. */
  constructor(size = 256) {
    this.#buffer = Buffer.allocUnsafe(size);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a whole number in [0, 2^53): ${value}`);
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
  }

  bytes(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** A part of some bytes. */
  part(bytes: Uint8Array, from: number, to: number): void {
    this.#reserve(to - from);
    // Mostly a few of them, for which a call out of JavaScript takes longer.
    for (let at = from; at < to; at++) this.#buffer[this.#length++] = bytes[at] as number;
  }

  hex(text: string): void {
    this.#reserve(text.length / 2);
    this.#length += this.#buffer.write(text, this.#length, 'hex');
  }

  /** Any JavaScript string: UTF-8, or UTF-16 where a lone surrogate would not survive UTF-8. */
  text(text: string): void {
    const wide = !isUtf8Key(text);
    const bytes = Buffer.from(text, wide ? 'utf16le' : 'utf8');
    this.varint(bytes.length * 2 + (wide ? 1 : 0));
    this.bytes(bytes);
  }

  /** The bytes so far; valid until the next write. */
  view(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** From the beginning again, in the same memory. */
  clear(): void {
    this.#length = 0;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#buffer.length) return;
    const bigger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + more));
    this.#buffer.copy(bigger, 0, 0, this.#length);
    this.#buffer = bigger;
  }
}

export class ByteReader {
  readonly #buffer: Buffer;
  #at = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  byte(): number {
    return this.#buffer[this.#move(1)] as number;
  }

  varint(): number {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
  }

  bytes(length: number): Buffer {
    const from = this.#move(length);
    return this.#buffer.subarray(from, from + length);
  }

  /** The next bytes, into a buffer that has room for them. */
  copy(length: number, target: Buffer, at: number): void {
    const from = this.#move(length);
    for (let i = 0; i < length; i++) target[at + i] = this.#buffer[from + i] as number;
  }

  hex(length: number): string {
    const from = this.#move(length);
    return this.#buffer.toString('hex', from, from + length);
  }

  /** Where the next read begins. */
  get at(): number {
    return this.#at;
  }

  /** Bytes that are not read yet. */
  get left(): number {
    return this.#buffer.length - this.#at;
  }

  /** All of it, from its beginning, whatever was read. */
  view(): Buffer {
    return this.#buffer;
  }

  skip(length: number): void {
    this.#move(length);
  }

  /** To where it was before (`at`). */
  return(at: number): void {
    this.#at = at;
  }

  skipText(): void {
    this.#move(Math.floor(this.varint() / 2));
  }

  text(): string {
    const head = this.varint();
    const length = Math.floor(head / 2);
    const from = this.#move(length);
    return this.#buffer.toString(head % 2 === 1 ? 'utf16le' : 'utf8', from, from + length);
  }

  #move(length: number): number {
    const from = this.#at;
    if (from + length > this.#buffer.length) throw new RangeError('a block ends too early');
    this.#at = from + length;
    return from;
  }
}
