/**
 * Where the bytes of an answer land. Whole parts land in the buffer that the reader brought; streams in a few buffers that are used again;
 * short answers are copied out of the connection's own buffer.
 */
import { KiB, MiB } from '../../../core/units.ts';

export interface Inflow {
  /** Room for the next bytes of the body, at most `left`; undefined: they are to be copied. */
  room(left: number): Uint8Array | undefined;
  /** So many bytes landed at the start of the room that was given last. */
  landed(count: number): void;
  /** These landed elsewhere. */
  copy(bytes: Uint8Array): void;
  /** Bytes that nobody has taken yet. */
  readonly waiting: number;
  /** The next chunk. It belongs to the taker until the next call. */
  take(): Uint8Array | undefined;
  /** Chunks are handed out from this size on. */
  readonly step: number;
  /** Bytes that may wait for the reader before the socket is paused. */
  readonly ahead: number;
}

/** Of what has no memory of its own but the heap's. */
const SMALL = { step: 256 * KiB, ahead: 1 * MiB };

/**
 * Large, since the buffer is there already: each read is a call into the kernel and back into JavaScript, each chunk one through all decorators.
 * With 256 KiB of either, bulk bytes over plain HTTP took a seventh more CPU, though they were warmer when they were hashed (docs/adr/012).
 */
const PLACE = { read: 4 * MiB, step: 2 * MiB, ahead: 4 * MiB };

/** Into the reader's own buffer: each chunk is a piece of it, in its place. */
export class InPlace implements Inflow {
  readonly step = PLACE.step;
  readonly ahead = PLACE.ahead;
  readonly #into: Uint8Array;
  #landed = 0;
  #taken = 0;

  constructor(into: Uint8Array) {
    this.#into = into;
  }

  get waiting(): number {
    return this.#landed - this.#taken;
  }

  room(left: number): Uint8Array {
    return this.#into.subarray(this.#landed, this.#landed + Math.min(left, PLACE.read));
  }

  landed(count: number): void {
    this.#landed += count;
  }

  copy(bytes: Uint8Array): void {
    this.#into.set(bytes, this.#landed);
    this.#landed += bytes.length;
  }

  take(): Uint8Array | undefined {
    if (this.waiting === 0) return undefined;
    const chunk = this.#into.subarray(this.#taken, this.#landed);
    this.#taken = this.#landed;
    return chunk;
  }
}

const RING_BUFFER = 256 * KiB;
/** Buffers that lie ready for the next stream. */
const MOST_READY = 8 * MiB / RING_BUFFER;
/**
 * Less than this is handed out as a copy: sockets and streams take small chunks without waiting for the previous ones to be sent, so
 * that a buffer could be filled again too early.
 */
const WORTH_LENDING = 128 * KiB;

/** Buffers of one size, shared by the streams of a transport. */
export class RingBuffers {
  readonly #ready: Buffer[] = [];

  lend(): Buffer {
    return this.#ready.pop() ?? Buffer.allocUnsafeSlow(RING_BUFFER);
  }

  giveBack(buffer: Buffer): void {
    if (this.#ready.length < MOST_READY) this.#ready.push(buffer);
  }
}

/** Through buffers that are filled, taken and filled again. */
export class Ring implements Inflow {
  readonly step = SMALL.step;
  readonly ahead = SMALL.ahead;
  readonly #buffers: RingBuffers;
  /** Filled ones, the oldest first. */
  readonly #full: Buffer[] = [];
  #filling: Buffer;
  #filled = 0;
  /** Bytes of #filling that were taken already. */
  #from = 0;
  /** The buffer of the chunk that was taken last, unless it is still being filled. */
  #lent: Buffer | undefined;

  constructor(buffers: RingBuffers) {
    this.#buffers = buffers;
    this.#filling = buffers.lend();
  }

  get waiting(): number {
    return this.#full.reduce((sum, buffer) => sum + buffer.length, 0) + this.#filled - this.#from;
  }

  room(left: number): Uint8Array {
    return this.#filling.subarray(this.#filled, Math.min(this.#filled + left, RING_BUFFER));
  }

  landed(count: number): void {
    this.#filled += count;
    if (this.#filled < RING_BUFFER) return;
    this.#full.push(this.#from === 0 ? this.#filling : this.#filling.subarray(this.#from));
    this.#next();
  }

  copy(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const room = this.room(bytes.length - at);
      room.set(bytes.subarray(at, at + room.length));
      at += room.length;
      this.landed(room.length);
    }
  }

  take(): Uint8Array | undefined {
    this.#recycle();
    const full = this.#full.shift();
    if (full !== undefined) {
      this.#lent = full;
      return full.length < WORTH_LENDING ? Buffer.from(full) : full;
    }
    if (this.#filled === this.#from) return undefined;
    const chunk = this.#filling.subarray(this.#from, this.#filled);
    this.#from = this.#filled;
    return chunk.length < WORTH_LENDING ? Buffer.from(chunk) : chunk;
  }

  #next(): void {
    this.#filling = this.#buffers.lend();
    this.#filled = this.#from = 0;
  }

  #recycle(): void {
    if (this.#lent?.length === RING_BUFFER) this.#buffers.giveBack(this.#lent);
    this.#lent = undefined;
  }
}

/** Small enough for the heap of the C library, where memory that was freed is used again. */
const CRUMBS = 64 * KiB;

/** Copies of short pieces, many to a block of memory: one of a few KiB by itself costs the garbage collector more than its bytes. */
export class Crumbs {
  #block = Buffer.alloc(0);
  #used = 0;

  copy(bytes: Uint8Array): Buffer {
    if (bytes.length > CRUMBS / 4) return Buffer.from(bytes);
    if (this.#used + bytes.length > this.#block.length) {
      this.#block = Buffer.allocUnsafeSlow(CRUMBS);
      this.#used = 0;
    }
    const copy = this.#block.subarray(this.#used, this.#used += bytes.length);
    copy.set(bytes);
    return copy;
  }
}

/** Short answers: copied, as they come. */
export class Copies implements Inflow {
  readonly step = SMALL.step;
  readonly ahead = SMALL.ahead;
  readonly #crumbs: Crumbs;
  #chunks: Buffer[] = [];
  waiting = 0;

  constructor(crumbs: Crumbs) {
    this.#crumbs = crumbs;
  }

  room(): undefined {
    return undefined;
  }

  landed(): void {
    throw new TypeError('no room was given');
  }

  copy(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(this.#crumbs.copy(bytes));
    this.waiting += bytes.length;
  }

  take(): Uint8Array | undefined {
    if (this.waiting === 0) return undefined;
    const [first, ...more] = this.#chunks;
    this.#chunks = [];
    this.waiting = 0;
    return more.length === 0 ? first : Buffer.concat([first as Buffer, ...more]);
  }
}
