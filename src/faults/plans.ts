/** How each fault changes the answer of the target. */
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Fault } from './kinds.ts';
import { chance } from './chance.ts';
import type { Facts } from './rules.ts';

/** Lower-case names. */
export type Head = Map<string, string>;

export interface Answer {
  status: number;
  readonly head: Head;
  body: AsyncIterable<Buffer>;
  /** How the connection ends after the body. */
  finish: 'end' | 'close' | 'reset' | 'hang';
  /** Sent without a length, ended by closing. */
  closeDelimited: boolean;
}

async function collect(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* only(bytes: Buffer): AsyncGenerator<Buffer> {
  if (bytes.length > 0) yield bytes;
}

/** The first `count` bytes. */
async function* limit(body: AsyncIterable<Buffer>, count: number): AsyncGenerator<Buffer> {
  let left = count;
  if (left <= 0) return;
  for await (const piece of body) {
    yield piece.subarray(0, left);
    left -= piece.length;
    if (left <= 0) return;
  }
}

async function* pause(body: AsyncIterable<Buffer>, after: number, ms: number): AsyncGenerator<Buffer> {
  let at = 0;
  let paused = false;
  for await (const piece of body) {
    const head = paused ? piece.length : Math.min(piece.length, Math.max(0, after - at));
    if (head > 0) yield piece.subarray(0, head);
    if (!paused && at + piece.length > after) {
      await delay(ms);
      paused = true;
    }
    if (head < piece.length) yield piece.subarray(head);
    at += piece.length;
  }
}

async function* drip(body: AsyncIterable<Buffer>, bytes: number, ms: number): AsyncGenerator<Buffer> {
  for await (const piece of body) {
    for (let at = 0; at < piece.length; at += bytes) {
      yield piece.subarray(at, at + bytes);
      await delay(ms);
    }
  }
}

/** Turns over the lowest bit of one byte; bodies shorter than that pass. */
export async function* flip(body: AsyncIterable<Buffer>, place: number): AsyncGenerator<Buffer> {
  let at = 0;
  for await (const piece of body) {
    if (place < at || place >= at + piece.length) yield piece;
    else {
      const changed = Buffer.from(piece);
      changed[place - at]! ^= 1;
      yield changed;
    }
    at += piece.length;
  }
}

function withoutLength(head: Head): void {
  head.delete('content-length');
  head.delete('transfer-encoding');
}

async function rewrite(answer: Answer, edit: (bytes: Buffer) => Buffer): Promise<void> {
  const bytes = edit(await collect(answer.body));
  withoutLength(answer.head);
  answer.head.set('content-length', String(bytes.length));
  answer.body = only(bytes);
}

const rewriteText = (answer: Answer, edit: (text: string) => string): Promise<void> => rewrite(answer, (bytes) => Buffer.from(edit(bytes.toString())));

const tokenElements = /<(NextContinuationToken|NextMarker|NextKeyMarker|NextVersionIdMarker|NextUploadIdMarker)>[^<]*<\/\1>/g;
const truncatedTrue = (text: string): string => text.replace(/<IsTruncated>[^<]*</, '<IsTruncated>true<');

function repeatToken(text: string, facts: Facts): string {
  const used = facts.query.get('continuation-token');
  if (used === null) return text;
  const escaped = used.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return truncatedTrue(text).replace(tokenElements, '').replace(/<\/ListBucketResult>/, `<NextContinuationToken>${escaped}</NextContinuationToken></ListBucketResult>`);
}

function shiftRange(head: Head, by: number): void {
  const m = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(head.get('content-range') ?? '');
  if (m !== null) head.set('content-range', `bytes ${Number(m[1]) + by}-${Number(m[2]) + by}/${m[3]}`);
}

function setHeaders(head: Head, set: Readonly<Record<string, string | undefined>>): void {
  for (const [name, value] of Object.entries(set)) {
    if (value === undefined) head.delete(name.toLowerCase());
    else head.set(name.toLowerCase(), value);
  }
}

/** A recoded body has no length that anyone knows beforehand. */
async function recode(answer: Answer, encoding: string | undefined, code: (bytes: Buffer) => Buffer): Promise<void> {
  answer.body = only(code(await collect(answer.body)));
  withoutLength(answer.head);
  setHeaders(answer.head, { 'content-encoding': encoding });
}

function flipAnswer(answer: Answer, at: number | undefined, seed: string): void {
  const length = Number(answer.head.get('content-length') ?? '0');
  answer.body = flip(answer.body, at ?? Math.floor(chance(`${seed}\0place`) * length));
}

function shorten(answer: Answer, after: number, finish: Answer['finish'], closeDelimited = false): void {
  answer.body = limit(answer.body, after);
  answer.finish = finish;
  answer.closeDelimited = closeDelimited;
  if (closeDelimited) withoutLength(answer.head);
}

/** Changes to the body as it passes or to its end. Returns whether the fault was one of these. */
function applyToBody(answer: Answer, fault: Fault, seed: string): boolean {
  if (fault.kind === 'cut') shorten(answer, fault.after, 'close');
  else if (fault.kind === 'short close') shorten(answer, fault.after, 'close', true);
  else if (fault.kind === 'reset') shorten(answer, fault.after ?? 0, 'reset');
  else if (fault.kind === 'stall' && fault.ms === undefined) shorten(answer, fault.after, 'hang');
  else if (fault.kind === 'stall') answer.body = pause(answer.body, fault.after, fault.ms ?? 0);
  else if (fault.kind === 'drip') answer.body = drip(answer.body, fault.bytes, fault.ms);
  else if (fault.kind === 'flip' && fault.on === 'read') flipAnswer(answer, fault.at, seed);
  else return false;
  return true;
}

/** Changes the target's answer as the fault says; faults that do not concern the answer leave it alone. */
export async function applyFault(answer: Answer, fault: Fault, facts: Facts, seed: string): Promise<void> {
  if (applyToBody(answer, fault, seed)) return;
  if (fault.kind === 'truncated xml') await rewrite(answer, (bytes) => bytes.subarray(0, fault.keep ?? Math.floor(bytes.length / 2)));
  else if (fault.kind === 'truncated without token') await rewriteText(answer, (text) => truncatedTrue(text).replace(tokenElements, ''));
  else if (fault.kind === 'repeated token') await rewriteText(answer, (text) => repeatToken(text, facts));
  else if (fault.kind === 'rewrite') await rewriteText(answer, fault.edit);
  else if (fault.kind === 'gzip') await recode(answer, 'gzip', gzipSync);
  else if (fault.kind === 'gunzip') await recode(answer, undefined, gunzipSync);
  else if (fault.kind === 'wrong content range') shiftRange(answer.head, fault.shift ?? 1);
  else if (fault.kind === 'skewed date' || fault.kind === 'clock skew') answer.head.set('date', new Date(Date.now() + fault.ms).toUTCString());
  else if (fault.kind === 'headers') setHeaders(answer.head, fault.set);
}

const errorXml = (code: string, message: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message><RequestId>FAULT</RequestId><HostId>FAULT</HostId></Error>`;

const statusCodes: Record<number, string> = { 403: 'AccessDenied', 404: 'NoSuchKey', 429: 'TooManyRequests', 500: 'InternalError', 503: 'SlowDown' };
const page = '<!DOCTYPE html><html><head><title>Welcome</title></head><body><p>Please log in</p></body></html>';
const xml = { 'content-type': 'application/xml' };

function fixed(status: number, head: Record<string, string>, text: string): Answer {
  const body = Buffer.from(text);
  const lower = Object.entries({ ...head, 'content-length': String(body.length) }).map(([name, value]) => [name.toLowerCase(), value] as const);
  return { status, head: new Map(lower), body: only(body), finish: 'end', closeDelimited: false };
}

const refusal = (status: number, code = statusCodes[status] ?? 'InternalError', message = code): string => errorXml(code, message);

const MOST_SKEW_MS = 15 * 60_000;

/** Epoch milliseconds of the request's signature; NaN where it has none. */
function signedAt({ headers, query }: Facts): number {
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(headers['x-amz-date'] ?? query.get('X-Amz-Date') ?? '')) ?? [];
  const [year = NaN, month = NaN, day = NaN, hour, minute, second] = parts.map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** What an endpoint whose clock is off by `ms` says to a request from another time. */
function skewed(ms: number, facts: Facts): Answer | undefined {
  const now = Date.now() + ms;
  if (!(Math.abs(signedAt(facts) - now) > MOST_SKEW_MS)) return undefined;
  return fixed(403, { ...xml, date: new Date(now).toUTCString() }, refusal(403, 'RequestTimeTooSkewed', 'The difference between the request time and the current time is too large.'));
}

/** The answer of a fault that does not need the target's, or undefined. */
export function cannedAnswer(fault: Fault, ownAddress: string, facts: Facts): Answer | undefined {
  if (fault.kind === 'clock skew') return skewed(fault.ms, facts);
  if (fault.kind === 'rate limit') return fixed(503, xml, refusal(503, 'SlowDown', 'Please reduce your request rate.'));
  if (fault.kind === 'status') return fixed(fault.status, { ...xml, ...fault.headers }, fault.body ?? refusal(fault.status, fault.code, fault.message));
  if (fault.kind === 'empty') return fixed(200, {}, '');
  if (fault.kind === 'html') return fixed(200, { 'content-type': 'text/html' }, page);
  if (fault.kind === 'error in 200') return fixed(200, xml, refusal(500, fault.code, fault.message));
  if (fault.kind === 'redirect') return fixed(fault.status, { ...xml, location: fault.location ?? ownAddress, ...fault.headers }, refusal(fault.status, fault.status === 301 ? 'PermanentRedirect' : 'TemporaryRedirect'));
  if (fault.kind === 'lost answer' && fault.status !== undefined) return fixed(fault.status, xml, refusal(fault.status));
  return undefined;
}
