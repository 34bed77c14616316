// A fleet under kills, purges and takeovers, in the size that fits a build. Larger by hand: node test/chaos/fleet.ts --kills 1000 --purges 20 --changes 10 --objects 200000 --per-round 1100
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB } from '../../../src/core/units.ts';
import { fleetLoop, type FleetOptions, fleetSummary } from '../../chaos/fleet.ts';

const SEED = Number(process.env['BRIGADE_CHAOS_SEED'] ?? Date.now() % 1_000_000);

test('I1 I2 I3 I4 I13 F094 F106: thirty kills of workers and coordinator, purges, and coordinators on other machines lose, tear and repeat nothing', async (t) => {
  const options: FleetOptions = { kills: 30, purges: 3, changes: 2, objects: 20_000, perRound: 60, workers: 3, large: 256 * MiB, seed: SEED, log: (line) => t.diagnostic(line) };
  const result = await fleetLoop(options);
  t.diagnostic(fleetSummary(options, result));
  assert.deepEqual(result.violations, [], fleetSummary(options, result));
});
