/** Whole migrations from the command line, file system to file system. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadMigration } from '../config/index.ts';
import { EXAMPLE } from './commands/init.ts';
import { completionScript } from './completion.ts';
import { csvLine } from './csv.ts';
import { brigade, tempFolder } from './fixture.test.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const QUIET = ['--progress', 'none'];

/** A source of some files and a migration of it; copied in this process. */
function site(files: Readonly<Record<string, string>>, more = '') {
  const folder = tempFolder();
  for (const [name, text] of Object.entries(files)) folder.write(`from/${name}`, text);
  mkdirSync(join(folder.path, 'from'), { recursive: true });
  folder.write('pair.yml', `source: ./from\ndestination: ./to\nexecutors: 0\n${more}`);
  return folder;
}

interface ChildRun { readonly exit: number | null; readonly out: string; readonly err: string }

function start(cwd: string, args: readonly string[]): { child: ChildProcess; ended: Promise<ChildRun> } {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout?.on('data', (data: Buffer) => { out += data.toString(); });
  child.stderr?.on('data', (data: Buffer) => { err += data.toString(); });
  return { child, ended: new Promise((resolve) => { child.once('close', (exit) => resolve({ exit, out, err })); }) };
}

test('run, run again, look at it in every way', async () => {
  using folder = site({ a: '1', 'b/c': '22', 'b/=formula': '333' });
  const go = (...args: string[]) => brigade(folder.path, args);
  const first = await go('run', 'pair.yml', ...QUIET);
  assert.equal(first.exit, 0, first.err);
  assert.match(first.out, /^pair@1 {2}initial run finished/);
  assert.match(first.out, /account {5}3 listed = 3 copied \+ 0 unchanged \+ 0 skipped \+ 0 failed \+ 0 pending/);
  assert.match(first.out, /next\n {2}brigade verify pair@1\n$/);
  assert.equal(first.err, '');
  const second = JSON.parse((await go('run', 'pair.yml', ...QUIET, '-o', 'json')).out) as { exit: number; tally: { unchanged: { objects: number } }; notPromised: string[] };
  assert.deepEqual([second.exit, second.tally.unchanged.objects, second.notPromised.length], [0, 3, 5]);
  assert.equal((await go('verify', 'pair', '--level', 'full', ...QUIET)).exit, 0);
  assert.equal((JSON.parse((await go('runs', '-o', 'json')).out) as object[]).length, 2);
  assert.match((await go('status')).out, /pair@2 {2}delta run finished/);
  assert.match((await go('objects', 'pair@1', '--prefix', 'b/')).out, /copied {12}2 B {2}"b\/c"\n/);
  assert.equal((await go('objects', 'pair', '-o', 'json', '--limit', '2')).out.split('\n').length, 5);
  const csv = (await go('report', 'pair', '-o', 'csv')).out.split('\r\n');
  assert.match(csv[0] ?? '', /^key,kind,size,state,code,/);
  assert.equal(csv.length, 5);
  assert.equal((await go('report', 'pair', '-o', 'ndjson')).out.trimEnd().split('\n').map((line) => JSON.parse(line) as object).length, 3);
  assert.equal((await go('report', 'pair', '-o', 'json', '--output', 'report.json')).out, '');
  assert.equal((JSON.parse(readFileSync(join(folder.path, 'report.json'), 'utf8')) as { verify: { findings: number } }).verify.findings, 0);
  assert.equal((await go('ledger', 'backup', 'pair', 'copy.db')).exit, 0);
  assert.match((await go('ledger', 'prune', 'pair', '--keep', '1')).out, /dropped the objects of run 1/);
  assert.match((await go('status', 'pair@1')).out, /3 copied/);
});

test('F088: an object that failed makes exit 1, and retry mends just that', async () => {
  using folder = site({ one: '1', two: '22' });
  folder.write('to/two/in-the-way', 'x');
  const failed = await brigade(folder.path, ['run', 'pair.yml', ...QUIET]);
  assert.equal(failed.exit, 1);
  const again = await brigade(folder.path, ['retry', 'pair', ...QUIET]);
  assert.equal(again.exit, 1);
  rmSync(join(folder.path, 'to/two'), { recursive: true });
  assert.equal((await brigade(folder.path, ['retry', 'pair', '--class', 'throttled', ...QUIET])).out, 'pair@1: no failed object is like that; see brigade objects pair --state failed\n');
  const mended = await brigade(folder.path, ['retry', 'pair.yml', '--class', 'object', ...QUIET]);
  assert.equal(mended.exit, 0, mended.err);
  assert.match(mended.out, /2 listed = 2 copied/);
  assert.match(mended.err, /1 failed object is tried again/);
});

test('I1: retry never calls a directory that could not be listed done; the next run lists it', async () => {
  using folder = site({ 'locked/1': '1', 'locked/2': '2', 'open/x': 'x' });
  const locked = join(folder.path, 'from/locked');
  // Root reads everything: as root, another user runs it.
  const user = process.getuid?.() === 0 ? { uid: 65534 } : {};
  if (user.uid !== undefined) execFileSync('chown', ['-R', String(user.uid), folder.path]);
  chmodSync(locked, 0);
  const asReader = (...args: string[]): ChildRun => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args, ...QUIET], { cwd: folder.path, encoding: 'utf8', ...user });
    return { exit: status, out: stdout, err: stderr };
  };
  const first = asReader('run', 'pair.yml');
  assert.equal(first.exit, 1, first.err);
  assert.match(first.out, /next\n {2}brigade run \S*pair\.yml {3}\(lists again\)\n {2}brigade report/);
  chmodSync(locked, 0o755);
  const retried = asReader('retry', 'pair');
  assert.equal(retried.exit, 1, retried.out);
  assert.match(retried.err, /^pair@1: 1 stays failed, found by the listing and not by a copy; mend the cause, then list again: brigade run \S*pair\.yml\n$/);
  const again = asReader('run', 'pair.yml');
  assert.equal(again.exit, 0, again.out);
  assert.match(again.out, /3 listed = 2 copied \+ 1 unchanged/);
  assert.equal(readFileSync(join(folder.path, 'to/locked/2'), 'utf8'), '2');
});

test('I9: verify is not clean where the run was not: exit 1 though nothing differs, 3 where something does', async () => {
  using folder = site({ a: 'source version', c: 'c' }, 'on_conflict: fail\n');
  folder.write('to/a', 'FOREIGN');
  assert.equal((await brigade(folder.path, ['run', 'pair.yml', ...QUIET])).exit, 1);
  const verified = await brigade(folder.path, ['verify', 'pair', ...QUIET]);
  assert.equal(verified.exit, 1, verified.out);
  assert.match(verified.out, /0 differences\n(?:.*\n)*failed {6}1 object that the run failed at: not compared, not migrated; see brigade objects pair@1 --state failed\n/);
  folder.write('to/c', 'other');
  assert.equal((await brigade(folder.path, ['verify', 'pair', ...QUIET])).exit, 3);
});

test('I5: retry of a conflict is decided by the same rules: what others wrote stays, and what is gone meanwhile is copied', async () => {
  using folder = site({ a: 'source version', b: 'same size', c: 'c' }, 'on_conflict: fail\n');
  folder.write('to/a', 'FOREIGN precious data');
  folder.write('to/b', 'FOREIGN b');
  const read = (name: string): string => readFileSync(join(folder.path, 'to', name), 'utf8');
  const first = await brigade(folder.path, ['run', 'pair.yml', ...QUIET]);
  assert.match(first.out, /3 listed = 1 copied \+ 0 unchanged \+ 0 skipped \+ 2 failed/);
  folder.write('from/b', 'changed since'); // a source that moved on gives no right to overwrite either
  for (const name of ['retry', 'run', 'retry']) {
    const again = await brigade(folder.path, [name, name === 'run' ? 'pair.yml' : 'pair', ...QUIET]);
    assert.equal(again.exit, 1, again.out);
    assert.match(again.out, /E_CONFLICT: 2 objects/);
    assert.deepEqual([read('a'), read('b')], ['FOREIGN precious data', 'FOREIGN b']);
  }
  rmSync(join(folder.path, 'to/a'));
  folder.write('to/b', 'changed since');
  const mended = await brigade(folder.path, ['retry', 'pair', ...QUIET]);
  assert.match(mended.out, /E_CONFLICT: 1 object/);
  assert.deepEqual([read('a'), read('b')], ['source version', 'changed since']);
  rmSync(join(folder.path, 'to/b'));
  assert.equal((await brigade(folder.path, ['retry', 'pair', ...QUIET])).exit, 0);
});

test('F089: nothing to migrate is said; with --require-objects it is exit 1; a source that is not there is no empty one', async () => {
  using folder = site({});
  const nothing = await brigade(folder.path, ['run', 'pair.yml', ...QUIET]);
  assert.equal(nothing.exit, 0);
  assert.match(nothing.err, /there was no object to migrate at .* \[E_NO_OBJECTS\]\n$/);
  assert.equal((await brigade(folder.path, ['run', 'pair.yml', '--require-objects', ...QUIET])).exit, 1);
  rmSync(join(folder.path, 'from'), { recursive: true });
  const gone = await brigade(folder.path, ['run', 'pair.yml', ...QUIET]);
  assert.notEqual(gone.exit, 0);
  assert.match(gone.err, /^brigade: [^\n]+\n$/);
});

test('F090: every count shown is the ledger\'s: listed = the sum of its parts, as many rows as objects', async () => {
  using folder = site({ a: '1', b: '22', c: '333' });
  symlinkSync('/nowhere', join(folder.path, 'from/link'));
  folder.write('to/c/in-the-way', 'x');
  folder.write('to/extra', 'x');
  const { out, exit } = await brigade(folder.path, ['run', 'pair.yml', ...QUIET, '-o', 'json']);
  assert.equal(exit, 1);
  const { tally, byCode } = JSON.parse(out) as { tally: Record<string, { objects: number; bytes: number }>; byCode: { state: string; objects: number }[] };
  const of = (state: string) => tally[state]?.objects ?? NaN;
  assert.equal(of('listed'), of('copied') + of('unchanged') + of('skipped') + of('failed') + of('pending'));
  const rows = (await brigade(folder.path, ['report', 'pair', '-o', 'ndjson'])).out.trimEnd().split('\n').map((line) => (JSON.parse(line) as { state: string }).state);
  for (const state of ['copied', 'skipped', 'failed', 'extra']) assert.equal(rows.filter((row) => row === state).length, of(state), state);
  for (const state of ['skipped', 'failed']) assert.equal(byCode.filter((group) => group.state === state).reduce((sum, { objects }) => sum + objects, 0), of(state));
});

test('F091: the last lines say what failed, why, where, the fix, and what to type', async () => {
  const names = Array.from({ length: 12 }, (_, i) => `f${String(i).padStart(2, '0')}`);
  using folder = site(Object.fromEntries([...names.map((name) => [name, '1']), ['g\nh', '1']]));
  for (const name of names) folder.write(`to/${name}/in-the-way`, 'x');
  const { out } = await brigade(folder.path, ['--state', 'state here', 'run', 'pair.yml', ...QUIET]);
  const tail = out.slice(out.indexOf('\nfailed\n'));
  const expected = ['', 'failed', '  E_NAME_COLLISION: 12 objects, 12 B  a directory stands where the file must be', ...names.slice(0, 10).map((name) => `    "${name}"`), '  and 2 more', '',
    'next', '  brigade --state \'state here\' retry pair --class E_NAME_COLLISION', '  brigade --state \'state here\' report pair@1 -o csv --output pair.csv', '  brigade --state \'state here\' verify pair@1', ''];
  assert.deepEqual(tail.split('\n').filter((line) => !line.startsWith('    fix: ')), expected);
});

test('F118: no cell of a CSV can be a formula, and taking one apostrophe away gives the text back', () => {
  for (const cell of ['=1+1', '+1', '-1', '@x', '\tx', "'=1", "''"]) assert.equal(csvLine([cell]), `'${cell}\r\n`);
  assert.equal(csvLine(['a,"b"', 1, undefined, 'a=b']), '"a,""b""",1,,a=b\r\n');
});

test('several: each has its own line, a broken one touches no other, the worst exit code wins', async () => {
  using folder = tempFolder();
  for (const name of ['a', 'b']) {
    folder.write(`from-${name}/x`, name);
    folder.write(`pairs/${name}.yml`, `source: ../from-${name}\ndestination: ../to-${name}\nexecutors: 0\n`);
  }
  folder.write('pairs/c.yml', 'name: A\nsource: ../from-a\ndestination: ../to-c\n');
  folder.write('pairs/d.yml', 'sorce: x\n');
  folder.write('to-b/x/in-the-way', '');
  const { exit, out, err } = await brigade(folder.path, ['run', 'pairs', ...QUIET]);
  assert.equal(exit, 2);
  const lines = out.trimEnd().split('\n');
  assert.deepEqual(lines.slice(0, -1).sort((x, y) => (x < y ? -1 : 1)), [
    '[  OK] a  1 listed = 1 copied + 0 unchanged + 0 skipped + 0 failed + 0 pending',
    '[FAIL] b (exit 1)  1 listed = 0 copied + 0 unchanged + 0 skipped + 1 failed + 0 pending; see brigade status b',
    '[FAIL] c.yml (exit 2)', '[FAIL] d.yml (exit 2)',
  ]);
  assert.equal(lines.at(-1), '3 of 4 failed');
  assert.match(err, /c\.yml:1:1: name: "A" is also the name of/);
  assert.ok(existsSync(join(folder.path, '.brigade/a/ledger.db')) && existsSync(join(folder.path, '.brigade/b/ledger.db')));
});

test('copy: the contents, never the folder; the same line again resumes the same ledger', async () => {
  using folder = tempFolder();
  folder.write('from/x/y', '1');
  const line = ['copy', 'from', 'to', '--executors', '0', ...QUIET];
  assert.equal((await brigade(folder.path, line)).exit, 0);
  assert.deepEqual(readdirSync(join(folder.path, 'to')), ['x']);
  const { out } = await brigade(folder.path, [...line, '-o', 'json']);
  assert.deepEqual((({ run, tally }) => [run.number, tally.unchanged.objects])(JSON.parse(out) as { run: { number: number }; tally: { unchanged: { objects: number } } }), [2, 1]);
});

test('--dry-run writes nothing at all', async () => {
  using folder = site({ a: '1' });
  const { exit, out } = await brigade(folder.path, ['run', 'pair.yml', '--dry-run', ...QUIET]);
  assert.equal(exit, 0);
  assert.match(out, /to copy {11}1/);
  assert.deepEqual(readdirSync(folder.path).sort((x, y) => (x < y ? -1 : 1)), ['from', 'pair.yml']);
});

test('verify finds a byte that was changed behind our back: exit 3', async () => {
  using folder = site({ a: '1234' });
  assert.equal((await brigade(folder.path, ['run', 'pair.yml', ...QUIET])).exit, 0);
  writeFileSync(join(folder.path, 'to/a'), '1235');
  const { exit, out } = await brigade(folder.path, ['verify', 'pair', '--level', 'full', ...QUIET]);
  assert.equal(exit, 3);
  assert.match(out, /1 difference\n[^]*content: "a"/);
});

test('init writes an example that loads, and never replaces a file', async () => {
  using folder = tempFolder();
  assert.equal((await brigade(folder.path, ['init'])).exit, 0);
  assert.equal(loadMigration(join(folder.path, 'migration.yml'), {}).name, 'migration');
  assert.equal((await brigade(folder.path, ['init'])).exit, 2);
  assert.equal(readFileSync(join(folder.path, 'migration.yml'), 'utf8'), EXAMPLE);
});

test('the first Ctrl-C drains and ends resumable with 5; run goes on', { timeout: 300_000 }, async () => {
  using folder = site(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, 'x'.repeat(50_000)])), 'limits: { bandwidth: 200 KiB/s }\n');
  const { child, ended } = start(folder.path, ['run', 'pair.yml', '--progress', 'json', '--drain', '500ms']);
  await new Promise<void>((resolve) => { child.stderr?.on('data', (data: Buffer) => { if (data.toString().includes('"transferring"')) resolve(); }); });
  child.kill('SIGINT');
  const { exit, err, out } = await ended;
  assert.equal(exit, 5, err);
  assert.match(err, /stopping: what is in flight may finish within 0\.5 s; once more \(Ctrl-C\) stops at once/);
  assert.match(out, /goes on where it was/);
  folder.write('pair.yml', 'source: ./from\ndestination: ./to\nexecutors: 0\n');
  const resumed = await brigade(folder.path, ['run', 'pair.yml', ...QUIET]);
  assert.equal(resumed.exit, 0, resumed.err);
  assert.match(resumed.out, /pair@1 [^\n]*resumed 1 time\n/);
});

test('the second signal stops at once', { timeout: 300_000 }, async () => {
  using folder = site(Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`f${i}`, 'x'.repeat(50_000)])), 'limits: { bandwidth: 100 KiB/s }\n');
  const { child, ended } = start(folder.path, ['run', 'pair.yml', '--progress', 'json']);
  let first = true;
  await new Promise<void>((resolve) => {
    child.stderr?.on('data', (data: Buffer) => {
      if (first && data.toString().includes('"transferring"')) {
        first = false;
        child.kill('SIGTERM');
      }
      if (data.toString().includes('stopping:')) resolve();
    });
  });
  child.kill('SIGINT');
  assert.equal((await ended).exit, 130);
});

test('a reader that leaves is no error', { timeout: 300_000 }, async () => {
  using folder = site(Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`a-name-of-some-length-${i}`, ''])));
  assert.equal((await brigade(folder.path, ['run', 'pair.yml', ...QUIET])).exit, 0);
  const { child, ended } = start(folder.path, ['objects', 'pair', '-o', 'ndjson']);
  child.stdout?.once('data', () => child.stdout?.destroy());
  assert.deepEqual((({ exit, err }) => [exit, err])(await ended), [0, '']);
});

test('completion scripts: bash reads its own', () => {
  const folder = mkdtempSync(join(tmpdir(), 'brigade-completion-'));
  try {
    writeFileSync(join(folder, 'c.bash'), completionScript('bash'));
    execFileSync('bash', ['-n', join(folder, 'c.bash')]);
    const words = execFileSync('bash', ['-c', 'source "$0"; COMP_WORDS=(brigade run --on-pause ""); COMP_CWORD=3; _brigade; echo "${COMPREPLY[@]}"; COMP_WORDS=(brigade re); COMP_CWORD=1; _brigade; echo "${COMPREPLY[@]}"', join(folder, 'c.bash')], { encoding: 'utf8' });
    assert.equal(words, 'auto exit wait\nresume retry report\n');
    assert.match(completionScript('zsh'), /^#compdef brigade\n/);
    assert.match(completionScript('fish'), /complete -c brigade -n '__fish_seen_subcommand_from run' -l drain -r -d /);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('an unexpected error is one line, exit 70, with its stack only when asked', async () => {
  const { complain } = await import('./command-line.ts');
  const { Output } = await import('./io.ts');
  const { FakeTerminal } = await import('./fixture.test.ts');
  for (const [env, lines] of [[{}, 1], [{ BRIGADE_DEBUG: '1' }, 3]] as const) {
    const terminal = new FakeTerminal();
    assert.equal(complain(new TypeError('x is\nnot a function'), { err: new Output(terminal), env }), 70);
    assert.match(terminal.text, /^brigade: TypeError: x is not a function \[E_INTERNAL\]\n/);
    assert.ok(terminal.text.trimEnd().split('\n').length >= lines);
    assert.equal(/\n\s+at /.test(terminal.text), lines > 1);
  }
});
