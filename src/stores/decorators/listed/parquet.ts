/**
 * Rows of a Parquet file, a window at a time: of a row group the compressed chunks of the columns that are asked for are in memory, decoded
 * is one window. Codecs are what writers of inventories use (Snappy), and what Node has: gzip, zstd, brotli.
 * Source: https://parquet.apache.org/docs/file-format/
 */
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { type AsyncBuffer, type Compressors, type FileMetaData, parquetMetadataAsync, type ParquetParsers, parquetReadObjects, parquetSchema } from 'hyparquet';
import { BrigadeError } from '../../../core/errors.ts';
import { keyFromBytes } from '../../../core/key.ts';
import { broken, type OpenFile } from './file.ts';
import { type Fields, plainName, type Row } from './rows.ts';

/** Rows that are decoded at once: ten megabytes with keys of a hundred bytes. */
const WINDOW = 1 << 15;

/** Bytes of the end that are read at first; a longer footer is read whole. */
const FOOTER = 1 << 16;

const codecs: Compressors = {
  GZIP: (bytes, size) => gunzipSync(bytes, { maxOutputLength: size + 1 }),
  ZSTD: (bytes, size) => zstdDecompressSync(bytes, { maxOutputLength: size + 1 }),
  BROTLI: (bytes, size) => brotliDecompressSync(bytes, { maxOutputLength: size + 1 }),
};

/** Keys come byte for byte, also those that are not UTF-8; times as milliseconds. */
const parsers: Partial<ParquetParsers> = {
  stringFromBytes: (bytes: Uint8Array | undefined) => bytes && keyFromBytes(bytes),
  timestampFromMilliseconds: (value: bigint) => milliseconds(value, 1n),
  timestampFromMicroseconds: (value: bigint) => milliseconds(value, 1000n),
  timestampFromNanoseconds: (value: bigint) => milliseconds(value, 1_000_000n),
};

/** A value that is not there comes through the parser too. */
function milliseconds(value: bigint | undefined, unit: bigint): number | undefined {
  return value === undefined ? undefined : Number(value / unit);
}

/**
 * @param wanted plain names of the columns that are read, where the file has them.
 * @param promised names that the file must have.
 * @throws usage E_LISTING_FILE with the row.
 */
export async function* parquetRows(file: OpenFile, wanted: readonly string[], promised: readonly string[]): AsyncGenerator<Row> {
  const metadata = await footerOf(file);
  const columns = parquetSchema(metadata).children.map((child) => child.element.name);
  const missing = promised.find((name) => !columns.some((column) => plainName(column) === name));
  if (missing !== undefined) throw broken(file.name, `has no column ${missing}`, 'have the inventory made again');
  const read = columns.filter((column) => wanted.includes(plainName(column)));
  const place = new Map(read.map((column) => [plainName(column), column]));
  let groupStart = 0;
  for (const group of metadata.row_groups) {
    const groupEnd = groupStart + Number(group.num_rows);
    const chunks = remembered(file);
    for (let from = groupStart; from < groupEnd; from += WINDOW) {
      const rows = await windowOf(file, { file: chunks, metadata, columns: read, rowStart: from, rowEnd: Math.min(groupEnd, from + WINDOW) });
      for (const [at, row] of rows.entries()) yield { file: file.name, unit: 'row', number: from + at + 1, fields: fieldsOf(row, place) };
    }
    groupStart = groupEnd;
  }
}

async function footerOf(file: OpenFile): Promise<FileMetaData> {
  try {
    return await parquetMetadataAsync(bufferOf(file), { geoparquet: false, initialFetchSize: FOOTER });
  } catch (error) {
    throw unreadable(file, 'cannot be read as Parquet', error);
  }
}

type Values = Readonly<Record<string, unknown>>;

async function windowOf(file: OpenFile, window: { file: AsyncBuffer; metadata: FileMetaData; columns: string[]; rowStart: number; rowEnd: number }): Promise<readonly Values[]> {
  const { rowStart, rowEnd } = window;
  try {
    const rows = await parquetReadObjects({ ...window, compressors: codecs, parsers }) as Values[];
    if (rows.length === rowEnd - rowStart) return rows;
    throw new Error(`${rows.length} rows are there`);
  } catch (error) {
    throw unreadable(file, `rows ${rowStart + 1} to ${rowEnd} cannot be read as Parquet`, error);
  }
}

/** The library's words are one more clue, not the message: they name no place. */
function unreadable(file: OpenFile, why: string, error: unknown): Error {
  if (error instanceof BrigadeError) return error;
  return broken(file.name, `${why}: ${error instanceof Error ? error.message : String(error)}`, 'fetch it again, or have the inventory made as CSV');
}

function bufferOf(file: OpenFile): AsyncBuffer {
  return { byteLength: file.size, slice: (start, end = file.size) => file.slice(start, end) };
}

/** Each window asks for the same chunks of its row group: they are read once. */
function remembered(file: OpenFile): AsyncBuffer {
  const known = new Map<string, Promise<ArrayBuffer>>();
  return {
    byteLength: file.size,
    slice: (start, end = file.size) => {
      const name = `${start}-${end}`;
      const slice = known.get(name) ?? file.slice(start, end);
      known.set(name, slice);
      return slice;
    },
  };
}

function fieldsOf(row: Values, place: ReadonlyMap<string, string>): Fields {
  return { get: (name) => valueOf(row[place.get(name) ?? '']) };
}

function valueOf(value: unknown): string | number | boolean | undefined {
  if (typeof value === 'bigint') return Number(value);
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : undefined;
}
