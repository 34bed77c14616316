/** After a fleet has worked: its ledger says what its journal says, and one that is made from the journal alone goes on as the first did. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempFolder } from '../../../src/cli/fixture.test.ts';
import { startNats } from '../harness/index.ts';

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts');
const ENV = { BRIGADE_MESSAGE_KEY: 'k'.repeat(32), PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' };

interface Ran { readonly exit: number; readonly out: string; readonly err: string }

test('the ledger of a fleet equals the one made from its journal; a lost one is made anew, and the next run finds everything unchanged', async () => {
  await using nats = await startNats();
  using folder = tempFolder();
  for (let i = 0; i < 60; i++) folder.write(`from/d${i % 7}/file-${i}`, 'x'.repeat(i));
  for (const made of ['to', 'journals']) mkdirSync(join(folder.path, made));
  const file = folder.write('pair.yml', 'name: pair\nsource: from\ndestination: to\nbatch: { objects: 7 }\n');
  const brigade = (...args: readonly string[]): Promise<Ran> => new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { cwd: folder.path, env: ENV, timeout: 120_000 }, (error, out, err) => resolve({ exit: error === null ? 0 : Number(error.code ?? -1), out, err }));
  });
  const fleet = ['--queue', `nats:rebuilt@${nats.endpoint}?create=true`, '--journal', 'journals'];
  const run = await brigade('run', file, ...fleet, '--workers', '2', '--progress', 'none');
  assert.equal(run.exit, 0, `${run.out}${run.err}`);
  assert.match(run.out, /60 listed = 60 copied/);
  const check = await brigade('ledger', 'check', 'pair', ...fleet.slice(2));
  assert.deepEqual([check.exit, check.out.includes('the ledger says what its journal says')], [0, true], check.out + check.err);
  const { checks } = JSON.parse((await brigade('doctor', file, ...fleet, '-o', 'json')).out) as { checks: { name: string; status: string; message: string }[] };
  assert.deepEqual(checks.filter(({ status }) => status === 'FAIL'), []);
  assert.equal(checks.find(({ name }) => name === 'journal: whose')?.message, 'of pair, as the file has it now');
  rmSync(join(folder.path, '.brigade'), { recursive: true });
  const rebuilt = await brigade('ledger', 'rebuild', 'pair', ...fleet.slice(2));
  assert.equal(rebuilt.exit, 0, rebuilt.err);
  assert.match(rebuilt.out, /^pair@1: finished, 60 listed = 60 copied/);
  const again = await brigade('run', file, ...fleet, '--workers', '1', '--progress', 'none');
  assert.equal(again.exit, 0, `${again.out}${again.err}`);
  assert.match(again.out, /60 listed = 0 copied \+ 60 unchanged/);
  assert.equal(readdirSync(join(folder.path, 'to')).length, 7);
});
