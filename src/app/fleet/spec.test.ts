import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMigration, type Migration } from '../../config/index.ts';
import type { BrigadeError } from '../../core/errors.ts';
import type { Probed } from '../stores.ts';
import { readSpec, specDocument } from './spec.ts';

const YAML = `
name: photos
source: { s3: from, endpoint: "https://s3.example.com", credentials: env:FROM }
destination: { s3: target, endpoint: "https://s4.example.com", credentials: "file:/run/secrets/to" }
`;
const migration = parseMigration(Buffer.from(YAML), '/tmp/photos.yaml', { FROM_ACCESS_KEY_ID: 'id', FROM_SECRET_ACCESS_KEY: 'hunter2' });
const facts: Probed = { source: { provider: 'minio' }, destination: { provider: 'ceph', region: 'x' }, mtimeStepMs: 1000 };
const { file: _, ...told } = migration;

test('a migration comes out of its document as it went in, but for the name of its file', () => {
  assert.deepEqual(readSpec(specDocument(migration, facts)), { migration: JSON.parse(JSON.stringify(told)) as Migration, facts });
  assert.ok(!specDocument(migration, facts).includes('photos.yaml'));
});

test('the same migration is the same document, in whatever order it was put together', () => {
  const turned = Object.fromEntries(Object.entries(migration).toReversed()) as unknown as Migration;
  assert.deepEqual(specDocument(turned, facts), specDocument(migration, facts));
  assert.notDeepEqual(specDocument(migration, { ...facts, mtimeStepMs: 1 }), specDocument(migration, facts));
});

test('no secret goes into it, only where it is to be found', () => {
  const text = specDocument(migration, facts).toString();
  assert.ok(!text.includes('hunter2'));
  assert.match(text, /FROM_SECRET_ACCESS_KEY/);
});

test('F108: a document of another version says so, and one that is none is refused in one line', () => {
  const whole = JSON.parse(specDocument(migration, facts).toString()) as Record<string, Record<string, unknown>>;
  const code = (value: unknown): string => {
    try {
      readSpec(Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
    } catch (error) {
      assert.ok(!(error as BrigadeError).message.includes('\n'));
      return `${(error as BrigadeError).kind} ${(error as BrigadeError).code}`;
    }
    return 'read';
  };
  assert.equal(code(whole), 'read');
  assert.equal(code({ ...whole, v: 2 }), 'unsupported E_SPEC_VERSION');
  assert.equal(code({ migration: {} }), 'unsupported E_SPEC_VERSION');
  for (const value of ['', '[]', 'null', '{"v":1', '7', { v: 1 }, { ...whole, migration: null }, { ...whole, facts: {} }]) assert.match(code(value), /^(premise E_SPEC_SHAPE|unsupported E_SPEC_VERSION)$/);
  for (const name of Object.keys(told)) {
    const { [name]: __, ...rest } = whole['migration'] as Record<string, unknown>;
    if (['name', 'source', 'destination', 'limits', 'transfer', 'fidelity', 'compare'].includes(name)) assert.equal(code({ ...whole, migration: rest }), 'premise E_SPEC_SHAPE', name);
  }
  assert.equal(code({ ...whole, migration: { ...whole['migration'], source: { kind: 'azure', container: 'x' } } }), 'premise E_SPEC_SHAPE');
  assert.equal(code({ ...whole, migration: { ...whole['migration'], destination: { kind: 's3', bucket: 'x' } } }), 'premise E_SPEC_SHAPE');
});
