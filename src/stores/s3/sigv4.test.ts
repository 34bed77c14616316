import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { test } from 'node:test';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { Secret } from '../../core/secret.ts';
import { encodePath, encodeQuery } from './encode.ts';
import { EMPTY_SHA256, Mac, Signer } from './sigv4.ts';
import type { SignableRequest } from './sigv4.ts';

// The worked examples of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
const example = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: new Secret('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY') };
const at = Date.UTC(2013, 4, 24);
const request = (over: Partial<SignableRequest>): SignableRequest => ({
  method: 'GET', host: 'examplebucket.s3.amazonaws.com', path: '/', query: '', headers: [], payloadHash: EMPTY_SHA256, ...over,
});

test('signs the four published examples', () => {
  const signer = new Signer();
  const sign = (over: Partial<SignableRequest>): string => signer.sign(request(over), example, 'us-east-1', at).signature;
  assert.equal(sign({ path: '/test.txt', headers: ['range', 'bytes=0-9'] }), 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41');
  const put = { method: 'PUT', path: encodePath('/test$file.text'), headers: ['date', 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class', 'REDUCED_REDUNDANCY'] };
  assert.equal(sign({ ...put, payloadHash: createHash('sha256').update('Welcome to Amazon S3.').digest('hex') }), '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd');
  assert.equal(sign({ query: 'lifecycle=' }), 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543');
  assert.equal(sign({ query: encodeQuery({ prefix: 'J', 'max-keys': '2' }) }), '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7');
});

class Sha256 {
  readonly #hash = createHash('sha256');
  readonly #key: Uint8Array | undefined;
  readonly #parts: Uint8Array[] = [];
  constructor(key?: Uint8Array) { this.#key = key; }
  update(data: Uint8Array | string): void { this.#parts.push(Buffer.from(data as string)); }
  async digest(): Promise<Uint8Array> {
    const { createHmac } = await import('node:crypto');
    const hash = this.#key === undefined ? this.#hash : createHmac('sha256', this.#key);
    for (const part of this.#parts) hash.update(part);
    return hash.digest();
  }
}

test('F036: signs every key and header as the signer of the AWS SDK does', async () => {
  const stranger = new SignatureV4({
    service: 's3', region: 'eu-central-1', uriEscapePath: false, sha256: Sha256 as never,
    credentials: { accessKeyId: 'AKID', secretAccessKey: 'secret', sessionToken: 'token//+=' },
  });
  const ours = { accessKeyId: 'AKID', secretAccessKey: new Secret('secret'), sessionToken: new Secret('token//+=') };
  const key = fc.string({ unit: 'binary', minLength: 1, maxLength: 40 });
  const value = fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/);
  await fc.assert(fc.asyncProperty(key, value, value, fc.integer({ min: 0, max: 4e12 }), async (name, meta, prefix, ms) => {
    const path = `/bucket/${encodePath(name)}`;
    const headers = ['x-amz-meta-a', meta, 'if-match', '"abc"', 'content-type', 'text/plain'];
    const mine = new Signer().sign(request({ host: 'h:9000', path, query: encodeQuery({ prefix, 'list-type': '2' }), headers }), ours, 'eu-central-1', ms);
    const theirs = await stranger.sign({
      method: 'GET', protocol: 'http:', hostname: 'h', port: 9000, path, query: { prefix, 'list-type': '2' },
      headers: { host: 'h:9000', 'x-amz-content-sha256': EMPTY_SHA256, 'x-amz-meta-a': meta, 'if-match': '"abc"', 'content-type': 'text/plain' },
    }, { signingDate: new Date(ms) });
    assert.equal(theirs.headers['authorization'], headers.at(-1));
    assert.equal(mine.signature.length, 64);
  }), { numRuns: 100 });
});

test('the key of one day is not used on the next, nor for another region or other credentials', () => {
  const signer = new Signer();
  const other = { ...example, secretAccessKey: new Secret('another') };
  const cases = [[example, 'us-east-1', at], [example, 'us-east-1', at + 86_400_000], [example, 'eu-west-1', at], [other, 'us-east-1', at]] as const;
  for (const [credentials, region, now] of [...cases, ...cases]) {
    const fresh = new Signer().sign(request({}), credentials, region, now).signature;
    assert.equal(signer.sign(request({}), credentials, region, now).signature, fresh);
  }
});

test('the HMAC of texts of any length is that of RFC 2104', () => {
  for (const length of [0, 1, 32, 64]) {
    const key = Buffer.alloc(length, 0x5a + length);
    const mac = new Mac(key);
    for (const text of ['', 'a', 'ü€😀', 'x'.repeat(300), 'x'.repeat(341), 'x'.repeat(342), '€'.repeat(341), 'y'.repeat(5000), 'a']) {
      assert.equal(mac.hex(text), createHmac('sha256', key).update(text).digest('hex'), `${length} and ${text.length}`);
    }
  }
});
