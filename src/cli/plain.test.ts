/** What an operator sees of plain messages: their report, their dead letters, and what is said of options that do not fit. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openQueue } from '../app/fleet/queue.ts';
import { sealFailures } from '../fleet/failure-letter.ts';
import { messageCodec } from '../fleet/messages.ts';
import { FLEET_CHECKS, type FleetBodies } from '../fleet/task-message.ts';
import { Secret } from '../core/secret.ts';
import { systemClock } from '../telemetry/clock.ts';
import { seededRandom } from '../telemetry/random.ts';
import { brigade, tempFolder } from './fixture.test.ts';
import { copied, failed, key, KEY, writeJournal } from './journal.test-kit.ts';

const ENV = { BRIGADE_MESSAGE_KEY: KEY };
const PLAIN = (task: number) => ({ epoch: 0, seq: 12, task });
const REPORT = ['report', 'photos', '--plain', '--journal', 'journals'];

/** Two messages beside the tasks of a coordinator: one is done, in two reports, the other one is in work. */
async function ground(folder: ReturnType<typeof tempFolder>) {
  mkdirSync(join(folder.path, 'journals'));
  const { journal, close } = await writeJournal(join(folder.path, 'journals'), 1);
  const gone = { ...failed(7), problem: { code: 'E_SOURCE_GONE', kind: 'object' as const, message: 'there is no such object at the source' } };
  await journal.report(PLAIN(1), { worker: 'w', message: 'm1', outcomes: [gone], close: false, parts: [] });
  await journal.report(PLAIN(1), { worker: 'w', message: 'm1', outcomes: [copied(5), copied(6)], close: true, parts: [] });
  await journal.report(PLAIN(2), { worker: 'w', message: 'm2', outcomes: [{ ...copied(5), state: 'unchanged', bytesSent: 0 }], close: false, parts: [] });
  return { journal, close };
}

test('the report of plain messages says what became of each key, in every form; no ledger counts any of it', async () => {
  using folder = tempFolder();
  const { close } = await ground(folder);
  await close();
  const text = await brigade(folder.path, REPORT);
  assert.equal(text.exit, 0, text.err);
  assert.match(text.out, /^photos: 2 plain messages, 1 of them not done\n4 asked for = 2 copied \+ 1 unchanged \+ 0 skipped \+ 1 failed \+ 0 pending; 11 B sent\nfailed E_SOURCE_GONE: 1 object\n {2}"dir\/00007": there is no such object at the source \(message m1\)\n$/);
  const json = JSON.parse((await brigade(folder.path, [...REPORT, '-o', 'json'])).out) as Record<string, unknown>;
  assert.deepEqual({ ...json, reasons: undefined }, { v: 1, migration: 'photos', messages: 2, open: 1, asked: 4, bytesSent: 11, damaged: 0, copied: 2, unchanged: 1, skipped: 0, failed: 1, pending: 0, reasons: undefined });
  const rows = (await brigade(folder.path, [...REPORT, '-o', 'ndjson'])).out.trim().split('\n').map((line) => JSON.parse(line) as { readonly message: string; readonly key: string; readonly done: boolean });
  assert.deepEqual(rows.map(({ message, key: name, done }) => [message, name, done]), [['m1', key(7), true], ['m1', key(5), true], ['m1', key(6), true], ['m2', key(5), false]]);
  const written = await brigade(folder.path, [...REPORT, '-o', 'csv', '--output', 'plain.csv']);
  assert.equal(written.exit, 0, written.err);
  const lines = readFileSync(join(folder.path, 'plain.csv'), 'utf8').trim().split('\r\n');
  assert.equal(lines.length, 5);
  assert.match(lines[1] ?? '', /^m1,dir\/00007,,failed,E_SOURCE_GONE,/);

  const rebuilt = await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals']);
  assert.equal(rebuilt.exit, 0, rebuilt.err);
  assert.doesNotMatch(rebuilt.out + rebuilt.err, /strange|nobody planned/);
  assert.equal((await brigade(folder.path, ['ledger', 'check', 'photos', '--journal', 'journals'])).exit, 0);
});

test('a report that was damaged is told, and what the others say stands', async () => {
  using folder = tempFolder();
  const { close } = await ground(folder);
  await close();
  const at = join(folder.path, 'journals', 'photos', 'plain');
  const [name = ''] = (readdirSync(at, { recursive: true }) as string[]).filter((one) => one.endsWith('-000')).sort((a, b) => (a < b ? -1 : 1));
  writeFileSync(join(at, name), readFileSync(join(at, name)).subarray(0, 40));
  const { out } = await brigade(folder.path, REPORT);
  assert.match(out, /3 asked for = 2 copied \+ 1 unchanged/);
  assert.match(out, /1 report cannot be believed/);
});

test('dead letters of plain messages say so: what was put aside goes back with --redrive, what failed is its producer’s to send again', async () => {
  using folder = tempFolder();
  const { journal, close } = await ground(folder);
  const queue = await openQueue('memory:plain-dead', { env: {}, cwd: '/', clock: systemClock(), random: seededRandom(1) });
  await queue.send([{ id: 'm1', body: '{"source_bucket":"a","dest_bucket":"b","keys":["c"]}' }]);
  for (const delivery of await queue.receive(1, 0, new AbortController().signal)) await delivery.park('it may mean photos, films [E_PLAIN_AMBIGUOUS]');
  const codec = messageCodec<FleetBodies>({ current: new Secret(KEY) }, FLEET_CHECKS);
  const { problem = { code: 'E_INTERNAL', message: '' } } = failed(7);
  const letter = await sealFailures(codec, { name: PLAIN(1), spec: { id: 'photos', sha256: 'a'.repeat(64) }, run: 0, worker: 'w', atMs: 0, failed: [{ key: key(7), attempts: 5, problem }] }, 200_000, (document) => journal.keep(document));
  await queue.bury({ id: 'letter', body: letter }, 'one failed');
  const args = ['dead-letters', '--queue', 'memory:plain-dead', '--journal', 'journals'];
  const { out, exit, err } = await brigade(folder.path, args, { env: ENV });
  assert.equal(exit, 0, err);
  assert.match(out, /unopened {2}message .*\n.*parked: it may mean photos, films.*\n.*a plain message, which nobody sealed/);
  assert.match(out, /failed {4}photos plain message 0\/12\/1\n/);
  assert.match(out, /next: mend the cause, then let its producer send these keys again/);
  assert.doesNotMatch(out, /brigade retry/);
  const back = await brigade(folder.path, [...args, '--only', 'unopened', '--redrive'], { env: ENV });
  assert.match(back.out, /sent again/);
  const [again] = await queue.receive(1, 0, new AbortController().signal);
  assert.match(again?.body ?? '', /source_bucket/);
  await close();
});

test('options of plain messages that stand where they mean nothing are refused in one line', async () => {
  using folder = tempFolder();
  const file = folder.write('pair.yml', 'name: pair\nsource: from\ndestination: to\n');
  mkdirSync(join(folder.path, 'journals'));
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['run', file, '--accept-plain-messages'], /--accept-plain-messages: stands without --queue and --journal/],
    [['run', file, '--accept-plain-messages', '--queue', 'partitions:2', '--journal', 'journals'], /--accept-plain-messages: stands beside partitions/],
    [['worker', '--partition', '1/2', '--journal', 'journals', '--accept-plain-messages'], /--accept-plain-messages: stands beside --partition/],
    [['offer', file, '--journal', 'journals'], /source: .* is no bucket/],
    [['offer', file], /--journal: is missing/],
    [['report', 'pair', '--plain'], /--journal: is missing/],
    [['report', 'pair', '--journal', 'journals'], /--journal: stands without --plain/],
  ];
  for (const [args, line] of cases) {
    const { exit, err } = await brigade(folder.path, args, { env: ENV });
    assert.equal(exit, 2, `${args.join(' ')}: ${err}`);
    assert.match(err, line);
  }
  const withdrawn = await brigade(folder.path, ['offer', file, '--journal', 'journals', '--withdraw'], { env: ENV });
  assert.equal(withdrawn.exit, 0, withdrawn.err);
});
