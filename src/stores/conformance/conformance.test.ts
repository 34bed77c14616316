/** The suite itself: a store that breaks one promise must fail the check that names it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectEntry } from '../../core/object.ts';
import type { Store } from '../../ports/storage.ts';
import { createMemoryStore, type MemoryStore } from '../memory/index.ts';
import { attributeChecks } from './attributes.ts';
import { guardChecks } from './guards.ts';
import { keyChecks } from './keys.ts';
import { listingChecks } from './listing.ts';
import { multipartChecks } from './multipart.ts';
import { readingChecks } from './reading.ts';
import { Bench, type Checks } from './subject.ts';
import { writingChecks } from './writing.ts';

async function failures(checks: Checks, breaking: (good: MemoryStore) => Partial<Store>): Promise<string> {
  const failed: string[] = [];
  for (const [title, check] of Object.entries(checks)) {
    const good = createMemoryStore({ pageSize: 100 });
    const store: Store = Object.defineProperties({}, { ...Object.getOwnPropertyDescriptors(good), ...Object.getOwnPropertyDescriptors(breaking(good)) }) as Store;
    await check(new Bench({ store, cleanup: async () => {} }, { manyObjects: 250 })).catch(() => failed.push(title));
  }
  return failed.join('\n');
}

/** A listing whose entries are changed all at once. */
function relisted(change: (entries: readonly ObjectEntry[]) => readonly ObjectEntry[]): (good: MemoryStore) => Partial<Store> {
  return (good) => ({
    async *list(request) {
      const all: ObjectEntry[] = [];
      for await (const page of good.list(request)) all.push(...page.entries);
      yield { entries: change(all) };
    },
  });
}

const BROKEN: Readonly<Record<string, readonly [Checks, (good: MemoryStore) => Partial<Store>, RegExp]>> = {
  // eslint-disable-next-line no-restricted-syntax -- the very mistake that the check is for
  'lists in UTF-16 order': [listingChecks, relisted((entries) => [...entries].sort((a, b) => (a.key < b.key ? -1 : 1))), /F048/],
  'loses the last entry': [listingChecks, relisted((entries) => entries.slice(0, -1)), /startAfter is exact/],
  'starts at startAfter, not after it': [listingChecks, (good) => ({ list: ({ startAfter, ...rest }) => good.list({ ...rest, ...(startAfter === undefined ? {} : { startAfter: startAfter.slice(0, -1) }) }) }), /startAfter is exact/],
  'ignores the prefix': [listingChecks, (good) => ({ list: ({ prefix: _, ...rest }) => good.list(rest) }), /prefix gives its keys/],
  'collapses double slashes': [keyChecks, (good) => ({ write: (request) => good.write({ ...request, key: request.key.replace(/\/+/g, '/') }) }), /F033/],
  'normalises names': [keyChecks, (good) => ({ write: (request) => good.write({ ...request, key: request.key.normalize('NFC') }) }), /F040/],
  'reads whatever version is there': [readingChecks, (good) => ({ read: ({ pin: _, ...rest }) => good.read(rest) }), /F026/],
  'ignores ranges': [readingChecks, (good) => ({ read: ({ range: _, ...rest }) => good.read(rest) }), /ranges are exact/],
  'takes a short body for whole': [writingChecks, (good) => ({
    write: async (request) => {
      const pieces: Uint8Array[] = [];
      for await (const piece of request.body.open()) pieces.push(Buffer.from(piece));
      const bytes = Buffer.concat(pieces);
      return good.write({ ...request, body: { size: bytes.length, bytes, async *open() { yield bytes; } } });
    },
  }), /F012, F024: a body shorter/],
  'removes the old object before the new one is whole': [writingChecks, (good) => ({
    write: async (request) => {
      await good.remove(request.key);
      return good.write(request);
    },
  }), /F024/],
  'answers another token than it lists': [writingChecks, (good) => ({ write: async (request) => ({ ...await good.write(request), token: 'other' }) }), /token that write/],
  'ignores guards': [guardChecks, (good) => ({ write: (request) => good.write({ ...request, guard: { kind: 'none' } }) }), /guard absent: an object that is there[^]*guard matches: another version/],
  'loses attributes': [attributeChecks, (good) => ({ write: (request) => good.write({ ...request, attributes: { headers: {}, userMetadata: new Map() } }) }), /come back from head/],
  'loses attributes above the threshold': [attributeChecks, (good) => ({ multipart: { ...bound(good), create: (request) => bound(good).create({ ...request, attributes: { headers: {}, userMetadata: new Map() } }) } }), /F065/],
  'completes without a part': [multipartChecks, (good) => ({ multipart: { ...bound(good), complete: (request) => good.write({ key: request.upload.key, body: { size: 0, async *open() {} }, attributes: request.attributes, guard: request.guard }) } }), /F011/],
  'forgets parts': [multipartChecks, (good) => ({ multipart: { ...bound(good), listParts: async (upload) => (await bound(good).listParts(upload)).slice(1) } }), /another process goes on/],
  'keeps aborted uploads': [multipartChecks, (good) => ({ multipart: { ...bound(good), abort: async () => {} } }), /abort leaves nothing/],
};

function bound(good: MemoryStore): NonNullable<Store['multipart']> {
  const multipart = good.multipart as NonNullable<Store['multipart']>;
  return {
    create: (request) => multipart.create(request), putPart: (...given) => multipart.putPart(...given), complete: (request) => multipart.complete(request),
    abort: (upload) => multipart.abort(upload), listParts: (upload) => multipart.listParts(upload), listUploads: () => multipart.listUploads(),
  };
}

for (const [what, [checks, breaking, expected]] of Object.entries(BROKEN)) {
  test(`a store that ${what} fails the suite`, async () => assert.match(await failures(checks, breaking), expected));
}
