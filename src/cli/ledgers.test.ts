/** `ledger rebuild` and `ledger check`: real journals in directories, real ledgers. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspectLedger, openLedger } from '../ledger/sqlite/index.ts';
import { systemClock } from '../telemetry/clock.ts';
import { brigade, tempFolder } from './fixture.test.ts';
import { BINDING, copied, item, task, writeJournal } from './journal.test-kit.ts';

type Folder = ReturnType<typeof tempFolder>;

function journalIn(folder: Folder): string {
  const root = join(folder.path, 'journals');
  mkdirSync(root, { recursive: true });
  return root;
}

const ledgerIn = (folder: Folder): string => join(folder.path, '.brigade/photos/ledger.db');
const open = (folder: Folder) => openLedger({ path: ledgerIn(folder), binding: BINDING, clock: systemClock(), mode: 'resume', holder: { pid: process.pid, host: hostname() } });

test('a ledger that is lost is made anew from its journal, and says what the journal says', async () => {
  using folder = tempFolder();
  const written = await writeJournal(journalIn(folder), 3);
  const made = await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals']);
  assert.equal(made.exit, 0, made.err);
  assert.match(made.out, /^photos@1: active, 10 listed = 3 copied \+ 0 unchanged \+ 0 skipped \+ 3 failed \+ 4 pending\n.*made \S+ledger\.db from 1 segment and 3 reports\n$/);
  const checked = await brigade(folder.path, ['ledger', 'check', 'photos', '--journal', 'journals']);
  assert.equal(checked.exit, 0, checked.err);
  assert.equal(checked.out, 'photos: the ledger says what its journal says; read 1 segment and 3 reports\n');
  const objects = await brigade(folder.path, ['objects', 'photos', '--state', 'failed', '-o', 'ndjson']);
  assert.equal(objects.out.split('\n').length - 1, 3);
  assert.deepEqual(readdirSync(join(folder.path, '.brigade/photos')).filter((name) => name.includes('rebuilding')), []);
  await written.close();
});

test('a ledger that is behind, or says something else, is told object by object: exit 3', async () => {
  using folder = tempFolder();
  const written = await writeJournal(journalIn(folder), 3);
  await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals']);
  await written.journal.report(task(3), { worker: 'w', outcomes: [copied(6), copied(7)], close: true, parts: [] });
  const ledger = await open(folder);
  ledger.amend(1, [{ item: { ...item(0), state: 'copied', destination: 'other', evidence: 'in flight' } }]);
  await ledger.close();
  const checked = await brigade(folder.path, ['ledger', 'check', 'photos', '--journal', 'journals']);
  assert.equal(checked.exit, 3, checked.err);
  for (const at of ['dir/00000', 'dir/00006', 'dir/00007']) assert.match(checked.out, new RegExp(`"${at}": the ledger says`));
  assert.match(checked.out, /photos: \d differences; if no coordinator brings it up, brigade ledger rebuild photos --force --journal journals; read 1 segment and 4 reports\n$/);
  const json = await brigade(folder.path, ['ledger', 'check', 'photos', '--journal', 'journals', '-o', 'json', '--limit', '1']);
  const { count, differences, segments, reports, coordinated } = JSON.parse(json.out) as { count: number; differences: unknown[]; segments: number; reports: number; coordinated: boolean };
  assert.deepEqual([json.exit, count > 1, differences.length, segments, reports, coordinated], [3, true, 1, 1, 4, false]);
  const rows = await brigade(folder.path, ['ledger', 'check', 'photos', '--journal', 'journals', '-o', 'ndjson']);
  assert.equal(rows.out.trimEnd().split('\n').length, count);
  await written.close();
});

test('a ledger of a fleet is not pruned: its journal would say otherwise', async () => {
  using folder = tempFolder();
  const written = await writeJournal(journalIn(folder), 3);
  await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals']);
  const pruned = await brigade(folder.path, ['ledger', 'prune', 'photos', '--keep', '1']);
  assert.equal(pruned.exit, 2);
  assert.match(pruned.err, /index of a journal.*\[E_LEDGER_FLEET\]\n$/);
  await written.close();
});

test('a ledger that is there stays, unless it is set aside by force; then it is kept', async () => {
  using folder = tempFolder();
  const written = await writeJournal(journalIn(folder), 3);
  await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals']);
  const before = readFileSync(ledgerIn(folder));
  const refused = await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals']);
  assert.equal(refused.exit, 2);
  assert.match(refused.err, /^brigade: .*there is a ledger already.*\[E_LEDGER_EXISTS\]\n$/);
  const forced = await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals', '--force', '-o', 'json']);
  assert.equal(forced.exit, 0, forced.err);
  const { setAside, ledger, segments, damages, runs } = JSON.parse(forced.out) as { setAside: string; ledger: string; segments: number; damages: unknown[]; runs: { identity: string }[] };
  assert.deepEqual(readFileSync(setAside), before);
  assert.deepEqual([ledger, segments, damages, runs.length], [ledgerIn(folder), 1, [], 1]);
  await written.close();
});

test('F106: a ledger that a coordinator holds is not replaced', async () => {
  using folder = tempFolder();
  const written = await writeJournal(journalIn(folder), 1);
  await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals']);
  const held = await open(folder);
  const refused = await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals', '--force']);
  assert.equal(refused.exit, 2);
  assert.match(refused.err, /\[E_LOCKED_RUN\]/);
  const checked = await brigade(folder.path, ['ledger', 'check', 'photos', '--journal', 'journals']);
  assert.match(checked.out, /a coordinator is at work/);
  await held.close();
  await written.close();
});

test('a damaged report is told, its task is in doubt; a damaged plan leaves everything as it was', async () => {
  using folder = tempFolder();
  const root = journalIn(folder);
  const written = await writeJournal(root, 2);
  await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals']);
  const [report] = readdirSync(join(root, 'photos/reports'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('-000'));
  const file = join(root, 'photos/reports', report ?? '');
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.subarray(0, bytes.length - 4));
  const checked = await brigade(folder.path, ['ledger', 'check', 'photos', '--journal', 'journals']);
  assert.equal(checked.exit, 3);
  assert.match(checked.out, /torn {2}reports\/.*its task is in doubt/);
  const forced = await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals', '--force']);
  assert.match(forced.out, /torn {2}reports\/[^\n]*\n.*\n.*1 damaged: their tasks are in doubt/);
  const plan = join(root, 'photos/plan/00000001/0000000000');
  writeFileSync(plan, readFileSync(plan).subarray(0, 20));
  const before = readFileSync(ledgerIn(folder));
  const refused = await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals', '--force']);
  assert.equal(refused.exit, 5);
  assert.match(refused.err, /\[E_JOURNAL_DAMAGED\]/);
  assert.deepEqual(readFileSync(ledgerIn(folder)), before);
  await written.close();
});

test('what was pruned, as earlier releases did it, is no difference', async () => {
  using folder = tempFolder();
  const written = await writeJournal(journalIn(folder), 5);
  await written.pen.append([{ type: 'change', run: 1, atMs: 1, change: { state: 'finished', stage: 'done' } }, { type: 'run', number: 2, kind: 'delta', startedMs: 2 }, { type: 'change', run: 2, atMs: 3, change: { state: 'finished', stage: 'done' } }]);
  await brigade(folder.path, ['ledger', 'rebuild', 'photos', '--journal', 'journals']);
  const ledger = await open(folder);
  assert.deepEqual(ledger.prune(1), [1]);
  await ledger.close();
  const checked = await brigade(folder.path, ['ledger', 'check', 'photos', '--journal', 'journals']);
  assert.equal(checked.exit, 0, checked.out);
  const view = inspectLedger(ledgerIn(folder));
  assert.throws(() => view.items(1)[Symbol.iterator]().next(), { code: 'E_RUN_PRUNED' });
  await view.close();
  await written.close();
});

test('what is missing or misspelt is one line', async () => {
  using folder = tempFolder();
  const written = await writeJournal(journalIn(folder), 1);
  const lines: readonly (readonly [string[], number, RegExp])[] = [
    [['rebuild', 'photos'], 2, /--journal: is missing; write --journal .*\[E_USAGE\]/],
    [['rebuild', 'fotos', '--journal', 'journals'], 2, /there is no journal of "fotos" here.*\[E_NO_JOURNAL\]/],
    [['rebuild', 'photos', '--journal', 'nowhere'], 5, /the directory of the journal is not there.*\[E_NO_ROOT\]/],
    [['check', 'photos', '--journal', 'journals'], 2, /there is no run of "photos".*\[E_NO_LEDGER\]/],
    [['rebuild', '../photos', '--journal', 'journals'], 2, /does not name a run/],
  ];
  for (const [args, exit, line] of lines) {
    const ran = await brigade(folder.path, ['ledger', ...args]);
    assert.equal(ran.exit, exit, ran.err);
    assert.match(ran.err, line);
    assert.match(ran.err, /^brigade: [^\n]+\n$/);
  }
  assert.ok(!existsSync(ledgerIn(folder)));
  await written.close();
});
