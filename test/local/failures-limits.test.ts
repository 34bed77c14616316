/** Limits, metadata, tags, classes and policies of stores: decided before byte 0 where they can be, one object's matter where not. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { MiB } from '../../src/core/units.ts';
import { type Ended, Lab, stateOf } from './failures-lab.ts';

const PARTS = 'transfer: { server_side_copy: never, multipart_threshold: 6 MiB, part_size: 5 MiB }';

const metaOf = (lab: Lab, bucket: string, key: string): Record<string, string> => Object.fromEntries(lab.layout.entry(bucket, key)?.versions[0]?.meta ?? []);
const operationsOn = (lab: Lab, key: string): string[] => lab.requests.filter((request) => request.key === key && request.bucket === 'dest').map(({ operation }) => operation);
const problemOf = (ended: Ended, key: string): string => `${ended.rows.get(key)?.problem?.message} ${ended.rows.get(key)?.problem?.hint}`;

describe('sizes', () => {
  test('F062: a large object goes in exactly the parts that were planned, none beyond', async () => {
    const lab = await Lab.open();
    await lab.put('big', Buffer.alloc(24 * MiB, 'x'));
    const ended = await lab.run({ more: PARTS });
    const parts = lab.requests.filter(({ operation, bucket }) => operation === 'UploadPart' && bucket === 'dest');
    assert.deepEqual([ended.exit, parts.length, Math.max(...parts.map(({ query }) => Number(query.get('partNumber'))))], [0, 5, 5]);
  });

  test('F063: above the limit of one copy the store copies in parts', async () => {
    const lab = await Lab.open();
    await lab.put('big', Buffer.alloc(11 * MiB, 'x'));
    await lab.put('small', Buffer.alloc(5 * MiB, 'y'));
    const ended = await lab.run({ more: 'transfer: { server_side_copy: auto, single_copy_limit: 5 MiB }' });
    assert.deepEqual([ended.exit, ended.tally.copied.objects], [0, 2]);
    assert.ok(operationsOn(lab, 'big').includes('UploadPartCopy') && !operationsOn(lab, 'big').includes('CopyObject'));
    assert.ok(operationsOn(lab, 'small').includes('CopyObject'));
    assert.deepEqual(lab.bytes('dest', 'big'), lab.bytes('from', 'big'));
    assert.equal(lab.requests.filter(({ operation }) => operation === 'GetObject').length, 0, 'no byte came through us');
    lab.assertClean();
  });

  test('F064: an object beyond the destination\'s maximum is E_TOO_LARGE in the plan, with both figures, and nothing of it is sent', async () => {
    const lab = await Lab.open({ rules: [{ name: 'huge', match: { operation: 'ListObjectsV2', bucket: 'from' }, fault: { kind: 'rewrite', edit: (text) => text.replace('<Size>7<', `<Size>${6 * 2 ** 40}<`) } }] });
    await lab.put('huge', '7 bytes');
    await lab.put('small');
    const ended = await lab.run();
    assert.deepEqual([ended.exit, stateOf(ended, 'huge'), stateOf(ended, 'small')], [1, 'failed:E_TOO_LARGE', 'copied']);
    assert.match(problemOf(ended, 'huge'), /6597069766656.*5497558138880/);
    assert.equal(lab.requests.some(({ operation, key }) => operation === 'GetObject' && key === 'huge'), false);
  });
});

describe('attributes', () => {
  const system = new Map([['content-type', 'text/x-y'], ['cache-control', 'no-store'], ['content-disposition', 'attachment; filename="a b"'], ['content-language', 'de'], ['content-encoding', 'br']]);
  const meta = new Map([['plain', 'value'], ['two--dashes', 'x'], ['mtime', '1600000000.123456789'], ['mode', '0644'], ['utf', '=?UTF-8?B?w6k=?=']]);
  const tags: [string, string][] = [['project', 'a b+c/d'], ['\u00e9', '=&?']];

  for (const [way, more] of [['through us', PARTS], ['copied by the store', 'transfer: { server_side_copy: auto, single_copy_limit: 6 MiB }']] as const) {
    test(`F065: one byte below, at and above the threshold the same attributes arrive, ${way}`, async () => {
      const lab = await Lab.open();
      const sizes = [0, 1, 6 * MiB - 1, 6 * MiB, 6 * MiB + 1];
      for (const size of sizes) await lab.put(`o${size}`, Buffer.alloc(size, 'x'), { system, meta, tags, storageClass: 'STANDARD_IA' });
      const ended = await lab.run({ more });
      assert.deepEqual([ended.exit, ended.tally.copied.objects, ended.totals.lost], [0, sizes.length, {}]);
      for (const size of sizes) {
        const found = lab.layout.entry('dest', `o${size}`)?.versions[0];
        assert.ok(found, `${size}`);
        assert.deepEqual([Object.fromEntries(found.system), metaOf(lab, 'dest', `o${size}`), new Map(found.tags), found.storageClass], [Object.fromEntries(system), Object.fromEntries(meta), new Map(tags), 'STANDARD_IA'], `${size}`);
      }
      lab.assertClean();
    });
  }

  for (const [way, transfer] of [['through us', 'transfer: { server_side_copy: never }'], ['copied by the store', 'transfer: { server_side_copy: auto, single_copy_limit: 6 MiB }']] as const) {
    test(`F065: tags that shall not travel do not, ${way}; those that are set do`, async () => {
      for (const [more, expected] of [['transform: { tags: { copy: false } }', []], ['fidelity: { tags: ignore }', []], ['transform: { tags: { copy: false, set: { own: "1" } } }', [['own', '1']]], ['', tags]] as const) {
        const lab = await Lab.open();
        const sizes = [0, 10, 6 * MiB + 1];
        for (const size of sizes) await lab.put(`o${size}`, Buffer.alloc(size, 'x'), { tags });
        const ended = await lab.run({ more: `${transfer}\n${more}` });
        assert.deepEqual([ended.exit, ended.tally.copied.objects], [0, sizes.length]);
        for (const size of sizes) assert.deepEqual(lab.layout.entry('dest', `o${size}`)?.versions[0]?.tags, expected, `${more} ${size}`);
      }
    });
  }

  test('F067: an eleventh tag is E_TAGS_TOO_MANY before a byte is sent; ten arrive', async () => {
    const lab = await Lab.open();
    const ten = Array.from({ length: 10 }, (_, i): [string, string] => [`tag${i}`, 'v']);
    await lab.put('ten', 'x', { tags: ten });
    await lab.put('nine', 'x', { tags: ten.slice(0, 9) });
    const ended = await lab.run({ more: 'transform: { tags: { set: { MigratedBy: us } } }' });
    assert.deepEqual([ended.exit, stateOf(ended, 'ten'), stateOf(ended, 'nine')], [1, 'failed:E_TAGS_TOO_MANY', 'copied']);
    assert.deepEqual(operationsOn(lab, 'ten').filter((name) => name.startsWith('Put')), []);
    assert.equal(lab.layout.entry('dest', 'nine')?.versions[0]?.tags.length, 10);
  });

  test('F068: metadata set and carried beyond ASCII, with spaces of all sorts, is read back by the next hop as it was', async () => {
    const lab = await Lab.open();
    const values = { umlaut: 'f\u00fcr \u65e5\u672c', double: 'two  spaces', empty: '', percent: '%20%', quoted: '"x"' };
    await lab.put('a');
    const hop = await lab.run({ more: `transform: { metadata: { set: ${JSON.stringify(values)} } }` });
    assert.equal(hop.exit, 0);
    const onward = await lab.run({ name: 'onward', source: '{ s3: dest, connection: here }', destination: '{ s3: from, prefix: again/, connection: here }' });
    assert.equal(onward.exit, 0);
    assert.deepEqual(metaOf(lab, 'from', 'again/a'), metaOf(lab, 'dest', 'a'), 'the same on the wire');
    assert.ok(lab.requests.every(({ headers }) => [...headers.values()].every((value) => !/ {2}/.test(value))), 'nothing that signing could fold');
  });

  test('F069: more metadata than fits is E_META_TOO_LARGE, alone', async () => {
    const lab = await Lab.open();
    await lab.put('much', 'x', { meta: new Map([['a', 'x'.repeat(2000)]]) });
    await lab.put('fits', 'x', { meta: new Map([['a', 'x'.repeat(1000)]]) });
    const ended = await lab.run({ more: `transform: { metadata: { set: { added: "${'y'.repeat(200)}" } } }` });
    assert.deepEqual([ended.exit, stateOf(ended, 'much'), stateOf(ended, 'fits')], [1, 'failed:E_META_TOO_LARGE', 'copied']);
  });

  test('F019: aws-chunked, stored by a gateway as an encoding, is not carried on', async () => {
    const lab = await Lab.open();
    await lab.put('both', 'x', { system: new Map([['content-encoding', 'aws-chunked,gzip']]) });
    await lab.put('only', 'x', { system: new Map([['content-encoding', 'aws-chunked']]) });
    await lab.run();
    assert.deepEqual(['both', 'only'].map((key) => lab.layout.entry('dest', key)?.versions[0]?.system.get('content-encoding')), ['gzip', undefined]);
    assert.ok(lab.requests.filter(({ operation, bucket, key }) => operation === 'PutObject' && bucket === 'dest' && key === 'both').every(({ headers }) => !/aws-chunked.*aws-chunked/.test(headers.get('content-encoding') ?? '')));
  });

  test('F070: every PUT and every part carries a checksum, as buckets with a lock demand', async () => {
    const lab = await Lab.open();
    await lab.put('big', Buffer.alloc(11 * MiB, 'x'));
    await lab.put('streamed', Buffer.alloc(5 * MiB + 1, 'y'));
    await lab.put('small');
    await lab.put('empty', '');
    const ended = await lab.run({ more: 'transfer: { server_side_copy: never, multipart_threshold: 6 MiB, part_size: 5 MiB }' });
    assert.equal(ended.exit, 0);
    const writes = lab.requests.filter(({ operation, bucket, key }) => bucket === 'dest' && /^(PutObject|UploadPart)$/.test(operation) && !key.startsWith('.brigade/'));
    assert.ok(writes.length >= 6);
    for (const { operation, key, headers } of writes) assert.ok([...headers.keys()].some((name) => name === 'content-md5' || /^x-amz-(checksum-(?!algorithm|type)|trailer)/.test(name)), `${operation} ${key}`);
  });

  test('F071: a version under retention is failed:E_LOCKED at the first refusal', async () => {
    let refusals = 0;
    const lab = await Lab.open({ onRequest: ({ operation, bucket, key }) => (operation === 'PutObject' && bucket === 'dest' && key === 'locked' && ++refusals > 0 ? { code: 'AccessDenied', message: 'Access Denied because object protected by object lock' } : undefined) });
    await lab.put('locked');
    await lab.put('other');
    const ended = await lab.run();
    assert.deepEqual([ended.exit, stateOf(ended, 'locked'), stateOf(ended, 'other'), refusals], [1, 'failed:E_LOCKED', 'copied', 1]);
  });
});

describe('uploads and classes', () => {
  test('F072: stopped in a large object and started again: missing parts only, others\' uploads stay, none of ours is left', async () => {
    const stop = new AbortController();
    let parts = 0;
    const lab = await Lab.open({ onRequest: ({ operation, bucket }) => { if (operation === 'UploadPart' && bucket === 'dest' && ++parts === 3) stop.abort(); } });
    await lab.put('big', Buffer.alloc(40 * MiB, 'abc'));
    const theirs = { id: 'theirs', key: 'somebody-elses' };
    lab.layout.addUpload('dest', { ...theirs, started: 0, parts: new Map() } as never);
    const more = 'transfer: { server_side_copy: never, multipart_threshold: 6 MiB, part_size: 5 MiB, part_concurrency: 1 }';
    const stopped = await lab.run({ more }, {}, { signal: stop.signal });
    assert.deepEqual([stopped.exit, stopped.stopped], [5, true]);
    assert.equal(lab.layout.uploads('dest').length, 2);
    const done = await lab.run({ more });
    assert.deepEqual([done.exit, stateOf(done, 'big')], [0, 'copied']);
    assert.ok(parts <= 9, `${parts} parts sent of 8`);
    assert.deepEqual(lab.bytes('dest', 'big'), lab.bytes('from', 'big'));
    assert.deepEqual(lab.layout.uploads('dest').map(({ key }) => key), [theirs.key]);
  });

  test('F072: another try of the same object goes on with its upload: one part fails for good, the others are not sent again', async () => {
    const lab = await Lab.open({ rules: [{ name: 'part', match: { operation: 'UploadPart', bucket: 'dest', where: ({ query }) => query.get('partNumber') === '6' }, fault: { kind: 'status', status: 500 }, max: 5 }] });
    await lab.put('big', randomBytes(40 * MiB));
    const ended = await lab.run({ more: 'transfer: { server_side_copy: never, multipart_threshold: 6 MiB, part_size: 5 MiB, part_concurrency: 1 }' });
    assert.deepEqual([ended.exit, stateOf(ended, 'big'), ended.rows.get('big')?.attempts], [0, 'copied', 2]);
    const count = (name: string): number => lab.requests.filter(({ operation, bucket, key }) => operation === name && bucket === 'dest' && key === 'big').length;
    assert.deepEqual([count('CreateMultipartUpload'), count('UploadPart'), count('CompleteMultipartUpload'), count('AbortMultipartUpload')], [1, 8, 1, 0]);
    assert.ok(lab.bytes('dest', 'big')?.equals(lab.bytes('from', 'big') as Buffer));
    lab.assertClean();
  });

  test('F072: parts that the store changed its mind about are sent again, into a new upload where looking at them tells nothing', async () => {
    let completes = 0;
    const refuse = { code: 'InvalidPart', message: 'One or more of the specified parts could not be found.' };
    // Each try asks five times.
    const lab = await Lab.open({ onRequest: ({ operation, bucket }) => (operation === 'CompleteMultipartUpload' && bucket === 'dest' && ++completes <= 10 ? refuse : undefined) });
    await lab.put('big', randomBytes(11 * MiB));
    const ended = await lab.run({ more: PARTS });
    assert.deepEqual([ended.exit, stateOf(ended, 'big'), completes], [0, 'copied', 11]);
    const count = (name: string): number => lab.requests.filter(({ operation, bucket, key }) => operation === name && bucket === 'dest' && key === 'big').length;
    assert.deepEqual([count('CreateMultipartUpload'), count('AbortMultipartUpload')], [2, 1]);
    assert.ok(lab.bytes('dest', 'big')?.equals(lab.bytes('from', 'big') as Buffer));
    lab.assertClean();
  });

  test('F072: what an object that fails leaves is aborted by the end of the run', async () => {
    const lab = await Lab.open({ rules: [{ name: 'part', match: { operation: 'UploadPart', bucket: 'dest', where: ({ query }) => query.get('partNumber') === '2' }, fault: { kind: 'status', status: 500 } }] });
    await lab.put('big', Buffer.alloc(11 * MiB, 'x'));
    const ended = await lab.run({ more: PARTS });
    assert.deepEqual([ended.exit, stateOf(ended, 'big')], [1, 'failed:E_SERVER']);
    lab.assertClean();
  });

  test('F073: archived is skipped and exit 1 unless allowed; restored is copied; an archived destination is no reason to write', async () => {
    const lab = await Lab.open();
    await lab.put('cold', 'x', { storageClass: 'GLACIER' });
    await lab.put('colder', 'x', { storageClass: 'DEEP_ARCHIVE' });
    await lab.put('instant', 'x', { storageClass: 'GLACIER_IR' });
    await lab.put('restored', 'x', { storageClass: 'GLACIER', restore: 'ongoing-request="false", expiry-date="Fri, 21 Dec 2035 00:00:00 GMT"' });
    await lab.put('restoring', 'x', { storageClass: 'GLACIER', restore: 'ongoing-request="true"' });
    const ended = await lab.run();
    assert.deepEqual(['cold', 'colder', 'instant', 'restored', 'restoring'].map((key) => stateOf(ended, key)), ['skipped:archived', 'skipped:archived', 'copied', 'copied', 'skipped:archived']);
    assert.equal(ended.exit, 1);
    const refused = lab.requests.filter(({ operation, key }) => operation === 'GetObject' && ['cold', 'colder', 'restoring'].includes(key));
    assert.equal(refused.length, 0, 'not a single 403');
    const allowed = await lab.run({ more: 'allow_archived: true' });
    assert.equal(allowed.exit, 0);
    assert.equal(lab.layout.entry('dest', 'restored')?.versions[0]?.storageClass, 'GLACIER');
    assert.deepEqual([stateOf(allowed, 'restored'), operationsOn(lab, 'restored').filter((name) => name === 'PutObject').length], ['unchanged', 1]);
  });
});

describe('policies and places', () => {
  test('F075: no request of a whole run carries an ACL', async () => {
    const lab = await Lab.open();
    await lab.put('a');
    await lab.put('big', Buffer.alloc(7 * MiB));
    for (const name of ['never', 'auto']) await lab.run({ name, more: `transfer: { server_side_copy: ${name}, multipart_threshold: 1 MiB }` });
    assert.deepEqual(lab.requests.flatMap(({ headers, query }) => [...headers.keys(), ...query.keys()]).filter((name) => /acl|grant/i.test(name)), []);
  });

  test('F077: a requester-pays source is one line with the option, and a whole run with it', async () => {
    const lab = await Lab.open();
    await lab.put('a');
    const bucket = lab.layout.bucket('from');
    assert.ok(bucket);
    Object.assign(bucket, { requestPayment: 'Requester' });
    const refusal = await lab.run().then((ended) => `${ended.pause?.message} ${ended.pause?.hint}`, ({ message, hint }: { message: string; hint?: string }) => `${message} ${hint ?? ''}`);
    assert.match(refusal, /requester_pays: true/);
    assert.deepEqual(lab.keys('dest'), []);
    const ended = await lab.run({ name: 'paying', more: 'requester_pays: true' });
    assert.deepEqual([ended.exit, lab.keys('dest')], [0, ['a']]);
  });

  test('F078: the region is found from the store\'s answer, and every later request is signed for it', async () => {
    const lab = await Lab.open({ region: 'eu-central-1' });
    for (const name of ['from', 'dest']) Object.assign(lab.layout.bucket(name) ?? {}, { region: 'eu-central-1' });
    await lab.putMany(5);
    const ended = await lab.run();
    assert.deepEqual([ended.exit, ended.tally.copied.objects], [0, 5]);
    const wrong = await lab.run({ name: 'named', connection: 'region: us-west-2' });
    assert.deepEqual([wrong.exit, wrong.tally.listed.objects], [0, 5], 'a wrong region is corrected too');
  });

  test('F079: a redirect is never followed: no request reaches where it points, and no success is made of it', async () => {
    const trap = await Lab.open();
    for (const status of [301, 302, 307, 308] as const) {
      const lab = await Lab.open({ rules: [{ name: 'away', match: { operation: /GetObject|PutObject/, key: 'a' }, fault: { kind: 'redirect', status, location: `${trap.endpoint.url}/dest/a` } }] });
      await lab.put('a');
      const ended = await lab.run();
      assert.notEqual(ended.exit, 0);
      assert.deepEqual(lab.keys('dest'), []);
    }
    assert.deepEqual([trap.requests.length, trap.proxy.requests()], [0, 0]);
  });

  test('F080: a throttled KMS is patience, a disabled key pauses the run with its code', async () => {
    let asked = 0;
    const busy = await Lab.open({ onRequest: ({ operation, bucket, key }) => (operation === 'PutObject' && bucket === 'dest' && key.startsWith('k') && ++asked <= 6 ? { code: 'KMS.ThrottlingException', status: 400 } : undefined) });
    await busy.putMany(5);
    const done = await busy.run();
    assert.deepEqual([done.exit, done.tally.copied.objects, [...done.rows.values()].every(({ attempts }) => attempts === 1)], [0, 5, true]);
    const off = await Lab.open({ onRequest: ({ operation, bucket, key }) => (operation === 'PutObject' && bucket === 'dest' && key.startsWith('k') ? { code: 'KMS.DisabledException', status: 400 } : undefined) });
    await off.putMany(5);
    const paused = await off.run();
    assert.deepEqual([paused.exit, paused.pause?.code, paused.tally.failed.objects], [5, 'E_KMS', 0]);
  });
});
