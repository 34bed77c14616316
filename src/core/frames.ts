/**
 * Bodies in frames, as our own two ends send them to each other: holes are told and not sent, and data goes compressed where that helps
 * (S4.12–S4.14, docs/agent-bodies.md). The real bytes are checked after decoding, before anybody is told that they arrived (F016).
 *
 *     H  length u64                              a hole: so many zeros
 *     D  length u32, the bytes                   data as it is
 *     Z  length u32, coded u32, zstd frame       so many bytes of data in one zstd frame (RFC 8878)
 *     E  length u64, CRC-32 u32                  the end: length and CRC-32 (ISO-HDLC) of all real bytes
 *
 * Numbers are big-endian. D and Z hold at most 1 MiB of real bytes, so that a reader needs no more memory than that.
 */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdCompressSync, zstdDecompress } from 'node:zlib';
import { createHasher, type Hasher } from './checksum.ts';
import { holes, isHole, runs } from './holes.ts';
import type { Checksum } from './object.ts';
import { KiB, MiB } from './units.ts';

export const FRAMES = 'frames/1';

/** What both ends call it in their headers; what each means is told in docs/agent-bodies.md. */
export const FRAME_HEADERS = { accept: 'x-brigade-accept', body: 'x-brigade-body', length: 'x-brigade-length', etag: 'x-brigade-etag', checksum: 'x-brigade-checksum' } as const;
/** Shorter bodies are sent as they are: there is next to nothing to save. */
export const WORTH_FRAMES = 32 * KiB;

type Bytes = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

const MOST = 1 * MiB;
/** Data is cut into frames of this size: large enough to compress well, small enough to be on its way soon. */
const BLOCK = 512 * KiB;
/** Smaller than this there is nothing to gain. */
const LEAST = 512;
const SAMPLE = 16 * KiB;
/** Compressed data has to be this much smaller. */
const WORTH = 0.9;

const compress = promisify(zstdCompress) as (bytes: Uint8Array, options: object) => Promise<Buffer>;
const decompress = promisify(zstdDecompress) as (bytes: Uint8Array, options: object) => Promise<Buffer>;
/** With a checksum of its content in each frame: a body that breaks off in the middle has no end that would speak for it. */
const FAST = { params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 } };

/** Whether data is worth compressing, told by a sample; data that is not is asked again more and more rarely. */
class Compressor {
  #skip = 0;
  #pause = 1;

  /** Undefined where it does not help. */
  async try(block: Uint8Array): Promise<Buffer | undefined> {
    if (block.length < LEAST) return undefined;
    if (this.#skip > 0) {
      this.#skip--;
      return undefined;
    }
    const coded = promises(block) ? await compress(block, FAST) : undefined;
    if (coded !== undefined && coded.length <= block.length * WORTH) {
      this.#pause = 1;
      return coded;
    }
    this.#skip = this.#pause;
    this.#pause = Math.min(32, this.#pause * 2);
    return undefined;
  }
}

/** A piece out of the middle: beginnings are often headers, which say little of the rest. */
function promises(block: Uint8Array): boolean {
  if (block.length <= SAMPLE) return true;
  const from = (block.length - SAMPLE) >>> 1;
  return zstdCompressSync(block.subarray(from, from + SAMPLE), FAST).length <= SAMPLE * WORTH;
}

/** Whether frames are likely to make less of these bytes: there are holes in them, or, if data is compressed, a sample got smaller. */
export function shrinks(bytes: Uint8Array, compress: boolean): boolean {
  let zeros = 0;
  for (const run of runs(bytes)) if (isHole(run)) zeros += run.length;
  return zeros > bytes.length / 16 || (compress && promises(bytes));
}

export interface Encoding {
  /** Else data goes as it is. */
  readonly compress: boolean;
}

/** Encodes a body. What is given out may be a view of what was taken in, done with when the next is asked for. */
export async function* encodeFrames(source: Bytes, options: Encoding): AsyncGenerator<Uint8Array, void, undefined> {
  const crc = createHasher('crc32');
  const compressor = options.compress ? new Compressor() : undefined;
  let [total, zeros] = [0, 0];
  for await (const piece of source) {
    for (const run of runs(piece)) {
      crc.update(run);
      total += run.length;
      if (isHole(run)) {
        zeros += run.length;
        continue;
      }
      if (zeros > 0) yield holeFrame(zeros);
      zeros = 0;
      yield* dataFrames(run, compressor);
    }
  }
  if (zeros > 0) yield holeFrame(zeros);
  yield endFrame(total, crc);
}

async function* dataFrames(data: Uint8Array, compressor: Compressor | undefined): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < data.length; at += BLOCK) {
    const block = data.subarray(at, at + BLOCK);
    const coded = await compressor?.try(block);
    if (coded === undefined) {
      yield numbers('D', block.length);
      yield block;
    } else {
      yield numbers('Z', block.length, coded.length);
      yield coded;
    }
  }
}

function numbers(type: 'D' | 'Z', ...values: readonly number[]): Buffer {
  const head = Buffer.allocUnsafe(1 + 4 * values.length);
  head.write(type, 'latin1');
  values.forEach((value, i) => head.writeUInt32BE(value, 1 + 4 * i));
  return head;
}

function holeFrame(length: number): Buffer {
  const frame = Buffer.allocUnsafe(9);
  frame.write('H', 'latin1');
  frame.writeBigUInt64BE(BigInt(length), 1);
  return frame;
}

function endFrame(length: number, crc: Hasher): Buffer {
  const frame = Buffer.allocUnsafe(13);
  frame.write('E', 'latin1');
  frame.writeBigUInt64BE(BigInt(length), 1);
  frame.write(crc.checksum().hex, 9, 'hex');
  return frame;
}

export interface Decoding {
  /** Bytes that must come out. */
  readonly length: number;
  /** Makes the error of a body that is not what it should be. `why` is one line. */
  readonly refuse: (why: string) => Error;
}

/** Decodes a body; holes come out as holes. Its last piece comes only after all of them were checked. @throws what `refuse` makes */
export async function* decodeFrames(source: AsyncIterable<Uint8Array>, { length, refuse }: Decoding): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = new Reader(source, refuse);
  const crc = createHasher('crc32');
  let total = 0;
  let last: Uint8Array | undefined;
  try {
    for (let type = await reader.byte(); type !== TYPE.E; type = await reader.byte()) {
      for await (const piece of dataOf(type, reader, length - total, refuse)) {
        crc.update(piece);
        total += piece.length;
        if (total < length) yield piece;
        else last = isHole(piece) ? piece : Uint8Array.prototype.slice.call(piece); // its memory is not ours once more is read
      }
    }
    await checkEnd(reader, total, crc.checksum(), length, refuse);
  } finally {
    await reader.close();
  }
  if (last !== undefined) yield last;
}

async function checkEnd(reader: Reader, total: number, computed: Checksum, length: number, refuse: Decoding['refuse']): Promise<void> {
  const [said, crc] = [await reader.uint64(), (await reader.exactly(4)).toString('hex')];
  if (total !== length || said !== length) throw refuse(`${total} bytes came out of the frames instead of ${length}`);
  if (crc !== computed.hex) throw refuse(`the decoded bytes have CRC-32 ${computed.hex}, those that were sent had ${crc}`);
  if (!await reader.ended()) throw refuse('there is something behind the last frame');
}

const TYPE = { H: 0x48, D: 0x44, Z: 0x5a, E: 0x45 } as const;

async function* dataOf(type: number, reader: Reader, left: number, refuse: Decoding['refuse']): AsyncGenerator<Uint8Array, void, undefined> {
  const fits = (length: number, most: number): number => {
    if (length > Math.min(left, most) || length === 0) throw refuse(`a frame of ${length} bytes where ${left} are left`);
    return length;
  };
  switch (type) {
    case TYPE.H:
      yield* holes(fits(await reader.uint64(), Infinity));
      return;
    case TYPE.D:
      yield* reader.take(fits(await reader.uint32(), MOST));
      return;
    case TYPE.Z: {
      const length = fits(await reader.uint32(), MOST);
      const coded = await reader.uint32();
      if (coded > MOST) throw refuse(`a compressed frame of ${coded} bytes`);
      yield await inflated(await reader.exactly(coded), length, refuse);
      return;
    }
    default: throw refuse(`no frame begins with byte ${type}`);
  }
}

async function inflated(coded: Buffer, length: number, refuse: Decoding['refuse']): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await decompress(coded, { maxOutputLength: length });
  } catch (error) {
    throw refuse(`a compressed frame cannot be decoded: ${(error as Error).message}`);
  }
  if (bytes.length !== length) throw refuse(`a compressed frame holds ${bytes.length} bytes instead of ${length}`);
  return bytes;
}

/** Pulls exact numbers of bytes out of a stream whose pieces are lent: each is done with before the next is asked for. */
class Reader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #refuse: Decoding['refuse'];
  #held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>, refuse: Decoding['refuse']) {
    this.#source = source[Symbol.asyncIterator]();
    this.#refuse = refuse;
  }

  /** The next piece; there is none held any more. */
  async #more(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#source.next();
      if (done === true) return false;
      if (value.length === 0) continue;
      this.#held = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      return true;
    }
  }

  /** As it comes, without being gathered. */
  async *take(count: number): AsyncGenerator<Buffer, void, undefined> {
    for (let left = count; left > 0;) {
      if (this.#held.length === 0 && !await this.#more()) throw this.#refuse('the body ended in the middle of its frames');
      const piece = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  /** In one piece; to be used before more is read. */
  async exactly(count: number): Promise<Buffer> {
    if (this.#held.length >= count) {
      const bytes = this.#held.subarray(0, count);
      this.#held = this.#held.subarray(count);
      return bytes;
    }
    const bytes = Buffer.allocUnsafe(count);
    let at = 0;
    for await (const piece of this.take(count)) at += piece.copy(bytes, at);
    return bytes;
  }

  async byte(): Promise<number> {
    return (await this.exactly(1)).readUInt8();
  }

  async uint32(): Promise<number> {
    return (await this.exactly(4)).readUInt32BE();
  }

  async uint64(): Promise<number> {
    return Number((await this.exactly(8)).readBigUInt64BE());
  }

  async ended(): Promise<boolean> {
    return this.#held.length === 0 && !await this.#more();
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}
