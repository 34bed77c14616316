import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { errorLine } from '../../core/errors.ts';
import { folder, open } from './fixture.test.ts';
import { isCoordinated } from './lock.ts';
import type { ChildProcess } from 'node:child_process';
import type { TestContext } from 'node:test';
import type { BrigadeError } from '../../core/errors.ts';

async function start(t: TestContext, role: 'coordinator' | 'executor', path: string): Promise<ChildProcess> {
  const child = fork(new URL('./worker.test.ts', import.meta.url), [role, path], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child, 'message');
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('F106: a second coordinator is refused and told who has the ledger since when; kill -9 frees it', async (t) => {
  const path = join(folder(t), 'ledger.db');
  const first = await start(t, 'coordinator', path);
  const expected = new RegExp(`another coordinator \\(pid ${first.pid}, host here\\) holds this ledger since 20\\d\\d-.*Z.*\\[E_LOCKED_RUN\\]`);
  await assert.rejects(open(path), (error) => (error as BrigadeError).kind === 'usage' && expected.test(errorLine(error as BrigadeError)));
  assert.equal(isCoordinated(path), true);
  await end(first);
  assert.equal(isCoordinated(path), false);
  await (await open(path)).close();
});

test('F106: a coordinator that is frozen still has the ledger', async (t) => {
  const path = join(folder(t), 'ledger.db');
  const first = await start(t, 'coordinator', path);
  first.kill('SIGSTOP');
  await assert.rejects(open(path), { code: 'E_LOCKED_RUN' });
  await end(first);
  await (await open(path)).close();
});

test('F106: a new coordinator waits until every executor of the old one is gone, however it went', async (t) => {
  const path = join(folder(t), 'ledger.db');
  await (await open(path)).close();
  const executors = [await start(t, 'executor', path), await start(t, 'executor', path)];
  executors[0]?.kill('SIGSTOP');
  await assert.rejects(open(path, { executorWaitMs: 150 }), { code: 'E_EXECUTORS_ALIVE', kind: 'usage' });
  let opened = false;
  const waiting = open(path, { executorWaitMs: 20_000 }).then((ledger) => { opened = true; return ledger; });
  await end(executors[1] as ChildProcess);
  await setTimeout(250);
  assert.equal(opened, false);
  await end(executors[0] as ChildProcess);
  await (await waiting).close();
});

test('F106: an executor of the first coordinator ever is seen too', async (t) => {
  const path = join(folder(t), 'ledger.db');
  const executor = await start(t, 'executor', path);
  await assert.rejects(open(path, { executorWaitMs: 0 }), { code: 'E_EXECUTORS_ALIVE' });
  await end(executor);
});

test('F106: closing frees the ledger; a failed opening does too', async (t) => {
  const path = join(folder(t), 'ledger.db');
  const first = await open(path);
  await assert.rejects(open(path), { code: 'E_LOCKED_RUN' });
  await first.close();
  await assert.rejects(open(path, { binding: { migration: 'x', specHash: 'x', source: 'x', destination: 'x' } }), { code: 'E_LEDGER_OTHER' });
  await (await open(path)).close();
});
