import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Item } from '../../core/item.ts';
import { compareKeys } from '../../core/key.ts';
import type { Begun } from '../../ports/journal.ts';
import { nextStep, SUSPICIOUS } from './narrowing.ts';

const items = (count: number): readonly Item[] => Array.from({ length: count }, (_, i) => ({ key: String(i).padStart(5, '0'), kind: 'object', size: 1, state: 'pending', source: { token: 't' }, evidence: 'none', attempts: 0 }));
const whole = (of: readonly Item[], alone: boolean): Begun => ({ first: (of[0] as Item).key, last: (of.at(-1) as Item).key, objects: of.length, alone });

/** Works on a task as workers do, of which those die that begin one of these. */
function carryOut(task: readonly Item[], kills: ReadonlySet<string>): { readonly parked: readonly string[]; readonly deaths: number; readonly steps: number; readonly attempts: readonly number[] } {
  const deaths: Begun[] = Array.from({ length: SUSPICIOUS }, () => whole(task, false));
  const parked: string[] = [];
  const attempts: number[] = [];
  let left = task;
  let steps = 0;
  while (left.length > 0) {
    const step = nextStep(left, deaths);
    if ('poison' in step) {
      parked.push(step.poison.key);
      attempts.push(step.deaths);
      left = left.filter((item) => item !== step.poison);
      continue;
    }
    assert.ok(++steps < 5000, 'it comes to an end');
    assert.ok(step.items.length > 0 && step.items[0] === left[0]);
    if (step.items.some(({ key }) => kills.has(key))) deaths.push(whole(step.items, true));
    else left = left.slice(step.items.length);
  }
  return { parked, deaths: deaths.length, steps, attempts };
}

test('F098: exactly those objects are parked that kill, whichever and however many they are; each after five deaths or more', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 300 }), fc.array(fc.nat(299), { maxLength: 6 }), (count, which) => {
    const task = items(count);
    const kills = new Set(which.filter((at) => at < count).map((at) => (task[at] as Item).key));
    const { parked, attempts } = carryOut(task, kills);
    assert.deepEqual(parked, [...kills].sort(compareKeys));
    for (const tries of attempts) assert.ok(tries >= 5);
  }));
});

test('F098: one object of a thousand is found in eight deaths, and the others are done in some tens of steps', () => {
  for (const at of [0, 1, 499, 998, 999]) {
    const task = items(1000);
    const { deaths, steps } = carryOut(task, new Set([(task[at] as Item).key]));
    assert.ok(deaths <= 9, `${deaths} deaths for object ${at}`);
    assert.ok(steps <= 70, `${steps} steps for object ${at}`);
  }
});

test('an object that was one of few when workers died is not parked before three of them had it alone', () => {
  const [one] = items(1);
  const deaths = Array.from({ length: 20 }, () => whole(items(2), true));
  assert.deepEqual(nextStep([one as Item], deaths), { items: [one] });
  deaths.push(whole([one as Item], true), whole([one as Item], true));
  assert.deepEqual(nextStep([one as Item], deaths), { items: [one] });
  deaths.push(whole([one as Item], true));
  assert.deepEqual(nextStep([one as Item], deaths), { poison: one, deaths: 23 });
});
