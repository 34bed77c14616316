/**
 * CRCs of up to 64 bits in WebAssembly, for those that neither Node nor a native package computes: a quarter of what the same tables cost
 * in JavaScript, whose numbers have no 64 bits (bench/checksums.ts). The code is put together here, instruction by instruction, so that
 * no compiler and no binary file is needed.
 *
 * Slicing by 16 (Kounavis and Berry, 2005): sixteen bytes at once, each through the table of its place. Two stretches of STRETCH bytes side
 * by side, since one waits most of the time for its own last step; the first is then shifted past the second by one more set of tables.
 *
 *   memory:  16 × 256 tables | 8 × 256 tables of the shift | input
 */
import { multiply, powerOfX, type Crc } from './polynomial.ts';

const PLACES = 16;
const STRETCH = 4096;
const TABLE = 256 * 8;
const SHIFT_AT = PLACES * TABLE;
const INPUT_AT = SHIFT_AT + 8 * TABLE;
/** Bytes per call: they are still in the processor's cache after they were copied in. */
const PIECE = 64 * 1024;
const PAGES = Math.ceil((INPUT_AT + PIECE) / 65_536);

/** The state after `bytes`, without the inversions at the beginning and the end. */
export type Kernel = (state: bigint, bytes: Uint8Array) => bigint;

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  update(state: bigint, at: number, length: number): bigint;
}

/** Of Node's own, which has it without the types of a browser. */
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object) => { readonly exports: Exports };
};

export function createKernel(crc: Crc): Kernel {
  const { memory: { buffer }, update } = new WebAssembly.Instance(new WebAssembly.Module(moduleCode())).exports;
  const memory = new Uint8Array(buffer);
  fillTables(new BigUint64Array(buffer), crc);
  return (state, bytes) => {
    let now = state;
    for (let at = 0; at < bytes.length; at += PIECE) {
      const piece = bytes.subarray(at, at + PIECE);
      memory.set(piece, INPUT_AT);
      now = BigInt.asUintN(64, update(now, INPUT_AT, piece.length));
    }
    return now;
  };
}

function fillTables(words: BigUint64Array, crc: Crc): void {
  for (let n = 0; n < 256; n++) {
    let value = BigInt(n);
    for (let bit = 0; bit < 8; bit++) value = value & 1n ? (value >> 1n) ^ crc.polynomial : value >> 1n;
    words[n] = value;
  }
  // Table k is for a byte that k others follow.
  for (let n = 256; n < PLACES * 256; n++) {
    const before = words[n - 256] as bigint;
    words[n] = (before >> 8n) ^ (words[Number(before & 0xffn)] as bigint);
  }
  const far = powerOfX(BigInt(STRETCH * 8), crc);
  for (let place = 0; place < crc.width / 8; place++) {
    const bits = Array.from({ length: 8 }, (_, bit) => multiply(1n << BigInt(8 * place + bit), far, crc));
    for (let n = 0; n < 256; n++) words[SHIFT_AT / 8 + 256 * place + n] = bits.reduce((sum, value, bit) => ((n >> bit) & 1 ? sum ^ value : sum), 0n);
  }
}

// What follows writes the module: https://webassembly.github.io/spec/core/binary/

type Code = readonly number[];

const I32 = 0x7f;
const I64 = 0x7e;
const VOID = 0x40;
const [BLOCK, LOOP, BRANCH, BRANCH_IF, END] = [0x02, 0x03, 0x0c, 0x0d, 0x0b];
const [NOT, LESS, AT_MOST, ADD, AND, SHIFT_LEFT, XOR32] = [[0x45], [0x49], [0x4d], [0x6a], [0x71], [0x74], [0x73]];
const [XOR, SHIFT_RIGHT, WRAP] = [[0x85], [0x88], [0xa7]];

function unsigned(value: number): Code {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(Math.floor(value / 128))];
}

function signed(value: number): Code {
  return value >= -64 && value < 64 ? [value & 127] : [(value & 127) | 128, ...signed(value >> 7)];
}

const vector = (items: readonly Code[]): Code => [...unsigned(items.length), ...items.flat()];
const section = (id: number, content: Code): Code => [id, ...unsigned(content.length), ...content];
const name = (text: string): Code => vector([...Buffer.from(text)].map((byte) => [byte]));
const get = (local: number): Code => [0x20, ...unsigned(local)];
const set = (local: number): Code => [0x21, ...unsigned(local)];
const int = (value: number): Code => [0x41, ...signed(value)];
const long = (value: number): Code => [0x42, ...signed(value)];
const load64 = (offset: number): Code => [0x29, 3, ...unsigned(offset)];
const load8 = (offset: number): Code => [0x2d, 0, ...unsigned(offset)];

/** Locals of `update(state, at, length)`. */
const [STATE, AT, LENGTH, SECOND, WORD, WORD_TWO, STOP, STRETCH_END] = [0, 1, 2, 3, 4, 5, 6, 7];

/** XOR of all terms, as a tree, so that few wait for each other. */
function xorOf(terms: readonly Code[]): Code {
  const half = terms.length >> 1;
  return half === 0 ? (terms[0] as Code) : [...xorOf(terms.slice(0, half)), ...xorOf(terms.slice(half)), ...XOR];
}

/** Offset of a byte of a word in its table. */
const entry = (word: number, byte: number): Code => [...get(word), ...long(8 * byte), ...SHIFT_RIGHT, ...WRAP, ...int(255), ...AND, ...int(3), ...SHIFT_LEFT];

/** `state` goes past the 16 bytes at AT + `offset`. */
function step(state: number, word: number, offset: number): Code {
  const terms: Code[] = [];
  for (let place = 8; place < PLACES; place++) terms.push([...get(AT), ...load8(offset + place), ...int(3), ...SHIFT_LEFT, ...load64((PLACES - 1 - place) * TABLE)]);
  for (let place = 0; place < 8; place++) terms.push([...entry(word, place), ...load64((PLACES - 1 - place) * TABLE)]);
  return [...get(state), ...get(AT), ...load64(offset), ...XOR, ...set(word), ...xorOf(terms), ...set(state)];
}

const advance = (bytes: number): Code => [...get(AT), ...int(bytes), ...ADD, ...set(AT)];
const whileTrue = (condition: Code, body: Code): Code => [BLOCK, VOID, LOOP, VOID, ...condition, ...NOT, BRANCH_IF, 1, ...body, BRANCH, 0, END, END];
const fits = (bytes: number): Code => [...get(AT), ...int(bytes), ...ADD, ...get(STOP), ...AT_MOST];

function updateCode(): Code {
  const twoStretches: Code = [
    ...long(0), ...set(SECOND), ...get(AT), ...int(STRETCH), ...ADD, ...set(STRETCH_END),
    ...whileTrue([...get(AT), ...get(STRETCH_END), ...LESS], [...step(STATE, WORD, 0), ...step(SECOND, WORD_TWO, STRETCH), ...advance(PLACES)]),
    ...xorOf(Array.from({ length: 8 }, (_, byte) => [...entry(STATE, byte), ...load64(SHIFT_AT + byte * TABLE)])), ...get(SECOND), ...XOR, ...set(STATE),
    ...advance(STRETCH),
  ];
  const oneByte: Code = [
    ...get(STATE), ...WRAP, ...get(AT), ...load8(0), ...XOR32, ...int(255), ...AND, ...int(3), ...SHIFT_LEFT, ...load64(0),
    ...get(STATE), ...long(8), ...SHIFT_RIGHT, ...XOR, ...set(STATE), ...advance(1),
  ];
  return [
    ...get(AT), ...get(LENGTH), ...ADD, ...set(STOP),
    ...whileTrue(fits(2 * STRETCH), twoStretches),
    ...whileTrue(fits(PLACES), [...step(STATE, WORD, 0), ...advance(PLACES)]),
    ...whileTrue([...get(AT), ...get(STOP), ...LESS], oneByte),
    ...get(STATE), END,
  ];
}

function moduleCode(): Uint8Array<ArrayBuffer> {
  const body: Code = [...vector([[3, I64], [2, I32]]), ...updateCode()];
  return Uint8Array.from([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, vector([[0x60, ...vector([[I64], [I32], [I32]]), ...vector([[I64]])]])),
    ...section(3, vector([[0]])),
    ...section(5, vector([[0, ...unsigned(PAGES)]])),
    ...section(7, vector([[...name('memory'), 2, 0], [...name('update'), 0, 0]])),
    ...section(10, vector([[...unsigned(body.length), ...body]])),
  ]);
}
