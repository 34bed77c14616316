/* eslint-disable import-x/no-restricted-paths -- a store to sweep: the engine itself knows none */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Run, RunState } from '../ports/ledger.ts';
import { compareKeys } from '../core/key.ts';
import { simulatedClock } from '../telemetry/clock.ts';
import { createMemoryStore } from '../stores/memory/index.ts';
import type { Ledger } from '../ports/ledger.ts';
import { sweepLeftovers, writtenSinceMs } from './sweeper.ts';

test('F072: runs that were given up swept nothing: what they left is swept with the next one', () => {
  const since = (...states: readonly RunState[]): number => {
    const runs = states.map((state, i) => ({ number: i + 1, state, startedMs: (i + 1) * 100 }) as Run);
    return writtenSinceMs({ run: (number) => runs.find((one) => one.number === number) }, runs.at(-1) as Run);
  };
  assert.equal(since('active'), 100);
  assert.equal(since('finished', 'active'), 200);
  assert.equal(since('finished', 'abandoned', 'abandoned', 'active'), 200);
  assert.equal(since('abandoned', 'finished', 'active'), 300);
});

test('F072: an upload of a canary whose process was killed is ended with the next run, one that may be at work is not', async () => {
  const clock = simulatedClock();
  const destination = createMemoryStore({ clock });
  const { multipart } = destination;
  assert.ok(multipart !== undefined);
  const signal = new AbortController().signal;
  const begin = async (key: string): Promise<void> => void await multipart.create({ key, size: 10, partSize: 5, attributes: { headers: {}, userMetadata: new Map() }, signal });
  await begin('.brigade/canary-85abadfe6bd5');
  await clock.advance(180_000);
  await begin('.brigade/canary-000000000000');
  await begin('somebody/else');
  const run = { number: 1, startedMs: clock.now(), state: 'active', resumes: 0 } as Run;
  const ledger = { run: (number?: number) => (number === undefined || number === 1 ? run : undefined), openUploads: () => [], item: () => undefined } as unknown as Ledger;
  await sweepLeftovers({ ledger, run: 1, destination, events: { emit: () => undefined }, clock }, { atWorkSinceMs: clock.now() }, signal);
  const left: string[] = [];
  for await (const { key } of multipart.listUploads(signal)) left.push(key);
  assert.deepEqual(left.toSorted(compareKeys), ['.brigade/canary-000000000000', 'somebody/else']);
});
