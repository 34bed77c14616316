/** Broken command lines: each is exactly one line on stderr, exit 2, nothing on stdout, no request (I7, F092). */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { brigade, tempFolder } from './fixture.test.ts';

let requests = 0;
const server = createServer((socket) => { requests++; socket.destroy(); });
const folder = tempFolder();
let endpoint = '';

before(async () => {
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  folder.write('good.yml', 'source: ./from\ndestination: ./to\nexecutors: 0\n');
  folder.write('s3.yml', `source: { s3: bucket, endpoint: "${endpoint}", credentials: "env:NOT_SET_ANYWHERE" }\ndestination: ./to\n`);
  folder.write('unknown-key.yml', 'sorce: ./from\ndestination: ./to\n');
  folder.write('inside.yml', 'source: ./from\ndestination: ./from/to\n');
  folder.write('same.yml', 'source: ./from\ndestination: ./from/\n');
  folder.write('state-inside.yml', 'source: .\ndestination: /tmp/never-made\n');
  folder.write('from/one', '1');
  folder.write('.brigade/torn/ledger.db', 'this is not a database at all, but long enough to look at');
  folder.write('twice/a.yml', 'sorce: x\n');
  folder.write('twice/b.yml', 'source: x\n');
  mkdirSync(join(folder.path, 'nothing'));
});
after(() => {
  server.close();
  folder[Symbol.dispose]();
});

/** The line, as typed; the words that its message must hold. `ENDPOINT` is a server that counts. */
const CORPUS: readonly (readonly [args: readonly string[], expected: RegExp])[] = [
  [[], /no command was given; write one of init, doctor/],
  [['rnu'], /"rnu" is not a command; did you mean brigade run/], [['Run', 'good.yml'], /did you mean brigade run/], [['sync', 'a', 'b'], /"sync" is not a command; known: init/],
  [['stats'], /did you mean brigade status/], [['ls'], /is not a command/], [['help', 'nope'], /"nope" is not a command/], [['ledger'], /ledger: no command was given; write one of backup, prune/],
  [['ledger', 'bakcup', 'x'], /did you mean brigade ledger backup/], [['ledger', 'backup'], /NAME is missing/], [['ledger', 'backup', 'x'], /TARGET is missing/], [['ledger', 'prune'], /NAME is missing/],
  [['ledger', 'backup', 'x', '/tmp/y', 'z'], /too many arguments: 3 where 2 belong/],
  [['--bogus'], /"--bogus" is not an option here/], [['--stat', 'x', 'runs'], /did you mean --state/], [['run', '--nwe', 'good.yml'], /did you mean --new/], [['run', 'good.yml', '--drian', '3s'], /did you mean --drain/],
  [['run', 'good.yml', '-x'], /"-x" is not an option here/], [['run', 'good.yml', '--delete'], /is not an option here/], [['runs', '--new'], /"--new" is not an option here/], [['version', '--stat', 'x'], /did you mean --state/],
  [['run'], /FILE\|DIR is missing; write brigade run FILE/], [['doctor'], /FILE is missing/], [['plan'], /FILE is missing/], [['copy'], /SRC is missing/], [['copy', 'from'], /DST is missing/], [['objects'], /RUN is missing/], [['retry'], /RUN\|FILE is missing/],
  [['verify'], /RUN\|FILE is missing/], [['report'], /RUN is missing/], [['completion'], /SHELL is missing/], [['plan', 'good.yml', 'other.yml'], /too many arguments/], [['status', 'a', 'b'], /too many arguments/], [['version', 'now'], /too many arguments/],
  [['runs', '--state'], /--state.*has no value/], [['run', 'good.yml', '--log-file'], /--log-file.*has no value/], [['runs', '--state', ''], /--state: has no value/], [['runs', '-o', 'xml'], /"xml" is not one of table, json, ndjson/], [['runs', '-o', 'jsno'], /did you mean json/],
  [['run', 'good.yml', '--progress', 'bars'], /did you mean bar/], [['run', 'good.yml', '--on-pause', 'sleep'], /not one of auto, exit, wait/], [['run', 'good.yml', '--drain', '15'], /"15" .*write --drain 15s/], [['run', 'good.yml', '--drain', 'soon'], /is not a duration/],
  [['objects', 'x', '--limit', '0'], /not a whole number from 1/], [['objects', 'x', '--limit', 'ten'], /not a whole number/], [['objects', 'x', '--limit', '-5'], /not a whole number/], [['objects', 'x', '--state', 'failled'], /did you mean failed/], [['objects', 'x', '--state', '/some/dir'], /is not one of pending, copied/],
  [['verify', 'x', '--level', 'deep'], /not one of none, inline, checksum, full/], [['report', 'x', '-o', 'table'], /not one of text, json, csv, ndjson/], [['report', 'x', '-o', 'html'], /not one of text/], [['ledger', 'prune', 'x', '--keep', 'all'], /not a whole number/], [['completion', 'tcsh'], /"tcsh" is not one of bash, zsh, fish/],
  [['run', 'missing.yml'], /missing\.yml:1:1: there is no such file/], [['run', 'unknown-key.yml'], /unknown-key\.yml:1:1: /], [['doctor', 'missing.yml'], /there is no such file/], [['plan', 'unknown-key.yml'], /unknown-key\.yml:1:1/], [['run', 'nothing'], /no migration file found in nothing/], [['run', 'from'], /no migration file found in from/],
  [['run', ''], /argument 1 is empty/], [['copy', 'from', ''], /argument 2 is empty/], [['run', 'good.yml', ''], /argument 2 is empty/], [['run', 'inside.yml'], /are the same or one lies in the other/], [['run', 'same.yml'], /are the same or one lies in the other/], [['run', 'state-inside.yml', '--progress', 'none'], /choose another folder with --state/],
  [['run', 'good.yml', '--log-file', 'no/such/folder/log'], /log file cannot be opened \(ENOENT\)/], [['init', 'no/such/folder/x.yml'], /cannot be written \(ENOENT\)/], [['init', 'good.yml'], /a file of this name exists/],
  [['status', 'nobody'], /there is no run of "nobody"/], [['status', 'bad name'], /does not name a run/], [['status', 'x@0'], /does not name a run/], [['status', 'x@'], /does not name a run/], [['objects', '../x'], /does not name a run/], [['report', 'nobody@3'], /there is no run of "nobody"/],
  [['retry', 'nobody'], /there is no run of "nobody"/], [['retry', 'missing.yml'], /there is no such file/], [['verify', 'good.yml'], /there is no run of "good"/], [['verify', 'nobody@1'], /there is no run of "nobody"/], [['retry', 'a/b'], /there is no such file/], [['ledger', 'backup', 'nobody', 'x.db'], /there is no run of "nobody"/], [['ledger', 'prune', 'nobody'], /there is no run of "nobody"/],
  [['copy', 'from', 'from'], /are the same or one lies in the other/], [['copy', 'from', 'from/below'], /are the same or one lies in the other/], [['copy', 's4://b/x', 'to'], /did you mean s3/], [['copy', 's3://', 'to'], /names no bucket/], [['copy', 'from', 'ftp://host/x'], /DST: /], [['copy', 'from', 'to', '--verify', 'maybe'], /--verify: /],
  [['copy', 'from', 'to', '--bandwidth', '50'], /--bandwidth: /], [['copy', 'from', 'to', '--on-conflict', 'ask'], /--on-conflict: /], [['copy', 'from', 'to', '--executors', 'many'], /--executors: /], [['copy', 'from', 'to', '--name', 'a/b'], /is not a name/], [['copy', 'from', 'to', '--source-endpoint', 'ENDPOINT'], /has no meaning/],
  [['copy', 's3://bucket/', 'to', '--source-endpoint', 'host:9000'], /not the URL of a server/], [['copy', 's3://bucket/', 'to', '--source-endpoint', 'ENDPOINT', '--source-provider', 'mino'], /did you mean minio/], [['copy', 's3://bucket/', 'to', '--source-credentials', 'AKIAIOSFODNN7EXAMPLE'], /inline value|reference/],
  [['copy', 's3://bucket/a', 's3://bucket/a/b', '--source-endpoint', 'ENDPOINT', '--destination-endpoint', 'ENDPOINT'], /are the same or one lies in the other/], [['copy', 's3://AKIAIOSFODNN7EXAMPLE:x@bucket/', 'to'], /credentials/], [['run', 's3.yml', '--progress', 'none'], /NOT_SET_ANYWHERE/],
];

for (const [args, expected] of CORPUS) {
  test(`brigade ${args.join(' ')}`, async () => {
    const { exit, out, err } = await brigade(folder.path, args.map((arg) => arg.replaceAll('ENDPOINT', endpoint)));
    assert.equal(exit, 2, err);
    assert.equal(out, '');
    assert.match(err, /^brigade: [^\n]+ \[E_[A-Z_0-9]+\]\n$/);
    assert.match(err, expected);
    assert.doesNotMatch(err, /\n\s+at |AKIAIOSFODNN7EXAMPLE/);
  });
}

test('a ledger that is none is one line', async () => {
  const { exit, err } = await brigade(folder.path, ['status', 'torn']);
  assert.ok(exit === 2 || exit === 70, String(exit));
  assert.match(err, /^brigade: [^\n]+ \[E_[A-Z_0-9]+\]\n$/);
});

test('F092: the corpus holds at least 60 broken lines, and none of them sent a request', () => {
  assert.ok(CORPUS.length >= 60, String(CORPUS.length));
  assert.equal(requests, 0);
});

test('help and version are results: on stdout, exit 0', async () => {
  for (const args of [['--help'], ['help'], ['run', '--help'], ['help', 'copy'], ['help', 'ledger', 'prune'], ['ledger', '--help'], ['version'], ['--version'], ['-V'], ['version', '-o', 'json']]) {
    const { exit, out, err } = await brigade(folder.path, args);
    assert.deepEqual([exit, err], [0, ''], args.join(' '));
    assert.ok(out.length > 10, args.join(' '));
  }
});
