/** The package as it is published: compiled, complete, started by its bin on any Node. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync, cpSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';

const root = resolve(import.meta.dirname, '../..');
const work = mkdtempSync(join(tmpdir(), 'brigade-package-'));
const built = join(work, 'package');

before(() => {
  execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json'), '--outDir', join(built, 'dist')], { cwd: root });
  cpSync(join(root, 'bin'), join(built, 'bin'), { recursive: true });
  cpSync(join(root, 'package.json'), join(built, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(built, 'node_modules'));
}, { timeout: 120_000 });

after(() => rmSync(work, { recursive: true, force: true }));

test('no compiled file imports a source file', () => {
  const stray = globSync('dist/**/*.js', { cwd: built }).filter((file) => /(?:from|import)\s*\(?\s*['"][^'"]+\.ts['"]/.test(readFileSync(join(built, file), 'utf8')));
  assert.deepEqual(stray, []);
  assert.equal(globSync('dist/**/*.test.js', { cwd: built }).length, 0);
});

test('the compiled program plans, runs and reports with forked executors', () => {
  const source = join(work, 'source');
  cpSync(join(root, 'examples'), source, { recursive: true });
  writeFileSync(join(work, 'm.yml'), `name: m\nsource: { path: ${JSON.stringify(source)} }\ndestination: { path: ${JSON.stringify(join(work, 'destination'))} }\nexecutors: 1\n`);
  for (const args of [['doctor', 'm.yml'], ['plan', 'm.yml'], ['run', 'm.yml', '--progress', 'none'], ['verify', 'm', '--progress', 'none'], ['report', 'm', '-o', 'json']]) {
    const { status, stderr } = spawnSync(process.execPath, [join(built, 'bin/brigade.cjs'), ...args], { cwd: work, encoding: 'utf8' });
    assert.equal(status, 0, `${args.join(' ')}: ${stderr}`);
  }
  assert.ok(existsSync(join(work, 'destination')));
});

test('the bin is old-syntax JavaScript, and an old Node without a newer one beside it gets one line', () => {
  const bin = readFileSync(join(root, 'bin/brigade.cjs'), 'utf8');
  assert.doesNotMatch(bin.replace(/import\(/g, ''), /=>|\bconst\b|\blet\b|`|\basync\b/);
  const bare = join(work, 'bare');
  cpSync(join(root, 'bin'), join(bare, 'bin'), { recursive: true });
  const old = `Object.defineProperty(process.versions, 'node', { value: '20.1.0' }); process.argv[1] = ${JSON.stringify(join(bare, 'bin/brigade.cjs'))}; require(process.argv[1]);`;
  const { status, stderr } = spawnSync(process.execPath, ['-e', old], { encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /^brigade: needs Node 24 or newer, this is 20\.1\.0; .*\n$/);
});

test('compiled code is kept between starts, but only in a folder that nobody else can write to', () => {
  const start = (home: string): number => {
    const { NODE_COMPILE_CACHE: _, ...env } = process.env;
    const { status, stdout } = spawnSync(process.execPath, [join(root, 'bin/brigade.cjs'), 'version'], { encoding: 'utf8', env: { ...env, XDG_CACHE_HOME: home } });
    assert.deepEqual([status, /^brigade \d/.test(stdout)], [0, true]);
    return globSync('brigade/compiled/**/*', { cwd: home }).length;
  };
  const own = join(work, 'own');
  assert.ok(start(own) > 10);
  assert.equal(statSync(join(own, 'brigade/compiled')).mode & 0o777, 0o700);
  const shared = join(work, 'shared');
  mkdirSync(join(shared, 'brigade/compiled'), { recursive: true });
  chmodSync(join(shared, 'brigade/compiled'), 0o777);
  assert.equal(start(shared), 0);
  writeFileSync(join(work, 'a-file'), '');
  assert.equal(start(join(work, 'a-file')), 0);
});
