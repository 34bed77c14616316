/** Folder → folder, from the command line down to the disk. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { brigade, tempFolder } from '../../src/cli/fixture.test.ts';

const FILE = 'source: ./src\ndestination: ./dst\nexecutors: 0\n';

function tree(root: string): string[] {
  return existsSync(root) ? (readdirSync(root, { recursive: true }) as string[]).sort((a, b) => (a < b ? -1 : 1)) : [];
}

interface Account { readonly copied: { readonly objects: number } }

function accountOf(out: string): Account {
  return (JSON.parse(out) as { readonly tally: Account }).tally;
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
