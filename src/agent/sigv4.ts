/** Verification of AWS Signature Version 4, header and query form.
 * Source: S3 API Reference, "Authenticating Requests (AWS Signature Version 4)". */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
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
  readonly chain: { readonly seed: string; readonly signingKey: Buffer; readonly scope: string; readonly amzDate: string };
}

export interface VerifyOptions {
  readonly keys: readonly AccessKey[];
  readonly region: string;
  /** Epoch milliseconds. */
  readonly now: number;
}

const sha256 = (text: string): string => createHash('sha256').update(text, 'latin1').digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text, 'latin1').digest();
export const emptySha256 = sha256('');
export const maxSkewMs = 15 * 60 * 1000;
const algorithm = 'AWS4-HMAC-SHA256';

export const signingKey = (secret: string, date: string, region: string): Buffer =>
  hmac(hmac(hmac(hmac(Buffer.from(`AWS4${secret}`), date), region), 's3'), 'aws4_request');

export const hmacHex = (key: Buffer, text: string): string => hmac(key, text).toString('hex');

/** Compares without telling by its duration where the two differ. */
export function sameSignature(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

interface Claim {
  readonly id: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly amzDate: string;
  readonly payload: string;
  readonly token: string | undefined;
  /** Only presigned: seconds of validity. */
  readonly expires: number | undefined;
}

const malformedHeader = (message: string): Error => s3Error('AuthorizationHeaderMalformed', { message });
const malformedQuery = (message: string): Error => s3Error('AuthorizationQueryParametersError', { message });

function parseScope(credential: string, fail: (message: string) => Error): Pick<Claim, 'id' | 'date' | 'region' | 'service'> {
  const parts = credential.split('/');
  const [date, region, service, end] = parts.slice(-4);
  const id = parts.slice(0, -4).join('/');
  if (!date || !region || !service || end !== 'aws4_request' || id === '') throw fail('The Credential is mal-formed; expecting "<access-key>/YYYYMMDD/REGION/SERVICE/aws4_request".');
  return { id, date, region, service };
}

/** ISO basic form of the time in the Date header, which stands in for x-amz-date. */
function dateHeader(value: string | undefined): string | undefined {
  const time = Date.parse(value ?? '');
  return Number.isNaN(time) ? undefined : `${new Date(time).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

function headerClaim(request: S3Request, authorization: string): Claim {
  const fields = new Map<string, string>();
  for (const part of authorization.slice(algorithm.length).split(',')) {
    const at = part.indexOf('=');
    if (at > 0) fields.set(part.slice(0, at).trim(), part.slice(at + 1).trim());
  }
  const credential = fields.get('Credential');
  const headers = fields.get('SignedHeaders');
  const signature = fields.get('Signature');
  if (!credential || !headers || !signature) throw malformedHeader('The authorization header requires three components: Credential, SignedHeaders, and Signature.');
  const amzDate = request.headers.get('x-amz-date') ?? dateHeader(request.headers.get('date'));
  if (amzDate === undefined) throw s3Error('AccessDenied', { message: 'AWS authentication requires a valid Date or x-amz-date header' });
  const payload = request.headers.get('x-amz-content-sha256');
  if (payload === undefined) throw s3Error('InvalidRequest', { message: 'Missing required header for this request: x-amz-content-sha256' });
  return { ...parseScope(credential, malformedHeader), signedHeaders: headers.split(';'), signature, amzDate, payload, token: request.headers.get('x-amz-security-token'), expires: undefined };
}

function queryClaim(request: S3Request): Claim {
  const { query } = request;
  const need = (name: string): string => {
    const value = query.get(name);
    if (!value) throw malformedQuery('Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.');
    return value;
  };
  if (need('X-Amz-Algorithm') !== algorithm) throw malformedQuery('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"');
  const expires = Number(need('X-Amz-Expires'));
  if (!Number.isInteger(expires) || expires < 1 || expires > 604800) throw malformedQuery('X-Amz-Expires must be between 1 and 604800 seconds');
  return {
    ...parseScope(need('X-Amz-Credential'), malformedQuery),
    signedHeaders: need('X-Amz-SignedHeaders').split(';'),
    signature: need('X-Amz-Signature'),
    amzDate: need('X-Amz-Date'),
    payload: query.get('X-Amz-Content-Sha256') ?? request.headers.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD',
    token: query.get('X-Amz-Security-Token') ?? request.headers.get('x-amz-security-token'),
    expires,
  };
}

function readClaim(request: S3Request): Claim {
  const authorization = request.headers.get('authorization');
  if (authorization?.startsWith(algorithm)) return headerClaim(request, authorization);
  if (request.query.has('X-Amz-Algorithm') || request.query.has('X-Amz-Signature')) return queryClaim(request);
  if (authorization !== undefined) throw s3Error('InvalidArgument', { message: 'Unsupported Authorization Type', details: { ArgumentName: 'Authorization', ArgumentValue: authorization.split(' ')[0] ?? '' } });
  throw s3Error('AccessDenied');
}

function parseAmzDate(text: string): number {
  const m = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  const time = m === null ? NaN : Date.UTC(Number(m[1]), Number(m[2]) - 1, Number(m[3]), Number(m[4]), Number(m[5]), Number(m[6]));
  if (Number.isNaN(time)) throw s3Error('AccessDenied', { message: 'AWS authentication requires a valid Date or x-amz-date header' });
  return time;
}

function checkTime(claim: Claim, now: number): void {
  const time = parseAmzDate(claim.amzDate);
  if (!claim.amzDate.startsWith(claim.date)) throw s3Error('SignatureDoesNotMatch', { message: 'Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP' });
  const server = new Date(now).toISOString();
  if (claim.expires !== undefined && now > time + claim.expires * 1000) {
    throw s3Error('AccessDenied', { message: 'Request has expired', details: { 'X-Amz-Expires': String(claim.expires), Expires: new Date(time + claim.expires * 1000).toISOString(), ServerTime: server } });
  }
  const early = time - now > maxSkewMs;
  if (early || (claim.expires === undefined && now - time > maxSkewMs)) {
    throw s3Error('RequestTimeTooSkewed', { details: { RequestTime: claim.amzDate, ServerTime: server, MaxAllowedSkewMilliseconds: String(maxSkewMs) } });
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
  const missing = [...request.headers.keys()].filter((name) => (name === 'host' || name.startsWith('x-amz-')) && !claim.signedHeaders.includes(name));
  const relevant = claim.expires === undefined ? missing : missing.filter((name) => name !== 'x-amz-content-sha256');
  if (relevant.length > 0) throw s3Error('AccessDenied', { message: 'There were headers present in the request which were not signed', details: { HeadersNotSigned: relevant.join(', ') } });
}

const compareText = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

function canonicalQuery(rawQuery: string): string {
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
  const encoded = uriEncode(percentDecode(rawPath), '/');
  return encoded === rawPath ? [rawPath] : [rawPath, encoded];
}

/** Verifies the signature of a request.
 * @throws S3Error AccessDenied, InvalidAccessKeyId, SignatureDoesNotMatch, RequestTimeTooSkewed, AuthorizationHeaderMalformed,
 * ExpiredToken, InvalidToken */
export function verify(request: S3Request, options: VerifyOptions): Verified {
  const claim = readClaim(request);
  const key = options.keys.find((k) => sameSignature(k.id, claim.id));
  if (key === undefined) throw s3Error('InvalidAccessKeyId', { details: { AWSAccessKeyId: claim.id } });
  if (claim.region !== options.region) {
    throw s3Error(claim.expires === undefined ? 'AuthorizationHeaderMalformed' : 'AuthorizationQueryParametersError', {
      message: `The authorization header is malformed; the region '${claim.region}' is wrong; expecting '${options.region}'`,
      details: { Region: options.region }, headers: { 'x-amz-bucket-region': options.region },
    });
  }
  if (claim.service !== 's3') throw malformedHeader(`The authorization header is malformed; incorrect service "${claim.service}". This endpoint belongs to "s3".`);
  checkTime(claim, options.now);
  checkCoverage(claim, request);
  const scope = `${claim.date}/${claim.region}/${claim.service}/aws4_request`;
  const signing = signingKey(key.secret, claim.date, claim.region);
  const attempts = canonicalPaths(request.rawPath).map((path) => {
    const canonical = canonicalRequest(request, path, claim.signedHeaders, claim.payload);
    const toSign = [algorithm, claim.amzDate, scope, sha256(canonical)].join('\n');
    return { canonical, toSign, ok: sameSignature(hmacHex(signing, toSign), claim.signature) };
  });
  if (!attempts.some((attempt) => attempt.ok)) {
    const last = attempts.at(-1);
    throw s3Error('SignatureDoesNotMatch', { details: { AWSAccessKeyId: key.id, StringToSign: last?.toSign ?? '', SignatureProvided: claim.signature, CanonicalRequest: last?.canonical ?? '' } });
  }
  checkToken(claim, key, options.now);
  return { accessKey: key, payload: claim.payload, chain: { seed: claim.signature, signingKey: signing, scope, amzDate: claim.amzDate } };
}
