import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { openJournal } from '../../journal/index.ts'; // eslint-disable-line import-x/no-restricted-paths -- only tests come here: the fleet knows no driver
import type { Journal } from '../../ports/journal.ts';
import { Board } from './board.ts';
import { createMemoryStore, ending, faulty, type Fault, groundFor, pageOf, seededRandom, simulatedClock, until } from './ground.test-kit.ts';

const clock = simulatedClock();

function boards(faults: Fault[] = []): (migration: string) => Board {
  const journal = openJournal({ store: faulty(createMemoryStore({ clock }), { faults, random: seededRandom(1), clock }), clock, random: seededRandom(2) });
  return (migration) => new Board({ journal, migration, host: 'h', version: '1', clock });
}

const pass = (ms: number): Promise<void> => clock.run(clock.sleep(ms));

test('of each other migration the least of its last two words counts, and never its own', async () => {
  const on = boards();
  const [mine, a, b] = [on('mine'), on('a'), on('b')];
  const speak = async (ofA: number, ofB: number): Promise<number> => {
    await pass(11_000);
    await Promise.all([mine.say(1000), a.say(ofA), b.say(ofB)]);
    return mine.others();
  };
  assert.equal(await speak(10, 7), 0, 'how old a first word is nobody knows');
  assert.equal(await speak(10, 7), 17);
  assert.equal(await speak(90, 7), 17, 'rising');
  assert.equal(await speak(90, 3), 93);
  assert.equal(await speak(20, 3), 23, 'falling');
});

test('whoever fell silent counts no more, nor who left', async () => {
  const on = boards();
  const [mine, a, b] = [on('mine'), on('a'), on('b')];
  for (let i = 0; i < 2; i++) {
    await Promise.all([a.say(5), b.say(2)]);
    await mine.others();
    await pass(11_000);
  }
  await b.leave();
  assert.equal(await mine.others(), 5);
  await pass(31_000);
  assert.equal(await mine.others(), 0);
});

test('a board that does not answer hinders nobody', async () => {
  const faults: Fault[] = [{ effect: { kind: 'throw', error: 'transient', code: 'E_SERVER' } }];
  const board = boards(faults)('mine');
  await board.say(3);
  assert.equal(await board.others(), 0);
});

async function busyQueue(t: TestContext) {
  const ground = await groundFor(t);
  ground.ledger.beginRun('initial');
  ground.ledger.addPlan(1, pageOf(0, 40, 10));
  await ground.ledger.flush();
  const shared: Journal = openJournal({ store: createMemoryStore({}), clock: ground.clock, random: seededRandom(5) });
  const board = (migration: string): Board => new Board({ journal: shared, migration, host: 'h', version: '1', clock: ground.clock });
  return { ground, board };
}

test('F094: what is lost in a queue that is full of other migrations’ messages is sent again after its patience, not by the far net', async (t) => {
  const { ground, board } = await busyQueue(t);
  const other = board('other');
  const crew = ground.crew({ board: board('photos') });
  await until(() => crew.outstanding === 4);
  ground.broker.purge();
  await ground.queue.send(Array.from({ length: 100 }, (_, i) => ({ id: `other-${i}`, body: 'x' })));
  const stop = new AbortController();
  const speaking = (async () => {
    while (!stop.signal.aborted) {
      await other.say(100);
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
