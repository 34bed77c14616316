import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const SCRIPT = `
const { growYoungGeneration } = await import(process.argv[1]);
const { getHeapSpaceStatistics } = await import('node:v8');
const size = () => getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size / 2 ** 20;
const work = async (turns) => {
  const live = [];
  for (let turn = 0; turn < turns; turn++) {
    for (let i = 0; i < 2000; i++) live[(turn * 2000 + i) % 20000] = { i, text: String(i) + turn };
    await new Promise(setImmediate);
  }
};
growYoungGeneration();
const sizes = [];
await work(400);
sizes.push(size());
gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
sizes.push(size());
await work(400);
sizes.push(size());
console.log(JSON.stringify(sizes));
`;

test('the young generation grows to its limit, and to it again after V8 took it back', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', '--semi-space-growth-factor=1', '--input-type=module', '-e', SCRIPT, import.meta.resolve('./heap.ts')]);
  const [grown, shrunk, again] = JSON.parse(stdout) as [number, number, number];
  assert.deepEqual([grown, again], [8, 8]);
  assert.ok(shrunk < 8, `${shrunk} MB after it was taken back`);
});
