import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Signals } from '../../fleet/coordinator/signals.ts';
import { simulatedClock } from '../../telemetry/clock.ts';
import { Meter } from '../../telemetry/meter.ts';
import { measure, publish, type Published, readPublished } from './published.ts';

const SIGNALS: Signals = { epoch: 3, backlog: 600, outstanding: 256, workers: 4, busy: 8, drainMs: 1_200_000, paused: false, sent: 400, resent: 6, spurious: 2 };

test('S0.32: what a coordinator says of its fleet stands beside its ledger, every few seconds, and its metrics are the same', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-published-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const ledger = join(dir, 'ledger.db');
  const clock = simulatedClock();
  let signals = SIGNALS;
  const heard: Published[] = [];
  const stop = publish({ ledger, run: 7, clock, targetMs: 600_000, read: () => signals, hear: (published) => { heard.push(published); } });
  const said = readPublished(ledger, 7);
  assert.deepEqual([said?.perWorker, said?.wanted, said?.drainMs, said?.targetMs], [150, 8, 1_200_000, 600_000]);
  assert.equal(readPublished(ledger, 8), undefined, 'of another run nothing is said');

  const { drainMs: _, ...without } = SIGNALS;
  signals = { ...without, workers: 0, trouble: { code: 'E_NO_WORKERS', message: 'nobody' } };
  await clock.advance(5000);
  assert.deepEqual([readPublished(ledger, 7)?.perWorker, readPublished(ledger, 7)?.wanted], [600, 6]);
  const meter = new Meter();
  for (const published of heard) measure(meter, 'media', published);
  const value = (name: string): number | undefined => meter.samples().find((sample) => sample.name === name)?.value;
  assert.deepEqual(['brigade_backlog_per_worker', 'brigade_predicted_drain_seconds', 'brigade_drain_target_seconds', 'brigade_trouble', 'brigade_needless_ratio'].map(value), [600, undefined, 600, 1, 0.005]);

  signals = { ...signals, backlog: 0 };
  stop();
  assert.equal(readPublished(ledger, 7)?.backlog, 0, 'the last word is the last state');
  await clock.advance(60_000);
  assert.equal(heard.length, 3, 'and then nothing more is said');
  assert.deepEqual(readdirSync(dir), ['fleet.json']);
  writeFileSync(join(dir, 'fleet.json'), '{ "v": 1, "ru');
  assert.equal(readPublished(ledger, 7), undefined);
});
