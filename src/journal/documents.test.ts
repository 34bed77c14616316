import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { NO_ATTRIBUTES } from '../core/object.ts';
import type { Beat } from '../ports/journal.ts';
import { BINDING, clock, createMemoryStore, faulty, GROUNDS, ledger, NOW, seededRandom } from './ground.test-kit.ts';
import { fold, openJournal } from './index.ts';

const beat = (worker: string, count: number, more: Partial<Beat> = {}): Beat => ({ worker, beat: count, host: 'h', version: '1', tasks: 0, ...more });

for (const [name, ground] of Object.entries(GROUNDS)) {
  describe(`beside the logs, in a store of kind ${name}`, () => {
    test('F032: a journal belongs to the migration that bound it first; any other one is refused with what differs', async (t) => {
      const { store, another } = await ground(t);
      const [one, two] = [store, another()].map((each) => openJournal({ store: each, clock, random: seededRandom(1) }));
      assert.equal(await two?.binding(), undefined);
      await one?.bind(BINDING);
      await two?.bind({ ...BINDING });
      assert.deepEqual(await two?.binding(), BINDING);
      await assert.rejects(async () => two?.bind({ ...BINDING, specHash: 'b2' }), { code: 'E_JOURNAL_OTHER', message: /specHash a1, not b2/ });
    });

    test('a document is kept once under its SHA-256, and found by others', async (t) => {
      const { store, another } = await ground(t);
      const [one, two] = [store, another()].map((each) => openJournal({ store: each, clock, random: seededRandom(1) }));
      const bytes = Buffer.from('a'.repeat(100_000));
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      assert.deepEqual([await one?.keep(bytes), await two?.keep(bytes)], [sha256, sha256]);
      assert.deepEqual(await two?.document(sha256), bytes);
      assert.equal(await two?.document('0'.repeat(64)), undefined);
    });

    test('the last beat of each worker stands, and goes when it leaves', async (t) => {
      const { store, another } = await ground(t);
      const [one, two] = [store, another()].map((each) => openJournal({ store: each, clock, random: seededRandom(1) }));
      await one?.beat(beat('w 1', 1));
      await one?.beat(beat('w 1', 2, { trouble: { code: 'E_CREDENTIALS', message: 'no' } }));
      await two?.beat(beat('w2', 1));
      assert.deepEqual((await two?.beats())?.map((one) => [one.worker, one.beat, one.trouble?.code]), [['w 1', 2, 'E_CREDENTIALS'], ['w2', 1, undefined]]);
      await two?.leave('w 1');
      await two?.leave('w 1');
      assert.deepEqual((await one?.beats())?.map((one) => one.worker), ['w2']);
      assert.equal((await one?.beatOf('w2'))?.worker, 'w2');
      assert.equal(await one?.beatOf('w 1'), undefined);
    });
  });
}

test('a beat that is written anew whenever it is looked at is no end of whoever looks: it is asked again later', async () => {
  const store = createMemoryStore({});
  const changing = faulty(store, { faults: [{ ops: ['read'], times: 4, effect: { kind: 'throw', error: 'changed' } }], random: seededRandom(1), clock });
  const journal = openJournal({ store: changing, clock, random: seededRandom(1) });
  await journal.beat(beat('w', 1));
  await assert.rejects(async () => journal.beats(), { kind: 'transient', code: 'E_JOURNAL_RESTLESS' });
  assert.equal((await journal.beats()).length, 1);
});

test('a beat that cannot be read is that of somebody who lives: by its name, and by whether its bytes change', async () => {
  const store = createMemoryStore({});
  const journal = openJournal({ store, clock, random: seededRandom(1) });
  const seen: (readonly [string, number, boolean])[] = [];
  for (const count of [1, 2, 2]) {
    await journal.beat(beat('w', count));
    store.put('workers/w', (store.bytes('workers/w') as Buffer).subarray(0, -1));
    const [one] = await journal.beats();
    assert.ok(one !== undefined);
    assert.deepEqual(await journal.beatOf('w'), one);
    assert.match(one.unread ?? '', /segment workers\/w of the journal cannot be believed/);
    seen.push([one.worker, one.beat, one.trouble === undefined]);
  }
  assert.deepEqual(seen.map(([worker]) => worker), ['w', 'w', 'w']);
  assert.notEqual(seen[0]?.[1], seen[1]?.[1]);
  assert.equal(seen[1]?.[1], seen[2]?.[1], 'it stands still');
  await journal.leave('w');
  assert.deepEqual(await journal.beats(), []);
});

test('a document that was damaged is none, and is put right by whoever keeps it again', async () => {
  const store = createMemoryStore({});
  const journal = openJournal({ store, clock, random: seededRandom(1) });
  const sha256 = await journal.keep(Buffer.from('text'));
  const other = Buffer.from('something else');
  await store.write({ key: `documents/${sha256}`, body: { size: other.length, bytes: other, open: async function* () { yield other; } }, attributes: NO_ATTRIBUTES, guard: { kind: 'none' } });
  assert.equal(await journal.document(sha256), undefined);
  await journal.keep(Buffer.from('text'));
  assert.equal(String(await journal.document(sha256)), 'text');
});

test('F072: uploads that a worker tells of stand in the ledger that is made from its reports, until it says that they are over', async (t) => {
  const journal = openJournal({ store: createMemoryStore({}), clock, random: seededRandom(1) });
  const pen = await journal.claim({ holder: 'one', over: undefined });
  const item = { key: 'big', kind: 'object', size: 100, state: 'pending', source: { token: 's' }, evidence: 'none', attempts: 0 } as const;
  const work = await pen.append([
    { type: 'run', number: 1, kind: 'initial', startedMs: NOW },
    { type: 'plan', run: 1, page: { tasks: [{ items: [item], problems: new Map() }], shards: [], listing: { sealed: false, sourceObjects: 1, sourceBytes: 100, destinationObjects: 0 } } },
  ]).then((place) => ({ ...place, task: 0 }));
  const made = await ledger(t);
  const upload = { key: 'big', id: 'u1', size: 100, partSize: 50 };
  const said = { worker: 'w', outcomes: [], close: false, parts: [] };
  await journal.report(work, { ...said, uploads: [{ upload, sourceToken: 's' }] });
  await journal.report(work, { ...said, parts: [{ uploadId: 'u1', part: { number: 1, size: 50, token: 'p1' } }] });
  await fold(journal, made);
  assert.deepEqual(made.openUploads().map(({ upload: { id }, parts }) => [id, parts.length]), [['u1', 1]]);
  await journal.report(work, { ...said, uploadsOver: ['u1'] });
  await fold(journal, made);
  assert.deepEqual(made.openUploads(), []);
});
