import assert from 'node:assert/strict';
import { compareKeys, type Key } from '../../core/key.ts';
import type { ListRequest } from '../../ports/storage.ts';
import { patterned } from './content.ts';
import { inKeyOrder, refused, type Bench, type Checks } from './subject.ts';

const TREE: readonly Key[] = ['a', 'a-b', 'a.b', 'b/1', 'b/2', 'b/c/1', 'b/c/2', 'b-1', 'b0', 'c/d/e/f', 'c/d/e-f', 'z', 'é', 'zz/\uffff', 'zz/😀', 'zz/\ue000'];
const EMPTY = Buffer.alloc(0);

async function plant(bench: Bench, keys: readonly Key[]): Promise<void> {
  await bench.writeAll(keys, (key) => patterned(key.length));
}

/** The tree, without the keys that the store refuses, of which each must be a name that it cannot hold. */
async function plantTree(bench: Bench): Promise<readonly Key[]> {
  const tree = bench.held(TREE);
  for (const key of TREE) if (!tree.includes(key)) assert.match((await refused(bench.write(key, patterned(1)), 'object')).code, /^E_(NAME|KEY)_/);
  assert.ok(tree.length >= TREE.length - 1, 'the store refuses plain names');
  await plant(bench, tree);
  return tree;
}

/** Ordered stores show it in key order; the others at least show each key once. */
function expectKeys(bench: Bench, found: readonly Key[], wanted: readonly Key[]): void {
  assert.deepEqual(bench.store.facts.ordered ? found : inKeyOrder(found), inKeyOrder(wanted));
}

async function keysAfter(bench: Bench, request: ListRequest): Promise<readonly Key[]> {
  return bench.keys(request);
}

export const listingChecks: Checks = {
  'an empty store lists nothing, and does not fail': async (bench) => {
    assert.deepEqual(await bench.entries(), []);
  },

  'F048: keys come in byte order: U+E000 and U+FFFF before an emoji, `a-b` before `a.b` before `a/`': async (bench) => {
    const tree = await plantTree(bench);
    const found = await bench.keys();
    expectKeys(bench, found, tree);
    if (bench.store.facts.ordered) assert.ok(found.indexOf('zz/\uffff') < found.indexOf('zz/😀') && found.indexOf('zz/\ue000') < found.indexOf('zz/😀'));
  },

  'F049: a directory sorts as its name with the slash, between its neighbours': async (bench) => {
    const keys = ['d', 'd!', 'd.x', 'd-e', 'd0', 'dir/x', 'dir-x', 'dir.x', 'dir0', 'dir/sub/x', 'dir/sub-x'];
    await plant(bench, keys);
    expectKeys(bench, await bench.keys(), keys);
    if (!bench.store.facts.ordered) return;
    const all = (await bench.entries()).map((entry) => entry.key);
    assert.deepEqual(all, inKeyOrder(all));
  },

  'each entry tells size, kind and a token': async (bench) => {
    await bench.write('nine', patterned(9));
    await bench.write('none', EMPTY);
    const [nine, none] = [await bench.entry('nine'), await bench.entry('none')];
    assert.equal(nine?.size, 9);
    assert.equal(none?.size, 0);
    assert.equal(nine?.kind, 'object');
    assert.ok((nine?.token ?? '').length > 0);
  },

  'a prefix gives its keys and no neighbours, also when it ends inside a name': async (bench) => {
    const tree = await plantTree(bench);
    for (const prefix of ['b', 'b/', 'b/c', 'b/c/', 'c/d/e', 'zz/', 'a', 'nothing', 'b/c/1']) {
      expectKeys(bench, await bench.keys({ prefix }), tree.filter((key) => key.startsWith(prefix)));
    }
  },

  'startAfter is exact for keys that exist, that do not, and that are prefixes of others': async (bench) => {
    const tree = await plantTree(bench);
    for (const startAfter of [...TREE, 'b', 'b/', 'b/c', 'b/c/', 'b/c/10', 'b/d', 'A', 'zzz', 'zz/😀😀', 'c/d/e/', 'c/d/e/f/g', 'é/']) {
      const wanted = tree.filter((key) => compareKeys(key, startAfter) > 0);
      expectKeys(bench, await keysAfter(bench, { startAfter }), wanted);
    }
  },

  'startAfter within, before and behind a prefix': async (bench) => {
    const tree = await plantTree(bench);
    for (const startAfter of ['a', 'b/1', 'b/2', 'b/c/1', 'b/c/2', 'b/z', 'c']) {
      const wanted = tree.filter((key) => key.startsWith('b/') && compareKeys(key, startAfter) > 0);
      expectKeys(bench, await keysAfter(bench, { prefix: 'b/', startAfter }), wanted);
    }
  },

  'more than one page: each key once, and a listing goes on from any page': async (bench) => {
    const count = bench.options.manyObjects ?? 1050;
    const keys = Array.from({ length: count }, (_, i) => `many/${String(i * 7919 % count).padStart(6, '0')}`);
    await bench.writeAll(keys, () => EMPTY);
    const pages: Key[][] = [];
    for await (const page of bench.store.list({ prefix: 'many/' })) pages.push(page.entries.filter((e) => e.kind === 'object').map((e) => e.key));
    assert.ok(pages.length > 1, `${count} objects came in one page; raise manyObjects`);
    expectKeys(bench, pages.flat(), keys);
    const last = pages[0]?.at(-1);
    if (bench.store.facts.ordered && last !== undefined) assert.deepEqual(await bench.keys({ prefix: 'many/', startAfter: last }), pages.slice(1).flat());
  },

  'leaving a listing early leaves nothing behind': async (bench) => {
    const tree = await plantTree(bench);
    for await (const page of bench.store.list({})) {
      assert.ok(page.entries.length > 0);
      break;
    }
    expectKeys(bench, await bench.keys(), tree);
  },

  'a listing that is told to stop rejects as cancelled, it does not look complete': async (bench) => {
    await plant(bench, ['a', 'b']);
    await refused(bench.keys({ signal: AbortSignal.abort() }), 'cancelled');
  },
};
