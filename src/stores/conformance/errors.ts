import assert from 'node:assert/strict';
import { NO_ATTRIBUTES } from '../../core/object.ts';
import { patterned, bodyOf } from './content.ts';
import { refused, type Checks } from './subject.ts';

export const errorChecks: Checks = {
  'F028: a key that is not there is kind gone, for head and for read': async (bench) => {
    await refused(bench.store.head('missing'), 'gone');
    await refused(bench.content('missing', 10), 'gone');
    await refused(bench.store.head('deep/er/missing'), 'gone');
  },

  'a prefix of a key, and a key below an object, are not objects': async (bench) => {
    await bench.write('dir/file', patterned(3));
    await refused(bench.store.head('dir'), 'gone');
    await refused(bench.content('dir', 0), 'gone');
    await refused(bench.store.head('dir/file/below'), 'gone');
    await refused(bench.store.head('dir/fil'), 'gone');
  },

  'an upload that nobody knows is kind gone': async (bench) => {
    const { multipart } = bench.store;
    if (multipart === undefined) return;
    const { id, ...upload } = await multipart.create({ key: 'u', size: bench.partSize + 1, partSize: bench.partSize, attributes: NO_ATTRIBUTES });
    await multipart.abort({ ...upload, id });
    await refused(multipart.listParts({ ...upload, id }), 'gone');
    // The short last part: a server that refuses before it has read a larger body closes the connection, and its answer may be lost.
    if (!bench.has('accepts parts of nothing')) await refused(multipart.putPart({ ...upload, id }, 2, bodyOf(patterned(1))), 'gone');
    await refused(multipart.complete({ upload: { ...upload, id }, parts: [], attributes: NO_ATTRIBUTES, guard: { kind: 'none' } }), 'gone', 'object');
  },

  'errors are one line, name what was tried and where, and never show a query string': async (bench) => {
    const [key = ''] = bench.held(['what?x=secret\nnext', 'what?x=secret']);
    const error = await refused(bench.store.head(key), 'gone');
    assert.ok(!/[\r\n]/.test(error.message), 'message has a line break');
    assert.ok((error.op ?? '').length > 0, 'op is missing');
    assert.ok((error.location ?? '').length > 0, 'location is missing');
    assert.match(error.code, /^E_[A-Z0-9_]+$/);
  },

  'identity is stable, and the address carries no query': async (bench) => {
    const first = await bench.store.identity();
    assert.equal(await bench.store.identity(), first);
    assert.equal(await (await bench.again()).identity(), first);
    assert.ok(!bench.store.address.includes('?'));
  },

  'the declared facts are possible together': async (bench) => {
    const { facts, multipart, readTags } = bench.store;
    assert.ok(facts.minPartSize >= 1 && facts.minPartSize <= facts.maxPartSize);
    assert.ok(facts.maxSingleWrite <= facts.maxObjectSize || facts.maxSingleWrite === Infinity);
    if (multipart !== undefined) assert.ok(facts.maxParts >= 1 && facts.maxPartSize * facts.maxParts >= facts.maxSingleWrite);
    assert.equal(facts.attributes.tags, readTags !== undefined);
    assert.equal(facts.provider, facts.provider.toLowerCase());
  },
};
