/** Arithmetic of cyclic redundancy checks: polynomials over GF(2), reflected, so that bit `width - 1` is x⁰. */

/** https://reveng.sourceforge.io/crc-catalogue/ : CRC-32/ISO-HDLC, CRC-32/ISCSI, CRC-64/NVME. All begin and end with every bit inverted. */
export const CRCS = {
  crc32: { polynomial: 0xedb88320n, width: 32 },
  crc32c: { polynomial: 0x82f63b78n, width: 32 },
  crc64nvme: { polynomial: 0x9a6c9329ac4bc9b5n, width: 64 },
} as const;

export interface Crc {
  readonly polynomial: bigint;
  readonly width: 32 | 64;
}

/** Product modulo the polynomial. */
export function multiply(a: bigint, b: bigint, { polynomial, width }: Crc): bigint {
  let product = 0n;
  let factor = b;
  for (let bit = BigInt(width - 1); bit >= 0n; bit--) {
    if ((a >> bit) & 1n) product ^= factor;
    factor = factor & 1n ? (factor >> 1n) ^ polynomial : factor >> 1n;
  }
  return product;
}

/** x^exponent modulo the polynomial, by squaring: what shifts a checksum past `exponent / 8` bytes. */
export function powerOfX(exponent: bigint, crc: Crc): bigint {
  const one = 1n << BigInt(crc.width - 1);
  let result = one;
  let square = one >> 1n;
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = multiply(result, square, crc);
    square = multiply(square, square, crc);
  }
  return result;
}
