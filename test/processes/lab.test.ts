/** `brigade lab` from nothing to four verified pairs, with processes and sockets as a person has them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isAlive, LabBench, until } from './lab-bench.ts';

const PAIRS = ['app-data', 'ml-models', 'logs-archive', 'user-uploads'];

test('up, run with one pair failing, look, repair, retry, verify, report, down, reset', async () => {
  const lab = new LabBench();
  assert.match(await lab.ends('lab up --scale 0.1'), /the lab is up in brigade-lab/);
  assert.deepEqual(readdirSync(join(lab.dir, 'migrations')).sort((a, b) => (a < b ? -1 : 1)), PAIRS.map((name) => `${name}.yml`).sort((a, b) => (a < b ? -1 : 1)));
  for (const name of ['source', 'destination']) {
    const path = join(lab.dir, 'keys', `${name}.json`);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    const { secret_access_key: secret } = JSON.parse(readFileSync(path, 'utf8')) as { secret_access_key: string };
    for (const pair of PAIRS) assert.equal(readFileSync(join(lab.dir, 'migrations', `${pair}.yml`), 'utf8').includes(secret), false);
    assert.equal(statSync(join(lab.dir, 'processes', `${name}.json`)).mode & 0o777, 0o600);
  }

  const ran = await lab.ends('lab run --progress none', 1);
  for (const pair of PAIRS.slice(0, 3)) assert.match(ran, new RegExp(`\\[  OK\\] ${pair} `));
  assert.match(ran, /\[FAIL\] user-uploads \(exit 1\)/);
  assert.match(ran, /One pair failed and touched no other\. user-uploads: its destination denies PutObject below private\//);
  const failed = JSON.parse(await lab.ends(`${lab.state} objects user-uploads --state failed -o json`)) as { key: string; code: string }[];
  assert.ok(failed.length > 0);
  assert.ok(failed.every(({ key, code }) => key.startsWith('private/') && code === 'E_ACCESS_DENIED'));
  assert.match(await lab.ends('lab fault list'), /exercise +destination +denied +user-uploads\/private\/ PutObject/);

  // What it said to paste is what is pasted.
  const lines = ran.split('\n').flatMap((line) => /^(?:repair|go on|verify|) +brigade (.*?)(?: +#.*)?$/.exec(line)?.[1] ?? []);
  const [repair, retry, ...verify] = lines.slice(lines.findIndex((line) => line.includes('fault clear')));
  assert.equal(repair, 'lab fault clear');
  await lab.ends(repair);
  assert.match(retry ?? '', /retry user-uploads/);
  await lab.ends(retry ?? '');
  assert.equal(verify.length, 4);
  for (const line of verify) assert.match(await lab.ends(line), /0 differences/);
  assert.match(await lab.ends(`${lab.state} report user-uploads`), /0 failed/);
  assert.ok(existsSync(join(lab.dir, 'reports', 'app-data.json')), 'a report that a file asked for');

  const { pid } = lab.process('source');
  await lab.ends('lab down');
  assert.equal(isAlive(pid), false);
  await lab.ends('lab up');
  assert.match(await lab.ends(`${lab.state} verify user-uploads`), /0 differences/, 'what was copied stays');
  await lab.ends('lab down');
  assert.match(await lab.ends('lab down'), /was not running/);
  assert.match(await lab.ends('lab reset'), /removed the lab/);
  assert.equal(existsSync(lab.dir), false);
});

test('the second exercise: a bucket vanishes, the run is paused, and goes on where it was; another day brings new objects', async () => {
  const lab = new LabBench();
  await lab.ends('lab up --scale 0.1');
  assert.match(await lab.ends('lab run --exercise none --progress none'), /0 of 4 failed/);
  const ran = await lab.ends('lab run --exercise missing-bucket --progress none', 5);
  assert.match(ran, /^another day: \d+ new objects/);
  assert.match(ran, /\[FAIL\] logs-archive \(exit 5\).* 0 failed \+ [1-9]\d* pending/);
  await lab.ends('lab fault clear');
  assert.match(await lab.ends(`${lab.state} run brigade-lab/migrations/logs-archive.yml --progress none`), / 0 failed \+ 0 pending/);
  assert.match(await lab.ends(`${lab.state} run brigade-lab/exercises/awkward-keys.yml --progress none`), /33 listed = 33 copied/);
  const status = JSON.parse(await lab.ends('lab status -o json')) as { endpoints: { state: string }[]; faults: unknown[]; runs: { migration: string; state: string }[] };
  assert.deepEqual([status.endpoints.map(({ state }) => state), status.faults, status.runs.length], [['up', 'up'], [], 9]);
  assert.equal(JSON.stringify(status).includes(lab.process('source').token), false);
});

test('faults are switched while it runs: each end for itself, by bucket, for a time, by name', async () => {
  const lab = new LabBench();
  await lab.ends('lab up --scale 0.04');
  const plan = async (pair: string) => lab.run(`${lab.state} plan brigade-lab/migrations/${pair}.yml --progress none`);
  assert.equal((await plan('app-data')).exit, 0);
  await lab.ends('lab fault add expired-token --bucket app-data --at source');
  assert.match((await plan('app-data')).err, /ExpiredToken/);
  assert.equal((await plan('ml-models')).exit, 0, 'another bucket');
  await lab.ends('lab fault add expired-token --name brief --bucket ml-models --at source --for 6s');
  assert.notEqual((await plan('ml-models')).exit, 0);
  await until('the brief one is over', async () => !/brief/.test(await lab.ends('lab fault list')));
  assert.equal((await plan('ml-models')).exit, 0);
  assert.match(await lab.ends('lab fault clear expired-token'), /expired-token at the source: over, after [1-9]\d* hit/);
  assert.equal((await plan('app-data')).exit, 0);
  assert.match(await lab.ends('lab fault clear'), /no fault was in force/);
});

test('faults by chance, the same each time by seed and key, do not keep a run from its end', async () => {
  const lab = new LabBench();
  await lab.ends('lab up --scale 0.3');
  const lines = ['503-storm --probability 0.2', 'reset --probability 0.1 --seed 7', 'cut-body --probability 0.3 --amount 8', 'flip-write --probability 0.2 --operation PutObject', 'latency --amount 5', 'rate-limit --amount 400'];
  for (const line of lines) await lab.ends(`lab fault add ${line} --bucket user-uploads --prefix public/`);
  assert.match(await lab.ends('lab run --exercise none --progress none'), /0 of 4 failed/);
  const faults = JSON.parse(await lab.ends('lab fault list -o json')) as { name: string; at: string; hit: number }[];
  const hit = (name: string): number => faults.filter((fault) => fault.name === name).reduce((sum, fault) => sum + fault.hit, 0);
  for (const name of ['503-storm', 'reset', 'cut-body', 'flip-write', 'latency']) assert.ok(hit(name) > 0, name);
  await lab.ends('lab fault clear');
  for (const pair of PAIRS) assert.match(await lab.ends(`${lab.state} verify ${pair} --level full --progress none`), /0 differences/);
});

test('F015: what turns over on the way from the source is found by the pair that verifies in full', async () => {
  const lab = new LabBench();
  await lab.ends('lab up --scale 0.1');
  await lab.ends('lab fault add flip-read --bucket ml-models --at source --probability 0.5');
  assert.match(await lab.ends('lab run --exercise none --progress none', 3), /\[FAIL\] ml-models \(exit 3\)[^]*1 of 4 failed/);
});

test('two labs side by side know nothing of each other', async () => {
  const lab = new LabBench();
  await lab.ends('lab up --dir one --scale 0.04');
  await lab.ends('lab up --dir two --scale 0.04');
  assert.notEqual(lab.process('source', join(lab.cwd, 'one')).url, lab.process('source', join(lab.cwd, 'two')).url);
  await lab.ends('lab fault add 503-storm --dir one');
  assert.match(await lab.ends('lab fault list --dir two'), /no fault in force/);
  await lab.ends('lab run --exercise none --progress none --dir two');
  await lab.ends('lab down --dir one');
  assert.match(await lab.ends('lab status', 0, join(lab.cwd, 'two')), /source +up/, 'inside of its folder a lab needs no --dir');
  assert.match(await lab.ends('lab status --dir one'), /source +down/);
});

test('nothing listens but on this machine', async () => {
  const lab = new LabBench();
  await lab.ends('lab up --scale 0.01');
  const { url, direct, control } = lab.process('source');
  const here = '127.0.0.1';
  const outside = Object.values(networkInterfaces()).flat().find((one) => one?.family === 'IPv4' && !one.internal)?.address;
  for (const port of [Number(new URL(url).port), Number(new URL(direct).port), control]) {
    const reached = (host: string): Promise<boolean> => new Promise((resolve) => {
      const socket = connect({ port, host, timeout: host === here ? 60_000 : 1000 });
      const end = (ok: boolean) => () => { socket.destroy(); resolve(ok); };
      socket.once('connect', end(true)).once('error', end(false)).once('timeout', end(false));
    });
    assert.equal(await reached(here), true);
    if (outside !== undefined) assert.equal(await reached(outside), false, `${outside}:${port}`);
  }
});

test('by its bin, in a folder with spaces and quotes, the lines to paste work in a shell', () => {
  const lab = new LabBench();
  const cwd = join(lab.cwd, "a person's folder");
  mkdirSync(cwd);
  const bin = join(import.meta.dirname, '../../bin/brigade.cjs');
  const shell = (line: string): { status: number | null; stdout: string; stderr: string } => spawnSync('sh', ['-c', `brigade() { "${process.execPath}" "${bin}" "$@"; }\n${line}`], { cwd, encoding: 'utf8' });
  try {
    assert.equal(shell("brigade lab up --scale 0.04 --dir 'my lab'").status, 0);
    const ran = shell("brigade lab run --progress none --dir 'my lab'");
    assert.equal(ran.status, 1, ran.stderr);
    const lines = ran.stdout.split('\n').flatMap((line) => /^(?:look|repair|go on|verify|) +(brigade .*)$/.exec(line)?.[1] ?? []);
    assert.equal(lines.length, 9);
    for (const line of lines) assert.equal(shell(line).status, 0, line);
  } finally {
    assert.equal(shell("brigade lab reset --dir 'my lab'").status, 0);
  }
});
