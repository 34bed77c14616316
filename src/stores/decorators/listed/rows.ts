/** Rows of a listing that stands in a file: CSV (RFC 4180) or JSON by line, plain or gzip. One row in memory. */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { usageError } from '../../../core/errors.ts';

export interface Row { readonly line: number; readonly fields: ReadonlyMap<string, string> }

/** Longest row: a key of 1,024 bytes, escaped, and its facts. */
const LONGEST = 64 * 1024;

/** Text of a file in pieces; what ends in `.gz` is decompressed. @throws usage E_LISTING_FILE. */
export async function* textOf(path: string): AsyncGenerator<string> {
  try {
    yield* streamOf(path);
  } catch (error) {
    throw usageError('E_LISTING_FILE', `the listing cannot be read: ${(error as NodeJS.ErrnoException).code ?? 'error'}`, 'check source.listing', path);
  }
}

function streamOf(path: string): AsyncIterable<string> {
  const file = createReadStream(path);
  if (!path.endsWith('.gz')) return file.setEncoding('utf8') as AsyncIterable<string>;
  return pipeline(file, createGunzip(), () => undefined).setEncoding('utf8') as AsyncIterable<string>;
}

/** `columns`: their names; absent: the first row says them. */
export async function* csvRows(path: string, columns?: readonly string[]): AsyncGenerator<Row> {
  let names = columns;
  for await (const { line, values } of records(path)) {
    if (values.length === 1 && values[0] === '') continue;
    if (names === undefined) {
      names = values.map((name) => name.trim().toLowerCase());
      continue;
    }
    if (values.length !== names.length) throw broken(path, line, `has ${values.length} fields, not ${names.length}`);
    yield { line, fields: new Map(names.map((name, at) => [name, values[at] ?? ''])) };
  }
}

export async function* jsonRows(path: string): AsyncGenerator<Row> {
  let line = 0;
  for await (const text of linesOf(path)) {
    line++;
    if (text.trim() === '') continue;
    yield { line, fields: new Map(Object.entries(parsed(path, line, text)).map(([name, value]) => [name.toLowerCase(), typeof value === 'string' ? value : JSON.stringify(value)])) };
  }
}

function parsed(path: string, line: number, text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Told below, with its place.
  }
  throw broken(path, line, 'is not a JSON object');
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const chunks = textOf(path);
  let rest = '';
  for await (const chunk of chunks) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LONGEST) throw broken(path, 1, 'has lines too long to be those of a listing');
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** Fields may be quoted, quotes within doubled, and hold line ends: keys may. */
async function* records(path: string): AsyncGenerator<{ readonly line: number; readonly values: readonly string[] }> {
  let line = 0;
  let open = '';
  for await (const text of linesOf(path)) {
    line++;
    open = open === '' ? text : `${open}\n${text}`;
    if (open.length > LONGEST) throw broken(path, line, 'ends a field that began long before: a quote is missing');
    if ((open.split('"').length - 1) % 2 === 1) continue;
    yield { line, values: splitRecord(open.endsWith('\r') ? open.slice(0, -1) : open) };
    open = '';
  }
  if (open !== '') throw broken(path, line, 'ends inside a quoted field: the file was cut?');
}

function splitRecord(text: string): string[] {
  if (!text.includes('"')) return text.split(',');
  const values: string[] = [];
  for (const match of text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) values.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  return values;
}

export function broken(path: string, line: number, why: string): Error {
  return usageError('E_LISTING_FILE', `line ${line} ${why}`, 'mend the listing, or make it again', path);
}
