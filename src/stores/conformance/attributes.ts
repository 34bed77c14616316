import assert from 'node:assert/strict';
import { NO_ATTRIBUTES, type Attributes, type ContentHeaders, type ObjectInfo } from '../../core/object.ts';
import { collect, patterned, bodyOf } from './content.ts';
import { refused, type Bench, type Checks } from './subject.ts';

const FULL: Attributes = {
  headers: {
    contentType: 'text/x-brigade; charset="utf-8"', cacheControl: 'max-age=60, private', contentDisposition: 'attachment; filename="a b.txt"',
    contentEncoding: 'gzip', contentLanguage: 'de-CH', expires: 'Wed, 21 Oct 2037 07:28:00 GMT',
  },
  userMetadata: new Map([['plain', 'value'], ['with-dash', 'a, b; c=d'], ['unicode', 'Grüße 😀']]),
  tags: new Map([['team', 'blue'], ['key with space', 'v/1 + 2']]),
  mtimeNs: '1700000000123456000',
  mode: 0o640,
};

/** What the store says it keeps is there, verbatim; what it says it lacks is not made up. */
async function expectAttributes(bench: Bench, key: string, found: ObjectInfo, wanted: Attributes, parts = false): Promise<void> {
  const { attributes: keeps } = bench.store.facts;
  if (keeps.contentHeaders) expectHeaders(bench, found.headers, wanted.headers, parts);
  assert.deepEqual([...found.userMetadata].sort(byName), keeps.userMetadata ? [...wanted.userMetadata].sort(byName) : []);
  if (keeps.mtime) expectTime(found.mtimeNs, wanted.mtimeNs);
  if (keeps.mode) assert.equal(found.mode, wanted.mode);
  if (!keeps.tags) assert.equal(found.tags, undefined);
  else if (bench.store.readTags !== undefined) assert.deepEqual([...await bench.store.readTags(key)].sort(byName), [...(wanted.tags ?? [])].sort(byName));
  else assert.fail('the store says it keeps tags but has no readTags()');
}

/** All but what is declared lost; that is lost (or made up by the store), or the facts are wrong. */
function expectHeaders(bench: Bench, found: ContentHeaders, wanted: ContentHeaders, parts: boolean): void {
  const { lostHeaders } = bench.store.facts;
  const lost = [...lostHeaders?.always ?? [], ...(parts ? lostHeaders?.inParts ?? [] : [])];
  assert.deepEqual(without(found, lost), without(wanted, lost));
  for (const name of lost) if (wanted[name] !== undefined) assert.notEqual(found[name], wanted[name], `${name} is kept`);
}

function without(headers: ContentHeaders, lost: readonly (keyof ContentHeaders)[]): ContentHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !lost.includes(name as keyof ContentHeaders)));
}

/** Node sets times as a double of seconds, which near the present resolves 240 ns: a microsecond is what every store can keep (F057). */
function expectTime(found: string | undefined, wanted: string | undefined): void {
  const off = BigInt(found ?? '0') - BigInt(wanted ?? '0');
  assert.ok(off > -1000n && off < 1000n, `mtime is ${found}, not ${wanted}`);
}

function byName(a: readonly [string, string], b: readonly [string, string]): number {
  return a[0] === b[0] ? 0 : a[0] < b[0] ? -1 : 1;
}

async function inParts(bench: Bench, key: string, bytes: Uint8Array, attributes: Attributes): Promise<void> {
  const { multipart } = bench.store;
  assert.ok(multipart !== undefined);
  const upload = await multipart.create({ key, size: bytes.length, partSize: bench.partSize, attributes });
  const parts = [];
  for (let at = 0; at < bytes.length; at += bench.partSize) parts.push(await multipart.putPart(upload, parts.length + 1, bodyOf(bytes.subarray(at, at + bench.partSize))));
  await multipart.complete({ upload, parts, attributes, guard: { kind: 'none' } });
}

export const attributeChecks: Checks = {
  'attributes come back from head and from read, verbatim': async (bench) => {
    await bench.write('full', patterned(100), { attributes: FULL });
    await expectAttributes(bench, 'full', await bench.store.head('full'), FULL);
    const read = await bench.store.read({ key: 'full', expectedSize: 100 });
    assert.equal((await collect(read)).length, 100);
    await expectAttributes(bench, 'full', read.info, FULL);
  },

  'F065: the same attributes below, at and above one part, and on an object of 0 bytes': async (bench) => {
    await bench.write('empty', Buffer.alloc(0), { attributes: FULL });
    await expectAttributes(bench, 'empty', await bench.store.head('empty'), FULL);
    if (bench.store.multipart === undefined) return;
    for (const size of [bench.partSize - 1, bench.partSize, bench.partSize + 1]) {
      await inParts(bench, `parts-${size}`, patterned(size), FULL);
      await bench.write(`single-${size}`, patterned(size), { attributes: FULL });
      await expectAttributes(bench, `parts-${size}`, await bench.store.head(`parts-${size}`), FULL, true);
      await expectAttributes(bench, `single-${size}`, await bench.store.head(`single-${size}`), FULL);
    }
  },

  'an overwrite leaves no attribute of the old object behind': async (bench) => {
    await bench.write('over', patterned(10), { attributes: FULL });
    const plain: Attributes = { headers: {}, userMetadata: new Map() };
    await bench.write('over', patterned(20), { attributes: plain });
    const head = await bench.store.head('over');
    assert.equal(head.userMetadata.size, 0);
    assert.notEqual(head.headers.cacheControl, FULL.headers.cacheControl);
    if (bench.store.readTags !== undefined) assert.equal((await bench.store.readTags('over')).size, 0);
  },

  'F118: a metadata name such as __proto__ is a name like any other': async (bench) => {
    const { attributes, foldsUnderscores } = bench.store.facts;
    const userMetadata = new Map([['__proto__', 'x'], ['constructor', 'y']]);
    await bench.write('proto', patterned(1), { attributes: { headers: {}, userMetadata } });
    const found = [...(await bench.store.head('proto')).userMetadata].sort(byName);
    // Declared, so that the engine reports the loss of the name (fidelity.ts).
    const shown = [...userMetadata].map(([name, value]): [string, string] => [foldsUnderscores === true ? name.replaceAll('_', '-') : name, value]);
    assert.deepEqual(found, attributes.userMetadata ? shown.sort(byName) : []);
  },

  'a count of tags is the number of tags: of objects with and without, whole and in parts': async (bench) => {
    if (bench.store.readTags === undefined) return assert.equal(bench.store.facts.attributes.tags, false);
    await bench.write('tagged', patterned(10), { attributes: FULL });
    await bench.write('untagged', patterned(10));
    if (bench.store.multipart !== undefined) await inParts(bench, 'parts', patterned(bench.partSize + 1), FULL);
    for (const key of bench.store.multipart === undefined ? ['tagged', 'untagged'] : ['tagged', 'untagged', 'parts']) {
      const info = await bench.store.head(key);
      const tags = await bench.store.readTags(key);
      assert.equal(tags.size, key === 'untagged' ? 0 : 2);
      if (info.tagCount !== undefined) assert.equal(info.tagCount, tags.size, `${key}: nobody would ask for its tags`);
    }
  },

  'F067: metadata over the limit is refused, never cut': async (bench) => {
    const { facts } = bench.store;
    if (!facts.attributes.userMetadata || facts.maxUserMetadataBytes === Infinity) return;
    const userMetadata = new Map([['big', 'v'.repeat(facts.maxUserMetadataBytes + 1)]]);
    await refused(bench.write('big', patterned(1), { attributes: { ...NO_ATTRIBUTES, userMetadata } }), 'object');
    await refused(bench.store.head('big'), 'gone');
  },
};
