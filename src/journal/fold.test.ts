import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import fc from 'fast-check';
import { BrigadeError } from '../core/errors.ts';
import { newShard, SetDigest } from '../core/shard.ts';
import type { Item, Outcome } from '../core/item.ts';
import type { Random } from '../ports/clock.ts';
import type { CoordinatorJournal, FoldTarget, Journal, PlanRecord, ReadReport, Report, SegmentPlace, TaskName } from '../ports/journal.ts';
import type { Ledger, PlannedPage } from '../ports/ledger.ts';
import type { Part, Upload } from '../ports/storage.ts';
import { clock, createMemoryStore, faulty, GROUNDS, ledger, NOW, seededRandom } from './ground.test-kit.ts';
import { differences, fold, openJournal, rebuild } from './index.ts';

const key = (n: number): string => `dir/${String(n).padStart(5, '0')}`;
const pending = (n: number): Item => ({ key: key(n), kind: 'object', size: n, state: 'pending', source: { token: `s${n}` }, evidence: 'none', attempts: 0 });
const copied = (n: number, token = `d${n}`): Outcome => ({ key: key(n), state: 'copied', destination: token, evidence: 'in flight', attempts: 0, bytesSent: n, ms: 1 });
const failed = (n: number): Outcome => ({ key: key(n), state: 'failed', evidence: 'none', attempts: 5, bytesSent: 3, ms: 1, problem: { code: 'E_DENIED', kind: 'object', message: 'no' } });
const still = (n: number): Outcome => ({ ...failed(n), state: 'pending', attempts: 1 });
const report = (worker: string, ...outcomes: Outcome[]): Report => ({ worker, outcomes, close: true, parts: [] });
const begin: PlanRecord = { type: 'run', number: 1, kind: 'initial', startedMs: NOW };

/** One shard that lists `count` objects, `perTask` to a task. */
function page(from: number, count: number, perTask: number, sealed: boolean): PlannedPage {
  const tasks = [];
  for (let at = from; at < from + count; at += perTask) tasks.push({ items: Array.from({ length: Math.min(perTask, from + count - at) }, (_, i) => pending(at + i)), problems: new Map() });
  const upTo = from + count - 1;
  const shard = { ...newShard(0, {}), firstKey: key(0), lastKey: key(upTo), items: upTo + 1, source: { objects: upTo + 1, bytes: 7, digest: new SetDigest().hex }, sealed };
  return { tasks, shards: [shard], listing: { sealed, sourceObjects: upTo + 1, sourceBytes: 7, destinationObjects: 0 } };
}

async function start(journal: Journal): Promise<CoordinatorJournal> {
  return journal.claim({ holder: 'one', over: await journal.current() });
}

function same(a: Ledger, b: Ledger): void {
  assert.deepEqual([...differences(a, b)].map(({ message }) => message), []);
}

const failing = (code: string) => (thrown: unknown): boolean => thrown instanceof BrigadeError && thrown.code === code && !thrown.message.includes('\n') && thrown.hint !== undefined;

for (const [name, ground] of Object.entries(GROUNDS)) {
  describe(`folding from a store of kind ${name}`, () => {
    test('from the journal alone a ledger is made that equals the one written directly', async (t) => {
      const { store, another } = await ground(t);
      const pen = await start(openJournal({ store, clock, random: seededRandom(1) }));
      const worker = openJournal({ store: another(), clock, random: seededRandom(2) });
      const direct = await ledger(t, 'direct');
      const upload: Upload = { key: key(19), id: 'up', size: 19, partSize: 8 };
      const part: Part = { number: 1, size: 8, token: 'p1' };

      direct.beginRun('initial');
      direct.addPlan(1, page(0, 20, 4, true));
      await pen.append([begin, { type: 'plan', run: 1, page: page(0, 20, 4, true) }]);
      for (let task = 0; task < 4; task++) {
        const outcomes = [copied(task * 4), failed(task * 4 + 1), copied(task * 4 + 2), still(task * 4 + 3)];
        assert.deepEqual(await worker.report({ epoch: 1, seq: 0, task }, report('w', ...outcomes)), { work: { epoch: 1, seq: 0, task }, nth: 0, written: true });
        await direct.record(task + 1, outcomes, true);
      }
      await direct.recordUpload(5, upload, 's19');
      await pen.append([{ type: 'upload', task: { epoch: 1, seq: 0, task: 4 }, upload, sourceToken: 's19' }]);
      await direct.recordPart(5, 'up', part);
      await worker.report({ epoch: 1, seq: 0, task: 4 }, { ...report('w'), close: false, parts: [{ uploadId: 'up', part }] });
      // What several workers tell one another of spans ends no task, and is none of the ledger's business.
      await worker.report({ epoch: 1, seq: 0, task: 4, firstPart: 2 }, { ...report('w'), parts: [{ uploadId: 'up', part: { ...part, number: 2 } }], span: { upload: 'up' } });
      direct.updateRun(1, { stage: 'transferring', addActiveMs: 5 });
      direct.addTotals(1, { requests: { read: 3 } });
      await pen.append([{ type: 'change', run: 1, atMs: NOW, change: { stage: 'transferring', addActiveMs: 5 } }, { type: 'totals', run: 1, totals: { requests: { read: 3 } } }]);

      const made = await ledger(t, 'made');
      const reader = openJournal({ store: another(), clock, random: seededRandom(3) });
      assert.deepEqual(await rebuild(reader, made), { plans: 3, reports: 6, strangers: 0, strange: [], damages: [] });
      same(made, direct);
      assert.equal(made.tally(1).copied.objects, 8);
      assert.equal(made.openUploads()[0]?.parts.length, 1);
      // Again there is nothing new; what changes is found.
      assert.deepEqual(await fold(reader, made, { all: true }), { plans: 0, reports: 0, strangers: 0, strange: [], damages: [] });
      direct.amend(1, [{ item: { ...pending(0), state: 'copied', destination: 'other' } }]);
      assert.deepEqual([...differences(direct, made)].map(({ about, key: at }) => [about, at]), [['account', undefined], ['object', key(0)]]);
      await assert.rejects(rebuild(reader, made), failing('E_LEDGER_NOT_EMPTY'));
    });
  });
}

async function journalWithTasks(tasks: number): Promise<{ store: ReturnType<typeof createMemoryStore>; journal: Journal; pen: CoordinatorJournal }> {
  const store = createMemoryStore();
  const journal = openJournal({ store, clock, random: seededRandom(1) });
  const pen = await start(journal);
  await pen.append([begin, { type: 'plan', run: 1, page: page(0, tasks * 2, 2, true) }]);
  return { store, journal, pen };
}
const task = (n: number): TaskName => ({ epoch: 1, seq: 0, task: n });

test('F094: the second report of a task stands beside the first one and changes nothing; the same one again is found to be there', async (t) => {
  const { journal, store } = await journalWithTasks(1);
  const first = report('a', copied(0), copied(1));
  assert.equal((await journal.report(task(0), first)).nth, 0);
  assert.equal((await journal.report(task(0), report('b', copied(0), copied(1)))).nth, 1);
  const count = store.count;
  assert.equal((await journal.report(task(0), first)).nth, 0);
  assert.equal(store.count, count);
  assert.equal(await journal.hasReport({ work: task(0), nth: 1 }), true);
  assert.equal(await journal.hasReport({ work: task(0), nth: 2 }), false);
  const made = await ledger(t);
  assert.equal((await rebuild(journal, made)).reports, 2);
  assert.equal(made.tally(1).copied.objects, 2);
  assert.equal(made.totals(1).bytesSent, 1);
});

test('F094: a report whose answer was lost is not written twice', async (t) => {
  const { store } = await journalWithTasks(1);
  const worker = openJournal({ store: faulty(store, { faults: [{ ops: ['write'], effect: { kind: 'drop-answer' } }], random: seededRandom(1), clock }), clock, random: seededRandom(2) });
  assert.equal((await worker.report(task(0), report('a', copied(0)))).nth, 0);
  const made = await ledger(t);
  assert.equal((await rebuild(worker, made)).reports, 1);
});

test('a torn, changed or misplaced report is never believed: its task is in doubt, and the others are folded', async (t) => {
  const { journal, store } = await journalWithTasks(4);
  for (let n = 0; n < 4; n++) await journal.report(task(n), report('a', copied(2 * n), copied(2 * n + 1)));
  const at = (n: number): string => `reports/00000001/0000000000/00000${n}-000`;
  const bytes = store.bytes(at(1)) as Buffer;
  store.put(at(0), bytes);
  store.put(at(1), bytes.subarray(0, bytes.length - 1));
  store.put(at(2), Buffer.from(store.bytes(at(2)) as Buffer).fill(0, 30, 31));
  const made = await ledger(t);
  const { damages, reports } = await rebuild(journal, made);
  assert.deepEqual(damages.map((one) => [one.key, one.kind, one.fix]), [[at(0), 'changed'], [at(1), 'torn'], [at(2), 'changed']].map((two) => [...two, 'nothing: its task is in doubt and is done again']));
  assert.equal(reports, 4);
  const claimed = made.claim(1, 9, 'w');
  assert.deepEqual(claimed.map(({ id, inDoubt, items }) => [id, inDoubt, items.length]), [[1, true, 2], [2, true, 2], [3, true, 2]]);
  // Done again, it is reported behind the damaged one.
  assert.equal((await journal.report(task(0), report('b', copied(0), copied(1)))).nth, 1);
  assert.equal((await fold(journal, made, { all: true })).reports, 1);
  assert.equal(made.tally(1).copied.objects, 4);
});

test('a report whose writer wrote nonsense under a right checksum is told as damage, and keeps no other one out of the ledger', async (t) => {
  const { journal } = await journalWithTasks(2);
  await journal.report(task(0), report('a', { ...copied(0), state: 'extra' } as unknown as Outcome, copied(1)));
  await journal.report(task(1), report('b', copied(2), copied(3)));
  const made = await ledger(t);
  const { damages, reports } = await rebuild(journal, made);
  assert.deepEqual([reports, damages.map(({ kind }) => kind), made.tally(1).copied.objects], [2, ['changed'], 2]);
  assert.match(damages[0]?.message ?? '', /^segment reports\/[^ ]+ of the journal cannot be believed: what it says cannot be read \([^\n]+\)$/);
  assert.deepEqual(made.claim(1, 9, 'w').map(({ id, inDoubt }) => [id, inDoubt]), [[1, true]]);
});

test('a report that a listing did not show is asked for before a later one of the same task counts', async (t) => {
  const { journal } = await journalWithTasks(1);
  await journal.report(task(0), report('a', copied(0, 'old')));
  await journal.report(task(0), report('b', { ...copied(0, 'new'), source: { token: 'next version' } }));
  const hiding = { ...hidden(journal), async *reports() { for await (const read of journal.reports()) if (read.nth === 1) yield read; } };
  const made = await ledger(t);
  assert.equal((await rebuild(hiding, made)).reports, 2);
  assert.equal(made.item(1, key(0))?.destination, 'new');
});

/** Its methods as members, so that some can be replaced. */
function hidden(journal: Journal): Journal {
  return {
    current: (...given) => journal.current(...given), claim: (...given) => journal.claim(...given), report: (...given) => journal.report(...given), hasReport: (...given) => journal.hasReport(...given),
    readControl: (...given) => journal.readControl(...given), plans: (...given) => journal.plans(...given), fences: (...given) => journal.fences(...given), reports: (...given) => journal.reports(...given), spanReports: (...given) => journal.spanReports(...given), plainReports: (...given) => journal.plainReports(...given), readReport: (...given) => journal.readReport(...given),
    bind: (...given) => journal.bind(...given), rebind: (...given) => journal.rebind(...given), binding: (...given) => journal.binding(...given), keep: (...given) => journal.keep(...given), document: (...given) => journal.document(...given), beat: (...given) => journal.beat(...given), beats: (...given) => journal.beats(...given), beatOf: (...given) => journal.beatOf(...given), leave: (...given) => journal.leave(...given),
  };
}

test('F106: reports of tasks that a fenced coordinator planned are told as strange and fold nothing', async (t) => {
  const { journal, pen } = await journalWithTasks(2);
  await pen.append([{ type: 'plan', run: 1, page: { ...page(4, 2, 2, false), shards: [] } }]);
  await journal.report({ epoch: 1, seq: 1, task: 0 }, report('a', copied(4)));
  await journal.claim({ holder: 'two', over: await journal.current(), cutAt: { epoch: 1, seq: 1 } });
  const made = await ledger(t);
  assert.deepEqual(await rebuild(journal, made), { plans: 1, reports: 0, strangers: 1, strange: [{ work: { epoch: 1, seq: 1, task: 0 }, nth: 0 }], damages: [] });
});

test('a ledger is not taken for one of a journal of the same epoch that has nothing of its run, or less; one that is damaged behind its back goes on', async (t) => {
  const { journal, pen, store } = await journalWithTasks(2);
  await pen.append([{ type: 'totals', run: 1, totals: { stalls: 1 } }]);
  const made = await ledger(t);
  await rebuild(journal, made);
  const empty = openJournal({ store: createMemoryStore({}), clock, random: seededRandom(6) });
  await start(empty);
  await assert.rejects(fold(empty, made), failing('E_LEDGER_BEYOND'));
  const less = (await journalWithTasks(2)).journal;
  await assert.rejects(fold(less, made), failing('E_LEDGER_BEYOND'));
  assert.equal((await fold(journal, made)).plans, 0);
  store.put('plan/00000001/0000000001', Buffer.alloc(50));
  await pen.append([{ type: 'totals', run: 1, totals: { stalls: 1 } }]);
  assert.equal((await fold(openJournal({ store, clock, random: seededRandom(5) }), made)).plans, 1);
});

test('a ledger that folded what no longer counts, and a journal with a damaged plan, are refused in one line', async (t) => {
  const { journal, pen, store } = await journalWithTasks(2);
  await pen.append([{ type: 'totals', run: 1, totals: { stalls: 1 } }]);
  const made = await ledger(t);
  await rebuild(journal, made);
  await journal.claim({ holder: 'two', over: await journal.current(), cutAt: { epoch: 1, seq: 1 } });
  await assert.rejects(fold(openJournal({ store, clock, random: seededRandom(5) }), made), failing('E_LEDGER_BEYOND'));
  store.put('plan/00000001/0000000000', Buffer.alloc(50));
  await assert.rejects(rebuild(openJournal({ store, clock, random: seededRandom(5) }), await ledger(t)), failing('E_JOURNAL_DAMAGED'));
});

test('a fold that was cut off anywhere goes on from there', async (t) => {
  const { journal, store } = await journalWithTasks(6);
  for (let n = 0; n < 6; n++) await journal.report(task(n), report('a', copied(2 * n), failed(2 * n + 1)));
  const whole = await ledger(t);
  await rebuild(journal, whole);
  const made = await ledger(t);
  for (let nth = 1; nth <= 40; nth++) {
    const stumbling = faulty(store, { faults: [{ ops: ['read', 'list'], nth, effect: { kind: 'throw', error: 'premise' } }], random: seededRandom(1), clock });
    await fold(openJournal({ store: stumbling, clock, random: seededRandom(2), width: 1 }), made, { all: true }).catch((thrown: unknown) => assert.ok(thrown instanceof BrigadeError));
  }
  same(made, whole);
});

/** A task, and the reports of it that stand in the journal. */
interface Sent {
  readonly name: TaskName;
  readonly first: number;
  readonly count: number;
  readonly known: Report[];
  /** Of them told to the ledger that is written directly. */
  folded: number;
}

/** A fleet from a seed: plans, reports that repeat, contradict and come late, closing rounds that put objects back, takeovers. */
class Fleet {
  readonly store = createMemoryStore({ pageSize: 5 });
  readonly journal = openJournal({ store: this.store, clock, random: seededRandom(1) });
  readonly #random: Random;
  readonly #live: FoldTarget;
  /** Written by the port of every ledger, at the moment at which the coordinator learned it. */
  readonly #direct: Ledger;
  readonly #tasks: Sent[] = [];
  #pen: CoordinatorJournal | undefined;
  #objects = 0;

  constructor(seed: number, live: FoldTarget, direct: Ledger) {
    this.#random = seededRandom(seed);
    this.#live = live;
    this.#direct = direct;
  }

  #below(n: number): number {
    return Math.floor(this.#random.next() * n);
  }

  async run(steps: number): Promise<void> {
    this.#pen = await start(this.journal);
    this.#direct.beginRun('initial');
    await this.#append([begin]);
    await this.#plan();
    const kinds = [() => this.#plan(), () => this.#report(), () => this.#report(), () => this.#report(), () => this.#learn(), () => this.#amend(), () => this.#takeOver()];
    for (let step = 0; step < steps; step++) await kinds[this.#below(kinds.length)]?.();
    await this.#learn();
  }

  async #append(records: PlanRecord[]): Promise<SegmentPlace> {
    const place = await (this.#pen as CoordinatorJournal).append(records);
    const folded = this.#live.foldPlan(place, records);
    await this.#live.flush();
    await folded;
    return place;
  }

  async #plan(): Promise<void> {
    const count = 1 + this.#below(6);
    const perTask = 1 + this.#below(3);
    const planned = { ...page(this.#objects, count, perTask, false), shards: [] };
    this.#direct.addPlan(1, planned);
    const place = await this.#append([{ type: 'plan', run: 1, page: planned }]);
    for (const [n, { items }] of planned.tasks.entries()) {
      this.#tasks.push({ name: { ...place, task: n }, first: this.#objects, count: items.length, known: [], folded: 0 });
      this.#objects += items.length;
    }
  }

  async #report(): Promise<void> {
    const one = this.#tasks[this.#below(this.#tasks.length)];
    if (one === undefined) return;
    const again = this.#below(4) === 0 ? one.known[this.#below(one.known.length)] : undefined;
    const makers = [copied, failed, still, (n: number) => copied(n, `other ${this.#below(3)}`)];
    const outcomes = Array.from({ length: one.count }, (_, i) => makers[this.#below(makers.length)]?.(one.first + i) as Outcome).filter(() => this.#below(5) > 0);
    const said = again ?? { worker: `w${this.#below(3)}`, outcomes, close: this.#below(4) > 0, parts: [] };
    const { nth } = await this.journal.report(one.name, said);
    one.known[nth] ??= said;
  }

  /** The coordinator folds what is there. */
  async #learn(): Promise<void> {
    await fold(this.journal, this.#live, { all: true });
    for (const one of this.#tasks) for (; one.folded < one.known.length; one.folded++) await this.#tell(one);
  }

  async #tell(one: Sent): Promise<void> {
    const { outcomes, close } = one.known[one.folded] as Report;
    await this.#direct.record(this.#live.ledgerTask(one.name) as number, outcomes, close);
  }

  async #amend(): Promise<void> {
    const one = this.#tasks[this.#below(this.#tasks.length)];
    if (one === undefined) return;
    const item = { ...pending(one.first + this.#below(one.count)), undone: 1, ...(this.#below(2) === 0 ? {} : { state: 'copied' as const, destination: 'found' }) };
    this.#direct.amend(1, [{ item }]);
    await this.#append([{ type: 'amend', task: one.name, after: this.#live.reportsFolded(one.name), changes: [{ item }] }]);
  }

  async #takeOver(): Promise<void> {
    this.#pen = await this.journal.claim({ holder: 'next', over: await this.journal.current() });
  }
}

/** Reports in another order, some twice. */
function shuffled(journal: Journal, random: Random): Journal {
  return { ...hidden(journal), async *reports() {
    const all: ReadReport[] = [];
    for await (const read of journal.reports()) all.push(...(random.next() < 0.3 ? [read, read] : [read]));
    for (let left = all.length; left > 0; left--) yield* all.splice(Math.floor(random.next() * left), 1);
  } };
}

test('folding twice, in any order, with duplicates makes the ledger that was written directly', async (t) => {
  let reports = 0;
  await fc.assert(fc.asyncProperty(fc.nat(), async (seed) => {
    const [live, direct, made] = await Promise.all([ledger(t), ledger(t), ledger(t)]);
    const fleet = new Fleet(seed, live, direct);
    await fleet.run(40);
    const other = shuffled(fleet.journal, seededRandom(seed));
    reports += (await rebuild(other, made)).reports;
    same(live, direct);
    same(made, direct);
    await fold(other, made, { all: true });
    same(made, direct);
    await Promise.all([live.close(), direct.close(), made.close()]);
  }), { numRuns: 25, seed: 5 });
  assert.ok(reports > 200, `${reports} reports`);
});

test('what was folded is not read again', async (t: TestContext) => {
  const { journal, store } = await journalWithTasks(5);
  for (let n = 0; n < 4; n++) await journal.report(task(n), report('a', copied(2 * n), copied(2 * n + 1)));
  const made = await ledger(t);
  await rebuild(journal, made);
  await journal.report(task(4), report('a', copied(8), copied(9)));
  const counted = faulty(store, { faults: [], random: seededRandom(1), clock });
  assert.equal((await fold(openJournal({ store: counted, clock, random: seededRandom(2) }), made)).reports, 1);
  assert.ok((counted.requests.read ?? 0) <= 3, `${counted.requests.read} reads`); // the claim, the last segment and one report
});

test('who holds the pen asks for reports alone, and looks at nothing else', async (t: TestContext) => {
  const { journal, store } = await journalWithTasks(3);
  const made = await ledger(t);
  await rebuild(journal, made);
  for (let n = 0; n < 2; n++) await journal.report(task(n), report('a', copied(2 * n), copied(2 * n + 1)));
  const counted = faulty(store, { faults: [], random: seededRandom(1), clock });
  const listed: string[] = [];
  const watched = { ...counted, list: (request: Parameters<typeof counted.list>[0]) => (listed.push(request.prefix ?? ''), counted.list(request)) };
  const { plans, reports } = await fold(openJournal({ store: watched, clock, random: seededRandom(2) }), made, { reportsOnly: true });
  assert.deepEqual([plans, reports, listed, counted.requests.read, counted.requests.head ?? 0], [0, 2, ['reports/'], 2, 0]);
});
