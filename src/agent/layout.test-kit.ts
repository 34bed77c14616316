/** What every layout must do, whatever it stands on. `layoutConformance(name, open, able)` in a test file runs all of it. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { noGuard, writeGuard } from './conditions.ts';
import { S3Error } from './errors.ts';
import type { Body, Layout, ListedEntry, ObjectVersion, ScanHints, Upload, UploadPart } from './layout.ts';
import { seedBucket } from './seeding.ts';

export interface Able {
  /** Versions and bucket settings. */
  readonly versions: boolean;
  /** Every key of up to 1,024 bytes. */
  readonly anyKey: boolean;
  /** What was put is there after close and opening again. */
  readonly lasting: boolean;
}

/** Opens a layout for one test; called again with the same context it opens the same one, after it was closed. */
export type Open = (t: TestContext) => Promise<Layout>;

const B = 'bucket';
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const write = (layout: Layout, bytes: Buffer | string, size = 65_536): Promise<Body> => layout.write(pieces(Buffer.from(bytes), size));

export async function readAll(body: Body, start = 0, end = body.size): Promise<Buffer> {
  const read: Buffer[] = [];
  for await (const piece of body.read(start, end)) read.push(Buffer.from(piece));
  return Buffer.concat(read);
}

const plain = { system: new Map([['content-type', 'text/plain']]), meta: new Map<string, string>(), tags: [], storageClass: 'STANDARD', echoed: new Map<string, string>() };

async function versionOf(layout: Layout, key: string, content: Buffer | string, more: Partial<ObjectVersion> = {}): Promise<ObjectVersion> {
  const etag = createHash('md5').update(content).digest('hex');
  return { ...plain, key, versionId: 'null', deleteMarker: false, modified: 1_700_000_000_123, etag, checksum: undefined, parts: undefined, restore: undefined, body: await write(layout, content), ...more };
}

export async function put(layout: Layout, key: string, content: Buffer | string = key, more: Partial<ObjectVersion> = {}, bucket = B): Promise<ObjectVersion> {
  const version = await versionOf(layout, key, content, more);
  await layout.put(bucket, version, noGuard);
  return version;
}

const newest = async (layout: Layout, key: string): Promise<ObjectVersion | undefined> => (await layout.entry(B, key))?.versions[0];
const content = async (layout: Layout, key: string): Promise<string | undefined> => {
  const version = await newest(layout, key);
  return version === undefined ? undefined : (await readAll(version.body)).toString();
};

async function scanned(layout: Layout, from = '', hints: ScanHints = {}): Promise<ListedEntry[]> {
  const entries: ListedEntry[] = [];
  for await (const entry of layout.scan(B, Buffer.from(from), hints)) entries.push(entry);
  return entries;
}

const keysFrom = async (layout: Layout, from = '', hints: ScanHints = {}): Promise<string[]> => (await scanned(layout, from, hints)).map((entry) => entry.key);
const refused = (code: string) => (error: unknown): boolean => error instanceof S3Error && error.code === code;

const uploadOf = (key: string, id: string, started = 5): Upload =>
  ({ ...plain, meta: new Map([['m', '1']]), id, key, started, algorithm: 'CRC32', declared: true, checksumType: 'FULL_OBJECT', parts: new Map() });

async function partOf(layout: Layout, number: number, text: Buffer | string): Promise<UploadPart> {
  const body = await write(layout, text);
  return { number, size: body.size, etag: createHash('md5').update(text).digest('hex'), modified: 7, checksum: { algorithm: 'CRC32', value: 'AAAAAA==', type: 'FULL_OBJECT' }, body, raw: Buffer.from([1, 2, 3, number]) };
}

async function complete(layout: Layout, upload: string, key: string, parts: readonly UploadPart[]): Promise<void> {
  const body = await layout.concat(parts.map((part) => part.body));
  await layout.put(B, { ...await versionOf(layout, key, '', { etag: `${'0'.repeat(32)}-${parts.length}`, parts }), body }, noGuard, upload);
}

export function layoutConformance(name: string, open: Open, able: Able): void {
  const check = (title: string, work: (layout: Layout, t: TestContext) => Promise<void>): void => {
    void test(`${name}: ${title}`, async (t) => {
      const layout = await open(t);
      await seedBucket(layout, B);
      await work(layout, t);
      await layout.close?.();
    });
  };
  bucketChecks(check, able);
  objectChecks(check);
  changeChecks(check);
  guardChecks(check);
  listingChecks(check, able);
  pageChecks(check);
  uploadChecks(check);
  if (able.versions) versionChecks(check);
  if (able.anyKey) keyChecks(check);
  if (able.lasting) lastingChecks(check, open, able);
}

type Check = (title: string, work: (layout: Layout, t: TestContext) => Promise<void>) => void;

function bucketChecks(check: Check, able: Able): void {
  check('buckets are added, listed in order, and removed only when empty', async (layout) => {
    await seedBucket(layout, 'another');
    assert.deepEqual((await layout.buckets()).map((bucket) => bucket.name), ['another', B]);
    assert.equal((await layout.bucket('another'))?.name, 'another');
    assert.equal(await layout.bucket('nowhere'), undefined);
    await put(layout, 'k');
    await assert.rejects(async () => layout.removeBucket(B), refused('BucketNotEmpty'));
    await layout.remove(B, 'k', 'null', noGuard);
    await layout.addUpload(B, uploadOf('u', 'left-open'));
    await layout.removeBucket(B);
    assert.equal(await layout.bucket(B), undefined);
    await seedBucket(layout, B);
    assert.deepEqual([await layout.uploads(B), await keysFrom(layout)], [[], []], 'a new bucket of the same name starts empty');
  });
  if (!able.versions) return;
  check('settings of a bucket are kept', async (layout) => {
    const bucket = (await layout.bucket(B))!;
    await layout.changeBucket({ ...bucket, versioning: 'Enabled', requestPayment: 'Requester' });
    const changed = await layout.bucket(B);
    assert.deepEqual([changed?.versioning, changed?.requestPayment], ['Enabled', 'Requester']);
  });
}

function objectChecks(check: Check): void {
  check('an object keeps bytes, time, ETag, checksum, headers, metadata and tags', async (layout) => {
    const bytes = randomBytes(300_000);
    const more: Partial<ObjectVersion> = {
      checksum: { algorithm: 'SHA256', value: 'abc=', type: 'FULL_OBJECT' }, system: new Map([['content-type', 'a/b'], ['cache-control', 'no']]), meta: new Map([['x', 'é\u0001']]),
      tags: [['t', '1'], ['ключ', '+ &']], storageClass: 'STANDARD_IA', echoed: new Map([['x-amz-server-side-encryption', 'AES256']]), restore: undefined,
      parts: [{ number: 1, size: 300_000, etag: 'e', modified: 3, checksum: undefined }],
    };
    const { body, ...given } = await put(layout, 'folder/object', bytes, more);
    const found = (await newest(layout, 'folder/object'))!;
    const { body: foundBody, ...kept } = found;
    assert.deepEqual(kept, given);
    assert.equal(foundBody.size, 300_000);
    assert.deepEqual(await readAll(foundBody), bytes);
    for (const [start, end] of [[0, 1], [299_999, 300_000], [65_535, 65_537], [5, 5], [1000, 290_000]] as const) assert.deepEqual(await readAll(foundBody, start, end), bytes.subarray(start, end), `${start}–${end}`);
    assert.equal(body.size, 300_000);
    const [listed] = (await scanned(layout)).at(-1)!.versions;
    assert.deepEqual([listed?.etag, listed?.modified, listed?.storageClass, listed?.body.size, listed?.checksum?.algorithm, listed?.checksum?.type], [found.etag, found.modified, 'STANDARD_IA', 300_000, 'SHA256', 'FULL_OBJECT']);
  });
  check('empty objects, zeros among data and odd pieces are read back to the byte', async (layout) => {
    await put(layout, 'empty', '');
    assert.equal(await content(layout, 'empty'), '');
    const bytes = Buffer.concat([Buffer.alloc(100_000), randomBytes(10), Buffer.alloc(40_000), randomBytes(70_001), Buffer.alloc(200_000)]);
    for (const size of [1000, 16_384, 65_536, 1 << 20]) {
      const body = await write(layout, bytes, size);
      await layout.put(B, await versionOf(layout, 'zeros', bytes, { body }), noGuard);
      assert.ok((await readAll((await newest(layout, 'zeros'))!.body)).equals(bytes), `pieces of ${size}`);
    }
    await put(layout, 'nothing but zeros', Buffer.alloc(1 << 20));
    assert.ok((await readAll((await newest(layout, 'nothing but zeros'))!.body)).equals(Buffer.alloc(1 << 20)));
  });
  check('a put replaces, a removal removes, both say what is there after', async (layout) => {
    await put(layout, 'k', 'one');
    await put(layout, 'k', 'the second');
    assert.equal(await content(layout, 'k'), 'the second');
    const removed = await layout.remove(B, 'k', 'null', noGuard);
    assert.equal(removed?.etag, createHash('md5').update('the second').digest('hex'));
    assert.equal(await layout.entry(B, 'k'), undefined);
    assert.equal(await layout.remove(B, 'k', 'null', noGuard), undefined);
    assert.equal(await layout.remove(B, 'never there', 'null', noGuard), undefined);
    assert.deepEqual(await keysFrom(layout), []);
  });
  check('bytes that are discarded, and those of a source that fails, leave nothing', async (layout) => {
    await (await write(layout, 'discarded')).discard();
    const failing = (async function* source() {
      yield Buffer.from('some bytes');
      throw new Error('the client went away');
    })();
    await assert.rejects(layout.write(failing), /the client went away/);
    assert.deepEqual(await keysFrom(layout), []);
  });
}

function changeChecks(check: Check): void {
  check('tags and restore state change where the version stands', async (layout) => {
    await put(layout, 'k', 'content', { tags: [['old', '1']] });
    await layout.replace(B, { ...(await newest(layout, 'k'))!, tags: [['new', '2']], restore: 'ongoing-request="false"' });
    const after = await newest(layout, 'k');
    assert.deepEqual([after?.tags, after?.restore, await content(layout, 'k')], [[['new', '2']], 'ongoing-request="false"', 'content']);
  });
  check('who was told of an object before it was replaced reads the old or an error, never a mixture', async (layout) => {
    const [one, two] = [randomBytes(400_000), randomBytes(400_000)];
    await put(layout, 'k', one);
    const before = (await newest(layout, 'k'))!;
    await put(layout, 'k', two);
    const read = await readAll(before.body).catch(() => undefined);
    assert.ok(read === undefined || read.equals(one));
    await put(layout, 'k', one);
    const pieces: Buffer[] = [];
    const reading = (async () => {
      for await (const piece of (await newest(layout, 'k'))!.body.read(0, 400_000)) {
        pieces.push(Buffer.from(piece));
        if (pieces.length === 1) await put(layout, 'k', two);
      }
    })();
    await reading.catch(() => pieces.splice(0));
    assert.ok(pieces.length === 0 || Buffer.concat(pieces).equals(one), 'replaced while it was read');
  });
}

function guardChecks(check: Check): void {
  const absent = writeGuard(new Map([['if-none-match', '*']]), 'k');
  const matches = (etag: string) => writeGuard(new Map([['if-match', etag]]), 'k');
  check('of many writers that want the key absent one wins, and only its bytes are there', async (layout) => {
    const race = await Promise.allSettled(Array.from({ length: 20 }, async (_, n) => layout.put(B, await versionOf(layout, 'k', `writer ${n}`), absent)));
    const won = race.flatMap((result, n) => (result.status === 'fulfilled' ? [n] : []));
    assert.equal(won.length, 1);
    assert.ok(race.every((result) => result.status === 'fulfilled' || refused('PreconditionFailed')(result.reason)));
    assert.equal(await content(layout, 'k'), `writer ${won[0]}`);
  });
  check('of many writers that replace one ETag one wins, puts and removals alike', async (layout) => {
    const { etag } = await put(layout, 'k', 'start');
    const race = await Promise.allSettled([
      ...Array.from({ length: 10 }, async (_, n) => layout.put(B, await versionOf(layout, 'k', `writer ${n}`), matches(`"${etag}"`))),
      ...Array.from({ length: 10 }, async () => layout.remove(B, 'k', 'null', matches(`"${etag}"`))),
    ]);
    assert.equal(race.filter((result) => result.status === 'fulfilled').length, 1);
  });
  check('a refused write changes nothing', async (layout) => {
    await put(layout, 'k', 'stays');
    await assert.rejects(async () => layout.put(B, await versionOf(layout, 'k', 'other'), absent), refused('PreconditionFailed'));
    await assert.rejects(async () => layout.remove(B, 'k', 'null', matches('"other"')), refused('PreconditionFailed'));
    assert.equal(await content(layout, 'k'), 'stays');
  });
}

const segment = fc.string({ unit: fc.constantFrom('a', 'b', '-', '.x', '\u{1f600}', '\uffee', 'é', '\u0001', '+', 'A'), minLength: 1, maxLength: 3 }).filter((text) => !text.startsWith('.'));
/** Keys that a tree can hold, too, unless one is a directory of another. */
const treeKey = fc.array(segment, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));

function listingChecks(check: Check, able: Able): void {
  check('a scan is in byte order from anywhere, skips, and can be left', async (layout) => {
    const keys = ['a-b', 'a/b', 'a/c/d', 'a/c/e', 'a0', 'b', '\ufffd', '\u{1f600}', 'é'];
    for (const key of keys) await put(layout, key);
    const sorted = keys.toSorted(byBytes);
    assert.deepEqual(await keysFrom(layout), sorted);
    for (const from of ['a', 'a-', 'a/', 'a/c', 'a/c/d\0', 'a/d', 'zz', '\u{1f600}', '\u{10ffff}']) assert.deepEqual(await keysFrom(layout, from), sorted.filter((key) => byBytes(key, from) >= 0), from);
    const scan = layout.scan(B, Buffer.alloc(0));
    assert.equal((await scan.next()).value?.key, sorted[0]);
    assert.equal((await scan.next(Buffer.from('a/c/e'))).value?.key, 'a/c/e');
    assert.equal((await scan.next(Buffer.from('a/'))).value?.key, 'a0', 'it never goes back');
    assert.equal((await scan.next(Buffer.from('zzz'))).value?.key, 'é');
    await scan.return();
    assert.equal((await scan.next()).done, true);
  });
  check('whatever the keys, prefix and skips, a scan tells what a sort would', async (layout) => {
    let round = 0;
    await fc.assert(fc.asyncProperty(fc.uniqueArray(treeKey, { maxLength: 20 }), treeKey, fc.constantFrom('', 'a', 'a/', 'é'), fc.array(treeKey, { maxLength: 3 }), async (some, start, prefix, skips) => {
      const from = byBytes(start, prefix) < 0 ? prefix : start;
      const keys = some.filter((key) => !some.some((other) => other.startsWith(`${key}/`))).map((key) => key);
      const bucket = `round-${round++}`;
      await seedBucket(layout, bucket);
      await Promise.all(keys.map(async (key) => layout.put(bucket, await versionOf(layout, key, ''), noGuard)));
      const expected = keys.filter((key) => byBytes(key, from) >= 0 && key.startsWith(prefix)).sort(byBytes);
      const scan = layout.scan(bucket, Buffer.from(from), { prefix });
      const found: string[] = [];
      const wanted: string[] = [];
      let passed = '';
      for (let to: string | undefined, skip = 0; ;) {
        const next = await scan.next(to === undefined ? undefined : Buffer.from(to));
        const floor = to;
        const should = expected.find((key) => (passed === '' || byBytes(key, passed) > 0) && (floor === undefined || byBytes(key, floor) >= 0));
        if (should !== undefined) wanted.push(should);
        if (next.done === true || !next.value.key.startsWith(prefix)) break;
        found.push(next.value.key);
        passed = next.value.key;
        to = skips[skip++];
      }
      await scan.return();
      assert.deepEqual(found, wanted);
    }), { numRuns: able.anyKey ? 30 : 40 });
  });
}

function pageChecks(check: Check): void {
  check('a scan that was left goes on where the next one begins, whatever was written in between', async (layout) => {
    const names = Array.from({ length: 300 }, (_, n) => `d${n % 3}/${String(n).padStart(4, '0')}`);
    await Promise.all(names.map((key) => put(layout, key, '')));
    const seen: string[] = [];
    let from = Buffer.alloc(0);
    for (let page = 0; page < 400; page++) {
      const before = seen.length;
      for await (const { key } of layout.scan(B, from, { newestOnly: true })) {
        if (seen.length - before === 7) break;
        seen.push(key);
      }
      if (seen.length === before) break;
      from = Buffer.from(`${seen.at(-1)}\0`);
      if (page === 10) await put(layout, 'd1/0000-new', '');
      if (page === 20) await layout.remove(B, 'd2/0299', 'null', noGuard);
    }
    assert.deepEqual(seen, [...names.filter((key) => key !== 'd2/0299'), 'd1/0000-new'].sort(byBytes));
  });
  check('with a delimiter every common prefix shows, and skipping passes all of it', async (layout) => {
    for (const key of ['a/1', 'a/2/x', 'b', 'c/1', 'c/2', 'd']) await put(layout, key);
    const rolled: string[] = [];
    const scan = layout.scan(B, Buffer.alloc(0), { delimiter: '/', newestOnly: true });
    for (let to: Buffer | undefined; ;) {
      const next = await scan.next(to);
      if (next.done === true) break;
      const at = next.value.key.indexOf('/');
      rolled.push(at < 0 ? next.value.key : next.value.key.slice(0, at + 1));
      to = at < 0 ? undefined : Buffer.from(`${next.value.key.slice(0, at)}0`);
    }
    assert.deepEqual(rolled, ['a/', 'b', 'c/', 'd']);
  });
}

function uploadChecks(check: Check): void {
  check('an upload keeps its attributes and parts, in order of key and start', async (layout) => {
    await layout.addUpload(B, uploadOf('b', 'second', 9));
    await layout.addUpload(B, uploadOf('b', 'first', 8));
    await layout.addUpload(B, uploadOf('a', 'third'));
    assert.deepEqual((await layout.uploads(B)).map((upload) => upload.id), ['third', 'first', 'second']);
    await layout.putPart(B, 'first', await partOf(layout, 2, 'two'));
    await layout.putPart(B, 'first', await partOf(layout, 1, 'one'));
    await layout.putPart(B, 'first', await partOf(layout, 2, 'two again'));
    const { parts, ...upload } = (await layout.upload(B, 'first'))!;
    const { parts: _, ...expected } = uploadOf('b', 'first', 8);
    assert.deepEqual(upload, expected);
    assert.deepEqual(new Set(parts.keys()), new Set([1, 2]));
    const { body, ...part } = parts.get(2)!;
    assert.deepEqual(part, { number: 2, size: 9, etag: createHash('md5').update('two again').digest('hex'), modified: 7, checksum: { algorithm: 'CRC32', value: 'AAAAAA==', type: 'FULL_OBJECT' }, raw: Buffer.from([1, 2, 3, 2]) });
    assert.equal((await readAll(body)).toString(), 'two again');
    await assert.rejects(async () => layout.putPart(B, 'nobody', await partOf(layout, 1, 'x')), refused('NoSuchUpload'));
    await layout.removeUpload(B, 'first');
    assert.equal(await layout.upload(B, 'first'), undefined);
    assert.deepEqual(await keysFrom(layout), [], 'parts are no objects');
  });
  check('completed parts become one object, and the upload ends with it', async (layout) => {
    const texts = [randomBytes(100_000), randomBytes(7), randomBytes(50_000)];
    await layout.addUpload(B, uploadOf('big', 'up'));
    for (const [index, text] of texts.entries()) await layout.putPart(B, 'up', await partOf(layout, index + 1, text));
    await layout.putPart(B, 'up', await partOf(layout, 9, 'not used'));
    const parts = [1, 2, 3].map((number) => number);
    const upload = (await layout.upload(B, 'up'))!;
    await complete(layout, 'up', 'big', parts.map((number) => upload.parts.get(number)!));
    assert.equal(await layout.upload(B, 'up'), undefined);
    const whole = Buffer.concat(texts);
    const { body } = (await newest(layout, 'big'))!;
    assert.ok((await readAll(body)).equals(whole));
    assert.ok((await readAll(body, 99_999, 100_010)).equals(whole.subarray(99_999, 100_010)), 'over the seams');
    await assert.rejects(complete(layout, 'up', 'big', []), refused('NoSuchUpload'));
    assert.ok((await readAll((await newest(layout, 'big'))!.body)).equals(whole), 'a late second completion changes nothing');
  });
}

function versionChecks(check: Check): void {
  const ids = async (layout: Layout): Promise<string[] | undefined> => (await layout.entry(B, 'k'))?.versions.map((version) => version.versionId);
  check('versions stand newest first; the one behind takes the place of a removed newest', async (layout) => {
    for (const versionId of ['one', 'two', 'null', 'three']) await put(layout, 'k', versionId, { versionId });
    assert.deepEqual(await ids(layout), ['three', 'null', 'two', 'one']);
    await put(layout, 'k', 'null again', { versionId: 'null' });
    assert.deepEqual(await ids(layout), ['null', 'three', 'two', 'one']);
    await layout.replace(B, { ...(await layout.entry(B, 'k'))!.versions[2]!, tags: [['t', '1']] });
    assert.deepEqual((await layout.entry(B, 'k'))!.versions.map((version) => version.tags.length), [0, 0, 1, 0]);
    assert.equal((await layout.remove(B, 'k', 'null', noGuard))?.versionId, 'null');
    assert.equal((await layout.remove(B, 'k', 'two', noGuard))?.versionId, 'two');
    assert.deepEqual(await ids(layout), ['three', 'one']);
    const [entry] = await scanned(layout);
    assert.deepEqual(entry?.versions.map((version) => version.versionId), ['three', 'one']);
    for (const [index, text] of ['three', 'one'].entries()) assert.equal((await readAll((await layout.entry(B, 'k'))!.versions[index]!.body)).toString(), text);
    await layout.remove(B, 'k', 'three', noGuard);
    await layout.remove(B, 'k', 'one', noGuard);
    assert.deepEqual([await ids(layout), await scanned(layout)], [undefined, []]);
  });
  check('a delete marker is a version without bytes', async (layout) => {
    await put(layout, 'k', 'content', { versionId: 'v' });
    await put(layout, 'k', '', { versionId: 'm', deleteMarker: true, etag: '' });
    const [entry] = await scanned(layout, '', { newestOnly: true });
    assert.deepEqual([entry?.versions[0]?.deleteMarker, (await ids(layout))?.length], [true, 2]);
    assert.equal((await readAll((await layout.entry(B, 'k'))!.versions[1]!.body)).toString(), 'content');
  });
}

function keyChecks(check: Check): void {
  check('every key is kept byte for byte', async (layout) => {
    const keys = ['a//b', '..', '.', '../../etc/passwd', 'a', 'a/', 'a/b', '/', '//', '\u0001', 'nul\0in it', 'nul\0', 'x'.repeat(1024), `${'é'.repeat(512)}`, 'A', 'é', 'e\u0301', 'con', 'a\\b', ' '];
    for (const key of keys) await put(layout, key);
    assert.deepEqual(await keysFrom(layout), keys.toSorted(byBytes));
    for (const key of keys) assert.equal(await content(layout, key), key, JSON.stringify(key));
    for (const key of keys) await layout.remove(B, key, 'null', noGuard);
    assert.deepEqual(await keysFrom(layout), []);
  });
}

function lastingChecks(check: Check, open: Open, able: Able): void {
  check('everything is there after it was closed and opened again', async (layout, t) => {
    await put(layout, 'd/k', 'content', { meta: new Map([['m', '1']]), tags: [['t', '1']] });
    if (able.versions) await put(layout, 'd/k', 'newer', { versionId: 'v2' });
    await layout.addUpload(B, uploadOf('u', 'up'));
    await layout.putPart(B, 'up', await partOf(layout, 1, 'part'));
    const before = await layout.entry(B, 'd/k');
    await layout.close?.();
    const again = await open(t);
    const after = await again.entry(B, 'd/k');
    const shown = (entry: typeof after): unknown => entry?.versions.map(({ body, ...rest }) => ({ ...rest, size: body.size }));
    assert.deepEqual(shown(after), shown(before));
    assert.equal((await readAll(after!.versions.at(-1)!.body)).toString(), 'content');
    assert.equal((await readAll((await again.upload(B, 'up'))!.parts.get(1)!.body)).toString(), 'part');
    await again.close?.();
  });
}
