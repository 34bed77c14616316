/** Range and partNumber of a read. Source: RFC 9110 §14; S3 API Reference, GetObject. */
import type { Checksum } from './checksums.ts';
import { invalidArgument, invalidRequest, s3Error } from './errors.ts';
import type { ObjectVersion } from './layout.ts';
import type { S3Request } from './request.ts';

export interface Picked {
  readonly status: 200 | 206;
  readonly start: number;
  /** Excluded. */
  readonly end: number;
  readonly headers: Record<string, string>;
  /** The checksum that speaks for exactly these bytes. */
  readonly checksum: Checksum | undefined;
}

/** Start and end (excluded); undefined when the header is to be ignored (not one byte range). */
function parseRange(text: string, size: number): { start: number; end: number } | 'unsatisfiable' | undefined {
  const m = /^bytes=(\d*)-(\d*)$/.exec(text.trim());
  if (m === null || (m[1] === '' && m[2] === '')) return undefined;
  if (m[1] === '') {
    const suffix = Number(m[2]);
    if (size === 0 && suffix > 0) return undefined; // RFC 9110 §14.1.2: satisfiable, yet there is no Content-Range that says so
    return suffix === 0 ? 'unsatisfiable' : { start: Math.max(0, size - suffix), end: size };
  }
  const start = Number(m[1]);
  const last = m[2] === '' ? Infinity : Number(m[2]);
  if (last < start) return undefined;
  return start >= size ? 'unsatisfiable' : { start, end: Math.min(size, last + 1) };
}

const contentRange = (start: number, end: number, size: number): Record<string, string> => ({ 'content-range': `bytes ${start}-${end - 1}/${size}` });

/** Wrong wishes are refused before anybody looks whether there is such an object. Throws InvalidArgument, InvalidRequest. */
export function checkPicking(request: S3Request): void {
  const text = request.query.get('partNumber');
  if (text === undefined) return;
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || number > 10_000) throw invalidArgument('partNumber', text, 'Part number must be an integer between 1 and 10000, inclusive.');
  if (request.headers.has('range')) throw invalidRequest('Cannot specify both Range header and partNumber query parameter');
}

function pickPart(version: ObjectVersion, text: string): Picked {
  const size = version.body.size;
  const number = Number(text);
  const parts = version.parts ?? [{ number: 1, size, checksum: version.checksum }];
  const part = parts[number - 1];
  if (part === undefined) throw s3Error('InvalidPartNumber', { details: { ActualPartCount: String(parts.length), PartNumberRequested: text } });
  const start = parts.slice(0, number - 1).reduce((sum, p) => sum + p.size, 0);
  const count: Record<string, string> = version.parts === undefined ? {} : { 'x-amz-mp-parts-count': String(parts.length) };
  if (part.size === 0) return { status: 200, start, end: start, headers: count, checksum: part.checksum };
  return { status: 206, start, end: start + part.size, headers: { ...count, ...contentRange(start, start + part.size, size) }, checksum: part.checksum };
}

/** The bytes a read is about. Throws InvalidRange (416), InvalidPartNumber. */
export function pickRange(version: ObjectVersion, request: S3Request): Picked {
  const size = version.body.size;
  const header = request.headers.get('range');
  const part = request.query.get('partNumber');
  if (part !== undefined) return pickPart(version, part);
  const range = header === undefined ? undefined : parseRange(header, size);
  if (range === undefined) return { status: 200, start: 0, end: size, headers: {}, checksum: version.checksum };
  if (range === 'unsatisfiable') {
    throw s3Error('InvalidRange', { details: { RangeRequested: header ?? '', ActualObjectSize: String(size) }, headers: { 'content-range': `bytes */${size}` } });
  }
  return { status: 206, ...range, headers: contentRange(range.start, range.end, size), checksum: undefined };
}
