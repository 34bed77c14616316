/** What a walk does before its turn: how much sooner it ends where every look is a round trip, what it holds meanwhile, and that nobody can tell. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readlinkSync, renameSync, symlinkSync, type BigIntStats, type Dirent } from 'node:fs';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { BrigadeError } from '../../core/errors.ts';
import { compareKeys } from '../../core/key.ts';
import type { ObjectEntry } from '../../core/object.ts';
import { freshRoot } from './ground.test-kit.ts';
import { lookCalls, type FsPath, type LookCalls } from './syscalls.ts';
import { Walk, type WalkOptions } from './walk.ts';

const OPTIONS: WalkOptions = { names: 'verbatim', links: 'skip', temporaries: 'hide', prefix: '', startAfter: undefined, signal: undefined, procfs: existsSync('/proc/self/fd') };
/** What is open is read there. */
const LINUX = { skip: OPTIONS.procfs ? false : 'without /proc' };

async function plant(root: string, files: readonly string[]): Promise<void> {
  for (const file of files) {
    await mkdir(dirname(join(root, file)), { recursive: true });
    await writeFile(join(root, file), '');
  }
}

async function walked(root: string, more: Partial<WalkOptions> = {}): Promise<ObjectEntry[]> {
  const all: ObjectEntry[] = [];
  for await (const page of new Walk(root, { ...OPTIONS, ...more }).pages(root, 100)) all.push(...page);
  return all;
}

/** Directories below the root that this process has open. */
function openBelow(root: string): number {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // The one by which the folder was read.
      return '';
    }
  });
  return links.filter((link) => link.startsWith(`${root}/`)).length;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(5);
}

/** Calls that are answered in rounds, all that wait at once: the number of rounds is the time of a walk in round trips. */
function inRounds() {
  let [rounds, running, most] = [0, 0, 0];
  let waiting: (() => void)[] = [];
  let ticking = false;
  const tick = async (): Promise<void> => {
    ticking = true;
    for (let still = 0; still < 4;) {
      const before = waiting.length;
      await new Promise(setImmediate);
      still = running === 0 && waiting.length === before && before > 0 ? still + 1 : 0;
      if (waiting.length === 0 && running === 0) break;
    }
    ticking = false;
    if (waiting.length === 0) return;
    rounds++;
    most = Math.max(most, waiting.length);
    const answered = waiting;
    waiting = [];
    for (const answer of answered) answer();
  };
  const far = <A extends readonly unknown[], T>(call: (...args: A) => Promise<T>) => async (...args: A): Promise<T> => {
    await new Promise<void>((resolve) => {
      waiting.push(resolve);
      if (!ticking) void tick();
    });
    running++;
    try {
      return await call(...args);
    } finally {
      running--;
      if (!ticking && waiting.length > 0) void tick();
    }
  };
  const calls: LookCalls = { open: far(lookCalls.open), lstat: far(lookCalls.lstat), stat: far(lookCalls.stat), opendir: far(lookCalls.opendir) };
  return { calls, rounds: () => rounds, most: () => most };
}

test('where each look is a round trip, a walk takes less than an eighth of the serial one, and tells the same in the same order', async (t) => {
  const trees = {
    folders: Array.from({ length: 600 }, (_, i) => `d${i % 10}/e${i % 60}/f${i}`), flat: Array.from({ length: 600 }, (_, i) => `f${i}`),
    mixed: Array.from({ length: 600 }, (_, i) => (i % 3 === 0 ? `f${i}` : i % 3 === 1 ? `d${i % 50}/f${i}` : `d${i % 50}-/a/f${i}`)),
  };
  for (const [name, files] of Object.entries(trees)) {
    const root = await freshRoot(t);
    await plant(root, files);
    const [serial, ahead] = [inRounds(), inRounds()];
    const expected = await walked(root, { width: 1, calls: serial.calls });
    assert.deepEqual(expected.map(({ key }) => key), expected.map(({ key }) => key).sort(compareKeys));
    assert.equal(expected.filter(({ kind }) => kind === 'object').length, 600);
    assert.deepEqual(await walked(root, { calls: ahead.calls }), expected, name);
    assert.ok(ahead.rounds() * 8 <= serial.rounds(), `${name}: ${ahead.rounds()} round trips, one after the other ${serial.rounds()}`);
    assert.ok(serial.most() === 1 && ahead.most() <= 64, `${name}: ${ahead.most()} at once`);
  }
});

test('of a wide tree and of a deep one few directories stand open before their turn, and none is left open', LINUX, async (t) => {
  const trees = { wide: Array.from({ length: 500 }, (_, i) => `d${i}/f`), deep: Array.from({ length: 150 }, (_, i) => `${'d/'.repeat(i + 1)}f`) };
  for (const files of Object.values(trees)) {
    const root = await freshRoot(t);
    await plant(root, files);
    assert.equal((await walked(root)).filter(({ kind }) => kind === 'object').length, files.length);
    assert.equal(openBelow(root), 0);
    const pages = new Walk(root, OPTIONS).pages(root, 1);
    await pages.next();
    await until(() => openBelow(root) >= 16);
    await pause(50);
    assert.ok(openBelow(root) <= 33, `${openBelow(root)} stand open`);
    await pages.return(undefined);
    assert.equal(openBelow(root), 0);
  }
});

test('names of directories that are read before their turn stay within a few megabytes, however large those are', LINUX, async (t) => {
  const root = await freshRoot(t);
  await plant(root, Array.from({ length: 40 }, (_, i) => `d${i}/f`));
  let [read, opened] = [0, 0];
  async function* many(): AsyncGenerator<Dirent> {
    for (let i = 0; i < 4000; i++) {
      read++;
      yield { name: `${'n'.repeat(200)}${i}`, isDirectory: () => false, isFile: () => true } as unknown as Dirent;
    }
  }
  const gone = async (): Promise<BigIntStats> => { throw Object.assign(new Error('gone'), { code: 'ENOENT' }); };
  const calls: LookCalls = { ...lookCalls, lstat: gone, opendir: async (path: FsPath) => (opened++ === 0 ? lookCalls.opendir(path) : many()) };
  const pages = new Walk(root, { ...OPTIONS, calls }).pages(root, 1);
  await pages.next();
  await until(() => read > 30_000);
  for (let before = 0; before !== read;) {
    before = read;
    await pause(50);
  }
  // 4,000 of the directory whose turn it is, 8 MiB of 213 bytes each, and what comes between two looks.
  assert.ok(read <= 4000 + (8 << 20) / 213 + 65 * 1024, `${read} names of 160,000`);
  for (let page = 0; page < 3; page++) await pages.next();
  await pages.return(undefined);
  assert.equal(openBelow(root), 0);
});

test('what cannot be opened before its turn because too many files are open is opened when its turn comes', async (t) => {
  const root = await freshRoot(t);
  await plant(root, Array.from({ length: 100 }, (_, i) => `d${i % 20}/e${i}/f`));
  const expected = await walked(root);
  const full = Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  const refused = new Set<string>();
  const calls: LookCalls = {
    ...lookCalls, open: async (path, flags) => {
      const name = String(path).split('/').at(-1) ?? '';
      if (!/^d1\d$/.test(name) || refused.has(name)) return lookCalls.open(path, flags);
      refused.add(name);
      throw full;
    },
  };
  assert.deepEqual(await walked(root, { calls }), expected);
  assert.equal(refused.size, 10);
  const never: LookCalls = { ...lookCalls, open: async (path, flags) => { if (String(path) !== root) throw full; return lookCalls.open(path, flags); } };
  await assert.rejects(walked(root, { calls: never }), (error: unknown) => error instanceof BrigadeError);
});

test('F111: a directory that is replaced by a link before it is opened is told, not followed; one that vanishes is left out', async (t) => {
  const root = await freshRoot(t);
  const outside = await freshRoot(t);
  await plant(outside, ['secret']);
  await plant(root, ['a/1', 'b/2', 'c/3', 'd/4']);
  let swapped = false;
  const opendir: LookCalls['opendir'] = async (path) => {
    const names: Dirent[] = [];
    for await (const name of await lookCalls.opendir(path)) names.push(name);
    if (!swapped) {
      swapped = true;
      renameSync(join(root, 'b'), join(outside, 'b'));
      symlinkSync(outside, join(root, 'b'));
      await rm(join(root, 'c'), { recursive: true });
    }
    return (async function* () { yield* names; })();
  };
  const told = await walked(root, { calls: { ...lookCalls, opendir } });
  assert.deepEqual(told.map(({ key, kind, reason }) => [key, reason?.code ?? kind]), [['a/', 'directory'], ['a/1', 'object'], ['b/', 'E_SRC_CHANGED'], ['d/', 'directory'], ['d/4', 'object']]);
});

test('F054: what cannot be read ends the walk when its turn comes, and what comes before it is listed', LINUX, async (t) => {
  const root = await freshRoot(t);
  await plant(root, ['a/1', 'b/2', 'c/3']);
  await symlink('nowhere', join(root, 'c/link'));
  await rename(join(root, 'c/3'), join(root, 'c/4'));
  const broken: LookCalls = { ...lookCalls, lstat: async (path) => { if (String(path).endsWith('/4')) throw Object.assign(new Error('i/o error'), { code: 'EIO' }); return lookCalls.lstat(path); } };
  const seen: string[] = [];
  const walk = async (): Promise<void> => { for await (const page of new Walk(root, { ...OPTIONS, calls: broken }).pages(root, 1)) seen.push(...page.map(({ key }) => key)); };
  await assert.rejects(walk(), (error: unknown) => error instanceof BrigadeError);
  assert.deepEqual(seen, ['a/', 'a/1', 'b/', 'b/2', 'c/']);
  assert.equal(openBelow(root), 0);
});
