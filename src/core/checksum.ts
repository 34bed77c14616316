/**
 * Checksums in flight. CRC-32 is the default: built into Node, linear (parts combine into the whole without a second read) and accepted
 * as a full-object checksum by S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html).
 *
 * By the fastest way that is here (bench/checksums.ts): @node-rs/crc32 where its binary is installed, else zlib and WebAssembly.
 */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { crc32 } from 'node:zlib';
import { createKernel, type Kernel } from './crc-kernel.ts';
import { isHole } from './holes.ts';
import type { Checksum, ChecksumAlgorithm } from './object.ts';
import { CRCS, multiply, powerOfX } from './polynomial.ts';
import { KiB } from './units.ts';

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** The digest so far; may be asked once. */
  checksum(): Checksum;
}

export function createHasher(algorithm: ChecksumAlgorithm): Hasher {
  switch (algorithm) {
    case 'crc32': return overHoles(algorithm, () => crcHasher(algorithm, native()?.crc32 ?? crc32));
    case 'crc32c': return overHoles(algorithm, crc32cHasher);
    case 'crc64nvme': return overHoles(algorithm, () => kernelHasher('crc64nvme'));
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
  if (a.algorithm !== b.algorithm || !isLinear(a.algorithm)) return undefined;
  const crc = CRCS[a.algorithm as keyof typeof CRCS];
  const combined = multiply(BigInt(`0x${a.hex}`), pastBytes(lengthOfB, a.algorithm as keyof typeof CRCS), crc) ^ BigInt(`0x${b.hex}`);
  return { algorithm: a.algorithm, hex: inHex(combined, crc.width) };
}

/** Parts are of one size but for the last, and so are most holes: what shifts past so many bytes is reckoned once. */
const shifts = { crc32: new Map<number, bigint>(), crc32c: new Map<number, bigint>(), crc64nvme: new Map<number, bigint>() };
const MOST_SHIFTS = 64;

function pastBytes(length: number, algorithm: keyof typeof CRCS): bigint {
  const known = shifts[algorithm];
  let shift = known.get(length);
  if (shift !== undefined) return shift;
  if (known.size >= MOST_SHIFTS) known.clear();
  known.set(length, shift = powerOfX(BigInt(length) * 8n, CRCS[algorithm]));
  return shift;
}

function inHex(value: bigint, width: number): string {
  return value.toString(16).padStart(width / 4, '0');
}

type Step = (bytes: Uint8Array, state: number) => number;

interface Native {
  readonly crc32: Step;
  readonly crc32c: Step;
}

let found: Native | null | undefined;

/** An optional package: its binary is not there for every machine. It must know the check values of the catalogue to be believed. */
function native(): Native | undefined {
  if (found === undefined) {
    try {
      const given = createRequire(import.meta.url)('@node-rs/crc32') as Native;
      const check = Buffer.from('123456789');
      found = given.crc32(check, 0) === 0xcbf43926 && given.crc32c(check, 0) === 0xe3069283 ? given : null;
    } catch {
      found = null; // not installed, or not for this machine: what is built in does the same
    }
  }
  return found ?? undefined;
}

function crc32cHasher(): Hasher {
  const step = native()?.crc32c;
  return step === undefined ? kernelHasher('crc32c') : crcHasher('crc32c', step);
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
  const crc = CRCS[algorithm as keyof typeof CRCS];
  const ones = (1n << BigInt(crc.width)) - 1n;
  return { algorithm, hex: inHex(multiply(ones, pastBytes(length, algorithm as keyof typeof CRCS), crc) ^ ones, crc.width) };
}

function crcHasher(algorithm: ChecksumAlgorithm, step: Step): Hasher {
  let state = 0;
  return {
    update: (bytes) => { state = step(bytes, state); },
    checksum: () => ({ algorithm, hex: inHex(BigInt(state >>> 0), 32) }),
  };
}

const kernels = new Map<keyof typeof CRCS, Kernel>();

/** In WebAssembly; what createHasher falls back on. */
export function kernelHasher(algorithm: keyof typeof CRCS): Hasher {
  const { width } = CRCS[algorithm];
  let kernel = kernels.get(algorithm);
  if (kernel === undefined) kernels.set(algorithm, kernel = createKernel(CRCS[algorithm]));
  const run = kernel;
  const inverted = (1n << BigInt(width)) - 1n;
  let state = inverted;
  return {
    update: (bytes) => { state = run(state, bytes); },
    checksum: () => ({ algorithm, hex: inHex(state ^ inverted, width) }),
  };
}

function cryptoHasher(algorithm: ChecksumAlgorithm): Hasher {
  const hash = createHash(algorithm);
  return { update: (bytes) => { hash.update(bytes); }, checksum: () => ({ algorithm, hex: hash.digest('hex') }) };
}
