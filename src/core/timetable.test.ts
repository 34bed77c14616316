import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type RateChange, ratesAt, showMoment, showWindow, type Timetable, wallClock, type Window } from './timetable.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const MON_FRI = [1, 2, 3, 4, 5];
const EVERY = [0, 1, 2, 3, 4, 5, 6];
const at = (text: string): number => Date.parse(text);
const window = (days: readonly number[], from: number, to: number, change: RateChange = { bandwidth: 1000 }): Window => ({ days, from: from * 60, to: to * 60, ...change });
const table = (windows: readonly Window[], zone = 'Europe/Berlin'): Timetable => ({ plain: { bandwidth: 9000, requests: 90 }, windows, zone });

test('the first window that fits holds, outside of all the plain limits; what a window does not name stays', () => {
  const timetable = table([window(MON_FRI, 12, 13, { bandwidth: 0 }), window(MON_FRI, 8, 18), window([0, 6], 0, 24, { bandwidth: null, requests: 5 })]);
  const rates = (text: string) => { const { bandwidth, requests, by } = ratesAt(timetable, at(text)); return [bandwidth, requests, by]; };
  assert.deepEqual(rates('2026-06-01T07:59:59+02:00'), [9000, 90, 'plain']);
  assert.deepEqual(rates('2026-06-01T08:00:00+02:00'), [1000, 90, 'window']);
  assert.deepEqual(rates('2026-06-01T12:30:00+02:00'), [0, 90, 'window']);
  assert.deepEqual(rates('2026-06-01T18:00:00+02:00'), [9000, 90, 'plain']);
  assert.deepEqual(rates('2026-06-06T03:00:00+02:00'), [undefined, 5, 'window']);
});

test('a window over midnight belongs to the day on which it begins', () => {
  const timetable = table([window([5], 22, 6)]);
  assert.equal(ratesAt(timetable, at('2026-06-05T23:00:00+02:00')).by, 'window');
  assert.equal(ratesAt(timetable, at('2026-06-06T05:59:00+02:00')).by, 'window', 'Saturday morning');
  assert.equal(ratesAt(timetable, at('2026-06-06T06:00:00+02:00')).by, 'plain');
  assert.equal(ratesAt(timetable, at('2026-06-05T05:00:00+02:00')).by, 'plain', 'Friday morning is Thursday night');
});

test('until says when another limit begins', () => {
  const timetable = table([window(MON_FRI, 8, 18)]);
  assert.equal(ratesAt(timetable, at('2026-06-01T09:00:30+02:00')).untilMs, at('2026-06-01T18:00:00+02:00'));
  assert.equal(ratesAt(timetable, at('2026-06-05T18:00:00+02:00')).untilMs, at('2026-06-08T08:00:00+02:00'), 'over the weekend');
  assert.equal(ratesAt(table([window(EVERY, 0, 24)]), at('2026-06-01T09:00:00Z')).untilMs, undefined);
  assert.equal(ratesAt(table([]), at('2026-06-01T09:00:00Z')).untilMs, undefined);
});

test('the wall clock decides when the clocks are changed', () => {
  // Berlin, 29 March 2026: 02:00 becomes 03:00; 25 October 2026: 03:00 becomes 02:00 once more.
  const spring = table([window(EVERY, 1, 2)]);
  assert.equal(ratesAt(spring, at('2026-03-29T00:30:00Z')).untilMs, at('2026-03-29T01:00:00Z'));
  const skipped = table([{ ...window(EVERY, 0, 0), from: 150, to: 210 }]);
  assert.equal(ratesAt(skipped, at('2026-03-29T00:30:00Z')).untilMs, at('2026-03-29T01:00:00Z'), '02:30 is skipped: at 03:00 the window has begun');
  assert.equal(ratesAt(skipped, at('2026-03-29T01:00:00Z')).untilMs, at('2026-03-29T01:30:00Z'), 'and lasts the half hour that is left of it');
  const autumn = table([window(EVERY, 8, 18)]);
  assert.equal(ratesAt(autumn, at('2026-10-24T16:00:00Z')).untilMs, at('2026-10-25T07:00:00Z'), 'a night of fifteen hours');
  const repeated = table([window(EVERY, 2, 3)]);
  assert.equal(ratesAt(repeated, at('2026-10-25T00:10:00Z')).untilMs, at('2026-10-25T02:00:00Z'), 'the hour that is repeated is in its window twice');
});

test('what an operator says stands above the timetable, part by part', () => {
  const timetable = table([window(EVERY, 0, 24, { bandwidth: 0 })]);
  const now = at('2026-06-01T09:00:00Z');
  assert.deepEqual([ratesAt(timetable, now, { bandwidth: 5 }).bandwidth, ratesAt(timetable, now, { bandwidth: 5 }).requests, ratesAt(timetable, now, { bandwidth: 5 }).by], [5, 90, 'command']);
  assert.equal(ratesAt(timetable, now, { requests: null }).requests, undefined);
});

test('for any timetable in any zone: until is the first minute at which the rates are others', () => {
  const windows = fc.array(fc.record({ days: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1 }), from: fc.integer({ min: 0, max: 95 }), to: fc.integer({ min: 1, max: 96 }), bandwidth: fc.integer({ min: 0, max: 3 }) }), { minLength: 1, maxLength: 4 })
    .map((list) => list.filter(({ from, to }) => from !== to).map(({ days, from, to, bandwidth }) => ({ days, from: from * 15, to: to * 15, bandwidth })));
  // Around changes of the clock; Lord Howe moves by half an hour, Apia skipped a day in 2011, Kathmandu is a quarter off.
  const starts = fc.tuple(fc.constantFrom('2026-03-27', '2026-10-23', '2026-04-03', '2026-10-02', '2011-12-29', '2026-06-01'), fc.integer({ min: 0, max: 3 * 24 * 60 })).map(([day, minutes]) => at(`${day}T00:00:00Z`) + minutes * MINUTE);
  const zones = fc.constantFrom('Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Pacific/Apia', 'Asia/Kathmandu', 'UTC');
  fc.assert(fc.property(windows, starts, zones, (list, start, zone) => {
    const timetable = table(list, zone);
    const now = ratesAt(timetable, start);
    const until = now.untilMs ?? start + 3 * 24 * HOUR;
    for (let ms = start; ms < Math.min(until, start + 3 * 24 * HOUR); ms += 5 * MINUTE) {
      const held = list.findIndex((one) => fits(one, ms, zone));
      assert.equal(now.window, held < 0 ? undefined : showWindow(list[held] as Window), `${new Date(ms).toISOString()} ${zone}`);
    }
    if (now.untilMs === undefined) return;
    const then = list.findIndex((one) => fits(one, now.untilMs as number, zone));
    const before = list.findIndex((one) => fits(one, start, zone));
    assert.notEqual(then, before);
  }), { numRuns: 60 });
});

/** Written another way: by the minute of the week. */
function fits({ days, from, to }: Window, ms: number, zone: string): boolean {
  const { day, minute } = wallClock(ms, zone);
  const week = 7 * 1440;
  return days.some((start) => (((day - start) * 1440 + minute - from) % week + week) % week < (to - from + 1440) % 1440 + (to - from === 1440 ? 1440 : 0));
}

test('windows and moments read as an operator would write them', () => {
  assert.deepEqual([window(MON_FRI, 8, 18), window([0, 6], 0, 24), window(EVERY, 22, 6), window([6, 0, 1], 1, 2)].map(showWindow), ['mon-fri 08:00–18:00', 'sun,sat 00:00–24:00', 'every day 22:00–06:00', 'sat-mon 01:00–02:00']);
  assert.equal(showMoment(at('2026-06-01T16:00:00Z'), 'Europe/Berlin'), 'mon 18:00');
});
