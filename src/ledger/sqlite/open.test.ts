import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { errorLine } from '../../core/errors.ts';
import { Connection } from './connection.ts';
import { BINDING, copied, failed, folder, keyNumber, listing, open, plannedTasks } from './fixture.test.ts';
import { inspectLedger, ledgerExists } from './open.ts';
import { backupLedger } from './upkeep.ts';
import type { TestContext } from 'node:test';
import type { BrigadeError } from '../../core/errors.ts';

/** A closed ledger with 200 objects, half of them copied. */
async function filled(t: TestContext): Promise<string> {
  const path = join(folder(t), 'ledger.db');
  const ledger = await open(path);
  ledger.beginRun('initial');
  ledger.addPlan(1, { tasks: plannedTasks(0, 200, 20), shards: [], listing: listing(200) });
  for (const task of ledger.claim(1, 5, 'a')) await ledger.record(task.id, task.items.map((item) => copied(item.key)), true);
  await ledger.close();
  return path;
}

/** A ledger whose coordinator was killed: its WAL holds commits that the main file lacks, and no older ones behind them, as after a checkpoint. */
async function killed(t: TestContext): Promise<string> {
  const path = join(folder(t), 'ledger.db');
  const child = fork(new URL('./worker.test.ts', import.meta.url), ['churn', path, '500'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  t.after(() => child.kill('SIGKILL'));
  let heard = 0;
  child.on('message', () => { heard++; });
  while (heard < 40) await once(child, 'message');
  child.kill('SIGKILL');
  await once(child, 'exit');
  return path;
}

function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] as number) ^ 0x10;
  writeFileSync(path, bytes);
}

const line = (error: unknown): string => errorLine(error as BrigadeError);

test('F032: a ledger of another source, destination, migration or options is refused, naming what differs', async (t) => {
  const path = await filled(t);
  const say = async (change: Partial<typeof BINDING>) => { try { await (await open(path, { binding: { ...BINDING, ...change } })).close(); return 'opened'; } catch (error) { return line(error); } };
  assert.match(await say({ source: 's3://other' }), /ledger belongs to another source \(different: source\); use --new or --adopt \[E_LEDGER_OTHER\]/);
  assert.match(await say({ destination: '/x', specHash: 'b' }), /another destination \(different: destination, options\)/);
  assert.match(await say({ specHash: 'b' }), /another migration \(different: options\)/);
  assert.equal(await say({}), 'opened');
});

test('F032: --adopt binds the ledger to what is given and keeps its objects; --new sets it aside', async (t) => {
  const path = await filled(t);
  const moved = { ...BINDING, source: 's3://moved' };
  const adopted = await open(path, { binding: moved, adopt: true });
  assert.equal(adopted.tally(1).copied.objects, 100);
  await adopted.close();
  await assert.rejects(open(path), { code: 'E_LEDGER_OTHER', kind: 'usage' });
  const fresh = await open(path, { fresh: true });
  assert.deepEqual(fresh.runs(), []);
  await fresh.close();
  assert.equal(readdirSync(join(path, '..')).filter((name) => name.includes('.set-aside-')).length, 1);
});

test('F102: WAL with synchronous=FULL is set and read back, and the wait for locks is set before', (t) => {
  const connection = new Connection(join(folder(t), 'ledger.db'));
  t.after(() => connection.close());
  const pragma = (name: string) => Object.values(connection.db.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  assert.deepEqual(['journal_mode', 'synchronous', 'busy_timeout', 'trusted_schema'].map(pragma), ['wal', 2, 5000, 0]);
  if (process.platform === 'darwin') assert.equal(pragma('fullfsync'), 1);
});

test('F103: a state folder on a network file system is refused, a local one is not', { skip: process.platform !== 'linux' }, async (t) => {
  const path = join(folder(t), 'ledger.db');
  for (const type of [0x6969, 0xff534d42, 0xfe534d42, 0x65735546, -11317950 /* CIFS as a signed number */]) {
    await assert.rejects(open(path, { statfs: () => ({ type }) }), { code: 'E_DB_ON_NETWORK_FS', kind: 'usage' });
  }
  assert.equal(ledgerExists(path), false);
  for (const type of [0xef53, 0x58465342, 0x01021994, 0x9123683e]) await (await open(path, { statfs: () => ({ type }) })).close();
});

test('F104: a byte flipped anywhere in the database is found at start, or when its block is read, or changes no item and no sum', async (t) => {
  const path = join(folder(t), 'ledger.db');
  const dense = await open(path);
  dense.beginRun('initial');
  const items = plannedTasks(0, 3000, 3000).flatMap((task) => task.items).map((item) => ({ ...item, source: { token: createHash('md5').update(item.key).digest('hex') } }));
  dense.addPlan(1, { tasks: [{ items: items.slice(0, 1500), problems: new Map() }, { items: items.slice(1500), problems: new Map() }], shards: [], listing: listing(3000) });
  for (const task of dense.claim(1, 1, 'a')) await dense.record(task.id, task.items.map((item, i) => (i % 9 === 0 ? failed(item.key) : copied(item.key))), true);
  await dense.close();
  const whole = readFileSync(path);
  const expected = await contents(path);
  let found = 0;
  for (let at = 0; at < whole.length; at += 997) {
    writeFileSync(path, whole);
    flip(path, at);
    try {
      assert.deepEqual(await contents(path), expected, `byte ${at}`);
    } catch (error) {
      assert.ok(['E_LEDGER_CORRUPT', 'E_LEDGER_NEWER', 'E_NOT_A_LEDGER', 'E_LEDGER_WAL'].includes((error as BrigadeError).code), `byte ${at}: ${line(error)}`);
      found++;
    }
    for (const suffix of ['-wal', '-shm']) rmSync(path + suffix, { force: true });
  }
  assert.ok(found > 40, `${found} of ${Math.ceil(whole.length / 997)}`);
});

/** Every item and sum, as it would be believed. Words of messages and times are not protected. */
async function contents(path: string): Promise<unknown> {
  const ledger = await open(path, { mode: 'resume' });
  try {
    return [ledger.tally(1), [...ledger.items(1)], [...ledger.objects(1, { states: ['failed'] })].map((row) => row.key)];
  } finally {
    await ledger.close();
  }
}

test('F104: a truncated file and one that is no database are damaged, exit 70, with the fix; --new --adopt starts over beside it', async (t) => {
  const path = await filled(t);
  truncateSync(path, 5000);
  await assert.rejects(open(path), { code: 'E_LEDGER_CORRUPT', kind: 'internal' });
  writeFileSync(path, 'not a database, whatever its name says'.repeat(1000));
  await assert.rejects(open(path), (error) => /damaged: .*; run --new --adopt/.test(line(error)) && (error as BrigadeError).kind === 'internal');
  await assert.rejects(open(path, { adopt: true }), { code: 'E_LEDGER_CORRUPT' });
  const fresh = await open(path, { adopt: true, fresh: true });
  assert.deepEqual(fresh.runs(), []);
  await fresh.close();
});

test('F104: a byte flipped in the WAL is found when committed work lies behind it', async (t) => {
  const path = await killed(t);
  const wal = readFileSync(`${path}-wal`);
  const main = readFileSync(path);
  const outcomes = new Set<string>();
  for (const at of [0, 8, 16, 20, 28, 32, 40, 60, 2000, 5000, wal.length >> 1]) {
    writeFileSync(path, main);
    writeFileSync(`${path}-wal`, wal);
    rmSync(`${path}-shm`, { force: true });
    flip(`${path}-wal`, at);
    await assert.rejects(open(path), (error) => outcomes.add((error as BrigadeError).code).size > 0, `byte ${at}`);
  }
  assert.deepEqual([...outcomes].toSorted((a, b) => a.length - b.length), ['E_LEDGER_WAL', 'E_LEDGER_CORRUPT']);
  writeFileSync(path, main);
  writeFileSync(`${path}-wal`, wal);
  rmSync(`${path}-shm`, { force: true });
  await (await open(path)).close();
});

test('F104: a WAL torn in its last transaction opens at the one before, with everything open in doubt', async (t) => {
  const path = await killed(t);
  const size = readFileSync(`${path}-wal`).length;
  flip(`${path}-wal`, size - 100);
  const ledger = await open(path, { mode: 'resume' });
  ledger.releaseTasks(1);
  const open1 = ledger.claim(1, 1000, 'me');
  assert.ok(open1.length > 0 && open1.every((task) => task.inDoubt));
  await ledger.close();
});

test('F104: a full disk rejects what waits as a premise, and the ledger goes on when there is room', async (t) => {
  const path = await filled(t);
  const full = await open(path, { maxPages: 60 });
  full.beginRun('delta');
  let planned = 0;
  assert.throws(() => { for (;;) { full.addPlan(2, { tasks: plannedTasks(planned, 500, 500), shards: [], listing: listing(planned + 500) }); planned += 500; } }, { code: 'E_DISK_FULL', kind: 'premise' });
  assert.equal(full.tally(2).listed.objects, planned);
  const random = (key: string) => ({ ...copied(key), destination: createHash('md5').update(key).digest('hex') });
  const records = full.claim(2, 99, 'a').map((task) => full.record(task.id, task.items.map((item) => random(item.key)), false));
  const results = await Promise.allSettled(records);
  assert.ok(results.length > 0 && results.every((result) => result.status === 'rejected' && (result.reason as BrigadeError).code === 'E_DISK_FULL'), JSON.stringify(results));
  assert.equal(full.tally(2).copied.objects, 0);
  await full.close();
  const roomy = await open(path);
  roomy.addPlan(2, { tasks: plannedTasks(planned, 500, 500), shards: [], listing: listing(planned + 500) });
  assert.equal(roomy.tally(2).listed.objects, planned + 500);
  roomy.releaseTasks(2);
  for (const task of roomy.claim(2, 99, 'a')) await roomy.record(task.id, task.items.map((item) => random(item.key)), true);
  assert.equal(roomy.tally(2).copied.objects, planned + 500);
  await roomy.close();
});

test('F104: a ledger that may not be written is a premise, not damage', { skip: process.getuid?.() === 0 ? 'root may write everything' : false }, async (t) => {
  const path = await filled(t);
  chmodSync(path, 0o444);
  await assert.rejects(open(path), { kind: 'premise' });
});

test('F104: a state folder that cannot be is a premise too', async (t) => {
  const dir = folder(t);
  writeFileSync(join(dir, 'file'), '');
  await assert.rejects(open(join(dir, 'file', 'ledger.db')), { code: 'E_LEDGER_OPEN', kind: 'premise' });
  mkdirSync(join(dir, 'ledger.db'));
  await assert.rejects(open(join(dir, 'ledger.db')), { code: 'E_LEDGER_OPEN', kind: 'premise' });
});

test('F105: the database of a killed run without its -wal opens with everything open in doubt', async (t) => {
  const path = await killed(t);
  const copy = join(folder(t), 'copy.db');
  const reference = await open(path);
  await reference.flush(); // while open, copy the main file alone, as a careless person would
  copyFileSync(path, copy);
  await reference.close();
  const ledger = await open(copy);
  ledger.releaseTasks(1);
  assert.ok(ledger.claim(1, 1000, 'me').every((task) => task.inDoubt));
  await ledger.close();
});

test('F105: a -wal of another ledger is refused, beside a closed and beside a killed one; its own is taken', async (t) => {
  const [closed, one, other] = [await filled(t), await killed(t), await killed(t)];
  copyFileSync(`${other}-wal`, `${closed}-wal`);
  await assert.rejects(open(closed), { code: 'E_LEDGER_WAL', kind: 'usage' });
  const own = `${one}-wal.own`;
  renameSync(`${one}-wal`, own);
  rmSync(`${one}-shm`, { force: true });
  copyFileSync(`${other}-wal`, `${one}-wal`);
  await assert.rejects(open(one), { code: 'E_LEDGER_WAL' });
  copyFileSync(own, `${one}-wal`);
  await (await open(one)).close();
});

test('F105: backup copies a live ledger whole; a -wal of the origin beside the copy is refused', async (t) => {
  const dir = folder(t);
  const path = join(dir, 'ledger.db');
  const live = await open(path);
  live.beginRun('initial');
  live.addPlan(1, { tasks: plannedTasks(0, 50, 10), shards: [], listing: listing(50) });
  const copy = join(dir, 'copy.db');
  await backupLedger(path, copy);
  await assert.rejects(backupLedger(path, copy), { code: 'E_EXISTS' });
  live.claim(1, 1, 'a');
  copyFileSync(`${path}-wal`, `${copy}-wal`);
  await assert.rejects(open(copy), { code: 'E_LEDGER_WAL' });
  rmSync(`${copy}-wal`);
  await live.close();
  const restored = await open(copy);
  assert.equal([...restored.items(1)].length, 50);
  await restored.close();
});

test('a ledger of a newer schema and another program\'s database are refused in one line', async (t) => {
  const path = await filled(t);
  const change = (sql: string) => { const db = new DatabaseSync(path); db.exec(sql); db.close(); };
  change('PRAGMA user_version = 99');
  await assert.rejects(open(path), { code: 'E_LEDGER_NEWER', kind: 'usage' });
  assert.throws(() => inspectLedger(path), { code: 'E_LEDGER_NEWER' });
  change('PRAGMA user_version = 1; PRAGMA application_id = 7');
  await assert.rejects(open(path), { code: 'E_NOT_A_LEDGER', kind: 'usage' });
});

test('a ledger of the first schema is read as it is, and counts the evidence that came later once it is opened', async (t) => {
  const path = await filled(t);
  const db = new DatabaseSync(path);
  for (const table of ['tasks', 'tallies']) db.exec(`ALTER TABLE ${table} DROP COLUMN evidence4`);
  for (const index of ['tasks_small', 'tasks_large']) db.exec(`DROP INDEX ${index}`);
  db.exec('DROP TABLE shards; DROP TABLE journal_segments; DROP TABLE journal_reports; PRAGMA user_version = 1');
  db.close();
  const evidence = { none: 0, 'in flight': 100, 'store checksum': 0, 'destination re-read': 0, 'both ends re-read': 0 };
  const view = inspectLedger(path);
  assert.deepEqual(view.tally(1).evidence, evidence);
  await view.close();
  const ledger = await open(path);
  const [item] = ledger.items(1);
  assert.ok(item !== undefined);
  assert.deepEqual(ledger.shards(1).map(({ after, upTo, items, lastKey }) => [after, upTo, items, lastKey]), [[undefined, undefined, 200, keyNumber(199)]], 'one shard');
  ledger.amend(1, [{ item: { ...item, evidence: 'destination re-read' } }]);
  assert.deepEqual(ledger.tally(1).evidence, { ...evidence, 'in flight': 99, 'destination re-read': 1 });
  await ledger.close();
  const again = await open(path);
  assert.equal(again.item(1, item.key)?.evidence, 'destination re-read');
  await again.close();
});

test('resume and inspect need a ledger; nothing is made by asking', async (t) => {
  const path = join(folder(t), 'deep', 'ledger.db');
  await assert.rejects(open(path, { mode: 'resume' }), { code: 'E_NO_LEDGER' });
  assert.throws(() => inspectLedger(path), { code: 'E_NO_LEDGER' });
  assert.equal(existsSync(join(path, '..')), false);
});

test('inspect reads a ledger of a coordinator at work without disturbing it, closed or killed ones too', async (t) => {
  const path = await filled(t);
  const live = await open(path);
  const view = inspectLedger(path);
  assert.deepEqual([view.tally(1).copied.objects, view.binding, view.item(1, keyNumber(3))?.state], [100, BINDING, 'copied']);
  for (const task of live.claim(1, 5, 'b')) await live.record(task.id, task.items.map((item) => copied(item.key)), true);
  assert.equal(view.tally(1).copied.objects, 200);
  await live.close();
  await view.close();
  const after = inspectLedger(await killed(t));
  assert.ok(after.tally(1).listed.objects > 0);
  await after.close();
});
