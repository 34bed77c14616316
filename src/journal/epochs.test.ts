import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BrigadeError } from '../core/errors.ts';
import type { Clock, Random } from '../ports/clock.ts';
import type { CoordinatorJournal, Journal, PlanRecord, SegmentPlace } from '../ports/journal.ts';
import type { Store } from '../ports/storage.ts';
import { clock, createMemoryStore, faulty, GROUNDS, seededRandom, simulatedClock, type Fault } from './ground.test-kit.ts';
import { openJournal, proveConditionalWrites } from './index.ts';

const says = (n: number): PlanRecord[] => [{ type: 'totals', run: 1, totals: { bytesSent: n } }];
const failing = (code: string, message = /./) => (thrown: unknown): boolean => {
  assert.ok(thrown instanceof BrigadeError, String(thrown));
  assert.equal(thrown.code, code, thrown.message);
  assert.match(thrown.message, message);
  assert.doesNotMatch(thrown.message, /\n/);
  return true;
};

/** What folds see of the plan log: the numbers said, in order. */
async function heard(journal: Journal, after?: SegmentPlace): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { records = [], damage } of journal.plans(after)) {
    assert.equal(damage, undefined);
    for (const record of records) if (record.type === 'totals') numbers.push(record.totals.bytesSent ?? 0);
  }
  return numbers;
}

const journalOn = (store: Store, seed = 1, time: Clock = clock): Journal => openJournal({ store, clock: time, random: seededRandom(seed) });

async function takeOver(journal: Journal, holder: string): Promise<CoordinatorJournal> {
  return journal.claim({ holder, over: await journal.current() });
}

for (const [name, ground] of Object.entries(GROUNDS)) {
  describe(`the journal in a store of kind ${name}`, () => {
    test('its logs are read back in order, across pages and epochs, from any segment on', async (t) => {
      const { store, another } = await ground(t);
      const first = await takeOver(journalOn(store), 'one');
      for (let n = 0; n < 25; n++) assert.deepEqual(await first.append(says(n)), { epoch: 1, seq: n });
      const reader = journalOn(another(), 2);
      assert.deepEqual(await heard(reader), Array.from({ length: 25 }, (_, n) => n));
      assert.deepEqual(await heard(reader, { epoch: 1, seq: 21 }), [22, 23, 24]);
      const second = await takeOver(reader, 'two');
      await second.append(says(100));
      assert.deepEqual(await heard(reader, { epoch: 1, seq: 23 }), [24, 100]);
      assert.deepEqual(await heard(reader, { epoch: 2, seq: 0 }), []);
      assert.deepEqual([...await reader.fences()], [[1, 24]]);
    });

    test('F106: of two coordinators one has the epoch; the other is told who, in one line', async (t) => {
      const { store, another } = await ground(t);
      const [one, two] = [journalOn(store, 1), journalOn(another(), 2)];
      const results = await Promise.allSettled([one.claim({ holder: 'one', over: undefined }), two.claim({ holder: 'two', over: undefined })]);
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      const lost = results.find((result) => result.status === 'rejected');
      const winner = results[0]?.status === 'fulfilled' ? 'one' : 'two';
      failing('E_LOCKED_RUN', new RegExp(`another coordinator holds this journal \\(epoch 1\\): ${winner}, since 2026-01-02T`))(lost?.reason);
    });

    test('F106: a coordinator that was frozen and woke is refused by its next write; what it wrote before counts', async (t) => {
      const { store, another } = await ground(t);
      const frozen = await takeOver(journalOn(store, 1), 'frozen');
      await frozen.append(says(1));
      await frozen.control({ paused: false });
      const reader = journalOn(another(), 2);
      const next = await takeOver(reader, 'next');
      assert.equal(await frozen.isCurrent(), false);
      assert.equal(await next.isCurrent(), true);
      await next.append(says(3));
      await assert.rejects(frozen.append(says(2)), failing('E_JOURNAL_FENCED', /ended by epoch 2/));
      await assert.rejects(frozen.append(says(2)), failing('E_JOURNAL_FENCED'));
      await assert.rejects(frozen.control({ paused: true }), failing('E_JOURNAL_FENCED'));
      assert.deepEqual(await heard(reader), [1, 3]);
      assert.deepEqual(await reader.readControl(), { paused: false });
      await next.control({ limits: [1, { rate: null }] });
      assert.deepEqual(await reader.readControl(), { limits: [1, { rate: null }] });
    });

    test('a takeover that died between its claim and its seals is made good by the next one', async (t) => {
      const { store } = await ground(t);
      const old = await takeOver(journalOn(store, 1), 'old');
      await old.append(says(1));
      const dying = faulty(store, { faults: [{ ops: ['write'], key: /^(plan|control)\//, effect: { kind: 'throw', error: 'premise' } }], random: seededRandom(1), clock });
      await assert.rejects(takeOver(journalOn(dying, 2), 'dying'));
      assert.deepEqual(await old.append(says(2)), { epoch: 1, seq: 1 }); // nobody has ended it yet
      const next = await takeOver(journalOn(store, 3), 'next');
      assert.equal(next.claim.epoch, 3);
      await assert.rejects(old.append(says(3)), failing('E_JOURNAL_FENCED'));
      await next.append(says(4));
      assert.deepEqual(await heard(journalOn(store, 4)), [1, 2, 4]);
    });

    test('F106: conditional writes are proven before a journal is entrusted to the store', async (t) => {
      const { store } = await ground(t);
      await proveConditionalWrites(store, seededRandom(3));
      for await (const { entries } of store.list({})) assert.deepEqual(entries.filter(({ kind }) => kind === 'object'), []);
    });
  });
}

test('F106: a store without conditional writes, or with ones that do nothing, is refused in one line', async () => {
  const honest = createMemoryStore({ facts: { guards: { absent: false, matches: true, onComplete: true } } });
  await assert.rejects(proveConditionalWrites(honest, seededRandom(1)), failing('E_JOURNAL_GUARDS', /ignores If-None-Match/));
  const inner = createMemoryStore();
  const lying: Store = { ...inner, write: (request) => inner.write({ ...request, guard: { kind: 'none' } }) };
  await assert.rejects(proveConditionalWrites(lying, seededRandom(1)), failing('E_JOURNAL_GUARDS', /4 of 4 writers of one name were told that they won/));
});

/** Every request takes a while, before the store does it and before its answer arrives; sometimes the answer is lost. */
function slow(store: Store, clock: Clock, random: Random, lose: number): Store {
  const wait = () => clock.sleep(random.next() * 100);
  const around = async <T>(run: () => Promise<T>, mayLose = false): Promise<T> => {
    await wait();
    const answer = await run();
    await wait();
    if (mayLose && random.next() < lose) throw new BrigadeError({ code: 'E_RESET', kind: 'transient', message: 'the answer was lost' });
    return answer;
  };
  return {
    ...store,
    head: (...given) => around(() => store.head(...given)),
    read: (...given) => around(() => store.read(...given)),
    write: (...given) => around(() => store.write(...given), true),
    async *list(request) {
      await wait();
      yield* store.list(request);
    },
  };
}

interface Raced {
  readonly won: readonly number[];
  /** What each was told is in the journal, in the order of its calls. */
  readonly acknowledged: readonly (readonly number[])[];
  readonly heard: readonly number[];
  readonly fenced: number;
}

/** Two coordinators claim the same epoch and write; the loser then takes the next one, while the winner goes on. */
async function race(seed: number): Promise<Raced> {
  const time = simulatedClock({ auto: true });
  const memory = createMemoryStore();
  const chance = seededRandom(`frozen ${seed}`);
  const won: number[] = [];
  const acknowledged: number[][] = [[], []];
  let fenced = 0;
  const write = async (who: number, pen: CoordinatorJournal): Promise<void> => {
    for (let n = 0; n < 6; n++) {
      await pen.append(says(who * 1000 + pen.claim.epoch * 100 + n));
      acknowledged[who]?.push(who * 1000 + pen.claim.epoch * 100 + n);
      await time.sleep(chance.next() * 600); // it freezes
    }
  };
  const one = async (who: number): Promise<void> => {
    const random = seededRandom(seed * 2 + who);
    const journal = openJournal({ store: slow(memory, time, random, 0.1), clock: time, random });
    for (const first of [true, false]) {
      try {
        const over = first ? undefined : await journal.current();
        const pen = await journal.claim({ holder: `${who}`, over });
        won.push(pen.claim.epoch);
        await write(who, pen);
        return;
      } catch (thrown) {
        if (!(thrown instanceof BrigadeError) || !['E_LOCKED_RUN', 'E_JOURNAL_FENCED'].includes(thrown.code)) throw thrown;
        if (thrown.code === 'E_JOURNAL_FENCED') return void fenced++;
      }
    }
  };
  await Promise.all([one(0), one(1)]);
  return { won, acknowledged, heard: await heard(journalOn(memory, 1, time)), fenced };
}

test('F106: in a thousand races for an epoch, with answers lost, exactly one wins each, and nothing that was acknowledged is lost or doubled', async () => {
  let [fenced, handed] = [0, 0];
  for (let seed = 0; seed < 1000; seed++) {
    const raced = await race(seed);
    assert.equal(new Set(raced.won).size, raced.won.length, `seed ${seed}: epochs ${raced.won.join()}`);
    assert.ok(raced.won.includes(1), `seed ${seed}: nobody won`);
    assert.equal(new Set(raced.heard).size, raced.heard.length, `seed ${seed}: doubled ${raced.heard.join()}`);
    for (const mine of raced.acknowledged) assert.deepEqual(raced.heard.filter((n) => mine.includes(n)), mine, `seed ${seed}`);
    // Epochs in their order, each from one writer.
    const epochs = raced.heard.map((n) => Math.floor((n % 1000) / 100));
    assert.deepEqual(epochs, epochs.toSorted((a, b) => a - b), `seed ${seed}`);
    fenced += raced.fenced;
    handed += raced.won.length - 1;
  }
  // The seeds reach what they are for.
  assert.ok(fenced > 100 && handed > 100, `${fenced} fenced, ${handed} handed on`);
});

test('a conditional write whose answer is lost is known again by what stands there', async () => {
  const faults: Fault[] = [{ ops: ['write'], effect: { kind: 'drop-answer' } }];
  const memory = createMemoryStore();
  const store = faulty(memory, { faults, random: seededRandom(1), clock });
  const pen = await takeOver(journalOn(store), 'one');
  for (let n = 0; n < 5; n++) await pen.append(says(n));
  assert.deepEqual(await heard(journalOn(memory, 2)), [0, 1, 2, 3, 4]);
  assert.equal(store.requests.write, 6);
});

test('an append that failed is settled by the next call, whether it stands or not: nothing twice, nothing out of order', async () => {
  for (const kind of ['drop-answer', 'throw'] as const) for (const same of [true, false]) {
    const memory = createMemoryStore();
    const effect = { kind, error: 'transient' as const };
    const faults: Fault[] = [{ ops: ['write'], key: /plan\//, times: 1, effect }, { ops: ['head'], key: /plan\//, times: 4, effect: { kind: 'throw', error: 'transient' } }];
    const pen = await takeOver(journalOn(faulty(memory, { faults, random: seededRandom(1), clock })), 'one');
    await assert.rejects(pen.append(says(1)));
    assert.deepEqual(await pen.append(says(same ? 1 : 2)), { epoch: 1, seq: same ? 0 : 1 });
    await pen.append(says(3));
    assert.deepEqual(await heard(journalOn(memory, 2)), same ? [1, 3] : [1, 2, 3]);
  }
});

test('a segment that its writer left torn is written over by the writer, and passed over by a successor', async () => {
  for (const heals of [true, false]) {
    const memory = createMemoryStore();
    const tearing: Store = { ...memory, write: async (request) => {
      const whole = request.body.bytes as Buffer;
      if (request.key.startsWith('plan/') && !torn) {
        torn = true;
        memory.put(request.key, whole.subarray(0, whole.length - 3));
        throw new BrigadeError({ code: 'E_RESET', kind: 'transient', message: 'the connection broke' });
      }
      return memory.write(request);
    } };
    let torn = true;
    const pen = await takeOver(journalOn(tearing), 'one');
    await pen.append(says(1));
    torn = false;
    if (heals) await pen.append(says(2));
    else {
      void pen.append(says(2), AbortSignal.abort()).catch(() => undefined);
      memory.put('plan/00000001/0000000001', Buffer.from('BBJ'));
    }
    const next = await takeOver(journalOn(memory, 2), 'two');
    await next.append(says(3));
    assert.deepEqual(await heard(journalOn(memory, 3)), heals ? [1, 2, 3] : [1, 3]);
  }
});

test('a damaged or missing segment of the plan log is told with its name; a new epoch can cut it off with all that came after', async () => {
  const spoil: ((store: ReturnType<typeof createMemoryStore>, key: string) => unknown)[] = [
    (store, key) => store.put(key, (store.bytes(key) as Buffer).subarray(0, 20)),
    (store, key) => { const bytes = Buffer.from(store.bytes(key) as Buffer); bytes[40] = (bytes[40] as number) ^ 1; store.put(key, bytes); },
    (store, key) => store.remove(key),
    (store, key) => store.put(key, store.bytes('plan/00000001/0000000001') as Buffer),
  ];
  for (const [i, one] of spoil.entries()) {
    const memory = createMemoryStore();
    const pen = await takeOver(journalOn(memory), 'one');
    for (let n = 0; n < 5; n++) await pen.append(says(n));
    const key = 'plan/00000001/0000000002';
    await one(memory, key);
    const journal = journalOn(memory, 2);
    const damages = [];
    for await (const { damage } of journal.plans()) if (damage !== undefined) damages.push(damage);
    assert.deepEqual(damages.map(({ key: at, kind }) => [at, kind]), [[key, ['torn', 'changed', 'gone', 'changed'][i]]]);
    const next = await journal.claim({ holder: 'two', over: await journal.current(), cutAt: { epoch: 1, seq: 2 } });
    await next.append(says(7));
    assert.deepEqual(await heard(journal), [0, 1, 7]);
  }
});

test('a body that suffered on the way is read again', async () => {
  const memory = createMemoryStore();
  const pen = await takeOver(journalOn(memory), 'one');
  await pen.append(says(1));
  const store = faulty(memory, { faults: [{ ops: ['read'], key: /plan\//, nth: 1, effect: { kind: 'wrong-byte', at: 30 } }, { ops: ['read'], key: /epochs\//, nth: 1, effect: { kind: 'cut', after: 5 } }], random: seededRandom(1), clock });
  assert.deepEqual(await heard(journalOn(store, 2)), [1]);
  assert.deepEqual(store.struck, [1, 1]);
});

test('F106: a coordinator that writes without a pause is stopped by a claim, so that its successor catches up with it', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const time = simulatedClock({ auto: true });
    const memory = createMemoryStore();
    const [quick, patient] = [5, 100].map((ms, i) => openJournal({ store: slow(memory, { ...time, sleep: (most) => time.sleep(most * ms / 100) }, seededRandom(2 * seed + i), 0), clock: time, random: seededRandom(2 * seed + i) }));
    const old = await takeOver(quick as Journal, 'old');
    const told: number[] = [];
    const writing = (async () => {
      for (let n = 0; n < 10_000; n++) {
        await old.append(says(n));
        told.push(n);
      }
    })();
    const stopped = assert.rejects(writing, failing('E_JOURNAL_FENCED', /ended by epoch 2/));
    const next = await takeOver(patient as Journal, 'next');
    await stopped;
    await next.append(says(99_999));
    assert.deepEqual(await heard(journalOn(memory)), [...told, 99_999]);
  }
});
