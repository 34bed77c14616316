import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorLine, type BrigadeError } from '../core/errors.ts';
import { migrationFromFlags, parseLocation, type CopyFlags } from './ad-hoc.ts';

const copy = (src: string, dst: string, flags: CopyFlags = {}, env = {}) => migrationFromFlags(src, dst, flags, { env, cwd: '/work' });
const line = (run: () => unknown): string => {
  try {
    run();
  } catch (thrown) {
    assert.equal((thrown as BrigadeError).code, 'E_CONFIG');
    return errorLine(thrown as BrigadeError);
  }
  throw new Error('was accepted');
};

test('places as arguments', () => {
  assert.deepEqual(parseLocation('s3://bucket/a/b', '/work'), { kind: 's3', bucket: 'bucket', prefix: 'a/b/', maybeObject: 'a/b' });
  assert.deepEqual(parseLocation('s3://bucket/a/', '/work'), { kind: 's3', bucket: 'bucket', prefix: 'a/' });
  assert.deepEqual(parseLocation('s3://bucket', '/work'), { kind: 's3', bucket: 'bucket', prefix: '' });
  assert.deepEqual(parseLocation('data/../x', '/work'), { kind: 'file', path: '/work/x' });
  assert.deepEqual(parseLocation('file:///srv/a%20b', '/work'), { kind: 'file', path: '/srv/a b' });
  assert.deepEqual(parseLocation('synthetic://?count=1000000&seed=7&size=10', '/work'), { kind: 'synthetic', count: 1_000_000, seed: 7, size: 10 });
  assert.match(line(() => parseLocation('s4://x', '/work', 'DST')), /^DST: "s4:\/\/x" has the scheme/);
});

test('SRC, DST and flags become a migration', () => {
  const migration = copy('s3://bucket/a', './to', { source: { endpoint: 'http://127.0.0.1:9000', region: 'us-east-1', pathStyle: true }, options: { verify: 'full', limits: { bandwidth: '50 Mbit/s' } } });
  assert.ok(migration.source.kind === 's3' && migration.destination.kind === 'file');
  assert.deepEqual([migration.source.maybeObject, migration.source.connection.endpoint, migration.source.connection.pathStyle], ['a', 'http://127.0.0.1:9000', true]);
  assert.deepEqual([migration.destination.path, migration.verify, migration.limits.bandwidth, migration.file], ['/work/to', 'full', 6_250_000, undefined]);
});

test('the same two places have the same name, others another', () => {
  assert.equal(copy('/a', '/b').name, copy('../a', '/b', { options: { verify: 'full' } }).name);
  assert.notEqual(copy('/a', '/b').name, copy('/a', '/c').name);
  assert.notEqual(copy('s3://bucket', '/b').name, copy('s3://bucket', '/b', { source: { endpoint: 'http://x' } }).name);
  assert.match(copy('/a', '/b').name, /^copy-[0-9a-f]{12}$/);
});

test('credentials come from BRIGADE_… as references, else the default chain; flags win', () => {
  const env = { BRIGADE_SOURCE_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE', BRIGADE_SOURCE_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
  const { source, destination } = copy('s3://one', 's3://two', { destination: { credentials: 'profile:x' } }, env);
  assert.ok(source.kind === 's3' && destination.kind === 's3');
  assert.deepEqual(source.connection.credentials, {
    kind: 'keys', accessKeyId: { from: 'env', name: 'BRIGADE_SOURCE_ACCESS_KEY_ID' }, secretAccessKey: { from: 'env', name: 'BRIGADE_SOURCE_SECRET_ACCESS_KEY' },
    sessionToken: { from: 'env', name: 'BRIGADE_SOURCE_SESSION_TOKEN', optional: true },
  });
  assert.deepEqual(destination.connection.credentials, { kind: 'profile', name: 'x' });
  const plain = copy('s3://one', '/b').source;
  assert.deepEqual(plain.kind === 's3' && plain.connection.credentials, { kind: 'default' });
  assert.equal(copy('/a', '/b', {}, env).source.kind, 'file');
});

test('F092: a wrong flag is one line that names it, and no secret comes back', () => {
  const cases: readonly [() => unknown, RegExp][] = [
    [() => copy('', '/b'), /^SRC: is empty; /], [() => copy('/a', 's3://'), /^DST: "s3:\/\/" names no bucket; /], [() => copy('/a', 'synthetic://'), /^DST: is a synthetic store/],
    [() => copy('/a', '/b', { source: { endpoint: 'http://x' } }), /^--source-endpoint: has no meaning/], [() => copy('s3://one', '/b', { source: { endpoint: 'x' } }), /^--source-endpoint: is not the URL/],
    [() => copy('s3://one', '/b', { source: { provider: 'mino' } }), /^--source-provider: "mino" .* did you mean minio\?/], [() => copy('/a', '/b', { options: { limits: { bandwidth: '5' } } }), /^--bandwidth: "5" is not a bandwidth/],
    [() => copy('/a', '/b', { options: { on_conflict: 'skip' } }), /^--on-conflict: "skip"/], [() => copy('s3://one', '/b', { source: { credentials: 'AKIAIOSFODNN7EXAMPLE' } }), /^--source-credentials: holds an inline value/], [() => copy('/a', '/b', { name: 'a/b' }), /^--name: "a\/b" is not a name/],
  ];
  for (const [run, expected] of cases) {
    const shown = line(run);
    assert.match(shown, expected);
    assert.doesNotMatch(shown, /AKIA|\n/);
  }
});
