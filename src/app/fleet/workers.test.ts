import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { RunEvent } from '../../ports/events.ts';
import { systemClock } from '../../telemetry/clock.ts';
import { workInProcesses } from './workers.ts';

const PLACES = { queue: 'memory:q', journal: '/nowhere', messageKeys: [], cwd: '/', version: '1', drainMs: 100, processes: 1 };

/** Processes that do as this text says; each leaves a file named by its process id. */
function bench(t: TestContext, does: string) {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-workers-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const module = join(dir, 'process.mjs');
  const made = join(dir, 'made-');
  writeFileSync(module, `import { writeFileSync } from 'node:fs';
process.on('disconnect', () => process.exit(0));
process.on('message', (message) => {
  if (message.type === 'stop') process.exit(0);
  writeFileSync(${JSON.stringify(made)} + process.pid, '');
  ${does}
});`);
  const events: RunEvent[] = [];
  const stop = new AbortController();
  // Eleven starts must fit into its minute, on any machine.
  const clock = { ...systemClock(), monotonic: () => performance.now() / 10 };
  const started = (): string[] => readdirSync(dir).filter((name) => name.startsWith('made-')).map((name) => name.slice(5));
  const run = (processes: number, ready?: () => void, drainMs?: () => number): Promise<void> => workInProcesses({ places: PLACES, processes, module, clock, events: { emit: (event) => { events.push(event); } }, ...(ready === undefined ? {} : { ready }), ...(drainMs === undefined ? {} : { drainMs }) }, stop.signal);
  return { run, events, stop, started };
}

async function until(what: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!what()) {
    if (performance.now() > end) throw new Error(what.toString());
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('a worker that is killed is replaced; a stop ends them all', async (t) => {
  const { run, events, stop, started } = bench(t, "process.send({ type: 'ready' });");
  let ready = 0;
  const working = run(2, () => { ready++; });
  await until(() => ready === 1);
  const [first] = started();
  process.kill(Number(first), 'SIGKILL');
  await until(() => started().length === 3);
  stop.abort();
  await working;
  assert.equal(ready, 1);
  assert.match(JSON.stringify(events), /a worker ended \(SIGKILL\)/);
  for (const pid of started()) assert.throws(() => process.kill(Number(pid), 0), { code: 'ESRCH' });
});

test('each of them is told how long its drain may take, as it is known when it is asked to leave', async (t) => {
  const { run, events, stop } = bench(t, "process.send({ type: 'ready' });\n  process.prependListener('message', (stop) => process.send({ type: 'events', events: [{ type: 'note', level: 'info', text: `drain ${stop.drainMs}` }] }));");
  let leftMs = 0;
  const working = run(1, () => { leftMs = 77_000; stop.abort(); }, () => leftMs);
  await working;
  assert.match(JSON.stringify(events), /drain 77000/);
});

test('more than ten deaths within a minute are an error, not a loop', async (t) => {
  const { run, started } = bench(t, "process.send({ type: 'ready' }, () => process.exit(7));");
  await assert.rejects(run(1), { code: 'E_WORKERS', kind: 'internal' });
  assert.equal(started().length, 11);
});

test('what is wrong from the beginning ends all of them with that error', async (t) => {
  const { run, started } = bench(t, "process.send({ type: 'failed', error: { code: 'E_QUEUE_MISSING', kind: 'premise', message: 'no such queue' } }, () => process.exit(1));");
  await assert.rejects(run(2), { code: 'E_QUEUE_MISSING', kind: 'premise' });
  assert.ok(started().length <= 2);
});
