import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostileRun } from '../agent/hostile.ts';

// The full size is run by `node test/agent/hostile.ts --paths 50000`, and with `--strace` every descriptor of the agent is watched, too.
for (const layout of ['files', 'objects'] as const) {
  test(`F113: 1,500 hostile requests to layout ${layout}, with links swapped in meanwhile, read and write nothing outside the root`, { skip: process.platform !== 'linux' }, async () => {
    const { statuses, swaps } = await hostileRun({ layout, paths: 1500, seed: 11 });
    assert.ok((statuses['200'] ?? 0) > 50 && (statuses['404'] ?? 0) > 100 && (statuses['500'] ?? 0) === 0, JSON.stringify(statuses));
    assert.ok(swaps > 100);
  });
}
