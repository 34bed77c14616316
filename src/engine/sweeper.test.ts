import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Run, RunState } from '../ports/ledger.ts';
import { writtenSinceMs } from './sweeper.ts';

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
