/** The processes that the ledger's tests start and kill: `node worker.test.ts churn|coordinator|executor <ledger>`. Without arguments it is no test. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { clock, copied, keyNumber, listing, open, plannedTasks } from './fixture.test.ts';
import { lockExecutor } from './lock.ts';

const [, , role, path, most = 'Infinity'] = process.argv;

/** What nobody refers to any more is collected: a lock must not be among it. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  for (let i = 0; i < 3; i++) {
    collect();
    await clock.sleep(10);
  }
}

// None of them outlives the test that started it.
process.once('disconnect', () => process.exit());

/** Plans, claims and records, for ever or `most` objects; tells its parent of every key whose outcome is safe. */
async function churn(ledgerPath: string): Promise<void> {
  const ledger = await open(ledgerPath);
  ledger.beginRun('initial');
  for (let planned = 0; planned < Number(most); planned += 50) {
    ledger.addPlan(1, { tasks: plannedTasks(planned, 50, 10), shards: [], listing: listing(planned + 50, false) });
    for (const task of ledger.claim(1, 4, 'me')) {
      for (const { key } of task.items) void ledger.record(task.id, [copied(key)], key === keyNumber(planned)).then(() => process.send?.(key));
      await ledger.record(task.id, [], true);
    }
  }
}

if (role === 'churn' && path !== undefined) {
  await churn(path);
  await clock.sleep(60_000);
}
if (role === 'coordinator' && path !== undefined) {
  await open(path);
  await collectGarbage();
  process.send?.('ready');
  await clock.sleep(60_000);
}
if (role === 'executor' && path !== undefined) {
  lockExecutor(path);
  await collectGarbage();
  process.send?.('ready');
  await clock.sleep(60_000);
}
