import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError, cancelled } from '../../core/errors.ts';
import { GiB, MiB } from '../../core/units.ts';
import type { Spread } from '../../ports/queue.ts';
import type { Part } from '../../ports/storage.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- only tests come here; the queue never reads a clock of its own
import { simulatedClock } from '../../telemetry/clock.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- as above
import { seededRandom } from '../../telemetry/random.ts';
import { Spreads } from './spreads.ts';

const upload = (size: number, id = 'u'): Spread['upload'] => ({ key: 'big', id, size, partSize: 8 * MiB });
const spreadOf = (parts: number, more: Partial<Spread> = {}): Spread => ({ task: 1, upload: upload(parts * 8 * MiB), pin: { token: 't' }, algorithm: 'crc32', numbers: Array.from({ length: parts }, (_, i) => i + 1), perHolder: 2, most: 100, ...more });
const part = (number: number): Part => ({ number, size: 8 * MiB, token: `p${number}` });
const lost = new BrigadeError({ code: 'E_SRC_CHANGED', kind: 'changed', message: 'changed' });

/** 20 GiB in parts of 8 MiB; each connection has 50 ms of latency and 50 MiB/s, give or take a fifth. Returns seconds. */
async function transfer(speeds: readonly number[]): Promise<number> {
  const clock = simulatedClock();
  const random = seededRandom(7);
  const spreads = new Spreads();
  const done = spreads.spread('0', spreadOf((20 * GiB) / (8 * MiB), { perHolder: 4 }));
  const lane = async (holder: string, speed: number): Promise<void> => {
    for (let [range] = spreads.claim(1, holder); range !== undefined; [range] = spreads.claim(1, holder)) {
      for (const number of range.numbers) {
        await clock.sleep(((50 + 160) * (0.8 + 0.4 * random.next())) / speed);
        spreads.stored('u', part(number));
      }
      spreads.end(holder, 'u', range.id);
    }
  };
  const lanes = speeds.flatMap((speed, i) => Array.from({ length: 4 }, () => lane(String(i), speed)));
  await clock.run(Promise.all([done, ...lanes]));
  return clock.monotonic() / 1000;
}

test('P7: one object of 20 GiB over five executors takes hardly more than a fifth of the time, also where one is slow', async () => {
  const alone = await transfer([1]);
  const five = await transfer([1, 1, 1, 1, 1]);
  const uneven = await transfer([1, 1, 1, 1, 0.25]);
  assert.ok(alone / five / 5 >= 0.9, `${alone} s alone, ${five} s of five: ${alone / five / 5}`);
  assert.ok(alone / uneven / 4.25 >= 0.9, `${alone} s alone, ${uneven} s of five with a slow one: ${alone / uneven / 4.25}`);
});

test('no executor has more of an object than it may, nor all together', () => {
  const spreads = new Spreads();
  void spreads.spread('a', spreadOf(100, { perHolder: 2, most: 3 }));
  assert.deepEqual(spreads.claim(9, 'a').map(({ numbers }) => numbers), [[1, 2, 3, 4], [5, 6, 7, 8]]);
  assert.deepEqual(spreads.claim(9, 'b').map(({ numbers }) => numbers), [[9, 10, 11, 12]]);
  assert.deepEqual(spreads.claim(9, 'c'), []);
});

test('what somebody who is gone did not store comes again, and nothing else', async () => {
  const spreads = new Spreads();
  const all = spreads.spread('a', spreadOf(8));
  const [mine] = spreads.claim(1, 'b');
  for (const number of [1, 2]) spreads.stored('u', part(number));
  spreads.forfeit('b');
  spreads.end('b', 'u', mine?.id ?? 0);
  const [again] = spreads.claim(1, 'c');
  assert.deepEqual(again?.numbers, [3, 4, 5, 6]);
  for (const number of [3, 4, 5, 6, 7, 8]) spreads.stored('u', part(number));
  assert.deepEqual((await all).map(({ number }) => number), [1, 2, 3, 4, 5, 6, 7, 8]);
});

test('an owner that is gone: who is at work goes on, the next owner waits for them and hands out the rest', async () => {
  const spreads = new Spreads();
  void spreads.spread('a', spreadOf(12));
  const [theirs] = spreads.claim(1, 'b');
  spreads.forfeit('a');
  assert.deepEqual(spreads.claim(9, 'c'), [], 'nobody would complete it');
  spreads.stored('u', part(1));
  const all = spreads.spread('c', spreadOf(12, { task: 1 }));
  assert.deepEqual(spreads.claim(9, 'c').flatMap(({ numbers }) => numbers), [5, 6, 7, 8, 9, 10, 11, 12]);
  for (let number = 5; number <= 12; number++) spreads.stored('u', part(number));
  for (const number of [2, 3, 4]) spreads.stored('u', part(number));
  spreads.end('b', 'u', theirs?.id ?? 0);
  assert.equal((await all).length, 12);
});

test('F027: an error of one range ends the spread once nobody writes any more; parts that come late are refused', async () => {
  const spreads = new Spreads();
  const all = spreads.spread('a', spreadOf(12));
  let ended = false;
  const rejected = assert.rejects(all.finally(() => { ended = true; }), { code: 'E_SRC_CHANGED' });
  const [one] = spreads.claim(1, 'a');
  const [two] = spreads.claim(1, 'b');
  spreads.end('a', 'u', one?.id ?? 0, lost);
  await Promise.resolve();
  assert.equal(ended, false, 'b still writes');
  assert.throws(() => spreads.refuseFailed('u'), { code: 'E_UPLOAD_LOST' });
  assert.deepEqual(spreads.claim(9, 'c'), []);
  spreads.end('b', 'u', two?.id ?? 0, cancelled('range'));
  await rejected;
  spreads.refuseFailed('u');
});
