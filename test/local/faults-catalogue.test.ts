/** Every named fault as it is on the wire, and what our S3 driver makes of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seedObject } from '../../src/agent/seeding.ts';
import { BrigadeError } from '../../src/core/errors.ts';
import { NO_ATTRIBUTES as attributes } from '../../src/core/object.ts';
import { Secret } from '../../src/core/secret.ts';
import { NAMED_FAULTS, ruleOf } from '../../src/faults/catalogue.ts';
import type { FaultOrder } from '../../src/faults/catalogue.ts';
import { OPERATIONS } from '../../src/faults/classify.ts';
import { HiddenLimit } from '../../src/faults/limit.ts';
import { Rulebook } from '../../src/faults/rules.ts';
import type { Facts, Rule } from '../../src/faults/rules.ts';
import type { Body, Store } from '../../src/ports/storage.ts';
import { createS3Store, profileOf } from '../../src/stores/s3/index.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { type Bench, Bucket, content, fetchRaw, Key, type Seen, signer, startBench, stored } from './faults-bench.ts';

const MiB = 2 ** 20;

function storeOf(bench: Bench): Store {
  return createS3Store({
    endpoint: bench.proxy.url, bucket: Bucket, region: 'us-east-1', profile: { ...profileOf('generic'), minPartSize: 1, pathStyle: true }, clock: systemClock(), timeouts: { idle: 200, headers: 500 },
    credentials: { describe: 'test', resolve: () => Promise.resolve({ accessKeyId: signer.id, secretAccessKey: new Secret(signer.secret) }), invalidate: () => undefined },
  });
}

const bodyOf = (bytes: Buffer): Body => ({ size: bytes.length, bytes, async *open() { yield bytes; } });

async function readAll(store: Store): Promise<string> {
  const read = await store.read({ key: Key, expectedSize: content.length });
  const pieces: Uint8Array[] = [];
  for await (const piece of read.chunks) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces).toString();
}

async function listAll(store: Store): Promise<number> {
  let count = 0;
  for await (const page of store.list({})) {
    count += page.entries.length;
    if (count > 10_000) break;
  }
  return count;
}

const write = (store: Store, key: string): Promise<unknown> => store.write({ key, body: bodyOf(Buffer.from(content)), attributes, guard: { kind: 'none' } });

async function complete(store: Store): Promise<unknown> {
  const multipart = store.multipart!;
  const upload = await multipart.create({ key: 'big', size: content.length, partSize: 5 * MiB, attributes });
  const part = await multipart.putPart(upload, 1, bodyOf(Buffer.from(content)));
  return multipart.complete({ upload, parts: [part], attributes, guard: { kind: 'none' } });
}

/** `kind:code` of what was thrown, or the value. */
async function outcome(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work;
  } catch (thrown) {
    if (!(thrown instanceof BrigadeError)) throw thrown;
    return `${thrown.kind}:${thrown.code}`;
  }
}

interface Row {
  readonly amount?: number;
  /** What a plain request gets. */
  readonly wire: (bench: Bench) => Promise<void>;
  /** What the driver does, and what comes of it. */
  readonly driver: (store: Store, bench: Bench) => Promise<unknown>;
  readonly expected: unknown;
}

const codeIn = (seen: Seen): string | undefined => /<Code>(\w+)</.exec(seen.body.toString())?.[1];
const listPath = `/${Bucket}?list-type=2&max-keys=1`;
const put = (bench: Bench, key = 'new'): Promise<Seen> => fetchRaw(bench, { method: 'PUT', target: `/${Bucket}/${key}`, body: Buffer.from(content) });

const answers = (status: number, code: string, ask: (bench: Bench) => Promise<Seen> = (bench) => fetchRaw(bench)) => async (bench: Bench): Promise<void> => {
  const seen = await ask(bench);
  assert.deepEqual([seen.status, codeIn(seen)], [status, code]);
};

const ROWS: Readonly<Record<string, Row>> = {
  '503-storm': {
    wire: async (bench) => assert.equal((await fetchRaw(bench)).headers['retry-after'], '1'),
    driver: readAll, expected: 'throttled:E_THROTTLED',
  },
  'server-error': { wire: answers(500, 'InternalError'), driver: readAll, expected: 'transient:E_SERVER' },
  latency: {
    amount: 120,
    wire: async (bench) => {
      const began = performance.now();
      assert.equal((await fetchRaw(bench)).status, 200);
      assert.ok(performance.now() - began >= 115);
    },
    driver: readAll, expected: content,
  },
  'slow-body': {
    amount: 4,
    wire: async (bench) => {
      const began = performance.now();
      const seen = await fetchRaw(bench);
      assert.deepEqual([seen.body.toString(), seen.pieces], [content, 3]);
      assert.ok(performance.now() - began >= 190, '900 bytes at 4 KiB/s');
    },
    driver: readAll, expected: content,
  },
  'stalled-body': {
    amount: 0,
    wire: async (bench) => assert.equal(await Promise.race([fetchRaw(bench), new Promise((resolve) => setTimeout(resolve, 150, 'silent'))]), 'silent'),
    driver: readAll, expected: 'transient:E_STALLED',
  },
  'cut-body': {
    amount: 0,
    wire: async (bench) => {
      const seen = await fetchRaw(bench);
      assert.deepEqual([seen.headers['content-length'], seen.body.length, seen.end], [String(content.length), 0, 'aborted']);
    },
    driver: readAll, expected: 'transient:E_SHORT_READ',
  },
  reset: {
    wire: async (bench) => assert.equal((await fetchRaw(bench)).code, 'ECONNRESET'),
    driver: readAll, expected: 'transient:E_NETWORK',
  },
  'flip-read': {
    wire: async (bench) => assert.equal([...(await fetchRaw(bench)).body].filter((byte, at) => byte !== content.charCodeAt(at)).length, 1),
    driver: async (store) => (await readAll(store)) === content, expected: false,
  },
  'flip-write': {
    wire: async (bench) => {
      assert.equal((await put(bench)).status, 200);
      const wrong = await stored(bench.layout, 'new');
      assert.equal([...wrong!].filter((character, at) => character !== content[at]).length, 1, 'nothing covers an unsigned body');
    },
    driver: (store) => write(store, 'checked'), expected: 'transient:E_CHECKSUM_MISMATCH',
  },
  'expired-token': { wire: answers(400, 'ExpiredToken'), driver: readAll, expected: 'premise:E_CREDENTIALS' },
  'clock-skew': {
    wire: async (bench) => {
      const seen = await fetchRaw(bench);
      assert.deepEqual([seen.status, codeIn(seen)], [403, 'RequestTimeTooSkewed']);
      assert.ok(Math.abs(Date.parse(seen.headers.date!) - Date.now() - 30 * 60_000) < 5000, 'half an hour ahead');
      assert.equal((await fetchRaw(bench, { atMs: Date.now() + 29 * 60_000 })).status, 200, 'who signs by its clock is served');
    },
    driver: readAll, expected: content,
  },
  'missing-bucket': { wire: answers(404, 'NoSuchBucket'), driver: readAll, expected: 'premise:E_BUCKET_MISSING' },
  denied: {
    wire: async (bench) => {
      await answers(403, 'AccessDenied', put)(bench);
      assert.equal(await stored(bench.layout, 'new'), undefined);
      assert.equal((await fetchRaw(bench)).status, 200, 'reading is allowed');
    },
    driver: (store) => write(store, 'refused'), expected: 'object:E_ACCESS_DENIED',
  },
  'empty-listing': {
    wire: async (bench) => {
      const seen = await fetchRaw(bench, { target: listPath });
      assert.deepEqual([seen.status, seen.body.length], [200, 0]);
    },
    driver: listAll, expected: 'transient:E_LIST_INVALID',
  },
  'html-listing': {
    wire: async (bench) => {
      const seen = await fetchRaw(bench, { target: listPath });
      assert.deepEqual([seen.status, seen.headers['content-type']], [200, 'text/html']);
    },
    driver: listAll, expected: 'transient:E_LIST_INVALID',
  },
  'repeated-token': {
    wire: async (bench) => {
      const token = /<NextContinuationToken>([^<]*)</.exec((await fetchRaw(bench, { target: listPath })).body.toString())![1]!;
      for (let n = 0; n < 2; n++) {
        const seen = await fetchRaw(bench, { target: `/${Bucket}?continuation-token=${encodeURIComponent(token)}&list-type=2&max-keys=1` });
        assert.equal(/<NextContinuationToken>([^<]*)</.exec(seen.body.toString())?.[1], token);
      }
    },
    driver: async (store, bench) => {
      for (let n = 0; n < 2100; n++) await seedObject(bench.layout, Bucket, { key: `n${n}` });
      return listAll(store);
    },
    expected: 'premise:E_LIST_LOOP',
  },
  'lost-complete': {
    wire: async (bench) => {
      const id = /<UploadId>([^<]*)</.exec((await fetchRaw(bench, { method: 'POST', target: `/${Bucket}/wired?uploads` })).body.toString())![1]!;
      const part = await fetchRaw(bench, { method: 'PUT', target: `/${Bucket}/wired?partNumber=1&uploadId=${id}`, body: Buffer.from(content) });
      const document = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.etag}</ETag></Part></CompleteMultipartUpload>`;
      assert.equal((await fetchRaw(bench, { method: 'POST', target: `/${Bucket}/wired?uploadId=${id}`, body: Buffer.from(document) })).code, 'ECONNRESET');
      assert.equal(await stored(bench.layout, 'wired'), content, 'and yet it stands');
    },
    driver: async (store, bench) => [await outcome(complete(store)), (await stored(bench.layout, 'big')) === content], expected: ['transient:E_NETWORK', true],
  },
  'rate-limit': {
    amount: 2,
    wire: async (bench) => {
      const seen = [await fetchRaw(bench)];
      while (seen.at(-1)!.status === 200 && seen.length < 20) seen.push(await fetchRaw(bench));
      const last = seen.at(-1)!;
      assert.deepEqual([seen[0]?.status, last.status, codeIn(last), last.headers['retry-after']], [200, 503, 'SlowDown', undefined]);
    },
    driver: async (store) => {
      let last = await outcome(readAll(store));
      for (let more = 19; more > 0 && last === content; more--) last = await outcome(readAll(store));
      return last;
    },
    expected: 'throttled:E_THROTTLED',
  },
};

test('every fault of the catalogue is shown here', () => {
  assert.deepEqual(Object.keys(ROWS), NAMED_FAULTS.map(({ name }) => name));
  for (const { operations = [] } of NAMED_FAULTS) for (const operation of operations) assert.ok(OPERATIONS.includes(operation), operation);
});

const order = (kind: string, more: Partial<FaultOrder> = {}): Rule => ruleOf({ name: kind, kind, ...more }, Date.now());

async function calm(bench: Bench): Promise<void> {
  for (const name of ['a', 'b', 'c']) await put(bench, name);
}

for (const [kind, { amount, wire, driver, expected }] of Object.entries(ROWS)) {
  const rule = order(kind, amount === undefined ? {} : { amount });
  test(`${kind}: on the wire`, async () => {
    await using bench = await startBench();
    await calm(bench);
    bench.proxy.setRules([rule]);
    await wire(bench);
    assert.ok(bench.proxy.counter(kind).fired > 0);
    bench.proxy.setRules([]);
    assert.equal((await fetchRaw(bench)).body.toString(), content, 'gone when it is cleared');
  });

  test(`${kind}: ${JSON.stringify(expected === content ? 'nothing wrong' : expected)} is what the driver makes of it`, async () => {
    await using bench = await startBench();
    await calm(bench);
    const store = storeOf(bench);
    try {
      bench.proxy.setRules([order(kind, amount === undefined ? {} : { amount })]);
      assert.deepEqual(await outcome(driver(store, bench)), expected);
      assert.ok(bench.proxy.counter(kind).fired > 0);
    } finally {
      await store.close();
    }
  });
}

const fact = (key: string, more: Partial<Facts> = {}): Facts => ({ method: 'GET', operation: 'GetObject', bucket: 'b', key, query: new URLSearchParams(), headers: {}, ...more });
const fires = (book: Rulebook, facts: Facts): boolean => book.decide(facts).length > 0;

test('an order narrows by bucket, prefix, operation, number and time', () => {
  let now = 0;
  const book = (more: Partial<FaultOrder>): Rulebook => new Rulebook(1, [ruleOf({ name: 'x', kind: '503-storm', ...more }, now)], () => now);
  assert.deepEqual([fires(book({ bucket: 'b' }), fact('k')), fires(book({ bucket: 'other' }), fact('k'))], [true, false]);
  assert.deepEqual(['in/k', 'in', 'out'].map((key) => fires(book({ prefix: 'in/' }), fact(key))), [true, false, false]);
  const listing = (prefix: string) => fact('', { operation: 'ListObjectsV2', query: new URLSearchParams({ prefix }) });
  assert.deepEqual([fires(book({ prefix: 'in/' }), listing('in/deep/')), fires(book({ prefix: 'in/' }), listing(''))], [true, false]);
  assert.deepEqual([fires(book({ operations: ['GetObject', 'HeadObject'] }), fact('k')), fires(book({ operations: ['PutObject'] }), fact('k')), fires(book({ operations: ['Get.*'] }), fact('k'))], [true, false, false]);
  const late = book({ after: 2 });
  assert.deepEqual([1, 2, 3, 4].map(() => fires(late, fact('k'))), [false, false, true, true]);
  const brief = book({ forMs: 1000 });
  assert.equal(fires(brief, fact('k')), true);
  now = 999;
  assert.equal(fires(brief, fact('k')), true);
  now = 1000;
  assert.deepEqual([fires(brief, fact('k')), brief.current], [false, []]);
  assert.throws(() => ruleOf({ name: 'x', kind: 'gremlins' }, 0), /no fault is called gremlins/);
});

test('an order has draws of its own by its seed', () => {
  const keys = Array.from({ length: 500 }, (_, n) => `k${n}`);
  const hit = (seed: number): string => {
    const book = new Rulebook(9, [ruleOf({ name: 'x', kind: 'reset', probability: 0.3, seed }, 0)]);
    return keys.map((key) => (fires(book, fact(key)) ? '1' : '0')).join('');
  };
  assert.equal(hit(1), hit(1));
  assert.notEqual(hit(1), hit(2));
  const share = [...hit(1)].filter((one) => one === '1').length / keys.length;
  assert.ok(share > 0.22 && share < 0.38, String(share));
});

test('a hidden limit lets just so many through, and is another one in the next period', () => {
  const limit = new HiddenLimit([10, 40], 1000, 'seed', 0);
  const through: number[] = [];
  for (let second = 0; second < 8; second++) {
    let passed = 0;
    for (let ms = 0; ms < 1000; ms += 5) if (!limit.exceeded(second * 1000 + ms)) passed++;
    const most = limit.perSecond(second * 1000);
    assert.ok(passed >= Math.floor(most) - 1 && passed <= 1.5 * most + 1, `${passed} at ${most}/s`);
    through.push(Math.round(most));
  }
  assert.ok(new Set(through).size > 4 && through.every((rate) => rate >= 10 && rate <= 40), through.join(' '));
});
