/** What an operator does to a fleet: stops its coordinator, starts it again, retries what failed, and mixes it up with a run of one machine. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { playMetadata } from '../../../src/app/fleet/metadata.test-kit.ts';
import { tempFolder } from '../../../src/cli/fixture.test.ts';
import { startNats } from '../harness/index.ts';
import { lastChange } from './site.ts';

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
    /** With what it says on stderr. */
    startHeard(env: Readonly<Record<string, string>>, ...args: readonly string[]): { readonly child: ChildProcess; readonly said: () => string } {
      const child = spawn(process.execPath, [MAIN, ...args], { cwd: folder.path, env: { ...ENV, ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
      let text = '';
      child.stderr?.setEncoding('utf8').on('data', (more: string) => { text += more; });
      processes.push(child);
      return { child, said: () => text };
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

/** A generous limit: machines are busy. */
async function found<T>(look: () => Promise<T | undefined> | T | undefined, ms = 60_000): Promise<T> {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(100)) {
    const one = await look();
    if (one !== undefined) return one;
  }
  throw new Error(`not within ${ms} ms: ${look.toString()}`);
}

/** Each row by its name and labels. */
async function metricsAt(said: () => string): Promise<ReadonlyMap<string, number>> {
  const url = await found(() => /^metrics: (\S+)$/m.exec(said())?.[1]);
  const text = await (await fetch(url)).text();
  return new Map(text.split('\n').filter((row) => row !== '' && !row.startsWith('#')).map((row) => [row.slice(0, row.lastIndexOf(' ')), Number(row.slice(row.lastIndexOf(' ') + 1))]));
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

  test('S0.32: metrics and status say what is to be done, by whom and until when; without a worker that is told', async () => {
    await using site = await bench('limits: { bandwidth: 50 KiB/s }\n');
    for (let i = 0; i < 300; i++) site.folder.write(`from/d${i % 7}/file-${i}`, 'x'.repeat(10_000));
    const coordinator = site.startHeard({}, 'coordinator', site.file, ...site.fleet, '--progress', 'plain', '--metrics', '127.0.0.1:0', '--drain-target', '5s');
    const of = (name: string): string => `${name}{migration="pair"}`;
    const alone = await found(async () => {
      const now = await metricsAt(coordinator.said);
      return now.get('brigade_trouble{migration="pair",code="E_NO_WORKERS"}') === 1 ? now : undefined;
    });
    const [backlog = 0, ...others] = ['brigade_backlog_tasks', 'brigade_outstanding_tasks', 'brigade_backlog_per_worker', 'brigade_workers_alive'].map((name) => alone.get(of(name)));
    // Sixty of five, and some more where a listing is so slow that what there is goes out early.
    assert.ok(backlog >= 60 && backlog < 70, String(backlog));
    assert.deepEqual(others, [backlog, backlog, 0]);
    assert.equal(alone.get('brigade_objects{migration="pair",state="pending"}'), 300);
    assert.match((await site.brigade('status', 'pair')).out, /^fleet: 0 workers, 6\d tasks to do.*\ntrouble: no worker is at work on this run/m);
    await found(() => (/no worker is at work on this run.*\[E_NO_WORKERS\]/.test(coordinator.said()) ? true : undefined));

    const worker = site.startHeard({}, 'worker', ...site.fleet, '--processes', '2', '--metrics', '127.0.0.1:0');
    const working = await found(async () => {
      const now = await metricsAt(coordinator.said);
      return now.has(of('brigade_predicted_drain_seconds')) && (now.get(of('brigade_workers_alive')) ?? 0) === 2 ? now : undefined;
    });
    assert.ok((working.get(of('brigade_workers_wanted')) ?? 0) >= 1);
    assert.equal(working.get(of('brigade_drain_target_seconds')), 5);
    assert.equal(working.has('brigade_trouble{migration="pair",code="E_NO_WORKERS"}'), false);
    const status = JSON.parse((await site.brigade('status', 'pair', '-o', 'json')).out) as { fleet: { drainMs: number; backlog: number; workers: number } };
    assert.ok(status.fleet.drainMs > 0 && status.fleet.backlog <= backlog && status.fleet.workers === 2, JSON.stringify(status.fleet));

    const counted = await found(async () => {
      const now = await metricsAt(worker.said);
      return (now.get('brigade_tasks_total{migration="pair",what="done"}') ?? 0) >= 5 ? now : undefined;
    });
    assert.ok((counted.get('brigade_requests_total{migration="pair",endpoint="destination",op="write"}') ?? 0) >= 25);
    assert.ok((counted.get('brigade_bytes_sent_total{migration="pair"}') ?? 0) >= 250_000);
    assert.ok((counted.get('brigade_journal_writes_total') ?? 0) >= 5, 'reports');
    assert.equal(counted.get('brigade_worker_processes'), 2);
    assert.ok((await metricsAt(coordinator.said)).get(of('brigade_journal_writes_total')) ?? 0 > 0);

    // Pause and go on, each within 10 s, over processes (brigade limits).
    assert.equal((await site.brigade('limits', 'pair', '--bandwidth', 'pause')).exit, 0);
    const there = (): number => readdirSync(join(site.folder.path, 'to'), { recursive: true }).length;
    const pausedMs = await lastChange(there, performance.now(), 5000);
    assert.ok(pausedMs <= 10_000, `${pausedMs} ms`);
    const before = there();
    assert.ok(before < 307, 'it was paused before it ended');
    await sleep(3000);
    assert.equal(there(), before, 'nothing moves in a pause');
    assert.equal((await metricsAt(coordinator.said)).get(of('brigade_paused')), 1);
    assert.equal((await site.brigade('limits', 'pair', '--bandwidth', 'unlimited')).exit, 0);
    await found(() => (readdirSync(join(site.folder.path, 'to'), { recursive: true }).length > before ? true : undefined));
    assert.equal(await ended(coordinator.child), 0, coordinator.said());
  });

  test('a spot machine that is to be taken back drains as if it had been asked to: its tasks go to others at once', async (t) => {
    await using site = await bench('limits: { bandwidth: 50 KiB/s }\n');
    const played = await playMetadata(t);
    for (let i = 0; i < 100; i++) site.folder.write(`from/d${i % 7}/file-${i}`, 'x'.repeat(10_000));
    site.start('coordinator', site.file, ...site.fleet, '--progress', 'none');
    const spot = site.startHeard({ AWS_EC2_METADATA_SERVICE_ENDPOINT: played.endpoint }, 'worker', ...site.fleet, '--processes', '2', '--drain', '1s');
    const left = ended(spot.child);
    await found(() => (readdirSync(join(site.folder.path, 'to'), { recursive: true }).length > 20 ? true : undefined));
    played.says.set('spot/instance-action', JSON.stringify({ action: 'terminate', time: new Date(Date.now() + 40_000).toISOString() }));
    assert.equal(await left, 0, spot.said());
    assert.match(spot.said(), /this spot machine is taken back at .*what is in flight may finish within \d+(?:\.\d)? s/);
    const before = readdirSync(join(site.folder.path, 'to'), { recursive: true }).length;
    assert.ok(before < 107, 'there was something left to do');
    site.start('worker', ...site.fleet, '--processes', '1', '--spot-notice', 'off');
    await found(() => (readdirSync(join(site.folder.path, 'to'), { recursive: true }).length > before + 5 ? true : undefined));
  });
});
