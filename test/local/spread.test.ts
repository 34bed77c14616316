/** One object over several executors, of which one is killed at any step: the rest goes on, and nothing is done twice that was recorded (I4, P7). */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { cancelled } from '../../src/core/errors.ts';
import { MiB } from '../../src/core/units.ts';
import { Budget } from '../../src/engine/budget.ts';
import { type CopyContext, copyItem } from '../../src/engine/copier.ts';
import { copyRange } from '../../src/engine/copy-range.ts';
import { sweepUploads } from '../../src/engine/sweeper.ts';
import { runWorker } from '../../src/engine/worker.ts';
import { openLedger } from '../../src/ledger/sqlite/index.ts';
import type { RunEvent } from '../../src/ports/events.ts';
import { LocalQueue } from '../../src/queues/local/local-queue.ts';
import type { Multipart } from '../../src/ports/storage.ts';
import { createMemoryStore } from '../../src/stores/memory/index.ts';
import { systemClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';
import { COPY } from './harness.ts';

const PART = 10;
const PARTS = 24;
const LANES = 2;
const WORKERS = 3;
const content = (seed: number): Buffer => Buffer.from(Array.from({ length: PARTS * PART - 3 }, (_, i) => (i * 31 + seed) & 0xff));

/** `machine` is killed at its `step`-th call to a store, the recorder or the queue: before the call, or after it before its answer. */
interface Kill { readonly machine: number; readonly step: number; readonly after: boolean }
/** `machine` is told to stop at that call, and ends what it has in hand. */
interface Stop { readonly machine: number; readonly step: number; readonly stop: true }

interface Result {
  readonly bytes: Buffer | undefined;
  readonly source: Buffer | undefined;
  readonly puts: number;
  /** Parts that somebody began to put while somebody else still put the same. */
  readonly overlaps: number;
  readonly completes: number;
  readonly aborts: number;
  readonly steps: readonly number[];
  readonly by: readonly number[];
  readonly openUploads: number;
  readonly bytesSent: number;
  readonly failed: number;
}

async function scene(seed: number, fate?: Kill | Stop, onPut?: (puts: number, change: () => void) => void): Promise<Result> {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-spread-'));
  const clock = systemClock();
  const random = seededRandom(seed);
  const source = createMemoryStore({ name: 'from' });
  const destination = createMemoryStore({ name: 'to' });
  source.put('big', content(1));
  const head = await source.head('big');
  const ledger = await openLedger({ path: join(dir, 'ledger.db'), mode: 'create', clock, groupMs: 0, holder: { pid: process.pid, host: 'test' }, binding: { migration: 's', specHash: 'x', source: 's', destination: 'd' } });
  const { number: run } = ledger.beginRun('initial');
  const item = { key: 'big', kind: 'object', size: head.size, state: 'pending', source: { token: head.token }, evidence: 'none', attempts: 0 } as const;
  ledger.addPlan(run, { tasks: [{ items: [item], problems: new Map() }], shards: [], listing: { sealed: true, sourceObjects: 1, sourceBytes: head.size, destinationObjects: 0 } });
  const queue = new LocalQueue(ledger, run);
  const counts = { puts: 0, completes: 0, aborts: 0, overlaps: 0 };
  const kill = fate !== undefined && 'after' in fate ? fate : undefined;
  const stopping = fate !== undefined && 'stop' in fate ? fate : undefined;
  /** Parts on their way to the destination. */
  const underway = new Set<unknown>();
  const steps = Array.from({ length: WORKERS }, () => 0);
  const by = Array.from({ length: WORKERS }, () => 0);

  const multipart = destination.multipart as Multipart;
  /** As a store that has all bytes of a part already: whoever asked may be stopped meanwhile, the part lands. */
  const slow: Multipart = {
    create: (request) => multipart.create(request), complete: (request) => multipart.complete(request), abort: (upload) => multipart.abort(upload),
    listParts: (upload) => multipart.listParts(upload), listUploads: () => multipart.listUploads(),
    putPart: async (upload, number, body) => {
      if (underway.has(number)) counts.overlaps++;
      underway.add(number);
      // Now and then long enough for another one to take the task over and come as far as this part.
      for (let turns = stopping !== undefined && random.next() < 0.2 ? 1000 : 5; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      underway.delete(number);
      return multipart.putPart(upload, number, body);
    },
  };

  const machine = (index: number): { end(): Promise<void> } => {
    const holder = `machine-${index}`;
    const stop = new AbortController();
    let dead = false;
    const die = (): never => {
      dead = true;
      stop.abort();
      queue.leave(holder);
      throw cancelled('killed');
    };
    /** Every call goes through here; a dead machine reaches nobody. */
    const step = async <T>(call: () => Promise<T>): Promise<T> => {
      for (let turns = random.next() * 3; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      if (dead) throw cancelled('dead');
      const now = (steps[index] = (steps[index] ?? 0) + 1);
      const killed = kill?.machine === index && kill.step === now;
      if (stopping?.machine === index && stopping.step === now) stop.abort();
      if (killed && !kill.after) die();
      const result = await call();
      if (killed) die();
      if (dead) throw cancelled('dead');
      return result;
    };
    const wrapped = <O extends object>(object: O, note: (name: string) => void = () => undefined): O => new Proxy(object, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value === 'function') return (...args: unknown[]) => step(() => { note(String(name)); return Promise.resolve(Reflect.apply(value, target, args) as unknown); });
        return typeof value === 'object' && value !== null && (name === 'multipart' || name === 'ranges') ? wrapped(value, note) : value;
      },
    });
    const note = (name: string): void => {
      if (name === 'complete') counts.completes++;
      if (name === 'abort') counts.aborts++;
      if (name !== 'putPart') return;
      counts.puts++;
      by[index] = (by[index] ?? 0) + 1;
      onPut?.(counts.puts, () => source.put('big', content(2)));
    };
    const real = queue.queue(holder);
    const tasks = { receive: real.receive.bind(real), close: real.close.bind(real) };
    const mine = {
      ranges: wrapped(real.ranges as NonNullable<typeof real.ranges>), close: tasks.close,
      receive: async (most: number, signal: AbortSignal, size?: 'small' | 'large') => (await tasks.receive(most, signal, size)).map((delivery) => ({ ...delivery, ack: () => step(() => delivery.ack()), release: (ms: number) => (dead ? Promise.resolve() : delivery.release(ms)) })),
    };
    const context: CopyContext = {
      source: wrapped(source), destination: wrapped({ ...destination, multipart: slow }, note), recorder: wrapped(queue.recorder()), memory: new Budget(64 * MiB), clock, events: { emit: (_: RunEvent) => undefined },
      options: { ...COPY, cut: { bufferUpTo: 5, streamUpTo: 5, partSize: PART }, partConcurrency: LANES }, spreading: { ranges: mine.ranges, share: WORKERS },
    };
    const working = runWorker({
      queue: mine, recorder: context.recorder, copy: (task, one, signal) => copyItem(context, task, one, signal), probe: () => Promise.resolve(), events: context.events, clock, random,
      concurrency: 4, large: 1, tasks: 1, heartbeatMs: 10_000, ranges: { lanes: LANES, copy: (range, stored, signal) => copyRange(context, range, stored, signal) },
    }, stop.signal).catch((error: unknown) => { if (!dead) throw error; });
    return { end: async () => { stop.abort(); await working; } };
  };

  const machines = Array.from({ length: WORKERS }, (_, i) => machine(i));
  try {
    for (let turn = 0; ledger.tally(run).pending.objects > 0; turn++) {
      assert.ok(turn < 2000, `stuck: ${JSON.stringify({ kill, seed, counts, steps })}`);
      await clock.sleep(5);
    }
    const { copied, failed } = ledger.tally(run);
    assert.equal(copied.objects + failed.objects, 1);
    // As the coordinator does before it closes a run.
    const sweep = { ledger, run, destination, events: { emit: () => undefined }, clock };
    await sweepUploads(sweep, new AbortController().signal);
    return { ...counts, steps, by, bytes: destination.bytes('big'), source: source.bytes('big'), openUploads: ledger.openUploads().length, bytesSent: ledger.totals(run).bytesSent, failed: failed.objects };
  } finally {
    for (const one of machines) await one.end();
    await ledger.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

test('P7: parts of one object go by all executors, each once, and one hand completes it', async () => {
  const { bytes, source, puts, completes, by, openUploads, bytesSent } = await scene(1);
  assert.deepEqual(bytes, source);
  assert.deepEqual([puts, completes, openUploads, bytesSent], [PARTS, 1, 0, source?.length]);
  assert.ok(by.every((count) => count >= PARTS / WORKERS / 2), `${by}`);
});

test('I4: one executor killed between any two steps: the object is whole, at most one part per lane of it is sent again', { timeout: 120_000 }, async () => {
  const { steps } = await scene(1);
  const most = Math.max(...steps);
  await fc.assert(fc.asyncProperty(fc.record({ machine: fc.nat(WORKERS - 1), step: fc.integer({ min: 1, max: most }), after: fc.boolean() }), fc.nat(1000), async (kill, seed) => {
    const { bytes, source, puts, openUploads, failed, completes } = await scene(seed, kill);
    assert.deepEqual([failed, openUploads], [0, 0]);
    assert.deepEqual(bytes, source);
    assert.ok(puts <= PARTS + LANES, `${puts} puts of ${PARTS} parts`);
    assert.ok(completes <= 2);
  }), { numRuns: 30 });
});

test('I4: one executor stopped at any step ends what it has in hand: the object is whole, and no part is put by two at once', { timeout: 120_000 }, async () => {
  const { steps } = await scene(1);
  const most = Math.max(...steps);
  await fc.assert(fc.asyncProperty(fc.record({ machine: fc.nat(WORKERS - 1), step: fc.integer({ min: 1, max: most }), stop: fc.constant(true as const) }), fc.nat(1000), async (stop, seed) => {
    const { bytes, source, puts, overlaps, openUploads, failed } = await scene(seed, stop);
    assert.deepEqual([failed, openUploads, overlaps], [0, 0, 0]);
    assert.deepEqual(bytes, source);
    assert.ok(puts <= PARTS + LANES, `${puts} puts of ${PARTS} parts`);
  }), { numRuns: 15 });
});

test('F027: a source that changes while its parts travel by several executors arrives as one version, and its first upload is aborted', async () => {
  for (const at of [3, 9, 13]) {
    const { bytes, aborts, openUploads, failed } = await scene(at, undefined, (puts, change) => { if (puts === at) change(); });
    assert.deepEqual(bytes, content(2), `changed at part ${at}`);
    assert.deepEqual([failed, openUploads, aborts], [0, 0, 1]);
  }
});
