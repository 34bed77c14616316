import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isKind } from '../core/errors.ts';
import { simulatedClock, systemClock } from './clock.ts';
import { seededRandom, systemRandom } from './random.ts';

test('sleepers wake in order of time, then of falling asleep', async () => {
  const clock = simulatedClock();
  const woken: string[] = [];
  const nap = (name: string, ms: number) => clock.sleep(ms).then(() => woken.push(`${name}@${clock.monotonic()}`));
  void nap('late', 20);
  void nap('first', 10);
  void nap('second', 10);
  await clock.advance(15);
  assert.deepEqual(woken, ['first@10', 'second@10']);
  await clock.advance(15);
  assert.deepEqual(woken, ['first@10', 'second@10', 'late@20']);
  assert.equal(clock.monotonic(), 30);
});

test('run passes an hour without waiting for it', async () => {
  const clock = simulatedClock({ startMs: 1000 });
  const work = async () => {
    for (let i = 0; i < 60; i++) await clock.sleep(60_000);
    return 'done';
  };
  assert.equal(await clock.run(work()), 'done');
  assert.equal(clock.now(), 1000 + 3_600_000);
});

test('run passes a rejection on', async () => {
  const clock = simulatedClock();
  await assert.rejects(clock.run(clock.sleep(5).then(() => Promise.reject(new Error('no')))), /no/);
});

test('auto lets time pass by itself', async () => {
  const clock = simulatedClock({ auto: true });
  await Promise.all([clock.sleep(5_000), clock.sleep(10_000)]);
  assert.equal(clock.monotonic(), 10_000);
  await clock.sleep(1);
  assert.equal(clock.monotonic(), 10_001);
});

test('F084: the wall clock jumps, monotonic time does not', () => {
  const clock = simulatedClock({ startMs: 10_000 });
  clock.jump(-5_000);
  assert.equal(clock.now(), 5_000);
  assert.equal(clock.monotonic(), 0);
});

for (const [name, clock] of [['system', systemClock()], ['simulated', simulatedClock()]] as const) {
  test(`${name}: an aborted sleep rejects as cancelled, before and during`, async () => {
    const stop = new AbortController();
    const asleep = clock.sleep(60_000, stop.signal);
    stop.abort();
    await assert.rejects(asleep, (e) => isKind(e, 'cancelled'));
    await assert.rejects(clock.sleep(1, stop.signal), (e) => isKind(e, 'cancelled'));
  });
}

test('an aborted sleeper of a simulation is forgotten', async () => {
  const clock = simulatedClock();
  const stop = new AbortController();
  const asleep = clock.sleep(10, stop.signal);
  stop.abort();
  await assert.rejects(asleep);
  assert.equal(clock.sleeping, 0);
});

test('the system clock sleeps and goes on', async () => {
  const clock = systemClock();
  const before = clock.monotonic();
  await clock.sleep(5, new AbortController().signal);
  assert.ok(clock.monotonic() > before);
  assert.ok(Math.abs(clock.now() - Date.now()) < 1000);
});

test('a seed repeats its numbers; another seed gives others; all lie in [0, 1) and spread', () => {
  const draw = (seed: number | string) => {
    const random = seededRandom(seed);
    return Array.from({ length: 1000 }, () => random.next());
  };
  assert.deepEqual(draw(7), draw(7));
  assert.deepEqual(draw('seed'), draw('seed'));
  assert.notDeepEqual(draw(7), draw(8));
  const numbers = draw(7);
  assert.ok(numbers.every((n) => n >= 0 && n < 1));
  const mean = numbers.reduce((a, b) => a + b) / numbers.length;
  assert.ok(mean > 0.45 && mean < 0.55, String(mean));
  assert.ok(systemRandom().next() < 1);
});
