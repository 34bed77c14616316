import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore, seededRandom, simulatedClock } from '../coordinator/ground.test-kit.ts';
import { openJournal } from '../../journal/index.ts'; // eslint-disable-line import-x/no-restricted-paths -- only tests come here: the fleet knows no driver
import type { Control } from '../../ports/journal.ts';
import { type Member, type Orders, Seat } from './seat.ts';

const EVENTS = { emit: (): void => undefined };

async function ground(control: Control) {
  const clock = simulatedClock();
  const journal = openJournal({ store: createMemoryStore({}), clock, random: seededRandom(1) });
  const pen = await journal.claim({ holder: 'c', over: undefined });
  await pen.control(control);
  let looks = 0;
  const watched = new Proxy(journal, { get: (target, name) => {
    if (name === 'beats') looks++;
    const member: unknown = Reflect.get(target, name);
    return typeof member === 'function' ? member.bind(target) as unknown : member;
  } });
  const sit = async (worker: string, processes = 1): Promise<{ seat: Seat; obeyed: Orders[]; member: Member }> => {
    const seat = new Seat(watched, { spec: 'photos', worker, host: 'h', version: '1', processes, clock, events: EVENTS });
    await seat.open();
    const obeyed: Orders[] = [];
    const member: Member = { tasks: 0, begun: [], calls: 0, trouble: undefined, obey: (orders) => { obeyed.push(orders); } };
    seat.join(member);
    return { seat, obeyed, member };
  };
  const close = async (seats: readonly Seat[]): Promise<void> => { await Promise.all(seats.map((seat) => seat.close())); };
  return { clock, journal, pen, sit, close, looks: () => looks };
}

const shares = (obeyed: readonly Orders[]): readonly number[] => obeyed.map(({ workers }) => workers);

test('workers that come at once share the limits before the coordinator has counted them', async () => {
  const { clock, pen, sit, close } = await ground({ pause: false, rates: { bandwidth: 1000 }, workers: 1 });
  const a = await sit('a');
  const b = await sit('b');
  const c = await sit('c');
  assert.deepEqual([a, b, c].map(({ obeyed }) => shares(obeyed)), [[1], [2], [3]]);
  await clock.advance(6000);
  assert.deepEqual([a, b, c].map(({ obeyed }) => shares(obeyed).at(-1)), [3, 3, 3], 'within one look');
  await pen.control({ pause: false, rates: { bandwidth: 1000 }, workers: 3 });
  await clock.advance(60_000);
  await pen.control({ pause: false, rates: { bandwidth: 1000 }, workers: 2 });
  await clock.advance(10_000);
  assert.deepEqual([a, b, c].map(({ obeyed }) => shares(obeyed).at(-1)), [2, 2, 2], 'from then on the coordinator counts');
  await close([a.seat, b.seat, c.seat]);
});

test('processes of one machine know of each other from their first byte on; where nothing is limited nobody is counted', async () => {
  const { clock, sit, close, looks } = await ground({ pause: false, rates: {}, workers: 1 });
  const one = await sit('a', 6);
  assert.deepEqual(shares(one.obeyed), [6]);
  await clock.advance(40_000);
  assert.deepEqual(shares(one.obeyed), [6, 1], 'what the coordinator says');
  assert.equal(looks(), 0);
  await close([one.seat]);
});

test('trouble is told where all that it does for a migration is in trouble, not for what an earlier run left', async () => {
  const { journal, sit, close } = await ground({ pause: false, workers: 1 });
  const { seat } = await sit('a');
  const troubled = { tasks: 0, begun: [], calls: 0, trouble: { code: 'E_CREDENTIALS', message: 'gone' }, obey: (): void => undefined };
  seat.join(troubled);
  await seat.beat();
  assert.equal((await journal.beatOf('a'))?.trouble, undefined);
  const other = await sit('b');
  other.seat.join(troubled);
  other.seat.leave(other.member);
  await other.seat.beat();
  assert.equal((await journal.beatOf('b'))?.trouble?.code, 'E_CREDENTIALS');
  await close([seat, other.seat]);
});
