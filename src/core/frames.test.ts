import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { crc32, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { decodeFrames, encodeFrames } from './frames.ts';
import { hole, isHole } from './holes.ts';
import { KiB, MiB } from './units.ts';

const refuse = (why: string): Error => new Error(why);

async function gather(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(Buffer.from(piece)); // a copy: pieces are lent
  return Buffer.concat(all);
}

/** A stream whose pieces are overwritten as soon as the next one is asked for. */
async function* lent(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  const slab = Buffer.alloc(size);
  for (let at = 0; at < bytes.length; at += size) {
    const length = bytes.copy(slab, 0, at, at + size);
    yield slab.subarray(0, length);
    slab.fill(0xee);
  }
}

const decoded = (coded: Buffer, length: number, size = 1000): Promise<Buffer> => gather(decodeFrames(lent(coded, size), { length, refuse }));

test('any body comes out as it went in, however the stream is cut', async () => {
  const body = fc.array(fc.oneof(
    fc.integer({ min: 1, max: 200 * KiB }).map((length) => Buffer.alloc(length)),
    fc.integer({ min: 1, max: 200 * KiB }).map((length) => Buffer.alloc(length, 'all work and no play ')),
    fc.integer({ min: 1, max: 20 * KiB }).map((length) => randomBytes(length)),
  ), { maxLength: 5 });
  await fc.assert(fc.asyncProperty(body, fc.integer({ min: 1, max: 100 * KiB }), fc.boolean(), async (parts, size, compress) => {
    const bytes = Buffer.concat(parts);
    const coded = await gather(encodeFrames(lent(bytes, 64 * KiB), { compress }));
    assert.equal((await decoded(coded, bytes.length, Math.max(size, 7))).equals(bytes), true);
  }), { numRuns: 60 });
});

test('what a frame is, byte by byte', async () => {
  const text = Buffer.from('abc');
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(text));
  const length = (n: number): Buffer => Buffer.from([0, 0, 0, 0, 0, 0, 0, n]);
  assert.deepEqual(await gather(encodeFrames([text], { compress: true })), Buffer.concat([Buffer.from('D\0\0\0\x03abcE'), length(3), crc]));
  const zeros = await gather(encodeFrames([hole(5 * MiB), hole(3 * MiB)], { compress: true }));
  assert.deepEqual(zeros.subarray(0, 10), Buffer.from([0x48, 0, 0, 0, 0, 0, 0x80, 0, 0, 0x45]));
  assert.equal(zeros.length, 9 + 13);
  for await (const piece of decodeFrames(lent(zeros, 4), { length: 8 * MiB, refuse })) assert.equal(isHole(piece), true, 'a hole stays one');
});

test('what does not get smaller is not compressed, and little time goes into finding out', async () => {
  const noise = randomBytes(8 * MiB);
  assert.ok((await gather(encodeFrames([noise], { compress: true }))).length < noise.length + 200);
  const words = Buffer.alloc(8 * MiB, 'the quick brown fox jumps over the lazy dog. ');
  assert.ok((await gather(encodeFrames([words], { compress: true }))).length < words.length / 100);
  assert.ok((await gather(encodeFrames([words], { compress: false }))).length > words.length);
});

const end = (length: number, crc: number): Buffer => {
  const frame = Buffer.alloc(13);
  frame.write('E');
  frame.writeBigUInt64BE(BigInt(length), 1);
  frame.writeUInt32BE(crc, 9);
  return frame;
};
const data = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from('D'), Buffer.from([0, 0, bytes.length >>> 8, bytes.length & 255]), bytes]);
const zstd = (length: number, coded: Buffer): Buffer => {
  const head = Buffer.alloc(9);
  head.write('Z');
  head.writeUInt32BE(length, 1);
  head.writeUInt32BE(coded.length, 5);
  return Buffer.concat([head, coded]);
};

test('F016: a decoder that makes other bytes of it than those that were sent is found out before the last of them is handed on', async () => {
  const text = Buffer.from('the bytes that were meant');
  const other = Buffer.from('the bytes that came of it');
  const pieces: Buffer[] = [];
  await assert.rejects(async () => {
    for await (const piece of decodeFrames(lent(Buffer.concat([zstd(text.length, zstdCompressSync(other)), end(text.length, crc32(text))]), 7), { length: text.length, refuse })) pieces.push(Buffer.from(piece));
  }, /the decoded bytes have CRC-32 .*, those that were sent had/);
  assert.deepEqual(pieces, []);
});

test('a body that is not what it says is refused', async () => {
  const abc = Buffer.from('abc');
  const whole = Buffer.concat([data(abc), end(3, crc32(abc))]);
  const cases: readonly [Buffer, RegExp][] = [
    [whole.subarray(0, -1), /ended in the middle/], [whole.subarray(0, 4), /ended in the middle/], [Buffer.alloc(0), /ended in the middle/],
    [Buffer.concat([whole, abc]), /something behind the last frame/],
    [Buffer.concat([data(abc), end(4, crc32(abc))]), /instead of 3/], [end(3, 0), /0 bytes came out/],
    [Buffer.concat([data(abc), data(abc), end(6, 0)]), /a frame of 3 bytes where 0 are left/],
    [Buffer.concat([data(Buffer.alloc(0)), whole]), /a frame of 0 bytes/],
    [Buffer.from('Habcdefgh'), /a frame of \d+ bytes where 3 are left/], [Buffer.from('Q'), /no frame begins with byte 81/],
    [zstd(3, Buffer.from('no zstd at all')), /cannot be decoded/], [zstd(3, zstdCompressSync(Buffer.from('ab'))), /holds 2 bytes instead of 3/],
    [zstd(3, zstdCompressSync(Buffer.alloc(100 * MiB))), /cannot be decoded/],
  ];
  for (const [coded, message] of cases) await assert.rejects(decoded(coded, 3), message);
});

test('leaving early frees the source', async () => {
  let freed = false;
  async function* source(): AsyncGenerator<Buffer> {
    try {
      for (;;) yield data(Buffer.from('abc'));
    } finally {
      freed = true;
    }
  }
  for await (const _ of decodeFrames(source(), { length: 1000, refuse })) break;
  assert.equal(freed, true);
});
