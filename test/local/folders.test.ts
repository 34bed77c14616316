/** Folder → folder, from the command line down to the disk. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { brigade, tempFolder } from '../../src/cli/fixture.test.ts';
import { BrigadeError } from '../../src/core/errors.ts';
import { finishDirectories } from '../../src/engine/directories.ts';
import type { Ledger } from '../../src/ports/ledger.ts';
import type { Store } from '../../src/ports/storage.ts';
import { createFilesystemStore } from '../../src/stores/filesystem/index.ts';
import { seededRandom } from '../../src/telemetry/random.ts';

const FILE = 'source: ./src\ndestination: ./dst\nexecutors: 0\n';

function tree(root: string): string[] {
  return existsSync(root) ? (readdirSync(root, { recursive: true }) as string[]).sort((a, b) => (a < b ? -1 : 1)) : [];
}

type Counts = Readonly<Record<'listed' | 'copied' | 'unchanged', { readonly objects: number }>>;

function accountOf(out: string): Counts {
  return (JSON.parse(out) as { readonly tally: Counts }).tally;
}

describe('a key prefix into a folder', () => {
  test('I5, I11: one that climbs into the source, or anywhere, is refused at its line; nothing is written', async () => {
    using folder = tempFolder();
    folder.write('src/sub/a', 'a');
    for (const prefix of ['../src/sub/', '../src/', '../', 'x/../../src/', './', '/x/', 'x//', '2024-', '..']) {
      folder.write('m.yml', `${FILE}transform: { key_prefix: "${prefix}" }\n`);
      for (const command of ['run', 'plan', 'doctor']) {
        const ran = await brigade(folder.path, [command, 'm.yml']);
        assert.equal(ran.exit, 2, `${command} ${prefix}: ${ran.err}`);
        assert.match(ran.err, /^[^\n]*m\.yml:4:\d+[^\n]*key_prefix[^\n]*\n$/, prefix);
      }
    }
    assert.deepEqual(tree(folder.path), ['m.yml', 'src', 'src/sub', 'src/sub/a']);
  });

  test('I11, truth 16: a link at the destination leads the prefix nowhere', async () => {
    using folder = tempFolder();
    folder.write('src/sub/a', 'a');
    folder.write('else/b', 'b');
    folder.write('dst/c', 'c');
    symlinkSync('../src', join(folder.path, 'dst', 'in'));
    symlinkSync('../else', join(folder.path, 'dst', 'out'));
    for (const [prefix, code] of [['in/', 'E_OVERLAP'], ['in/sub/', 'E_OVERLAP'], ['out/', 'E_LINK_IN_PATH'], ['out/new/', 'E_LINK_IN_PATH']] as const) {
      folder.write('m.yml', `${FILE}transform: { key_prefix: ${prefix} }\n`);
      const ran = await brigade(folder.path, ['run', 'm.yml']);
      assert.deepEqual([ran.exit, ran.err.includes(code)], [2, true], `${prefix}: ${ran.err}`);
    }
    assert.deepEqual([tree(join(folder.path, 'src')), tree(join(folder.path, 'else'))], [['sub', 'sub/a'], ['b']]);
  });

  test('names of folders are made below the destination; a second run finds everything there', async () => {
    using folder = tempFolder();
    folder.write('src/sub/a', 'a');
    folder.write('m.yml', `${FILE}transform: { key_prefix: 2024/caf\u00e9/ }\n`);
    const plan = await brigade(folder.path, ['plan', 'm.yml']);
    assert.deepEqual([plan.exit, existsSync(join(folder.path, 'dst'))], [0, false], plan.err);
    for (const copied of [true, false]) {
      const ran = await brigade(folder.path, ['run', 'm.yml', '-o', 'json']);
      assert.equal(ran.exit, 0, ran.err);
      assert.equal(accountOf(ran.out).copied.objects > 0, copied, ran.out);
    }
    assert.equal(readFileSync(join(folder.path, 'dst', '2024', 'caf\u00e9', 'sub', 'a'), 'utf8'), 'a');
  });
});

describe('globs on the command line', () => {
  test('I1, I7: each --include and --exclude is one glob, commas and braces and all', async () => {
    for (const [flags, expected] of [
      [['--exclude', 'data,*.csv'], ['v1.csv', 'x.log', 'y.txt']],
      [['--include', '*.{log,txt}', '--include', 'data*'], ['data,1.csv', 'x.log', 'y.txt']],
      [['--include', '[&y]*', '--exclude', '*.log'], ['y.txt']],
    ] as const) {
      using folder = tempFolder();
      for (const name of ['data,1.csv', 'v1.csv', 'x.log', 'y.txt']) folder.write(`src/${name}`, name);
      const ran = await brigade(folder.path, ['copy', 'src', 'dst', ...flags]);
      assert.deepEqual([ran.exit, tree(join(folder.path, 'dst'))], [0, expected], ran.err);
    }
    using folder = tempFolder();
    folder.write('src/a', 'a');
    const ran = await brigade(folder.path, ['copy', 'src', 'dst', '--include', '[z-a]']);
    assert.equal(ran.exit, 2);
    assert.match(ran.err, /^[^\n]*--include[^\n]*runs backwards[^\n]*\n$/);
  });
});

/** Mode and time of each directory below, by its path. */
function directoriesOf(root: string): Record<string, string> {
  const found = tree(root).map((path) => [path, statSync(join(root, path))] as const).filter(([, stats]) => stats.isDirectory());
  return Object.fromEntries(found.map(([path, stats]) => [path, `${(stats.mode & 0o7777).toString(8)} ${stats.mtimeMs}`]));
}

describe('directories between folders', () => {
  const MODES = { priv: 0o700, 'priv/deep': 0o755, 'priv/deep/er': 0o750, shut: 0o555, 'shut/inner': 0o511, empty: 0o2770, open: 0o777, unselected: 0o700 } as const;

  function dress(root: string): void {
    for (const [at, [path, mode]] of Object.entries(MODES).reverse().entries()) {
      chmodSync(join(root, path), mode);
      utimesSync(join(root, path), 1e9, 1e9 + at * 1000 + 0.5);
    }
  }

  function source(folder: ReturnType<typeof tempFolder>): string {
    const root = join(folder.path, 'src');
    for (const path of Object.keys(MODES)) mkdirSync(join(root, path), { recursive: true });
    for (const path of ['a', 'priv/secret', 'priv/deep/b', 'priv/deep/er/c', 'shut/d', 'shut/inner/e', 'open/f', 'unselected/g.tmp']) folder.write(`src/${path}`, path);
    dress(root);
    return root;
  }

  const expected = (root: string): Record<string, string> => Object.fromEntries(Object.entries(directoriesOf(root)).filter(([path]) => path !== 'unselected').map(([path, shown]) => [path, shown.replace(/^2/, '')]));

  test('I12: mode and time are those of the source at the end, and stay so in runs that change something and runs that do not', async () => {
    using folder = tempFolder();
    const from = source(folder);
    const to = join(folder.path, 'dst');
    folder.write('m.yml', `${FILE}fidelity: { mode: strict, mtime: strict }\nselect: { exclude: ["**/*.tmp"] }\n`);
    const run = async (): Promise<readonly number[]> => {
      const ran = await brigade(folder.path, ['run', 'm.yml', '-o', 'json']);
      assert.equal(ran.exit, 0, ran.err);
      assert.deepEqual(directoriesOf(to), expected(from));
      const { listed, copied, unchanged } = accountOf(ran.out);
      return [listed.objects, copied.objects, unchanged.objects];
    };
    assert.deepEqual(await run(), [8, 8, 0], 'seven files and an empty directory');
    assert.deepEqual(await run(), [8, 0, 8]);
    rmSync(join(from, 'open/f'));
    folder.write('src/shut/new', 'x');
    dress(from);
    assert.deepEqual(await run(), [9, 1, 8], 'what became empty is listed');
    chmodSync(join(from, 'priv/deep'), 0o700);
    utimesSync(join(to, 'priv'), 5, 5);
    assert.deepEqual(await run(), [9, 0, 9], 'a mode that changed is no object, and follows all the same');
  });

  test('I12: what is not to be carried is not, and a directory that is the destination\'s alone keeps its own', async () => {
    using folder = tempFolder();
    source(folder);
    mkdirSync(join(folder.path, 'dst/unselected'), { recursive: true, mode: 0o755 });
    mkdirSync(join(folder.path, 'dst/theirs'), { mode: 0o711 });
    folder.write('m.yml', `${FILE}fidelity: { mode: ignore, mtime: ignore }\nselect: { exclude: ["**/*.tmp"] }\n`);
    const before = Date.now() - 5000;
    assert.equal((await brigade(folder.path, ['run', 'm.yml'])).exit, 0);
    const plain = 0o777 & ~process.umask();
    for (const path of ['priv', 'priv/deep', 'shut']) {
      const stats = statSync(join(folder.path, 'dst', path));
      assert.deepEqual([stats.mode & 0o777, stats.mtimeMs > before], [plain, true], path);
    }
    folder.write('n.yml', `${FILE}select: { exclude: ["**/*.tmp"] }\n`);
    assert.equal((await brigade(folder.path, ['run', 'n.yml'])).exit, 0);
    assert.deepEqual(['priv', 'unselected', 'theirs'].map((path) => statSync(join(folder.path, 'dst', path)).mode & 0o777), [0o700, 0o755, 0o711]);
  });

  test('only files are included: the directories above them are carried all the same', async () => {
    using folder = tempFolder();
    source(folder);
    const ran = await brigade(folder.path, ['copy', 'src', 'dst', '--include', 'priv/deep/er/*']);
    assert.equal(ran.exit, 0, ran.err);
    assert.deepEqual(tree(join(folder.path, 'dst')), ['priv', 'priv/deep', 'priv/deep/er', 'priv/deep/er/c']);
    const shown = directoriesOf(join(folder.path, 'dst'));
    assert.deepEqual(shown, Object.fromEntries(Object.entries(directoriesOf(join(folder.path, 'src'))).filter(([path]) => path in shown)));
  });

  test('I12: one that refuses its mode is counted as lost; where it must survive, the run says so and pauses', async (t) => {
    using folder = tempFolder();
    const open = (root: string): Store => createFilesystemStore({ root: join(folder.path, root), names: 'verbatim', random: seededRandom(1) });
    for (const path of ['src/x/y/', 'src/z/', 'dst/x/y/', 'dst/z/']) mkdirSync(join(folder.path, path), { recursive: true });
    const [from, inner] = [open('src'), open('dst')];
    t.after(async () => { await from.close(); await inner.close(); });
    const asked: string[] = [];
    const to: Store = { ...inner, setDirectory: async (key) => { asked.push(key); if (key === 'x/') throw new BrigadeError({ code: 'E_ACCES', kind: 'object', message: 'permission denied' }); } };
    const lost: unknown[] = [];
    const item = { kind: 'object', size: 0, source: { token: '' }, evidence: 'none', attempts: 0 } as const;
    const ledger = { items: () => [{ ...item, key: 'x/y/a', state: 'copied' }, { ...item, key: 'z/a', state: 'extra' }], addTotals: (_: number, totals: unknown) => lost.push(totals) } as unknown as Ledger;
    const context = { source: from, destination: to, ledger, run: 1 };
    await finishDirectories({ ...context, fidelity: { mode: 'report', mtime: 'ignore' } }, t.signal);
    assert.deepEqual([asked, lost], [['x/y/', 'x/'], [{ lost: { mode: 1 } }]]);
    await assert.rejects(finishDirectories({ ...context, fidelity: { mode: 'report', mtime: 'strict' } }, t.signal), { code: 'E_FIDELITY', kind: 'premise' });
  });
});
