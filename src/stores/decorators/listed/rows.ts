/** Rows of a listing that stands in a file: CSV (RFC 4180) or JSON by line, plain or gzip. One row in memory. */
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { broken, type Readable } from './file.ts';

/** What a row says under a name; names are lower case without underscores: `lastmodifieddate`. Sizes in bytes, times as a date or in milliseconds since 1970. */
export interface Fields { get(name: string): string | number | boolean | undefined }

export interface Row {
  readonly file: string;
  /** What is counted there, from 1: lines of a text, rows of a table. */
  readonly unit: 'line' | 'row';
  readonly number: number;
  readonly fields: Fields;
}

/** Longest row: a key of 1,024 bytes, escaped, and its facts. */
const LONGEST = 64 * 1024;

/** `ETag`, `e_tag` and `etag` are one name: an inventory's CSV, its Parquet and people write it each in their way. */
export function plainName(name: string): string {
  return name.trim().toLowerCase().replaceAll('_', '');
}

/** Text of a file in pieces; what ends in `.gz` is decompressed. @throws usage E_LISTING_FILE. */
async function* textOf(file: Readable): AsyncGenerator<string> {
  try {
    yield* streamOf(file);
  } catch (error) {
    throw broken(file.name, `the listing cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'}`);
  }
}

function streamOf(file: Readable): AsyncIterable<string> {
  const stream = file.open();
  if (!file.name.endsWith('.gz')) return stream.setEncoding('utf8') as AsyncIterable<string>;
  return pipeline(stream, createGunzip(), () => undefined).setEncoding('utf8') as AsyncIterable<string>;
}

/** `columns`: their names; absent: the first row says them. */
export async function* csvRows(file: Readable, columns?: readonly string[]): AsyncGenerator<Row> {
  let names = columns;
  for await (const { line, values } of records(file)) {
    if (values.length === 1 && values[0] === '') continue;
    if (names === undefined) {
      names = values.map(plainName);
      continue;
    }
    if (values.length !== names.length) throw brokenLine(file, line, `has ${values.length} fields, not ${names.length}`);
    yield { file: file.name, unit: 'line', number: line, fields: new Map(names.map((name, at) => [name, values[at] ?? ''])) };
  }
}

export async function* jsonRows(file: Readable): AsyncGenerator<Row> {
  let line = 0;
  for await (const text of linesOf(file)) {
    line++;
    if (text.trim() === '') continue;
    const entries = Object.entries(parsed(file, line, text)).map(([name, value]) => [plainName(name), typeof value === 'string' ? value : JSON.stringify(value)] as const);
    yield { file: file.name, unit: 'line', number: line, fields: new Map(entries) };
  }
}

function parsed(file: Readable, line: number, text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below, with its place.
  }
  throw brokenLine(file, line, 'is not a JSON object');
}

async function* linesOf(file: Readable): AsyncGenerator<string> {
  const chunks = textOf(file);
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST) throw brokenLine(file, 1, 'has lines too long to be those of a listing');
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** Fields may be quoted, quotes within doubled, and hold line ends: keys may. */
async function* records(file: Readable): AsyncGenerator<{ readonly line: number; readonly values: readonly string[] }> {
  let line = 0;
  let open = '';
  for await (const text of linesOf(file)) {
    line++;
    open = open === '' ? text : `${open}\n${text}`;
    if (open.length > LONGEST) throw brokenLine(file, line, 'ends a field that began long before: a quote is missing');
    if ((open.split('"').length - 1) % 2 === 1) continue;
    yield { line, values: splitRecord(open.endsWith('\r') ? open.slice(0, -1) : open) };
    open = '';
  }
  if (open !== '') throw brokenLine(file, line, 'ends inside a quoted field: the file was cut?');
}

function splitRecord(text: string): string[] {
  if (!text.includes('"')) return text.split(',');
  const values: string[] = [];
  for (const match of text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) values.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  return values;
}

function brokenLine({ name }: Readable, line: number, why: string): Error {
  return broken(name, `line ${line} ${why}`, 'mend the listing, or make it again');
}
