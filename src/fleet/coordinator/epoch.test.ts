import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMemoryStore, hurried, seededRandom, until } from './ground.test-kit.ts';
// eslint-disable-next-line import-x/no-restricted-paths -- only tests come here: the fleet knows no driver
import { openJournal } from '../../journal/index.ts';
import type { RunEvent } from '../../ports/events.ts';
import { type EpochOptions, Pulse, takeEpoch } from './epoch.ts';

function ground(store = createMemoryStore({})): { readonly options: (holder: string, standby?: boolean) => EpochOptions; readonly events: RunEvent[] } {
  const clock = hurried(100);
  const journal = openJournal({ store, clock, random: seededRandom(1) });
  const events: RunEvent[] = [];
  return { events, options: (holder, standby = false) => ({ journal, holder, host: 'h', version: '1', standby, clock, events: { emit: (event) => { events.push(event); } } }) };
}

const forever = new AbortController().signal;

test('F106: whoever is at work is left alone, and named; whoever left is followed at once', async () => {
  const { options } = ground();
  const one = await takeEpoch(options('one'), forever);
  const pulse = new Pulse(options('one'), one);
  await assert.rejects(takeEpoch(options('two'), forever), { code: 'E_LOCKED_RUN', kind: 'usage', message: /epoch 1\): one/ });
  await pulse.end();
  assert.equal((await takeEpoch(options('two'), forever)).claim.epoch, 2);
});

test('one that stands by takes over when the beat stops, and the frozen one is fenced when it wakes', async () => {
  const { options, events } = ground();
  const one = await takeEpoch(options('one'), forever);
  const pulse = new Pulse(options('one'), one);
  let taken = 0;
  const waiting = takeEpoch(options('two', true), forever).then(({ claim }) => { taken = claim.epoch; });
  await until(() => events.some((event) => event.type === 'note' && event.text.includes('standing by')));
  assert.equal(taken, 0);
  // Silent without a word: as if it were frozen.
  await options('one').journal.beat({ worker: 'coordinator-1', role: 'coordinator', beat: 99, host: 'h', version: '1', tasks: 0 });
  await pulse.end();
  await options('one').journal.beat({ worker: 'coordinator-1', role: 'coordinator', beat: 100, host: 'h', version: '1', tasks: 0 });
  await waiting;
  assert.equal(taken, 2);
  await assert.rejects(async () => { for (let i = 0; i < 2; i++) await one.append([{ type: 'totals', run: 1, totals: {} }]); }, { code: 'E_JOURNAL_FENCED' });
});

test('a coordinator whose beat cannot be read is at work for as long as it is written', async () => {
  const store = createMemoryStore({});
  const { options } = ground(store);
  const { journal, clock } = options('one');
  await takeEpoch(options('one'), forever);
  let writing = true;
  const newer = (async () => {
    for (let count = 1; writing; count++) {
      await journal.beat({ worker: 'coordinator-1', role: 'coordinator', beat: count, host: 'h', version: '2', tasks: 0 });
      const bytes = Buffer.from(store.bytes('workers/coordinator-1') as Buffer);
      store.put('workers/coordinator-1', bytes.subarray(0, -1));
      await clock.sleep(2000);
    }
  })();
  try {
    await until(() => store.bytes('workers/coordinator-1') !== undefined);
    await assert.rejects(takeEpoch(options('two'), forever), { code: 'E_LOCKED_RUN' });
  } finally {
    writing = false;
    await newer;
  }
  assert.equal((await takeEpoch(options('two'), forever)).claim.epoch, 2, 'it fell silent');
});

test('of two that stand by, one gets it', async () => {
  const { options } = ground();
  const both = await Promise.allSettled([takeEpoch(options('a'), forever), takeEpoch(options('b'), forever)]);
  const epochs = both.filter((one) => one.status === 'fulfilled').map(({ value }) => value.claim.epoch);
  // The slower one looks for a beat of the quicker one: without any it takes the next epoch, and fences it.
  assert.ok(epochs.includes(1) && new Set(epochs).size === epochs.length, epochs.join());
});
