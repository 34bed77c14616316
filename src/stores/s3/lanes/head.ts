/**
 * Heads of answers, read strictly (RFC 9112 §2–§6): what is not exactly HTTP/1.1 is refused, not repaired, since two readers that repair
 * differently can be made to see different answers (F118; RFC 9112 §11.2).
 */
import { KiB } from '../../../core/units.ts';
import type { ResponseHeaders } from '../transport.ts';

export const MOST_HEAD = 16 * KiB;

/** How the body behind a head ends. */
export type Framing = { readonly kind: 'length'; readonly length: number } | { readonly kind: 'chunked' } | { readonly kind: 'odd'; readonly why: string };

export interface Head {
  readonly status: number;
  readonly headers: ResponseHeaders;
  /** `odd`: lawful, but not spoken here. */
  readonly framing: Framing;
  /** The connection may serve again. */
  readonly persistent: boolean;
  /** The server says that it closes idle connections after so many seconds. */
  readonly keepSeconds?: number;
}

/** Not HTTP/1.1. The code is that of undici for the same. */
export class HeadError extends Error {
  readonly code: string;

  constructor(message: string, code = 'HPE_STRICT') {
    super(message);
    this.code = code;
  }
}

const BEGINS = 'HTTP/1.';
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
/** Name and value, without the white space around the value. Neither CR, LF, NUL nor a fold gets through. */
const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*$/;
const LENGTH = /^\d{1,15}$/;

/** Where the head ends that begins at 0: the index behind its empty line; undefined while it is not whole. @throws HeadError: too long, or another protocol. */
export function endOfHead(bytes: Buffer, filled: number): number | undefined {
  // Whoever speaks something else may wait for us to speak first, or has hung up already.
  const begins = Math.min(filled, BEGINS.length);
  if (bytes.toString('latin1', 0, begins) !== BEGINS.slice(0, begins)) throw new HeadError('not HTTP/1');
  const at = bytes.subarray(0, Math.min(filled, MOST_HEAD)).indexOf('\r\n\r\n', 0, 'latin1');
  if (at >= 0) return at + 4;
  if (filled >= MOST_HEAD) throw new HeadError('too long', 'UND_ERR_HEADERS_OVERFLOW');
  return undefined;
}

/** `text`: latin-1, with the empty line at its end. @throws HeadError */
export function parseHead(text: string): Head {
  const [first = '', ...lines] = text.slice(0, -4).split('\r\n');
  const [, minor, digits] = STATUS_LINE.exec(first) ?? [];
  if (digits === undefined) throw new HeadError('the status line');
  const status = Number(digits);
  const headers: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  for (const line of lines) addField(headers, line);
  const connection = String(headers['connection'] ?? '').toLowerCase();
  const keep = /(?:^|[,;\s])timeout=(\d{1,6})/i.exec(String(headers['keep-alive'] ?? ''))?.[1];
  return {
    status, headers, framing: framingOf(status, headers, minor === '0'), persistent: minor === '1' && !/(?:^|,)\s*close\s*(?:,|$)/.test(connection),
    ...(keep === undefined ? {} : { keepSeconds: Number(keep) }),
  };
}

function addField(headers: Record<string, string | string[]>, line: string): void {
  const [, given, value] = FIELD.exec(line) ?? [];
  if (given === undefined || value === undefined) throw new HeadError('a header field');
  const name = given.toLowerCase();
  const before = headers[name];
  headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
}

/** RFC 9112 §6.3; two lengths, or a length beside a coding, are refused even where they agree. */
function framingOf(status: number, headers: ResponseHeaders, old: boolean): Framing {
  const length = lengthIn(headers);
  const coding = headers['transfer-encoding'];
  if (length !== undefined && coding !== undefined) throw new HeadError('Content-Length beside Transfer-Encoding');
  if (old) return { kind: 'odd', why: 'HTTP/1.0' };
  const bodiless = status < 200 || status === 204;
  if (bodiless && (coding ?? length ?? '0') !== '0') throw new HeadError('a body where none may be');
  if (bodiless || status === 304) return { kind: 'length', length: 0 };
  if (coding !== undefined) return String(coding).toLowerCase() === 'chunked' ? { kind: 'chunked' } : { kind: 'odd', why: 'Transfer-Encoding' };
  return length === undefined ? { kind: 'odd', why: 'no Content-Length' } : { kind: 'length', length: Number(length) };
}

function lengthIn(headers: ResponseHeaders): string | undefined {
  const length = headers['content-length'];
  if (length === undefined || (typeof length === 'string' && LENGTH.test(length))) return length;
  throw new HeadError('Content-Length');
}
