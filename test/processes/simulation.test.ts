/** Whole fleets from seeds (test/simulation). `npm run simulate` runs as many as one likes; here are a few, and the proof that it would find what it is there for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUGS, type BugName } from '../simulation/bugs.ts';
import { simulate } from '../simulation/simulate.ts';

const SEEDS = 15;
/** The first seeds, among which each planted bug must be found. */
const MOST_SEEDS = 200;

test('whole fleets under kills, freezes, cuts, purges, takeovers and torn segments: nothing lost, nothing torn, every object accounted for, each run ends', async () => {
  const found: string[] = [];
  let landed = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const result = await simulate(seed);
    landed += result.landed;
    found.push(...result.violations.map((violation) => `seed ${seed}: ${violation}`));
  }
  assert.deepEqual(found, []);
  assert.ok(landed > SEEDS, `${landed} objects written`);
});

test('a seed means the same each time: everything that happens, in its order', async () => {
  for (const seed of [3, 7]) {
    const [once, again] = [await simulate(seed), await simulate(seed)];
    assert.equal(once.hash, again.hash);
    assert.equal(once.happened, again.happened);
  }
  assert.notEqual((await simulate(3)).hash, (await simulate(5)).hash);
});

for (const bug of Object.keys(BUGS) as BugName[]) {
  test(`a planted bug is found: ${BUGS[bug].what}`, async () => {
    for (let seed = 1; seed <= MOST_SEEDS; seed++) {
      const { violations } = await simulate(seed, { bug });
      // What shows a bug is an invariant that is violated, not the simulation breaking down.
      if (violations.some((violation) => !violation.startsWith('the simulation ended'))) return;
    }
    assert.fail(`no seed up to ${MOST_SEEDS} found ${bug}`);
  });
}
