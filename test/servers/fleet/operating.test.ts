/** What an operator does to a fleet: stops its coordinator, starts it again, retries what failed, and mixes it up with a run of one machine. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { tempFolder } from '../../../src/cli/fixture.test.ts';
import { startNats } from '../harness/index.ts';

const MAIN = join(import.meta.dirname, '../../../src/cli/main.ts');
const ENV = { BRIGADE_MESSAGE_KEY: 'k'.repeat(32), PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' };

interface Ran { readonly exit: number; readonly out: string; readonly err: string }

async function bench(more: string) {
  const nats = await startNats();
  const folder = tempFolder();
  for (const made of ['to', 'journals']) mkdirSync(join(folder.path, made));
  const file = folder.write('pair.yml', `name: pair\nsource: from\ndestination: to\nbatch: { objects: 5 }\n${more}`);
  const fleet = ['--queue', `nats:operating@${nats.endpoint}?create=true&lease=5s`, '--journal', 'journals'];
  const processes: ChildProcess[] = [];
  return {
    folder, file, fleet,
    start(...args: readonly string[]): ChildProcess {
      const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder.path, env: ENV, stdio: 'ignore' });
      processes.push(child);
      return child;
    },
    brigade: (...args: readonly string[]): Promise<Ran> => new Promise((resolve) => {
      execFile(process.execPath, [MAIN, ...args], { cwd: folder.path, env: ENV, timeout: 120_000 }, (error, out, err) => resolve({ exit: error === null ? 0 : Number(error.code ?? -1), out, err }));
    }),
    async [Symbol.asyncDispose]() {
      for (const child of processes) child.kill('SIGKILL');
      await nats.stop();
      folder[Symbol.dispose]();
    },
  };
}

const ended = (child: ChildProcess): Promise<number | null> => new Promise((resolve) => { child.once('exit', (code) => resolve(code)); });

describe('a fleet in the hands of an operator', { concurrency: 2 }, () => {
  test('its coordinator is stopped in the middle: the workers go on, the next one goes on with the same run, and journal and ledger agree', async () => {
    await using site = await bench('limits: { bandwidth: 200 KiB/s }\n');
    for (let i = 0; i < 200; i++) site.folder.write(`from/d${i % 7}/file-${i}`, 'x'.repeat(10_000));
    site.start('worker', ...site.fleet, '--processes', '1');
    const coordinator = site.start('coordinator', site.file, ...site.fleet, '--progress', 'none');
    const stopped = ended(coordinator);
    while (readdirSync(join(site.folder.path, 'to'), { recursive: true }).length < 30) await sleep(50);
    coordinator.kill('SIGTERM');
    const exit = await stopped;
    assert.ok(exit === 5 || exit === 143, `ended with ${exit}`);
    assert.match((await site.brigade('status', 'pair')).out, /pair@1 .*active/);
    const again = await site.brigade('coordinator', site.file, ...site.fleet, '--progress', 'none');
    assert.equal(again.exit, 0, again.out + again.err);
    assert.match(again.out, /200 listed = 200 copied/);
    assert.equal((await site.brigade('ledger', 'check', 'pair', ...site.fleet.slice(2))).exit, 0);
  });

  test('what failed is retried over the fleet; the ledger of a fleet is refused to a run of one machine, and the other way round', async () => {
    await using site = await bench('');
    for (let i = 0; i < 40; i++) site.folder.write(`from/d${i % 4}/file-${i}`, 'x'.repeat(i));
    // A file where a folder is to be: ten objects cannot be written.
    writeFileSync(join(site.folder.path, 'to', 'd1'), 'in the way');
    site.start('worker', ...site.fleet, '--processes', '1');
    const first = await site.brigade('coordinator', site.file, ...site.fleet, '--progress', 'none');
    assert.equal(first.exit, 1, first.out + first.err);
    assert.match(first.out, /40 listed = 30 copied .* 10 failed/);
    const local = await site.brigade('run', site.file);
    assert.equal(local.exit, 2);
    assert.match(local.err, /E_LEDGER_FLEET/);
    assert.match((await site.brigade('retry', 'pair')).err, /E_LEDGER_FLEET/);
    rmSync(join(site.folder.path, 'to', 'd1'));
    const retried = await site.brigade('retry', 'pair', ...site.fleet, '--progress', 'none');
    assert.equal(retried.exit, 0, retried.out + retried.err);
    assert.match(retried.out, /40 listed = 40 copied/);
    assert.equal((await site.brigade('ledger', 'check', 'pair', ...site.fleet.slice(2))).exit, 0);

    const alone = site.folder.write('alone.yml', 'name: alone\nsource: from\ndestination: to2\n');
    assert.equal((await site.brigade('run', alone, '--progress', 'none')).exit, 0);
    const mixed = await site.brigade('coordinator', alone, ...site.fleet);
    assert.equal(mixed.exit, 2);
    assert.match(mixed.err, /E_LEDGER_LOCAL/);
  });
});
