import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BrigadeError } from '../../core/errors.ts';
import { keyFromBytes } from '../../core/key.ts';
import { bareEtag, parseTime, scanListing } from './scanner.ts';
import type { ScannedPage, ScanOptions } from './scanner.ts';
import { escapeText } from './xml.ts';

const options: ScanOptions = { plusIsSpace: true, location: 's3://b' };
const scan = (xml: string, over: Partial<ScanOptions> = {}): ScannedPage => scanListing(Buffer.from(xml), { ...options, ...over });
const entry = (key: string, size = '1'): string =>
  `<Contents><Key>${key}</Key><LastModified>2026-11-21T09:00:01.250Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>${size}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
const page = (inner: string, head = '<IsTruncated>false</IsTruncated>'): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name>${head}${inner}</ListBucketResult>`;
const encoded = '<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>';
const rejects = (xml: string, match: RegExp, code = 'E_LIST_INVALID', over: Partial<ScanOptions> = {}): void => {
  assert.throws(() => scan(xml, over), (error: BrigadeError) => {
    assert.equal(error.code, code);
    assert.match(error.message, match);
    return true;
  });
};

test('reads every field, in any order, with owners, restore states and unknown elements between', () => {
  const { entries, truncated, nextToken } = scan(page(
    `<Contents>\n <Size>12</Size><Owner><ID>x</ID><DisplayName>Key</DisplayName></Owner><ETag>"p-2"</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm>
     <RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress></RestoreStatus><Tags/><StorageClass>GLACIER</StorageClass><Key>k</Key></Contents>`,
    '<KeyCount>1</KeyCount><IsTruncated>true</IsTruncated><NextContinuationToken>1/abc==&amp;</NextContinuationToken>'));
  assert.deepEqual(entries, [{ key: 'k', size: 12, token: 'p-2', kind: 'object', modifiedMs: undefined, storageClass: 'GLACIER' }]);
  assert.equal(truncated, true);
  assert.equal(nextToken, '1/abc==&');
  assert.equal(scan(page(entry('a'))).entries[0]?.modifiedMs, Date.UTC(2026, 10, 21, 9, 0, 1, 250));
});

test('quotes around an ETag go, in every way of writing them; weak ones and what is inside stay', () => {
  const tags: Record<string, string> = { '&quot;abc&quot;': 'abc', '"abc"': 'abc', '&#34;abc&#34;': 'abc', abc: 'abc', '&quot;a&amp;b&quot;': 'a&b', 'W/&quot;abc&quot;': 'W/"abc"', '&quot;&quot;': '', '&quot;': '"', 'abc&quot;': 'abc"' };
  for (const [raw, token] of Object.entries(tags)) assert.equal(bareEtag(raw), token, raw);
});

test('F005: an empty body, another root, no IsTruncated, a wrong KeyCount are E_LIST_INVALID', () => {
  rejects('', /empty/);
  rejects('  \n', /empty/);
  rejects('<Error><Code>SlowDown</Code></Error>', /root is not ListBucketResult/);
  rejects('{"keys":[]}', /root is not/);
  rejects(page(entry('a'), ''), /last page/);
  rejects(page(entry('a'), '<IsTruncated>maybe</IsTruncated>'), /last page/);
  rejects(page(entry('a'), '<IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>'), /says 2 keys and holds 1/);
  rejects(page('<Contents><Key>a</Key></Contents>'), /without a key or size/);
  for (const size of ['', '-1', '1e3', '99999999999999999999']) rejects(page(entry('a', size)), /without a key or size/);
});

test('F006: HTML is named as such', () => {
  rejects('<!DOCTYPE html><html><body>Welcome</body></html>', /text\/html: a proxy or a wrong endpoint\?/);
  rejects('login here', /text\/html/, 'E_LIST_INVALID', { contentType: 'text/html; charset=utf-8' });
  rejects(`<html>${page('')}</html>`, /html/);
});

test('F007: a page cut at any byte is E_LIST_INVALID', () => {
  const whole = page(entry('a') + entry('b'));
  for (let cut = 0; cut < whole.length; cut++) rejects(whole.slice(0, cut), /./);
  assert.equal(scan(whole).entries.length, 2);
});

test('F037: encoding-type=url is decoded: plus, then percent', () => {
  const key = (text: string, plusIsSpace = true): string => scan(page(entry(text), encoded), { plusIsSpace }).entries[0]?.key ?? '';
  assert.equal(key('a%01+b%2Bc'), 'a\u0001 b+c');
  assert.equal(key('a+b', false), 'a+b');
  assert.equal(key('%F0%9F%98%80/%2F'), '😀//');
  assert.equal(key('a%FF%80'), keyFromBytes(Buffer.from([0x61, 0xff, 0x80])));
  assert.equal(key('100%'), '100%');
});

test('F038: entities are decoded where the store does not encode, and the page says so', () => {
  assert.equal(scan(page(entry('a&amp;&lt;&#x1;&#13;é+%41'))).entries[0]?.key, 'a&<\u0001\ré+%41');
  assert.equal(scan(page('<Contents><Size>1</Size><Key><![CDATA[<&>]]></Key></Contents>')).entries[0]?.key, '<&>');
  assert.deepEqual([scan(page(entry('a'))).encoded, scan(page(entry('a'), encoded)).encoded], [false, true]);
});

test('F039: keys that look like numbers, booleans or spaces stay as they are', () => {
  for (const key of ['007', '1e3', 'true', ' lead', 'trail ', ' ', 'null', '-0', '__proto__', 'constructor']) assert.equal(scan(page(entry(key))).entries[0]?.key, key);
  assert.equal(scan(page('<Contents><Key/><Size>0</Size></Contents>')).entries[0]?.key, '');
});

test('F036, F047: every key comes back from both ways of writing it', () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: 'binary' }).filter((key) => !key.includes('\ufffd')), { maxLength: 5 }), (keys) => {
    const url = page(keys.map((key) => entry(encodeURIComponent(key).replaceAll('%20', '+'))).join(''), encoded);
    assert.deepEqual(scan(url).entries.map((one) => one.key), keys);
    const plain = page(keys.map((key) => entry(escapeText(key))).join(''));
    assert.deepEqual(scan(plain).entries.map((one) => one.key), keys);
  }));
});

test('times: fast path and slow path agree with Date.parse', () => {
  fc.assert(fc.property(fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true }), (date) => {
    assert.equal(parseTime(date.toISOString()), date.getTime());
    assert.equal(parseTime(date.toISOString().replace(/\.\d+/, '')), Math.floor(date.getTime() / 1000) * 1000);
  }));
  assert.equal(parseTime('2026-11-21T10:00:00+01:00'), Date.UTC(2026, 10, 21, 9));
  for (const bad of ['', 'never', '2026-99-21T09:00:00.000Z', '2026-11-21Txx:00:00.000Z']) assert.equal(parseTime(bad), undefined);
});

test('a token that is not ASCII goes back as it came, also from a page whose keys are encoded', () => {
  for (const mode of [encoded, '<IsTruncated>false</IsTruncated>']) {
    const truncated = page(entry('a'), `${mode}<NextContinuationToken>after:日 😀é</NextContinuationToken>`);
    assert.equal(scan(truncated).nextToken, 'after:日 😀é');
  }
});

test('a page of many pieces holds the same, however its objects are written and wherever a piece ends', () => {
  const owner = '<Owner><ID>x</ID><DisplayName>Key</DisplayName></Owner>';
  const ways: readonly ((key: string) => string)[] = [
    (key) => entry(key),
    (key) => entry(key).replace('<Size>', `<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>${owner}<Size>`),
    (key) => `<Contents><Size>1</Size><Key>${key}</Key></Contents>`,
    (key) => entry(key).replaceAll('&quot;', '"').replace('</Contents>', `${owner}</Contents>`),
    (key) => `<Contents><Size>1</Size><Key><![CDATA[${key}</Contents>]]></Key></Contents>`,
  ];
  for (const [at, way] of ways.entries()) {
    const keys = Array.from({ length: 1000 }, (_, i) => `${at}-${String(i).padStart(4, '0')}-${'x'.repeat(i % 97)}`);
    const { entries } = scan(page(keys.map(way).join('')));
    assert.deepEqual(entries.map(({ key }) => key), keys.map((key) => (at === 4 ? `${key}</Contents>` : key)));
    assert.deepEqual(new Set(entries.map(({ size }) => size)), new Set([1]));
  }
  const huge = 'k'.repeat(200_000);
  assert.deepEqual(scan(page(entry('a') + entry(huge) + entry('z'))).entries.map(({ key }) => key), ['a', huge, 'z']);
});

test('what stands before, between and behind objects counts, wherever it stands', () => {
  const some = Array.from({ length: 400 }, (_, i) => entry(`k${String(i).padStart(3, '0')}`));
  const between = page([...some.slice(0, 200), '<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes><KeyCount>401</KeyCount>', ...some.slice(200)].join(''));
  assert.equal(scan(between).entries.length, 400);
  const behind = scan(page(`${some.join('')}<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes><IsTruncated>true</IsTruncated><KeyCount>401</KeyCount><NextMarker>k+1</NextMarker>${encoded.slice(26)}`, ''));
  assert.deepEqual([behind.entries.length, behind.truncated, behind.nextToken, behind.encoded], [400, true, 'k 1', true]);
  rejects(page(`${some.join('')}<KeyCount>399</KeyCount>`), /says 399 keys and holds 400/);
  rejects(page(`<Prefix>${some.join('')}`), /inside an element/);
});
