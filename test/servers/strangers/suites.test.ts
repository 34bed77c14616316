// Suites of others against the agent in both layouts. Every case that fails must be explained; BRIGADE_WRITE_DOCS=1 writes docs/s3-compatibility.md.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, describe, test } from 'node:test';
import { LAYOUTS, startAgent } from '../harness/agent.ts';
import { reasonFor } from './explanations.ts';
import { compatibilityPage, type Result } from './page.ts';
import { answersAfterwards, SUITES } from './suites.ts';

const PAGE = new URL('../../../docs/s3-compatibility.md', import.meta.url);
const results: Result[] = [];

/** So few would mean that a suite ended early. */
const FEWEST_CASES = 80;

for (const layout of LAYOUTS) {
  describe(`agent, layout ${layout}`, { concurrency: false }, () => {
    for (const suite of SUITES) {
      test(suite.name, async () => {
        await using server = await startAgent({ layout });
        const cases = await suite.run(server);
        results.push({ layout, suite, cases });
        assert.ok(cases.length >= FEWEST_CASES, `${cases.length} cases`);
        assert.equal(await answersAfterwards(server), true);
        assert.doesNotMatch(server.stderrTail(), /^brigade:/m, 'a defect of the agent');
        const unexplained = cases.filter(({ name, outcome }) => outcome === 'fail' && reasonFor(suite.explanations, name) === undefined);
        assert.deepEqual(unexplained.map(({ name, said }) => `${name}: ${said}`), []);
      });
    }
  });
}

after(() => {
  if (process.env['BRIGADE_WRITE_DOCS'] === '1' && results.length === LAYOUTS.length * SUITES.length) writeFileSync(PAGE, compatibilityPage(results));
});
