/** `dead-letters` over a queue of this process and a real journal. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { openQueue } from '../app/fleet/queue.ts';
import type { MessageQueue } from '../ports/message-queue.ts';
import { systemClock } from '../telemetry/clock.ts';
import { seededRandom } from '../telemetry/random.ts';
import { brigade, tempFolder } from './fixture.test.ts';
import { messageCodec } from '../fleet/messages.ts';
import { sealFailures } from '../fleet/failure-letter.ts';
import { FLEET_CHECKS, type FleetBodies } from '../fleet/task-message.ts';
import { Secret } from '../core/secret.ts';
import { calling, copied, failed, key, KEY, message, task, writeJournal } from './journal.test-kit.ts';

const ENV = { BRIGADE_KEY: KEY };
const WITH_KEY = ['--message-key', 'env:BRIGADE_KEY'];
let made = 0;

interface Ground {
  readonly folder: ReturnType<typeof tempFolder>;
  readonly queue: MessageQueue;
  readonly args: readonly string[];
  readonly written: Awaited<ReturnType<typeof writeJournal>>;
  bury(body: string, reason: string): Promise<void>;
  run(...args: readonly string[]): ReturnType<typeof brigade>;
}

async function ground(folder: ReturnType<typeof tempFolder>): Promise<Ground> {
  const name = `memory:dead-${++made}`;
  const queue = await openQueue(name, { env: {}, cwd: '/', clock: systemClock(), random: seededRandom(1) });
  mkdirSync(join(folder.path, 'journals'));
  const written = await writeJournal(join(folder.path, 'journals'), 2);
  const args = ['dead-letters', '--queue', name];
  return {
    folder, queue, args, written,
    bury: async (body, reason) => {
      await queue.send([{ id: `m${made++}`, body }]);
      for (const delivery of await queue.receive(1, 0, new AbortController().signal)) await delivery.park(reason);
    },
    run: (...more) => brigade(folder.path, [...args, ...more], { env: ENV }),
  };
}

/** One that is done, one that is not, one under another key, one that is none of ours. */
async function four(folder: ReturnType<typeof tempFolder>): Promise<Ground> {
  const on = await ground(folder);
  await on.bury(await message(1, { sending: 1 }), 'two attempts of "dir/00003" failed: E_ACCESS_DENIED');
  await on.bury(await message(4), 'delivered 101 times');
  await on.bury(await message(3, { key: 'o'.repeat(32) }), 'the signature of the message is wrong');
  await on.bury('hello', 'no message of ours');
  return on;
}

test('each is explained: whose, which objects, why parked, and whether anything is lost by it', async () => {
  using folder = tempFolder();
  const { run, args, written } = await four(folder);
  const { exit, out, err } = await run(...WITH_KEY, '--journal', 'journals');
  assert.equal(exit, 0, err);
  const [done, open, other, foreign] = out.split(/\n(?=\S)/);
  assert.match(done ?? '', /^done {6}photos@1 task 1\/0\/1, sending 1; 1 delivery\n +2 objects, 5 B, "dir\/00002" to "dir\/00003"\n +parked: two attempts of "dir\/00003" failed: E_ACCESS_DENIED\n +its task is done \(1 report\): nothing is lost with it\n +1 × E_ACCESS_DENIED: "dir\/00003": denied$/);
  assert.match(open ?? '', /^open {6}photos@1 task 1\/0\/4, sending 0.*\n.*"dir\/00008" to "dir\/00009"\n +parked: delivered 101 times\n +nobody reported anything of its task; the coordinator sends it again$/);
  assert.match(other ?? '', /^unopened {2}says that it is task 1\/0\/3 of photos.*\n.*\n +the signature of the message is wrong \[E_MESSAGE_SIGNATURE\]$/);
  assert.match(foreign ?? '', /^unopened {2}message \S+; 1 delivery\n.*\n +this is no message of ours: it is not JSON \[E_MESSAGE_FOREIGN\]$/);
  assert.match(out, /memory: 4 of about 4 dead letters: 1 done, 1 open, 2 unopened\nnext: brigade dead-letters … --redrive/);
  assert.deepEqual(args.slice(0, 1), ['dead-letters']);
  await written.close();
});

test('a task that was given back is open, with what went wrong so far; one whose objects stand in the journal is read from there', async () => {
  using folder = tempFolder();
  const { run, bury, written } = await ground(folder);
  await written.journal.report(task(2), { worker: 'w', outcomes: [copied(4), failed(5)], close: false, parts: [] });
  await bury(await message(2, { largest: 100 }, (document) => written.journal.keep(document)), 'x');
  const letters = async (...more: readonly string[]): Promise<Record<string, unknown>[]> => (JSON.parse((await run(...WITH_KEY, ...more, '-o', 'json')).out) as { letters: Record<string, unknown>[] }).letters;
  const [known] = await letters('--journal', 'journals');
  assert.deepEqual([known?.['state'], known?.['items'], known?.['failures']], ['open', { objects: 2, bytes: 9, first: 'dir/00004', last: 'dir/00005' }, [{ code: 'E_ACCESS_DENIED', objects: 1, key: 'dir/00005', message: 'denied' }]]);
  assert.match(String(known?.['why']), /is not done \(1 report\)/);
  const [unknown] = await letters();
  assert.deepEqual([unknown?.['state'], unknown?.['items'], unknown?.['task']], ['unproven', undefined, '1/0/2']);
  await written.close();
});

test('a task that was amended after its last report is not done by it; the key may stand in the environment', async () => {
  using folder = tempFolder();
  const { args, bury, written } = await ground(folder);
  await bury(await message(0), 'before');
  await bury(await message(0, { sending: 1, after: 1 }), 'after');
  const ran = await brigade(folder.path, [...args, '--journal', 'journals', '-o', 'ndjson'], { env: { BRIGADE_MESSAGE_KEY: KEY } });
  assert.deepEqual(ran.out.trimEnd().split('\n').map((line) => (JSON.parse(line) as { state: string }).state), ['done', 'open'], ran.err);
  await written.close();
});

test('redrive takes what is open, discard what is done; all else stays unless it is named', async () => {
  using folder = tempFolder();
  const { run, queue, written } = await four(folder);
  const journal = [...WITH_KEY, '--journal', 'journals'];
  const redriven = await run(...journal, '--redrive');
  assert.match(redriven.out, /; 1 sent again\n$/);
  const [delivery] = await queue.receive(5, 0, new AbortController().signal);
  assert.equal(delivery?.body, await message(4));
  const discarded = await run(...journal, '--discard', '-o', 'json');
  const { discard, letters } = JSON.parse(discarded.out) as { discard: number; letters: { state: string; done?: string }[] };
  assert.deepEqual([discard, letters.map(({ state, done }) => [state, done])], [1, [['done', 'discard'], ['unopened', undefined], ['unopened', undefined]]]);
  assert.match((await run('--only', 'unopened', '--migration', 'photos', '--discard')).out, /: 1 unopened; 1 discarded\n$/);
  assert.equal((await queue.counts()).dead, 1);
  await written.close();
});

test('without a key nothing is believed; without a journal nothing is called done', async () => {
  using folder = tempFolder();
  const { run, written } = await four(folder);
  const bare = await run('-o', 'ndjson');
  assert.deepEqual(bare.out.trimEnd().split('\n').map((line) => (JSON.parse(line) as { state: string }).state), ['unopened', 'unopened', 'unopened', 'unopened']);
  assert.match((await run(...WITH_KEY)).out, /2 unproven, 2 unopened/);
  assert.match((await run(...WITH_KEY, '--only', 'unproven', '--migration', 'other')).out, /0 of about 4 dead letters\n/);
  await written.close();
});

/** As a worker tells of the second object of a task. */
function letter(number: number): Promise<string> {
  const codec = messageCodec<FleetBodies>({ current: new Secret(KEY) }, FLEET_CHECKS);
  const problem = { code: 'E_ACCESS_DENIED', kind: 'object', message: 'denied' } as const;
  const told = { name: task(number), spec: { id: 'photos', sha256: 'a'.repeat(64) }, run: 1, worker: 'host-7', atMs: Date.UTC(2026, 0, 3, 4, 5), failed: [{ key: key(2 * number + 1), attempts: 5, problem }] };
  return sealFailures(codec, told, 256 * 1024, () => Promise.reject(new Error('too large')));
}

test('a letter of failed objects is explained with key, class, code, time and the command that tries them again; it is never redriven, and goes once they are copied', async () => {
  using folder = tempFolder();
  const { run, queue, written } = await ground(folder);
  await queue.bury({ id: 'one', body: await letter(1) }, '1 object failed');
  const journal = [...WITH_KEY, '--journal', 'journals'];
  const { out } = await run(...journal);
  assert.match(out, /^failed {4}photos@1 task 1\/0\/1\n +parked: 1 object failed\n +1 of 1 object is failed still, as its task was reported last\n +1 × E_ACCESS_DENIED: "dir\/00003": denied\n +told by worker host-7 at 2026-01-03T04:05:00.000Z\n +"dir\/00003": object E_ACCESS_DENIED, 5 attempts\n/);
  assert.match(out, /next: brigade retry photos --class E_ACCESS_DENIED --queue memory:dead-\d+ --journal journals --message-key env:BRIGADE_KEY\n/);
  assert.match((await run(...WITH_KEY)).out, /^unproven {2}photos@1 task 1\/0\/1\n/);
  await run(...journal, '--redrive', '--only', 'failed,done,unproven');
  assert.deepEqual({ ...(await queue.counts()) }, { waiting: 0, inFlight: 0, delayed: 0, dead: 1 });
  assert.match((await run(...journal, '--discard')).out, /1 failed; 0 discarded/);
  await written.journal.report(task(1), { worker: 'w2', outcomes: [copied(3)], close: true, parts: [] });
  assert.match((await run(...journal, '--discard')).out, /none of its objects is failed any more.*1 done; 1 discarded/s);
  assert.equal((await queue.counts()).dead, 0);
  await written.close();
});

test('what is wrong with the command line is one line', async () => {
  using folder = tempFolder();
  const { run, written } = await ground(folder);
  const lines: readonly (readonly [readonly string[], RegExp])[] = [[['--redrive', '--discard'], /--redrive: stands beside --discard/], [['--only', 'dead'], /not one of done, failed, open/], [['--message-key', KEY], /holds an inline value/]];
  for (const [more, line] of lines) {
    const ran = await run(...more);
    assert.equal(ran.exit, 2, ran.err);
    assert.match(ran.err, line);
    assert.ok(!ran.err.includes(KEY) && /^brigade: [^\n]+\n$/.test(ran.err));
  }
  const missing = await brigade(folder.path, ['dead-letters'], { env: ENV });
  assert.match(missing.err, /--queue: is missing/);
  await written.close();
});

test('a call for help that nobody answered is nothing to worry about', async () => {
  using folder = tempFolder();
  const on = await ground(folder);
  await on.bury(calling(4), 'delivered 101 times');
  const { exit, out, err } = await on.run(...WITH_KEY, '--journal', 'journals');
  assert.equal(exit, 0, err);
  assert.match(out, /^done .*\n.*parked: delivered 101 times\n +it asked for help with an object of task 1\/0\/4 of photos: nothing is lost with it/);
  await on.written.close();
});
