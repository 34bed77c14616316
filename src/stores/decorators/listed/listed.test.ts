import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { ObjectEntry } from '../../../core/object.ts';
import { createMemoryStore } from '../../memory/index.ts';
import { listedFrom } from './index.ts';

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-listed-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const store = createMemoryStore({ name: 'listed' });
const tokens = Object.fromEntries(['p/a', 'p/b,"c"\nd', 'p/日 +'].map((key) => [key, store.put(key.slice(2), key)]));

async function entriesOf(path: string, prefix = 'p/', bucket = 'b'): Promise<ObjectEntry[]> {
  const entries: ObjectEntry[] = [];
  for await (const page of listedFrom(store, { at: path, bucket, prefix }).list({})) entries.push(...page.entries);
  return entries;
}

function written(dir: string, name: string, text: string | Buffer): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

test('a CSV of keys alone is completed by asking the store; a gone one is skipped, one outside the prefix left out', async (t) => {
  const path = written(folder(t), 'keys.csv', 'Key\np/a\r\n"p/b,""c""\nd"\n\np/gone\nq/other\np/日 +\n');
  const entries = await entriesOf(path);
  assert.deepEqual(entries.map(({ key, token }) => [key, token]), [['a', tokens['p/a']], ['b,"c"\nd', tokens['p/b,"c"\nd']], ['gone', ''], ['日 +', tokens['p/日 +']]]);
  assert.deepEqual([entries[2]?.reason?.state, entries[2]?.reason?.code], ['skipped', 'source_gone']);
  assert.equal(listedFrom(store, { at: path, bucket: 'b', prefix: '' }).facts.ordered, false);
});

test('what the file says is taken as it says it, in CSV and JSON by line, plain and gzip', async (t) => {
  const dir = folder(t);
  const expected = [{ key: 'nowhere', kind: 'object', size: 7, token: 'old', modifiedMs: Date.UTC(2020, 0, 2), storageClass: 'GLACIER' }];
  const csv = 'size,key,etag,last_modified,storage_class\n7,p/nowhere,"""old""",2020-01-02T00:00:00.000Z,GLACIER\n';
  const json = `${JSON.stringify({ key: 'p/nowhere', size: 7, etag: 'old', last_modified: '2020-01-02T00:00:00.000Z', storage_class: 'GLACIER' })}\n`;
  for (const [name, text] of [['a.csv', csv], ['a.csv.gz', gzipSync(csv)], ['a.jsonl', json], ['a.jsonl.gz', gzipSync(json)]] as const) {
    assert.deepEqual(await entriesOf(written(dir, name, text)), expected, name);
  }
});

test('any keys come back from a CSV and from JSON by line', async (t) => {
  const dir = folder(t);
  await fc.assert(fc.asyncProperty(fc.array(fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', ' ', '+', '%', '日', '\u{1f600}', '\u2028'), minLength: 1, maxLength: 6 }), { maxLength: 8 }), async (keys) => {
    const csv = written(dir, 'k.csv', `key,size,etag\n${keys.map((key) => `"${key.replaceAll('"', '""')}",1,t\n`).join('')}`);
    const json = written(dir, 'k.jsonl', keys.map((key) => `${JSON.stringify({ key, size: 1, etag: 't' })}\n`).join(''));
    assert.deepEqual((await entriesOf(csv, '')).map(({ key }) => key), keys);
    assert.deepEqual((await entriesOf(json, '')).map(({ key }) => key), keys);
  }), { numRuns: 100 });
});

function inventory(dir: string, over: object = {}, text = '"b","p/a%2B+b","true","false","9","2026-01-31T12:00:00.000Z","abc","STANDARD"\n"b","p/old","false","false","9","2026-01-31T12:00:00.000Z","abc","STANDARD"\n"b","p/gone","true","true","","2026-01-31T12:00:00.000Z","",""\n'): string {
  const data = gzipSync(text);
  mkdirSync(join(dir, 'data'), { recursive: true });
  mkdirSync(join(dir, '2026-11-20T01-00Z'), { recursive: true });
  written(join(dir, 'data'), 'x.csv.gz', data);
  return written(join(dir, '2026-11-20T01-00Z'), 'manifest.json', JSON.stringify({
    sourceBucket: 'b', fileFormat: 'CSV', fileSchema: 'Bucket, Key, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass',
    files: [{ key: 'inv/b/all/data/x.csv.gz', size: data.length, MD5checksum: createHash('md5').update(data).digest('hex') }], ...over,
  }));
}

test('an S3 Inventory: keys decoded, old versions and delete markers left out', async (t) => {
  assert.deepEqual(await entriesOf(inventory(folder(t))), [{ key: 'a+ b', kind: 'object', size: 9, token: 'abc', modifiedMs: Date.UTC(2026, 0, 31, 12), storageClass: 'STANDARD' }]);
});

test('half an inventory, one of another bucket, and a file that is no listing end it with one line and where', async (t) => {
  const dir = folder(t);
  const fails = (path: string, message: RegExp) => assert.rejects(entriesOf(path), (error: Error & { code?: string; kind?: string }) => {
    assert.deepEqual([error.code, error.kind], ['E_LISTING_FILE', 'usage']);
    assert.match(error.message, message);
    return true;
  });
  await fails(inventory(dir, { sourceBucket: 'other' }), /of other, not of b/);
  await fails(inventory(dir, { fileFormat: 'ORC' }), /lists ORC files/);
  await fails(inventory(dir, { files: [{ key: 'd/x.csv.gz', MD5checksum: 'no' }] }), /MD5 differs/);
  await fails(inventory(dir, { files: [{ key: 'd/y.csv.gz', MD5checksum: 'no' }] }), /names y\.csv\.gz/);
  await fails(inventory(dir, { files: 'none' }), /not the manifest/);
  await fails(inventory(dir, {}, '"b","p/a"\n'), /line 1 has 2 fields, not 8/);
  await fails(written(dir, 'a.csv', 'name\nx\n'), /line 2 says no key/);
  await fails(written(dir, 'b.csv', 'key\n"x\n'), /inside a quoted field/);
  await fails(written(dir, 'c.csv', 'key,size\np/x,big\n'), /line 2 has a size/);
  await fails(written(dir, 'd.jsonl', '{"key":"p/a"}\nnot json\n'), /line 2 is not a JSON object/);
  await fails(written(dir, 'e.csv.gz', 'not gzip'), /cannot be read/);
  await fails(join(dir, 'absent.csv'), /ENOENT/);
});
