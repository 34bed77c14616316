/**
 * Checksums in flight. CRC-32 is the default: built into Node, linear (parts combine into the whole without a second read) and accepted
 * as a full-object checksum by S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { isHole } from './holes.ts';
import type { Checksum, ChecksumAlgorithm } from './object.ts';
import { KiB } from './units.ts';

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** The digest so far; may be asked once. */
  checksum(): Checksum;
}

export function createHasher(algorithm: ChecksumAlgorithm): Hasher {
  switch (algorithm) {
    case 'crc32': return overHoles(algorithm, () => crcHasher(algorithm, (bytes, state) => crc32(bytes, state)));
    case 'crc32c': return overHoles(algorithm, () => crcHasher(algorithm, crc32c));
    case 'crc64nvme': return overHoles(algorithm, crc64Hasher);
    case 'sha1': case 'sha256': case 'md5': return cryptoHasher(algorithm);
  }
}

export function checksumOf(algorithm: ChecksumAlgorithm, bytes: Uint8Array): Checksum {
  const hasher = createHasher(algorithm);
  hasher.update(bytes);
  return hasher.checksum();
}

/** Whether checksums of pieces combine into that of the whole. */
export function isLinear(algorithm: ChecksumAlgorithm): boolean {
  return algorithm === 'crc32' || algorithm === 'crc32c' || algorithm === 'crc64nvme';
}

/** Checksum of a ‖ b from those of a and b and the length of b in bytes, or undefined where the algorithm is not linear. */
export function combineChecksums(a: Checksum, b: Checksum, lengthOfB: number): Checksum | undefined {
  if (a.algorithm !== b.algorithm) return undefined;
  const width = a.algorithm === 'crc64nvme' ? 64 : 32;
  const polynomial = POLYNOMIALS[a.algorithm];
  if (polynomial === undefined) return undefined;
  const shifted = multiply(BigInt(`0x${a.hex}`), powerOfX(BigInt(lengthOfB) * 8n, polynomial, width), polynomial, width);
  const combined = shifted ^ BigInt(`0x${b.hex}`);
  return { algorithm: a.algorithm, hex: combined.toString(16).padStart(width / 4, '0') };
}

/** Reflected polynomials: https://reveng.sourceforge.io/crc-catalogue/ (CRC-32/ISO-HDLC, CRC-32/ISCSI, CRC-64/NVME). */
const POLYNOMIALS: Partial<Record<ChecksumAlgorithm, bigint>> = { crc32: 0xedb88320n, crc32c: 0x82f63b78n, crc64nvme: 0x9a6c9329ac4bc9b5n };

/** Product of two reflected polynomials modulo the generator; bit `width - 1` is x⁰. */
function multiply(a: bigint, b: bigint, polynomial: bigint, width: number): bigint {
  let product = 0n;
  let factor = b;
  for (let bit = BigInt(width - 1); bit >= 0n; bit--) {
    if ((a >> bit) & 1n) product ^= factor;
    factor = factor & 1n ? (factor >> 1n) ^ polynomial : factor >> 1n;
  }
  return product;
}

/** x^exponent modulo the generator, by squaring. */
function powerOfX(exponent: bigint, polynomial: bigint, width: number): bigint {
  const one = 1n << BigInt(width - 1);
  let result = one;
  let square = one >> 1n;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = multiply(result, square, polynomial, width);
    square = multiply(square, square, polynomial, width);
  }
  return result;
}

/** Below this a hole is quicker walked through than reckoned with. */
const LONG_HOLE = 256 * KiB;

/** Long holes are not walked through: what they do to a linear checksum is computed from their length. */
function overHoles(algorithm: ChecksumAlgorithm, start: () => Hasher): Hasher {
  let current: Hasher | undefined = start();
  let before: Checksum | undefined;
  let [length, zeros] = [0, 0];
  /** What was seen since the last hole joins what was seen before it. */
  const join = (): void => {
    if (current !== undefined && length > 0) before = before === undefined ? current.checksum() : combined(before, current.checksum(), length);
    current = undefined;
    length = 0;
  };
  const fill = (): void => {
    if (zeros === 0) return;
    join();
    before = before === undefined ? checksumOfZeros(algorithm, zeros) : combined(before, checksumOfZeros(algorithm, zeros), zeros);
    zeros = 0;
  };
  return {
    update(bytes) {
      if (bytes.length >= LONG_HOLE && isHole(bytes)) {
        zeros += bytes.length;
        return;
      }
      fill();
      current ??= start();
      length += bytes.length;
      current.update(bytes);
    },
    checksum() {
      fill();
      if (before === undefined) return (current ?? start()).checksum();
      join();
      return before;
    },
  };
}

function combined(a: Checksum, b: Checksum, lengthOfB: number): Checksum {
  return combineChecksums(a, b, lengthOfB) as Checksum; // linear: that is why we are here
}

/** The register starts with all bits set; each zero byte multiplies it by x⁸, and its complement is told. */
function checksumOfZeros(algorithm: ChecksumAlgorithm, length: number): Checksum {
  const width = algorithm === 'crc64nvme' ? 64 : 32;
  const polynomial = POLYNOMIALS[algorithm] as bigint;
  const ones = (1n << BigInt(width)) - 1n;
  const register = multiply(ones, powerOfX(BigInt(length) * 8n, polynomial, width), polynomial, width);
  return { algorithm, hex: (register ^ ones).toString(16).padStart(width / 4, '0') };
}

function crcHasher(algorithm: ChecksumAlgorithm, step: (bytes: Uint8Array, state: number) => number): Hasher {
  let state = 0;
  return {
    update: (bytes) => { state = step(bytes, state); },
    checksum: () => ({ algorithm, hex: (state >>> 0).toString(16).padStart(8, '0') }),
  };
}

function cryptoHasher(algorithm: ChecksumAlgorithm): Hasher {
  const hash = createHash(algorithm);
  return { update: (bytes) => { hash.update(bytes); }, checksum: () => ({ algorithm, hex: hash.digest('hex') }) };
}

/** Eight tables, so that eight bytes go in one step: table k is for a byte that k others follow. */
const CRC32C_TABLES = slices32(table32(0x82f63b78));

function crc32c(bytes: Uint8Array, state: number): number {
  const t = CRC32C_TABLES;
  let crc = ~state;
  let i = 0;
  for (; i + 8 <= bytes.length; i += 8) {
    const word = crc ^ word32(bytes, i);
    crc = (t[1792 + (word & 0xff)] as number) ^ (t[1536 + ((word >>> 8) & 0xff)] as number) ^ (t[1280 + ((word >>> 16) & 0xff)] as number) ^ (t[1024 + (word >>> 24)] as number)
      ^ (t[768 + (bytes[i + 4] as number)] as number) ^ (t[512 + (bytes[i + 5] as number)] as number) ^ (t[256 + (bytes[i + 6] as number)] as number) ^ (t[bytes[i + 7] as number] as number);
  }
  for (; i < bytes.length; i++) crc = (t[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** Little-endian. */
function word32(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
}

function slices32(first: Uint32Array): Uint32Array {
  const tables = new Uint32Array(8 * 256);
  tables.set(first);
  for (let n = 256; n < tables.length; n++) {
    const before = tables[n - 256] as number;
    tables[n] = (before >>> 8) ^ (first[before & 0xff] as number);
  }
  return tables;
}

function table32(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ polynomial : c >>> 1;
    return c;
  });
}

/** CRC-64/NVME over two 32-bit halves: BigInt per byte would cost fifty times more. */
function crc64Hasher(): Hasher {
  const { high, low } = CRC64_TABLES;
  let hi = 0xffffffff;
  let lo = 0xffffffff;
  return {
    update(bytes) {
      let i = 0;
      for (; i + 8 <= bytes.length; i += 8) {
        const one = lo ^ word32(bytes, i);
        const two = hi ^ word32(bytes, i + 4);
        const a = 1792 + (one & 0xff);
        const b = 1536 + ((one >>> 8) & 0xff);
        const c = 1280 + ((one >>> 16) & 0xff);
        const d = 1024 + (one >>> 24);
        const e = 768 + (two & 0xff);
        const f = 512 + ((two >>> 8) & 0xff);
        const g = 256 + ((two >>> 16) & 0xff);
        const h = two >>> 24;
        lo = (low[a] as number) ^ (low[b] as number) ^ (low[c] as number) ^ (low[d] as number) ^ (low[e] as number) ^ (low[f] as number) ^ (low[g] as number) ^ (low[h] as number);
        hi = (high[a] as number) ^ (high[b] as number) ^ (high[c] as number) ^ (high[d] as number) ^ (high[e] as number) ^ (high[f] as number) ^ (high[g] as number) ^ (high[h] as number);
      }
      for (; i < bytes.length; i++) {
        const index = (lo ^ (bytes[i] as number)) & 0xff;
        lo = ((lo >>> 8) | (hi << 24)) ^ (low[index] as number);
        hi = (hi >>> 8) ^ (high[index] as number);
      }
    },
    checksum: () => ({ algorithm: 'crc64nvme', hex: [~hi, ~lo].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('') }),
  };
}

const CRC64_TABLES = slices64(table64(0x9a6c9329, 0xac4bc9b5));

function table64(polynomialHigh: number, polynomialLow: number): { high: Uint32Array; low: Uint32Array } {
  const high = new Uint32Array(256);
  const low = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    let hi = 0;
    let lo = n;
    for (let k = 0; k < 8; k++) {
      const odd = lo & 1;
      lo = ((lo >>> 1) | (hi << 31)) >>> 0;
      hi = hi >>> 1;
      if (odd) { hi = (hi ^ polynomialHigh) >>> 0; lo = (lo ^ polynomialLow) >>> 0; }
    }
    high[n] = hi;
    low[n] = lo;
  }
  return { high, low };
}

function slices64(first: { readonly high: Uint32Array; readonly low: Uint32Array }): { high: Uint32Array; low: Uint32Array } {
  const high = new Uint32Array(8 * 256);
  const low = new Uint32Array(8 * 256);
  high.set(first.high);
  low.set(first.low);
  for (let n = 256; n < low.length; n++) {
    const [hi, lo] = [high[n - 256] as number, low[n - 256] as number];
    low[n] = ((lo >>> 8) | (hi << 24)) ^ (first.low[lo & 0xff] as number);
    high[n] = (hi >>> 8) ^ (first.high[lo & 0xff] as number);
  }
  return { high, low };
}
