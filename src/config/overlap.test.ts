import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { errorLine, type BrigadeError } from '../core/errors.ts';
import { parseMigration } from './load.ts';
import type { Location } from './migration.ts';
import { checkJournal, checkOverlap } from './overlap.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'brigade-overlap-')));
after(() => rmSync(root, { recursive: true }));
for (const folder of ['a/inner', 'ab', 'other']) mkdirSync(join(root, folder), { recursive: true });
symlinkSync(join(root, 'a'), join(root, 'link'));
symlinkSync('nowhere', join(root, 'dangling'));
symlinkSync('loop', join(root, 'loop'));

const file = (path: string): Location => ({ kind: 'file', path: path.startsWith('/') ? path : join(root, path) });
const refused = (source: Location, destination: Location, state?: string) => {
  assert.throws(() => checkOverlap({ source, destination }, state), (thrown: BrigadeError) => {
    assert.deepEqual([thrown.code, thrown.kind], ['E_OVERLAP', 'usage']);
    assert.doesNotMatch(errorLine(thrown), /\n/);
    return true;
  });
};

test('folders: equal, nested either way, through links, and where nothing exists yet', () => {
  const pairs: readonly [string, string][] = [['a', 'a'], ['a', 'a/inner'], ['a/inner', 'a'], ['a', 'a/new/deep'], ['a/new/deep', 'a'], ['link', 'a'], ['a/inner', 'link'], ['link/new', 'a'], ['new', 'new/deeper'], ['new', 'new'], ['/', 'other'], ['other', '/'], ['loop', 'loop/x']];
  for (const [source, destination] of pairs) refused(file(source), file(destination));
  for (const [source, destination] of [['a', 'ab'], ['ab', 'a'], ['a', 'other'], ['a/inner', 'a/new'], ['new', 'newer'], ['link', 'ab'], ['dangling', 'a']] as const) checkOverlap({ source: file(source), destination: file(destination) });
});

test('folders that are one by device and inode, though no link says so', () => {
  const files = { realpath: (path: string) => path, identity: (path: string) => (path === '/mnt/bind' || path === '/srv/data' ? '1:42' : `1:${path.length}${path}`) };
  assert.throws(() => checkOverlap({ source: file('/srv/data'), destination: file('/mnt/bind/sub') }, undefined, files), { code: 'E_OVERLAP' });
  checkOverlap({ source: file('/srv/data'), destination: file('/mnt/other') }, undefined, files);
});

test('the state folder lies outside of both', () => {
  refused(file('a'), file('other'), join(root, 'a/.brigade'));
  refused(file('a'), file('other'), join(root, 'other/x/.brigade'));
  refused(file('a'), file('other'), join(root, 'link/.brigade'));
  refused(file('a'), file('other'), join(root, 'other'));
  refused(file('a/inner'), file('other'), join(root, 'a'));
  checkOverlap({ source: file('a'), destination: file('other') }, join(root, '.brigade'));
});

const bucket = (url: string, keys = '') => parseMigration(Buffer.from(`source: { url: "${url}", ${keys} }\ndestination: /to\n`), '/tmp/x.yml', {}).source;

test('buckets: same server, same bucket, nested prefixes', () => {
  refused(bucket('s3://one'), bucket('s3://one'));
  refused(bucket('s3://one'), bucket('s3://one/backup/'));
  refused(bucket('s3://one/a/b'), bucket('s3://one/a'));
  refused(bucket('s3://one/a', 'endpoint: "https://s3.eu-west-1.amazonaws.com"'), bucket('s3://one/a/', 'region: us-east-1'));
  refused(bucket('s3://one', 'endpoint: "http://localhost:9000"'), bucket('s3://one', 'endpoint: "http://127.0.0.1:9000/"'));
  refused(bucket('s3://one', 'endpoint: "http://S3.example.com"'), bucket('s3://one', 'endpoint: "https://s3.example.com:443"'));
  for (const [a, b] of [
    [bucket('s3://one/logs'), bucket('s3://one/logs-archive')], [bucket('s3://one'), bucket('s3://two')], [bucket('s3://one'), bucket('s3://one', 'endpoint: "https://s3.example.com"')],
    [bucket('s3://one', 'endpoint: "http://127.0.0.1:9000"'), bucket('s3://one', 'endpoint: "http://127.0.0.1:9001"')], [bucket('s3://one', 'region: cn-north-1'), bucket('s3://one')],
  ] as const) checkOverlap({ source: a, destination: b });
});

test('stores of different kinds never overlap; one memory store is itself', () => {
  checkOverlap({ source: bucket('s3://one'), destination: file('a') }, join(root, '.brigade'));
  refused({ kind: 'memory', name: 'm' }, { kind: 'memory', name: 'm' });
  checkOverlap({ source: { kind: 'memory', name: 'm' }, destination: { kind: 'memory', name: 'n' } });
});

test('I5, I11: a key prefix counts to the destination, with its links; it may lead out of an overlap as well as into one', () => {
  mkdirSync(join(root, 'target'));
  symlinkSync(join(root, 'a'), join(root, 'target', 'into'));
  const at = (source: Location, destination: Location, keyPrefix: string) => checkOverlap({ source, destination, transform: { keyPrefix } });
  for (const prefix of ['inner/', 'inner/deep/']) assert.throws(() => at(file('a/inner'), file('a'), prefix), { code: 'E_OVERLAP' });
  assert.throws(() => at(file('a'), file('target'), 'into/x/'), { code: 'E_OVERLAP' });
  assert.throws(() => at(file('a'), file('target'), '../a/'), { code: 'E_OVERLAP' });
  at(file('a/inner'), file('a'), 'new/');
  at(file('a'), file('target'), 'x/');
  const bucket = (prefix: string): Location => parseMigration(Buffer.from(`source: s3://one/${prefix}\ndestination: /to\n`), '/tmp/x.yml', {}).source;
  assert.throws(() => at(bucket('in/'), bucket(''), 'in/2024-'), { code: 'E_OVERLAP' });
  at(bucket('in/'), bucket(''), 'out');
});

test('truth 16: the journal of a fleet lies outside of both, and not around them', () => {
  const ends = { source: file('a'), destination: bucket('s3://one/data') };
  const journals: readonly Location[] = [file('a/journals/photos'), file('link/photos'), file('a'), bucket('s3://one/data/journals/photos'), bucket('s3://one')];
  for (const journal of journals) assert.throws(() => checkJournal(ends, journal), { code: 'E_OVERLAP', kind: 'usage', message: /the journal .* lie.* in the other/ });
  for (const journal of [file('ab'), bucket('s3://one/journals/photos'), bucket('s3://two/data')]) checkJournal(ends, journal);
  assert.throws(() => checkJournal({ ...ends, transform: { keyPrefix: 'deep/' } }, bucket('s3://one/data/deep/journal')), { code: 'E_OVERLAP' });
  checkJournal({ ...ends, transform: { keyPrefix: 'deep/' } }, bucket('s3://one/data/journal'));
});
