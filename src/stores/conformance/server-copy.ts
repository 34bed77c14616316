import assert from 'node:assert/strict';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import type { ServerCopy } from '../../ports/storage.ts';
import { patterned } from './content.ts';
import { refused, type Bench, type Check, type Checks } from './subject.ts';

/** A store without server copy says so by having no such member. */
function withCopy(check: (bench: Bench, serverCopy: ServerCopy) => Promise<void>): Check {
  return async (bench) => {
    const { serverCopy } = bench.store;
    if (serverCopy === undefined) assert.ok(!('serverCopy' in bench.store) || bench.store.serverCopy === undefined);
    else await check(bench, serverCopy);
  };
}

const BYTES = patterned(100_000, 5);

export const serverCopyChecks: Checks = {
  'a store copies from itself, whole and pinned': withCopy(async (bench, serverCopy) => {
    assert.equal(serverCopy.canCopyFrom(bench.store), true);
    const { token } = await bench.write('from', BYTES);
    const written = await serverCopy.copy({ source: bench.store, key: 'from', size: BYTES.length, pin: { token }, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
    assert.equal((await bench.entry('from'))?.token, written.token);
    await bench.expectContent('from', BYTES);
  }),

  'a copy with an empty set of tags has none, whatever its source has': withCopy(async (bench, serverCopy) => {
    if (bench.store.readTags === undefined) return;
    const { token } = await bench.write('from', BYTES, { attributes: { ...NO_ATTRIBUTES, tags: new Map([['a', '1']]) } });
    await serverCopy.copy({ source: bench.store, key: 'from', size: BYTES.length, pin: { token }, attributes: { ...NO_ATTRIBUTES, tags: new Map() }, guard: { kind: 'none' } });
    assert.deepEqual([...await bench.store.readTags('from')], []);
  }),

  'a copy of a version that was replaced is kind changed': withCopy(async (bench, serverCopy) => {
    const { token } = await bench.write('from', BYTES);
    await bench.write('from', patterned(100_000, 6));
    await refused(serverCopy.copy({ source: bench.store, key: 'from', size: BYTES.length, pin: { token }, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } }), 'changed');
  }),

  'parts are copied by range': withCopy(async (bench, serverCopy) => {
    const { multipart } = bench.store;
    if (multipart === undefined) return;
    const size = bench.partSize + 10;
    const bytes = patterned(size, 8);
    const { token } = await bench.write('from', bytes);
    const upload = await multipart.create({ key: 'to', size, partSize: bench.partSize, attributes: NO_ATTRIBUTES, copied: true });
    const copy = (number: number, offset: number, length: number): ReturnType<ServerCopy['copyPart']> =>
      serverCopy.copyPart(upload, number, { source: bench.store, key: 'from', pin: { token }, range: { offset, length } });
    const parts = [await copy(1, 0, bench.partSize), await copy(2, bench.partSize, 10)];
    await multipart.complete({ upload, parts, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
    await bench.expectContent('to', bytes);
  }),
};
