/** What is left of labs that were not ended as they should: stale files, killed and frozen processes, taken ports, half-made folders. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { isAlive, LabBench, until } from './lab-bench.ts';

const TINY = '--scale 0.01';

test('up twice says that it is up, and starts nothing', async () => {
  const lab = new LabBench();
  await lab.ends(`lab up ${TINY}`);
  const before = [lab.process('source'), lab.process('destination')];
  assert.match(await lab.ends('lab up'), /is up already/);
  assert.deepEqual([lab.process('source'), lab.process('destination')], before);
});

test('two ups at once make one lab', async () => {
  const lab = new LabBench();
  const both = await Promise.all([lab.run(`lab up ${TINY}`), lab.run(`lab up ${TINY}`)]);
  const exits = both.map(({ exit }) => exit).sort((a, b) => a - b);
  assert.deepEqual(exits, [0, 2], both.map(({ err }) => err).join(''));
  assert.match(both.find(({ exit }) => exit === 2)?.err ?? '', /^brigade: .*another brigade lab command is at work here.*\[E_LAB_BUSY\]\n$/);
  assert.match(await lab.ends('lab status'), /source +up[^]*destination +up/);
});

test('a killed endpoint is seen as down, refused with one line, and started again alone; its port and the edited files stay', async () => {
  const lab = new LabBench();
  await lab.ends(`lab up ${TINY}`);
  const [source, destination] = [lab.process('source'), lab.process('destination')];
  const file = join(lab.dir, 'migrations', 'app-data.yml');
  writeFileSync(file, readFileSync(file, 'utf8').replace('verify: checksum', 'verify: full'));
  process.kill(source.pid, 'SIGKILL');
  await until('it is gone', () => !isAlive(source.pid));
  assert.match(await lab.ends('lab status'), /source +down[^]*destination +up/);
  const refused = await lab.run('lab run');
  assert.deepEqual([refused.exit, refused.out], [2, '']);
  assert.match(refused.err, /^brigade: .*the source endpoint is not running; start it with brigade lab up \[E_LAB_DOWN\]\n$/);
  await lab.ends('lab up');
  assert.deepEqual([lab.process('destination').pid, lab.process('source').url], [destination.pid, source.url]);
  assert.match(readFileSync(file, 'utf8'), /verify: full/);
  await lab.ends('lab run --exercise none --progress none');
});

test('a stale file that names the pid of a stranger: the stranger lives on', async () => {
  const lab = new LabBench();
  await lab.ends(`lab up ${TINY}`);
  const source = lab.process('source');
  process.kill(source.pid, 'SIGKILL');
  await until('it is gone', () => !isAlive(source.pid));
  writeFileSync(join(lab.dir, 'processes', 'source.json'), JSON.stringify({ ...source, pid: process.pid }));
  assert.match(await lab.ends('lab status'), /source +down/);
  await lab.ends('lab down');
  await lab.ends('lab up');
  assert.notEqual(lab.process('source').pid, process.pid);
});

test('files of processes that hold nonsense are as none, and whom they named before ends by itself', async () => {
  const lab = new LabBench();
  await lab.ends(`lab up ${TINY}`);
  const { pid } = lab.process('source');
  for (const nonsense of ['', '{', '[]', 'null', '{"pid":"1"}', '\0\0']) {
    writeFileSync(join(lab.dir, 'processes', 'source.json'), nonsense);
    assert.match(await lab.ends('lab status'), /source +down/, JSON.stringify(nonsense));
  }
  await until('it is gone', () => !isAlive(pid));
  await lab.ends('lab up');
});

test('a frozen endpoint does not answer, and up puts another in its place', { skip: process.platform === 'linux' ? false : 'told from strangers by /proc' }, async () => {
  const lab = new LabBench();
  await lab.ends(`lab up ${TINY}`);
  const { pid } = lab.process('destination');
  process.kill(pid, 'SIGSTOP');
  assert.match(await lab.ends('lab status'), /destination +does not answer/);
  await lab.ends('lab up');
  assert.equal(isAlive(pid), false);
  assert.match(await lab.ends('lab status'), /destination +up/);
});

test('a port that another program has taken: another one is found, and the migration files are told', async () => {
  const lab = new LabBench();
  await lab.ends(`lab up ${TINY}`);
  const { url } = lab.process('source');
  const file = join(lab.dir, 'migrations', 'user-uploads.yml');
  writeFileSync(file, `${readFileSync(file, 'utf8')}# my own words\n`);
  await lab.ends('lab down');
  const other: Server = createServer();
  await new Promise<void>((resolve) => { other.listen(Number(new URL(url).port), '127.0.0.1', resolve); });
  try {
    const said = await lab.ends('lab up');
    const now = lab.process('source').url;
    assert.notEqual(now, url);
    assert.ok(said.includes(`the source was at ${url}, which another program has now`));
    const text = readFileSync(file, 'utf8');
    assert.deepEqual([text.includes(now), text.includes(url), text.endsWith('# my own words\n')], [true, false, true]);
    await lab.ends('lab run --exercise none --progress none');
  } finally {
    other.close();
  }
});

test('a folder that no lab made is not touched, by up or by reset', async () => {
  const lab = new LabBench();
  mkdirSync(lab.dir);
  writeFileSync(join(lab.dir, 'precious'), 'mine');
  for (const line of ['lab up', 'lab reset', 'lab down', 'lab run', 'lab fault list', 'lab status']) {
    const { exit, out, err } = await lab.run(line);
    assert.deepEqual([exit, out, /^brigade: .*(no lab made|there is no lab here).*\[E_LAB\]\n$/.test(err)], [2, '', true], `${line}: ${err}`);
  }
  for (const mark of ['{"madeBy":"somebody else"}', 'null', '{', '{"madeBy":"brigade lab"}', '']) {
    writeFileSync(join(lab.dir, 'lab.json'), mark);
    assert.equal((await lab.run('lab reset')).exit, 2, mark);
  }
  assert.equal(readFileSync(join(lab.dir, 'precious'), 'utf8'), 'mine');
});

test('reset leaves what else is in the folder, and what a link in it leads to', async () => {
  const lab = new LabBench();
  await lab.ends(`lab up ${TINY}`);
  const elsewhere = join(lab.cwd, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'precious'), 'mine');
  rmSync(join(lab.dir, 'reports'), { recursive: true });
  symlinkSync(elsewhere, join(lab.dir, 'reports'));
  writeFileSync(join(lab.dir, 'notes.txt'), 'mine too');
  assert.match(await lab.ends('lab reset'), /the folder stays for what no lab made: notes\.txt/);
  assert.deepEqual([existsSync(join(elsewhere, 'precious')), existsSync(join(lab.dir, 'notes.txt')), existsSync(join(lab.dir, 'keys'))], [true, true, false]);
});

test('endpoints whose folder was removed or moved away end by themselves', async () => {
  const lab = new LabBench();
  await lab.ends(`lab up ${TINY}`);
  const pids = [lab.process('source').pid, lab.process('destination').pid];
  renameSync(lab.dir, join(lab.cwd, 'away'));
  await until('both are gone', () => !pids.some(isAlive));
});

test('the control port takes orders only with the token of the folder, and only sensible ones', async () => {
  const lab = new LabBench();
  await lab.ends(`lab up ${TINY}`);
  const { control, token, pid } = lab.process('source');
  const ask = async (path: string, init: RequestInit = {}, bearer: string | undefined = token): Promise<number> =>
    (await fetch(`http://127.0.0.1:${control}${path}`, { ...init, headers: bearer === undefined ? {} : { authorization: `Bearer ${bearer}` } })).status;
  assert.deepEqual([await ask('/status'), await ask('/status', {}, 'wrong'), await ask('/stop', { method: 'POST' }, 'x'.repeat(token.length)), await ask('/status', {}, '')], [200, 401, 401, 401]);
  assert.equal((await fetch(`http://127.0.0.1:${control}/stop`, { method: 'POST' })).status, 401);
  const post = (body: string): Promise<number> => ask('/faults', { method: 'POST', body });
  assert.deepEqual([await post('{'), await post('{"name":"x","kind":"gremlins"}'), await post('x'.repeat(100_000)), await ask('/nothing'), await ask('/faults', { method: 'PUT' })], [400, 400, 400, 404, 404]);
  assert.ok(isAlive(pid));
  assert.match(await lab.ends('lab fault list'), /no fault in force/);
});
