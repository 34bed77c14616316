// The chaos tests in the size that fits a build: twenty kills per pair, 200 overwritten sources, a minute of SlowDown. Larger by hand:
// node test/chaos/kill.ts --kills 250, node test/chaos/torn.ts, node test/chaos/weather.ts.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MiB } from '../../src/core/units.ts';
import { fillDisk } from '../chaos/full.ts';
import { killLoop, type KillOptions, summary } from '../chaos/kill.ts';
import { killedWriter, lostCreate } from '../chaos/leftovers.ts';
import { tearLoop, type TornOptions, tornSummary } from '../chaos/torn.ts';
import { weather, type WeatherOptions, weatherSummary } from '../chaos/weather.ts';

const SEED = Number(process.env['BRIGADE_CHAOS_SEED'] ?? Date.now() % 1_000_000);

// Two at a time: a minute of SlowDown is a minute of waiting.
describe('chaos', { concurrency: 2 }, () => {
  for (const pair of ['fs-versitygw', 'radosgw-fs'] as const) {
    test(`I1 I2 I3 I4 ${pair}: twenty kills at random instants lose, tear, repeat and leave nothing`, async (t) => {
      const options: KillOptions = { pair, kills: 20, objects: 3000, large: 512 * MiB, seed: SEED, log: (line) => t.diagnostic(line) };
      const result = await killLoop(options);
      t.diagnostic(summary(options, result));
      assert.deepEqual(result.violations, [], summary(options, result));
    });
  }

  test('F072: an upload whose creation nobody heard of is not left open', async () => assert.deepEqual(await lostCreate(), []));

  test('F025: a temporary whose writer was killed is not left behind', async () => assert.deepEqual(await killedWriter(), []));

  for (const from of ['fs', 'versitygw'] as const) {
    test(`I6 a source (${from}) overwritten a hundred times during its own copy leaves no torn object`, async (t) => {
      const options: TornOptions = { from, tries: 100, seed: SEED };
      const result = await tearLoop(options);
      t.diagnostic(tornSummary(options, result));
      assert.deepEqual(result.violations, [], tornSummary(options, result));
      assert.ok(result.during >= options.tries, `only ${result.during} overwrites came during a copy`);
    });
  }

  for (const options of [{ kind: 'slow down', seconds: 60, objects: 600 }, { kind: 'outage', seconds: 20, objects: 600 }] satisfies WeatherOptions[]) {
    test(`${options.kind === 'outage' ? 'F085' : 'F081'}: ${options.seconds} s of ${options.kind} over versitygw fail no object and burn no attempt`, async (t) => {
      const result = await weather(options);
      t.diagnostic(weatherSummary(options, result));
      assert.deepEqual(result.violations, [], weatherSummary(options, result));
    });
  }

  test('F059: a full disk pauses the run, leaving nothing half; it goes on when there is space', async () => {
    const result = await fillDisk();
    assert.equal(result.first, 5, result.log);
    assert.match(result.log, /E_DISK_FULL/);
    assert.ok(result.pendingWhenFull > 0);
    assert.deepEqual(result.leftWhenFull, []);
    assert.equal(result.second, 0);
    assert.equal(result.failed, 0);
    assert.deepEqual(result.violations, []);
  });
});
