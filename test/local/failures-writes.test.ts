/** Answers to writes that lie, get lost or are refused; sources that change; what is taken for "already there". */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { noGuard } from '../../src/agent/conditions.ts';
import { MiB } from '../../src/core/units.ts';
import type { Fault } from '../../src/faults/kinds.ts';
import { type Ended, Lab, stateOf } from './failures-lab.ts';

const bytes = (size: number, seed = 1): Buffer => Buffer.alloc(size, Buffer.from(Array.from({ length: 251 }, (_, i) => (i * seed) & 0xff)));
const PARTS = 'transfer: { server_side_copy: never, multipart_threshold: 1 MiB, part_size: 5 MiB }';
const ON_SERVER = 'transfer: { server_side_copy: auto }';

async function copied(operation: string, fault: Fault, more: string, options: { readonly max?: number; readonly size?: number } = {}): Promise<{ readonly lab: Lab; readonly ended: Ended }> {
  const lab = await Lab.open({ rules: [{ name: 'fault', match: { operation, bucket: 'dest', key: 'it' }, fault, ...(options.max === undefined ? {} : { max: options.max }) }] });
  await lab.put('it', bytes(options.size ?? 1000));
  await lab.put('other');
  return { lab, ended: await lab.run({ more }) };
}

describe('an answer that is none', () => {
  for (const [what, fault] of [['an error', { kind: 'error in 200' }], ['nothing', { kind: 'empty' }]] as const) {
    test(`F009: CopyObject answered 200 with ${what} is tried again, and is no copy while it stays so`, async () => {
      const cured = await copied('CopyObject', fault, ON_SERVER, { max: 2 });
      assert.deepEqual([cured.ended.exit, stateOf(cured.ended, 'it')], [0, 'copied']);
      assert.deepEqual(cured.lab.bytes('dest', 'it'), bytes(1000));
      const ill = await copied('CopyObject', fault, ON_SERVER);
      assert.equal(ill.ended.exit, 1);
      assert.match(stateOf(ill.ended, 'it'), /^failed:E_(SERVER|UNEXPECTED_ANSWER)$/);
      assert.deepEqual(ill.lab.keys('dest'), ['other']);
    });

    test(`F010: CompleteMultipartUpload answered 200 with ${what}, work done or not, ends in one whole object and no open upload`, async () => {
      const undone = await copied('CompleteMultipartUpload', fault, PARTS, { max: 2, size: 6 * MiB });
      assert.deepEqual([undone.ended.exit, stateOf(undone.ended, 'it')], [0, 'copied']);
      assert.ok(undone.lab.bytes('dest', 'it')?.equals(bytes(6 * MiB)));
      undone.lab.assertClean();
    });
  }

  test('F010: the answer to Complete is lost although it was done: found by HEAD, nothing is sent twice', async () => {
    for (const fault of [{ kind: 'lost answer' }, { kind: 'error in 200', performed: true }] as const) {
      const { lab, ended } = await copied('CompleteMultipartUpload', fault, PARTS, { size: 6 * MiB });
      assert.deepEqual([ended.exit, stateOf(ended, 'it')], [0, 'copied']);
      assert.ok(lab.bytes('dest', 'it')?.equals(bytes(6 * MiB)));
      assert.equal(lab.requests.filter(({ operation }) => operation === 'UploadPart').length, 2, 'each part once');
      lab.assertClean();
    }
  });

  test('F010: UploadPartCopy answered 200 with an error is no part', async () => {
    const { lab, ended } = await copied('UploadPartCopy', { kind: 'error in 200' }, 'transfer: { server_side_copy: auto, single_copy_limit: 5 MiB }', { max: 2, size: 11 * MiB });
    assert.deepEqual([ended.exit, stateOf(ended, 'it')], [0, 'copied']);
    assert.ok(lab.bytes('dest', 'it')?.equals(bytes(11 * MiB)));
    lab.assertClean();
  });

  test('F011: a part that the store acknowledged and does not have: never completed without it', async () => {
    const { lab, ended } = await copied('UploadPart', { kind: 'status', status: 200, headers: { etag: '"0123456789abcdef0123456789abcdef"' }, body: '' }, PARTS, { max: 1, size: 8 * MiB });
    assert.equal(lab.proxy.counter('fault').fired, 1);
    assert.deepEqual([ended.exit, stateOf(ended, 'it')], [0, 'copied']);
    assert.ok(lab.bytes('dest', 'it')?.equals(bytes(8 * MiB)));
    lab.assertClean();
  });

  test('F012: a source that gives more than it listed never becomes a shorter object', async () => {
    const lab = await Lab.open({ rules: [{ name: 'more', match: { operation: 'GetObject', bucket: 'from', key: 'it' }, fault: { kind: 'short close', after: 2000 } }] });
    await lab.put('it', bytes(1500));
    lab.proxy.add({ name: 'sizes', match: { operation: /ListObjectsV2|HeadObject/, bucket: 'from' }, fault: { kind: 'rewrite', edit: (text) => text.replace('<Size>1500<', '<Size>1000<') } });
    const ended = await lab.run();
    assert.match(stateOf(ended, 'it'), /^(failed:E_|copied)/);
    assert.ok([undefined, 1500].includes(lab.bytes('dest', 'it')?.length), 'all or nothing');
  });

  test('F020: a store that refuses checksum headers and trailers gets Content-MD5 instead, with every object whole', async () => {
    const refused = new Set<string>();
    const lab = await Lab.open({
      behaviours: { defaultChecksum: 'none' }, calm: false,
      onRequest: ({ method, headers, key }) => {
        const newer = [...headers.keys()].find((name) => /^x-amz-(checksum|trailer|sdk-checksum)/.test(name) && name !== 'x-amz-checksum-mode');
        if ((method !== 'PUT' && method !== 'POST') || newer === undefined) return undefined;
        if (!key.startsWith('.brigade/')) refused.add(newer);
        return { code: 'NotImplemented', message: `Header '${newer}' not implemented` };
      },
    });
    await lab.put('small', bytes(1000));
    await lab.put('streamed', bytes(9 * MiB));
    const ended = await lab.run({ connection: 'payload_signing: unsigned' });
    assert.deepEqual([ended.exit, ended.tally.copied.objects, [...refused]], [0, 2, []]);
    assert.ok(lab.requests.some(({ operation, key, headers }) => operation === 'PutObject' && key === 'small' && headers.has('content-md5')));
    assert.ok(lab.bytes('dest', 'streamed')?.equals(bytes(9 * MiB)));
  });
});

describe('what stands at the destination already', () => {
  const old = Buffer.from('what stood there before');

  test('F024: while every write fails the old object stays as it was', async () => {
    const lab = await Lab.open({ rules: [{ name: 'refused', match: { operation: /PutObject|CompleteMultipartUpload/, bucket: 'dest', key: /^(small|big)$/ }, fault: { kind: 'status', status: 500 } }] });
    for (const [key, size] of [['small', 100], ['big', 6 * MiB]] as const) {
      await lab.put(key, bytes(size));
      await lab.putAt('dest', key, old);
    }
    const ended = await lab.run({ more: PARTS });
    assert.deepEqual([ended.exit, stateOf(ended, 'small'), stateOf(ended, 'big')], [1, 'failed:E_SERVER', 'failed:E_SERVER']);
    assert.deepEqual([lab.bytes('dest', 'small'), lab.bytes('dest', 'big')], [old, old]);
    assert.deepEqual(lab.requests.filter(({ method, key }) => method === 'DELETE' && !key.startsWith('.brigade/')).map(({ operation }) => operation).filter((name) => name !== 'AbortMultipartUpload'), []);
  });

  test('F025: the same size, a leftover of 0 bytes or a cut object is not "already there"', async () => {
    const lab = await Lab.open({ behaviours: { defaultChecksum: 'none' } });
    for (const [key, left] of [['same', Buffer.alloc(1000)], ['empty', Buffer.alloc(0)], ['cut', bytes(1000).subarray(0, 400)]] as const) {
      await lab.put(key, bytes(1000), { checksum: undefined, etag: `source-${key}` });
      await lab.putAt('dest', key, left, { checksum: undefined, etag: `left-${key}` });
    }
    const ended = await lab.run();
    assert.deepEqual([ended.exit, ended.tally.copied.objects], [0, 3]);
    for (const key of ['same', 'empty', 'cut']) assert.deepEqual(lab.bytes('dest', key), bytes(1000), key);
  });
});

describe('a source that changes', () => {
  test('F026: overwritten before each of its reads it is E_SRC_CHANGED after three versions a try, and the old object stays', async () => {
    const lab: Lab = await Lab.open({ onRequest: async ({ operation, bucket, key }) => { if (operation === 'GetObject' && bucket === 'from' && key === 'busy') await lab.put('busy', `version ${lab.requests.length}`); } });
    await lab.put('busy');
    await lab.put('calm');
    await lab.putAt('dest', 'busy', 'old');
    const ended = await lab.run();
    assert.deepEqual([ended.exit, stateOf(ended, 'busy'), stateOf(ended, 'calm')], [1, 'failed:E_SRC_CHANGED', 'copied']);
    assert.equal(lab.bytes('dest', 'busy')?.toString(), 'old');
  });

  test('F027: every range carries the same If-Match; one 412 starts the whole object again, never a mixture', async () => {
    let reads = 0;
    const lab: Lab = await Lab.open({ onRequest: async ({ operation, bucket }) => { if (operation === 'GetObject' && bucket === 'from' && ++reads === 2) await lab.put('big', bytes(16 * MiB, 3)); } });
    await lab.put('big', bytes(16 * MiB));
    const ended = await lab.run({ more: 'transfer: { server_side_copy: never, multipart_threshold: 1 MiB, part_size: 5 MiB, part_concurrency: 1 }' });
    assert.deepEqual([ended.exit, stateOf(ended, 'big')], [0, 'copied']);
    assert.ok(lab.bytes('dest', 'big')?.equals(bytes(16 * MiB, 3)), 'the new version, whole');
    const ranges = lab.requests.filter(({ operation, bucket, headers }) => operation === 'GetObject' && bucket === 'from' && headers.has('range'));
    assert.ok(ranges.length >= 5 && ranges.every(({ headers }) => headers.has('if-match')));
    lab.assertClean();
  });

  test('F028: deleted after it was listed is skipped:source_gone; 403, a missing bucket and silence are not', async () => {
    const gone: Lab = await Lab.open({ onRequest: ({ operation, bucket, key }) => { if (operation === 'GetObject' && bucket === 'from' && key === 'k00001') gone.layout.remove('from', key, 'null', noGuard); } });
    await gone.putMany(3);
    const skipped = await gone.run();
    assert.deepEqual([skipped.exit, stateOf(skipped, 'k00001'), skipped.tally.copied.objects], [0, 'skipped:source_gone', 2]);

    const denied = await Lab.open({ onRequest: ({ bucket, key }) => (bucket === 'from' && key === 'k00001' ? { code: 'AccessDenied' } : undefined) });
    await denied.putMany(3);
    const failed = await denied.run();
    assert.deepEqual([failed.exit, stateOf(failed, 'k00001'), failed.tally.copied.objects], [1, 'failed:E_ACCESS_DENIED', 2]);

    const bucketless = await Lab.open({ onRequest: ({ operation, bucket }) => (bucket === 'from' && operation === 'GetObject' ? { code: 'NoSuchBucket' } : undefined) });
    await bucketless.putMany(3);
    const paused = await bucketless.run();
    assert.deepEqual([paused.exit, paused.pause?.code, paused.tally.failed.objects, paused.tally.skipped.objects], [5, 'E_BUCKET_MISSING', 0, 0]);
  });

  test('F028: with source_gone: fail it is a failure', async () => {
    const lab: Lab = await Lab.open({ onRequest: ({ operation, bucket, key }) => { if (operation === 'GetObject' && bucket === 'from' && key === 'k00000') lab.layout.remove('from', key, 'null', noGuard); } });
    await lab.putMany(2);
    const ended = await lab.run({ more: 'source_gone: fail' });
    assert.deepEqual([ended.exit, stateOf(ended, 'k00000')], [1, 'failed:E_SOURCE_GONE']);
  });

  test('F029: a 404 that is not the store\'s own is a failure of that object, never "gone"', async () => {
    const lab = await Lab.open({ rules: [{ name: 'proxy', match: { operation: /GetObject|HeadObject/, bucket: 'from', key: 'k00001' }, fault: { kind: 'status', status: 404, body: '<html>not found</html>', headers: { 'content-type': 'text/html' } } }] });
    await lab.putMany(3);
    const ended = await lab.run();
    assert.deepEqual([ended.tally.copied.objects, ended.tally.skipped.objects, ended.tally.failed.objects], [2, 0, 1]);
  });

  test('F031: what is younger than min_age is left for a later run', async () => {
    const lab = await Lab.open();
    await lab.put('settled', 'a', { modified: Date.now() - 3_600_000 });
    await lab.put('fresh', 'b', { modified: Date.now() - 1000 });
    const first = await lab.run({ more: 'select: { min_age: 10m }' });
    assert.deepEqual([first.exit, lab.keys('dest')], [0, ['settled']]);
    await lab.put('fresh', 'b', { modified: Date.now() - 3_600_000 });
    await lab.run({ more: 'select: { min_age: 10m }' });
    assert.deepEqual(lab.keys('dest'), ['fresh', 'settled']);
  });

  test('F032: a ledger of another source is refused with exit 2 before anything moves, naming what to do', async () => {
    const lab = await Lab.open();
    await lab.putMany(2);
    await lab.run();
    const moved = lab.requests.filter(({ operation }) => operation === 'GetObject').length;
    for (const setup of [{ source: '{ s3: from, prefix: k, connection: here }' }, { destination: '{ s3: from, prefix: elsewhere/, connection: here }', source: '{ s3: dest, connection: here }' }]) {
      await assert.rejects(lab.run(setup), ({ kind, code, hint }: { kind: string; code: string; hint: string }) => kind === 'usage' && code === 'E_LEDGER_OTHER' && /--new|--adopt/.test(hint));
    }
    assert.equal(lab.requests.filter(({ operation }) => operation === 'GetObject').length, moved);
  });
});
