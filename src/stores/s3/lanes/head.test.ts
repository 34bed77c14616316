import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dechunker } from './dechunk.ts';
import { endOfHead, HeadError, MOST_HEAD, parseHead } from './head.ts';

const head = (lines: string, first = 'HTTP/1.1 200 OK') => parseHead(`${first}\r\n${lines}${lines === '' ? '' : '\r\n'}\r\n`);

test('a head is read: names in lower case, white space around values gone, repeated fields kept apart', () => {
  const { status, headers, framing, persistent, keepSeconds } = head('ETag:  "a b"\t \r\nContent-Length: 12\r\nx-a:1\r\nX-A: \r\nX-Ünit: 1\r\nkeep-alive: max=9, timeout=5'.replace('X-Ünit: 1', 'x-latin: \xfcber'));
  assert.deepEqual({ ...headers }, { etag: '"a b"', 'content-length': '12', 'x-a': ['1', ''], 'x-latin': '\xfcber', 'keep-alive': 'max=9, timeout=5' });
  assert.deepEqual([status, framing, persistent, keepSeconds], [200, { kind: 'length', length: 12 }, true, 5]);
  assert.equal(head('content-length: 0\r\n__proto__: x').headers['toString'], undefined, 'names from outside meet no prototype');
  assert.equal(head('content-length: 0\r\nConnection: foo, Close').persistent, false);
  assert.equal(parseHead('HTTP/1.1 503\r\ncontent-length: 3\r\n\r\n').status, 503);
});

test('what says how a body ends: RFC 9112 §6.3', () => {
  assert.deepEqual(head('Transfer-Encoding: Chunked').framing, { kind: 'chunked' });
  assert.deepEqual(head('', 'HTTP/1.1 204 No').framing, { kind: 'length', length: 0 });
  assert.deepEqual(head('content-length: 7', 'HTTP/1.1 304 Not').framing, { kind: 'length', length: 0 });
  for (const odd of [head(''), head('transfer-encoding: gzip, chunked'), head('transfer-encoding: chunked\r\ntransfer-encoding: chunked'), head('content-length: 3', 'HTTP/1.0 200 OK')]) assert.equal(odd.framing.kind, 'odd');
});

test('F118: heads that two readers could read differently are refused', () => {
  const bad = [
    'content-length: 3\r\ncontent-length: 3', 'content-length: 3, 3', 'content-length: +3', 'content-length: 0x3', 'content-length: -1', 'content-length: ', 'content-length: 1e3', 'content-length: 3 4',
    'content-length: 3\r\ntransfer-encoding: chunked', 'content-length: 9999999999999999', 'content-length : 3', ' content-length: 3', 'x: 1\r\n folded: 2', 'x: 1\r\n\tfolded', 'x: a\nb', 'x: a\rb', 'x: a\0b', 'x: \x7f', ': 1', 'x', 'x y: 1', 'x\xfc: 1', '(x): 1',
  ];
  for (const lines of bad) assert.throws(() => head(lines), HeadError, JSON.stringify(lines));
  for (const first of ['HTTP/1.1 200 OK\n', 'HTTP/1.1  200 OK', 'HTTP/2 200 OK', 'HTTP/1.2 200 OK', 'HTTP/1.1 20 OK', 'HTTP/1.1 2000 OK', 'HTTP/1.1 600 X', 'HTTP/1.1 200\tOK', ' HTTP/1.1 200 OK', '', 'HTTP/1.1 200 O\0K']) {
    assert.throws(() => head('content-length: 0', first), HeadError, JSON.stringify(first));
  }
  for (const lines of ['content-length: 1', 'transfer-encoding: chunked']) assert.throws(() => head(lines, 'HTTP/1.1 204 No'), HeadError, lines);
});

test('F118: a head of more than 16 KiB, or of another protocol, is told as soon as that is known', () => {
  const end = Buffer.from(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(MOST_HEAD - 26)}\r\n\r\n`, 'latin1');
  assert.equal(endOfHead(end, end.length), end.length);
  assert.equal(endOfHead(end, end.length - 1), undefined);
  assert.throws(() => endOfHead(Buffer.alloc(MOST_HEAD, 'HTTP/1.1 200 OK\r\nx'), MOST_HEAD), HeadError);
  for (const text of ['SSH-2.0', 'h', 'HTTQ', '\r\nHTTP/1.1']) assert.throws(() => endOfHead(Buffer.from(text), text.length), HeadError, text);
  assert.equal(endOfHead(Buffer.from('HTTP'), 4), undefined);
});

test('chunks, cut anywhere, give their content; anything else in them is refused', () => {
  const coded = Buffer.from('4\r\nwiki\r\n00A\r\npedia in c\r\n0\r\n\r\n');
  for (let cut = 0; cut <= coded.length; cut++) {
    const chunks = new Dechunker();
    let text = '';
    for (const part of [coded.subarray(0, cut), coded.subarray(cut)]) chunks.feed(part, (content) => { text += content.toString(); });
    assert.deepEqual([text, chunks.over], ['wikipedia in c', true]);
  }
  for (const bad of ['4;a=b\r\nwiki\r\n', '4\nwiki', '-1\r\n', '\r\n', '0x4\r\nwiki', '4\r\nwikix\r\n', '4\r\nwiki\n', '123456789\r\n', '0\r\ntrailer: 1\r\n\r\n', '0\r\n\r\nHTTP/1.1 200 OK', `${' '.repeat(20)}4`]) {
    assert.throws(() => { new Dechunker().feed(Buffer.from(bad), () => undefined); }, HeadError, JSON.stringify(bad));
  }
});
