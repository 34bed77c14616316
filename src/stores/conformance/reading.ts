import assert from 'node:assert/strict';
import { patterned, collect } from './content.ts';
import { refused, type Checks } from './subject.ts';

const SIZE = 300_001;

export const readingChecks: Checks = {
  'the whole object comes back, byte for byte': async (bench) => {
    await bench.write('whole', patterned(SIZE));
    await bench.expectContent('whole', patterned(SIZE));
  },

  'an object of 0 bytes reads as nothing, without a range': async (bench) => {
    await bench.write('zero', Buffer.alloc(0));
    assert.equal((await bench.content('zero', 0)).length, 0);
    assert.equal((await bench.store.head('zero')).size, 0);
  },

  'ranges are exact: first byte, last byte, middle, whole, all but one': async (bench) => {
    const bytes = patterned(SIZE);
    await bench.write('ranged', bytes);
    for (const [offset, length] of [[0, 1], [SIZE - 1, 1], [12_345, 100_000], [0, SIZE], [1, SIZE - 1], [0, SIZE - 1], [262_143, 2]] as const) {
      const found = await bench.content('ranged', SIZE, { range: { offset, length } });
      assert.ok(Buffer.compare(found, bytes.subarray(offset, offset + length)) === 0, `range ${offset}+${length}`);
    }
  },

  'a range beyond the end is an error, not a short answer': async (bench) => {
    await bench.write('short', patterned(10));
    await refused(bench.content('short', 20, { range: { offset: 5, length: 15 } }));
    await refused(bench.content('short', 20, { range: { offset: 15, length: 5 } }));
  },

  'info of a read: size is that of the whole object, also for a range; the token is the listed one': async (bench) => {
    await bench.write('info', patterned(1000));
    const read = await bench.store.read({ key: 'info', expectedSize: 1000, range: { offset: 10, length: 20 } });
    assert.equal(read.info.size, 1000);
    assert.equal(read.info.token, (await bench.entry('info'))?.token);
    assert.equal((await collect(read)).length, 20);
  },

  'another size than listed is an error: nothing is read as if it were whole': async (bench) => {
    await bench.write('sized', patterned(1000));
    await refused(bench.content('sized', 999));
    await refused(bench.content('sized', 1001));
  },

  'F026: a pinned read of an object that was replaced is kind changed, whole and ranged': async (bench) => {
    const first = await bench.write('pinned', patterned(5000, 1));
    const pin = { token: first.token };
    assert.equal((await bench.content('pinned', 5000, { pin })).length, 5000);
    const second = await bench.write('pinned', patterned(5000, 2));
    await refused(bench.content('pinned', 5000, { pin }), 'changed');
    await refused(bench.content('pinned', 5000, { pin, range: { offset: 1, length: 10 } }), 'changed');
    const now = await bench.content('pinned', 5000, { pin: { token: second.token } });
    assert.ok(Buffer.compare(now, patterned(5000, 2)) === 0);
  },

  'F004: a discarded read frees its body; discarding twice is no error': async (bench) => {
    await bench.write('large', patterned(SIZE));
    for (let i = 0; i < 70; i++) {
      const read = await bench.store.read({ key: 'large', expectedSize: SIZE });
      read.discard();
      read.discard();
    }
    await bench.expectContent('large', patterned(SIZE));
  },

  'F004: leaving the loop after the first chunk frees the body': async (bench) => {
    await bench.write('large', patterned(SIZE));
    for (let i = 0; i < 70; i++) {
      const read = await bench.store.read({ key: 'large', expectedSize: SIZE });
      for await (const chunk of read.chunks) {
        assert.ok(chunk.length > 0);
        break;
      }
    }
    await bench.expectContent('large', patterned(SIZE));
  },

  'many reads of one object at once do not disturb each other': async (bench) => {
    const bytes = patterned(SIZE);
    await bench.write('shared', bytes);
    const all = await Promise.all(Array.from({ length: 8 }, (_, i) => bench.content('shared', SIZE, { range: { offset: i * 1000, length: 200_000 } })));
    for (const [i, found] of all.entries()) assert.ok(Buffer.compare(found, bytes.subarray(i * 1000, i * 1000 + 200_000)) === 0);
  },

  'a read that is told to stop rejects as cancelled': async (bench) => {
    await bench.write('stop', patterned(10));
    await refused(bench.store.read({ key: 'stop', expectedSize: 10, signal: AbortSignal.abort() }), 'cancelled');
  },

  'head agrees with the listing': async (bench) => {
    await bench.write('h', patterned(77));
    const [head, entry] = [await bench.store.head('h'), await bench.entry('h')];
    assert.equal(head.size, 77);
    assert.equal(head.token, entry?.token);
  },
};
