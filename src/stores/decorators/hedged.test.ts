import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BrigadeError } from '../../core/errors.ts';
import { MiB } from '../../core/units.ts';
import type { ObjectRead, ReadRequest, Store } from '../../ports/storage.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- only tests come here; a store never reads a clock of its own
import { seededRandom } from '../../telemetry/random.ts';
import { createGovernor } from './governor.ts';
import { createHedging } from './hedging.ts';
import { createCounters } from './instrumented.ts';
import { createLimiter, type Limits } from './limited.ts';
import { bytesOf, createRig } from './rig.ts';
import { stack } from '../stack.ts';

const PART = 1 * MiB;
const CHUNK = 256 * 1024;
const CONNECTIONS = 20;
const OBJECT = bytesOf(16 * PART);

interface Scene {
  /** Milliseconds that a chunk takes on this connection now. */
  chunkMs(connection: number, now: number): number;
  readonly hedge: boolean;
  readonly parts?: number;
  readonly limits?: Limits;
  /** The store answers 503 to these requests for parts, counted from 0. */
  refuses?(request: number): boolean;
}

/** Twenty lanes read parts of one object, each request over the free connection of the lowest number; nothing is real but the bytes. */
async function transfer({ chunkMs, hedge, parts = 500, limits = {}, refuses = () => false }: Scene) {
  const rig = createRig();
  const { clock, memory, common } = rig;
  const random = seededRandom(3);
  const token = memory.put('big', OBJECT);
  const busy = new Set<number>();
  let requests = 0;
  let most = 0;
  const read = async (request: ReadRequest): Promise<ObjectRead> => {
    if (refuses(requests++)) throw new BrigadeError({ code: 'E_THROTTLED', kind: 'throttled', op: 'read', message: 'SlowDown' });
    const whole = await memory.read(request);
    const connection = Array.from({ length: 3 * CONNECTIONS }, (_, i) => i).find((i) => !busy.has(i)) as number;
    busy.add(connection);
    most = Math.max(most, busy.size);
    const { offset = 0, length = OBJECT.length } = request.range ?? {};
    const chunks = async function* () {
      try {
        for (let at = 0; at < length; at += CHUNK) {
          await clock.sleep(chunkMs(connection, clock.monotonic()) * (0.8 + 0.4 * random.next()), request.signal);
          yield OBJECT.subarray(offset + at, offset + Math.min(length, at + CHUNK));
        }
      } finally {
        busy.delete(connection);
      }
    };
    return { info: whole.info, chunks: chunks(), discard: () => void busy.delete(connection) };
  };
  const raw: Store = new Proxy(memory, { get: (target, name) => (name === 'read' ? read : Reflect.get(target, name) as unknown) });
  const hedging = createHedging(clock);
  const governor = createGovernor({ clock, initial: 3 * CONNECTIONS, min: 1, max: 3 * CONNECTIONS });
  const store = stack(raw, { ...common, counters: createCounters(), governor, limiter: createLimiter(clock, limits), ...(hedge ? { hedging } : {}) });
  const times: number[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let part = next++; part < parts; part = next++) {
      const began = clock.monotonic();
      const range = { offset: (part % 16) * PART, length: PART };
      let at = range.offset;
      for await (const chunk of (await store.read({ key: 'big', expectedSize: OBJECT.length, pin: { token }, range })).chunks) {
        assert.ok(OBJECT.subarray(at, at + chunk.length).equals(chunk), `part ${part}`);
        at += chunk.length;
      }
      assert.equal(at, range.offset + PART);
      times.push(clock.monotonic() - began);
    }
  };
  await clock.run(Promise.all(Array.from({ length: CONNECTIONS }, lane)));
  times.sort((a, b) => a - b);
  return { ms: clock.monotonic(), slowest: times.at(-1) ?? 0, median: times[times.length >> 1] ?? 0, requests, most, busy: busy.size, sleeping: clock.sleeping, told: rig.told.filter(({ type }) => type === 'hedged'), ...hedging.counts };
}

const usual = (): number => 40;
/** One connection of twenty is fifty times slower than the others. */
const oneStalls = (connection: number): number => (connection === 7 ? 2000 : 40);

test('the tail is cut: one connection of twenty that is fifty times slower costs one second of a part, not eight', async () => {
  const calm = await transfer({ chunkMs: usual, hedge: true });
  const without = await transfer({ chunkMs: oneStalls, hedge: false });
  const withIt = await transfer({ chunkMs: oneStalls, hedge: true });
  assert.deepEqual([calm.sent, calm.requests], [0, 500], 'where none is slow nothing is asked twice');
  assert.ok(without.slowest > 7_000, `${without.slowest} ms`);
  assert.ok(withIt.slowest < 1_000, `${withIt.slowest} ms with, ${without.slowest} ms without`);
  assert.ok(withIt.ms < calm.ms * 1.25 && without.ms > calm.ms * 1.5, `${calm.ms} ms where none is slow; ${withIt.ms} ms with, ${without.ms} ms without`);
  assert.ok(withIt.sent >= 3 && withIt.won === withIt.sent, `${withIt.won} of ${withIt.sent} won`);
  assert.ok(withIt.sent <= 0.02 * withIt.requests, `${withIt.sent} of ${withIt.requests} requests`);
  assert.equal(withIt.requests, 500 + withIt.sent);
  assert.equal(withIt.told.filter((event) => event.type === 'hedged' && event.won).length, withIt.won);
  assert.ok(withIt.most <= CONNECTIONS + 4, `${withIt.most} connections`);
  assert.deepEqual([withIt.busy, withIt.sleeping], [0, 0], 'who lost leaves neither a connection nor a timer');
});

test('where the whole store is slow, at once or more and more, or a limit holds, nothing is asked twice', async () => {
  const scenes: Record<string, Partial<Scene>> = {
    'from one moment on': { chunkMs: (_, now) => (now < 2_000 ? 40 : 800), parts: 300 },
    'more and more': { chunkMs: (_, now) => 40 + now / 25, parts: 300 },
    'a limit': { limits: { bytesPerSecond: 4 * MiB }, parts: 100 },
  };
  for (const [name, scene] of Object.entries(scenes)) {
    const { sent, slowest, median } = await transfer({ chunkMs: usual, hedge: true, ...scene });
      assert.equal(sent, 0, `${name}: slowest ${slowest}, median ${median}`);
  }
});

test('a store that asks for patience is not asked twice', async () => {
  const { sent, requests } = await transfer({ chunkMs: oneStalls, hedge: true, refuses: (request) => request % 50 === 49 });
  assert.equal(sent, 0);
  assert.ok(requests > 500);
});

test('not more than one request in fifty is sent twice, however many are slow', async () => {
  const { sent, requests, slowest } = await transfer({ chunkMs: (connection) => (connection % 5 === 0 ? 2000 : 40), hedge: true });
  assert.ok(sent > 0 && sent <= 0.02 * requests, `${sent} of ${requests}`);
  assert.ok(slowest > 7_000);
});
