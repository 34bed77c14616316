/**
 * `npm run demo`: a whole migration to look at, with nothing but this checkout. It makes a few thousand files with awkward names, migrates
 * them to another folder with ledger, progress, verification and report, changes a few, and runs again.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '../telemetry/random.ts';

const FILES = 3000;
const AWKWARD = ['plus+sign', 'per%cent', 'per%2Fcent', '#hash', 'ques?tion', 'star*', ' lead', 'trail ', 'new\nline', 'caf\u00e9', 'cafe\u0301', '\u{1F600}', '\u0001control', '-rf', "quote'\"", 'back\\slash', '.hidden', 'a'.repeat(200)];

const root = resolve(process.argv[2] ?? join('tmp', 'demo'));
const bin = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'bin', 'brigade.cjs');

function makeFiles(folder: string): void {
  const random = seededRandom(2026);
  const write = (path: string, size: number): void => {
    const file = join(folder, path);
    mkdirSync(dirname(file), { recursive: true });
    const bytes = Buffer.alloc(size);
    for (let i = 0; i < size; i += 4) bytes.writeUInt32LE((random.next() * 2 ** 32) >>> 0, Math.min(i, Math.max(0, size - 4)));
    writeFileSync(file, bytes);
    utimesSync(file, 1.6e9 + Math.floor(random.next() * 1e8), 1.6e9 + Math.floor(random.next() * 1e8) + 0.123);
  };
  for (let i = 0; i < FILES; i++) write(join('logs', `day-${String(i % 30).padStart(2, '0')}`, `part-${i}.log`), 64 + Math.floor(random.next() * 16_000) * 4);
  AWKWARD.forEach((name, i) => write(join('awkward', name), 8 + i * 4));
  write('large.bin', 96 * 1024 * 1024);
  write('empty', 0);
  mkdirSync(join(folder, 'an-empty-folder'), { recursive: true });
}

function migrationFile(): string {
  return [
    'name: demo',
    `source: { path: ${JSON.stringify(join(root, 'source'))} }`,
    `destination: { path: ${JSON.stringify(join(root, 'destination'))} }`,
    'verify: full',
    '',
  ].join('\n');
}

function brigade(...args: string[]): void {
  process.stdout.write(`\n$ brigade ${args.map((arg) => (arg.includes(' ') ? JSON.stringify(arg) : arg)).join(' ')}\n`);
  const { status, signal } = spawnSync(process.execPath, [bin, ...args], { stdio: 'inherit', cwd: root });
  if (status !== 0) process.exit(status ?? (signal === null ? 70 : 130));
}

rmSync(root, { recursive: true, force: true });
process.stdout.write(`Making ${FILES + AWKWARD.length + 2} files under ${join(root, 'source')} …\n`);
makeFiles(join(root, 'source'));
writeFileSync(join(root, 'demo.yml'), migrationFile());
brigade('doctor', 'demo.yml');
brigade('plan', 'demo.yml');
brigade('run', 'demo.yml');
writeFileSync(join(root, 'source', 'logs', 'day-00', 'part-0.log'), 'changed since the first run\n');
process.stdout.write('\nOne file changed; the second run copies just that one:\n');
brigade('run', 'demo.yml');
brigade('report', 'demo');
process.stdout.write(`\nLook around: ${root} (state in .brigade, remove the folder when done)\n`);
