import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import type { ObjectEntry } from '../../../core/object.ts';
import { createMemoryStore } from '../../memory/index.ts';
import { openProven, type OpenFile } from './file.ts';
import { listedFrom } from './index.ts';
import { parquetRows } from './parquet.ts';

const SCHEMA = 'message s3.inventory { required binary bucket (UTF8); required binary key (UTF8); optional binary version_id (UTF8); optional boolean is_latest; optional boolean is_delete_marker; '
  + 'optional int64 size; optional int64 last_modified_date (TIMESTAMP_MILLIS); optional binary e_tag (UTF8); optional binary storage_class (UTF8); }';

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-listed-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

function fixture(name: string): Buffer {
  return readFileSync(join(import.meta.dirname, 'fixtures', name));
}

/** An inventory of these files as it lies in its bucket. */
function inventory(dir: string, files: Readonly<Record<string, Buffer>>, fileSchema = SCHEMA): string {
  for (const name of ['data', 'date']) mkdirSync(join(dir, name), { recursive: true });
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(dir, 'data', name), bytes);
  const manifest = {
    sourceBucket: 'b', fileFormat: 'Parquet', fileSchema,
    files: Object.entries(files).map(([name, bytes]) => ({ key: `inv/b/all/data/${name}`, size: bytes.length, MD5checksum: createHash('md5').update(bytes).digest('hex') })),
  };
  writeFileSync(join(dir, 'date', 'manifest.json'), JSON.stringify(manifest));
  return join(dir, 'date', 'manifest.json');
}

async function entriesOf(path: string, prefix = ''): Promise<ObjectEntry[]> {
  const entries: ObjectEntry[] = [];
  for await (const page of listedFrom(createMemoryStore({ name: 'parquet' }), { at: path, bucket: 'b', prefix }).list({})) entries.push(...page.entries);
  return entries;
}

function written(columnData: ColumnSource[], rowGroupSize?: number): Buffer {
  return Buffer.from(parquetWriteBuffer({ columnData, ...(rowGroupSize === undefined ? {} : { rowGroupSize }) }));
}

const keyed = (keys: readonly string[]): ColumnSource[] => [
  { name: 'key', data: [...keys], type: 'STRING', nullable: false }, { name: 'size', data: keys.map(() => 1n), type: 'INT64' }, { name: 'e_tag', data: keys.map(() => 't'), type: 'STRING' },
];
/** What is read of the end before anything is known. */
const FOOTER = 70_000;
const PLAIN = 'message s3.inventory { required binary key (STRING); optional int64 size; optional binary e_tag (STRING); }';

test('Parquet of another writer, in every codec and encoding: keys as they stand, old versions and delete markers left out', async (t) => {
  for (const name of ['snappy.parquet', 'gzip-v2.parquet', 'zstd.parquet', 'none-index.parquet']) {
    const entries = await entriesOf(inventory(folder(t), { [name]: fixture(name) }), 'p/');
    assert.deepEqual(entries.slice(0, 4), [
      { key: 'a+ b', kind: 'object', size: 9, token: 'abc', modifiedMs: Date.UTC(2026, 0, 31, 12), storageClass: 'STANDARD' },
      { key: '%41', kind: 'object', size: 0, token: 'abc', modifiedMs: Date.UTC(2026, 0, 31, 12) + 250, storageClass: 'STANDARD' },
      { key: '日本, "x"\n\u{1f600}', kind: 'object', size: 5 * 2 ** 40, token: '0123-7', modifiedMs: Date.UTC(1999, 11, 31, 23, 59, 59), storageClass: 'DEEP_ARCHIVE' },
      { key: 'many/0000', kind: 'object', size: 0, token: 'e0', modifiedMs: Date.UTC(2026, 0, 1), storageClass: 'STANDARD' },
    ], name);
    assert.deepEqual(entries.slice(3).map(({ key, size, token }) => [key, size, token]), Array.from({ length: 500 }, (_, i) => [`many/${String(i).padStart(4, '0')}`, i, `e${i % 3}`]), name);
  }
});

test('any keys come back from Parquet, over windows and row groups', async (t) => {
  const dir = folder(t);
  await fc.assert(fc.asyncProperty(fc.array(fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', ' ', '+', '%', '日', '\u{1f600}', '\u2028'), minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 4 }), async (keys, rowGroupSize) => {
    assert.deepEqual((await entriesOf(inventory(dir, { 'k.parquet': written(keyed(keys), rowGroupSize) }, PLAIN))).map(({ key }) => key), keys);
  }), { numRuns: 25 });
  const many = Array.from({ length: 36_000 }, (_, i) => `key/${i}`);
  assert.deepEqual((await entriesOf(inventory(dir, { 'k.parquet': written(keyed(many), 34_000) }, PLAIN))).map(({ key }) => key), many);
});

test('of a Parquet file one row group is read at a time, and each of its columns once', async (t) => {
  const dir = folder(t);
  const bytes = written(keyed(Array.from({ length: 70_000 }, (_, i) => `key/${i}`)), 35_000);
  writeFileSync(join(dir, 'x.parquet'), bytes);
  const file = await openProven(join(dir, 'x.parquet'), { md5: createHash('md5').update(bytes).digest('hex') });
  t.after(() => file.close());
  let read = 0;
  const counted: OpenFile = { ...file, slice: (from, to) => { read += to - from; return file.slice(from, to); } };
  const rows = parquetRows(counted, ['key', 'size', 'etag'], []);
  await rows.next();
  assert.ok(read < bytes.length * 0.5 + FOOTER, `${read} of ${bytes.length} bytes for the first row`);
  let count = 1;
  for await (const _ of rows) count++;
  assert.equal(count, 70_000);
  assert.ok(read < bytes.length + FOOTER, `${read} of ${bytes.length} bytes for all rows`);
});

test('a Parquet inventory that is not what it should be ends the listing with one line: file, row, why', async (t) => {
  const dir = folder(t);
  const fails = async (path: string, message: RegExp, where: string): Promise<void> => {
    await assert.rejects(entriesOf(path), (error: Error & { code?: string; kind?: string; location?: string; hint?: string }) => {
      assert.deepEqual([error.code, error.kind, basename(error.location ?? '')], ['E_LISTING_FILE', 'usage', where]);
      assert.match(error.message, message);
      assert.notEqual(error.hint, undefined);
      return true;
    });
  };
  const one = (bytes: Buffer, schema = PLAIN) => inventory(dir, { 'x.parquet': bytes }, schema);
  const good = written(keyed(['a', 'b']));
  await fails(one(fixture('lz4.parquet'), SCHEMA), /rows 1 to 506 cannot be read as Parquet: .*LZ4/, 'x.parquet');
  await fails(one(Buffer.from('not a table')), /cannot be read as Parquet/, 'x.parquet');
  await fails(one(good.subarray(0, -20)), /cannot be read as Parquet/, 'x.parquet');
  await fails(one(Buffer.alloc(0)), /cannot be read as Parquet/, 'x.parquet');
  await fails(one(good, SCHEMA), /has no column islatest/, 'x.parquet');
  await fails(one(good, 'message s3.inventory { optional int64 size; }'), /has no column Key/, 'manifest.json');
  await fails(one(written([{ name: 'key', data: ['a', null], type: 'STRING' }]), 'message m { optional binary key (UTF8); }'), /row 2 says no key/, 'x.parquet');
  await fails(one(written([{ name: 'key', data: ['a', 'b'], type: 'STRING' }, { name: 'size', data: [1n, -1n], type: 'INT64' }]), 'message m { optional binary key (UTF8); }'), /row 2 has a size/, 'x.parquet');
  const cut = one(good);
  writeFileSync(join(dir, 'data', 'x.parquet'), good.subarray(1));
  await fails(cut, /not the file that the manifest names: it has \d+ bytes, not \d+/, 'x.parquet');
  writeFileSync(join(dir, 'data', 'x.parquet'), Buffer.from(good).fill(0, 8, 9));
  await fails(cut, /not the file that the manifest names: its MD5 differs/, 'x.parquet');
});
