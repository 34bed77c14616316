import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MiB } from '../core/units.ts';
import { Budget } from './budget.ts';
import { Slabs, slabsOf } from './slabs.ts';

async function rigOf(most: number) {
  const budget = new Budget(most);
  const slabs = new Slabs(budget);
  return { budget, slabs, borrow: async (size: number) => ({ unlock: await budget.take(size), bytes: slabs.lend(size) as Uint8Array }) };
}

test('what comes back is lent again, and never to two at once', async () => {
  const rig = await rigOf(64 * MiB);
  const one = await rig.borrow(8 * MiB);
  const two = await rig.borrow(8 * MiB);
  assert.ok(one.bytes.buffer !== two.bytes.buffer);
  rig.slabs.giveBack(one.bytes);
  rig.slabs.giveBack(one.bytes);
  one.unlock();
  const three = await rig.borrow(8 * MiB - 5);
  assert.ok(three.bytes.buffer === one.bytes.buffer, 'one size fits the smaller last part too');
  assert.equal(three.bytes.length, 8 * MiB - 5);
  const four = await rig.borrow(8 * MiB);
  assert.ok(four.bytes.buffer !== three.bytes.buffer, 'giving back twice lends once');
});

test('what never comes back, because its write failed, is never lent again', async () => {
  const rig = await rigOf(64 * MiB);
  const failed = await rig.borrow(8 * MiB);
  failed.unlock();
  const buffers = new Set<unknown>();
  for (let i = 0; i < 5; i++) {
    const { bytes, unlock } = await rig.borrow(8 * MiB);
    buffers.add(bytes.buffer);
    rig.slabs.giveBack(bytes);
    unlock();
  }
  assert.equal(buffers.size, 1);
  assert.ok(!buffers.has(failed.bytes.buffer));
});

test('what lies ready and what is lent stay within the budget together, whatever the sizes', async () => {
  const rig = await rigOf(24 * MiB);
  const check = async (): Promise<void> => {
    await nextTurn();
    assert.ok(rig.slabs.readyBytes + rig.budget.used <= 24 * MiB, `${rig.slabs.readyBytes} + ${rig.budget.used}`);
  };
  for (let i = 0; i < 60; i++) {
    const borrowed = [await rig.borrow((1 + (i * 7) % 11) * MiB), await rig.borrow((1 + (i * 5) % 13) * MiB)];
    await check();
    for (const { bytes, unlock } of borrowed) {
      rig.slabs.giveBack(bytes);
      unlock();
      await check();
    }
  }
  assert.ok(rig.slabs.readyBytes > 0);
});

test('as many as fit at once are made, and no more, however many come back in one turn', async () => {
  const budget = new Budget(96 * MiB);
  const parts = new Budget(72 * MiB, budget);
  const slabs = new Slabs(budget);
  const buffers = new Set<unknown>();
  const finished: (() => void)[] = [];
  for (let i = 0; i < 50; i++) {
    void parts.take(10 * MiB).then((unlock) => {
      const bytes = slabs.lend(8 * MiB) as Uint8Array;
      buffers.add(bytes.buffer);
      finished.push(() => {
        slabs.giveBack(bytes);
        unlock();
      });
    });
  }
  let ended = 0;
  for (await nextTurn(); finished.length > 0; await nextTurn()) {
    const all = finished.splice(0);
    ended += all.length;
    for (const finish of all) finish();
  }
  assert.equal(ended, 50);
  assert.equal(buffers.size, 7);
});

test('small ones and foreign ones are not kept', async () => {
  const rig = await rigOf(24 * MiB);
  assert.equal((await rig.borrow(1000)).bytes, undefined);
  rig.slabs.giveBack(Buffer.alloc(4 * MiB));
  assert.equal(rig.slabs.readyBytes, 0);
  assert.equal(slabsOf(rig.budget), slabsOf(rig.budget));
});
