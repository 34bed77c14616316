/** Bodies that are cut, silent, long or changed on the way, each on a whole run over a store that goes wrong. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { KiB, MiB } from '../../src/core/units.ts';
import type { Rule } from '../../src/faults/rules.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { Lab, retriesOf, stateOf } from './failures-lab.ts';

const pattern = (size: number, seed = 7): Buffer => {
  const bytes = Buffer.allocUnsafe(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * seed + (i >> 8) + (i >> 16)) & 0xff;
  return bytes;
};

const reads = { operation: 'GetObject', bucket: 'from' } as const;
const PARTS = 'transfer: { server_side_copy: never, multipart_threshold: 1 MiB, part_size: 5 MiB }';

describe('a body that ends too early', () => {
  test('F001: cut again and again it goes on with Range and If-Match where it stopped, and arrives whole', async () => {
    const lab = await Lab.open({ rules: [{ name: 'cut', match: { ...reads, key: 'big' }, fault: { kind: 'cut', after: 200 * KiB }, max: 12 }] });
    const content = pattern(2 * MiB);
    await lab.put('big', content);
    await lab.put('other');
    const ended = await lab.run();
    assert.deepEqual([ended.exit, stateOf(ended, 'big'), stateOf(ended, 'other')], [0, 'copied', 'copied']);
    assert.deepEqual(lab.bytes('dest', 'big'), content);
    const resumes = lab.requests.filter(({ operation, key, headers }) => operation === 'GetObject' && key === 'big' && headers.has('range'));
    assert.ok(resumes.length >= 8, `${resumes.length} resumes`);
    assert.ok(resumes.every(({ headers }) => headers.has('if-match')), 'each resume is pinned');
    assert.equal(ended.rows.get('big')?.attempts, 1, 'resumes are no attempts');
  });

  test('F001: without any progress it is failed:E_SHORT_READ, nothing is committed, and the others arrive', async () => {
    const lab = await Lab.open({ rules: [{ name: 'cut', match: { ...reads, key: 'big' }, fault: { kind: 'cut', after: 0 } }] });
    await lab.put('big', pattern(300 * KiB));
    await lab.put('other');
    const ended = await lab.run();
    assert.deepEqual([ended.exit, stateOf(ended, 'big'), stateOf(ended, 'other')], [1, 'failed:E_SHORT_READ', 'copied']);
    assert.deepEqual(lab.keys('dest'), ['other']);
    assert.equal(lab.proxy.counter('cut').fired, 5 * 6, 'five attempts of one read and five resumes');
  });

  test('F002: a body that falls silent is left after the idle time, resumed, and counted as a stall', async () => {
    const lab = await Lab.open({ rules: [{ name: 'stall', match: { ...reads, key: 'big' }, fault: { kind: 'stall', after: 100 * KiB }, max: 1 }] });
    const content = pattern(MiB);
    await lab.put('big', content);
    const ended = await lab.run();
    assert.deepEqual([ended.exit, stateOf(ended, 'big')], [0, 'copied']);
    assert.deepEqual(lab.bytes('dest', 'big'), content);
    assert.ok(ended.totals.stalls >= 1, 'the stall is in the account');
  });

  test('F002: a body in a trickle among quick ones is asked for once more over another connection; whoever is first, it arrives whole', async () => {
    // By itself it would take half a minute.
    const lab = await Lab.open({ rules: [{ name: 'drip', match: { ...reads, key: 'k00030' }, fault: { kind: 'drip', bytes: 16 * KiB, ms: 500 }, max: 1 }] });
    const contents = [pattern(MiB, 3), pattern(MiB, 11)] as const;
    const keys = Array.from({ length: 80 }, (_, i) => `k${String(i).padStart(5, '0')}`);
    for (const [i, key] of keys.entries()) await lab.put(key, contents[i & 1]);
    const ended = await lab.run({ more: 'limits: { concurrency: 6 }' }, {}, { clock: systemClock() });
    assert.deepEqual([ended.exit, ended.rows.get('k00030')?.attempts, ended.totals.hedges], [0, 1, { sent: 1, won: 1 }]);
    for (const [i, key] of keys.entries()) assert.ok(lab.bytes('dest', key)?.equals(contents[i & 1] as Buffer), key);
    const gets = lab.requests.filter(({ operation, bucket, key }) => operation === 'GetObject' && bucket === 'from' && key === 'k00030');
    assert.deepEqual(gets.map(({ headers }) => [headers.has('if-match'), headers.has('range')]), [[true, false], [true, true]], 'the rest of the same version');
  });

  test('F002: with `hedge_reads: never` a body in a trickle among quick ones is waited for, and nothing is asked twice', async () => {
    const lab = await Lab.open({ rules: [{ name: 'drip', match: { ...reads, key: 'k00030' }, fault: { kind: 'drip', bytes: 16 * KiB, ms: 60 }, max: 1 }] });
    const content = pattern(MiB, 3);
    for (let i = 0; i < 80; i++) await lab.put(`k${String(i).padStart(5, '0')}`, content);
    const ended = await lab.run({ more: 'limits: { concurrency: 6 }\ntransfer: { hedge_reads: never, server_side_copy: never }' }, {}, { clock: systemClock() });
    assert.deepEqual([ended.exit, ended.rows.get('k00030')?.attempts, ended.totals.hedges], [0, 1, { sent: 0, won: 0 }]);
    assert.ok(lab.bytes('dest', 'k00030')?.equals(content));
  });

  test('F003: without Content-Length the listed size decides: short is resumed, never taken as whole', async () => {
    const lab = await Lab.open({ rules: [{ name: 'short', match: { ...reads, key: 'big' }, fault: { kind: 'short close', after: 100 * KiB }, max: 2 }, { name: 'no length', match: { ...reads, key: 'whole' }, fault: { kind: 'short close', after: MiB } }] });
    await lab.put('big', pattern(300 * KiB));
    await lab.put('whole', pattern(200 * KiB, 3));
    const ended = await lab.run();
    assert.deepEqual([ended.exit, ended.tally.copied.objects], [0, 2]);
    assert.deepEqual(lab.bytes('dest', 'big'), pattern(300 * KiB));
    assert.deepEqual(lab.bytes('dest', 'whole'), pattern(200 * KiB, 3));
    assert.equal(lab.proxy.counter('short').fired, 2);
  });

  test('F003: always short without a length is failed:E_SHORT_READ', async () => {
    const lab = await Lab.open({ rules: [{ name: 'short', match: { ...reads, key: 'big' }, fault: { kind: 'short close', after: 10 } }] });
    await lab.put('big', pattern(1000));
    const ended = await lab.run();
    assert.deepEqual([ended.exit, stateOf(ended, 'big'), lab.keys('dest')], [1, 'failed:E_SHORT_READ', []]);
  });

  test('F004: refused, cut, silent and changed reads leave no socket behind', async () => {
    const lab = await Lab.open({
      rules: [
        { name: 'cut', match: { ...reads, key: /[0-3]$/ }, fault: { kind: 'cut', after: 3 }, max: 60 },
        { name: 'refused', match: { ...reads, key: /[4-6]$/ }, fault: { kind: 'status', status: 500 }, max: 60 },
        { name: 'longer', match: { ...reads, key: /7$/ }, fault: { kind: 'rewrite', edit: (text) => `${text} and more` } },
      ],
    });
    await lab.putMany(100);
    const ended = await lab.run();
    assert.equal(ended.tally.copied.objects, 90);
    await lab.proxy.close();
    await lab.endpoint.close();
    const sockets = (): string[] => process.getActiveResourcesInfo().filter((name) => /TCP|TLS/.test(name));
    for (let turn = 0; turn < 200 && sockets().length > 0; turn++) await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(sockets(), []);
  });
});

describe('a body that is not what was stored', () => {
  test('F015: a bit that turns over on the way to the destination is refused there and sent again', async () => {
    const lab = await Lab.open({ rules: [{ name: 'flip', match: { operation: /PutObject|UploadPart/, bucket: 'dest', key: /^(big|small)$/ }, fault: { kind: 'flip', on: 'write' }, max: 2 }] });
    await lab.put('small', pattern(5000));
    await lab.put('big', pattern(6 * MiB));
    const ended = await lab.run({ more: `${PARTS}\nverify: full` });
    assert.equal(lab.proxy.counter('flip').fired, 2);
    assert.deepEqual([ended.exit, ended.findings], [0, 0]);
    assert.deepEqual(lab.bytes('dest', 'small'), pattern(5000));
    assert.deepEqual(lab.bytes('dest', 'big'), pattern(6 * MiB));
  });

  test('F015: a bit that turns over on the way from a source that vouches for its bytes is found before anything stands, at any size', async () => {
    const lab = await Lab.open({ rules: ['buffered', 'streamed', 'parts'].map((key) => ({ name: key, match: { ...reads, key }, fault: { kind: 'flip', on: 'read' }, max: 1 })) });
    const sizes = { buffered: 5000, streamed: 9 * MiB, parts: 40 * MiB, fine: 5000 };
    for (const [key, size] of Object.entries(sizes)) await lab.put(key, pattern(size));
    const ended = await lab.run({ more: 'transfer: { server_side_copy: never, multipart_threshold: 20 MiB }' });
    assert.deepEqual([...['buffered', 'streamed', 'parts'].map((name) => lab.proxy.counter(name).fired), ended.exit, ended.tally.copied.objects], [1, 1, 1, 0, 4]);
    for (const [key, size] of Object.entries(sizes)) assert.ok(lab.bytes('dest', key)?.equals(pattern(size)), key);
  });

  test('F015: a bit that turns over on the way from a source that vouches for nothing is a finding of verify: full, at any size', async () => {
    const lab = await Lab.open({ rules: [{ name: 'flip', match: { ...reads, key: /^(big|small)$/ }, fault: { kind: 'flip', on: 'read' }, nth: [1, 2] }] });
    for (const [key, size] of [['small', 5000], ['big', 200 * KiB], ['fine', 5000]] as const) await lab.put(key, pattern(size), { checksum: undefined });
    const ended = await lab.run({ more: 'verify: full' });
    assert.deepEqual([lab.proxy.counter('flip').fired, ended.findings, ended.exit], [2, 2, 3]);
  });

  test('F017: ETags that are no MD5 on both sides: copied once, proven, and nothing is copied again', async () => {
    const lab = await Lab.open({ behaviours: { defaultChecksum: 'none' } });
    await lab.put('kms', pattern(3000), { etag: 'f'.repeat(32), checksum: undefined });
    await lab.put('multipart', pattern(4000), { etag: `${'a'.repeat(32)}-2`, checksum: undefined });
    const setup = { destination: '{ s3: dest, connection: here, sse: "aws:kms" }', more: 'verify: checksum' };
    const first = await lab.run(setup);
    assert.deepEqual([first.exit, first.tally.copied.objects, first.findings], [0, 2, 0]);
    const second = await lab.run(setup);
    assert.deepEqual([second.exit, second.tally.copied.objects, second.tally.unchanged.objects], [0, 0, 2]);
  });

  test('F018: an object that the store unpacks on its way is failed:E_TRANSCODED with the fix; one stored compressed keeps its bytes and its encoding', async () => {
    const packed = gzipSync(pattern(20_000, 1));
    const lab = await Lab.open({
      onRequest: ({ operation, key }) => (operation === 'GetObject' && key === 'unpacked' ? { status: 200, headers: { 'x-goog-stored-content-encoding': 'gzip', warning: '214 UploadServer gunzipped' }, body: 'x'.repeat(20_000) } : undefined),
    });
    await lab.put('unpacked', packed);
    await lab.put('packed', packed, { system: new Map([['content-type', 'text/plain'], ['content-encoding', 'gzip']]) });
    const ended = await lab.run();
    assert.deepEqual([ended.exit, stateOf(ended, 'unpacked'), stateOf(ended, 'packed')], [1, 'failed:E_TRANSCODED', 'copied']);
    assert.match(ended.rows.get('unpacked')?.problem?.hint ?? '', /no-transform|Content-Encoding/);
    assert.deepEqual(lab.bytes('dest', 'packed'), packed);
    assert.equal(lab.layout.entry('dest', 'packed')?.versions[0]?.system.get('content-encoding'), 'gzip');
  });

  test('F018: packed or unpacked by a proxy that leaves the length out, it never becomes an object', async () => {
    const lab = await Lab.open({ rules: [{ name: 'pack', match: { ...reads, key: 'a' }, fault: { kind: 'gzip' } }, { name: 'unpack', match: { ...reads, key: 'b' }, fault: { kind: 'gunzip' } }] });
    await lab.put('a', pattern(5000, 1));
    await lab.put('b', gzipSync(pattern(5000, 1)), { system: new Map([['content-encoding', 'gzip']]) });
    const ended = await lab.run();
    assert.deepEqual([ended.exit, stateOf(ended, 'a'), lab.keys('dest')], [1, 'failed:E_TRANSCODED', []]);
    assert.match(stateOf(ended, 'b'), /^failed:E_(TRANSCODED|SHORT_READ)$/);
  });

  test('F021: a store that ignores ranges, or answers another one, gets a large object read in one stream', async () => {
    for (const kind of ['ignore range', 'wrong content range'] as const) {
      const lab = await Lab.open({ rules: [{ name: 'range', match: { ...reads, where: ({ headers }) => headers['range'] !== undefined }, fault: { kind } }] });
      await lab.put('big', pattern(11 * MiB));
      const ended = await lab.run({ more: PARTS });
      assert.deepEqual([ended.exit, stateOf(ended, 'big')], [0, 'copied'], kind);
      assert.ok(lab.bytes('dest', 'big')?.equals(pattern(11 * MiB)), kind);
      assert.ok(lab.proxy.counter('range').fired > 0);
      lab.assertClean();
    }
  });

  test('F022: a listing whose sizes are not those of the objects: HEAD decides, the next run copies nothing, verify finds nothing', async () => {
    const lie = (text: string): string => text.replace(/<Size>(\d+)<\/Size>/g, (_, size: string) => `<Size>${Number(size) + 28}</Size>`);
    const lab = await Lab.open({ rules: [{ name: 'sizes', match: { operation: 'ListObjectsV2', bucket: 'from' }, fault: { kind: 'rewrite', edit: lie } }] });
    const keys = await lab.putMany(20);
    const first = await lab.run({ more: 'verify: checksum' });
    assert.deepEqual([first.tally.copied.objects, first.findings, first.exit], [20, 0, 0]);
    for (const key of keys) assert.deepEqual(lab.bytes('dest', key), lab.bytes('from', key));
    assert.ok(first.events.some((event) => event.type === 'note' && /sizes/.test(event.text)), 'that this store lists wrong sizes is said');
    const second = await lab.run({ more: 'verify: checksum' });
    assert.deepEqual([second.tally.unchanged.objects, second.tally.copied.objects, second.exit], [20, 0, 0]);
  });
});

describe('the checks before the run', () => {
  const lie = (text: string): string => text.replace(/<Size>(\d+)<\/Size>/g, (_, size: string) => `<Size>${Number(size) + 28}</Size>`);
  const swap = (text: string): string => text.replaceAll('<Key>k00001<', '<Key>SWAP<').replaceAll('<Key>k00000<', '<Key>k00001<').replaceAll('<Key>SWAP<', '<Key>k00000<');
  const cases: readonly (readonly [row: string, what: string, rule: Omit<Rule, 'name'>])[] = [
    ['F001', 'a body cut once', { match: reads, fault: { kind: 'cut', after: 0 }, max: 1 }],
    ['F005', 'an empty page once', { match: { operation: 'ListObjectsV2', bucket: 'from' }, fault: { kind: 'empty' }, max: 1 }],
    ['F021', 'a store without ranges', { match: { ...reads, where: ({ headers }) => headers['range'] !== undefined }, fault: { kind: 'ignore range' } }],
    ['F022', 'sizes that lie', { match: { operation: 'ListObjectsV2', bucket: 'from' }, fault: { kind: 'rewrite', edit: lie } }],
    ['F050', 'keys out of order', { match: { operation: 'ListObjectsV2', bucket: 'from' }, fault: { kind: 'rewrite', edit: swap } }],
    ['F018', 'one object that is transcoded', { match: { ...reads, key: 'bad' }, fault: { kind: 'gzip' } }],
  ];
  for (const [row, what, rule] of cases) {
    test(`${row}: ${what} does not keep a run from beginning, and its objects arrive`, async () => {
      const lab = await Lab.open({ calm: false, rules: [{ name: 'fault', ...rule }] });
      if (row === 'F018') await lab.put('bad', pattern(3000));
      const keys = await lab.putMany(5);
      const ended = await lab.run();
      assert.equal(ended.exit, row === 'F018' ? 1 : 0);
      for (const key of keys) assert.deepEqual(lab.bytes('dest', key), lab.bytes('from', key), key);
      assert.ok(lab.proxy.counter('fault').fired > 0);
    });
  }
});

describe('retries of reads and writes', () => {
  test('F013: a streamed write that breaks is sent again from a source opened anew', async () => {
    const lab = await Lab.open({ rules: [{ name: 'broken', match: { operation: 'PutObject', bucket: 'dest', key: 'big' }, fault: { kind: 'status', status: 500 }, max: 2 }] });
    await lab.put('big', pattern(9 * MiB));
    const ended = await lab.run();
    assert.deepEqual([ended.exit, stateOf(ended, 'big'), ended.rows.get('big')?.attempts], [0, 'copied', 1]);
    assert.ok(lab.bytes('dest', 'big')?.equals(pattern(9 * MiB)));
    assert.ok(lab.requests.filter(({ operation, key }) => operation === 'GetObject' && key === 'big').length >= 3, 'read anew for each try');
    assert.equal(retriesOf(ended, 'E_SERVER'), 2);
  });

  test('F023: a destination that does not say a size is asked again; nothing is deleted or rewritten on doubt', async () => {
    const lab = await Lab.open({ rules: [{ name: 'no size', match: { operation: 'HeadObject', bucket: 'dest', key: /^k/ }, fault: { kind: 'headers', set: { 'content-length': undefined } }, max: 6 }] });
    const keys = await lab.putMany(3);
    for (const key of keys) seedSame(lab, key);
    const before = lab.requests.length;
    const ended = await lab.run({ more: 'compare: checksum' });
    assert.deepEqual([ended.exit, ended.tally.unchanged.objects, ended.tally.copied.objects], [0, 3, 0]);
    assert.ok(lab.proxy.counter('no size').fired >= 3);
    const touched = lab.requests.slice(before).filter(({ method, bucket, key }) => bucket === 'dest' && (method === 'PUT' || method === 'DELETE') && !key.startsWith('.brigade/'));
    assert.deepEqual(touched.map(({ operation }) => operation), []);
  });
});

function seedSame(lab: Lab, key: string): void {
  const version = lab.layout.entry('from', key)?.versions[0];
  assert.ok(version);
  lab.layout.put('dest', version, () => undefined);
}
