/** The account holds at every instant (truth 14), whatever happens in whatever order, and whenever the process dies. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import fc from 'fast-check';
import { copied, failed, folder, keyNumber, listing, open, pendingItem, plannedTasks } from './fixture.test.ts';
import { inspectLedger } from './open.ts';
import type { ItemState, Outcome, Tally } from '../../core/item.ts';
import type { LeasedTask } from '../../ports/ledger.ts';
import type { SqliteLedger } from './ledger.ts';

function assertBalanced(tally: Tally, planned?: number): void {
  const parts = [tally.copied, tally.unchanged, tally.skipped, tally.failed, tally.pending];
  assert.equal(parts.reduce((sum, one) => sum + one.objects, 0), tally.listed.objects);
  assert.equal(parts.reduce((sum, one) => sum + one.bytes, 0), tally.listed.bytes);
  if (planned !== undefined) assert.equal(tally.listed.objects, planned);
  const loud = tally.byCode.reduce((sum, one) => sum + one.objects, 0);
  assert.equal(loud, tally.skipped.objects + tally.failed.objects);
  assert.equal(Object.values(tally.evidence).reduce((sum, n) => sum + n, 0), tally.copied.objects + tally.unchanged.objects);
}

type Step =
  | { readonly do: 'plan'; readonly count: number; readonly perTask: number }
  | { readonly do: 'claim' | 'release' | 'retry' | 'reopen' }
  | { readonly do: 'record'; readonly pick: number; readonly fates: readonly ItemState[]; readonly close: boolean; readonly repeat: boolean }
  | { readonly do: 'amend'; readonly pick: number };

const fate = fc.constantFrom<ItemState>('copied', 'unchanged', 'skipped', 'failed', 'pending');
const step = fc.oneof<fc.Arbitrary<Step>[]>(
  fc.record({ do: fc.constant('plan' as const), count: fc.integer({ min: 1, max: 12 }), perTask: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ do: fc.constantFrom('claim' as const, 'claim' as const, 'release' as const, 'retry' as const, 'reopen' as const) }),
  fc.record({ do: fc.constant('record' as const), pick: fc.nat(50), fates: fc.array(fate, { minLength: 1, maxLength: 5 }), close: fc.boolean(), repeat: fc.boolean() }),
  fc.record({ do: fc.constant('record' as const), pick: fc.nat(50), fates: fc.array(fate, { minLength: 1, maxLength: 5 }), close: fc.boolean(), repeat: fc.boolean() }),
  fc.record({ do: fc.constant('amend' as const), pick: fc.nat(500) }),
);

function outcomeOf(key: string, state: ItemState): Outcome {
  if (state === 'copied' || state === 'unchanged') return { ...copied(key), state };
  if (state === 'pending') return { key, state, evidence: 'none', attempts: 1, bytesSent: 0, ms: 0, problem: { code: 'E_AGAIN', message: 'again' } };
  return { ...failed(key), state: state as 'failed' | 'skipped' };
}

/** What the ledger should say, kept the simple way. */
class Model {
  readonly states = new Map<string, ItemState>();
  leased: LeasedTask[] = [];

  apply(outcome: Outcome): void {
    const now = this.states.get(outcome.key);
    const success = outcome.state === 'copied' || outcome.state === 'unchanged';
    const better = success && (now === 'failed' || now === 'skipped');
    if (now === 'pending' || better) this.states.set(outcome.key, outcome.state);
  }

  check(ledger: SqliteLedger): void {
    const tally = ledger.tally(1);
    assertBalanced(tally, this.states.size);
    for (const state of ['copied', 'unchanged', 'skipped', 'failed', 'pending'] as const) {
      assert.equal(tally[state].objects, [...this.states.values()].filter((one) => one === state).length, state);
    }
    for (const item of ledger.items(1)) assert.equal(item.state, this.states.get(item.key), item.key);
    const loud = [...ledger.objects(1, { states: ['failed', 'skipped'] })].map((row) => row.key);
    assert.deepEqual(loud, [...this.states].filter(([, state]) => state === 'failed' || state === 'skipped').map(([key]) => key));
  }
}

async function record(ledger: SqliteLedger, model: Model, one: Extract<Step, { do: 'record' }>): Promise<void> {
  const task = model.leased[one.pick % Math.max(1, model.leased.length)];
  if (task === undefined) return;
  const outcomes = task.items.slice(0, one.fates.length).map((item, i) => outcomeOf(item.key, one.fates[i] as ItemState));
  const done = [ledger.record(task.id, outcomes, one.close), ...(one.repeat ? [ledger.record(task.id, outcomes, false)] : [])];
  assertBalanced(ledger.tally(1), model.states.size);
  await Promise.all(done);
  for (const outcome of outcomes) model.apply(outcome);
}

async function perform(ledger: SqliteLedger, model: Model, one: Step): Promise<SqliteLedger> {
  switch (one.do) {
    case 'plan': {
      const tasks = plannedTasks(model.states.size, one.count, one.perTask);
      ledger.addPlan(1, { tasks, shards: [], listing: listing(model.states.size + one.count) });
      for (const task of tasks) for (const item of task.items) model.states.set(item.key, 'pending');
      return ledger;
    }
    case 'claim': model.leased.push(...ledger.claim(1, 2, 'me')); return ledger;
    case 'release': ledger.releaseTasks(1); return ledger;
    case 'retry': {
      assert.equal(ledger.retry(1, {}).pending, [...model.states.values()].filter((state) => state === 'failed').length);
      for (const [key, state] of model.states) if (state === 'failed') model.states.set(key, 'pending');
      return ledger;
    }
    case 'record': await record(ledger, model, one); return ledger;
    case 'amend': {
      const key = keyNumber(one.pick);
      if (!model.states.has(key)) return ledger;
      ledger.amend(1, [{ item: pendingItem(key, one.pick * 7) }]);
      model.states.set(key, 'pending');
      return ledger;
    }
    case 'reopen': {
      await ledger.close();
      const again = await open(ledger.path, { mode: 'resume' });
      again.releaseTasks(1);
      return again;
    }
  }
}

test('listed = copied + unchanged + skipped + failed + pending after every step of any sequence', async (t) => {
  const dir = folder(t);
  let n = 0;
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
    let ledger = await open(join(dir, `${n++}`, 'ledger.db'));
    const model = new Model();
    try {
      ledger.beginRun('initial');
      for (const one of [{ do: 'plan', count: 8, perTask: 3 } as const, { do: 'claim' } as const, ...steps]) {
        ledger = await perform(ledger, model, one);
        model.check(ledger);
      }
    } finally {
      await ledger.close();
    }
  }), { numRuns: 40 });
});

test('killed at any moment, the ledger opens again, balanced, with every outcome whose promise had resolved', async (t) => {
  for (let round = 0; round < 6; round++) {
    const path = join(folder(t), 'ledger.db');
    const child = fork(new URL('./worker.test.ts', import.meta.url), ['churn', path], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    t.after(() => child.kill('SIGKILL'));
    const acknowledged: string[] = [];
    child.on('message', (key) => acknowledged.push(String(key)));
    while (acknowledged.length === 0) await once(child, 'message');
    await setTimeout(20 + round * 37);
    const view = inspectLedger(path);
    assertBalanced(view.tally(1));
    await view.close();
    child.kill('SIGKILL');
    await once(child, 'exit');
    const ledger = await open(path, { mode: 'resume' });
    assertBalanced(ledger.tally(1));
    for (const key of acknowledged) assert.equal(ledger.item(1, key)?.state, 'copied', key);
    assert.equal([...ledger.items(1)].filter((item) => item.state === 'copied').length, ledger.tally(1).copied.objects);
    await ledger.close();
  }
});
