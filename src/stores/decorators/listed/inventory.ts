/**
 * An S3 Inventory as it lies in its bucket, fetched to a folder: manifest.json and the CSV files it names, each with its MD5. A file that is
 * missing or damaged ends the listing: half an inventory is none. Parquet and ORC are refused.
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html
 */
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { usageError } from '../../../core/errors.ts';
import { csvRows, type Row } from './rows.ts';

interface Manifest {
  readonly sourceBucket: string;
  readonly fileFormat: string;
  readonly fileSchema: string;
  readonly files: readonly { readonly key: string; readonly MD5checksum: string }[];
}

/** Rows with the names of their columns in lower case: `key`, `size`, `etag`, `lastmodifieddate`, `storageclass`, `islatest`, `isdeletemarker`. */
export async function* inventoryRows(path: string, bucket: string): AsyncGenerator<Row> {
  const { sourceBucket, fileFormat, fileSchema, files } = manifestOf(path);
  if (sourceBucket !== bucket) throw wrong(path, `is the inventory of ${sourceBucket}, not of ${bucket}`);
  if (fileFormat !== 'CSV') throw wrong(path, `lists ${fileFormat} files`, 'have the inventory made as CSV');
  const columns = fileSchema.split(',').map((name) => name.trim().toLowerCase());
  if (!columns.includes('key')) throw wrong(path, 'has no column Key');
  for (const { key, MD5checksum } of files) {
    const file = fileAt(path, key);
    if ((await md5Of(file)) !== MD5checksum) throw wrong(file, 'is not the file that the manifest names: its MD5 differs', 'fetch it again');
    yield* csvRows(file, columns);
  }
}

function manifestOf(path: string): Manifest {
  let value: Partial<Manifest>;
  try {
    value = JSON.parse(readFileSync(path, 'utf8')) as Partial<Manifest>;
  } catch (error) {
    throw wrong(path, `cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'it is not JSON'}`);
  }
  const { sourceBucket, fileFormat, fileSchema, files } = value;
  const isWhole = typeof sourceBucket === 'string' && typeof fileFormat === 'string' && typeof fileSchema === 'string' && Array.isArray(files)
    && files.every((file) => typeof file?.key === 'string' && typeof file.MD5checksum === 'string');
  if (!isWhole) throw wrong(path, 'is not the manifest of an S3 Inventory', 'name its manifest.json');
  return { sourceBucket, fileFormat, fileSchema, files };
}

/** Beside the manifest, or in the `data` folder where S3 puts them: `…/inventory-id/DATE/manifest.json`, `…/inventory-id/data/FILE`. */
function fileAt(manifest: string, key: string): string {
  const [folder, name] = [dirname(manifest), basename(key)];
  const found = [join(folder, name), join(folder, 'data', name), join(folder, '..', 'data', name)].find((path) => existsSync(path));
  if (found === undefined) throw wrong(manifest, `names ${name}, which is neither beside it nor in data/`, 'fetch the whole inventory');
  return found;
}

async function md5Of(path: string): Promise<string> {
  const hash = createHash('md5');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

function wrong(path: string, why: string, hint = 'check source.listing'): Error {
  return usageError('E_LISTING_FILE', why, hint, path);
}
