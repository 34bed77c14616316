import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { BrigadeError } from '../../core/errors.ts';
import { NO_ATTRIBUTES, type Checksum } from '../../core/object.ts';
import type { Body } from '../../ports/storage.ts';
import { bodyOf, failingBody, lyingBody, patterned, wholeBody } from './content.ts';
import { refused, type Bench, type Checks } from './subject.ts';

const SIZE = 150_000;

async function put(bench: Bench, key: string, body: Body): Promise<unknown> {
  return bench.store.write({ key, body, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
}

/** The body is refused, and what stood there before still stands there, alone. */
async function refusedIntact(bench: Bench, body: Body): Promise<void> {
  await bench.write('victim', patterned(1000, 7));
  await refused(put(bench, 'victim', body));
  await bench.expectContent('victim', patterned(1000, 7));
  await refused(put(bench, 'new', body));
  await refused(bench.store.head('new'), 'gone');
  assert.deepEqual((await bench.entries()).map((entry) => entry.key), ['victim']);
}

export const writingChecks: Checks = {
  'streamed and whole bodies of awkward sizes are stored whole': async (bench) => {
    for (const size of [0, 1, 4095, 65_536, SIZE]) {
      await put(bench, `streamed-${size}`, bodyOf(patterned(size), 10_007));
      await put(bench, `whole-${size}`, wholeBody(patterned(size, 2)));
      await bench.expectContent(`streamed-${size}`, patterned(size));
      await bench.expectContent(`whole-${size}`, patterned(size, 2));
    }
  },

  'the token that write() answers is the one a listing shows': async (bench) => {
    for (const key of ['t/1', 't/2']) {
      const written = await bench.write(key, patterned(99));
      assert.equal((await bench.entry(key))?.token, written.token);
      assert.equal((await bench.store.head(key)).token, written.token);
    }
  },

  'other content means another token': async (bench) => {
    const first = await bench.write('t', patterned(500, 1));
    const second = await bench.write('t', patterned(500, 2));
    assert.notEqual(first.token, second.token);
  },

  'F012, F024: a body shorter than declared is refused and the old content stays': async (bench) => {
    await refusedIntact(bench, lyingBody(SIZE, patterned(SIZE - 1)));
    await refusedIntact(bench, lyingBody(1, Buffer.alloc(0)));
  },

  'F012, F024: a body longer than declared is refused and the old content stays': async (bench) => {
    await refusedIntact(bench, lyingBody(SIZE, patterned(SIZE + 1)));
    await refusedIntact(bench, lyingBody(0, patterned(1)));
  },

  'F024: a body that fails half-way leaves the old content, and its own error is what is reported': async (bench) => {
    const cause = new BrigadeError({ code: 'E_SRC_CHANGED', kind: 'changed', message: 'the source was replaced' });
    await refusedIntact(bench, failingBody(SIZE, patterned(SIZE / 2), cause));
    assert.equal((await refused(put(bench, 'x', failingBody(SIZE, patterned(SIZE / 2), cause)))).code, 'E_SRC_CHANGED');
  },

  'a body may be opened again for another try': async (bench) => {
    const body = bodyOf(patterned(SIZE));
    await put(bench, 'one', body);
    await put(bench, 'two', body);
    await bench.expectContent('two', patterned(SIZE));
  },

  'F106: writers of one key at the same time end with one of them, whole': async (bench) => {
    const sizes = [50_000, 60_000, 70_000, 80_000];
    const ended = await Promise.allSettled(sizes.map((size) => bench.write('contested', patterned(size, size))));
    assert.ok(ended.some((one) => one.status === 'fulfilled'));
    const size = (await bench.store.head('contested')).size;
    assert.ok(sizes.includes(size));
    await bench.expectContent('contested', patterned(size, size));
    assert.deepEqual((await bench.entries()).map((entry) => entry.key), ['contested']);
  },

  'what the store vouches for is the checksum of the bytes; what it lacks it does not claim': async (bench) => {
    const bytes = patterned(SIZE);
    const written = await bench.write('sum', bytes);
    const head = await bench.store.head('sum', { checksum: true });
    for (const vouched of [written.checksum, head.checksum]) {
      if (bench.store.facts.checksums.length === 0) assert.equal(vouched, undefined);
      else if (vouched !== undefined) expectChecksum(vouched, bytes);
    }
    if (written.sent !== undefined) expectChecksum(written.sent, bytes);
  },

  'a body with a wrong checksum is refused by a store that verifies it, and vouched for by none': async (bench) => {
    const checksum: Checksum = { algorithm: 'sha256', hex: '00'.repeat(32) };
    const attempt = bench.store.write({ key: 'wrong', body: { ...bodyOf(patterned(5000)), checksum }, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
    if (bench.store.facts.checksums.includes('sha256')) {
      await refused(attempt);
      await refused(bench.store.head('wrong'), 'gone');
    } else {
      assert.notDeepEqual((await attempt.catch(() => undefined))?.checksum, checksum);
    }
  },

  'an object larger than one write may take is refused, where there is a limit': async (bench) => {
    const { maxSingleWrite, maxObjectSize } = bench.store.facts;
    if (maxSingleWrite === Infinity) return;
    assert.ok(maxSingleWrite <= maxObjectSize);
    const huge: Body = { size: maxSingleWrite + 1, open: () => bodyOf(patterned(10)).open() };
    await refused(put(bench, 'huge', huge));
    await refused(bench.store.head('huge'), 'gone');
  },

  'a write that is told to stop rejects as cancelled and leaves nothing': async (bench) => {
    await refused(bench.store.write({ key: 'stop', body: bodyOf(patterned(10)), attributes: NO_ATTRIBUTES, guard: { kind: 'none' }, signal: AbortSignal.abort() }), 'cancelled');
    assert.deepEqual(await bench.entries(), []);
  },

  'remove() removes one object, and removing what is not there is no error': async (bench) => {
    await bench.write('r', patterned(1));
    await bench.write('r2', patterned(2));
    await bench.store.remove('r');
    await bench.store.remove('r');
    await bench.store.remove('never/was/there');
    assert.deepEqual(await bench.keys(), ['r2']);
  },
};

/** Only where Node computes the algorithm by itself: the suite must not trust the code under test. */
export function expectChecksum(found: Checksum, bytes: Uint8Array): void {
  if (found.algorithm === 'crc32') assert.equal(found.hex, crc32(bytes).toString(16).padStart(8, '0'));
  else if (found.algorithm === 'md5' || found.algorithm === 'sha1' || found.algorithm === 'sha256') {
    assert.equal(found.hex, createHash(found.algorithm).update(bytes).digest('hex'));
  } else assert.equal(found.hex.length, found.algorithm === 'crc64nvme' ? 16 : 8);
}
