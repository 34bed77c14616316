import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { type Migration, migrationFromFlags } from '../../config/index.ts';
import { Secret } from '../../core/secret.ts';
import { messageCodec } from '../../fleet/messages.ts';
import { differences, faulty, type Fault, hurried, rebuilt } from '../../fleet/coordinator/ground.test-kit.ts';
import { runFleetWorker } from '../../fleet/worker/worker.ts';
import { FLEET_CHECKS, type FleetBodies } from '../../fleet/task-message.ts';
import { inspectLedger } from '../../ledger/sqlite/index.ts';
import { openJournal } from '../../journal/index.ts';
import type { RunEvent } from '../../ports/events.ts';
import type { Journal } from '../../ports/journal.ts';
import { MemoryBroker, openMemoryQueue } from '../../queues/memory/index.ts';
import { createMemoryStore } from '../../stores/memory/index.ts';
import { seededRandom } from '../../telemetry/random.ts';
import { runMigration, type RunFlags, type RunResult } from '../migrate.ts';
import type { Reopened } from '../retry.ts';
import { verifyMigration } from '../verify.ts';
import { cancelAlone } from '../cancel.ts';
import { readSaid, writeSaid } from '../limits.ts';
import { ledgerPath } from '../state.ts';
import { journalClosing } from './cancel.ts';
import { fleetHands } from './coordinator.ts';
import { migrationOpener } from './open-migration.ts';

const clock = hurried(20);
const random = seededRandom(1);
const codec = messageCodec<FleetBodies>({ current: new Secret('k'.repeat(32)) }, FLEET_CHECKS);

interface Ground {
  readonly dir: string;
  readonly migration: Migration;
  readonly journal: Journal;
  readonly events: RunEvent[];
  readonly stop: AbortController;
  /** Of the journal's store. */
  readonly faults: Fault[];
  /** `options`: other ones than the ground's own. */
  run(more?: Partial<RunFlags>, options?: Readonly<Record<string, unknown>>): Promise<RunResult>;
}

/** Five files, a journal, and where it is asked for a worker. */
function groundFor(t: TestContext, onEvent: (event: RunEvent, ground: Ground) => void = () => undefined, { worker = false, bytes = 1, options = {} }: { readonly worker?: boolean; readonly bytes?: number; readonly options?: Readonly<Record<string, unknown>> } = {}): Ground {
  const dir = mkdtempSync(join(tmpdir(), 'brigade-coordinator-'));
  for (const name of ['from', 'to']) mkdirSync(join(dir, name));
  for (let n = 0; n < 5; n++) writeFileSync(join(dir, 'from', `file-${n}`), Buffer.alloc(bytes, n));
  const migration = (more: Readonly<Record<string, unknown>>): Migration => migrationFromFlags(join(dir, 'from'), join(dir, 'to'), { name: 'photos', options: more }, { env: {}, cwd: dir });
  const faults: Fault[] = [];
  const journal = openJournal({ store: faulty(createMemoryStore({}), { faults, random, clock }), clock, random });
  const queue = openMemoryQueue(new MemoryBroker({ clock, random }));
  const leave = new AbortController();
  const around = { env: {}, clock, random };
  const working = worker ? runFleetWorker({
    queue, codec, journals: async () => journal, open: migrationOpener({ ...around, events: { emit: () => undefined } }), worker: 'w', host: 'h', version: '1', ...around, events: { emit: () => undefined }, drainMs: 0,
  }, leave.signal) : Promise.resolve();
  t.after(async () => {
    faults.length = 0;
    leave.abort();
    await working;
    rmSync(dir, { recursive: true, force: true });
  });
  const ground: Ground = {
    dir, migration: migration(options), journal, events: [], stop: new AbortController(), faults,
    run: (more = {}, other = options) => runMigration(migration(other), { stateDir: join(dir, 'state'), fresh: false, adopt: false, onPause: 'wait', requireObjects: false, drainMs: 1000, ...more }, {
      ...around, signal: ground.stop.signal,
      events: { emit: (event) => { ground.events.push(event); onEvent(event, ground); } },
    }, fleetHands({ queue, journal, codec: () => codec, version: '1', standby: false, window: 'auto' })),
  };
  return ground;
}

async function requests(journal: Journal): Promise<number> {
  let count = 0;
  for await (const { records } of journal.plans()) for (const record of records ?? []) if (record.type === 'totals') count += Object.values(record.totals.requests ?? {}).reduce((sum, one) => sum + one, 0);
  return count;
}

test('a signal ends a coordinator as it ends a run of one machine: stopped, with its account, and its sums are in the journal', async (t) => {
  const ground = groundFor(t, (event, { stop }) => { if (event.type === 'stage' && event.stage === 'transferring') stop.abort(); });
  const result = await ground.run();
  assert.equal(result.stopped, true);
  assert.equal(result.exit, 5);
  assert.equal(result.tally.pending.objects, 5);
  assert.ok(await requests(ground.journal) > 0);
});

test('a signal while the journal does not answer: stopped all the same, within seconds', async (t) => {
  const ground = groundFor(t, (event, { stop, faults }) => {
    if (event.type !== 'stage' || event.stage !== 'transferring') return;
    faults.push({ effect: { kind: 'throw', error: 'transient', code: 'E_SERVER' } });
    stop.abort();
  });
  const result = await ground.run();
  assert.equal(result.stopped, true);
});

for (const stage of ['listing', 'transferring', 'closing', 'verifying'] as const) {
  test(`F106: another coordinator takes over while this one is ${stage}: that is how it ends`, async (t) => {
    let taken: Promise<unknown> | undefined;
    const ground = groundFor(t, (event, { journal }) => {
      if (event.type === 'stage' && event.stage === stage) taken ??= journal.current().then((over) => journal.claim({ holder: 'two', over }));
    }, { worker: true, options: { verify: 'full' } });
    const [ended] = await Promise.allSettled([ground.run()]);
    await taken;
    assert.equal(ended.status, 'rejected');
    assert.equal((ended as PromiseRejectedResult).reason.code, 'E_JOURNAL_FENCED');
  });
}

test('F106: a coordinator that verifies for hours stops when another one takes over, not at its end', async (t) => {
  const ground = groundFor(t, (event, { journal }) => {
    if (event.type === 'stage' && event.stage === 'verifying') void journal.current().then((over) => journal.claim({ holder: 'two', over }));
  }, { worker: true, bytes: 100_000, options: { verify: 'full', limits: { bandwidth: '20KB/s' } } });
  await assert.rejects(ground.run(), { code: 'E_JOURNAL_FENCED' });
  const verified = ground.events.findLast((event) => event.type === 'verified');
  assert.ok(verified !== undefined && verified.objects < verified.of, JSON.stringify(verified));
});

test('a ledger that is made anew knows what verify found', async (t) => {
  const ground = groundFor(t, (event, { dir }) => {
    if (event.type === 'stage' && event.stage === 'verifying') writeFileSync(join(dir, 'to', 'file-1'), 'another');
  }, { worker: true, options: { verify: 'full' } });
  const { ledger, run } = await ground.run();
  const view = inspectLedger(ledger);
  const made = await rebuilt(t, ground.journal);
  try {
    assert.equal(made.verifySummary(run.number)?.findings, 1);
    assert.deepEqual([made.verifySummary(run.number), made.findings(run.number)], [view.verifySummary(run.number), view.findings(run.number)]);
  } finally {
    await view.close();
  }
});

test('what another verify proves of a fleet’s run changes no object in its ledger, which would then contradict the journal', async (t) => {
  const ground = groundFor(t, () => undefined, { worker: true });
  const { ledger } = await ground.run();
  const verified = await verifyMigration(ground.migration, { stateDir: join(ground.dir, 'state'), level: 'full' }, { env: {}, clock, random, events: { emit: () => undefined }, signal: ground.stop.signal }, () => undefined);
  assert.equal(verified.summary.evidence['both ends re-read'], 5);
  const view = inspectLedger(ledger);
  try {
    assert.deepEqual([...differences(view, await rebuilt(t, ground.journal))].map(({ message }) => message), []);
    assert.equal(view.verifySummary(1)?.level, 'full');
  } finally {
    await view.close();
  }
});

test('another binding is taken over where --adopt says so, by ledger and journal alike, and by nobody else', async (t) => {
  const ground = groundFor(t, () => undefined, { worker: true });
  assert.equal((await ground.run()).exit, 0);
  const changed = { select: { exclude: ['*-4'] } };
  await assert.rejects(ground.run({}, changed), { code: 'E_LEDGER_OTHER' });
  await assert.rejects(ground.run({ fresh: true }, changed), { code: 'E_JOURNAL_OTHER' });
  assert.equal((await ground.run({ adopt: true }, changed)).tally.listed.objects, 4);
  assert.equal((await ground.run({}, changed)).exit, 0);
  await assert.rejects(ground.run({ fresh: true }), { code: 'E_JOURNAL_OTHER' });
});

test('--adopt takes no journal from a coordinator that is at work', async (t) => {
  const ground = groundFor(t, () => undefined, { worker: true });
  assert.equal((await ground.run()).exit, 0);
  const before = await ground.journal.binding();
  const over = await ground.journal.current();
  const { claim } = await ground.journal.claim({ holder: 'two', over });
  const stop = new AbortController();
  const beating = (async () => {
    for (let beat = 1; !stop.signal.aborted; beat++) {
      await ground.journal.beat({ worker: `coordinator-${claim.epoch}`, role: 'coordinator', beat, host: 'h', version: '1', tasks: 0 });
      await clock.sleep(2000, stop.signal).catch(() => undefined);
    }
  })();
  t.after(async () => {
    stop.abort();
    await beating;
  });
  await assert.rejects(ground.run({ adopt: true }, { select: { exclude: ['*-4'] } }), { code: 'E_LOCKED_RUN' });
  assert.deepEqual(await ground.journal.binding(), before);
});

/** As if the plan had refused the first object, which only a destination could do that takes other names than the source. */
async function failInPlan(journal: Journal): Promise<void> {
  const over = await journal.current();
  const pen = await journal.claim({ holder: 'two', over });
  for await (const { epoch, seq, records = [] } of journal.plans()) {
    const [item] = records.flatMap((record) => (record.type === 'plan' ? record.page.tasks.slice(0, 1).flatMap(({ items }) => items) : []));
    if (item === undefined) continue;
    await pen.append([{ type: 'amend', task: { epoch, seq, task: 0 }, after: 1, changes: [{ item: { ...item, state: 'failed', code: 'E_NAME', attempts: 0 }, problem: { code: 'E_NAME', kind: 'object', message: 'refused' } }] }]);
    return;
  }
}

test('retry tells which objects only another listing can settle', async (t) => {
  const told: Reopened[] = [];
  const ground = groundFor(t, () => undefined, { worker: true });
  assert.equal((await ground.run()).exit, 0);
  await failInPlan(ground.journal);
  assert.equal((await ground.run({ reopen: { filter: {}, told: (reopened) => told.push(reopened) } })).exit, 1);
  assert.deepEqual(told.map(({ objects, failedInPlan }) => [objects, failedInPlan]), [[0, 1]]);
});

test('retry where no object failed: the exit code stays that of the run, whose verify found a difference', async (t) => {
  const ground = groundFor(t, (event, { dir }) => {
    if (event.type === 'stage' && event.stage === 'verifying') writeFileSync(join(dir, 'to', 'file-1'), 'another');
  }, { worker: true, options: { verify: 'full' } });
  assert.equal((await ground.run()).exit, 3);
  assert.equal((await ground.run({ reopen: { filter: {} } })).exit, 3);
});

test('a run that nobody coordinates is cancelled through the journal alone: workers take its messages for over, the next run begins anew', async (t) => {
  const ground = groundFor(t, (event, { stop }) => { if (event.type === 'stage' && event.stage === 'transferring') stop.abort(); });
  const stopped = await ground.run();
  assert.equal(stopped.tally.pending.objects, 5);
  const around = { stateDir: join(ground.dir, 'state'), migration: ground.migration, env: {}, clock, random, events: { emit: (event: RunEvent) => { ground.events.push(event); } }, signal: new AbortController().signal };
  await assert.rejects(cancelAlone('photos', around), { code: 'E_LEDGER_FLEET' });
  const over = await cancelAlone('photos', { ...around, open: journalClosing(ground.journal, '1') });
  assert.deepEqual([over.number, over.state, over.pause?.code], [1, 'abandoned', 'E_RUN_CANCELLED']);
  assert.equal((await ground.journal.readControl())?.['run'], 2);
  const view = inspectLedger(stopped.ledger);
  try {
    assert.deepEqual([...differences(view, await rebuilt(t, ground.journal))].map(({ message }) => message), []);
  } finally {
    await view.close();
  }
});

test('a paused run that is taken over on another machine stays paused there, until it is let go there', async (t) => {
  const ground = groundFor(t);
  const note = (): boolean => ground.events.some((event) => event.type === 'note' && event.text.startsWith('run 1 was paused before'));
  const path = ledgerPath(join(ground.dir, 'state'), 'photos');
  mkdirSync(dirname(path), { recursive: true });
  writeSaid(path, 1, { paused: true });
  const first = ground.run();
  while ((await ground.journal.readControl())?.['by'] !== 'operator') await clock.sleep(1000);
  ground.stop.abort();
  assert.equal((await first).stopped, true);

  Object.assign(ground, { stop: new AbortController() });
  ground.events.length = 0;
  const second = ground.run({ stateDir: join(ground.dir, 'elsewhere') });
  while (!note()) await clock.sleep(1000);
  const there = ledgerPath(join(ground.dir, 'elsewhere'), 'photos');
  assert.deepEqual(readSaid(there, 1), { paused: true });
  writeSaid(there, 1);
  while ((await ground.journal.readControl())?.['pause'] !== false) await clock.sleep(1000);
  assert.equal((await ground.journal.readControl())?.['by'], undefined);
  ground.stop.abort();
  await second;
});

test('a pause that is taken back while nobody coordinates is over; one that was said elsewhere holds beside limits that were said here', async (t) => {
  const ground = groundFor(t);
  const path = ledgerPath(join(ground.dir, 'state'), 'photos');
  mkdirSync(dirname(path), { recursive: true });
  const control = async () => (await ground.journal.readControl()) ?? {};
  const again = (): void => { Object.assign(ground, { stop: new AbortController() }); };
  writeSaid(path, 1, { paused: true });
  const first = ground.run();
  while ((await control())['by'] !== 'operator') await clock.sleep(1000);
  ground.stop.abort();
  await first;

  // As brigade limits says it there.
  again();
  const there = ledgerPath(join(ground.dir, 'elsewhere'), 'photos');
  mkdirSync(dirname(there), { recursive: true });
  writeSaid(there, 1, { requests: 7 });
  ground.events.length = 0;
  const elsewhere = ground.run({ stateDir: join(ground.dir, 'elsewhere') });
  while (!ground.events.some(({ type }) => type === 'limits')) await clock.sleep(1000);
  assert.deepEqual(readSaid(there, 1), { requests: 7, paused: true });
  ground.stop.abort();
  await elsewhere;

  // As brigade resume says it where nobody is at work.
  again();
  writeSaid(path, 1, { paused: false });
  const last = ground.run();
  while ((await control())['pause'] !== false) await clock.sleep(1000);
  assert.equal(readSaid(path, 1), undefined);
  ground.stop.abort();
  await last;
});

test('a run that came to its end on another machine is not cancelled by who has an old ledger of it', async (t) => {
  let begun = 0;
  const ground = groundFor(t, (event, { stop }) => { if (event.type === 'stage' && event.stage === 'transferring' && ++begun === 1) stop.abort(); }, { worker: true });
  assert.equal((await ground.run()).stopped, true);
  Object.assign(ground, { stop: new AbortController() });
  assert.equal((await ground.run({ stateDir: join(ground.dir, 'elsewhere') })).run.state, 'finished');
  const around = { stateDir: join(ground.dir, 'state'), migration: ground.migration, env: {}, clock, random, events: { emit: () => undefined }, signal: new AbortController().signal };
  assert.equal((await cancelAlone('photos', { ...around, open: journalClosing(ground.journal, '1') })).state, 'finished');
  assert.equal((await rebuilt(t, ground.journal)).run(1)?.state, 'finished');
});

for (const [what, ends] of [['a signal', (ground: Ground) => ground.stop.abort()], ['another coordinator', async ({ journal }: Ground) => void await journal.claim({ holder: 'other', over: await journal.current() })]] as const) {
  test(`F106: ${what} while a cancelled run is given up: that is how it ends`, async (t) => {
    const ground = groundFor(t);
    await ground.journal.beat({ worker: 'frozen', beat: 1, host: 'h', version: '1', tasks: 1, run: 1 });
    const running = ground.run().then(({ stopped }) => (stopped === true ? 'stopped' : 'ended'), ({ code }: { code?: string }) => code);
    const told = async (run: number): Promise<void> => { while ((await ground.journal.readControl())?.['run'] !== run) await clock.sleep(200); };
    await told(1);
    writeSaid(ledgerPath(join(ground.dir, 'state'), 'photos'), 1, { cancelled: true });
    await told(2);
    await ends(ground);
    assert.equal(await running, what === 'a signal' ? 'stopped' : 'E_JOURNAL_FENCED');
  });
}
