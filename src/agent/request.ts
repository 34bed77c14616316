/** One request as received: nothing normalised, `//`, `..` and percent signs kept as they came. */
import type { IncomingMessage } from 'node:http';
import { s3Error } from './errors.ts';

export interface S3Request {
  readonly method: string;
  /** The path on the wire, without the query, undecoded. */
  readonly rawPath: string;
  readonly rawQuery: string;
  readonly bucket: string;
  readonly key: string;
  /** First value of each query parameter, decoded; `?uploads` has the value ''. */
  readonly query: ReadonlyMap<string, string>;
  /** Lower-case names; repeated headers joined with a comma; values are the bytes as latin-1. */
  readonly headers: ReadonlyMap<string, string>;
  readonly id: string;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Percent-decodes into bytes. Throws InvalidURI on a broken escape. */
export function percentDecode(text: string): Buffer {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) throw s3Error('InvalidURI');
  return Buffer.from(text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))), 'latin1');
}

/** Percent-decodes into a string. Throws InvalidURI when the bytes are not UTF-8. */
export function percentDecodeText(text: string): string {
  if (/^[\x00-\x24\x26-\x7f]*$/.test(text)) return text; // ASCII without a percent sign
  try {
    return utf8.decode(percentDecode(text));
  } catch {
    throw s3Error('InvalidURI'); // the decoder's TypeError says nothing that a client could use
  }
}

const hex = Array.from({ length: 256 }, (_, byte) => {
  const char = String.fromCharCode(byte);
  return /[A-Za-z0-9\-._~]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
});

/** The UriEncode of the SigV4 specification, over bytes. `keep` lists bytes left alone ("/" in paths). */
export function uriEncode(bytes: Buffer, keep = ''): string {
  let out = '';
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    out += keep.includes(char) ? char : (hex[byte] ?? '');
  }
  return out;
}

/** The pairs of a query string, undecoded. A `+` means a space, as in forms. */
export function rawPairs(rawQuery: string): [name: string, value: string][] {
  const pairs = rawQuery.split('&').filter((pair) => pair !== '');
  return pairs.map((pair) => {
    const at = pair.indexOf('=');
    const [name, value] = at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
    return [name.replaceAll('+', '%20'), value.replaceAll('+', '%20')];
  });
}

function parseQuery(rawQuery: string): Map<string, string> {
  const query = new Map<string, string>();
  if (rawQuery === '') return query;
  for (const [name, value] of rawPairs(rawQuery)) {
    const decoded = percentDecodeText(name);
    if (!query.has(decoded)) query.set(decoded, percentDecodeText(value));
  }
  return query;
}

function collectHeaders(raw: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = String(raw[i]).toLowerCase();
    const before = headers.get(name);
    const value = String(raw[i + 1]).trim();
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  return headers;
}

/** The bucket in the host name, when the endpoint serves `<bucket>.<base>`. */
function hostBucket(host: string, base: string | undefined): string | undefined {
  const name = host.replace(/:\d+$/, '');
  return base !== undefined && name.endsWith(`.${base}`) ? name.slice(0, -base.length - 1) : undefined;
}

function splitTarget(url: string): { rawPath: string; rawQuery: string } {
  const target = url.replace(/^https?:\/\/[^/?]*/i, '');
  const at = target.indexOf('?');
  return at < 0 ? { rawPath: target, rawQuery: '' } : { rawPath: target.slice(0, at), rawQuery: target.slice(at + 1) };
}

function splitPath(rawPath: string, virtual: string | undefined): { bucket: string; key: string } {
  const rest = rawPath.slice(1);
  if (virtual !== undefined) return { bucket: virtual, key: percentDecodeText(rest) };
  const at = rest.indexOf('/');
  if (at < 0) return { bucket: percentDecodeText(rest), key: '' };
  return { bucket: percentDecodeText(rest.slice(0, at)), key: percentDecodeText(rest.slice(at + 1)) };
}

/** Reads the request line and headers. Throws InvalidURI. */
export function parseRequest(incoming: IncomingMessage, id: string, hostBase: string | undefined): S3Request {
  const { rawPath, rawQuery } = splitTarget(incoming.url ?? '/');
  const headers = collectHeaders(incoming.rawHeaders);
  const place = splitPath(rawPath, hostBucket(headers.get('host') ?? '', hostBase));
  return { method: incoming.method ?? 'GET', rawPath, rawQuery, ...place, query: parseQuery(rawQuery), headers, id };
}
