import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ObjectInfo } from '../../src/core/object.ts';
import { createMemoryStore } from '../../src/stores/memory/index.ts';
import { carryAttributes } from '../../src/engine/fidelity.ts';
import type { CopyOptions } from '../../src/engine/options.ts';

const opaque = createMemoryStore().facts;
const posix = { ...opaque, names: 'posix' as const, attributes: { contentHeaders: false, userMetadata: false, tags: false, storageClass: false, mtime: true, mode: true }, maxTags: 0 };
const rules: Pick<CopyOptions, 'fidelity' | 'tags' | 'metadata' | 'storageClass'> = {
  fidelity: { contentHeaders: 'report', userMetadata: 'report', tags: 'report', storageClass: 'report', mtime: 'report', mode: 'report' }, tags: { copy: true, set: {} }, metadata: {},
};
const info = (change: Partial<ObjectInfo>): ObjectInfo => ({ key: 'k', size: 1, token: 't', headers: {}, userMetadata: new Map(), ...change });

describe('what travels with the bytes', () => {
  test('file → store → file: mtime and mode travel where the store can hold them; LastModified stands in where nobody said', () => {
    const file = info({ mtimeNs: '1700000000123456789', mode: 0o640 });
    const holding = { ...opaque, attributes: { ...opaque.attributes, mtime: true, mode: true } };
    const out = carryAttributes(file, new Map(), posix, holding, rules);
    assert.deepEqual([out.attributes.mtimeNs, out.attributes.mode, out.lost], ['1700000000123456789', 0o640, []]);
    assert.deepEqual(carryAttributes(file, new Map(), posix, opaque, rules).lost, ['mtime', 'mode']);
    assert.equal(carryAttributes(info({ modifiedMs: 5 }), new Map(), opaque, posix, rules).attributes.mtimeNs, '5000000');
    assert.equal(carryAttributes(info({ modifiedMs: 5 }), new Map(), holding, holding, rules).attributes.mtimeNs, undefined);
  });

  test('F058: setuid, setgid and sticky are never restored', () => {
    assert.equal(carryAttributes(info({ mode: 0o6755 }), new Map(), opaque, posix, rules).attributes.mode, 0o755);
  });

  test('I12: what the destination cannot hold is named, or fails the object when strict', () => {
    const rich = info({ headers: { contentType: 'text/plain' }, userMetadata: new Map([['a', 'b']]), storageClass: 'GLACIER_IR' });
    const tags = new Map([['t', '1']]);
    assert.deepEqual(carryAttributes(rich, tags, opaque, posix, rules).lost, ['content_headers', 'user_metadata', 'tags', 'storage_class']);
    assert.deepEqual(carryAttributes(rich, tags, opaque, posix, { ...rules, fidelity: { ...rules.fidelity, tags: 'ignore' } }).lost, ['content_headers', 'user_metadata', 'storage_class']);
    assert.throws(() => carryAttributes(rich, tags, opaque, posix, { ...rules, fidelity: { ...rules.fidelity, tags: 'strict' } }), { code: 'E_FIDELITY', kind: 'object' });
  });

  test('I12: a store that drops some headers, or more of them in parts, or folds names of metadata, says so of each object that has them', () => {
    const odd = { ...opaque, lostHeaders: { always: ['contentLanguage' as const], inParts: ['cacheControl' as const] }, foldsUnderscores: true };
    const lost = (change: Partial<ObjectInfo>, inParts = false): readonly string[] => carryAttributes(info(change), new Map(), opaque, odd, rules, inParts).lost;
    assert.deepEqual(lost({ headers: { contentLanguage: 'de' } }), ['content_headers']);
    assert.deepEqual(lost({ headers: { cacheControl: 'no-store' } }), []);
    assert.deepEqual(lost({ headers: { cacheControl: 'no-store' } }, true), ['content_headers']);
    assert.deepEqual(lost({ userMetadata: new Map([['a-b', '1']]) }), []);
    const folded = carryAttributes(info({ userMetadata: new Map([['a_b', '1'], ['c_d', '2'], ['a-b', '3']]) }), new Map(), opaque, odd, rules);
    assert.deepEqual(folded.lost, ['user_metadata']);
    assert.deepEqual([...folded.attributes.userMetadata], [['a-b', '3'], ['c-d', '2']]);
    assert.throws(() => carryAttributes(info({ userMetadata: new Map([['a_b', '1']]) }), new Map(), opaque, odd, { ...rules, fidelity: { ...rules.fidelity, userMetadata: 'strict' } }), { code: 'E_FIDELITY' });
  });

  test('I12: a class of another provider is not sent to a store that would refuse the object for it; one that the migration names is', () => {
    const ceph = { ...opaque, provider: 'ceph', ownClasses: true };
    const cold = info({ storageClass: 'STANDARD_IA' });
    const foreign = carryAttributes(cold, new Map(), { ...opaque, provider: 'aws' }, ceph, rules);
    assert.deepEqual([foreign.attributes.storageClass, foreign.lost], [undefined, ['storage_class']]);
    const named = carryAttributes(cold, new Map(), { ...opaque, provider: 'aws' }, ceph, { ...rules, storageClass: 'COLD' });
    assert.deepEqual([named.attributes.storageClass, named.lost], ['COLD', []]);
    assert.equal(carryAttributes(cold, new Map(), ceph, ceph, rules).attributes.storageClass, 'STANDARD_IA');
    assert.deepEqual(carryAttributes(cold, new Map(), opaque, ceph, { ...rules, fidelity: { ...rules.fidelity, storageClass: 'ignore' } }).lost, []);
  });

  test('S0.8, S0.41: tags are set during the transfer, beside the copied ones', () => {
    const { attributes } = carryAttributes(info({}), new Map([['own', '1']]), opaque, opaque, { ...rules, tags: { copy: true, set: { MigratedBy: 'x', own: '2' } } });
    assert.deepEqual([...(attributes.tags ?? [])], [['own', '2'], ['MigratedBy', 'x']]);
  });

  test('tags of the source that are ignored take nothing from those that the migration sets', () => {
    const ignoring = { ...rules, fidelity: { ...rules.fidelity, tags: 'ignore' as const }, tags: { copy: true, set: { MigratedBy: 'x' } } };
    const { attributes, lost } = carryAttributes(info({}), new Map([['own', '1']]), opaque, opaque, ignoring);
    assert.deepEqual([[...(attributes.tags ?? [])], lost], [[['MigratedBy', 'x']], []]);
    assert.deepEqual([...(carryAttributes(info({}), new Map(), opaque, posix, ignoring).attributes.tags ?? [])], []);
    const many = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`t${i}`, '']));
    assert.throws(() => carryAttributes(info({}), new Map(), opaque, opaque, { ...ignoring, tags: { copy: true, set: many } }), { code: 'E_TAGS_TOO_MANY' });
  });

  test('F067, F069: too many tags and too much metadata are refused by name', () => {
    const tags = new Map(Array.from({ length: 11 }, (_, i) => [`t${i}`, '']));
    assert.throws(() => carryAttributes(info({}), tags, opaque, opaque, rules), { code: 'E_TAGS_TOO_MANY', message: /11 tags.*10/ });
    assert.throws(() => carryAttributes(info({ userMetadata: new Map([['a', 'x'.repeat(2048)]]) }), new Map(), opaque, opaque, rules), { code: 'E_META_TOO_LARGE', message: /2049.*2048/ });
  });
});
