/** Sharded planning against the serial one: whatever the keys, the answers' timing, the cuts and the kills, the plan is the same (S1.7, S1.8). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import type { Item } from '../../src/core/item.ts';
import { compareKeys, type Key } from '../../src/core/key.ts';
import { inKeyOrder, inRange, type KeyRange, proveTiling, SetDigest, type Shard } from '../../src/core/shard.ts';
import { LARGE_BYTES, Packer } from '../../src/core/pack.ts';
import { tasksOf } from '../../src/core/pack.test-kit.ts';
import { plan, type PlanContext } from '../../src/engine/planner.ts';
import type { PlannedPage } from '../../src/ports/ledger.ts';
import type { ListRequest, Store, StoreFacts } from '../../src/ports/storage.ts';
import { createMemoryStore } from '../../src/stores/memory/index.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { PLAN } from './harness.ts';

const PAGE = 3;

interface World {
  readonly source: readonly Key[];
  readonly destination: readonly Key[];
  readonly seed: number;
  /** Destination where `a` and `a/b` exclude each other. */
  readonly exclusive: boolean;
}

/** What a ledger would keep: pages come whole or not at all. */
class Record {
  readonly items: Item[] = [];
  readonly shards = new Map<number, Shard>();
  sealed = false;
  saves = 0;

  save({ tasks, shards, listing }: PlannedPage, killAt: number): void {
    if (++this.saves === killAt) throw new Error('killed');
    for (const task of tasks) this.items.push(...task.items);
    for (const shard of shards) this.shards.set(shard.number, shard);
    this.sealed = listing.sealed;
  }

  get inOrder(): readonly Item[] {
    return [...this.items].sort((a, b) => compareKeys(a.key, b.key));
  }
}

function filled(keys: readonly Key[], name: string, facts: Partial<StoreFacts>): Store {
  const store = createMemoryStore({ name, pageSize: PAGE, facts });
  for (const key of keys) store.put(key, key);
  return store;
}

/** Answers after as many turns of the event loop as chance has it. */
function slow(store: Store, random: { next(): number }, asked: ListRequest[]): Store {
  const list: Store['list'] = async function* (request) {
    asked.push(request);
    for await (const page of store.list(request)) {
      for (let turns = Math.floor(random.next() * 6); turns > 0; turns--) await setImmediate();
      yield page;
    }
  };
  return { ...store, list };
}

async function planned({ source, destination, seed, exclusive }: World, lanes: number, kills: readonly number[] = [], ranges?: readonly KeyRange[]): Promise<{ readonly record: Record; readonly asked: readonly ListRequest[] }> {
  const random = seededRandom(seed);
  const asked: ListRequest[] = [];
  const stores = { source: slow(filled(source, 'a', {}), random, asked), destination: slow(filled(destination, 'b', { exclusivePrefixes: exclusive }), random, asked) };
  const record = new Record();
  let now = 0;
  const context = (killAt: number): PlanContext => ({
    ...stores, lanes, ...(ranges === undefined ? {} : { ranges }), options: { ...PLAN, batch: { objects: 2, bytes: 1e9, seconds: 60 } }, events: { emit: () => undefined }, sorter: () => { throw new Error('not sorted'); },
    clock: { ...systemClock(), monotonic: () => (now += 40) }, left: () => () => undefined, save: (page) => record.save(page, killAt),
  });
  for (const kill of kills) {
    if (record.sealed) break;
    await plan(context(record.saves + kill), [...record.shards.values()], new AbortController().signal).catch((error: Error) => assert.equal(error.message, 'killed'));
  }
  if (!record.sealed) await plan(context(0), [...record.shards.values()], new AbortController().signal);
  return { record, asked };
}

function assertProven({ items, shards, sealed }: Record): void {
  assert.equal(sealed, true);
  proveTiling([...shards.values()]);
  for (const shard of shards.values()) {
    const own = items.filter(({ key }) => inRange(shard, key));
    const digest = new SetDigest();
    for (const { key, size, source, state } of own) if (state !== 'extra') digest.add(key, size, source.token);
    assert.deepEqual([shard.items, shard.source.digest, shard.source.objects], [own.length, digest.hex, own.filter(({ state }) => state !== 'extra').length]);
  }
}

/** Few letters, so that keys nest and crowd; long common heads; and letters on both sides of everything that sorts oddly. */
const letters = fc.constantFrom('a', 'b', '/', '0', '9', 'é', '\u{1f600}', '\uffff', '\u0001', '-');
const key = fc.oneof(fc.string({ unit: letters, minLength: 1, maxLength: 6 }), fc.string({ unit: letters, minLength: 1, maxLength: 4 }).map((end) => `a/long/common/head/${end}`), fc.nat(400).map((n) => `n${String(n).padStart(6, '0')}`));
const keys = fc.uniqueArray(key, { maxLength: 120 });
const world: fc.Arbitrary<World> = fc.record({ source: keys, destination: keys, seed: fc.nat(), exclusive: fc.boolean() });

test('any cutting of the key space plans each key once, as the serial planner does', async () => {
  let cut = 0;
  await fc.assert(fc.asyncProperty(world, fc.integer({ min: 2, max: 9 }), async (some, lanes) => {
    const serial = (await planned(some, 1)).record;
    const { record } = await planned(some, lanes);
    assertProven(serial);
    assertProven(record);
    assert.deepEqual(record.inOrder, serial.inOrder);
    cut += record.shards.size - 1;
  }), { numRuns: 150 });
  assert.ok(cut > 50, `cut ${cut} times`);
});

test('killed again and again, and cut from the start where an earlier run was, it goes on with the shards that are not sealed, and plans each key once (S1.7)', async () => {
  await fc.assert(fc.asyncProperty(world, fc.integer({ min: 2, max: 9 }), fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }), fc.uniqueArray(key, { maxLength: 5 }).map((all) => all.sort(compareKeys)), async (some, lanes, kills, cuts) => {
    const serial = (await planned(some, 1)).record;
    const ranges = [undefined, ...cuts].map((after, at) => ({ after, upTo: cuts[at] }));
    const { record } = await planned(some, lanes, kills, ranges);
    assertProven(record);
    assert.deepEqual(record.inOrder, serial.inOrder);
  }), { numRuns: 150 });
});

test('F043: a key and a longer one below it are told apart also where a cut lies between them', async () => {
  const crowd = Array.from({ length: 90 }, (_, n) => `a${String.fromCodePoint(0x20 + (n % 15))}${String(n).padStart(3, '0')}`);
  const some: World = { source: ['a', ...crowd.flatMap((name) => [name, `${name}/x`])], destination: ['a/extra'], seed: 1, exclusive: true };
  for (let seed = 0; seed < 10; seed++) {
    const serial = (await planned({ ...some, seed }, 1)).record;
    const { record } = await planned({ ...some, seed }, 8);
    assert.ok(record.shards.size > 2);
    assert.deepEqual(record.inOrder, serial.inOrder);
    assert.equal(record.inOrder.filter(({ code }) => code === 'E_NAME_COLLISION').length, crowd.length + 1);
  }
});

test('a resumed listing asks for nothing that was sealed', async () => {
  const source = Array.from({ length: 300 }, (_, n) => `k${String(n).padStart(4, '0')}`);
  const { record, asked } = await planned({ source, destination: [], seed: 3, exclusive: false }, 6);
  const before = asked.length;
  const sealedFirst = inKeyOrder([...record.shards.values()]);
  const unread = source.at(-1) as Key;
  const last = sealedFirst.find((shard) => inRange(shard, unread)) as Shard;
  const again: ListRequest[] = [];
  const store = filled(source, 'a', {});
  const left = sealedFirst.map((shard) => (shard === last ? { ...shard, sealed: false, lastKey: source.at(-2) as Key, items: last.items - 1 } : shard));
  await plan({
    source: slow(store, seededRandom(1), again), destination: slow(filled([], 'b', {}), seededRandom(1), again), lanes: 6, options: PLAN, events: { emit: () => undefined }, sorter: () => { throw new Error('not sorted'); },
    clock: systemClock(), left: () => () => undefined, save: () => undefined,
  }, left, new AbortController().signal);
  assert.ok(before > 1);
  assert.deepEqual(again.map(({ startAfter }) => startAfter), [source.at(-2), source.at(-2)]);
});

/** Pages that are read when they are looked at, as those of S3; each comes when it may. */
function lazy(pages: readonly (readonly Key[])[], may: (page: number) => Promise<void>, read: Key[]): Store {
  const store = filled([], 'a', {});
  return { ...store, list: async function* () {
    for (const [number, keys] of pages.entries()) {
      await may(number);
      yield {
        reach: keys.at(-1) as Key, last: number === pages.length - 1,
        get entries() {
          read.push(...keys);
          return keys.map((key) => ({ key, size: 1, token: key, kind: 'object' as const }));
        },
      };
    }
  } };
}

interface Pace { readonly may?: (page: number) => Promise<void>; readonly room?: () => Promise<void>; readonly now?: () => number }

/** Plans two pages of two keys: what was read and what was saved so far, and the end. */
function paced({ may = () => Promise.resolve(), room, now = () => 0 }: Pace): { readonly read: Key[]; readonly saved: Key[]; readonly end: Promise<unknown> } {
  const [read, saved]: [Key[], Key[]] = [[], []];
  const end = plan({
    source: lazy([['a', 'b'], ['c', 'd']], may, read), destination: filled([], 'b', {}), lanes: 1, options: PLAN, events: { emit: () => undefined }, sorter: () => { throw new Error('not sorted'); },
    clock: { ...systemClock(), monotonic: now }, left: () => () => undefined, save: ({ tasks }) => { saved.push(...tasks.flatMap(({ items }) => items.map(({ key }) => key))); }, ...(room === undefined ? {} : { room }),
  }, [], new AbortController().signal);
  return { read, saved, end };
}

async function turns(count = 50): Promise<void> {
  for (let turn = 0; turn < count; turn++) await setImmediate();
}

test('F086: tasks end where objects of another class or beyond a limit begin', async () => {
  const batch = { objects: 5, bytes: 4 * LARGE_BYTES, seconds: 30 };
  await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom(0, 1, LARGE_BYTES, LARGE_BYTES + 1, 3 * LARGE_BYTES, 30 * LARGE_BYTES), { minLength: 1, maxLength: 40 }), async (sizes) => {
    const entries = sizes.map((size, i) => ({ key: String(i).padStart(4, '0'), size, token: 't', kind: 'object' as const }));
    const source: Store = { ...filled([], 'a', {}), list: async function* () { yield { entries, last: true }; } };
    const tasks: string[][] = [];
    await plan({
      source, destination: filled([], 'b', {}), lanes: 1, options: { ...PLAN, batch }, events: { emit: () => undefined }, sorter: () => { throw new Error('not sorted'); },
      clock: { ...systemClock(), monotonic: () => 0 }, left: () => () => undefined, save: (page) => { tasks.push(...page.tasks.map(({ items }) => items.map(({ key }) => key))); },
    }, [], new AbortController().signal);
    const expected = tasksOf(new Packer(batch), entries.map((entry) => ({ ...entry, state: 'pending', source: { token: 't' }, evidence: 'none', attempts: 0 })));
    assert.deepEqual(tasks, expected.map((items) => items.map(({ key }) => key)));
  }));
});

test('a slow listing is saved as far as it came, before it is waited for', async () => {
  let now = 0;
  const next = Promise.withResolvers<void>();
  const { saved, end } = paced({ now: () => now, may: (page) => {
    now += 600;
    return page === 0 ? Promise.resolve() : next.promise;
  } });
  await turns();
  assert.deepEqual(saved, ['a', 'b']);
  next.resolve();
  await end;
  assert.deepEqual(saved, ['a', 'b', 'c', 'd']);
});

test('a listing that fails is told at once, also while what was planned is held up', async () => {
  const held = Promise.withResolvers<void>();
  const { end } = paced({ room: () => held.promise, may: () => Promise.reject(new Error('refused')) });
  const told = end.then(() => undefined, (error: Error) => error.message);
  assert.equal(await Promise.race([told, turns().then(() => 'nothing')]), 'refused');
  held.resolve();
});

test('no page is read as long as what was planned is held up', async () => {
  const held = Promise.withResolvers<void>();
  const { read, end } = paced({ room: () => held.promise });
  await turns();
  assert.deepEqual(read, []);
  held.resolve();
  await end;
  assert.deepEqual(read, ['a', 'b', 'c', 'd']);
});
