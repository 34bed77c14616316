/* eslint-disable import-x/no-restricted-paths -- a real journal: the fleet itself knows none */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openJournal } from '../../journal/index.ts';
import { createMemoryStore } from '../../stores/memory/index.ts';
import { simulatedClock } from '../../telemetry/clock.ts';
import { seededRandom } from '../../telemetry/random.ts';
import type { Begun, Report } from '../../ports/journal.ts';
import { Known } from './known.ts';

const NAME = { epoch: 1, seq: 2, task: 3 };
const begun: Begun = { first: 'a', last: 'c', objects: 3, alone: false };
const said = (worker: string, more: Partial<Report> = {}): Report => ({ worker, outcomes: [], close: false, parts: [], begun, ...more });

async function readFrom(after: number, reports: readonly Report[]): Promise<Known> {
  const journal = openJournal({ store: createMemoryStore(), clock: simulatedClock(), random: seededRandom('known') });
  for (const [at, report] of reports.entries()) await journal.report(NAME, report, undefined, at);
  const known = new Known(NAME, after, 1);
  await known.catchUp(journal);
  return known;
}

test('F098: who died of a task is known when it is sent again, though what was done is in its items now', async () => {
  const known = await readFrom(2, [said('a'), said('b', { begun: { ...begun, dead: ['a'] } }), said('c', { begun: { ...begun, dead: ['a', 'b'] } })]);
  assert.deepEqual(known.begun.map(({ worker }) => worker), ['a', 'b', 'c']);
  assert.deepEqual(['a', 'b', 'c'].map((worker) => known.isDead(worker)), [true, true, false]);
  assert.equal(known.closed, false);
});

test('F098: a task that was ended, and is begun anew by a retry, has no deaths any more', async () => {
  const known = await readFrom(3, [said('a'), said('b', { begun: { ...begun, dead: ['a'] } }), { worker: 'c', outcomes: [], close: true, parts: [] }, said('d')]);
  assert.deepEqual(known.begun.map(({ worker }) => worker), ['d']);
  assert.equal(known.isDead('a'), false);
  assert.equal(known.closed, false);
});
