/**
 * An S3 Inventory: manifest.json and the files it names, CSV or Parquet, each with its size and MD5, in no order overall. A file that is
 * missing or damaged ends the listing: half an inventory is none. ORC is refused.
 *
 * Keys are percent-encoded in CSV, spaces as `+`; in Parquet they stand as they are. Versions that are not the latest, and delete markers,
 * are rows too; they are no objects.
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html (columns),
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html (manifest)
 */
import { keyFromBytes } from '../../../core/key.ts';
import { broken, type OpenFile, type Proof } from './file.ts';
import { parquetRows } from './parquet.ts';
import { csvRows, plainName, type Row } from './rows.ts';

/** Where an inventory lies. */
export interface InventoryPlace {
  /** Of the manifest, for messages. */
  readonly name: string;
  manifest(): Promise<string>;
  /** The file of this key, open, its bytes proven. */
  file(key: string, proof: Proof, signal?: AbortSignal): Promise<OpenFile>;
}

interface Manifest {
  readonly sourceBucket: string;
  readonly fileFormat: string;
  readonly fileSchema: string;
  readonly files: readonly { readonly key: string; readonly size?: number; readonly MD5checksum: string }[];
}

/** What we read of an inventory, by plain name. */
const COLUMNS = ['key', 'islatest', 'isdeletemarker', 'size', 'lastmodifieddate', 'etag', 'storageclass'];

/** Rows of all its files that are objects: `key`, `size`, `etag`, `lastmodifieddate`, `storageclass`. */
export async function* inventoryRows(place: InventoryPlace, bucket: string, signal: AbortSignal | undefined): AsyncGenerator<Row> {
  const manifest = await manifestOf(place);
  const read = readerOf(place, manifest, bucket);
  for (const { key, size, MD5checksum } of manifest.files) {
    const file = await place.file(key, { md5: MD5checksum.toLowerCase(), ...(size === undefined ? {} : { size }) }, signal);
    try {
      for await (const row of read(file)) if (isObject(row)) yield row;
    } finally {
      await file.close();
    }
  }
}

function isObject({ fields }: Row): boolean {
  return String(fields.get('isdeletemarker')) !== 'true' && String(fields.get('islatest')) !== 'false';
}

function readerOf(place: InventoryPlace, { sourceBucket, fileFormat, fileSchema }: Manifest, bucket: string): (file: OpenFile) => AsyncGenerator<Row> {
  if (sourceBucket !== bucket) throw broken(place.name, `is the inventory of ${sourceBucket}, not of ${bucket}`);
  if (fileFormat !== 'CSV' && fileFormat !== 'Parquet') throw broken(place.name, `lists ${fileFormat} files`, 'have the inventory made as Parquet or CSV');
  const columns = fileFormat === 'CSV' ? fileSchema.split(',').map(plainName) : columnsOf(fileSchema);
  if (!columns.includes('key')) throw broken(place.name, 'has no column Key');
  if (fileFormat === 'CSV') return (file) => decoded(csvRows(file, columns));
  // A column that the manifest promises and the file lacks: without it a delete marker would be taken for an object.
  return (file) => parquetRows(file, COLUMNS, columns.filter((name) => COLUMNS.includes(name)));
}

/** `message s3.inventory { required binary key (UTF8); optional int64 size; … }` → plain names. */
function columnsOf(schema: string): string[] {
  return [...schema.matchAll(/\b(?:required|optional)\s+\w+\s+(\w+)/g)].map(([, name]) => plainName(name ?? ''));
}

async function* decoded(rows: AsyncGenerator<Row>): AsyncGenerator<Row> {
  for await (const { fields, ...place } of rows) {
    const key = keyFromBytes(percentDecoded(String(fields.get('key'))));
    yield { ...place, fields: { get: (name) => (name === 'key' ? key : fields.get(name)) } };
  }
}

function percentDecoded(text: string): Buffer {
  const bytes = Buffer.from(text.replaceAll('+', ' '), 'utf8').toString('latin1');
  return Buffer.from(bytes.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))), 'latin1');
}

async function manifestOf(place: InventoryPlace): Promise<Manifest> {
  let value: Partial<Manifest> | null;
  try {
    value = JSON.parse(await place.manifest()) as Partial<Manifest> | null;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw broken(place.name, 'cannot be read: it is not JSON', 'name the manifest.json of an S3 Inventory');
  }
  const { sourceBucket, fileFormat, fileSchema, files } = value ?? {};
  const isWhole = typeof sourceBucket === 'string' && typeof fileFormat === 'string' && typeof fileSchema === 'string' && Array.isArray(files) && files.every(isFile);
  if (!isWhole) throw broken(place.name, 'is not the manifest of an S3 Inventory', 'name its manifest.json');
  return { sourceBucket, fileFormat, fileSchema, files };
}

function isFile(file: Partial<Manifest['files'][number]> | null): boolean {
  return typeof file?.key === 'string' && typeof file.MD5checksum === 'string' && (file.size === undefined || Number.isSafeInteger(file.size));
}
