import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describedSchema, publishedSchema, type JsonSchema } from './json-schema.ts';

function* properties(schema: JsonSchema, path = ''): Generator<[path: string, schema: JsonSchema]> {
  for (const [key, inner] of Object.entries(schema.properties ?? {})) {
    yield [`${path}.${key}`, inner];
    yield* properties(inner, `${path}.${key}`);
  }
  for (const option of schema.anyOf ?? []) yield* properties(option, path);
  for (const [key, inner] of Object.entries(schema.definitions ?? {})) yield* properties(inner, `#${key}`);
}

test('every key says what it means', () => {
  const all = [...properties(describedSchema())];
  assert.ok(all.length > 100, `${all.length} keys`);
  for (const [path, schema] of all) assert.ok((schema.description ?? schema.title ?? '').length > 3, path);
});


test('what is published holds no keyword of ours, and closes every mapping whose keys we choose', () => {
  const text = JSON.stringify(publishedSchema());
  assert.doesNotMatch(text, /"x-/);
  assert.match(text, /"additionalProperties":false/);
  assert.equal((JSON.parse(text) as JsonSchema & { $schema: string }).$schema, 'http://json-schema.org/draft-07/schema#');
});
