/**
 * `npm run demo`: the whole product on this machine alone, from nothing to four verified pairs with one failure repaired on the way. Every
 * line after a `$` is what a person would type; `tmp/demo` keeps what it made, for a look around.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

const PAIRS = ['app-data', 'ml-models', 'logs-archive', 'user-uploads'];
const root = resolve(process.argv[2] ?? join('tmp', 'demo'));
const bin = join(import.meta.dirname, '..', 'bin', 'brigade.cjs');
const state = '--state brigade-lab/.brigade';

const say = (text: string): void => { process.stdout.write(`${text}\n`); };

/** Answers the exit code. */
function call(words: readonly string[], quiet = false): number {
  const { status } = spawnSync(process.execPath, [bin, ...words], { stdio: quiet ? 'ignore' : 'inherit', cwd: root });
  return status ?? 130;
}

/** Runs one command line as it stands; any other end than the expected one ends the demo too. */
function brigade(line: string, expected = 0): void {
  say(`\n$ brigade ${line}`);
  const exit = call(line.split(' '));
  if (exit === expected) return;
  say(`\nexit ${exit} where ${expected} was expected; the lab is stopped, its files stay in ${root}`);
  call(['lab', 'down'], true);
  process.exit(exit === 0 ? 1 : exit);
}

// Ctrl-C reaches the command that is at work; its exit code then ends the demo, which stops the lab first.
process.on('SIGINT', () => undefined);

mkdirSync(root, { recursive: true });
const began = performance.now();
if (existsSync(join(root, 'brigade-lab', 'lab.json'))) call(['lab', 'reset'], true);
say('Two S3 endpoints on this machine, four migrations between them, and one of them is going to fail.');
brigade('lab up');
brigade('lab run', 1);
say('\nOne pair of four failed. What happened to it?');
brigade(`${state} objects user-uploads --state failed --limit 3`);
brigade('lab fault list');
say('\nThe cause is taken away; what failed is tried again, and nothing else.');
brigade('lab fault clear');
brigade(`${state} retry user-uploads --class E_ACCESS_DENIED`);
say('\nAll four are compared again, apart from the copying.');
for (const pair of PAIRS) brigade(`${state} verify ${pair} --progress none`);
brigade(`${state} report user-uploads`);
brigade('lab down');
say(`\nFour pairs verified, one failure repaired, in ${((performance.now() - began) / 1000).toFixed(0)} s. Look around in ${relative(process.cwd(), root) || '.'}: cd there, brigade lab up, and go on; brigade lab reset removes it.`);
