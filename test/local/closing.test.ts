/** The closing listing (design truth 4): what it finds is mended, however much and however late, and every run ends. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import type { RunEvent } from '../../src/ports/events.ts';
import { createMemoryStore, type MemoryStore } from '../../src/stores/memory/index.ts';
import { Bench } from './harness.ts';

const benches: Bench[] = [];
afterEach(async () => { for (const bench of benches.splice(0)) await bench.close(); });

interface Scene { readonly it: Bench; readonly destination: MemoryStore; readonly keys: readonly string[] }

function scene(objects: number): Scene {
  const [source, destination] = [createMemoryStore(), createMemoryStore({ name: 'destination' })];
  const keys = Array.from({ length: objects }, (_, i) => `k${String(i).padStart(6, '0')}`);
  for (const key of keys) source.put(key, key);
  const it = new Bench(source, destination);
  benches.push(it);
  return { it, destination, keys };
}

/** Another hand at the destination, each time a closing listing begins; counts them from 1. */
function atClosing(meddle: (round: number) => void): { rounds: number; onEvent: (event: RunEvent) => void } {
  const hand = { rounds: 0, onEvent: (event: RunEvent) => { if (event.type === 'stage' && event.stage === 'closing') meddle(++hand.rounds); } };
  return hand;
}

describe('the closing listing', () => {
  test('I1: a destination that was emptied is filled again, in one round however many objects that takes', async () => {
    const { it, destination, keys } = scene(5_100);
    const hand = atClosing((round) => { if (round === 1) for (const key of keys) void destination.remove(key); });
    const { state, tally } = await it.run({ plan: { batch: { objects: 1000, bytes: 2 ** 30, seconds: 60 } }, onEvent: hand.onEvent });
    assert.deepEqual([state, tally.copied.objects, tally.failed.objects, tally.pending.objects], ['finished', keys.length, 0, 0]);
    assert.equal(keys.filter((key) => destination.bytes(key) === undefined).length, 0);
    assert.equal(hand.rounds, 2);
  });

  test('I1: an object is given up only when it was undone itself again and again, not for what befell others before', async () => {
    const { it, destination, keys } = scene(12);
    const hand = atClosing((round) => { const key = keys[round - 1]; if (key !== undefined) void destination.remove(key); });
    const { tally } = await it.run({ onEvent: hand.onEvent });
    assert.deepEqual([tally.copied.objects, tally.failed.objects], [12, 0]);
    assert.equal(keys.every((key) => destination.bytes(key)?.toString() === key), true);
    assert.equal(hand.rounds, 13);
  });

  test('I1: a hand that never rests fails the objects it takes, and no other; the run ends; retry begins afresh', async () => {
    const { it, destination, keys } = scene(10);
    const taken = keys.slice(0, 3);
    const { state, tally } = await it.run({ onEvent: atClosing(() => { for (const key of taken) void destination.remove(key); }).onEvent });
    assert.deepEqual([state, tally.copied.objects, tally.failed.objects], ['finished', 7, 3]);
    assert.deepEqual([...it.ledger.objects(1, { states: ['failed'] })].map(({ key, problem }) => [key, problem?.code]), taken.map((key) => [key, 'E_DESTINATION_CHANGED']));
    assert.equal([...it.ledger.items(1)].every(({ key, state: now }) => (now === 'copied') === (destination.bytes(key) !== undefined)), true);
    assert.equal(it.ledger.retry(1, {}).pending, 3);
    assert.deepEqual(taken.map((key) => it.ledger.item(1, key)?.undone), [undefined, undefined, undefined]);
  });
});
