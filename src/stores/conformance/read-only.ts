import assert from 'node:assert/strict';
import { compareKeys, type Key } from '../../core/key.ts';
import type { ObjectEntry } from '../../core/object.ts';
import { patterned } from './content.ts';
import { refused, type Bench, type Checks } from './subject.ts';

const SAMPLE = 3000;

/** The first entries of the store, at most SAMPLE. */
async function sample(bench: Bench, startAfter?: Key): Promise<readonly ObjectEntry[]> {
  const found: ObjectEntry[] = [];
  for await (const page of bench.store.list(startAfter === undefined ? {} : { startAfter })) {
    found.push(...page.entries);
    if (found.length >= SAMPLE) break;
  }
  assert.ok(found.length >= 10, 'the store must hold at least 10 objects');
  return found.slice(0, SAMPLE);
}

export const readOnlyChecks: Checks = {
  'F048: keys come in byte order, each once': async (bench) => {
    const keys = (await sample(bench)).map((entry) => entry.key);
    for (let i = 1; i < keys.length; i++) assert.ok(compareKeys(keys[i - 1] as Key, keys[i] as Key) < 0, `${keys[i - 1]} before ${keys[i]}`);
  },

  'startAfter goes on exactly behind a key': async (bench) => {
    const all = await sample(bench);
    for (const at of [0, 1, Math.floor(all.length / 2), all.length - 12]) {
      const rest = await sample(bench, all[at]?.key as Key);
      assert.deepEqual(rest.slice(0, 5).map((e) => e.key), all.slice(at + 1, at + 6).map((e) => e.key));
    }
  },

  'startAfter a key that is not there': async (bench) => {
    const all = await sample(bench);
    const [first, second] = [all[3]?.key as Key, all[4]?.key as Key];
    assert.equal((await sample(bench, `${first}\u0001`))[0]?.key, second);
  },

  'a prefix gives its keys only': async (bench) => {
    const all = await sample(bench);
    const prefix = (all[5]?.key as Key).slice(0, -1);
    const found = await bench.keys({ prefix, startAfter: all[4]?.key as Key });
    assert.equal(found[0], all[5]?.key);
    assert.ok(found.every((key) => key.startsWith(prefix)));
  },

  'head and read agree with the listing; the bytes are the same each time; ranges are exact': async (bench) => {
    for (const entry of (await sample(bench)).slice(0, 20)) {
      if (entry.size > 8 * 1024 * 1024) continue;
      const head = await bench.store.head(entry.key);
      assert.deepEqual([head.size, head.token], [entry.size, entry.token]);
      const whole = await bench.content(entry.key, entry.size, { pin: { token: entry.token } });
      assert.equal(whole.length, entry.size);
      assert.ok(Buffer.compare(whole, await bench.content(entry.key, entry.size)) === 0);
      if (entry.size < 3) continue;
      const range = { offset: 1, length: entry.size - 2 };
      assert.ok(Buffer.compare(await bench.content(entry.key, entry.size, { range }), whole.subarray(1, -1)) === 0);
    }
  },

  'F026: another version than the pinned one is kind changed': async (bench) => {
    const [entry] = await sample(bench);
    assert.ok(entry !== undefined);
    await refused(bench.content(entry.key, entry.size, { pin: { token: `${entry.token}x` } }), 'changed');
  },

  'a key that is not there is kind gone': async (bench) => {
    await refused(bench.store.head('no such key'), 'gone');
    await refused(bench.content('no such key', 1), 'gone');
  },

  'writing and removing are kind unsupported': async (bench) => {
    await refused(bench.write('w', patterned(1)), 'unsupported');
    await refused(bench.store.remove('w'), 'unsupported');
  },
};
