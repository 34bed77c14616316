/** How well ranges share out a listing, in simulated time: every page takes as long, and nothing else takes any. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { compareKeys, type Key } from '../core/key.ts';
import type { Clock } from '../ports/clock.ts';
import type { ListRequest, Store } from '../ports/storage.ts';
import { listAll } from './list-all.ts';

const PAGE = 10;
const LATENCY_MS = 50;

/** Time that goes on when nothing else is left to do. */
class SimulatedTime {
  now = 0;
  readonly #sleepers: { readonly at: number; readonly wake: () => void }[] = [];
  readonly clock = { monotonic: () => this.now, now: () => this.now, sleep: (ms: number) => this.sleep(ms) } as Clock;

  sleep(ms: number): Promise<void> {
    return new Promise((wake) => { this.#sleepers.push({ at: this.now + ms, wake }); });
  }

  async runUntil(end: Promise<unknown>): Promise<void> {
    let ended = false;
    void end.finally(() => { ended = true; }).catch(() => undefined);
    for (;;) {
      await setImmediate();
      if (ended) return;
      this.now = Math.min(...this.#sleepers.map(({ at }) => at));
      for (const { wake } of this.#sleepers.splice(0).filter((sleeper) => sleeper.at <= this.now || !this.#sleepers.push(sleeper))) wake();
    }
  }
}

function storeOf(keys: readonly Key[], time: SimulatedTime, asked: { lists: number }): Store {
  async function* list({ startAfter, prefix = '' }: ListRequest): AsyncGenerator<{ entries: { key: Key; kind: 'object'; size: number; token: string }[]; last: boolean }> {
    let [low, high] = [0, keys.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const key = keys[middle] as Key;
      if ((startAfter === undefined || compareKeys(key, startAfter) > 0) && compareKeys(key, prefix) >= 0) high = middle;
      else low = middle + 1;
    }
    for (let at = low; ; at += PAGE) {
      asked.lists++;
      await time.sleep(LATENCY_MS);
      const page = keys.slice(at, at + PAGE).filter((key) => key.startsWith(prefix));
      const last = page.length < PAGE || at + PAGE >= keys.length;
      yield { entries: page.map((key) => ({ key, kind: 'object', size: 1, token: 't' })), last };
      if (last) return;
    }
  }
  return { facts: { ordered: true, names: 'opaque' }, list } as unknown as Store;
}

async function measure(keys: readonly Key[], lanes: number, prefix = ''): Promise<{ readonly pages: number; readonly lists: number; readonly seen: number }> {
  const time = new SimulatedTime();
  const asked = { lists: 0 };
  const seen: Key[] = [];
  const listing = listAll(storeOf(keys, time, asked), { lanes, clock: time.clock, prefix }, (entries) => { for (const { key } of entries) seen.push(key); }, new AbortController().signal);
  await time.runUntil(listing);
  await listing;
  assert.deepEqual(seen.sort(compareKeys), keys.filter((key) => key.startsWith(prefix)));
  return { pages: time.now / LATENCY_MS, lists: asked.lists, seen: seen.length };
}

const COUNT = 100_000;
const letters = ['\u0001', ' ', '#', '%', '+', '=', 'A', 'a', '~', 'ß', 'é', '\u2028', '日', '\ue000', '\uffff', '😀'];
/** A number that scatters, and is the same every time. */
const scatter = (n: number): number => Math.imul(n ^ (n >>> 15), 0x85ebca6b) >>> 0;
const shapes: Readonly<Record<string, (n: number) => Key>> = {
  flat: (n) => `exports/object-${String(n).padStart(9, '0')}`,
  deep: (n) => String(n).padStart(10, '0').replace(/(\d\d)(?=\d)/g, '$1/'),
  skewed: (n) => `dir-${String(Math.floor(Math.log2(COUNT / (COUNT - n)))).padStart(2, '0')}/${String(n).padStart(9, '0')}`,
  unicode: (n) => Array.from({ length: 8 }, (_, i) => letters[(scatter(n) >>> (28 - 4 * i)) & 15]).join(''),
  hex: (n) => `${scatter(n).toString(16).padStart(8, '0')}/${n}`,
};

for (const [shape, keyAt] of Object.entries(shapes)) {
  test(`P4: 10,000 pages of ${shape} keys with 32 lanes: about thirty times as quick, few listings wasted`, async (t) => {
    const keys = Array.from({ length: COUNT }, (_, n) => keyAt(n)).sort(compareKeys);
    const { pages, lists } = await measure(keys, 32);
    const ratio = COUNT / PAGE / pages;
    const wasted = lists / (COUNT / PAGE) - 1;
    t.diagnostic(`${ratio.toFixed(1)} times as quick as one after the other, ${(wasted * 100).toFixed(1)} % of listings wasted`);
    assert.ok(ratio >= 27, `${ratio}`);
    assert.ok(wasted <= (shape === 'hex' ? 0.06 : 0.05), `${wasted}`);
  });
}

test('a small bucket costs no more listings than it has pages, or hardly more', async () => {
  for (const count of [0, 1, PAGE, 3 * PAGE, 10 * PAGE]) {
    const { lists } = await measure(Array.from({ length: count }, (_, n) => shapes['flat']?.(n) as Key), 32);
    assert.ok(lists <= Math.max(1, count / PAGE) + 3, `${count} keys: ${lists}`);
  }
});

test('below a prefix nothing else is looked at', async () => {
  const keys = Array.from({ length: 5000 }, (_, n) => `${['a', 'b', 'c'][n % 3]}/${String(n).padStart(6, '0')}`).sort(compareKeys);
  const { lists, seen } = await measure(keys, 16, 'b/');
  assert.ok(lists <= (seen / PAGE) * 1.25, `${lists} listings of ${seen / PAGE} pages`);
});
