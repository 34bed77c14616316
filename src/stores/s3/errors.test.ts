import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asBrigadeError } from '../../core/errors.ts';
import type { ErrorKind } from '../../core/errors.ts';
import { classify, failureOf } from './errors.ts';
import type { Circumstances } from './errors.ts';
import { networkError } from './network.ts';

const get: Circumstances = { op: 'GetObject', location: 's3://b/k', scope: 'object', pinned: true, nowMs: 0 };
const put: Circumstances = { op: 'PutObject', location: 's3://b/k', scope: 'object', nowMs: 0 };
const list: Circumstances = { op: 'ListObjects', location: 's3://b', scope: 'bucket', nowMs: 0 };
const xml = (code: string, message = ''): string => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${message}</Message><Key>k</Key></Error>`;
const meaning = (status: number, body: string, where: Circumstances, headers = {}): [string, ErrorKind] => {
  const error = classify(failureOf(status, headers, body), where);
  return [error.code, error.kind];
};

test('F029: of thirty shapes of failure only a definitive NoSuchKey is gone', () => {
  const answers: [number, string][] = [
    [404, ''], [404, '<html>Not Found</html>'], [404, xml('NoSuchBucket')], [404, xml('NoSuchVersion')], [404, xml('NotFound')], [404, '{"code":"NoSuchKey"}'],
    [404, '<Error><Code>NoSuchKey'], [200, xml('NoSuchKey')], [403, xml('NoSuchKey')], [503, xml('NoSuchKey')], [403, xml('AccessDenied')], [403, ''], [410, ''],
    [400, xml('ExpiredToken')], [500, xml('InternalError')], [502, '<html>Bad gateway</html>'], [503, xml('SlowDown')], [504, ''], [429, ''], [301, xml('PermanentRedirect')],
    [400, xml('NoSuchTagSet')], [409, ''], [412, xml('PreconditionFailed')], [416, xml('InvalidRange')],
  ];
  const thrown = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ECONNRESET', 'UND_ERR_HEADERS_TIMEOUT', 'CERT_HAS_EXPIRED', 'ENOENT'].map((code) => networkError(Object.assign(new Error(code), { code })));
  const kinds = [...answers.map(([status, body]) => meaning(status, body, get)[1]), ...thrown.map((error) => asBrigadeError(error).kind)];
  assert.ok(kinds.length > 30);
  assert.equal(kinds.filter((kind) => kind === 'gone').length, 0);
  assert.deepEqual(meaning(404, xml('NoSuchKey'), get), ['E_GONE', 'gone']);
  assert.deepEqual(meaning(404, xml('NoSuchKey'), list), ['E_BUCKET_MISSING', 'premise']);
});

test('F028: a refused or missing bucket is a premise, a refused object is not', () => {
  assert.deepEqual(meaning(403, xml('AccessDenied'), list), ['E_ACCESS_DENIED', 'premise']);
  assert.deepEqual(meaning(403, xml('AccessDenied'), get), ['E_ACCESS_DENIED', 'object']);
  assert.deepEqual(meaning(404, xml('NoSuchBucket'), put), ['E_BUCKET_MISSING', 'premise']);
  assert.deepEqual(meaning(404, '', list), ['E_BUCKET_MISSING', 'premise']);
});

test('F081: every way of asking for patience is throttling, with its Retry-After', () => {
  for (const code of ['SlowDown', 'ServiceUnavailable', 'RequestLimitExceeded', 'Throttling', 'TooManyRequests']) assert.deepEqual(meaning(503, xml(code), put), ['E_THROTTLED', 'throttled']);
  for (const status of [429, 503]) assert.deepEqual(meaning(status, '', put), ['E_THROTTLED', 'throttled']);
  const wait = (text: string): number | undefined => classify(failureOf(503, { 'retry-after': text }, ''), { ...put, nowMs: Date.UTC(2026, 0, 1) }).retryAfterMs;
  assert.equal(wait('3'), 3000);
  assert.equal(wait('Thu, 01 Jan 2026 00:00:05 GMT'), 5000);
  assert.equal(wait('soon'), undefined);
});

test('F080: a throttled KMS is throttling, a disabled one a premise', () => {
  assert.deepEqual(meaning(400, xml('KMS.ThrottlingException'), put), ['E_THROTTLED', 'throttled']);
  assert.deepEqual(meaning(400, xml('KMS.DisabledException'), put), ['E_KMS', 'premise']);
});

test('F082: credentials that do not work are a premise, whatever the object', () => {
  for (const code of ['ExpiredToken', 'TokenRefreshRequired', 'InvalidToken', 'InvalidAccessKeyId', 'SignatureDoesNotMatch']) assert.deepEqual(meaning(403, xml(code), get), ['E_CREDENTIALS', 'premise']);
  assert.deepEqual(meaning(401, '', get), ['E_CREDENTIALS', 'premise']);
});

test('F073, F077, F078, F071, F059: each has its own code and the fix', () => {
  const cases: [number, string, Circumstances, string, ErrorKind, RegExp][] = [
    [403, xml('InvalidObjectState'), get, 'E_ARCHIVED', 'object', /restore/],
    [403, xml('AccessDenied', 'Requester Pays bucket'), get, 'E_REQUESTER_PAYS', 'premise', /requester_pays: true/],
    [301, xml('PermanentRedirect'), get, 'E_REGION', 'premise', /region/],
    [301, '', get, 'E_REGION', 'premise', /region/],
    [403, xml('AccessDenied', 'Access Denied because object protected by object lock.'), put, 'E_LOCKED', 'object', /retention/],
    [403, xml('QuotaExceeded'), put, 'E_DISK_FULL', 'premise', /space/],
    [507, '', put, 'E_DISK_FULL', 'premise', /space/],
  ];
  for (const [status, body, where, code, kind, hint] of cases) {
    const error = classify(failureOf(status, {}, body), where);
    assert.deepEqual([error.code, error.kind], [code, kind]);
    assert.match(error.hint ?? '', hint);
  }
});

test('a precondition that fails is a change on reads and a conflict on writes', () => {
  assert.deepEqual(meaning(412, xml('PreconditionFailed'), get), ['E_SRC_CHANGED', 'changed']);
  assert.deepEqual(meaning(412, '', put), ['E_CONFLICT', 'conflict']);
  assert.deepEqual(meaning(409, xml('ConditionalRequestConflict'), put), ['E_CONFLICT', 'conflict']);
});

test('F118: what a store says reaches no terminal as control characters, and names of its region are checked', () => {
  const failure = failureOf(400, { 'x-amz-bucket-region': 'evil.example/?' }, xml('Bad\u001b[31m', 'a\nb'));
  assert.equal(failure.region, undefined);
  assert.doesNotMatch(classify(failure, get).message, /[\u0000-\u001f]/);
  assert.equal(failureOf(400, {}, '<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>').region, 'eu-west-1');
});

test('F029: network failures are never answers', () => {
  const kind = (code: string): string => networkError(Object.assign(new Error('x'), { code })).code;
  assert.equal(kind('ENOTFOUND'), 'E_DNS');
  assert.equal(kind('ECONNRESET'), 'E_NETWORK');
  assert.equal(kind('SELF_SIGNED_CERT_IN_CHAIN'), 'E_TLS');
  assert.equal(networkError(new AggregateError([Object.assign(new Error('x'), { code: 'ECONNREFUSED' })])).code, 'E_NETWORK');
  assert.equal(networkError(new DOMException('stop', 'AbortError')).kind, 'cancelled');
});
