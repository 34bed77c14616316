/** The checksums of S3 but for the xxHash family, and the CRC of a whole object from the CRCs of its parts.
 * Source: S3 User Guide, "Checking object integrity". Written apart from the S3 driver, which this endpoint judges. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { isHole } from '../core/holes.ts';

export const algorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'MD5', 'SHA1', 'SHA256', 'SHA512'] as const;
export type Algorithm = (typeof algorithms)[number];
export type ChecksumType = 'COMPOSITE' | 'FULL_OBJECT';

export interface Checksum {
  readonly algorithm: Algorithm;
  /** Base64; a composite one ends in `-<parts>`. */
  readonly value: string;
  readonly type: ChecksumType;
}

export const checksumHeader = (algorithm: Algorithm): string => `x-amz-checksum-${algorithm.toLowerCase()}`;
export const checksumElement = (algorithm: Algorithm): string => `Checksum${algorithm}`;
export const parseAlgorithm = (name: string): Algorithm | undefined => algorithms.find((a) => a === name.toUpperCase());
export const isCrc = (algorithm: Algorithm): boolean => algorithm.startsWith('CRC');
export const digestLength = (algorithm: Algorithm): number => ({ CRC32: 4, CRC32C: 4, CRC64NVME: 8, MD5: 16, SHA1: 20, SHA256: 32, SHA512: 64 })[algorithm];

export interface Digest {
  update(bytes: Buffer): void;
  digest(): Buffer;
}

const crc32cPolynomial = 0x82f63b78;

/** Eight tables of 256: slicing-by-8 reads eight bytes per step. */
function tables32(polynomial: number): Uint32Array {
  const out = new Uint32Array(8 * 256);
  for (let n = 0; n < 256; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ polynomial : c >>> 1;
    out[n] = c >>> 0;
  }
  for (let i = 256; i < out.length; i++) {
    const before = out[i - 256] ?? 0;
    out[i] = (before >>> 8) ^ (out[before & 255] ?? 0);
  }
  return out;
}

const t32c = tables32(crc32cPolynomial);

class Crc32c implements Digest {
  private crc = 0xffffffff;

  update(bytes: Buffer): void {
    const t = t32c;
    let crc = this.crc;
    let i = 0;
    for (; i + 8 <= bytes.length; i += 8) {
      const low = crc ^ bytes.readUInt32LE(i);
      const high = bytes.readUInt32LE(i + 4);
      crc = t[1792 + (low & 255)]! ^ t[1536 + ((low >>> 8) & 255)]! ^ t[1280 + ((low >>> 16) & 255)]! ^ t[1024 + (low >>> 24)]!
        ^ t[768 + (high & 255)]! ^ t[512 + ((high >>> 8) & 255)]! ^ t[256 + ((high >>> 16) & 255)]! ^ t[high >>> 24]!;
    }
    for (; i < bytes.length; i++) crc = (crc >>> 8) ^ t[(crc ^ bytes[i]!) & 255]!;
    this.crc = crc;
  }

  digest(): Buffer {
    const out = Buffer.alloc(4);
    out.writeUInt32BE((this.crc ^ 0xffffffff) >>> 0);
    return out;
  }
}

const crc64Polynomial = 0x9a6c9329ac4bc9b5n; // reflected form of 0xad93d23594c93659 (CRC-64/NVME)

/** Slicing-by-8 tables of 64-bit values, as pairs of halves. */
function tables64(): { low: Uint32Array; high: Uint32Array } {
  const values: bigint[] = [];
  for (let n = 0n; n < 256n; n++) {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1n ? (c >> 1n) ^ crc64Polynomial : c >> 1n;
    values.push(c);
  }
  for (let i = 256; i < 2048; i++) {
    const before = values[i - 256] ?? 0n;
    values.push((before >> 8n) ^ (values[Number(before & 255n)] ?? 0n));
  }
  return { low: Uint32Array.from(values, (v) => Number(v & 0xffffffffn)), high: Uint32Array.from(values, (v) => Number(v >> 32n)) };
}

let made64: ReturnType<typeof tables64> | undefined;

class Crc64 implements Digest {
  private low = 0xffffffff;
  private high = 0xffffffff;

  update(bytes: Buffer): void {
    made64 ??= tables64();
    const { low: tl, high: th } = made64;
    let { low, high } = this;
    let i = 0;
    for (; i + 8 <= bytes.length; i += 8) {
      const a = low ^ bytes.readUInt32LE(i);
      const b = high ^ bytes.readUInt32LE(i + 4);
      const i0 = 1792 + (a & 255), i1 = 1536 + ((a >>> 8) & 255), i2 = 1280 + ((a >>> 16) & 255), i3 = 1024 + (a >>> 24);
      const i4 = 768 + (b & 255), i5 = 512 + ((b >>> 8) & 255), i6 = 256 + ((b >>> 16) & 255), i7 = b >>> 24;
      low = tl[i0]! ^ tl[i1]! ^ tl[i2]! ^ tl[i3]! ^ tl[i4]! ^ tl[i5]! ^ tl[i6]! ^ tl[i7]!;
      high = th[i0]! ^ th[i1]! ^ th[i2]! ^ th[i3]! ^ th[i4]! ^ th[i5]! ^ th[i6]! ^ th[i7]!;
    }
    for (; i < bytes.length; i++) {
      const at = (low ^ bytes[i]!) & 255;
      low = ((low >>> 8) | (high << 24)) ^ tl[at]!;
      high = (high >>> 8) ^ th[at]!;
    }
    this.low = low;
    this.high = high;
  }

  digest(): Buffer {
    const out = Buffer.alloc(8);
    out.writeUInt32BE((this.high ^ 0xffffffff) >>> 0, 0);
    out.writeUInt32BE((this.low ^ 0xffffffff) >>> 0, 4);
    return out;
  }
}

class Crc32 implements Digest {
  private crc = 0;
  update(bytes: Buffer): void {
    this.crc = crc32(bytes, this.crc);
  }
  digest(): Buffer {
    const out = Buffer.alloc(4);
    out.writeUInt32BE(this.crc);
    return out;
  }
}

class Hashed implements Digest {
  private readonly hash;
  constructor(name: string) {
    this.hash = createHash(name);
  }
  update(bytes: Buffer): void {
    this.hash.update(bytes);
  }
  digest(): Buffer {
    return this.hash.digest();
  }
}

function startPlain(algorithm: Algorithm): Digest {
  if (algorithm === 'CRC32') return new Crc32();
  if (algorithm === 'CRC32C') return new Crc32c();
  if (algorithm === 'CRC64NVME') return new Crc64();
  return new Hashed(algorithm.toLowerCase());
}

/** Shorter holes are quicker walked through. */
const longHole = 256 << 10;

/** A CRC that leaps over holes: the stretches between them are combined as parts are. */
class Leaping implements Digest {
  private readonly algorithm: Algorithm;
  private readonly stretches: { crc: Buffer; size: number }[] = [];
  private running: Digest | undefined;
  private runningBytes = 0;
  private zeros = 0;

  constructor(algorithm: Algorithm) {
    this.algorithm = algorithm;
  }

  update(bytes: Buffer): void {
    if (bytes.length >= longHole && isHole(bytes)) {
      this.endData();
      this.zeros += bytes.length;
      return;
    }
    this.endHole();
    this.running ??= startPlain(this.algorithm);
    this.runningBytes += bytes.length;
    this.running.update(bytes);
  }

  digest(): Buffer {
    this.endData();
    this.endHole();
    const [only] = this.stretches;
    if (only === undefined) return startPlain(this.algorithm).digest();
    return this.stretches.length === 1 ? only.crc : combineCrc(this.algorithm, this.stretches);
  }

  private endData(): void {
    if (this.running !== undefined) this.stretches.push({ crc: this.running.digest(), size: this.runningBytes });
    this.running = undefined;
    this.runningBytes = 0;
  }

  private endHole(): void {
    if (this.zeros > 0) this.stretches.push({ crc: crcOfZeros(this.algorithm, this.zeros), size: this.zeros });
    this.zeros = 0;
  }
}

export function startDigest(algorithm: Algorithm): Digest {
  return isCrc(algorithm) ? new Leaping(algorithm) : startPlain(algorithm);
}

export function digestOf(algorithm: Algorithm, bytes: Buffer): Buffer {
  const digest = startDigest(algorithm);
  digest.update(bytes);
  return digest.digest();
}

interface Field { readonly width: bigint; readonly polynomial: bigint }

const fields: Partial<Record<Algorithm, Field>> = {
  CRC32: { width: 32n, polynomial: 0xedb88320n },
  CRC32C: { width: 32n, polynomial: BigInt(crc32cPolynomial) },
  CRC64NVME: { width: 64n, polynomial: crc64Polynomial },
};

/** a·b in GF(2)[x] modulo the field's polynomial; bit-reflected, so the top bit is x⁰. */
function multiply(field: Field, a: bigint, b: bigint): bigint {
  let product = 0n;
  let factor = b;
  for (let bit = 1n << (field.width - 1n); bit > 0n; bit >>= 1n) {
    if (a & bit) product ^= factor;
    factor = factor & 1n ? (factor >> 1n) ^ field.polynomial : factor >> 1n;
  }
  return product;
}

/** x^(8·bytes): what appending so many bytes does to a CRC. */
function shiftBy(field: Field, bytes: number): bigint {
  let result = 1n << (field.width - 1n);
  let square = 1n << (field.width - 9n); // x⁸
  for (let n = BigInt(bytes); n > 0n; n >>= 1n) {
    if (n & 1n) result = multiply(field, result, square);
    square = multiply(field, square, square);
  }
  return result;
}

/** Each zero byte multiplies the register, which starts as all ones and is told inverted, by x⁸. */
function crcOfZeros(algorithm: Algorithm, bytes: number): Buffer {
  const field = fields[algorithm] as Field;
  const ones = (1n << field.width) - 1n;
  const crc = multiply(field, ones, shiftBy(field, bytes)) ^ ones;
  return Buffer.from(crc.toString(16).padStart(Number(field.width) / 4, '0'), 'hex');
}

/** The CRC of the concatenation of parts, from each part's CRC and size. */
export function combineCrc(algorithm: Algorithm, parts: readonly { readonly crc: Buffer; readonly size: number }[]): Buffer {
  const field = fields[algorithm];
  if (field === undefined) throw new RangeError(`${algorithm} cannot be combined from parts`);
  let crc = 0n;
  for (const part of parts) crc = multiply(field, shiftBy(field, part.size), crc) ^ BigInt(`0x${part.crc.toString('hex')}`);
  return Buffer.from(crc.toString(16).padStart(Number(field.width) / 4, '0'), 'hex');
}
