/** Who a request says it is from: the Authorization header, or the query of a presigned URL. Nothing here is proven yet.
 * Source: S3 API Reference, "Authenticating Requests (AWS Signature Version 4)"; messages as S3 words them. */
import { s3Error } from './errors.ts';
import type { S3Request } from './request.ts';

export interface Claim {
  readonly id: string;
  readonly date: string;
  readonly region: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly amzDate: string;
  /** The x-amz-content-sha256 value; UNSIGNED-PAYLOAD for presigned requests without one. */
  readonly payload: string;
  readonly token: string | undefined;
  /** Only presigned: seconds of validity. */
  readonly expires: number | undefined;
}

export const algorithm = 'AWS4-HMAC-SHA256';
const payloadModes: ReadonlySet<string> = new Set(['UNSIGNED-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER']);
const weekSeconds = 604_800;

type Fail = (message: string, details?: Record<string, string>, headers?: Record<string, string>) => Error;

const badHeader: Fail = (message, details = {}, headers = {}) => s3Error('AuthorizationHeaderMalformed', { message: `The authorization header is malformed; ${message}`, details, headers });
const badParameter = (message: string): Error => s3Error('AuthorizationQueryParametersError', { message });
const badCredential: Fail = (message, details = {}, headers = {}) => s3Error('AuthorizationQueryParametersError', { message: `Error parsing the X-Amz-Credential parameter; ${message}`, details, headers });
const noDate = (): Error => s3Error('AccessDenied', { message: 'AWS authentication requires a valid Date or x-amz-date header.' });

/** `<id>/<date>/<region>/s3/aws4_request`; the id may hold slashes. */
function parseCredential(credential: string, region: string, amzDate: string, fail: Fail): Pick<Claim, 'id' | 'date' | 'region'> {
  const parts = credential.split('/');
  const [date, ofRegion, service, end] = parts.slice(-4);
  const id = parts.slice(0, -4).join('/');
  if (date === undefined || ofRegion === undefined || service === undefined || id === '') throw fail('the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".');
  if (end !== 'aws4_request') throw fail(`incorrect terminal "${end}". This endpoint uses "aws4_request".`);
  if (service !== 's3') throw fail(`incorrect service "${service}". This endpoint belongs to "s3".`);
  if (ofRegion !== region) throw fail(`the region "${ofRegion}" is wrong; expecting "${region}"`, { Region: region }, { 'x-amz-bucket-region': region });
  if (!/^\d{8}$/.test(date)) throw fail(`incorrect date format "${date}". This date in the credential must be in the format "yyyyMMdd".`);
  if (!amzDate.startsWith(date)) throw sameDate(fail, date, amzDate);
  return { id, date, region: ofRegion };
}

function sameDate(fail: Fail, date: string, amzDate: string): Error {
  const text = `Invalid credential date "${date}". This date is not the same as X-Amz-Date: "${amzDate.slice(0, 8)}".`;
  return fail === badHeader ? badHeader(text) : badParameter(text);
}

/** ISO basic form of the time in the Date header, which stands in for x-amz-date. */
function dateHeader(value: string | undefined): string | undefined {
  const time = Date.parse(value ?? '');
  return Number.isNaN(time) ? undefined : `${new Date(time).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

interface Fields { readonly Credential: string; readonly SignedHeaders: string; readonly Signature: string }

function readFields(text: string): Fields {
  const found: Partial<Record<string, string>> = {};
  const parts = text.split(',');
  for (const part of parts) {
    const at = part.indexOf('=');
    if (at < 0) throw parts.length < 3 ? badHeader('the authorization header requires three components: Credential, SignedHeaders, and Signature.') : badHeader(`the authorization component "${part.trim()}" is malformed.`);
    found[part.slice(0, at).trim()] = part.slice(at + 1).trim();
  }
  const { Credential, SignedHeaders, Signature } = found;
  if (!Credential) throw badHeader('missing Credential.');
  if (!SignedHeaders) throw badHeader('missing SignedHeaders.');
  if (!Signature) throw badHeader('missing Signature.');
  return { Credential, SignedHeaders, Signature };
}

function checkedPayload(payload: string): string {
  if (payloadModes.has(payload) || /^[0-9a-f]{64}$/.test(payload)) return payload;
  throw s3Error('InvalidArgument', { message: 'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, or a valid sha256 value.', details: { ArgumentName: 'x-amz-content-sha256', ArgumentValue: payload } });
}

function headerClaim(request: S3Request, authorization: string, region: string): Claim {
  const { Credential, SignedHeaders, Signature } = readFields(authorization.slice(algorithm.length));
  const amzDate = request.headers.get('x-amz-date') ?? dateHeader(request.headers.get('date'));
  if (amzDate === undefined || Number.isNaN(timeOf(amzDate))) throw noDate();
  const payload = request.headers.get('x-amz-content-sha256');
  if (payload === undefined) throw s3Error('InvalidRequest', { message: 'Missing required header for this request: x-amz-content-sha256' });
  return {
    ...parseCredential(Credential, region, amzDate, badHeader), signedHeaders: SignedHeaders.split(';'), signature: Signature, amzDate,
    payload: checkedPayload(payload), token: request.headers.get('x-amz-security-token'), expires: undefined,
  };
}

function readExpires(text: string): number {
  const expires = Number(text);
  if (!Number.isInteger(expires)) throw badParameter('X-Amz-Expires should be a number');
  if (expires < 0) throw badParameter('X-Amz-Expires must be non-negative');
  if (expires > weekSeconds) throw badParameter(`X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than ${weekSeconds} seconds`);
  return expires;
}

function queryClaim(request: S3Request, region: string): Claim {
  const { query } = request;
  const need = (name: string): string => {
    const value = query.get(name);
    if (!value) throw badParameter('Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.');
    return value;
  };
  if (need('X-Amz-Algorithm') !== algorithm) throw badParameter(`X-Amz-Algorithm only supports "${algorithm}"`);
  const [credential, amzDate, signedHeaders, signature] = [need('X-Amz-Credential'), need('X-Amz-Date'), need('X-Amz-SignedHeaders'), need('X-Amz-Signature')];
  const expires = readExpires(need('X-Amz-Expires'));
  if (Number.isNaN(timeOf(amzDate))) throw badParameter('X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd\'T\'HHmmss\'Z\'"');
  return {
    ...parseCredential(credential, region, amzDate, badCredential), signedHeaders: signedHeaders.split(';'), signature, amzDate, expires,
    payload: checkedPayload(query.get('X-Amz-Content-Sha256') ?? request.headers.get('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD'),
    token: query.get('X-Amz-Security-Token') ?? request.headers.get('x-amz-security-token'),
  };
}

/** Epoch milliseconds of `20130524T000000Z`; NaN when it is not of this form. */
export function timeOf(amzDate: string): number {
  const m = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(amzDate);
  return m === null ? NaN : Date.UTC(Number(m[1]), Number(m[2]) - 1, Number(m[3]), Number(m[4]), Number(m[5]), Number(m[6]));
}

/** @throws S3Error AccessDenied (nobody at all), InvalidRequest, AuthorizationHeaderMalformed, AuthorizationQueryParametersError, InvalidArgument */
export function readClaim(request: S3Request, region: string): Claim {
  const authorization = request.headers.get('authorization');
  if (authorization?.startsWith(`${algorithm} `)) return headerClaim(request, authorization, region);
  if (request.query.has('X-Amz-Algorithm') || request.query.has('X-Amz-Signature')) return queryClaim(request, region);
  if (authorization?.startsWith('AWS ') || (request.query.has('AWSAccessKeyId') && request.query.has('Signature'))) {
    throw s3Error('InvalidRequest', { message: `The authorization mechanism you have provided is not supported. Please use ${algorithm}.` });
  }
  if (authorization === undefined) throw s3Error('AccessDenied');
  const alone = !authorization.includes(' ');
  throw s3Error('InvalidArgument', { message: alone ? "Authorization header is invalid -- one and only one ' ' (space) required." : 'Unsupported Authorization Type', details: { ArgumentName: 'Authorization', ArgumentValue: authorization.split(' ')[0] ?? '' } });
}
