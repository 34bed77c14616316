import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checksumOf, createHasher } from '../core/checksum.ts';
import type { BrigadeError } from '../core/errors.ts';
import type { ObjectRead } from '../ports/storage.ts';
import { collect } from './content.ts';

const info = { key: 'k', size: 5, token: 't', headers: {}, userMetadata: new Map<string, string>() };

function readOf(pieces: readonly string[], whole: boolean): ObjectRead {
  const chunks = async function* () { for (const piece of pieces) yield Buffer.from(piece); };
  return { info, chunks: chunks(), discard: () => undefined, ...(whole ? { bytes: Buffer.from(pieces.join('')) } : {}) };
}

test('F003: a body is collected whole or is E_SHORT_READ, in pieces and from memory', async () => {
  for (const whole of [false, true]) {
    const hasher = createHasher('crc32');
    assert.equal(Buffer.from(await collect(readOf(['he', 'llo'], whole), 5, undefined, hasher)).toString(), 'hello');
    assert.deepEqual(hasher.checksum(), checksumOf('crc32', Buffer.from('hello')));
    for (const pieces of [['hell'], ['hello', '!'], []]) {
      await assert.rejects(collect(readOf(pieces, whole), 5, undefined, createHasher('crc32')), (error: BrigadeError) => error.code === 'E_SHORT_READ' && error.kind === 'transient');
    }
  }
});

test('pieces that are in their place already are left there, others are put there, in any mixture', async () => {
  const into = Buffer.alloc(9);
  const chunks = async function* () {
    into.write('abc', 0);
    yield into.subarray(0, 3);
    yield Buffer.from('def');
    into.write('ghi', 3); // a piece of the buffer, but not in its place
    const moved = Buffer.from(into.subarray(3, 6));
    into.write('def', 3);
    yield moved;
  };
  const hasher = createHasher('crc32c');
  const bytes = await collect({ info: { ...info, size: 9 }, chunks: chunks(), discard: () => undefined }, 9, into, hasher);
  assert.equal(bytes, into);
  assert.equal(into.toString(), 'abcdefghi');
  assert.deepEqual(hasher.checksum(), checksumOf('crc32c', into));
});
