/** Who is copied when: the worker over the local queue and a real ledger, with copying that ends when the test says so. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Item, Outcome } from '../../src/core/item.ts';
import { Packer } from '../../src/core/pack.ts';
import { tasksOf } from '../../src/core/pack.test-kit.ts';
import { GiB } from '../../src/core/units.ts';
import { Budget } from '../../src/engine/budget.ts';
import { runWorker } from '../../src/engine/worker.ts';
import { openLedger } from '../../src/ledger/sqlite/index.ts';
import { LocalQueue } from '../../src/queues/local/local-queue.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';

interface Scene {
  /** Keys in the order in which their copying began. */
  readonly started: string[];
  readonly flying: Set<string>;
  /** Which worker has a key. */
  readonly by: Map<string, number>;
  /** Lets the copies of these keys end, those that have begun and those that will. */
  release(match: (key: string) => boolean): void;
  until(what: string, done: () => boolean): Promise<void>;
  done(): number;
  stop(): Promise<void>;
}

async function scene(t: TestContext, sizes: readonly number[], workers = 1): Promise<Scene> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-fair-'));
  const clock = systemClock();
  const ledger = await openLedger({ path: join(dir, 'ledger.db'), mode: 'create', clock, groupMs: 1, holder: { pid: process.pid, host: 'test' }, binding: { migration: 'f', specHash: 'x', source: 's', destination: 'd' } });
  const { number } = ledger.beginRun('initial');
  const packer = new Packer({ objects: 20, bytes: GiB, seconds: 60 });
  const items = sizes.map((size, i): Item => ({ key: `${String(i).padStart(5, '0')}-${size >= GiB ? 'giant' : 'small'}`, kind: 'object', size, state: 'pending', source: { token: 't' }, evidence: 'none', attempts: 0 }));
  ledger.addPlan(number, { tasks: tasksOf(packer, items).map((task) => ({ items: task, problems: new Map() })), shards: [], listing: { sealed: true, sourceObjects: items.length, sourceBytes: 0, destinationObjects: 0 } });
  const queue = new LocalQueue(ledger, number);
  const end = new AbortController();
  const started: string[] = [];
  const flying = new Set<string>();
  const by = new Map<string, number>();
  let free: (key: string) => boolean = () => false;
  let wake: (() => void)[] = [];
  const copy = async (worker: number, item: Item, signal: AbortSignal): Promise<Outcome> => {
    by.set(item.key, worker);
    started.push(item.key);
    flying.add(item.key);
    while (!free(item.key) && !signal.aborted) await new Promise<void>((resolve) => { wake.push(resolve); signal.addEventListener('abort', () => resolve(), { once: true }); });
    signal.throwIfAborted();
    flying.delete(item.key);
    return { key: item.key, state: 'copied', destination: 'd', evidence: 'in flight', attempts: 1, bytesSent: item.size, ms: 1 };
  };
  const working = Promise.all(Array.from({ length: workers }, (_, i) => runWorker({
    queue: queue.queue(`w${i}`), recorder: queue.recorder(), copy: (_task, item, signal) => copy(i, item, signal), probe: () => Promise.resolve(), events: { emit: () => undefined },
    clock, random: seededRandom(1), concurrency: 8, large: 2, tasks: 2, heartbeatMs: 10_000,
  }, end.signal)));
  const stop = async (): Promise<void> => { end.abort(); await working; };
  t.after(async () => { await stop(); await ledger.close(); rmSync(dir, { recursive: true, force: true }); });
  return {
    started, flying, by, stop,
    release(match) {
      const before = free;
      free = (key) => before(key) || match(key);
      for (const go of wake.splice(0)) go();
      wake = [];
    },
    async until(what, done) {
      for (let turn = 0; turn < 6000 && !done(); turn++) await clock.sleep(10);
      assert.ok(done(), `waited for: ${what}; in flight: ${[...flying].join(' ')}`);
    },
    done: () => ledger.tally(number).copied.objects,
  };
}

const giants = (key: string): boolean => key.endsWith('giant');
const smalls = (key: string): boolean => key.endsWith('small');
/** Giants first, in the middle and last in the order of keys. */
const MIXED = [...Array.from({ length: 6 }, (_, i) => (i + 2) * GiB), ...Array.from({ length: 300 }, (_, i) => (i === 150 ? 20 * GiB : 4096)), 3 * GiB];

test('F086: small objects never wait behind giants', async (t) => {
  const { release, until, done, flying } = await scene(t, MIXED);
  release(smalls);
  await until('all small ones', () => done() === 299);
  assert.deepEqual([...flying].map(giants), [true, true], 'and only giants are left');
});

test('F086: nor giants behind small objects', async (t) => {
  const { release, until, done, flying } = await scene(t, MIXED);
  release(giants);
  await until('all giants', () => done() === 8);
  assert.equal([...flying].filter(smalls).length, 8, 'all slots for small ones are stuck');
});

test('S1.32: large objects at once are capped, and the longest begins first, wherever its key stands (S1.15)', async (t) => {
  const { release, until, done, started, flying } = await scene(t, MIXED);
  await until('two giants', () => [...flying].filter(giants).length === 2);
  const most: number[] = [];
  release(() => { most.push([...flying].filter(giants).length); return true; });
  await until('all', () => done() === MIXED.length);
  assert.ok(Math.max(...most) <= 2);
  const order = started.filter(giants).map((key) => (MIXED[Number(key.slice(0, 5))] ?? 0) / GiB);
  assert.deepEqual(order.slice(0, 2).toSorted((a, b) => b - a), [20, 7]);
  assert.deepEqual(order.slice(2), order.slice(2).toSorted((a, b) => b - a));
});

test('S1.15: giants are dealt out evenly: nobody has two while another has none', async (t) => {
  const { until, flying, by } = await scene(t, [5 * GiB, 4 * GiB, 4096], 2);
  await until('both giants', () => [...flying].filter(giants).length === 2);
  assert.equal(new Set([...flying].filter(giants).map((key) => by.get(key))).size, 2);
});

test('S1.15: two each where there are four', async (t) => {
  const { until, flying, by } = await scene(t, [5 * GiB, 4 * GiB, 3 * GiB, 2 * GiB], 2);
  await until('two giants each', () => [...flying].filter(giants).length === 4);
  assert.deepEqual([0, 1].map((worker) => [...by.values()].filter((one) => one === worker).length), [2, 2]);
});

test('F086: parts never take the memory that small objects need', async () => {
  const memory = new Budget(100);
  const parts = new Budget(75, memory);
  const held = await Promise.all([parts.take(25), parts.take(25), parts.take(25)]);
  const waiting = [parts.take(25), parts.take(25)];
  const small = await memory.take(25);
  assert.deepEqual([memory.used, parts.used], [100, 75]);
  small();
  held[0]?.();
  (await waiting[0])?.();
  (await waiting[1])?.();
  held[1]?.();
  held[2]?.();
  assert.deepEqual([memory.used, parts.used], [0, 0]);
  const stop = new AbortController();
  const all = await memory.take(100);
  const given = parts.take(10, stop.signal);
  stop.abort();
  await assert.rejects(given, { kind: 'cancelled' });
  assert.equal(parts.used, 0);
  all();
});
