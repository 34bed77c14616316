import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { BrigadeError } from '../../core/errors.ts';
import type { Report } from '../../ports/journal.ts';
import { copied, failed, folder, keyNumber, listing, open, plannedTasks } from './fixture.test.ts';

const code = (expected: string) => (thrown: unknown): boolean => thrown instanceof BrigadeError && thrown.code === expected;
const report = (...outcomes: Report['outcomes']): Report => ({ worker: 'w', outcomes, close: true, parts: [] });
const begin = { type: 'run', number: 1, kind: 'initial', startedMs: 5 } as const;
const plan = (first: number, count: number) => ({ type: 'plan', run: 1, page: { tasks: plannedTasks(first, count, 2), shards: [], listing: listing(count, false) } }) as const;

test('F094: a segment or a report that was folded changes nothing when it comes again, also in another process', async (t) => {
  const path = join(folder(t), 'ledger.db');
  let ledger = await open(path);
  const at = { epoch: 1, seq: 0 };
  const work = { ...at, task: 1 };
  await ledger.foldPlan(at, [begin, plan(0, 4)]);
  await ledger.foldReport({ work, nth: 0 }, report(copied(keyNumber(2)), failed(keyNumber(3))));
  await ledger.foldReport({ work, nth: 1 }, report({ ...copied(keyNumber(2)), destination: 'newer', source: { token: 'next version' } }));
  await ledger.close();
  ledger = await open(path);
  const before = [ledger.tally(1), ledger.totals(1), ledger.item(1, keyNumber(2))];
  await ledger.foldPlan(at, [begin, plan(0, 4)]);
  await ledger.foldReport({ work, nth: 0 }, report(copied(keyNumber(2)), failed(keyNumber(3))));
  assert.deepEqual([ledger.tally(1), ledger.totals(1), ledger.item(1, keyNumber(2))], before);
  assert.equal(ledger.item(1, keyNumber(2))?.destination, 'newer');
  assert.deepEqual([ledger.foldedTo(), ledger.reportsFolded(work), ledger.unfinishedFrom()], [at, 2, at]);
  await assert.rejects(ledger.foldReport({ work, nth: 3 }, report()), code('E_LEDGER_ORDER'));
  await ledger.close();
});

test('a segment is folded whole or not at all, and tasks are found by the name that it gave them', async (t) => {
  const ledger = await open(join(folder(t), 'ledger.db'));
  await ledger.foldPlan({ epoch: 1, seq: 0 }, [begin, plan(0, 4)]);
  await assert.rejects(ledger.foldPlan({ epoch: 1, seq: 1 }, [plan(4, 2), plan(1, 2)]), code('E_LEDGER_ORDER'));
  assert.deepEqual([ledger.foldedTo()?.seq, ledger.tally(1).pending.objects], [0, 4]);
  await ledger.foldPlan({ epoch: 1, seq: 1 }, []);
  await ledger.foldPlan({ epoch: 2, seq: 0 }, [plan(4, 2), plan(6, 4)]);
  const ids = [[1, 0, 0], [1, 0, 1], [1, 0, 2], [1, 1, 0], [2, 0, 0], [2, 0, 2], [2, 0, 3], [2, 1, 0]].map(([epoch = 0, seq = 0, task = 0]) => ledger.ledgerTask({ epoch, seq, task }));
  assert.deepEqual(ids, [1, 2, undefined, undefined, 3, 5, undefined, undefined]);
  await assert.rejects(ledger.foldReport({ work: { epoch: 2, seq: 1, task: 0 }, nth: 0 }, report()), code('E_LEDGER_UNKNOWN'));
  assert.deepEqual(ledger.unfinishedFrom(), { epoch: 1, seq: 0 });
  for (const task of [0, 1]) await ledger.foldReport({ work: { epoch: 1, seq: 0, task }, nth: 0 }, report(copied(keyNumber(2 * task)), copied(keyNumber(2 * task + 1))));
  assert.deepEqual(ledger.unfinishedFrom(), { epoch: 2, seq: 0 });
  await ledger.close();
});

test('what was pruned has no name any more', async (t) => {
  const ledger = await open(join(folder(t), 'ledger.db'));
  await ledger.foldPlan({ epoch: 1, seq: 0 }, [begin, plan(0, 2), { type: 'change', run: 1, atMs: 6, change: { state: 'abandoned' } }]);
  await ledger.foldReport({ work: { epoch: 1, seq: 0, task: 0 }, nth: 0 }, report(copied(keyNumber(0)), copied(keyNumber(1))));
  await ledger.foldPlan({ epoch: 1, seq: 1 }, [{ ...begin, number: 2 }]);
  assert.deepEqual(ledger.prune(1), [1]);
  await ledger.foldPlan({ epoch: 1, seq: 2 }, [{ ...plan(0, 2), run: 2 }]);
  const [old, now] = [{ epoch: 1, seq: 0, task: 0 }, { epoch: 1, seq: 2, task: 0 }];
  assert.equal(ledger.ledgerTask(old), undefined);
  assert.equal(ledger.reportsFolded(now), 0);
  assert.equal(typeof ledger.ledgerTask(now), 'number');
  await ledger.close();
});

test('a writer that was frozen tells of the version that was planned, after a newer one was copied: the newer one stays in the account', async (t) => {
  const ledger = await open(join(folder(t), 'ledger.db'));
  await ledger.foldPlan({ epoch: 1, seq: 0 }, [begin, plan(0, 4)]);
  const work = { epoch: 1, seq: 0, task: 1 };
  await ledger.foldReport({ work, nth: 0 }, report({ ...copied(keyNumber(2)), destination: 'of the newer', source: { token: 'next version' } }));
  await ledger.foldReport({ work, nth: 1 }, report({ ...copied(keyNumber(2)), destination: 'of the older' }));
  const { destination, source } = ledger.item(1, keyNumber(2)) ?? {};
  assert.deepEqual([destination, source?.token], ['of the newer', 'next version']);
  await ledger.close();
});

test('a run that was given up holds nobody back: reports are looked for from the oldest task on that somebody still waits for', async (t) => {
  const ledger = await open(join(folder(t), 'ledger.db'));
  await ledger.foldPlan({ epoch: 1, seq: 0 }, [begin, plan(0, 4)]);
  await ledger.foldPlan({ epoch: 1, seq: 1 }, [{ type: 'change', run: 1, atMs: 6, change: { state: 'abandoned' } }, { ...begin, number: 2 }]);
  await ledger.foldPlan({ epoch: 1, seq: 2 }, [{ ...plan(0, 2), run: 2 }]);
  assert.deepEqual(ledger.unfinishedFrom(), { epoch: 1, seq: 2 });
  await ledger.foldReport({ work: { epoch: 1, seq: 2, task: 0 }, nth: 0 }, report(copied(keyNumber(0)), copied(keyNumber(1))));
  assert.equal(ledger.unfinishedFrom(), undefined);
  await ledger.close();
});

test('a failure that was told of has no row any more once the object was copied, also when another process folds that', async (t) => {
  const path = join(folder(t), 'ledger.db');
  let ledger = await open(path);
  const work = { epoch: 1, seq: 0, task: 1 };
  await ledger.foldPlan({ epoch: 1, seq: 0 }, [begin, plan(0, 6)]);
  await ledger.foldReport({ work, nth: 0 }, report(failed(keyNumber(2)), failed(keyNumber(3))));
  await ledger.close();
  ledger = await open(path);
  await ledger.foldReport({ work, nth: 1 }, report(copied(keyNumber(2))));
  assert.deepEqual([...ledger.objects(1, { classes: ['object'] })].map(({ key }) => key), [keyNumber(3)]);
  await ledger.close();
});

test('a task that is looked at between two reports is in doubt about nothing that the first of them told', async (t) => {
  const ledger = await open(join(folder(t), 'ledger.db'));
  const work = { epoch: 1, seq: 0, task: 0 };
  await ledger.foldPlan({ epoch: 1, seq: 0 }, [begin, plan(0, 2)]);
  const [leased] = ledger.claim(1, 1, 'fleet');
  await ledger.foldReport({ work, nth: 0 }, { ...report({ ...failed(keyNumber(0)), state: 'pending' }, copied(keyNumber(1))), close: false });
  assert.equal(ledger.leasedTask(leased?.id ?? 0).items.length, 1);
  await ledger.foldReport({ work, nth: 1 }, report());
  assert.deepEqual(ledger.claim(1, 1, 'fleet').map(({ inDoubt, items }) => [inDoubt, items.length]), [[false, 1]]);
  await ledger.close();
});
