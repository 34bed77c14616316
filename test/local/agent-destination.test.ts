import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startEndpoint } from '../../src/agent/endpoint.ts';
import { openFilesLayout } from '../../src/agent/files-layout/index.ts';

test('a whole migration into an agent over a plain folder: doctor finds it ready, everything lands, and nothing else is left there', async (t) => {
  const base = mkdtempSync(join(tmpdir(), 'brigade-to-agent-'));
  t.after(() => rmSync(base, { recursive: true }));
  for (const folder of ['source/deep', 'served/bucket']) mkdirSync(join(base, folder), { recursive: true });
  writeFileSync(join(base, 'source/deep/text'), 'content');
  writeFileSync(join(base, 'source/zeros'), Buffer.alloc(20 << 20));
  const layout = await openFilesLayout({ root: join(base, 'served'), state: join(base, 'state') });
  const endpoint = await startEndpoint({ storage: layout, accessKeys: [{ id: 'AKIATEST', secret: 'secret' }], behaviours: { pretends: false, repeatedComplete: 'same answer' } });
  t.after(async () => {
    await endpoint.close();
    await layout.close();
  });
  const migration = { name: 'agent', source: './source', destination: { s3: 'bucket', endpoint: endpoint.url, credentials: 'env:THERE' }, executors: 0 };
  writeFileSync(join(base, 'm.yml'), JSON.stringify(migration));
  const brigade = async (...args: readonly string[]): Promise<string> => {
    const env = { ...process.env, THERE_ACCESS_KEY_ID: 'AKIATEST', THERE_SECRET_ACCESS_KEY: 'secret', BRIGADE_STATE: join(base, 'ledger') };
    return (await promisify(execFile)(process.execPath, [resolve('bin/brigade.cjs'), '--state', join(base, 'ledger'), ...args], { cwd: base, env })).stdout;
  };
  assert.match(await brigade('doctor', 'm.yml'), /ready|passed|fine|ok/i);
  await brigade('run', 'm.yml', '--progress', 'none');
  await brigade('verify', 'm.yml', '--progress', 'none');
  assert.equal(readFileSync(join(base, 'served/bucket/deep/text'), 'utf8'), 'content');
  assert.equal(readFileSync(join(base, 'served/bucket/zeros')).equals(Buffer.alloc(20 << 20)), true);
  assert.deepEqual(new Set(readdirSync(join(base, 'served/bucket'))), new Set(['deep', 'zeros']));
});
