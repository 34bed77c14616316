/** A run whose source is listed by a file, which is old: what it says is only a pin (truth 3). */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { seedBucket } from '../../src/agent/seeding.ts';
import { Lab, stateOf } from './failures-lab.ts';

test('of an old listing a changed object is copied as it is now, a gone one is skipped, a new one is not seen', async () => {
  const lab = await Lab.open();
  for (const key of ['same', 'changed', 'unknown', 'new']) await lab.put(key, `${key} as it is now`);
  const rows = ['key,size,etag', 'same,,', 'changed,3,00000000000000000000000000000000', 'gone,4,11111111111111111111111111111111', 'unknown,,', 'never,,'];
  writeFileSync(join(lab.dir, 'keys.csv'), `${rows.join('\n')}\n`);
  const { exit, rows: done, tally } = await lab.run({ source: '{ s3: from, connection: here, listing: ./keys.csv }' });
  const states = Object.fromEntries([...done.values()].map(({ key, state, code, problem }) => [key, state === 'copied' ? state : `${state} ${problem?.code ?? code ?? ''}`]));
  assert.deepEqual(states, { same: 'copied', changed: 'copied', unknown: 'copied', gone: 'skipped source_gone', never: 'skipped source_gone' });
  assert.equal(lab.bytes('dest', 'changed')?.toString(), 'changed as it is now');
  assert.deepEqual(lab.keys('dest'), ['changed', 'same', 'unknown']);
  assert.deepEqual([exit, tally.copied.objects, tally.skipped.objects], [0, 3, 2]);
});

const MANIFEST = 'inv/from/all/2026-11-20T01-00Z/manifest.json';
const CSV = 'Bucket, Key, IsLatest, IsDeleteMarker, Size, ETag';
const PARQUET = 'message s3.inventory { required binary bucket (UTF8); required binary key (UTF8); optional boolean is_latest; optional boolean is_delete_marker; optional int64 size; optional binary e_tag (UTF8); }';

interface Inventory {
  readonly format: 'CSV' | 'Parquet';
  readonly files: Readonly<Record<string, Buffer>>;
  /** Keys of the data files in the bucket, where the manifest does not tell the truth. */
  readonly at?: (name: string) => string;
  readonly over?: object;
  readonly manifestAt?: string;
}

/** Puts an inventory of `from` into its own bucket. */
async function inventoryIn(lab: Lab, { format, files, at = (name) => `inv/from/all/data/${name}`, over = {}, manifestAt = MANIFEST }: Inventory): Promise<void> {
  await seedBucket(lab.layout, 'inventories');
  for (const [name, bytes] of Object.entries(files)) await lab.putAt('inventories', at(name), bytes);
  await lab.putAt('inventories', manifestAt, JSON.stringify({
    sourceBucket: 'from', destinationBucket: 'arn:aws:s3:::inventories', version: '2016-11-30', fileFormat: format, fileSchema: format === 'CSV' ? CSV : PARQUET,
    files: Object.entries(files).map(([name, bytes]) => ({ key: `inv/from/all/data/${name}`, size: bytes.length, MD5checksum: createHash('md5').update(bytes).digest('hex') })), ...over,
  }));
}

/** No size and no ETag: each object is asked for. */
function table(rows: readonly (readonly [key: string, latest: boolean, deleted: boolean])[]): Buffer {
  const column = <T>(name: string, type: 'STRING' | 'BOOLEAN' | 'INT64', data: readonly T[]) => ({ name, type, data: [...data] });
  return Buffer.from(parquetWriteBuffer({ columnData: [
    column('bucket', 'STRING', rows.map(() => 'from')), column('key', 'STRING', rows.map(([key]) => key)), column('is_latest', 'BOOLEAN', rows.map(([, latest]) => latest)),
    column('is_delete_marker', 'BOOLEAN', rows.map(([,, deleted]) => deleted)), column('size', 'INT64', rows.map(() => null)), column('e_tag', 'STRING', rows.map(() => null)),
  ] }));
}

const SOURCE = `{ s3: from, connection: here, listing: "s3://inventories/${MANIFEST}" }`;
const FILES = { 'b.parquet': table([['z+ %41', true, false], ['d', true, false], ['d', false, false]]), 'a.parquet': table([['c', true, false], ['gone', true, true], ['日本', true, false]]) };

test('an inventory where S3 put it lists the source: Parquet in no order, old versions and delete markers left out', async () => {
  const lab = await Lab.open();
  const keys = ['c', 'd', 'z+ %41', '日本'];
  for (const key of [...keys, 'new', 'gone']) await lab.put(key);
  await inventoryIn(lab, { format: 'Parquet', files: FILES });
  const { exit, tally } = await lab.run({ source: SOURCE });
  assert.deepEqual([exit, tally.copied.objects, lab.keys('dest')], [0, 4, keys]);
  assert.deepEqual(lab.requests.filter(({ method, key, query }) => method === 'GET' && key === undefined && query.get('list-type') !== null).map(({ bucket }) => bucket).filter((bucket) => bucket === 'from'), [], 'the source is not listed');
});

test('an inventory in CSV, and one whose prefix ended with a slash, over a connection of its own', async () => {
  const lab = await Lab.open({ env: { OTHER: 'right-secret' } });
  for (const key of ['a b', 'c', 'new']) await lab.put(key);
  const files = { 'x.csv.gz': gzipSync('"from","c","true","false","",""\n"from","a+b","true","false","",""\n') };
  await inventoryIn(lab, { format: 'CSV', files, over: { files: [{ key: 'inv/from/all/other/x.csv.gz', MD5checksum: createHash('md5').update(files['x.csv.gz']).digest('hex') }] } });
  const migration = lab.file({ source: SOURCE.replace(' }', ', listing_connection: there }') }).replace('connections:\n', `connections:\n  there: { endpoint: "${lab.endpoint.url}", credentials: { access_key_id: env:ID, secret_access_key: env:OTHER } }\n`);
  writeFileSync(join(lab.dir, 'pair.yml'), migration);
  const { exit, err } = await lab.command('run', 'pair.yml', '--progress', 'none', '--state', lab.state);
  assert.deepEqual([exit, lab.keys('dest')], [0, ['a b', 'c']], err);
});

test('an inventory that is not whole ends the run with one line before anything moves', async () => {
  const cases: readonly (readonly [Inventory, RegExp])[] = [
    [{ format: 'Parquet', files: FILES, at: (name) => `elsewhere/${name}` }, /s3:\/\/inventories\/inv\/from\/all\/2026-11-20T01-00Z\/manifest\.json: names "inv\/from\/all\/data\/b\.parquet", which the bucket does not have; /],
    [{ format: 'Parquet', files: FILES, over: { files: [{ key: 'inv/from/all/data/b.parquet', size: 7, MD5checksum: '0' }] } }, /s3:\/\/inventories\/inv\/from\/all\/data\/b\.parquet: is not the file that the manifest names: it has \d+ bytes, not 7; /],
    [{ format: 'Parquet', files: FILES, over: { files: [{ key: 'inv/from/all/data/b.parquet', MD5checksum: '0' }] } }, /data\/b\.parquet: is not the file that the manifest names: its MD5 differs; /],
    [{ format: 'Parquet', files: { ...FILES, 'c.parquet': Buffer.from('no table') } }, /data\/c\.parquet: cannot be read as Parquet/],
    [{ format: 'CSV', files: { 'x.csv': Buffer.from('"from","c","true","false","",""\n"from","d","true"\n') } }, /data\/x\.csv: line 2 has 3 fields, not 6; /],
    [{ format: 'CSV', files: {}, over: { fileFormat: 'ORC' } }, /manifest\.json: lists ORC files; have the inventory made as Parquet or CSV/],
    [{ format: 'CSV', files: {}, over: { sourceBucket: 'other' } }, /is the inventory of other, not of from/],
    [{ format: 'CSV', files: {}, manifestAt: 'elsewhere/manifest.json' }, /manifest\.json: is not there; check source\.listing/],
  ];
  for (const [inventory, line] of cases) {
    const lab = await Lab.open();
    await lab.put('c');
    await lab.put('d');
    await inventoryIn(lab, inventory);
    lab.write({ source: SOURCE });
    const { exit, err } = await lab.command('run', 'pair.yml', '--progress', 'none', '--state', lab.state);
    assert.match(err, line);
    assert.notEqual(exit, 0);
    assert.deepEqual(lab.keys('dest'), [], err);
  }
});

test('an inventory in a bucket that may not be read pauses the run, and the next one goes on', async () => {
  const lab = await Lab.open({ rules: [{ name: 'denied', match: { bucket: 'inventories' }, fault: { kind: 'status', status: 403 } }] });
  await lab.put('c');
  await inventoryIn(lab, { format: 'Parquet', files: { 'a.parquet': table([['c', true, false]]) } });
  const paused = await lab.run({ source: SOURCE });
  assert.equal(paused.exit, 5);
  lab.calmDown();
  const ended = await lab.run({ source: SOURCE });
  assert.deepEqual([ended.exit, stateOf(ended, 'c')], [0, 'copied']);
});
