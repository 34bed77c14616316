import assert from 'node:assert/strict';
import { format, inspect } from 'node:util';
import { test } from 'node:test';
import { looksSecret, Secret } from './secret.ts';

const value = 'c2VjcmV0LXZhbHVlLW5vYm9keS1zZWVz';

test('F115: a secret prints as *** however it is printed', () => {
  const secret = new Secret(value);
  const holder = { inner: { secret } };
  const seen = [
    String(secret), `${secret}`, '' + secret, JSON.stringify(holder), inspect(holder, { depth: 9, showHidden: true }), format('%s %o %j', secret, secret, secret),
    inspect(new Error('x', { cause: secret })), JSON.stringify(Object.entries(secret)), JSON.stringify({ ...secret }), inspect(structuredClone({ ...secret })),
  ];
  for (const text of seen) assert.ok(!text.includes(value), text);
  assert.equal(`${secret}`, '***');
  assert.equal(secret.reveal(), value);
});

test('texts with the shape of a secret are recognised', () => {
  for (const text of ['AKIAIOSFODNN7EXAMPLE', 'key=ASIAIOSFODNN7EXAMPLE', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', '-----BEGIN RSA PRIVATE KEY-----']) assert.ok(looksSecret(text), text);
  for (const text of ['media-archive', '/srv/export/2024', 's3://bucket/prefix/', '50 Mbit/s', 'a'.repeat(40)]) assert.ok(!looksSecret(text), text);
});
