import assert from 'node:assert/strict';
import { test } from 'node:test';
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
    assert.equal(Buffer.from(await collect(readOf(['he', 'llo'], whole), 5)).toString(), 'hello');
    for (const pieces of [['hell'], ['hello', '!'], []]) {
      await assert.rejects(collect(readOf(pieces, whole), 5), (error: BrigadeError) => error.code === 'E_SHORT_READ' && error.kind === 'transient');
    }
  }
});
