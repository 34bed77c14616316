/** Verification of AWS Signature Version 4, header and query form.
 * Source: S3 API Reference, "Authenticating Requests (AWS Signature Version 4)". */
import { createHmac, createSecretKey, hash, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { algorithm, readClaim, timeOf } from './claims.ts';
import type { Claim } from './claims.ts';
import { s3Error } from './errors.ts';
import { percentDecode, rawPairs, uriEncode } from './request.ts';
import type { S3Request } from './request.ts';

/** A credential the endpoint accepts. Tests may change the fields while it runs. */
export interface AccessKey {
  id: string;
  secret: string;
  /** When set, requests must carry it in x-amz-security-token. */
  sessionToken?: string;
  /** Epoch milliseconds after which the answer is ExpiredToken. */
  expiresAt?: number;
  /** Allows only reads. */
  readOnly?: boolean;
  /** The only buckets it may use, create or see listed; absent: all. */
  buckets?: readonly string[];
}

/** Whether a key may use the bucket of this name. */
export const mayUse = (key: AccessKey, bucket: string): boolean => key.buckets?.includes(bucket) ?? true;

export interface Verified {
  readonly accessKey: AccessKey;
  /** The x-amz-content-sha256 value; UNSIGNED-PAYLOAD for presigned requests. */
  readonly payload: string;
  /** What chunk signatures continue from. */
  readonly chain: { readonly seed: string; readonly signingKey: KeyObject; readonly scope: string; readonly amzDate: string };
}

export interface VerifyOptions {
  readonly keys: readonly AccessKey[];
  readonly region: string;
  /** Epoch milliseconds. */
  readonly now: number;
  /** How far the time of a request may be off, milliseconds; default 15 minutes. */
  readonly maxSkewMs?: number;
}

const sha256 = (text: string): string => hash('sha256', Buffer.from(text, 'latin1'));
const hmac = (key: string | Buffer | KeyObject, text: string): Buffer => createHmac('sha256', key).update(text, 'latin1').digest();
export const emptySha256 = sha256('');
export const maxSkewMs = 15 * 60 * 1000;

export const signingKey = (secret: string, date: string, region: string): Buffer =>
  hmac(hmac(hmac(hmac(Buffer.from(`AWS4${secret}`), date), region), 's3'), 'aws4_request');

interface Derived { readonly secret: string; readonly date: string; readonly region: string; readonly key: KeyObject }

/** The last signing key of each access key: it is good for a day, and four HMACs are worth sparing. As an object it is not read anew for
 * each signature, which takes longer than the signature. */
const derived = new WeakMap<AccessKey, Derived>();

function signingKeyOf(key: AccessKey, date: string, region: string): KeyObject {
  const known = derived.get(key);
  if (known?.date === date && known.secret === key.secret && known.region === region) return known.key;
  const made = { secret: key.secret, date, region, key: createSecretKey(signingKey(key.secret, date, region)) };
  derived.set(key, made);
  return made.key;
}

export const hmacHex = (key: KeyObject, text: string): string => createHmac('sha256', key).update(text, 'latin1').digest('hex');

/** Compares without telling by its duration where the two differ. */
export function sameSignature(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function checkTime(claim: Claim, { now, maxSkewMs: most = maxSkewMs }: VerifyOptions): void {
  const time = timeOf(claim.amzDate);
  const server = (): string => new Date(now).toISOString();
  if (claim.expires !== undefined && now > time + claim.expires * 1000) {
    throw s3Error('AccessDenied', { message: 'Request has expired.', details: { 'X-Amz-Expires': String(claim.expires), Expires: new Date(time + claim.expires * 1000).toISOString(), ServerTime: server() } });
  }
  const early = time - now > most;
  if (early || (claim.expires === undefined && now - time > most)) {
    throw s3Error('RequestTimeTooSkewed', { details: { RequestTime: claim.amzDate, ServerTime: server(), MaxAllowedSkewMilliseconds: String(most) } });
  }
}

function checkToken(claim: Claim, key: AccessKey, now: number): void {
  if (key.sessionToken === undefined && claim.token !== undefined) throw s3Error('InvalidToken');
  if (key.sessionToken !== undefined && claim.token === undefined) throw s3Error('InvalidAccessKeyId', { details: { AWSAccessKeyId: key.id } });
  if (key.sessionToken !== undefined && !sameSignature(key.sessionToken, claim.token ?? '')) throw s3Error('InvalidToken');
  if (key.expiresAt !== undefined && now >= key.expiresAt) throw s3Error('ExpiredToken');
}

/** The host and every x-amz- header must be under the signature. */
function checkCoverage(claim: Claim, request: S3Request): void {
  const missing: string[] = [];
  for (const name of request.headers.keys()) {
    if (!name.startsWith('x-amz-') && name !== 'host') continue;
    if (claim.signedHeaders.includes(name) || (claim.expires !== undefined && name === 'x-amz-content-sha256')) continue;
    missing.push(name);
  }
  if (missing.length > 0) throw s3Error('AccessDenied', { message: 'There were headers present in the request which were not signed', details: { HeadersNotSigned: missing.join(', ') } });
}

const compareText = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

function canonicalQuery(rawQuery: string): string {
  if (rawQuery === '') return '';
  const pairs = rawPairs(rawQuery).map(([name, value]) => [uriEncode(percentDecode(name)), uriEncode(percentDecode(value))] as const);
  const kept = pairs.filter(([name]) => name !== 'X-Amz-Signature');
  kept.sort((a, b) => compareText(a[0], b[0]) || compareText(a[1], b[1]));
  return kept.map(([name, value]) => `${name}=${value}`).join('&');
}

const canonicalHeaders = (request: S3Request, names: readonly string[]): string =>
  names.map((name) => `${name}:${(request.headers.get(name) ?? '').replace(/ +/g, ' ')}\n`).join('');

/** The canonical request for one spelling of the path. Exported for tests, which show it beside the published vectors. */
export const canonicalRequest = (request: S3Request, path: string, signedHeaders: readonly string[], payload: string): string =>
  [request.method, path, canonicalQuery(request.rawQuery), canonicalHeaders(request, signedHeaders), signedHeaders.join(';'), payload].join('\n');

/** The path as it came, then re-encoded: S3 neither collapses `//` nor resolves `..`, but accepts a client that signs
 * the encoded form and sends a bare `$` (its own PUT example does). Both spell the same bytes. */
function canonicalPaths(rawPath: string): string[] {
  if (/^[\w\-.~/]*$/.test(rawPath)) return [rawPath];
  const encoded = uriEncode(percentDecode(rawPath), '/');
  return encoded === rawPath ? [rawPath] : [rawPath, encoded];
}

/** Verifies the signature of a request.
 * @throws S3Error AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch, RequestTimeTooSkewed, AuthorizationHeaderMalformed,
 * ExpiredToken, InvalidToken */
export function verify(request: S3Request, options: VerifyOptions): Verified {
  const claim = readClaim(request, options.region);
  const key = options.keys.find((k) => k.id === claim.id);
  if (key === undefined) throw s3Error('InvalidAccessKeyId', { details: { AWSAccessKeyId: claim.id } });
  checkToken(claim, key, options.now);
  checkTime(claim, options);
  checkCoverage(claim, request);
  const scope = `${claim.date}/${claim.region}/s3/aws4_request`;
  const signing = signingKeyOf(key, claim.date, claim.region);
  checkSignature(request, claim, key, scope, signing);
  checkEmptyPayload(request, claim);
  return { accessKey: key, payload: claim.payload, chain: { seed: claim.signature, signingKey: signing, scope, amzDate: claim.amzDate } };
}

function checkSignature(request: S3Request, claim: Claim, key: AccessKey, scope: string, signing: KeyObject): void {
  let [canonical, toSign] = ['', ''];
  for (const path of canonicalPaths(request.rawPath)) {
    canonical = canonicalRequest(request, path, claim.signedHeaders, claim.payload);
    toSign = [algorithm, claim.amzDate, scope, sha256(canonical)].join('\n');
    if (sameSignature(hmacHex(signing, toSign), claim.signature)) return;
  }
  throw s3Error('SignatureDoesNotMatch', { details: { AWSAccessKeyId: key.id, StringToSign: toSign, SignatureProvided: claim.signature, CanonicalRequest: canonical } });
}

/** The payload of a request without a body is never read, so its hash is checked here. */
function checkEmptyPayload(request: S3Request, claim: Claim): void {
  const length = request.headers.get('content-length');
  const bodiless = length === '0' || (length === undefined && request.method !== 'PUT' && request.method !== 'POST');
  if (!bodiless || claim.payload.length !== 64 || claim.payload === emptySha256) return;
  throw s3Error('XAmzContentSHA256Mismatch', { details: { ClientComputedContentSHA256: claim.payload, S3ComputedContentSHA256: emptySha256 } });
}
