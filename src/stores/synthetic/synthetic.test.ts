import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { compareKeys, keyLength } from '../../core/key.ts';
import { describeStore } from '../conformance/index.ts';
import { createSyntheticStore, type Shape } from './index.ts';
import { firstIndex, indexOf, keyAt, type KeyPlan } from './keys.ts';

const SHAPES: readonly Shape[] = ['flat', 'deep', 'skewed', 'unicode'];

for (const shape of SHAPES) {
  describeStore({
    name: `synthetic, ${shape}`,
    create: async () => ({ store: createSyntheticStore({ count: 5000, seed: 7, shape, size: { min: 0, max: 2_000_000 } }), cleanup: async () => {} }),
    options: { readOnly: true },
  });
}

test('F048: a billion keys rise strictly in byte order, in every shape, and each is found again', () => {
  for (const shape of SHAPES) {
    for (const count of [1, 10, 999, 1000, 1001, 1e6, 1e9]) {
      const plan: KeyPlan = { count, seed: 3, shape, keyLength: 60 };
      for (let at = 0; at < count - 1; at += Math.max(1, Math.floor(count / 500))) {
        const key = keyAt(plan, at);
        assert.ok(compareKeys(key, keyAt(plan, at + 1)) < 0, `${shape} ${count}: ${at}`);
        assert.equal(indexOf(plan, key), at);
        assert.ok(keyLength(key) <= 70);
      }
      assert.equal(firstIndex(plan, (key) => compareKeys(key, '\u{10ffff}') > 0), count);
    }
  }
});

test('a billion objects cost no memory and no time to start anywhere', async () => {
  const store = createSyntheticStore({ count: 1e9, seed: 1, shape: 'deep' });
  const before = process.memoryUsage().rss;
  let seen = 0;
  for await (const page of store.list({ startAfter: '09/99/99/99/00' })) {
    seen += page.entries.length;
    if (seen >= 200_000) break;
  }
  assert.ok(process.memoryUsage().rss - before < 100 * 1024 * 1024);
});

test('the same seed makes the same store, another seed another one', async () => {
  const digest = async (seed: number): Promise<string> => {
    const store = createSyntheticStore({ count: 20, seed, size: { min: 1, max: 3_000_000 } });
    const hash = createHash('sha256');
    for await (const page of store.list({})) {
      for (const entry of page.entries) {
        hash.update(JSON.stringify(entry));
        for await (const chunk of (await store.read({ key: entry.key, expectedSize: entry.size })).chunks) hash.update(chunk);
      }
    }
    return hash.digest('hex');
  };
  assert.equal(await digest(5), await digest(5));
  assert.notEqual(await digest(5), await digest(6));
});

test('no two parts of a large object look alike', async () => {
  const store = createSyntheticStore({ count: 1, seed: 1, size: 64 * 1024 * 1024 });
  const key = keyAt({ count: 1, seed: 1, shape: 'flat', keyLength: 60 }, 0);
  const seen = new Set<string>();
  for (let part = 0; part < 8; part++) {
    const hash = createHash('sha256');
    const read = await store.read({ key, expectedSize: 64 * 1024 * 1024, range: { offset: part * 8 * 1024 * 1024, length: 8 * 1024 * 1024 } });
    for await (const chunk of read.chunks) hash.update(chunk);
    seen.add(hash.digest('hex'));
  }
  assert.equal(seen.size, 8);
});

test('mixed sizes: some empty, most small, a few large', async () => {
  const store = createSyntheticStore({ count: 10_000, seed: 2 });
  const sizes: number[] = [];
  for await (const page of store.list({})) sizes.push(...page.entries.map((entry) => entry.size));
  assert.ok(sizes.filter((size) => size === 0).length > 100);
  assert.ok(sizes.filter((size) => size < 64 * 1024).length > 6000);
  assert.ok(sizes.some((size) => size > 500 * 1024 * 1024));
});
