/**
 * The faults that have a name: what `brigade lab fault add` takes, and tests as well. An order is data, so that it can be sent to an endpoint
 * at work; `ruleOf` makes the rule of it.
 */
import type { Fault } from './kinds.ts';
import type { Rule } from './rules.ts';

export interface NamedFault {
  readonly name: string;
  /** One line for people. */
  readonly summary: string;
  /** Operations it hits where none is named; absent: all. */
  readonly operations?: readonly string[];
  /** A number that can be given: what it means, and what it is without. */
  readonly amount?: { readonly meaning: string; readonly standard: number };
  build(amount: number): Fault;
}

export interface FaultOrder {
  /** Names it among those in force. */
  readonly name: string;
  /** Of the catalogue. */
  readonly kind: string;
  readonly bucket?: string;
  readonly prefix?: string;
  /** Names of the S3 API; default those of the kind. */
  readonly operations?: readonly string[];
  /** 0 to 1. */
  readonly probability?: number;
  readonly seed?: number;
  readonly amount?: number;
  /** Leaves the first so many requests alone. */
  readonly after?: number;
  /** How long it stays. */
  readonly forMs?: number;
}

const READS = ['GetObject'];
const WRITES = ['PutObject', 'UploadPart'];
const ALL_WRITES = [...WRITES, 'CreateMultipartUpload', 'CompleteMultipartUpload', 'CopyObject', 'UploadPartCopy'];
const LISTINGS = ['ListObjectsV2', 'ListObjects'];
const MINUTE_MS = 60_000;
const KIB = 1024;

export const NAMED_FAULTS: readonly NamedFault[] = [
  { name: '503-storm', summary: '503 SlowDown with Retry-After: 1, as a store in trouble gives', build: () => ({ kind: 'status', status: 503, headers: { 'retry-after': '1' } }) },
  { name: 'server-error', summary: '500 InternalError', build: () => ({ kind: 'status', status: 500 }) },
  { name: 'latency', summary: 'the request waits before it is looked at', amount: { meaning: 'milliseconds', standard: 200 }, build: (ms) => ({ kind: 'latency', ms }) },
  { name: 'slow-body', summary: 'the body comes in a trickle', operations: READS, amount: { meaning: 'KiB/s', standard: 64 }, build: (rate) => ({ kind: 'drip', bytes: Math.max(1, Math.floor(rate * KIB / 10)), ms: 100 }) },
  { name: 'stalled-body', summary: 'the body falls silent and the connection stays open', operations: READS, amount: { meaning: 'KiB before', standard: 16 }, build: (kib) => ({ kind: 'stall', after: kib * KIB }) },
  { name: 'cut-body', summary: 'the connection closes in the middle of the body', operations: READS, amount: { meaning: 'KiB before', standard: 16 }, build: (kib) => ({ kind: 'cut', after: kib * KIB }) },
  { name: 'reset', summary: 'the connection is reset without an answer', build: () => ({ kind: 'reset' }) },
  { name: 'flip-read', summary: 'one bit of what is read is turned over', operations: READS, build: () => ({ kind: 'flip', on: 'read' }) },
  { name: 'flip-write', summary: 'one bit of what is written is turned over on its way', operations: WRITES, build: () => ({ kind: 'flip', on: 'write' }) },
  { name: 'expired-token', summary: '400 ExpiredToken: temporary credentials have run out', build: () => ({ kind: 'status', status: 400, code: 'ExpiredToken', message: 'The provided token has expired.' }) },
  { name: 'clock-skew', summary: 'the endpoint’s clock is ahead: RequestTimeTooSkewed to whoever signs by another', amount: { meaning: 'minutes', standard: 30 }, build: (minutes) => ({ kind: 'clock skew', ms: minutes * MINUTE_MS }) },
  { name: 'missing-bucket', summary: '404 NoSuchBucket, as if it had been deleted', build: () => ({ kind: 'status', status: 404, code: 'NoSuchBucket', message: 'The specified bucket does not exist' }) },
  { name: 'denied', summary: '403 AccessDenied: a permission is missing', operations: ALL_WRITES, build: () => ({ kind: 'status', status: 403, code: 'AccessDenied', message: 'Access Denied' }) },
  { name: 'empty-listing', summary: 'a listing answered with 200 and not one byte', operations: LISTINGS, build: () => ({ kind: 'empty' }) },
  { name: 'html-listing', summary: 'a listing answered with 200 and a web page, as proxies do', operations: LISTINGS, build: () => ({ kind: 'html' }) },
  { name: 'repeated-token', summary: 'the next page is the one just read, for ever', operations: ['ListObjectsV2'], build: () => ({ kind: 'repeated token' }) },
  { name: 'lost-complete', summary: 'the work is done, and the answer to it is lost', operations: ['CompleteMultipartUpload'], build: () => ({ kind: 'lost answer' }) },
  { name: 'rate-limit', summary: 'SlowDown above a number of requests a second that nobody tells and that changes every 10 s', amount: { meaning: 'requests/s at most; at least half of it', standard: 40 }, build: (most) => ({ kind: 'rate limit', perSecond: [most / 2, most] }) },
];

export const namedFault = (name: string): NamedFault | undefined => NAMED_FAULTS.find((known) => known.name === name);

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** @throws RangeError for a kind that the catalogue does not know */
export function ruleOf(order: FaultOrder, nowMs: number): Rule {
  const named = namedFault(order.kind);
  if (named === undefined) throw new RangeError(`no fault is called ${order.kind}`);
  const operations = order.operations ?? named.operations;
  const { name, bucket, prefix, probability, seed, after, forMs } = order;
  return {
    name, fault: named.build(order.amount ?? named.amount?.standard ?? 0),
    match: {
      ...(bucket === undefined ? {} : { bucket }), ...(prefix === undefined ? {} : { prefix }),
      ...(operations === undefined ? {} : { operation: new RegExp(`^(?:${operations.map(escape).join('|')})$`) }),
    },
    ...(probability === undefined ? {} : { probability }), ...(seed === undefined ? {} : { seed }), ...(after === undefined ? {} : { after }),
    ...(forMs === undefined ? {} : { until: nowMs + forMs }),
  };
}
