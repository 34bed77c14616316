import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killRun } from '../agent/kill.ts';

// The full size, 200 uploads and 60 kills for each layout, is run by `node test/agent/kill.ts --kills 60`.
for (const layout of ['objects', 'files'] as const) {
  test(`${layout}: an agent killed in the middle of uploads leaves every object old or whole new, and fsck is clean`, async () => {
    const result = await killRun({ layout, uploads: 40, kills: 5, seed: 7 });
    assert.ok(result.kills >= 3 && result.cutOff > 0, JSON.stringify(result));
  });
}
