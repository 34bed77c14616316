import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { Outcome } from '../../core/item.ts';
import { BrigadeError } from '../../core/errors.ts';
import { fold } from '../../journal/index.ts'; // eslint-disable-line import-x/no-restricted-paths -- only tests come here: the fleet knows no driver
import { copied, createMemoryStore, differences, ending, faulty, type Ground, groundFor, key, pageOf, pending, rebuilt, seededRandom, simulatedClock, until, workerOn } from './ground.test-kit.ts';
import type { TaskName } from '../../ports/journal.ts';
import type { FleetTask } from '../task-message.ts';

async function planned(t: TestContext, objects: number, perTask: number, options: Parameters<typeof groundFor>[1] = {}): Promise<Ground> {
  const ground = await groundFor(t, options);
  ground.ledger.beginRun('initial');
  ground.ledger.addPlan(1, pageOf(0, objects, perTask));
  await ground.ledger.flush();
  return ground;
}

const all = (task: FleetTask): readonly Outcome[] => task.items.map(copied);

function workers(t: TestContext, ground: Ground, ...each: ((task: FleetTask) => readonly Outcome[] | undefined)[]): AbortController {
  const stop = new AbortController();
  const working = each.map((work) => workerOn(ground, work, stop.signal));
  ending(t, async () => {
    stop.abort();
    await Promise.all(working);
  });
  return stop;
}

function sentFirst({ index }: Ground): TaskName {
  const [id] = index.held(1, 'fleet');
  const name = id === undefined ? undefined : index.taskName(id);
  assert.ok(name !== undefined);
  return name;
}

async function sameAsJournal(t: TestContext, { journal, ledger, index }: Ground): Promise<void> {
  await ledger.flush();
  assert.deepEqual([...differences(index, await rebuilt(t, journal))].map(({ message }) => message), []);
}

test('every task becomes a message, every report comes into the ledger, and the journal alone says the same', async (t) => {
  const ground = await planned(t, 500, 10);
  const crew = ground.crew();
  workers(t, ground, all, all);
  await until(() => crew.idle() && ground.index.tally(1).pending.objects === 0);
  assert.equal(ground.index.tally(1).copied.objects, 500);
  assert.equal(crew.resent, 0);
  await sameAsJournal(t, ground);
});

test('never more than the window is outstanding', async (t) => {
  const ground = await planned(t, 300, 1);
  const crew = ground.crew({ window: 20 });
  let most = 0;
  workers(t, ground, (task) => { most = Math.max(most, crew.outstanding); return all(task); });
  await until(() => ground.index.tally(1).pending.objects === 0);
  assert.ok(most <= 20 && most > 1, String(most));
});

test('F094: a queue that is purged in the middle costs time only', async (t) => {
  const ground = await planned(t, 400, 10);
  const crew = ground.crew();
  await until(() => crew.outstanding === 40);
  ground.broker.purge();
  workers(t, ground, all);
  await until(() => crew.idle() && ground.index.tally(1).pending.objects === 0);
  assert.deepEqual([ground.index.tally(1).copied.objects, crew.resent], [400, 40]);
  assert.ok(ground.events.some((event) => event.type === 'note' && event.text.includes('sent again')), 'and that is told');
  await sameAsJournal(t, ground);
});

test('messages that come twice, late, out of order or never: each object once in the account', async (t) => {
  const ground = await planned(t, 600, 5, { times: 100 });
  ground.broker.setFaults({ duplicate: 0.2, reorder: 0.3, lose: 0.1 });
  const crew = ground.crew();
  let count = 0;
  // Every seventh delivery, whoever has it dies.
  const mortal = (task: FleetTask): readonly Outcome[] | undefined => (++count % 7 === 0 ? undefined : all(task));
  workers(t, ground, mortal, mortal, mortal);
  await until(() => crew.idle() && ground.index.tally(1).pending.objects === 0);
  const { copied: done, failed } = ground.index.tally(1);
  assert.deepEqual([done.objects, failed.objects], [600, 0]);
});

test('a healthy queue is not sent anything twice, however slow its workers are', async (t) => {
  const ground = await planned(t, 60, 2, { times: 200 });
  const crew = ground.crew();
  await until(() => crew.outstanding === 30);
  // 40 s of the hurried clock: far beyond two leases.
  await ground.clock.sleep(40_000);
  workers(t, ground, all);
  await until(() => crew.idle() && ground.index.tally(1).pending.objects === 0);
  assert.equal(crew.resent, 0);
});

test('objects that a worker leaves pending go out again', async (t) => {
  const ground = await planned(t, 40, 4);
  const crew = ground.crew();
  const seen = new Map<string, number>();
  workers(t, ground, (task) => task.items.map((item) => {
    seen.set(item.key, (seen.get(item.key) ?? 0) + 1);
    return seen.get(item.key) === 1 && item.key.endsWith('3') ? { ...copied(item), state: 'pending', destination: undefined } as unknown as Outcome : copied(item);
  }));
  await until(() => crew.idle() && ground.index.tally(1).pending.objects === 0);
  assert.equal(seen.get(key(3)), 2);
  assert.equal(seen.get(key(4)), 1);
  await sameAsJournal(t, ground);
});

test('another coordinator on the same ledger goes on with what is outstanding, without sending it again', async (t) => {
  const ground = await planned(t, 200, 10);
  const first = ground.crew();
  await until(() => first.outstanding === 20);
  await first.close();
  const second = ground.crew();
  await until(() => second.outstanding === 20);
  workers(t, ground, all);
  await until(() => second.idle() && ground.index.tally(1).pending.objects === 0);
  assert.equal(second.resent, 0);
});

test('taking over what many tasks hold leaves others their turn, and nothing is idle before it is done', async (t) => {
  const ground = await planned(t, 400, 1);
  const first = ground.crew();
  await until(() => first.outstanding >= 256);
  await first.close();
  let decoded = 0;
  const counting = new Proxy(ground.index, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name);
      if (name === 'leasedTask') decoded++;
      return typeof member === 'function' ? member.bind(target) as unknown : member;
    },
  });
  const second = ground.crew({ ledger: counting });
  assert.equal(decoded, 0);
  assert.equal(second.idle(), false);
  await until(() => second.outstanding >= 256);
});

test('F106: a coordinator whose epoch was taken over ends with one line and sends nothing more', async (t) => {
  const ground = await planned(t, 20, 10);
  const crew = ground.crew();
  await until(() => crew.outstanding === 2);
  await ground.journal.claim({ holder: 'two', over: await ground.journal.current() });
  await assert.rejects(crew.trouble, { code: 'E_JOURNAL_FENCED' });
  ground.ledger.addPlan(1, pageOf(20, 10, 10));
  await assert.rejects(ground.ledger.flush(), { code: 'E_JOURNAL_FENCED' });
  assert.equal(ground.failures[0]?.code, 'E_JOURNAL_FENCED');
});

test('I13: a coordinator that was replaced stops within two seconds, also where it has nothing to write: nothing is sent, folded or written any more', async (t) => {
  const clock = simulatedClock();
  const store = faulty(createMemoryStore({ clock }), { faults: [], random: seededRandom(1), clock });
  const ground = await planned(t, 40, 10, { clock, store, leaseMs: 30_000 });
  const pass = (ms: number): Promise<void> => clock.run(clock.sleep(ms));
  let sends = 0;
  const { queue } = ground;
  const crew = ground.crew({ window: 2, queue: { ...queue, send: async (...given) => { sends++; return queue.send(...given); } } });
  for (let i = 0; i < 50 && crew.outstanding < 2; i++) await pass(100);
  assert.equal(crew.outstanding, 2);
  await pass(5000);
  await ground.journal.claim({ holder: 'two', over: await ground.journal.current() });
  const [before, sent, claimedMs] = [store.requests.write, sends, clock.monotonic()];
  let endedMs: number | undefined;
  crew.trouble.catch((error: unknown) => { endedMs = error instanceof BrigadeError && error.code === 'E_JOURNAL_FENCED' ? clock.monotonic() : undefined; });
  for (let i = 0; i < 200 && endedMs === undefined; i++) await pass(100);
  assert.ok((endedMs ?? Infinity) - claimedMs <= 2000, `${(endedMs ?? Infinity) - claimedMs} ms`);
  // Room for what waits in its window, if it looked.
  await ground.journal.report(sentFirst(ground), { worker: 'w', outcomes: Array.from({ length: 10 }, (_, n) => copied(pending(n))), close: true, parts: [] });
  await pass(60_000);
  assert.deepEqual([store.requests.write, sends, ground.index.tally(1).copied.objects], [(before ?? 0) + 1, sent, 0], 'but for the report of the worker');
});

test('a coordinator whose ledger can tell the journal nothing more stops at once', async (t) => {
  const ground = await planned(t, 40, 10);
  let sends = 0;
  const { queue } = ground;
  const crew = ground.crew({ window: 2, queue: { ...queue, send: async (...given) => { sends++; return queue.send(...given); } } });
  await until(() => crew.outstanding === 2);
  crew.fail(new BrigadeError({ code: 'E_JOURNAL_FENCED', kind: 'usage', message: 'another one' }));
  const sent = sends;
  await ground.journal.report(sentFirst(ground), { worker: 'w', outcomes: [copied(pending(0))], close: true, parts: [] });
  await ground.clock.sleep(20_000);
  assert.deepEqual([sends, ground.index.tally(1).copied.objects], [sent, 0]);
});

test('a queue that is away is waited for, and that is told', async (t) => {
  const ground = await planned(t, 100, 10);
  ground.broker.setDown(true);
  const crew = ground.crew();
  workers(t, ground, all);
  await until(() => ground.events.some(({ type }) => type === 'waiting'));
  ground.broker.setDown(false);
  await until(() => crew.idle() && ground.index.tally(1).pending.objects === 0);
  assert.ok(ground.events.some(({ type }) => type === 'resumed'));
});

test('pause, limits and the number of workers are told through the journal; what hinders a worker is told once', async (t) => {
  const ground = await planned(t, 10, 10);
  const beat = { host: 'h', version: '1', tasks: 0 };
  await ground.journal.beat({ ...beat, worker: 'a', beat: 1 });
  await ground.journal.beat({ ...beat, worker: 'b', beat: 1, trouble: { code: 'E_CREDENTIALS', message: 'expired' } });
  const crew = ground.crew();
  crew.limit({ bandwidth: 1000 });
  await until(() => ground.events.some((event) => event.type === 'note' && event.text.includes('worker b cannot work: expired')));
  await crew.hold();
  assert.deepEqual(await ground.journal.readControl(), { run: 1, pause: true, rates: { bandwidth: 1000 }, workers: 2 });
  crew.go();
  let control: unknown;
  await until(() => {
    void ground.journal.readControl().then((now) => { control = now; });
    return (control as { pause?: boolean } | undefined)?.pause === false;
  });
  assert.equal(ground.events.filter((event) => event.type === 'note').length, 1);
});

test('a fold that breaks off behind its first reports: what they closed is done, and the run comes to its end', async (t) => {
  const ground = await planned(t, 40, 10, { times: 20 });
  let broken = 0;
  const crew = ground.crew({
    fold: async (into) => {
      const folded = await fold(ground.journal, into);
      if (folded.reports === 0 || broken++ > 0) return folded;
      throw new BrigadeError({ code: 'E_SERVER', kind: 'transient', message: 'the second page of the listing never came' });
    },
  });
  workers(t, ground, all);
  await until(() => broken > 0 && ground.index.tally(1).pending.objects === 0);
  await until(() => crew.idle());
  assert.equal(crew.resent, 0);
});

test('while every worker is in trouble that is what is told, until one of them works', async (t) => {
  const ground = await planned(t, 10, 10);
  const beat = (count: number, trouble: boolean) => ground.journal.beat({ worker: 'a', beat: count, host: 'h', version: '1', tasks: 0, ...(trouble ? { trouble: { code: 'E_CREDENTIALS', message: 'expired' } } : {}) });
  await beat(1, true);
  ground.crew();
  const waits = () => ground.events.filter(({ type }) => type === 'waiting' || type === 'resumed');
  await until(() => waits().length > 0);
  await beat(2, true);
  await until(() => waits().length > 1);
  assert.deepEqual(waits().map(({ type }) => type), ['waiting', 'waiting']);
  assert.ok((waits()[1] as { sinceMs?: number }).sinceMs ?? 0 > 0);
  await beat(3, false);
  await until(() => waits().at(-1)?.type === 'resumed');
});

test('no worker can work: the run ends where the operator does not want to wait for that, with what they said', async (t) => {
  const ground = await planned(t, 10, 10);
  const beat = (count: number) => ground.journal.beat({ worker: 'a', beat: count, host: 'h', version: '1', tasks: 0, trouble: { code: 'E_CREDENTIALS', message: 'expired', hint: 'renew them' } });
  await beat(1);
  const patient = ground.crew({ patienceMs: () => 3_600_000 });
  let raised = false;
  patient.trouble.catch(() => { raised = true; });
  await until(() => ground.events.some(({ type }) => type === 'waiting'));
  assert.equal(raised, false);
  await patient.close();
  const strict = ground.crew({ patienceMs: (code) => (code === 'E_CREDENTIALS' ? 0 : 3_600_000) });
  strict.trouble.catch(() => { raised = true; });
  const told = (): number => ground.events.filter(({ type }) => type === 'waiting').length;
  const before = told();
  await until(() => told() > before);
  assert.equal(raised, false, 'what a worker said before it was killed ends no run');
  await beat(2);
  await assert.rejects(strict.trouble, { code: 'E_FLEET_TROUBLE', kind: 'premise', message: /expired \[E_CREDENTIALS\]/, hint: 'renew them' });
});

test('F072: who was killed moments before the end: it is not idle until that is known, so that what it left is swept', async (t) => {
  const ground = await planned(t, 10, 10);
  const beat = (worker: string, count: number) => ground.journal.beat({ worker, beat: count, host: 'h', version: '1', tasks: 0 });
  await Promise.all([beat('living', 1), beat('killed', 1)]);
  const crew = ground.crew({ leavesFiles: true });
  workers(t, ground, all);
  const stop = new AbortController();
  const beating = (async () => {
    for (let count = 2; !stop.signal.aborted; count++) {
      await ground.clock.sleep(10_000, stop.signal).catch(() => undefined);
      await beat('living', count);
    }
  })();
  ending(t, async () => {
    stop.abort();
    await beating;
  });
  await until(() => ground.index.tally(1).pending.objects === 0 && crew.idle());
  assert.ok((crew.diedMs() ?? 0) > 0);
});

test('whoever lives is not waited for beyond its next beat', async (t) => {
  const ground = await planned(t, 10, 10, { times: 5 });
  const beat = (count: number) => ground.journal.beat({ worker: 'living', beat: count, host: 'h', version: '1', tasks: 0 });
  await beat(1);
  const crew = ground.crew({ leavesFiles: true });
  workers(t, ground, all);
  await until(() => ground.index.tally(1).pending.objects === 0);
  assert.equal(crew.idle(), false);
  let count = 1;
  await until(() => {
    void beat(++count);
    return crew.idle();
  });
  assert.equal(crew.diedMs(), undefined);
});

test('beats of coordinators that were killed go; the one of this coordinator stays', async (t) => {
  const ground = await planned(t, 10, 10);
  const { journal } = ground;
  const over = await journal.current();
  const pen = await journal.claim({ holder: 'three', over });
  for (const epoch of [1, 2, 12]) await journal.beat({ worker: `coordinator-${epoch}`, role: 'coordinator', beat: 1, host: 'h', version: '1', tasks: 0 });
  ground.crew({ pen });
  let left: readonly string[] = [];
  await until(() => {
    void journal.beats().then((beats) => { left = beats.map(({ worker }) => worker); });
    return left.length === 2;
  });
  assert.deepEqual([...new Set(left)].toSorted((a, b) => a.length - b.length), ['coordinator-2', 'coordinator-12']);
});

test('a window without bounds: to hold still is heard between two portions', async (t) => {
  const ground = await planned(t, 3000, 1, { times: 8 });
  const { queue } = ground;
  const slow = { ...queue, limits: queue.limits, send: async (...given: Parameters<typeof queue.send>) => {
    await ground.clock.sleep(4000);
    return queue.send(...given);
  } };
  const crew = ground.crew({ window: 'all', queue: slow as typeof queue });
  await until(() => crew.outstanding > 0);
  const before = ground.clock.monotonic();
  await crew.hold();
  assert.ok(ground.clock.monotonic() - before < 55_000);
  assert.ok(crew.outstanding < 3000);
});

test('where the destination has no conditional writes, a coordinator that goes on with a run waits for those who write late', async (t) => {
  const ground = await planned(t, 10, 10);
  assert.equal(ground.crew({ quietMs: 60_000 }).isQuiet, true);
  ground.ledger.updateRun(1, { resumed: true });
  await ground.ledger.flush();
  const crew = ground.crew({ quietMs: 3_000 });
  assert.equal(crew.isQuiet, false);
  await until(() => crew.isQuiet);
});

test('S0.32: backlog, workers and the time that is left come from the ledger and from beats; a purge makes no re-sending a spurious one', async (t) => {
  const ground = await planned(t, 400, 10);
  const crew = ground.crew({ window: 8 });
  await until(() => crew.signals().outstanding === 8 && crew.signals().backlog === 40);
  assert.equal(crew.signals().drainMs, undefined, 'nothing was done yet');
  ground.broker.purge();
  await ground.journal.beat({ host: 'h', version: '1', tasks: 3, worker: 'a', beat: 1 });
  await until(() => crew.signals().workers === 1);
  assert.equal(crew.signals().busy, 3);
  let drainMs: number | undefined;
  workers(t, ground, (task) => { drainMs ??= crew.signals().drainMs; return all(task); });
  await until(() => crew.idle() && ground.index.tally(1).pending.objects === 0);
  await until(() => crew.signals().drainMs === 0);
  const { backlog, outstanding, sent, resent, spurious, epoch } = crew.signals();
  assert.deepEqual([backlog, outstanding, sent, resent, spurious, epoch], [0, 0, 48, 8, 0, 1]);
  assert.ok(drainMs !== undefined && drainMs > 0, 'while it worked something was foreseen');
});

test('a run that no worker is there for says so after 30 s, once, and that it goes on when one comes', async (t) => {
  const ground = await planned(t, 40, 10);
  const crew = ground.crew();
  const told = (): number => ground.events.filter((event) => event.type === 'note' && event.text.includes('E_NO_WORKERS')).length;
  await until(() => crew.signals().trouble?.code === 'E_NO_WORKERS');
  await until(() => ground.events.some((event) => event.type === 'waiting' && event.problem.code === 'E_NO_WORKERS'));
  await ground.clock.sleep(30_000);
  assert.equal(told(), 1);
  await ground.journal.beat({ host: 'h', version: '1', tasks: 0, worker: 'a', beat: 1 });
  await until(() => ground.events.at(-1)?.type === 'resumed');
  assert.equal(crew.signals().trouble, undefined);
});

test('in a pause nobody is missed', async (t) => {
  const ground = await planned(t, 40, 10);
  const crew = ground.crew();
  await until(() => crew.outstanding === 4);
  crew.limit({ bandwidth: 0 });
  await ground.clock.sleep(120_000);
  assert.equal(crew.signals().trouble, undefined);
  assert.equal(crew.signals().paused, true);
});

test('F097: what is lost in a queue that is full of calls for help is sent again after its patience, not by the far net', async (t) => {
  const ground = await planned(t, 40, 10);
  const crew = ground.crew();
  await until(() => crew.outstanding === 4);
  ground.broker.purge();
  await ground.queue.send(Array.from({ length: 100 }, (_, i) => ({ id: `call-${i}`, body: 'x' })));
  const stop = new AbortController();
  const speaking = (async () => {
    for (let beat = 1; !stop.signal.aborted; beat++) {
      await ground.journal.beat({ worker: 'owner', beat, host: 'h', version: '1', tasks: 1, calls: 100 });
      await ground.clock.sleep(5000, stop.signal).catch(() => undefined);
    }
  })();
  ending(t, async () => {
    stop.abort();
    await speaking;
  });
  // Its patience is over after 4 s of real time, the far net comes after 36 s.
  await until(() => crew.resent === 4, 25_000);
});

test('a pause is no time in which workers could have recovered: patience begins again behind it, and what they say is believed once they had the time to look', async (t) => {
  const clock = simulatedClock();
  const ground = await planned(t, 10, 10, { clock, leaseMs: 30_000 });
  const pass = (ms: number): Promise<void> => clock.run(clock.sleep(ms));
  const stop = new AbortController();
  const beating = (async () => {
    for (let count = 1; !stop.signal.aborted; count++) {
      await ground.journal.beat({ worker: 'a', beat: count, host: 'h', version: '1', tasks: 0, trouble: { code: 'E_NETWORK', message: 'away' } });
      await ground.clock.sleep(10_000, stop.signal).catch(() => undefined);
    }
  })();
  ending(t, async () => {
    stop.abort();
    await beating;
  });
  const crew = ground.crew({ patienceMs: () => 60_000 });
  crew.limit({ bandwidth: 0, paused: true });
  let raisedMs: number | undefined;
  crew.trouble.catch(() => { raisedMs = ground.clock.monotonic(); });
  await pass(300_000);
  assert.equal(raisedMs, undefined);
  const endMs = ground.clock.monotonic();
  crew.limit({});
  for (let i = 0; i < 1200 && raisedMs === undefined; i++) await pass(1000);
  assert.ok((raisedMs ?? 0) - endMs >= 7 * 60_000, `${(raisedMs ?? 0) - endMs} ms`);
});

test('a run is given up: workers hear that it is over, what they told until then is in the account, and nothing of it is sent any more', async (t) => {
  const ground = await planned(t, 100, 10, { times: 5 });
  const crew = ground.crew({ window: 4 });
  let done = 0;
  const stop = workers(t, ground, (task) => (++done <= 3 ? all(task) : undefined));
  await until(() => done > 3);
  stop.abort();
  const beat = (count: number, tasks: number, run: number): Promise<void> => ground.journal.beat({ worker: 'a', beat: count, host: 'h', version: '1', tasks, run });
  await beat(1, 2, 1);
  let over = false;
  const giving = crew.giveUp().then(() => { over = true; });
  await until(() => crew.signals().paused && crew.signals().busy === 2);
  const sent = crew.signals().sent;
  assert.equal(over, false, 'a worker has two of its tasks in hand');
  await beat(2, 0, 2);
  await giving;
  const control = await ground.journal.readControl();
  assert.deepEqual([control?.['run'], control?.['pause']], [2, false], 'nobody would let plain messages of the migration go on');
  assert.equal(ground.index.tally(1).copied.objects, 30);
  await ground.clock.sleep(30_000);
  assert.equal(crew.signals().sent, sent);
});

test('a run is given up although a worker does not answer: it is not waited for long', async (t) => {
  const clock = simulatedClock();
  const ground = await planned(t, 10, 10, { clock, leaseMs: 30_000 });
  await ground.journal.beat({ worker: 'frozen', beat: 1, host: 'h', version: '1', tasks: 1, run: 1 });
  const crew = ground.crew();
  for (let i = 0; i < 100 && crew.signals().busy < 1; i++) await clock.run(clock.sleep(500));
  const before = ground.clock.monotonic();
  crew.limit({ bandwidth: 0, paused: true });
  await clock.run(crew.giveUp());
  assert.ok(ground.clock.monotonic() - before < 60_000);
  const { run, pause, by, rates } = await ground.journal.readControl() ?? {};
  assert.deepEqual([run, pause, by, rates], [2, false, undefined, {}], 'the pause was of the run that is over, and of no other one');
});

test('a run that ends while it is paused leaves no pause behind, whatever is said to it afterwards', async (t) => {
  const ground = await planned(t, 10, 10);
  const crew = ground.crew();
  crew.limit({ bandwidth: 0, paused: true });
  const control = () => ground.journal.readControl();
  for (let said = await control(); said?.['by'] !== 'operator'; said = await control()) await ground.clock.sleep(1000);
  await crew.release();
  crew.limit({ bandwidth: 0, paused: true });
  await ground.clock.sleep(30_000);
  const { run, pause, by, rates } = await control() ?? {};
  assert.deepEqual([run, pause, by, rates], [1, false, undefined, {}], 'nobody would let plain messages of the migration go on');
});
