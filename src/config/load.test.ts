import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { errorLine, type BrigadeError } from '../core/errors.ts';
import { loadMigration, loadMigrations, parseMigration } from './load.ts';

const folder = mkdtempSync(join(tmpdir(), 'brigade-config-'));
after(() => rmSync(folder, { recursive: true }));

const examples = join(import.meta.dirname, '../../examples');
const parse = (text: string, env = {}) => parseMigration(Buffer.from(text), join(folder, 'pair.yml'), env);
const line = (run: () => unknown): string => {
  try {
    run();
  } catch (thrown) {
    return errorLine(thrown as BrigadeError).replaceAll(`${folder}/`, '');
  }
  throw new Error('was accepted');
};

for (const name of readdirSync(examples)) {
  test(`examples/${name} is a valid migration`, () => {
    const migration = loadMigration(join(examples, name), {});
    assert.match(migration.name, /^[a-z0-9-]+$/);
    assert.deepEqual(JSON.parse(JSON.stringify(migration)), migration, 'crosses processes as JSON unchanged');
  });
}

test('two lines are a migration; everything else has a default', () => {
  const { source, destination, ...rest } = parse('source: ./from\ndestination: s3://bucket/to\n');
  assert.deepEqual(source, { kind: 'file', path: join(folder, 'from') });
  assert.deepEqual(destination, {
    kind: 's3', bucket: 'bucket', prefix: 'to/', sse: 'none',
    connection: { provider: 'auto', pathStyle: 'auto', insecureTls: false, payloadSigning: 'auto', compression: 'off', checksum: 'auto', lanes: 'auto', credentials: { kind: 'default' } },
  });
  assert.deepEqual(rest, {
    name: 'pair', file: join(folder, 'pair.yml'),
    select: { include: [], exclude: [], minAgeMs: 0 },
    transform: { tags: { copy: true, set: {} }, metadata: { set: {} }, keyPrefix: '' },
    fidelity: { contentHeaders: 'report', userMetadata: 'report', tags: 'report', storageClass: 'report', mtime: 'report', mode: 'report' },
    compare: 'auto', onConflict: 'overwrite', sourceGone: 'skip', allowArchived: false, createBucket: false, requesterPays: false,
    limits: { concurrency: 'auto', listings: 'auto', largeObjects: 'auto', memory: 96 * 2 ** 20, schedule: [] },
    batch: { objects: 1000, bytes: 2 ** 30, span: 2 ** 28, seconds: 60 },
    transfer: { partSize: 'auto', partConcurrency: 'auto', serverSideCopy: 'auto', multipartThreshold: 64 * 2 ** 20, singleCopyLimit: 5 * 2 ** 30, stallTimeoutMs: 30_000, stallRate: 16_384, hedgeReads: 'auto' },
    filesystem: { names: 'verbatim', symlinks: 'skip' },
    verify: 'inline', report: { format: 'json' }, executors: 'auto',
  });
});

test('texts stay as written, typed fields take numbers and booleans in any dress', () => {
  const migration = parse(`source: { s3: "123456", prefix: 2024 }
destination: s3://to-bucket
transform: { tags: { copy: "false", set: { Year: 007, Flag: yes, Hex: 0x1F, Empty: "" } }, key_prefix: 1e3 }
limits: { requests: "500", concurrency: "\${N}" }
executors: 0
`, { N: '12' });
  assert.deepEqual(migration.transform, { tags: { copy: false, set: { Year: '007', Flag: 'yes', Hex: '0x1F', Empty: '' } }, metadata: { set: {} }, keyPrefix: '1e3' });
  assert.deepEqual([migration.limits.requests, migration.limits.concurrency, migration.executors], [500, 12, 0]);
  assert.deepEqual(migration.source.kind === 's3' && [migration.source.bucket, migration.source.prefix], ['123456', '2024/']);
});

test('an empty variable with a default drops its line; the migration is frozen', () => {
  const migration = parse('source: { url: "s3://bucket", endpoint: "${E:-}", region: "${R:-eu-west-1}" }\ndestination: /to\n');
  assert.ok(migration.source.kind === 's3' && migration.source.connection.endpoint === undefined);
  assert.equal(migration.source.connection.region, 'eu-west-1');
  assert.throws(() => Object.assign(migration.source, { kind: 'file' }), TypeError);
  assert.throws(() => (migration.select.include as string[]).push('x'), TypeError);
});

test('keys of a URL are verbatim: nothing is decoded, folded or cut', () => {
  const prefix = (url: string) => {
    const { source } = parse(`source: '${url}'\ndestination: /to\n`);
    return source.kind === 's3' ? source.prefix : undefined;
  };
  assert.equal(prefix('s3://bucket/a%41+b/'), 'a%41+b/');
  assert.equal(prefix('s3://bucket//a//../b'), '/a//../b/');
  assert.equal(prefix('s3://bucket/a?b#c/'), 'a?b#c/');
});

test('the first problem in the order of the file is told, at its line and column', () => {
  assert.equal(line(() => parse('source: /a\ndestination: /b\nverify: ful\nlimits:\n  bandwith: 5\n')), 'pair.yml:3:9: verify: "ful" is not one of none, inline, checksum, full; did you mean full? [E_CONFIG]');
  assert.equal(line(() => parse('limits:\n  bandwith: 5 MB/s\nverify: ful\nsource: /a\n')), 'pair.yml:1:1: destination: is missing; add it: s3://bucket/prefix or a path [E_CONFIG]');
  assert.equal(line(() => parse('source: /a\ndestination: /b\nlimits:\n  bandwith: 5\n')), 'pair.yml:4:3: limits.bandwith: is not a known key; did you mean bandwidth? [E_CONFIG]');
  assert.equal(line(() => parse('source: /a\ndestination: /b\nselect:\n  include:\n    - ok\n    - "[a"\n')), 'pair.yml:6:7: select.include[1]: "[a" is not a whole glob: a bracket, brace or escape is open, or a range runs backwards; close it, or escape it with \\ [E_CONFIG]');
  assert.equal(line(() => parse('source: /a\ndestination: /b\nlimits: { memory: "${M}" }\n', { M: '3 apples' })), 'pair.yml:3:19: limits.memory: "${M}" has no unit of size that we know; write a number with a unit, such as 8 MiB (2^20) or 5 MB (10^6) [E_CONFIG]');
});

test('a file or folder that is not there is one line', () => {
  assert.equal(line(() => loadMigration(join(folder, 'none.yml'), {})), 'none.yml:1:1: there is no such file; check the path, or write one with brigade init [E_CONFIG]');
  assert.match(line(() => loadMigration(folder, {})), /this is a folder, not a migration file/);
  assert.match(line(() => loadMigrations([join(folder, 'none')], {})), /there is no such file/);
});

test('a folder gives its files in order; two of one name are refused', () => {
  const pairs = join(folder, 'pairs');
  mkdirSync(pairs);
  assert.match(line(() => loadMigrations([pairs], {})), /^pairs: the folder holds no migration file; /);
  for (const name of ['b.yml', 'a.yaml', '.hidden.yml', 'notes.txt']) writeFileSync(join(pairs, name), 'source: /a\ndestination: /b\n');
  assert.deepEqual(loadMigrations([pairs], {}).map((migration) => migration.name), ['a', 'b']);
  writeFileSync(join(pairs, 'c.yml'), 'name: B\nsource: /a\ndestination: /b\n');
  assert.match(line(() => loadMigrations([pairs], {})), /^pairs\/c\.yml:1:1: name: "B" is also the name of pairs\/b\.yml/);
});

test('limits.schedule: windows in the words of an operator (S2.6, S4.35)', () => {
  const { limits } = parse(`source: /a
destination: /b
limits:
  timezone: Europe/Berlin
  schedule:
    - { days: Mon-Fri, from: 8:00, to: 18:00, bandwidth: 50 Mbit/s, requests: 100/s }
    - { days: [sat, sunday], from: 00:00, to: 24:00, bandwidth: unlimited }
    - { from: 22:00, to: 06:00, bandwidth: pause }
`);
  assert.deepEqual(limits.schedule, [
    { days: [1, 2, 3, 4, 5], from: 480, to: 1080, bandwidth: 6_250_000, requests: 100 },
    { days: [6, 0], from: 0, to: 1440, bandwidth: null },
    { days: [0, 1, 2, 3, 4, 5, 6], from: 1320, to: 360, bandwidth: 0 },
  ]);
  assert.equal(limits.timezone, 'Europe/Berlin');
  assert.equal(line(() => parse('source: /a\ndestination: /b\nlimits:\n  schedule:\n    - days: overnight\n')), 'pair.yml:5:7: limits.schedule[0].days: has a day that we do not know: overnight; write sun, mon, tue, wed, thu, fri, sat, a span such as mon-fri, a list of them, or every day [E_CONFIG]');
});
