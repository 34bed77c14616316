import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Budget } from './budget.ts';

test('I8: never more than the whole, first come first served, whatever is aborted', async () => {
  const budget = new Budget(100);
  let most = 0;
  const order: number[] = [];
  const work = Array.from({ length: 50 }, async (_, i) => {
    const giveBack = await budget.take(1 + ((i * 37) % 60), i % 7 === 3 ? AbortSignal.timeout(1) : undefined).catch(() => undefined);
    if (giveBack === undefined) return;
    order.push(i);
    most = Math.max(most, budget.used);
    await new Promise((resolve) => setTimeout(resolve, 1));
    giveBack();
    giveBack();
  });
  await Promise.all(work);
  assert.ok(most <= 100, `${most} used at once`);
  assert.equal(budget.used, 0);
  assert.deepEqual(order, order.toSorted((a, b) => a - b));
});

test('more than the whole budget gets the whole budget', async () => {
  const budget = new Budget(10);
  const giveBack = await budget.take(1000);
  assert.equal(budget.used, 10);
  giveBack();
});
