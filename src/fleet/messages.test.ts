import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { canonicalJson } from '../core/canonical-json.ts';
import { errorLine, type BrigadeError } from '../core/errors.ts';
import { Secret } from '../core/secret.ts';
import { type Codec, type Json, LARGEST_ENVELOPE, messageCodec } from './messages.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- only tests come here: what queues refuse is what the codec must never write
import { refusal } from '../queues/outgoing.ts';

type TestBodies = { readonly task: Json; readonly complete: { readonly upload: string } };
const OLD = new Secret('old-'.padEnd(32, 'o'));
const NEW = new Secret('new-'.padEnd(32, 'n'));
const SPEC = { id: 'photos@3', sha256: 'a'.repeat(64) };
const CHECKS = {
  task: () => undefined,
  complete: (body: Json) => (typeof (body as { upload?: unknown }).upload === 'string' ? undefined : 'its upload is missing'),
};

const codec = (current: Secret, other?: Secret, largest?: number): Codec<TestBodies> => messageCodec<TestBodies>({ current, ...(other === undefined ? {} : { other }) }, CHECKS, largest);
const task = (body: Json) => ({ kind: 'task', id: '17', spec: SPEC, body }) as const;
/** A message that this key would have sealed, whatever it says. */
const sealed = (fields: { readonly [key: string]: Json }, key = OLD): string => JSON.stringify({ ...fields, mac: createHmac('sha256', key.reveal()).update(canonicalJson(fields)).digest('hex') });

function refused(text: string, code: string, opener = codec(OLD)): void {
  assert.throws(() => opener.open(text), (error: BrigadeError) => {
    assert.equal(error.code, code);
    const line = errorLine(error);
    assert.ok(!line.includes('\n') && line.length < 400, line);
    return true;
  });
}

test('what is sealed opens as it was, whatever the body', () => {
  fc.assert(fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
    // As it comes out of JSON: -0 and undefined are no part of it.
    const body = JSON.parse(JSON.stringify(value)) as Json;
    assert.deepEqual(codec(OLD).open(codec(OLD).seal(task(body))), task(body));
  }), { numRuns: 500 });
});

test('every sealed message is one that a queue takes', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
    const message = codec(OLD).seal(task({ text: `${text}\ufffe\uffff\u0000\ud800` }));
    assert.equal(refusal({ id: 'x', body: message }, LARGEST_ENVELOPE, 'here'), undefined);
  }), { numRuns: 500 });
});

test('the order of fields and spaces are nobody\'s business', () => {
  const message = JSON.parse(codec(OLD).seal(task({ b: 1, a: [2, { d: 3, c: 4 }] }))) as Record<string, Json>;
  const turned = Object.fromEntries(Object.entries(message).toReversed());
  assert.deepEqual(codec(OLD).open(JSON.stringify(turned, null, 2)), task({ b: 1, a: [2, { d: 3, c: 4 }] }));
});

test('any other value anywhere breaks the seal', () => {
  const message = codec(OLD).seal(task({ key: 'a/b', size: 12 }));
  const changes: readonly (readonly [string, string])[] = [['a/b', 'a/c'], ['12', '13'], ['"17"', '"18"'], ['photos@3', 'photos@4'], ['"task"', '"complete"'], ['aaaa', 'aaab'], ['"size"', '"sizf"']];
  for (const [from, to] of changes) {
    assert.ok(message.includes(from), from);
    refused(message.replace(from, to), 'E_MESSAGE_SIGNATURE');
  }
  refused(message.replace('{"v":1', '{"more":1,"v":1'), 'E_MESSAGE_SIGNATURE');
  refused(message.replace(/"mac":"../, '"mac":"zz'), 'E_MESSAGE_SIGNATURE');
  refused(message.replace(/,"mac":"[0-9a-f]+"/, ''), 'E_MESSAGE_SIGNATURE');
  refused(message.replace(/"mac":"[0-9a-f]+"/, '"mac":1'), 'E_MESSAGE_SIGNATURE');
});

test('a field that stands there twice: what is checked is what is read', () => {
  const message = codec(OLD).seal(task({ key: 'good' }));
  refused(message.replace('"id":"17"', '"id":"17","id":"18"'), 'E_MESSAGE_SIGNATURE');
  assert.equal(codec(OLD).open(message.replace('"id":"17"', '"id":"18","id":"17"')).id, '17');
});

test('during a rotation both keys open, and afterwards the old one does not', () => {
  const before = codec(OLD).seal(task(1));
  const after = codec(NEW, OLD).seal(task(2));
  for (const opener of [codec(OLD, NEW), codec(NEW, OLD)]) {
    assert.equal(opener.open(before).body, 1);
    assert.equal(opener.open(after).body, 2);
  }
  refused(before, 'E_MESSAGE_SIGNATURE', codec(NEW));
  refused(after, 'E_MESSAGE_SIGNATURE', codec(OLD));
});

test('what is not ours, too new, too large or too deep says so in one line', () => {
  refused('copy this please', 'E_MESSAGE_FOREIGN');
  refused('{"source_bucket":"a","dest_bucket":"b","keys":["k"]}', 'E_MESSAGE_FOREIGN');
  for (const text of ['null', '[]', '1', '"v"', '']) refused(text, 'E_MESSAGE_FOREIGN');
  refused(`{"v":1,"body":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, 'E_MESSAGE_FOREIGN');
  refused(sealed({ v: 2, kind: 'task', id: '1', spec: SPEC, body: 1 }), 'E_MESSAGE_VERSION');
  refused(sealed({ v: '1\n', kind: 'task', id: '1', spec: SPEC, body: 1 }), 'E_MESSAGE_VERSION');
  refused(JSON.stringify({ v: 1, body: 'x'.repeat(LARGEST_ENVELOPE) }), 'E_MESSAGE_TOO_LARGE');
  assert.throws(() => codec(OLD, undefined, 300).seal(task('x'.repeat(300))), { code: 'E_MESSAGE_TOO_LARGE', kind: 'object' });
});

test('sealed, and still not what it should be', () => {
  const right = { v: 1, kind: 'complete', id: '1', spec: SPEC, body: { upload: 'u' } };
  assert.equal(codec(OLD).open(sealed(right)).kind, 'complete');
  refused(sealed({ ...right, body: {} }), 'E_MESSAGE_SHAPE');
  refused(sealed({ ...right, kind: 'toString' }), 'E_MESSAGE_SHAPE');
  refused(sealed({ ...right, id: '' }), 'E_MESSAGE_SHAPE');
  refused(sealed({ ...right, id: 'a\nb' }), 'E_MESSAGE_SHAPE');
  refused(sealed({ ...right, spec: { id: 'x', sha256: 'short' } }), 'E_MESSAGE_SHAPE');
  refused(sealed({ v: 1, kind: 'task', id: '1', spec: SPEC }), 'E_MESSAGE_SHAPE');
});

test('a short key is refused, without a word of it', () => {
  assert.throws(() => codec(new Secret('hunter2')), (error: BrigadeError) => error.code === 'E_MESSAGE_KEY' && !errorLine(error).includes('hunter2'));
  assert.throws(() => codec(OLD, new Secret('')), { code: 'E_MESSAGE_KEY', kind: 'usage' });
});
