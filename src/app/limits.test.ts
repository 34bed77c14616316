import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Limits } from '../config/index.ts';
import type { InForce } from '../core/timetable.ts';
import { createLimiter } from '../stores/decorators/limited.ts';
import { simulatedClock } from '../telemetry/clock.ts';
import { keepLimits, readSaid, showLimits, timetableOf, writeSaid } from './limits.ts';

const HOUR = 3600_000;
const OFFICE = { days: [1, 2, 3, 4, 5], from: 8 * 60, to: 18 * 60, bandwidth: 100, requests: 10 };
const LUNCH = { ...OFFICE, from: 12 * 60, to: 13 * 60, bandwidth: 0 };
const LIMITS: Limits = { bandwidth: 1000, concurrency: 'auto', listings: 'auto', largeObjects: 'auto', memory: 0, schedule: [LUNCH, OFFICE], timezone: 'Europe/Berlin' };

/** A wall clock beside the code under test: Berlin is at +1 until 01:00 UTC of the last Sunday of March 2026, then at +2. */
function rateAt(ms: number): number {
  const local = new Date(ms + (ms < Date.UTC(2026, 2, 29, 1) ? 1 : 2) * HOUR);
  const [day, hour] = [local.getUTCDay(), local.getUTCHours()];
  if (day === 0 || day === 6 || hour < 8 || hour >= 18) return 1000;
  return hour === 12 ? 0 : 100;
}

test('a whole week on a simulated clock, the change to summer time in it: each hour moves what its window allows, nothing in a pause', async () => {
  const startMs = Date.UTC(2026, 2, 25, 23);
  const clock = simulatedClock({ startMs });
  const limiter = createLimiter(clock);
  const changes: InForce[] = [];
  const stop = keepLimits({ limits: LIMITS, clock, apply: (now) => { changes.push(now); limiter.setLimits({ bytesPerSecond: now.bandwidth ?? Infinity }); } });
  const moved = new Map<number, number>();
  const done = new AbortController();
  const moving = (async () => {
    for (;;) {
      // Two minutes' worth at the least rate of all.
      await limiter.bytes(12_000, done.signal);
      const hour = Math.floor((clock.now() - 1) / HOUR); // what is let go on the hour was earned before it
      moved.set(hour, (moved.get(hour) ?? 0) + 12_000);
    }
  })().catch(() => undefined);
  await clock.advance(7 * 24 * HOUR);
  done.abort();
  stop();
  await moving;
  for (let ms = startMs; ms < startMs + 7 * 24 * HOUR; ms += HOUR) {
    const expected = rateAt(ms) * 3600;
    const found = moved.get(ms / HOUR) ?? 0;
    assert.ok(Math.abs(found - expected) <= 24_000, `${new Date(ms).toISOString()}: ${found} instead of ${expected}`);
    if (expected === 0) assert.equal(found, 0, new Date(ms).toISOString());
  }
  assert.deepEqual(changes.filter(({ bandwidth }) => bandwidth === 0).map(({ untilMs }) => new Date(untilMs ?? 0).toISOString().slice(0, 13)), [
    '2026-03-26T12', '2026-03-27T12', '2026-03-30T11', '2026-03-31T11', '2026-04-01T11',
  ]);
});

test('F084: a wall clock that jumps is followed within half a minute', async () => {
  const clock = simulatedClock({ startMs: Date.UTC(2026, 5, 1, 3) });
  const held: (number | undefined)[] = [];
  const stop = keepLimits({ limits: LIMITS, clock, apply: (now) => held.push(now.bandwidth) });
  clock.jump(5 * HOUR);
  await clock.advance(30_000);
  stop();
  assert.deepEqual(held, [1000, 100]);
});

test('what an operator says is obeyed while the run works, by this run alone, and taken back', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-limits-'));
  try {
    const ledger = join(dir, 'ledger.db');
    const clock = simulatedClock({ startMs: Date.UTC(2026, 5, 1, 3) });
    const held: InForce[] = [];
    const stop = keepLimits({ limits: LIMITS, clock, told: { ledger, run: 2 }, apply: (now) => held.push(now) });
    const step = async (work: () => void): Promise<readonly [number | undefined, number | undefined, string]> => {
      work();
      await clock.advance(2_000);
      const { bandwidth, requests, by } = held.at(-1) as InForce;
      return [bandwidth, requests, by];
    };
    assert.deepEqual(await step(() => writeSaid(ledger, 1, { bandwidth: 7 })), [1000, undefined, 'plain'], 'of another run');
    assert.deepEqual(await step(() => writeSaid(ledger, 2, { bandwidth: 7, requests: 3 })), [7, 3, 'command']);
    assert.deepEqual(await step(() => writeFileSync(join(dir, 'limits.json'), 'torn')), [7, 3, 'command'], 'a damaged file changes nothing');
    assert.deepEqual(await step(() => writeSaid(ledger, 2, { bandwidth: null })), [undefined, undefined, 'command']);
    assert.deepEqual(await step(() => writeSaid(ledger, 2, undefined)), [1000, undefined, 'plain']);
    assert.deepEqual(await step(() => writeSaid(ledger, 2, { requests: 3, paused: true })), [0, 3, 'command'], 'a pause is above all limits');
    assert.equal(held.at(-1)?.paused, true);
    assert.deepEqual(await step(() => writeSaid(ledger, 2, { paused: true })), [0, undefined, 'plain']);
    assert.deepEqual(await step(() => writeSaid(ledger, 2)), [1000, undefined, 'plain'], 'and leaves them as they are');
    stop();
    assert.equal(readSaid(ledger, 2), undefined);
    writeFileSync(join(dir, 'limits.json'), 'torn');
    assert.throws(() => readSaid(ledger, 2), { code: 'E_LIMITS_FILE' });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('a run that is cancelled hears of it once, and of no limit any more', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-limits-'));
  try {
    const ledger = join(dir, 'ledger.db');
    const clock = simulatedClock({ startMs: 0 });
    let [held, cancelled] = [0, 0];
    keepLimits({ limits: LIMITS, clock, told: { ledger, run: 2 }, apply: () => held++, cancel: () => cancelled++ });
    await clock.advance(5_000);
    assert.deepEqual([held, cancelled], [1, 0]);
    writeSaid(ledger, 2, { cancelled: true, paused: true });
    await clock.advance(5_000);
    assert.deepEqual([held, cancelled], [1, 1]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('limits in words', () => {
  const base = { by: 'window', window: 'mon-fri 08:00–18:00', untilMs: Date.UTC(2026, 5, 1, 16) } as const;
  assert.equal(showLimits({ ...base, bandwidth: 6_250_000, requests: 100 }, 'Europe/Berlin'), '50 Mbit/s, 100 requests/s until mon 18:00 (mon-fri 08:00–18:00)');
  assert.equal(showLimits({ ...base, bandwidth: 0, requests: 5 }, 'UTC'), 'paused until mon 16:00 (mon-fri 08:00–18:00)');
  assert.equal(showLimits({ by: 'command', bandwidth: 200 * 2 ** 20 }, 'UTC'), '200.0 MiB/s (brigade limits; --reset takes it back)');
  assert.equal(showLimits({ ...base, bandwidth: 0, paused: true }, 'UTC'), 'paused (brigade pause; brigade resume takes it back)');
  assert.equal(showLimits({ by: 'plain' }, 'UTC'), undefined);
  assert.equal(timetableOf({}).windows.length, 0, 'also of a run that an older build saved');
});
