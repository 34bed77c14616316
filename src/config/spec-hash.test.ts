import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseMigration } from './load.ts';
import { canonicalJson } from '../core/canonical-json.ts';
import { specHash } from './spec-hash.ts';

const hash = (more: string, ends = 'source: { url: "s3://one/a", region: eu-west-1 }\ndestination: s3://two/b\n') =>
  specHash(parseMigration(Buffer.from(`${ends}${more}\n`), '/tmp/pair.yml', {}));
const base = hash('');

test('F032: what may change between two resumes leaves the hash as it is', () => {
  for (const more of [
    'limits: { bandwidth: 5 MB/s, concurrency: 4 }', 'batch: { objects: 20 }', 'verify: full', 'report: { file: ./r.json }', 'executors: 0', 'compare: checksum', 'on_conflict: fail',
    'source_gone: fail', 'allow_archived: true', 'requester_pays: true', 'create_bucket: true', 'transfer: { part_size: 8 MiB }', 'name: other',
  ]) assert.equal(hash(more), base, more);
  assert.equal(hash('', 'destination: { s3: two, prefix: b/, credentials: env:X, checksum: md5 }\nsource: { s3: one, prefix: a, connection: c }\nconnections: { c: { credentials: default, path_style: true } }\n'), base);
});

test('F032: what the ledger is bound to changes the hash', () => {
  const seen = new Set([base]);
  for (const more of [
    'select: { include: [a] }', 'select: { exclude: [a] }', 'select: { min_size: 1 }', 'select: { modified_after: 30d }', 'transform: { key_prefix: x }', 'transform: { tags: { set: { a: b } } }', 'transform: { storage_class: GLACIER }',
    'fidelity: { tags: strict }', 'filesystem: { names: escaped }',
  ]) seen.add(hash(more));
  for (const ends of [
    'source: { url: "s3://one/a", listing: ./keys.csv }\ndestination: s3://two/b\n', 'source: { url: "s3://one/a", listing: "s3://inv/x/manifest.json" }\ndestination: s3://two/b\n', 'source: { url: "s3://one/a", listing: "s3://inv/y/manifest.json" }\ndestination: s3://two/b\n',
    'source: s3://one/b\ndestination: s3://two/b\n', 'source: s3://one/a\ndestination: s3://three/b\n', 'source: s3://one/a\ndestination: { url: "s3://two/b", sse: AES256 }\n',
    'source: { url: "s3://one/a", endpoint: "https://s3.example.com" }\ndestination: s3://two/b\n', 'source: /a\ndestination: s3://two/b\n',
  ]) seen.add(hash('', ends));
  assert.equal(seen.size, 18);
  assert.match(base, /^[0-9a-f]{64}$/);
  const reached = (by: string) => hash('', `connections: { c: { endpoint: "https://s3.example.com", credentials: env:X }, d: { endpoint: "https://s3.example.com", proxy: "http://p:1" } }\nsource: { url: "s3://one/a", listing: "s3://inv/x/manifest.json", listing_connection: ${by} }\ndestination: s3://two/b\n`);
  assert.equal(reached('c'), reached('d'));
});

test('property: canonical JSON is the same for every order of names, and parses back', () => {
  fc.assert(fc.property(fc.dictionary(fc.string().filter((key) => key !== '__proto__'), fc.jsonValue()), (value) => {
    const turned = Object.fromEntries(Object.entries(value).reverse());
    assert.equal(canonicalJson(turned), canonicalJson(value));
    assert.equal(JSON.stringify(JSON.parse(canonicalJson(value))), JSON.stringify(JSON.parse(canonicalJson(JSON.parse(JSON.stringify(value))))));
  }));
});
