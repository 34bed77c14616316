import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keyFromBytes, keyToBytes } from '../../core/key.ts';
import { decodeSegment, encodeSegment, indexName, isIndex, isRefusal, isTemporary, keyOf, markerRefusal, MAX_NAME_BYTES, placeOf, rawOf, temporaryName, type Place } from './names.ts';
import { NameList } from './name-list.ts';
import { collisionKey } from './probe.ts';

/** Segments made of what could be mistaken, mixed with any bytes. */
const tricky = fc.array(fc.constantFrom('.', '..', '%', '%2F', '%2E', '%25', '%00', '25', '2F', '2E', '00', '\0', 'a', ' ', '\xff', '\xc3\xa9', '%2f'), { maxLength: 6 }).map((parts) => parts.join(''));
const anyRaw = fc.uint8Array({ maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('latin1').replaceAll('/', '_'));
const segment = fc.oneof(tricky, anyRaw);
const fileName = segment.filter((name) => name !== '' && name !== '.' && name !== '..' && !name.includes('\0'));
const key = fc.array(segment, { minLength: 1, maxLength: 5 }).map((parts) => keyFromBytes(Buffer.from(parts.join('/'), 'latin1')));

function place(of: string, mode: 'escaped' | 'verbatim' = 'escaped'): Place {
  const found = placeOf(of, mode, 10);
  assert.ok(!isRefusal(found), JSON.stringify(found));
  return found;
}

test('F033, F034, F111: every segment becomes a file name and comes back; no two share one', () => {
  fc.assert(fc.property(segment, segment, (a, b) => {
    const [x, y] = [encodeSegment(a), encodeSegment(b)];
    assert.ok(x !== '' && x !== '.' && x !== '..' && !x.includes('\0') && !x.includes('/'));
    assert.equal(decodeSegment(x), a);
    assert.equal(x === y, a === b);
  }), { numRuns: 3000 });
});

test('F034: every file name on disk has a key of its own, which leads back to it', () => {
  fc.assert(fc.property(fileName, fileName, (a, b) => {
    assert.equal(encodeSegment(decodeSegment(a)), a);
    assert.equal(decodeSegment(a) === decodeSegment(b), a === b);
  }), { numRuns: 3000 });
});

test('F034: no two keys share a path, and a path gives its key back', () => {
  fc.assert(fc.property(key, key, (a, b) => {
    const [x, y] = [placeOf(a, 'escaped', 0), placeOf(b, 'escaped', 0)];
    if (isRefusal(x) || isRefusal(y)) return;
    const pathOf = (found: Place): string => found.segments.join('/') + (found.directory ? '/' : '');
    assert.equal(pathOf(x) === pathOf(y), a === b);
    assert.equal(keyOf(x.segments.map(decodeSegment).join('/') + (x.directory ? '/' : '')), a);
  }), { numRuns: 3000 });
});

test('only what cannot be stored is escaped', () => {
  for (const plain of ['%41', '100%', '%2f', 'a%2Fb', '%2F.txt', '...', '.a', 'a..b', ' ', '\\', 'C:', 'a%20b', '%2E%2E%2E']) assert.equal(encodeSegment(plain), plain);
  assert.deepEqual(place('/a//b/../c').segments, ['%2F', 'a', '%2F', 'b', '%2E%2E', 'c']);
  assert.deepEqual(place('%2F/%2E/a%00b').segments, ['%252F', '%252E', 'a%2500b']);
});

test('F035, F111: verbatim names refuse what a path would read otherwise', () => {
  for (const bad of ['a//b', '/a', 'a/../b', '..', './a', 'a/.', 'a\0b', '//', '../etc/passwd']) {
    const found = placeOf(bad, 'verbatim', 10);
    assert.ok(isRefusal(found) && found.code === 'E_NAME_FORBIDDEN', bad);
  }
  assert.deepEqual(place('%2F/a b/C:\\d', 'verbatim').segments, ['%2F', 'a b', 'C:\\d']);
});

test('F042, F044: a trailing slash is a directory; one with bytes, and the empty key, have no place', () => {
  assert.deepEqual(place('a/b/'), { segments: ['a', 'b'], directory: true });
  assert.equal(markerRefusal(place('a/b/'), 0), undefined);
  assert.equal(markerRefusal(place('a/b/'), 1)?.code, 'E_DIR_MARKER_HAS_DATA');
  const empty = placeOf('', 'escaped', 10);
  assert.ok(isRefusal(empty) && empty.code === 'E_KEY_EMPTY');
});

test('F045: 255 bytes per name, counted after escaping; and a bound on the path', () => {
  const code = (of: string): string | undefined => {
    const found = placeOf(of, 'escaped', 10);
    return isRefusal(found) ? found.code : undefined;
  };
  assert.equal(code('a'.repeat(255)), undefined);
  assert.equal(code('a'.repeat(256)), 'E_NAME_TOO_LONG');
  assert.equal(code('é'.repeat(127)), undefined);
  assert.equal(code('é'.repeat(128)), 'E_NAME_TOO_LONG');
  assert.equal(code(`${'a'.repeat(254)}\0`), 'E_NAME_TOO_LONG');
  assert.equal(code('abc/'.repeat(1005)), undefined);
  assert.equal(code('abc/'.repeat(1020)), 'E_NAME_TOO_LONG');
});

test('F046: bytes that are not UTF-8 pass through a key and back', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
    const raw = Buffer.from(bytes).toString('latin1');
    assert.equal(rawOf(keyOf(raw)), raw);
    assert.ok(keyToBytes(keyOf(raw)).equals(Buffer.from(bytes)));
  }));
});

test('F025: names of unfinished files fit, are recognised, and no key can have one', () => {
  const id = '0123456789abcdef';
  for (const name of ['a', 'x'.repeat(255), Buffer.from('é'.repeat(127)).toString('latin1'), '%2E']) {
    for (const temporary of [temporaryName(name, id), indexName(name, id)]) {
      assert.ok(temporary.length <= MAX_NAME_BYTES && isTemporary(temporary), temporary);
      assert.ok(isRefusal(placeOf(keyOf(temporary), 'escaped', 0)));
    }
    assert.ok(isIndex(indexName(name, id)) && !isIndex(temporaryName(name, id)));
  }
  for (const foreign of ['.hidden', '.file.swp', 'a.part', '.x.part', '.a.0123456789ABCDEF.brigade.part']) assert.ok(!isTemporary(foreign));
});

test('F040: where the file system normalises, NFC and NFD collide; elsewhere they do not', () => {
  const [nfc, nfd] = ['caf\u00e9', 'cafe\u0301'];
  const merging = collisionKey({ foldsCase: false, normalises: true });
  const exact = collisionKey({ foldsCase: false, normalises: false });
  assert.equal(merging(nfc), merging(nfd));
  assert.notEqual(exact(nfc), exact(nfd));
  assert.notEqual(merging('a'), merging('A'));
});

test('F041: where the file system folds case, Readme and README collide; elsewhere they do not', () => {
  const folding = collisionKey({ foldsCase: true, normalises: false });
  assert.equal(folding('dir/Readme'), folding('DIR/README'));
  assert.equal(folding('straße'), folding('STRASSE'));
  assert.notEqual(folding('a'), folding('b'));
  const exact = collisionKey({ foldsCase: false, normalises: false });
  assert.notEqual(exact('dir/Readme'), exact('DIR/README'));
});

test('F048: a list of names comes out in byte order, whatever the bytes, a few at a time', () => {
  fc.assert(fc.property(fc.uniqueArray(anyRaw), fc.integer({ min: 1, max: 5 }), (wished, most) => {
    const list = new NameList();
    for (const name of wished) list.push(name);
    list.sort();
    const found: string[] = [];
    for (let some = list.take(most); some.length > 0; some = list.take(most)) found.push(...some);
    const sorted = wished.map((name) => Buffer.from(name, 'latin1')).sort((a, b) => Buffer.compare(a, b));
    assert.deepEqual(found, sorted.map((bytes) => bytes.toString('latin1')));
  }));
});
