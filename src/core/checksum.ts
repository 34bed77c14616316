/**
 * Checksums in flight. CRC-32 is the default: built into Node, linear (parts combine into the whole without a second read) and accepted
 * as a full-object checksum by S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Checksum, ChecksumAlgorithm } from './object.ts';

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** The digest so far; may be asked once. */
  checksum(): Checksum;
}

export function createHasher(algorithm: ChecksumAlgorithm): Hasher {
  switch (algorithm) {
    case 'crc32': return crcHasher(algorithm, (bytes, state) => crc32(bytes, state));
    case 'crc32c': return crcHasher(algorithm, crc32c);
    case 'crc64nvme': return crc64Hasher();
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

const CRC32C_TABLE = table32(0x82f63b78);

function crc32c(bytes: Uint8Array, state: number): number {
  let crc = ~state;
  for (let i = 0; i < bytes.length; i++) crc = (CRC32C_TABLE[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
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
      for (let i = 0; i < bytes.length; i++) {
        const index = (lo ^ (bytes[i] as number)) & 0xff;
        lo = ((lo >>> 8) | (hi << 24)) ^ (low[index] as number);
        hi = (hi >>> 8) ^ (high[index] as number);
      }
    },
    checksum: () => ({ algorithm: 'crc64nvme', hex: [~hi, ~lo].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('') }),
  };
}

const CRC64_TABLES = table64(0x9a6c9329, 0xac4bc9b5);

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
