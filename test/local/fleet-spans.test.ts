/** Whose a span is, when several want it at once, or believe that its holder is gone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeldSpan } from '../../src/fleet/worker/held-span.ts';
import { SpanLogs } from '../../src/fleet/worker/span-logs.ts';
import { openJournal } from '../../src/journal/index.ts';
import type { Part } from '../../src/ports/storage.ts';
import { createMemoryStore } from '../../src/stores/memory/index.ts';
import { simulatedClock } from '../../src/telemetry/clock.ts';
import { seededRandom } from '../../src/telemetry/random.ts';

const TASK = { epoch: 1, seq: 0, task: 3 };
const SPAN = { first: 6, count: 5 };

function scene(): { readonly clock: ReturnType<typeof simulatedClock>; readonly logs: () => SpanLogs; readonly claim: (logs: SpanLogs, worker: string, hand: number, upload?: string) => Promise<HeldSpan | undefined> } {
  const clock = simulatedClock();
  const store = createMemoryStore({ clock });
  const logs = (): SpanLogs => new SpanLogs({ journal: () => openJournal({ store, clock, random: seededRandom(1) }), task: TASK, clock });
  return { clock, logs, claim: (of, worker, hand, upload = 'u') => HeldSpan.claim({ logs: of, upload, span: SPAN, numbers: [6, 7, 8, 9, 10], worker, hand, clock }) };
}

const part = (number: number, token = 'p'): Part => ({ number, size: 1, token: `${token}${number}` });

test('of many who claim at once one has it, and all see who', async () => {
  const { logs, claim } = scene();
  const all = Array.from({ length: 5 }, logs);
  const got = await Promise.all(all.map((one, i) => claim(one, `w${i}`, i)));
  const winners = got.flatMap((held, i) => (held === undefined ? [] : [`w${i}`]));
  assert.equal(winners.length, 1);
  for (const one of all) {
    await one.catchUp();
    assert.equal(one.holder('u', SPAN.first)?.worker, winners[0]);
  }
  await got.find((held) => held !== undefined)?.close();
});

test('a claim over a claim: who had it before learns of it by its next entry, and what it had sent is not forgotten', async () => {
  const { logs, claim } = scene();
  const [here, there] = [logs(), logs()];
  const held = await claim(here, 'frozen', 0);
  held?.part(part(6));
  await there.catchUp();
  const taken = await claim(there, 'next', 0);
  assert.ok(taken !== undefined);
  await held?.release();
  assert.equal(held?.lost, true);
  assert.throws(() => held.part(part(7)), { code: 'E_SPAN_TAKEN', kind: 'gone' });
  await there.catchUp();
  assert.equal(there.holder('u', SPAN.first)?.worker, 'next', 'what the other gives back was its no more');
  assert.deepEqual([...there.parts('u').keys()], [6]);
  await taken.close();
  assert.equal(there.holder('u', SPAN.first), undefined);
});

test('uploads of the same task do not know each other; a mark tells what came behind it', async () => {
  const { logs, claim } = scene();
  const here = logs();
  const first = await claim(here, 'a', 1, 'u1');
  const second = await claim(here, 'b', 2, 'u2');
  assert.ok(first !== undefined && second !== undefined);
  first.part(part(6));
  await first.release({ code: 'E_SRC_CHANGED', kind: 'changed', message: 'it changed' });
  assert.equal(here.problemSince(0, 'u1')?.kind, 'changed');
  assert.equal(here.problemSince(0, 'u2'), undefined);
  const mark = here.mark();
  second.part(part(7));
  await second.close();
  assert.equal(here.partSince(mark, 'u1', SPAN.first, 6), undefined);
  assert.equal(here.partSince(mark, 'u2', SPAN.first, 7)?.token, 'p7');
  assert.equal(here.partSince(new Map(), 'u1', SPAN.first, 6)?.token, 'p6');
});

test('a holder that sends nothing says so all the same, and one that ends says nothing more', async () => {
  const { clock, logs, claim } = scene();
  const [here, there] = [logs(), logs()];
  const held = await claim(here, 'slow', 1);
  await there.catchUp();
  await clock.advance(60_000);
  assert.equal(there.silentMs(SPAN.first), 60_000);
  await there.catchUp();
  assert.equal(there.silentMs(SPAN.first), 0);
  await held?.close();
  const entries = here.mark().get(SPAN.first);
  await clock.advance(120_000);
  await there.catchUp();
  assert.equal(there.mark().get(SPAN.first), entries);
});

test('a span that is held through days in which nothing moves has room in its log for what is sent then', async () => {
  const { clock, logs, claim } = scene();
  const here = logs();
  const held = await claim(here, 'patient', 0);
  await clock.advance(3 * 24 * 3_600_000);
  held?.part(part(6));
  await held?.close();
  assert.equal(here.holder('u', SPAN.first), undefined);
  assert.equal(here.parts('u').get(6)?.token, 'p6');
  assert.ok(here.entries(SPAN.first) < 600, `${here.entries(SPAN.first)} entries`);
});
