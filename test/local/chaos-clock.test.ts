/** The wall clock jumps in the middle of a run (NTP step, a virtual machine that resumes). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runMigration } from '../../src/app/migrate.ts';
import { loadMigration } from '../../src/config/index.ts';
import type { Clock } from '../../src/ports/clock.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { systemRandom } from '../../src/telemetry/random.ts';
import { claimOf } from '../chaos/product.ts';
import { openSite, SITE_LIMITS } from '../chaos/site.ts';

const HOUR = 3_600_000;

test('F084: the clock jumps an hour forward and two back: no lease is lost, nothing is written twice', async () => {
  await using site = await openSite({ options: { ...SITE_LIMITS, executors: 0 } });
  let offset = 0;
  const clock: Clock = { ...systemClock(), now: () => Date.now() + offset };
  const puts = new Map<string, number>();
  let turn = 0;
  site.hook = ({ operation, key }) => {
    if (operation !== 'PutObject' || key.startsWith('.brigade/')) return;
    puts.set(key, (puts.get(key) ?? 0) + 1);
    if (++turn % 20 === 0) offset = [0, HOUR, -HOUR][(turn / 20) % 3] ?? 0;
  };
  const env = { ...process.env, ...site.migration.env };
  const flags = { stateDir: site.migration.state, fresh: false, adopt: false, onPause: 'exit', requireObjects: true, drainMs: 0 } as const;
  const { exit, run } = await runMigration(loadMigration(site.migration.file, env), flags, { env, clock, random: systemRandom(), events: { emit: () => undefined }, signal: new AbortController().signal });
  assert.equal(exit, 0);
  assert.ok(turn >= 100, 'the clock jumped while objects were written');
  assert.deepEqual([...puts.values()].filter((count) => count > 1), []);
  const claim = await claimOf(site.migration);
  assert.deepEqual(claim.attempts, { 1: site.objects });
  assert.ok(run.activeMs >= 0 && run.activeMs < HOUR / 2, `${run.activeMs} ms of work`);
  assert.deepEqual(await site.differing(), []);
});
