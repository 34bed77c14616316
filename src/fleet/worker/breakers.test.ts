import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../../core/errors.ts';
import { simulatedClock } from '../../telemetry/clock.ts'; // eslint-disable-line import-x/no-restricted-paths -- only tests come here: the fleet knows no driver
import { Breakers } from './breakers.ts';

const refused = (code = 'E_CREDENTIALS'): BrigadeError => new BrigadeError({ code, kind: 'premise', message: 'refused' });

test('a place that was found wrong is asked once when its time has come, later each time, and told of once', async () => {
  const clock = simulatedClock();
  const breakers = new Breakers(clock);
  const heard: string[] = [];
  breakers.listen((place) => { heard.push(place); });
  let right = false;
  let asked = 0;
  const ask = async (): Promise<void> => {
    asked++;
    await Promise.resolve();
    if (!right) throw refused();
  };
  assert.equal(await breakers.pass('a', ask), undefined, 'nothing is wrong, nobody is asked');
  assert.equal(asked, 0);
  assert.deepEqual({ ...breakers.trip('a', refused()), error: undefined }, { error: undefined, forMs: 30_000, untilMs: 30_000, isNews: true });
  assert.equal(breakers.trip('a', refused()).isNews, false, 'an echo');
  assert.equal((await breakers.pass('a', ask))?.untilMs, 30_000);
  assert.equal(await breakers.pass('b', ask), undefined, 'another place is not concerned');
  assert.equal(asked, 0);
  for (const [forMs, times] of [[60_000, 1], [120_000, 2], [240_000, 3], [300_000, 4], [300_000, 5]] as const) {
    await clock.advance(300_000);
    const shut = await Promise.all([breakers.pass('a', ask), breakers.pass('a', ask), breakers.pass('a', ask)]);
    assert.deepEqual(shut.map((one) => one?.forMs), [forMs, forMs, forMs]);
    assert.equal(asked, times, 'one for all who want to go there');
  }
  assert.deepEqual(heard, ['a', 'a', 'a', 'a', 'a', 'a']);
  right = true;
  await clock.advance(300_000);
  assert.deepEqual(await Promise.all([breakers.pass('a', ask), breakers.pass('a', ask)]), [undefined, undefined]);
  assert.equal(asked, 6);

  const again = breakers.trip('a', refused());
  assert.deepEqual([again.forMs, again.isNews], [300_000, false], 'a question that was answered is no work that was done');
  await clock.advance(300_000);
  await breakers.pass('a', ask);
  breakers.prove('a');
  assert.deepEqual([breakers.trip('a', refused()).forMs, breakers.trip('b', refused('E_BUCKET_MISSING')).isNews], [30_000, true]);
});

test('when the one who asks has to leave, another one does; it is not asked again itself, whose every question would end so', async () => {
  const clock = simulatedClock();
  const breakers = new Breakers(clock);
  breakers.trip('a', refused());
  await clock.advance(30_000);
  let [left, asked] = [0, 0];
  const leaving = breakers.pass('a', async () => {
    left++;
    await Promise.resolve();
    throw new BrigadeError({ code: 'E_CANCELLED', kind: 'cancelled', message: 'leaving' });
  });
  const other = breakers.pass('a', async () => { asked++; });
  await assert.rejects(leaving, { kind: 'cancelled' });
  assert.equal(await other, undefined);
  assert.deepEqual([left, asked], [1, 1]);
});
