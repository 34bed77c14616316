/** Keys and names: bucket → bucket verbatim, bucket → folder by the reversible map, folder → bucket → folder by bytes. */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type Ended, Lab, stateOf } from './failures-lab.ts';

/** What every object store must carry as it is. */
const AWKWARD: readonly string[] = [
  'a//b', '//', '/lead', 'trail/', 'a///b//c', '+', 'a+b', '%41', '%2F', '%', '#', '?', '*', ':', '#?*:|<>"\\', ' lead', 'trail ', 'two  spaces',
  '..', '.', 'a/../b', '../up', './here', 'a/./b', '...', '007', '1e3', 'true', 'null', '[]', '&amp;', '<Key>', "!'()*", '~', '=', ';,@$',
  'caf\u00e9', 'cafe\u0301', '\u{1F600}', '\uffee', '\u{10000}', '\ud7ff', '\uFFFD', '\uFFFE', '\u0001', '\u001f', '\t', 'line\nfeed', 'car\rriage', '\u007f', '\u0085', '\u2028', '\u202e',
  `${'k'.repeat(1020)}/xyz`, 'Readme', 'README', 'con', 'aux.txt', 'C:', 'a\\b', 'x'.repeat(255), '__proto__', 'constructor', 'toString',
];

const TO_FOLDER = { source: '{ s3: from, connection: here }' };

async function seeded(keys: readonly string[]): Promise<Lab> {
  const lab = await Lab.open();
  for (const key of keys) await lab.put(key, key.endsWith('/') ? '' : `body of ${key}`);
  return lab;
}

const byText = (a: string, b: string): number => Buffer.compare(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1'));

function treeOf(root: string, below = Buffer.alloc(0)): string[] {
  const at = below.length === 0 ? Buffer.from(root) : Buffer.concat([Buffer.from(`${root}/`), below]);
  return readdirSync(at, { encoding: 'buffer', withFileTypes: true }).flatMap((entry) => {
    const path = below.length === 0 ? entry.name : Buffer.concat([below, Buffer.from('/'), entry.name]);
    return entry.isDirectory() ? treeOf(root, path) : [path.toString('latin1')];
  });
}

function failedOf(ended: Ended): string[] {
  return [...ended.rows.values()].filter(({ state }) => state === 'failed').map(({ key, problem }) => `${key} ${problem?.code}`);
}

describe('bucket → bucket', () => {
  for (const [way, more] of [['through us', 'transfer: { server_side_copy: never }'], ['copied by the store', 'transfer: { server_side_copy: auto }']] as const) {
    test(`F033, F035, F036, F037, F039, F042, F044, F047: every awkward key arrives verbatim, ${way}`, async () => {
      const lab = await seeded(AWKWARD);
      const ended = await lab.run({ more });
      assert.deepEqual([failedOf(ended), ended.exit, ended.tally.copied.objects], [[], 0, AWKWARD.length]);
      assert.deepEqual(lab.keys('dest'), lab.keys('from'));
      for (const key of AWKWARD) assert.deepEqual(lab.bytes('dest', key), lab.bytes('from', key), JSON.stringify(key));
      const again = await lab.run({ more });
      assert.deepEqual([again.tally.copied.objects, again.tally.unchanged.objects, again.tally.extra.objects], [0, AWKWARD.length, 0]);
    });
  }

  test('F033: below a prefix and into a prefix, keys stay what they are relative to it', async () => {
    const lab = await seeded(['p//a', 'p/../x', 'p/b', 'p/ ', 'pp/other']);
    const ended = await lab.run({ source: '{ s3: from, prefix: p, connection: here }', destination: '{ s3: dest, prefix: new, connection: here }' });
    assert.deepEqual([ended.exit, lab.keys('dest')], [0, ['new/ ', 'new/../x', 'new//a', 'new/b']]);
  });

  test('F044: the key that is the prefix itself is E_KEY_EMPTY, alone', async () => {
    const lab = await seeded(['p/a']);
    await lab.put('p/', 'a folder with content');
    const ended = await lab.run({ source: '{ s3: from, prefix: p/, connection: here }' });
    assert.deepEqual([ended.exit, failedOf(ended), lab.keys('dest')], [1, [' E_KEY_EMPTY'], ['a']]);
    assert.doesNotMatch(ended.rows.get('')?.problem?.hint ?? '', /access|exclude/);
  });

  test('F044: a folder made in a console migrates clean: its own zero-byte marker is a named skip, markers below it are objects', async () => {
    const lab = await seeded(['p/a']);
    for (const marker of ['p/', 'p/sub/']) await lab.put(marker, '');
    for (const destination of ['{ s3: dest, connection: here }', '{ s3: dest, prefix: new/, connection: here }']) {
      const ended = await lab.run({ source: '{ s3: from, prefix: p/, connection: here }', destination, name: destination.includes('new') ? 'under' : 'pair' });
      assert.deepEqual([ended.exit, ended.tally.byCode, ended.tally.copied.objects], [0, [{ state: 'skipped', code: 'prefix_marker', objects: 1, bytes: 0 }], 2]);
    }
    assert.deepEqual(lab.keys('dest'), ['a', 'new/a', 'new/sub/', 'sub/']);
  });

  test('F048: keys around U+FFFF merge in byte order: nothing is copied twice or called extra', async () => {
    const keys = ['\uff61', '\u{10000}', '\ue000', '\u{1F600}', '\ud7ff', 'a', '\ufffd'].flatMap((c) => [c, `${c}/${c}`, `x${c}`]);
    const lab = await seeded(keys);
    await lab.run();
    const again = await lab.run();
    assert.deepEqual([again.tally.unchanged.objects, again.tally.copied.objects, again.tally.extra.objects], [keys.length, 0, 0]);
  });

  test('F051: what the provider forbids is refused in the plan, with the rule, and the rest arrives', async () => {
    const lab = await seeded(['a//b', 'fine', '/lead']);
    const ended = await lab.run({ connection: 'provider: minio' });
    assert.deepEqual([ended.exit, lab.keys('dest')], [1, ['fine']]);
    assert.deepEqual(failedOf(ended), ['/lead E_NAME_FORBIDDEN', 'a//b E_NAME_FORBIDDEN']);
    assert.match(ended.rows.get('a//b')?.problem?.message ?? '', /slash.* in a row|two slashes in a row|two in a row/);
    assert.equal(lab.requests.filter(({ bucket, key }) => bucket === 'from' && key === 'a//b').length, 0, 'decided before any request');
  });

  test('F045: longer than the provider holds fails alone', async () => {
    const lab = await seeded(['k'.repeat(1020), 'short']);
    const ended = await lab.run({ destination: '{ s3: dest, prefix: a-longer-prefix/, connection: here }' });
    assert.deepEqual([ended.exit, failedOf(ended), lab.keys('dest')], [1, [`${'k'.repeat(1020)} E_NAME_TOO_LONG`], ['a-longer-prefix/short']]);
  });
});

describe('bucket → folder', () => {
  test('F033, F034, F035, F111: every key has a file of its own below the folder, and comes back from there as it was', async () => {
    const keys = AWKWARD.filter((key) => !['//', '.', '..'].includes(key) && !key.startsWith('kkk'));
    const lab = await seeded(keys);
    writeFileSync(join(lab.dir, 'up'), 'outside');
    const ended = await lab.run({ ...TO_FOLDER, destination: `"${lab.out}"` });
    assert.deepEqual([failedOf(ended), ended.exit], [[], 0]);
    assert.equal(readFileSync(join(lab.dir, 'up'), 'utf8'), 'outside');
    assert.deepEqual(readdirSync(lab.dir).sort(byText), ['in', 'out', 'state', 'up']);
    assert.equal(readFileSync(join(lab.out, 'a/%2F/b'), 'utf8'), 'body of a//b');
    assert.equal(readFileSync(join(lab.out, '%2E%2E/up'), 'utf8'), 'body of ../up');
    const again = await lab.run({ ...TO_FOLDER, destination: `"${lab.out}"` });
    assert.deepEqual([again.tally.copied.objects, again.tally.extra.objects], [0, 0]);
    const back = await lab.run({ name: 'back', source: `"${lab.out}"`, destination: '{ s3: dest, connection: here }', more: 'filesystem: { names: escaped }' });
    const files = keys.filter((key) => !key.endsWith('/')).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual([failedOf(back), lab.keys('dest')], [[], files]);
    for (const key of files) assert.deepEqual(lab.bytes('dest', key), lab.bytes('from', key), JSON.stringify(key));
  });

  test('F042: an empty marker becomes a directory and is counted; one with bytes is E_DIR_MARKER_HAS_DATA', async () => {
    const lab = await seeded(['empty/', 'full/x']);
    await lab.put('bytes/', 'some');
    await lab.put('told/', '', { system: new Map([['content-language', 'de']]), tags: [['a', 'b']] });
    const ended = await lab.run({ destination: `"${lab.out}"` });
    assert.deepEqual(ended.rows.get('told/')?.lost, ['content_headers', 'tags'], 'I12: a folder has neither');
    assert.deepEqual([ended.exit, failedOf(ended)], [1, ['bytes/ E_DIR_MARKER_HAS_DATA']]);
    assert.ok(lstatSync(join(lab.out, 'empty')).isDirectory());
    assert.equal(ended.rows.get('empty/')?.kind, 'directory');
    assert.deepEqual(ended.rows.get('empty/')?.lost, undefined);
    assert.deepEqual(treeOf(lab.out), ['full/x']);
  });

  test('F043: of a and a/b the longer is written, the shorter is E_NAME_COLLISION, both stand in the account', async () => {
    const lab = await seeded(['a', 'a!', 'a/b', 'a0', 'z']);
    const ended = await lab.run({ destination: `"${lab.out}"` });
    assert.deepEqual([ended.exit, failedOf(ended), treeOf(lab.out).sort(byText)], [1, ['a E_NAME_COLLISION'], ['a!', 'a/b', 'a0', 'z']]);
    assert.equal(ended.tally.listed.objects, 5);
    const again = await lab.run({ destination: `"${lab.out}"` });
    assert.deepEqual([failedOf(again), again.tally.copied.objects], [['a E_NAME_COLLISION'], 0], 'the next run says the same');
  });

  test('F043: a name that a folder of the destination has already is no file there, also where the store would take it silently', async () => {
    const lab = await Lab.open();
    writeFileSync(join(lab.in, 'a'), 'file');
    writeFileSync(join(lab.in, 'b'), 'file');
    await lab.putAt('dest', 'a/x', 'was there');
    const ended = await lab.run({ source: `"${lab.in}"`, connection: 'provider: seaweedfs' });
    assert.deepEqual([ended.exit, failedOf(ended), lab.keys('dest')], [1, ['a E_NAME_COLLISION'], ['a/x', 'b']]);
  });

  test('F034: //-twins, dot-twins and their escapes stay apart', async () => {
    const twins = ['a/x', 'a//x', 'a///x', 'a/%2F/x', 'a/%252F/x', './a', '%2E/a', '../a', '%2E%2E/a'];
    const lab = await seeded(twins);
    const ended = await lab.run({ destination: `"${lab.out}"` });
    assert.deepEqual([ended.exit, treeOf(lab.out).length], [0, twins.length]);
    const contents = new Set(treeOf(lab.out).map((path) => readFileSync(join(lab.out, path), 'utf8')));
    assert.deepEqual(contents, new Set(twins.map((key) => `body of ${key}`)));
  });

  test('F045: a name of 256 bytes and a path beyond the limit fail alone, exit 1', async () => {
    const long = ['n'.repeat(256), `${'\u00e9'.repeat(128)}/x`];
    const lab = await seeded([...long, 'n'.repeat(255), 'short']);
    const ended = await lab.run({ destination: `"${lab.out}"` });
    assert.deepEqual([ended.exit, failedOf(ended).map((line) => line.slice(-15))], [1, ['E_NAME_TOO_LONG', 'E_NAME_TOO_LONG']]);
    assert.deepEqual(treeOf(lab.out).sort(byText), ['n'.repeat(255), 'short']);
  });

  test('F040, F041: NFC and NFD, Readme and README are two files where the folder tells them apart, never merged', async () => {
    const keys = ['caf\u00e9', 'cafe\u0301', 'Readme', 'README'];
    const lab = await seeded(keys);
    const ended = await lab.run({ destination: `"${lab.out}"` });
    const stands = treeOf(lab.out).length;
    assert.equal(ended.tally.failed.objects + stands, 4);
    for (const path of treeOf(lab.out)) assert.equal(readFileSync(Buffer.concat([Buffer.from(`${lab.out}/`), Buffer.from(path, 'latin1')]), 'utf8'), `body of ${Buffer.from(path, 'latin1').toString()}`);
  });

  test('F112: a link planted in the folder while the run is going leads nothing outside', async () => {
    const outside = (lab: Lab): string => join(lab.dir, 'outside');
    const lab: Lab = await Lab.open({
      onRequest: ({ operation, bucket, key }) => {
        if (operation !== 'GetObject' || bucket !== 'from' || key !== 'd/first') return;
        mkdirSync(outside(lab), { recursive: true });
        rmSync(join(lab.out, 'd'), { recursive: true, force: true });
        mkdirSync(lab.out, { recursive: true });
        if (!existsSync(join(lab.out, 'd'))) symlinkSync(outside(lab), join(lab.out, 'd'));
      },
    });
    for (const key of ['d/first', 'd/second', 'd/../../outside/third', 'e']) await lab.put(key, 'hostile');
    const ended = await lab.run({ destination: `"${lab.out}"`, more: 'limits: { concurrency: 1 }' });
    assert.deepEqual(readdirSync(outside(lab)), []);
    assert.equal(ended.exit, 1);
    assert.deepEqual(failedOf(ended).map((line) => line.replace(/ .*/, '')).filter((key) => !key.startsWith('d/')), []);
    assert.equal(readFileSync(join(lab.out, 'e'), 'utf8'), 'hostile');
  });

  test('F111: a bucket of hostile keys writes below the folder only, watched from outside', async () => {
    const hostile = ['../x', '../../x', '/etc/x', '..\\x', 'a/../../x', '....//x', '%2e%2e/x', '\u2025/x', './../x', 'a/b/../../../x', '.brigade/../../x', '/../x', '//../x', '..', 'C:\\x', 'x:stream', '~/x', '$HOME', '-rf'];
    const lab = await seeded(hostile);
    writeFileSync(join(lab.in, 'x'), 'mine');
    const before = treeOf(lab.dir).filter((path) => !path.startsWith('out/') && !path.startsWith('state/'));
    const ended = await lab.run({ destination: `"${lab.out}"` });
    assert.deepEqual(treeOf(lab.dir).filter((path) => !path.startsWith('out/') && !path.startsWith('state/')), before);
    assert.deepEqual(failedOf(ended), ['.. E_NAME_COLLISION', '.brigade/../../x E_NAME_FORBIDDEN'], 'kept apart from ../x, and from our own folder');
    assert.equal(treeOf(lab.out).length, hostile.length - 2);
    assert.equal(readFileSync(join(lab.in, 'x'), 'utf8'), 'mine');
  });
});

describe('folder → bucket → folder', () => {
  const raw = (root: string, name: string): Buffer => Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name, 'latin1')]);

  test('F040, F046, F047, F049: names come back byte for byte; one that is no UTF-8 fails alone with E_NAME_NOT_UTF8', async () => {
    const lab = await Lab.open();
    const names = ['plain', 'a b', '+%#?*:', '%2F', '%252F', '%2E%2E', 'caf\u00e9', 'cafe\u0301', 'Readme', 'README', '\u{1F600}', '\u0001', 'new\nline', '-rf', '~', "!'()*", 'a\\b', '007', 'd/x', 'd!', 'd-1', 'd0', 'd/y/z', '.hidden', 'x'.repeat(255)];
    for (const name of names) {
      if (name.includes('/')) mkdirSync(join(lab.in, name.slice(0, name.lastIndexOf('/'))), { recursive: true });
      writeFileSync(join(lab.in, name), `body of ${name}`);
    }
    writeFileSync(raw(lab.in, 'bad\xff\xfename'), 'not text');
    const up = await lab.run({ source: `"${lab.in}"` });
    assert.equal(up.exit, 1);
    assert.deepEqual(failedOf(up).map((line) => line.split(' ').at(-1)), ['E_NAME_NOT_UTF8']);
    assert.deepEqual(new Set(lab.keys('dest')), new Set(names), 'verbatim');
    const down = await lab.run({ name: 'down', source: '{ s3: dest, connection: here }', destination: `"${lab.out}"` });
    assert.deepEqual([failedOf(down), down.exit], [[], 0]);
    const back = await lab.run({ name: 'again', source: `"${lab.out}"`, destination: '{ s3: from, connection: here }', more: 'filesystem: { names: escaped }' });
    assert.deepEqual([back.exit, new Set(lab.keys('from'))], [0, new Set(names)]);
    for (const name of names) assert.equal(lab.bytes('from', name)?.toString(), `body of ${name}`);
  });

  test('F046: folder → folder carries names of any bytes', async () => {
    const lab = await Lab.open();
    for (const name of ['bad\xff\xfename', '\x80', 'caf\xe9']) writeFileSync(raw(lab.in, name), name);
    const ended = await lab.run({ source: `"${lab.in}"`, destination: `"${lab.out}"` });
    assert.deepEqual([ended.exit, treeOf(lab.out).sort(byText)], [0, ['bad\xff\xfename', 'caf\xe9', '\x80']]);
  });

  test('F052, F053, F054: links, pipes and unreadable directories are told by name, and the rest arrives', { skip: process.platform !== 'linux' }, async () => {
    const lab = await Lab.open();
    mkdirSync(join(lab.in, 'd'));
    writeFileSync(join(lab.in, 'd/file'), 'x');
    symlinkSync('..', join(lab.in, 'd/loop'));
    symlinkSync('nowhere', join(lab.in, 'dangling'));
    const ended = await lab.run({ source: `"${lab.in}"` });
    assert.deepEqual([ended.exit, lab.keys('dest')], [0, ['d/file']]);
    assert.match(stateOf(ended, 'd/loop'), /^skipped:symlink/);
    assert.match(stateOf(ended, 'dangling'), /^skipped:/);
  });

  test('F057: the time comes back to the microsecond, and a second run copies nothing in either direction', async () => {
    const lab = await Lab.open();
    writeFileSync(join(lab.in, 'f'), 'x', { mode: 0o640 });
    const { utimesSync, chmodSync } = await import('node:fs');
    utimesSync(join(lab.in, 'f'), 1_600_000_000.123456, 1_600_000_000.123456);
    chmodSync(join(lab.in, 'f'), 0o640);
    await lab.run({ source: `"${lab.in}"` });
    assert.equal((await lab.run({ source: `"${lab.in}"` })).tally.copied.objects, 0);
    await lab.run({ name: 'down', source: '{ s3: dest, connection: here }', destination: `"${lab.out}"` });
    assert.equal((await lab.run({ name: 'down', source: '{ s3: dest, connection: here }', destination: `"${lab.out}"` })).tally.copied.objects, 0);
    const [a, b] = [lstatSync(join(lab.in, 'f'), { bigint: true }), lstatSync(join(lab.out, 'f'), { bigint: true })];
    assert.deepEqual([b.mtimeNs / 1000n, Number(b.mode) & 0o777], [a.mtimeNs / 1000n, 0o640]);
  });
});
