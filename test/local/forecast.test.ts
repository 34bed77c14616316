import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type Endpoint, startEndpoint } from '../../src/agent/endpoint.ts';
import { type MemoryLayout, memoryLayout } from '../../src/agent/memory.ts';
import { seedBucket, seedObject } from '../../src/agent/seeding.ts';
import { preflight } from '../../src/app/doctor.ts';
import { forecast } from '../../src/app/forecast.ts';
import { awkwardIn } from '../../src/app/forecast-names.ts';
import type { Forecast } from '../../src/app/forecast-types.ts';
import { runMigration } from '../../src/app/migrate.ts';
import { showForecast } from '../../src/cli/forecast.ts';
import { type Migration, parseMigration } from '../../src/config/index.ts';
import { showDuration } from '../../src/core/units.ts';
import type { RunEvent } from '../../src/ports/events.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';

const ENV = { ID: 'AKIAEXAMPLE', SECRET: 'secret' };

let dir: string;
let layout: MemoryLayout;
let endpoint: Endpoint | undefined;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'brigade-forecast-'));
  layout = memoryLayout();
});

afterEach(async () => {
  await endpoint?.close();
  endpoint = undefined;
  rmSync(dir, { recursive: true, force: true });
});

async function serve(): Promise<void> {
  endpoint = await startEndpoint({ storage: layout, accessKeys: [{ id: ENV.ID, secret: ENV.SECRET }] });
}

function migrationOf(source: string, destination: string, more = ''): Migration {
  const text = `name: pair
connections: { here: { endpoint: "${endpoint?.url ?? 'http://127.0.0.1:9'}", credentials: { access_key_id: env:ID, secret_access_key: env:SECRET } } }
source: ${source}
destination: ${destination}
executors: 0
${more}
`;
  return parseMigration(Buffer.from(text), join(dir, 'pair.yml'), ENV);
}

const bucket = (name: string): string => `{ s3: ${name}, connection: here }`;

const around = (events: RunEvent[] = []) => ({
  stateDir: join(dir, 'state'), env: ENV, clock: systemClock(), random: seededRandom(3), signal: new AbortController().signal, events: { emit: (event: RunEvent) => { events.push(event); } },
});

async function look(migration: Migration): Promise<Forecast> {
  const found = await forecast(migration, around());
  const sum = (field: 'objects' | 'bytes'): number => [found.copy, found.compare, found.unchanged, ...found.skipped, ...found.refused].reduce((total, count) => total + count[field], 0);
  assert.deepEqual(found.listed, { objects: sum('objects'), bytes: sum('bytes') }, 'listed = copy + compare + unchanged + skipped + refused');
  assert.equal(found.histogram.reduce((total, { objects }) => total + objects, 0), found.listed.objects);
  return found;
}

const run = (migration: Migration) => runMigration(migration, { stateDir: join(dir, 'state'), fresh: false, adopt: false, onPause: 'exit', requireObjects: false, drainMs: 1000 }, around());

const ops = (found: Forecast) => found.requests;

describe('time', () => {
  test('D12: 30 TB at 50 Mbit/s is 55.6 days', async () => {
    const found = await look(migrationOf('"synthetic://?count=3000&seed=1&size=10000000000"', '"memory://x"', 'limits: { bandwidth: 50 Mbit/s }'));
    assert.equal(found.copy.bytes, 30e12);
    assert.equal(showDuration(found.duration?.ms ?? 0), '55.6 days');
    assert.equal(found.duration?.limitedBy, 'limits.bandwidth: 50 Mbit/s');
    assert.match(showForecast(found, 'table', (_, text) => text, []), /55\.6 days, limited by limits\.bandwidth: 50 Mbit\/s/);
  });

  test('without a limit the assumption is said, and the slowest of line, requests and files decides', async () => {
    const large = await look(migrationOf('"synthetic://?count=10&seed=1&size=10000000000"', '"memory://x"'));
    assert.match(large.duration?.limitedBy ?? '', /no limit is set: 1 Gbit\/s assumed/);
    assert.equal(large.duration?.ms, 800_000);
    const small = await look(migrationOf('"synthetic://?count=5000&seed=1&size=1"', '"memory://x"'));
    assert.match(small.duration?.limitedBy ?? '', /1000\/s assumed/);
    await serve();
    await seedBucket(layout, 'dest');
    const limited = await look(migrationOf('"synthetic://?count=1000&seed=1&size=1"', bucket('dest'), 'limits: { requests: 10 }'));
    assert.equal(limited.duration?.limitedBy, 'limits.requests: 10/s');
    assert.ok((limited.duration?.ms ?? 0) >= 100_000);
  });
});

describe('what a run would do', () => {
  const source = (): string => join(dir, 'in');
  const destination = (): string => join(dir, 'out');
  const folders = (more = ''): Migration => migrationOf(source(), destination(), more);
  const put = (path: string, text: string): void => {
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, text);
  };

  beforeEach(() => {
    put(join(source(), 'a', 'one'), 'one');
    put(join(source(), 'two'), 'two!');
    put(join(source(), 'three'), '3');
  });

  test('nothing is written: no destination, no ledger, no state', async () => {
    const found = await look(folders());
    assert.deepEqual(found.copy, { objects: 3, bytes: 8 });
    assert.deepEqual(readdirSync(dir), ['in']);
    assert.deepEqual(ops(found), { source: {}, destination: {} });
    mkdirSync(destination());
    await look(folders());
    assert.deepEqual(readdirSync(destination()), []);
  });

  test('an earlier run counts: unchanged, changed, new, extra', async () => {
    await run(folders());
    assert.deepEqual((await look(folders())).unchanged, { objects: 3, bytes: 8 });
    put(join(source(), 'two'), 'two, changed');
    put(join(source(), 'four'), 'four');
    put(join(destination(), 'stray'), 'stray');
    const found = await look(folders());
    assert.deepEqual([found.unchanged.objects, found.copy, found.extra], [2, { objects: 2, bytes: 16 }, { objects: 1, bytes: 5 }]);
    const { tally } = await run(folders());
    assert.deepEqual([tally.unchanged.objects, tally.copied, tally.extra.objects], [found.unchanged.objects, found.copy, found.extra.objects]);
  });

  test('without a record equal sizes are compared, and another ledger is told', async () => {
    put(join(destination(), 'two'), 'TWO!');
    assert.deepEqual((await look(folders())).compare, { objects: 1, bytes: 4 });
    await run(folders());
    const other = join(dir, 'other');
    put(join(other, 'two'), 'TWO!');
    const found = await look(migrationOf(source(), other));
    assert.match(found.warnings.join(), /belongs to other stores.*--new or --adopt/);
    assert.equal(found.compare.objects, 1);
    assert.match((await look(folders('select: { exclude: ["zzz"] }'))).warnings.join(), /options differ/);
  });

  test('F089: nothing to do is said, with its cause', async () => {
    assert.match((await look(migrationOf('"synthetic://?count=7&seed=1&size=1"', '"memory://x"', 'select: { min_size: 1 KiB }'))).warnings.join(), /0 objects: all 7 of the source are left out by select/);
    await serve();
    await seedBucket(layout, 'orig');
    await seedBucket(layout, 'dest');
    assert.match((await look(migrationOf('{ s3: orig, prefix: none, connection: here }', bucket('dest')))).warnings.join(), /0 objects in s3:\/\/orig\/none\/: check/);
  });

  test('too little space is told with both figures', async () => {
    const found = await look(migrationOf('"synthetic://?count=1000&seed=1&size=1000000000000"', join(dir, 'none', 'yet')));
    assert.match(found.warnings.join(), /909\.5 TiB are to be copied, .* are free at/);
    assert.equal(existsSync(join(dir, 'none')), false);
  });

  test('places that overlap are refused', async () => {
    await assert.rejects(forecast(migrationOf(source(), join(source(), 'x')), around()), { code: 'E_OVERLAP', kind: 'usage' });
  });
});

describe('names and sizes', () => {
  test('keys that the destination cannot hold are listed before the run', async () => {
    await serve();
    await seedBucket(layout, 'orig');
    for (const key of ['ok', 'same', 'same/below', `${'x'.repeat(300)}`, 'dir/']) await seedObject(layout, 'orig', { key }, 'x');
    for (let i = 0; i < 30; i++) await seedObject(layout, 'orig', { key: `long/${i}${'y'.repeat(300)}` }, 'x');
    const found = await look(migrationOf(bucket('orig'), join(dir, 'out')));
    assert.deepEqual(found.refused.map(({ code, objects, keys }) => [code, objects, keys.length]), [['E_NAME_TOO_LONG', 31, 20], ['E_DIR_MARKER_HAS_DATA', 1, 1], ['E_NAME_COLLISION', 1, 1]]);
    assert.equal(found.copy.objects, 2);
  });

  test('F064: an object beyond the largest is refused with both figures', async () => {
    await serve();
    await seedBucket(layout, 'dest');
    const found = await look(migrationOf(`"synthetic://?count=2&seed=1&size=${60 * 2 ** 40}"`, bucket('dest')));
    assert.deepEqual(found.refused.map(({ code, objects }) => [code, objects]), [['E_TOO_LARGE', 2]]);
    assert.match(found.warnings.join(), /larger than the 5\.00 TiB that the destination takes, the largest 60\.0 TiB/);
  });

  test('names worth knowing, by kind', () => {
    const codes = (key: string): string => awkwardIn(key).map(({ code }) => code).join();
    assert.deepEqual(
      ['plain/name.txt', 'über/ñ', 'a\u0001b', '/a', 'a//b', 'a/', 'a/../b', '..', 'a\\b', ' a', 'a /b', 'cafe\u0301', 'x'.repeat(950), '.hidden', 'a/.b', '\udc80', 'with space', '...'].map(codes),
      ['', '', 'control_characters', 'leading_slash', 'double_slash', 'trailing_slash', 'dot_segment', 'dot_segment', 'backslash', 'edge_space', 'edge_space', 'not_nfc', 'long_name', '', '', 'not_utf8', '', ''],
    );
  });

  test('sizes, classes and the ten largest', async () => {
    await serve();
    await seedBucket(layout, 'orig');
    await seedBucket(layout, 'dest');
    for (let i = 0; i < 15; i++) await seedObject(layout, 'orig', { key: `k${i}`, storageClass: i === 3 ? 'DEEP_ARCHIVE' : 'STANDARD' }, 'x'.repeat(i * 100));
    const found = await look(migrationOf(bucket('orig'), bucket('dest')));
    assert.deepEqual(found.largest.map(({ size }) => size), [1400, 1300, 1200, 1100, 1000, 900, 800, 700, 600, 500]);
    assert.deepEqual(found.histogram.filter(({ objects }) => objects > 0).map(({ upTo, objects }) => [upTo, objects]), [[0, 1], [1024, 10], [16 * 1024, 4]]);
    assert.deepEqual(found.storageClasses, [{ name: 'STANDARD', objects: 14, bytes: 10_200 }, { name: 'DEEP_ARCHIVE', objects: 1, bytes: 300 }]);
    assert.match(found.warnings.join(), /1 objects are archived.*exit 1/);
  });
});

describe('requests', () => {
  const counted = (bucketName: string, ops: readonly string[]): Record<string, number> => {
    const seen: Record<string, number> = {};
    for (const { operation, bucket: name } of requests) if (name === bucketName && ops.includes(operation)) seen[operation] = (seen[operation] ?? 0) + 1;
    return seen;
  };
  let requests: { operation: string; bucket: string }[] = [];

  /** Runs, and keeps what was asked about objects that are not canaries. */
  async function runCounting(migration: Migration): Promise<void> {
    requests = [];
    endpoint?.setHook(({ operation, bucket: name, key }) => { if (!key.startsWith('.brigade/')) requests.push({ operation, bucket: name }); });
    assert.equal((await run(migration)).exit, 0);
    endpoint?.setHook(undefined);
  }

  test('the estimate is what a run then asks, through this machine', async () => {
    await serve();
    await seedBucket(layout, 'orig');
    await seedBucket(layout, 'dest');
    for (let i = 0; i < 40; i++) await seedObject(layout, 'orig', { key: `small/${i}` }, `content ${i}`);
    await seedObject(layout, 'orig', { key: 'large' }, Buffer.alloc(20 * 2 ** 20, 7));
    const migration = migrationOf(bucket('orig'), bucket('dest'), 'transfer: { server_side_copy: never, multipart_threshold: 10 MiB }\ntransform: { tags: { copy: false } }');
    await preflight(migration, around()); // what the endpoint can do is then known
    const found = await look(migration);
    await runCounting(migration);
    assert.deepEqual(counted('orig', ['GetObject', 'HeadObject']), { GetObject: found.requests.source['GetObject'], HeadObject: found.requests.source['HeadObject'] });
    const puts = ['PutObject', 'CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload', 'HeadObject'];
    assert.deepEqual(counted('dest', puts), Object.fromEntries(puts.filter((op) => found.requests.destination[op] !== undefined).map((op) => [op, found.requests.destination[op]])));
    assert.equal(found.requests.destination['UploadPart'], 3);
  });

  test('on the server: a look, a copy and a look, no byte through this machine', async () => {
    await serve();
    await seedBucket(layout, 'orig');
    await seedBucket(layout, 'dest');
    for (let i = 0; i < 10; i++) await seedObject(layout, 'orig', { key: `k${i}` }, 'x');
    const migration = migrationOf(bucket('orig'), bucket('dest'), 'limits: { bandwidth: 1 MB/s }');
    await preflight(migration, around());
    const found = await look(migration);
    assert.deepEqual([found.requests.destination['CopyObject'], found.requests.source['GetObject'], found.requests.source['HeadObject']], [10, undefined, 10]);
    assert.doesNotMatch(found.duration?.limitedBy ?? '', /bandwidth/);
    await runCounting(migration);
    assert.deepEqual(counted('dest', ['CopyObject']), { CopyObject: 10 });
  });

  test('nothing is made or measured at the destination; a bucket that a run would make is empty', async () => {
    await serve();
    await seedBucket(layout, 'orig');
    await seedObject(layout, 'orig', { key: 'k' }, 'x');
    const methods: string[] = [];
    endpoint?.setHook(({ method }) => { methods.push(method); });
    const found = await look(migrationOf(bucket('orig'), bucket('later'), 'create_bucket: true'));
    assert.equal(found.copy.objects, 1);
    assert.deepEqual(new Set(methods), new Set(['GET', 'HEAD']));
    assert.equal(layout.bucket('later'), undefined);
    await assert.rejects(forecast(migrationOf(bucket('orig'), bucket('later')), around()), { code: 'E_BUCKET_MISSING', kind: 'usage' });
  });
});

test('I10: memory does not grow with the number of objects, and listing progress is told', async () => {
  const events: RunEvent[] = [];
  const before = process.memoryUsage().heapUsed;
  const found = await forecast(migrationOf('"synthetic://?count=100000&seed=1&size=1"', '"memory://x"'), around(events));
  assert.equal(found.copy.objects, 100_000);
  assert.ok(events.some((event) => event.type === 'listed' && event.side === 'source'));
  const mostKept = Object.values(found).flatMap((value) => (Array.isArray(value) ? value : [])).length;
  assert.ok(mostKept < 200, `${mostKept} entries are kept`);
  assert.ok(process.memoryUsage().heapUsed - before < 150 * 2 ** 20);
});
