import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chosen } from './worker/plain-intake.ts';
import { looksPlain, plainName, readPlain } from './plain-message.ts';

const message = (more: object = {}): string => JSON.stringify({ source_bucket: 'media', dest_bucket: 'copy', keys: ['a'], ...more });
const E_PLAIN_SHAPE = { code: 'E_PLAIN_SHAPE' };

test('S0.21: a message of the reference is read as it stands; what else it holds is passed over', () => {
  const keys = Array.from({ length: 20 }, (_, i) => `k/${19 - i}`);
  const read = readPlain(message({ keys: [...keys, 'k/3'], attempt: 1, sent: { by: 'lambda' } }));
  assert.deepEqual([read.source, read.destination], ['media', 'copy']);
  assert.equal(read.keys.length, 20, 'each once');
  assert.equal(read.keys[0], 'k/0');
});

test('what is no list of keys between two buckets is refused, with the field that is wrong', () => {
  assert.throws(() => readPlain(message({ keys: [] })), { ...E_PLAIN_SHAPE, message: /keys/ });
  assert.throws(() => readPlain(message({ keys: ['a', ''] })), { ...E_PLAIN_SHAPE, message: /keys\.1/ });
  assert.throws(() => readPlain(message({ keys: ['é'.repeat(513)] })), { ...E_PLAIN_SHAPE, message: /1024 bytes/ });
  assert.throws(() => readPlain(message({ keys: ['\ud800'] })), E_PLAIN_SHAPE);
  assert.throws(() => readPlain(message({ keys: 'a' })), E_PLAIN_SHAPE);
  assert.throws(() => readPlain(message({ keys: Array.from({ length: 10_001 }, (_, i) => String(i)) })), E_PLAIN_SHAPE);
  assert.throws(() => readPlain(message({ dest_bucket: 7 })), { ...E_PLAIN_SHAPE, message: /dest_bucket/ });
  assert.throws(() => readPlain(message({ more: 'x'.repeat(1 << 20) })), { ...E_PLAIN_SHAPE, message: /bytes/ });
});

test('only an object without a seal that names a source bucket means to be plain', () => {
  assert.ok(looksPlain(message()));
  assert.ok(looksPlain('{"source_bucket":1}'), 'what is wrong with it is told');
  assert.ok(!looksPlain(message({ mac: '0'.repeat(64) })));
  assert.ok(!looksPlain('["source_bucket"]'));
  assert.ok(!looksPlain('"source_bucket"'));
  assert.ok(!looksPlain('{"source_bucket":'));
  assert.ok(!looksPlain('{"v":1,"kind":"task","note":{"source_bucket":"media"}}'));
});

test('a message has one name however often it is delivered; the same text sent again has another', () => {
  assert.deepEqual(plainName('q', '1', message()), plainName('q', '1', message()));
  const names = new Set([plainName('q', '1', message()), plainName('q', '2', message()), plainName('r', '1', message()), plainName('q', '1', message({ keys: ['b'] }))].map((name) => JSON.stringify(name)));
  assert.equal(names.size, 4);
  for (let i = 0; i < 2000; i++) {
    const { epoch, seq, task } = plainName('q', String(i), '');
    assert.ok(epoch === 0 && seq < 1e10 && task < 1e9);
  }
});

test('of several migrations between the same buckets the one is meant below whose prefix all keys are', () => {
  const offer = (id: string, prefix: string) => ({ spec: { id, sha256: 'a'.repeat(64) }, source: { bucket: 'media', prefix }, destination: { bucket: 'copy' } });
  const of = (...keys: string[]) => readPlain(message({ keys }));
  const two = [offer('photos', 'photos/'), offer('films', 'films/')];
  assert.equal(chosen(two, of('films/a', 'films/b'))?.spec.id, 'films');
  assert.throws(() => chosen(two, of('films/a', 'photos/b')), { code: 'E_PLAIN_AMBIGUOUS', message: /photos, films/ });
  assert.throws(() => chosen(two, of('films/')), { code: 'E_PLAIN_AMBIGUOUS' }, 'the prefix itself is no key below it');
  assert.throws(() => chosen([offer('all', ''), ...two], of('films/a')), { code: 'E_PLAIN_AMBIGUOUS', message: /all, films/ });
  assert.equal(chosen([offer('films', 'films/')], of('elsewhere'))?.spec.id, 'films', 'its keys are told as failed');
  assert.equal(chosen([], of('a')), undefined);
});
