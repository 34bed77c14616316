import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareKeys, type Key } from './key.ts';
import { newShard, proveTiling, SetDigest, type Shard } from './shard.ts';

/** Shards cut at these keys, each sealed, with no items. */
const tiles = (cuts: readonly Key[]): Shard[] => [undefined, ...cuts].map((after, number) => ({ ...newShard(number, { after, upTo: cuts[number] }), sealed: true }));

test('S1.8: shards that tile the key space are proven in any order; take one away, move an end, or leave one open, and they are not', () => {
  const cuts = fc.uniqueArray(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 8 }).map((keys) => keys.sort(compareKeys));
  fc.assert(fc.property(cuts, fc.nat(), (keys, chance) => {
    const whole = tiles(keys);
    const victim = chance % whole.length;
    proveTiling([...whole].sort((a, b) => ((a.number * 7 + chance) % 5) - ((b.number * 7 + chance) % 5)));
    const without = whole.filter((_, at) => at !== victim);
    const changed = (change: Partial<Shard>): Shard[] => whole.map((shard, at) => (at === victim ? { ...shard, ...change } : shard));
    for (const broken of [without, [...whole, whole[victim] as Shard], changed({ sealed: false }), changed({ upTo: `${keys.at(-1) as Key}x` }), changed({ items: 1 }), []]) {
      assert.throws(() => proveTiling(broken), { code: 'E_LIST_GAP' });
    }
  }));
});

test('items outside their shard are a gap', () => {
  const [lower, upper] = tiles(['m']) as [Shard, Shard];
  proveTiling([{ ...lower, firstKey: 'a', lastKey: 'm', items: 2 }, upper]);
  assert.throws(() => proveTiling([{ ...lower, firstKey: 'a', lastKey: 'n', items: 2 }, upper]), { code: 'E_LIST_GAP' });
  assert.throws(() => proveTiling([lower, { ...upper, firstKey: 'm', lastKey: 'z', items: 2 }]), { code: 'E_LIST_GAP' });
});

test('a digest is that of the set, however it came; another key, size or token is another digest', () => {
  const members: readonly (readonly [Key, number, string])[] = [['a', 1, 'x'], ['b', 2 ** 40, 'y'], ['é', 0, '']];
  const digestOf = (all: typeof members, from?: string): string => {
    const digest = new SetDigest(from);
    for (const member of all) digest.add(...member);
    return digest.hex;
  };
  assert.equal(digestOf(members), digestOf([...members].reverse()));
  assert.equal(digestOf(members.slice(1), digestOf(members.slice(0, 1))), digestOf(members), 'goes on from a checkpoint');
  for (const other of [['a', 1, 'X'], ['a', 2, 'x'], ['A', 1, 'x'], ['a', 1 + 2 ** 32, 'x']] as const) assert.notEqual(digestOf([other]), digestOf([['a', 1, 'x']]));
});
