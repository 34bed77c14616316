/** What a run says at its end, to people and to programs: exit codes, sums, reasons, and never a secret or a key that moves the cursor. */
import assert from 'node:assert/strict';
import { lstatSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { RequestHook } from '../../src/agent/endpoint.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { noGuard } from '../../src/agent/conditions.ts';
import { Lab } from './failures-lab.ts';

const poison = (...keys: readonly string[]): RequestHook => ({ operation, bucket, key }) => (operation === 'GetObject' && bucket === 'from' && keys.includes(key) ? { code: 'AccessDenied' } : undefined);
const numbered = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `k${String(from + i).padStart(5, '0')}`);

async function lines(lab: Lab, ...argv: readonly string[]): Promise<string[]> {
  const { out } = await lab.command(...argv);
  return out.trimEnd().split('\n');
}

describe('exit codes', () => {
  test('F088: one object of many that failed is exit 1 by every command that tells of the run', async () => {
    const lab = await Lab.open({ onRequest: poison('k00007') });
    await lab.putMany(30);
    const file = lab.write();
    assert.equal((await lab.command('run', file, '--state', lab.state, '--progress', 'none')).exit, 1);
    assert.equal((await lab.command('run', file, '--state', lab.state, '--progress', 'none')).exit, 1, 'the next run fails at it again');
    assert.equal((await lab.command('retry', 'pair', '--state', lab.state, '--progress', 'none')).exit, 1);
    lab.endpoint.setHook(undefined);
    assert.equal((await lab.command('retry', 'pair', '--state', lab.state, '--progress', 'none')).exit, 0);
    assert.equal(lab.keys('dest').length, 30);
  });

  test('F089: nothing to migrate is exit 0 with a notice, exit 1 with --require-objects', async () => {
    const lab = await Lab.open();
    const file = lab.write();
    const plain = await lab.command('run', file, '--state', lab.state, '--progress', 'none');
    assert.equal(plain.exit, 0);
    assert.match(plain.err, /no object to migrate at s3:\/\/from.*E_NO_OBJECTS/);
    assert.equal((await lab.command('run', file, '--state', lab.state, '--progress', 'none', '--require-objects')).exit, 1);
  });

  test('F092: mistakes of the file and the command are one line with place and fix, exit 2, no request', async () => {
    const lab = await Lab.open();
    const broken = ['source: s3://from\ndestination: s3://from', 'sorce: s3://from', 'source: { s3: from, prefix: ["x"] }\ndestination: /tmp/x', '', '- 1'];
    for (const [i, text] of broken.entries()) {
      const file = join(lab.dir, `broken${i}.yml`);
      writeFileSync(file, text);
      const { exit, err, out } = await lab.command('run', file, '--state', lab.state, '--progress', 'none');
      assert.deepEqual([exit, out, err.trimEnd().split('\n').length], [2, '', 1], `${text}: ${err}`);
      assert.match(err, /^brigade: .*broken\d\.yml:\d+:\d+: .*; .*\[E_/);
    }
    for (const argv of [['run'], ['rum'], ['run', '--on-pause', 'x', 'f'], ['copy', 's3://from'], ['run', join(lab.dir, 'none.yml')]]) assert.equal((await lab.command(...argv)).exit, 2, argv.join(' '));
    assert.equal(lab.proxy.requests(), 0);
  });
});

describe('the account', () => {
  test('F090: the sums of the report are those of the two buckets, state by state, bytes included', async () => {
    const lab: Lab = await Lab.open({ onRequest: (info) => {
      if (info.operation === 'GetObject' && info.bucket === 'from' && info.key === 'k00003') lab.layout.remove('from', info.key, 'null', noGuard);
      return poison('k00001', 'k00002')(info);
    } });
    await lab.putMany(40);
    await lab.put('cold', 'xyz', { storageClass: 'GLACIER' });
    await lab.putAt('dest', 'theirs', 'not ours');
    for (const key of numbered(30, 40)) {
      const version = lab.layout.entry('from', key)?.versions[0];
      if (version !== undefined) lab.layout.put('dest', version, noGuard);
    }
    const sum = (bucket: string, keys: readonly string[]): number => keys.reduce((total, key) => total + (lab.bytes(bucket, key)?.length ?? 0), 0);
    const listed = lab.keys('from');
    const listedBytes = sum('from', listed);
    const gone = lab.bytes('from', 'k00003')?.length ?? 0;
    const { exit, out } = await lab.command('run', lab.write({ more: 'compare: checksum' }), '--state', lab.state, '--progress', 'none', '-o', 'json');
    const { tally } = JSON.parse(out) as { tally: Record<string, { objects: number; bytes: number }> };
    const of = (state: string): [number, number] => [tally[state]?.objects ?? -1, tally[state]?.bytes ?? -1];
    assert.equal(exit, 1);
    assert.deepEqual(of('listed'), [listed.length, listedBytes]);
    assert.deepEqual(of('copied'), [27, sum('dest', [...numbered(0, 1), ...numbered(4, 30)])]);
    assert.deepEqual(of('unchanged'), [10, sum('dest', numbered(30, 40))]);
    assert.deepEqual(of('failed'), [2, sum('from', ['k00001', 'k00002'])]);
    assert.deepEqual(of('skipped'), [2, 3 + gone]);
    assert.deepEqual(of('extra'), [1, 8]);
  });

  test('F091: the last lines hold the counts, the failures with key, code and fix, at most ten, and the next command', async () => {
    const bad = numbered(1, 13);
    const lab = await Lab.open({ onRequest: poison(...bad) });
    await lab.putMany(20);
    const text = (await lines(lab, 'run', lab.write(), '--state', lab.state, '--progress', 'none')).join('\n');
    assert.match(text, /failed +12/);
    for (const key of bad.slice(0, 10)) assert.ok(text.includes(key), key);
    assert.ok(!text.includes('k00012'), 'ten and no more');
    assert.match(text, /E_ACCESS_DENIED/);
    assert.match(text, /s3:GetObject/);
    assert.match(text, /brigade .*(retry|objects|report)/);
    assert.ok(text.split('\n').length < 60);
  });
});

describe('verification', () => {
  const LIES: readonly (readonly [what: string, lie: (bytes: Buffer, random: () => number) => Buffer | undefined])[] = [
    ['garbage of the right size', (bytes, random) => Buffer.from(bytes.map(() => random() * 256))],
    ['one byte less', (bytes) => bytes.subarray(0, -1)],
    ['one byte more', (bytes) => Buffer.concat([bytes, Buffer.from('x')])],
    ['zeroes of the right size', (bytes) => Buffer.alloc(bytes.length)],
    ['one bit', (bytes, random) => { const copy = Buffer.from(bytes); const at = Math.floor(random() * bytes.length); copy[at] = (copy[at] ?? 0) ^ (1 << Math.floor(random() * 8)); return copy; }],
    ['nothing', (bytes) => bytes.subarray(0, 0)],
    ['another object', (_, random) => Buffer.from(`content of k${String(100 + Math.floor(random() * 99)).padStart(5, '0')}`)],
    ['removed', () => undefined],
  ];

  test('F093: verify finds every kind of damage done behind the copier\'s back under the same ETag, and nothing else', async () => {
    const lab = await Lab.open({ behaviours: { defaultChecksum: 'none' } });
    const keys = await lab.putMany(80);
    const state = ['--state', lab.state];
    assert.equal((await lab.command('run', lab.write({ connection: 'checksum: none' }), ...state, '--progress', 'none')).exit, 0);
    assert.equal((await lab.command('verify', 'pair', ...state, '--level', 'full')).exit, 0, 'nothing where nothing is wrong');
    const random = seededRandom(93);
    const hit = new Map<string, string>();
    for (const [i, key] of keys.entries()) {
      const [what, lie] = LIES[i % (2 * LIES.length)] ?? [];
      const found = lab.layout.entry('dest', key)?.versions[0];
      if (what === undefined || lie === undefined || found === undefined) continue;
      const bytes = lie(lab.bytes('dest', key) ?? Buffer.alloc(0), () => random.next());
      lab.layout.remove('dest', key, 'null', noGuard);
      if (bytes !== undefined) await lab.putAt('dest', key, bytes, { etag: found.etag, checksum: undefined });
      hit.set(key, what);
    }
    const { exit, out } = await lab.command('verify', 'pair', ...state, '--level', 'full', '-o', 'json');
    assert.deepEqual([exit, hit.size], [3, 40]);
    for (const key of keys) assert.equal(out.includes(`"${key}"`), hit.has(key), `${key}: ${hit.get(key) ?? 'sound'}`);
  });
});

describe('what must not come out', () => {
  const CANARY = { id: 'AKIACANARY7QZP3W', secret: 'cAnArY/sEcReT+key=0123456789abcdefZZ', token: 'FwoCANARYtoken//session+token==987654' };

  function everyForm(secret: string): string[] {
    const url = encodeURIComponent(secret);
    const base64 = [0, 1, 2].map((shift) => Buffer.from(`${'x'.repeat(shift)}${secret}`).toString('base64').slice(shift === 0 ? 0 : 4, -4));
    return [secret, url, encodeURIComponent(url), JSON.stringify(secret).slice(1, -1), Buffer.from(secret).toString('hex'), ...base64, secret.slice(4, 24)];
  }

  function filesBelow(path: string): string[] {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? filesBelow(join(path, entry.name)) : [join(path, entry.name)]));
  }

  test('F115: secrets stand in no artefact: ledger, state, log at debug level, stdout, stderr, reports, in no encoding', async () => {
    const keys = [{ id: CANARY.id, secret: CANARY.secret, sessionToken: CANARY.token }];
    let reads = 0;
    const echo: RequestHook = ({ operation, headers }) => {
      if (operation !== 'GetObject') return undefined;
      // A store that repeats what it was sent: its words reach our messages.
      const said = `${headers.get('authorization')} ${headers.get('x-amz-security-token')} ${CANARY.secret}`;
      return ++reads % 5 === 0 ? { code: 'InternalError', message: said } : reads % 7 === 0 ? { code: 'AccessDenied', message: `no: ${said}` } : undefined;
    };
    const lab = await Lab.open({ accessKeys: keys, onRequest: echo, env: { ID: CANARY.id, SECRET: CANARY.secret, TOKEN: CANARY.token, BRIGADE_DEBUG: '1' } });
    await lab.putMany(40);
    const file = lab.write({ more: `report: { file: "${join(lab.dir, 'report.json')}", format: json }` });
    const text = readFileSync(file, 'utf8').replaceAll('secret_access_key: env:SECRET', 'secret_access_key: env:SECRET, session_token: env:TOKEN');
    writeFileSync(file, text);
    const said: string[] = [];
    const log = join(lab.dir, 'run.log');
    for (const argv of [
      ['doctor', file], ['plan', file], ['run', file, '-v', '--log-file', log, '--progress', 'plain'], ['run', file, '-v', '--log-file', log, '--progress', 'json', '-o', 'json'],
      ['status'], ['objects', 'pair', '-o', 'json'], ['report', 'pair', '-o', 'csv'], ['verify', 'pair', '--level', 'full'], ['retry', 'pair', '-v', '--log-file', log],
    ]) {
      const { out, err } = await lab.command('--state', lab.state, ...argv);
      said.push(out, err);
    }
    assert.ok(reads > 40);
    keys[0] = { ...CANARY, sessionToken: 'another' };
    const refused = await lab.command('run', file, '--state', lab.state, '-v', '--log-file', log);
    said.push(refused.out, refused.err);
    const artefacts = [...filesBelow(lab.state), log, join(lab.dir, 'report.json')].map((path) => [path, readFileSync(path)] as const);
    assert.ok(artefacts.length >= 4 && lstatSync(log).size > 1000, 'there is something to search');
    for (const [path, bytes] of [...artefacts, ['stdout and stderr', Buffer.from(said.join('\n'))] as const]) {
      for (const secret of [CANARY.secret, CANARY.token]) for (const form of everyForm(secret)) assert.equal(bytes.includes(form), false, `${path} holds a secret as ${form.slice(0, 6)}…`);
      assert.doesNotMatch(bytes.toString('latin1'), /X-Amz-Signature=|Signature=[0-9a-f]{64}/i, String(path));
    }
  });

  test('F118: hostile keys and metadata names come out of every command as printable text, one line each, and as inert CSV cells', async () => {
    const hostile = ['\u001b[2J\u001b[1;1Hgone', 'a\nfailed 0', 'b\r\u0007bell', '\u202egnp.exe', '\u009b31m', '=cmd|\' /C calc\'!A0', '+1', '-1', '@SUM(A1)', '"quoted",cell', '__proto__', 'constructor', '\u2028line', `${'long'.repeat(250)}`];
    const lab = await Lab.open({ onRequest: poison(...hostile) });
    await lab.put('\u0001first');
    for (const key of hostile) await lab.put(key, 'x', { meta: new Map([['__proto__', 'polluted'], ['constructor', 'x']]) });
    await lab.put('fine', 'x', { meta: new Map([['__proto__', 'polluted'], ['constructor', 'x']]) });
    const log = join(lab.dir, 'run.log');
    const file = lab.write();
    const said: Record<string, string> = {};
    for (const argv of [['run', file, '-v', '--log-file', log, '--progress', 'plain'], ['objects', 'pair', '--class', 'object', '-o', 'ndjson'], ['objects', 'pair'], ['report', 'pair'], ['report', 'pair', '-o', 'csv'], ['report', 'pair', '-o', 'ndjson'], ['status', 'pair']]) {
      const { out, err } = await lab.command('--state', lab.state, ...argv);
      said[argv.join(' ')] = out + err;
    }
    said['log'] = readFileSync(log, 'utf8');
    for (const [what, text] of Object.entries(said)) {
      assert.doesNotMatch(text.replaceAll('\r\n', '\n'), /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202a-\u202e]/, what);
      assert.ok(!text.split('\n').some((line) => line.startsWith('failed 0')), what);
    }
    const csv = said['report pair -o csv'] ?? '';
    assert.match(csv, /cmd/);
    assert.ok(!csv.split('\n').some((line) => line.split(',').some((cell) => /^"?[=+@-]/.test(cell))), csv);
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
    assert.equal(lab.layout.entry('dest', 'fine')?.versions[0]?.meta.get('__proto__'), 'polluted');
    for (const line of (said['log'] ?? '').trimEnd().split('\n')) JSON.parse(line);
    rmSync(log);
  });
});
