import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzLanes } from '../fuzz/lanes.ts';

test('F001, F002, F118: broken answers, a few thousand of each run of the tests: the right bytes or an error, no hang, no socket left', async () => {
  const { wrong, answers, outcomes } = await fuzzLanes({ responses: 3000, seed: 20_261_121 });
  assert.deepEqual(wrong, []);
  assert.ok(answers >= 3000 && outcomes.size > 40, `${answers} answers, ${outcomes.size} outcomes`);
});
