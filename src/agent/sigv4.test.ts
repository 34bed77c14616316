// Vectors published in the S3 API Reference: "Signature Calculations for the Authorization Header: Transferring Payload in a Single
// Chunk", "… in Multiple Chunks", "… Including Trailing Headers", and "Authenticating Requests: Using Query Parameters".
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { S3Error } from './errors.ts';
import { openPayload, readSmall } from './payload.ts';
import type { S3Request } from './request.ts';
import { percentDecodeText, rawPairs } from './request.ts';
import { verify } from './sigv4.ts';
import type { AccessKey, Verified } from './sigv4.ts';

const key: AccessKey = { id: 'AKIAIOSFODNN7EXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
const at = Date.UTC(2013, 4, 24, 0, 0, 0);
const empty = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

function published(method: string, target: string, headers: Record<string, string>, host = 'examplebucket.s3.amazonaws.com'): S3Request {
  const [rawPath = '', rawQuery = ''] = target.split('?');
  const query = new Map(rawPairs(rawQuery).map(([n, v]) => [percentDecodeText(n), percentDecodeText(v)]));
  return { method, rawPath, rawQuery, bucket: 'examplebucket', key: '', query, headers: new Map([['host', host], ...Object.entries(headers)]), id: '' };
}

const authorization = (signed: string, signature: string): string =>
  `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=${signed},Signature=${signature}`;

const check = (request: S3Request, now = at): Verified => verify(request, { keys: [key], region: 'us-east-1', now });

const vectors: Record<string, S3Request> = {
  'GET object': published('GET', '/test.txt', {
    range: 'bytes=0-9', 'x-amz-content-sha256': empty, 'x-amz-date': '20130524T000000Z',
    authorization: authorization('host;range;x-amz-content-sha256;x-amz-date', 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41'),
  }),
  'PUT object': published('PUT', '/test$file.text', {
    date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-date': '20130524T000000Z', 'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    authorization: authorization('date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class', '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd'),
  }),
  'GET bucket lifecycle': published('GET', '/?lifecycle', {
    'x-amz-date': '20130524T000000Z', 'x-amz-content-sha256': empty,
    authorization: authorization('host;x-amz-content-sha256;x-amz-date', 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'),
  }),
  'GET bucket (list objects)': published('GET', '/?max-keys=2&prefix=J', {
    'x-amz-date': '20130524T000000Z', 'x-amz-content-sha256': empty,
    authorization: authorization('host;x-amz-content-sha256;x-amz-date', '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'),
  }),
  'presigned GET': published('GET', '/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request'
    + '&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404', {}),
};

for (const [name, request] of Object.entries(vectors)) {
  test(`the published ${name} example verifies, and one changed byte does not`, () => {
    assert.equal(check(request).accessKey.id, key.id);
    assert.throws(() => check({ ...request, rawPath: `${request.rawPath}x` }), { code: 'SignatureDoesNotMatch' });
    assert.throws(() => check({ ...request, method: 'DELETE' }), { code: 'SignatureDoesNotMatch' });
    assert.throws(() => verify(request, { keys: [{ ...key, secret: `${key.secret}x` }], region: 'us-east-1', now: at }), { code: 'SignatureDoesNotMatch' });
  });
}

test('a presigned request expires after its seconds, a signed one after 15 minutes', () => {
  const presigned = vectors['presigned GET']!;
  assert.ok(check(presigned, at + 86_400_000));
  assert.throws(() => check(presigned, at + 86_401_000), (error: S3Error) => error.code === 'AccessDenied' && error.message === 'Request has expired.');
  const signed = vectors['GET object']!;
  assert.ok(check(signed, at + 15 * 60_000));
  assert.throws(() => check(signed, at + 15 * 60_000 + 1), (error: S3Error) => error.code === 'RequestTimeTooSkewed' && error.status === 403 && error.details['ServerTime'] === '2013-05-24T00:15:00.001Z');
  assert.throws(() => check(signed, at - 15 * 60_000 - 1), { code: 'RequestTimeTooSkewed' });
});

test('a header that is not signed, a foreign region and an unknown key are refused by name', () => {
  const request = vectors['GET object']!;
  const extra = { ...request, headers: new Map([...request.headers, ['x-amz-acl', 'public-read']]) };
  assert.throws(() => check(extra), (error: S3Error) => error.code === 'AccessDenied' && error.details['HeadersNotSigned'] === 'x-amz-acl');
  assert.throws(() => verify(request, { keys: [key], region: 'eu-central-1', now: at }), (error: S3Error) => error.code === 'AuthorizationHeaderMalformed' && error.details['Region'] === 'eu-central-1');
  assert.throws(() => verify(request, { keys: [], region: 'us-east-1', now: at }), { code: 'InvalidAccessKeyId' });
});

const chunked = published('PUT', '/examplebucket/chunkObject.txt', {
  'content-encoding': 'aws-chunked', 'content-length': '66824', 'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'x-amz-date': '20130524T000000Z',
  'x-amz-decoded-content-length': '66560', 'x-amz-storage-class': 'REDUCED_REDUNDANCY',
  authorization: authorization('content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class', '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9'),
}, 's3.amazonaws.com');

const chunk = (size: number, signature: string): string => `${size.toString(16)};chunk-signature=${signature}\r\n${'a'.repeat(size)}\r\n`;

async function* pieces(text: string, size: number): AsyncGenerator<Buffer> {
  for (let i = 0; i < text.length; i += size) yield Buffer.from(text.slice(i, i + size));
}

const chunkedBody = chunk(65536, 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648')
  + chunk(1024, '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497') + chunk(0, 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9');

test('the published chunked upload verifies however it is cut, and a flipped byte in a chunk does not', async () => {
  const verified = check(chunked);
  for (const size of [3, 7, 4096, 1 << 20]) {
    const read = await readSmall(openPayload(pieces(chunkedBody, size), chunked, verified), 1 << 20);
    assert.equal(read.length, 66560);
  }
  const flipped = `${chunkedBody.slice(0, 5000)}b${chunkedBody.slice(5001)}`;
  await assert.rejects(readSmall(openPayload(pieces(flipped, 4096), chunked, verified), 1 << 20), { code: 'SignatureDoesNotMatch' });
  await assert.rejects(readSmall(openPayload(pieces(chunkedBody.slice(0, 66000), 4096), chunked, verified), 1 << 20), { code: 'IncompleteBody' });
});

const trailing = published('PUT', '/examplebucket/chunkObject.txt', {
  'content-encoding': 'aws-chunked', 'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', 'x-amz-date': '20130524T000000Z',
  'x-amz-decoded-content-length': '66560', 'x-amz-storage-class': 'REDUCED_REDUNDANCY', 'x-amz-trailer': 'x-amz-checksum-crc32c',
  authorization: authorization('content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer', '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e'),
}, 's3.amazonaws.com');

const trailingBody = (value: string): string => chunk(65536, 'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2')
  + chunk(1024, '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7')
  + `0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\nx-amz-checksum-crc32c:${value}\r\n`
  + 'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n';

test('the published upload with a signed trailer verifies, and a changed trailer does not', async () => {
  const verified = check(trailing);
  const payload = openPayload(pieces(trailingBody('sOO8/Q=='), 8192), trailing, verified);
  assert.equal((await readSmall(payload, 1 << 20)).length, 66560);
  assert.deepEqual([...payload.trailers], [['x-amz-checksum-crc32c', 'sOO8/Q==']]);
  await assert.rejects(readSmall(openPayload(pieces(trailingBody('sOO8/R=='), 8192), trailing, verified), 1 << 20), { code: 'SignatureDoesNotMatch' });
});
