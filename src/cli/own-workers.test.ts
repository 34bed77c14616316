import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { hurried, until } from '../fleet/coordinator/ground.test-kit.ts';
import { systemClock } from '../telemetry/clock.ts';
import { seededRandom } from '../telemetry/random.ts';
import { tempFolder } from './fixture.test.ts';
import { type Invocation, Options } from './invocation.ts';
import { Output } from './io.ts';
import { withWorkers } from './own-workers.ts';

/** Workers that do as this text says, each of which leaves a file named by its process id once it listens as the text says. */
function bench(t: TestContext, does: string) {
  const folder = tempFolder();
  t.after(() => folder[Symbol.dispose]());
  const entry = folder.write('worker.mjs', `import { writeFileSync } from 'node:fs';\n${does}\nwriteFileSync(${JSON.stringify(folder.path)} + '/made-' + process.pid, '');\n`);
  let said = '';
  const io = {
    out: new Output({ write: () => true }), err: new Output({ write: (text) => { said += text; return true; } }), env: { PATH: process.env['PATH'] ?? '' }, cwd: folder.path,
    clock: { ...systemClock(), sleep: hurried(10).sleep }, random: seededRandom(1), onSignal: () => () => undefined, onHangup: () => () => undefined, die: () => undefined,
  };
  const invocation: Invocation = { io, args: [], options: new Options(new Map([['workers', '2']])) };
  const made = (): number[] => readdirSync(folder.path).filter((name) => name.startsWith('made-')).map((name) => Number(name.slice(5)));
  return { made, said: () => said, run: (work: (own: Invocation) => Promise<number>) => withWorkers(invocation, work, entry), note: (name: string) => writeFileSync(join(folder.path, name), '') };
}

test('workers that end early are told with their last line, and started again; a run that ends well says so', async (t) => {
  const { run, made, said } = bench(t, "setInterval(() => {}, 1000); process.on('disconnect', () => process.exit(0));");
  const exit = await run(async () => {
    await until(() => made().length === 1);
    process.kill(made()[0] as number, 'SIGKILL');
    await until(() => made().length === 2);
    return 0;
  });
  assert.equal(exit, 0);
  assert.match(said(), /^warning: the workers ended early \(SIGKILL\); started again in 1 s$/m);
  for (const pid of made()) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
});

test('workers that cannot begin end the run, with their last line and their exit code', async (t) => {
  const { run, made, said } = bench(t, "console.error('brigade: queue: no such queue [E_QUEUE_MISSING]'); process.exitCode = 5;");
  const exit = await run((own) => new Promise((resolve) => { own.io.onSignal((signal) => resolve(signal === 'SIGTERM' ? 143 : 1)); }));
  assert.equal(exit, 5);
  assert.equal(made().length, 3);
  assert.match(said(), /^brigade: the workers cannot begin \(exit 5\): queue: no such queue \[E_QUEUE_MISSING\] \[E_WORKERS\]$/m);
});

test('that workers are told to leave at the end of a run is nobody’s news; what they say besides is', async (t) => {
  const { run, made, said } = bench(t, "process.on('SIGTERM', () => { console.error('stopping: what is in flight may finish'); console.error('warning: a report was late'); process.exit(0); }); setInterval(() => {}, 1000);");
  const exit = await run(async () => {
    await until(() => made().length === 1);
    return 0;
  });
  assert.equal(exit, 0);
  assert.equal(said(), 'warning: a report was late\n');
});
