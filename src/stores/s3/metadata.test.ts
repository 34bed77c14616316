import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import type { Attributes } from '../../core/object.ts';
import { attributeHeaders, encodeMetadata, readAttributes } from './metadata.ts';
import { profileOf } from './profiles.ts';
import type { ResponseHeaders } from './transport.ts';

const aws = { ...profileOf('aws'), maxUserMetadataBytes: 100_000 };
const write = (attributes: Partial<Attributes>, defaults = {}, profile = aws): ResponseHeaders => {
  const flat = attributeHeaders({ ...NO_ATTRIBUTES, ...attributes }, profile, defaults, () => 's3://b/k');
  return Object.fromEntries(Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]));
};
/** What HTTP and signing do to values on the way. */
const onTheWire = (headers: ResponseHeaders): ResponseHeaders => Object.fromEntries(Object.entries(headers).map(([name, value]) => {
  assert.match(String(value), /^[\t -~\u0080-\u00ff]*$/, `not a header value: ${JSON.stringify(value)}`);
  return [name, String(value).trim().replace(/ +/g, ' ')];
}));
const metadata = (entries: [string, string][]): Map<string, string> => new Map(entries);

test('F068: every metadata value comes back as it was: Unicode, spaces of all sorts, controls, encoded words', () => {
  const awkward = ['', ' ', ' lead', 'trail ', 'two  spaces', 'tab\tin', 'é', ' é ', '😀', '=?UTF-8?B?w6k=?=', '=?x', 'a=?b?=', '100%', '%20', 'line\nfeed', '\u0000', 'a'.repeat(500)];
  for (const value of awkward) {
    const back = readAttributes(onTheWire(write({ userMetadata: metadata([['a', value], ['b', 'plain']]) })));
    assert.deepEqual([...back.userMetadata], [['a', value], ['b', 'plain']], JSON.stringify(value));
  }
  fc.assert(fc.property(fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/), fc.string({ unit: 'binary', maxLength: 30 }), { maxKeys: 6 }), (values) => {
    const entries = Object.entries(values).filter(([name]) => name !== 'brigade-encoded');
    assert.deepEqual(new Map(readAttributes(onTheWire(write({ userMetadata: metadata(entries) }))).userMetadata), metadata(entries));
  }));
});

test('what other tools wrote is read: RFC 2047 in both forms, raw UTF-8 and raw latin-1', () => {
  const read = (value: string): string | undefined => readAttributes({ 'x-amz-meta-a': value }).userMetadata.get('a');
  assert.equal(read('=?UTF-8?Q?caf=C3=A9_noir?='), 'café noir');
  assert.equal(read('=?UTF-8?B?Y2Fmw6k=?= =?UTF-8?B?IG5vaXI=?='), 'café noir');
  assert.equal(read(Buffer.from('café').toString('latin1')), 'café');
  assert.equal(read('caf\u00e9'), 'café');
  assert.equal(read('=?nonsense?B?w6k=?='), '=?nonsense?B?w6k=?=');
});

test('plain values stay readable for everybody', () => {
  for (const value of ['2026-11-21', 'a b c', 'k=v;x="y"', 'https://x/?a=b']) assert.deepEqual(encodeMetadata(value), { text: value, percent: false });
});

test('F019: aws-chunked is no content encoding', () => {
  assert.equal(readAttributes({ 'content-encoding': 'aws-chunked' }).headers.contentEncoding, undefined);
  assert.equal(readAttributes({ 'content-encoding': 'gzip,aws-chunked' }).headers.contentEncoding, 'gzip');
  assert.equal(readAttributes({ 'content-encoding': 'gzip' }).headers.contentEncoding, 'gzip');
});

test('content headers come back byte for byte, also where they are not ASCII', () => {
  const raw = Buffer.from([...Buffer.from('attachment; filename="é'), 0xff, 0x22]).toString('latin1');
  const { headers } = readAttributes({ 'content-disposition': raw, 'cache-control': 'max-age=1,  private', 'content-type': 'text/plain; charset=utf-8', expires: 'never', 'content-language': 'de' });
  const again = write({ headers });
  assert.equal(again['content-disposition'], raw);
  assert.deepEqual([again['cache-control'], again['content-type'], again['expires'], again['content-language']], ['max-age=1,  private', 'text/plain; charset=utf-8', 'never', 'de']);
});

test('F067, F069: too many tags, too much metadata and names that are no headers are refused before the first byte', () => {
  const small = profileOf('aws');
  const many = new Map(Array.from({ length: 11 }, (_, i) => [`t${i}`, 'v'] as const));
  assert.throws(() => write({ tags: many }, {}, small), /11 tags, aws holds 10/);
  assert.throws(() => write({ tags: new Map([['a', 'b']]) }, {}, profileOf('r2')), /keeps no tags/);
  assert.throws(() => write({ userMetadata: metadata([['a', 'x'.repeat(2048)]]) }, {}, small), /2049 bytes, aws holds 2048/);
  assert.throws(() => write({ userMetadata: metadata([['a b', 'x']]) }), /cannot be a header/);
});

test('F118: metadata named like a property of an object is a plain name', () => {
  const headers = { 'x-amz-meta-__proto__': 'a', 'x-amz-meta-constructor': 'b' };
  assert.deepEqual([...readAttributes(headers).userMetadata], [['__proto__', 'a'], ['constructor', 'b']]);
});

test('F057: a file\'s time keeps its nanoseconds, and its mode its bits; what the user named so wins', () => {
  const back = readAttributes(write({ mtimeNs: '1700000000123456789', mode: 0o640 }));
  assert.deepEqual([back.mtimeNs, back.mode, back.userMetadata.size], ['1700000000123456789', 0o640, 0]);
  assert.equal(readAttributes(write({ mtimeNs: '-1' })).mtimeNs, '-1');
  assert.equal(readAttributes(write({ mtimeNs: '5', userMetadata: metadata([['mtime', 'yesterday']]) })).userMetadata.get('mtime'), 'yesterday');
});

test('F075: tags, class and encryption are carried, an ACL never', () => {
  const headers = write({ tags: new Map([['a b', 'c&d=é']]), storageClass: 'STANDARD_IA' }, { sse: { algorithm: 'aws:kms', kmsKeyId: 'k' }, requesterPays: true });
  assert.deepEqual(headers, {
    'x-amz-tagging': 'a%20b=c%26d%3D%C3%A9', 'x-amz-storage-class': 'STANDARD_IA', 'x-amz-server-side-encryption': 'aws:kms',
    'x-amz-server-side-encryption-aws-kms-key-id': 'k', 'x-amz-request-payer': 'requester',
  });
});
